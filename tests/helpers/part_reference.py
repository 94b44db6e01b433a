"""Particle Transformer once more, dense and slow, after arXiv:2202.03772; shares no code.

Padded arrays, every pair of slots, one operation after the other, in the notation of the article.
`weights` maps our names to those used here.
"""

from __future__ import annotations

import math

import torch

Weights = dict[str, torch.Tensor]

#: ours -> here, of one block
BLOCK = {
    "pre_attn_norm": "ln1",
    "attn.in_proj": "qkv",
    "attn.out_proj": "out",
    "post_attn_norm": "ln2",
    "pre_fc_norm": "ln3",
    "fc1": "dense1",
    "post_fc_norm": "ln4",
    "fc2": "dense2",
}


def weights(state: Weights, layers: int, class_layers: int) -> Weights:
    """Our state dict under the names used here."""
    names = {"norm": "final", "fc.0": "logits", "embed.input_bn": "input"}
    for i in range(3):
        names |= {f"embed.embed.{3 * i}": f"ln{i}", f"embed.embed.{3 * i + 1}": f"embed{i}"}
    names["pair_embed.embed.0"] = "pair_input"
    for i in range(4):
        names[f"pair_embed.embed.{3 * i + 1}"] = f"pair{i}"
        names[f"pair_embed.embed.{3 * i + 2}"] = f"pair_bn{i}"
    blocks = [("blocks", "particle", layers), ("cls_blocks", "class", class_layers)]
    plain = {"cls_token": "token"}
    for theirs, here, n in blocks:
        for i in range(n):
            names |= {f"{theirs}.{i}.{a}": f"{here}{i}.{b}" for a, b in BLOCK.items()}
            plain |= {f"{theirs}.{i}.{a}": f"{here}{i}.{a}" for a in ("c_attn", "w_resid")}
    found = {}
    for name, value in state.items():
        stem, _, kind = name.rpartition(".")
        if kind != "num_batches_tracked":
            found[plain[name] if name in plain else f"{names[stem]}.{kind}"] = value.double()
    return found


def linear(w: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    return torch.einsum("...i,oi->...o", x, w[f"{name}.weight"]) + w[f"{name}.bias"]


def layer_norm(w: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    centred = x - x.mean(-1, keepdim=True)
    spread = (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
    return centred / spread * w[f"{name}.weight"] + w[f"{name}.bias"]


def batch_norm(w: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    spread = (w[f"{name}.running_var"] + 1e-5).sqrt()
    return (x - w[f"{name}.running_mean"]) / spread * w[f"{name}.weight"] + w[f"{name}.bias"]


def gelu(x: torch.Tensor) -> torch.Tensor:
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def interactions(p: torch.Tensor) -> torch.Tensor:
    """(B, N, 4) px, py, pz, E to (B, N, N, 4), in single precision as in training."""
    a, b = p.float()[:, :, None], p.float()[:, None]

    def kinematics(q: torch.Tensor) -> tuple[torch.Tensor, ...]:
        px, py, pz, e = (q[..., i] for i in range(4))
        return (
            torch.sqrt(px**2 + py**2),
            0.5 * torch.log(1 + 2 * pz / (e - pz)),
            torch.atan2(py, px),
        )

    (pt_a, y_a, phi_a), (pt_b, y_b, phi_b) = kinematics(a), kinematics(b)
    turn = torch.remainder(phi_a - phi_b + math.pi, 2 * math.pi) - math.pi
    delta = torch.sqrt((y_a - y_b) ** 2 + turn**2)
    least = torch.minimum(pt_a, pt_b)
    total = a + b
    squares = total**2
    mass2 = squares[..., 3] - (squares[..., 0] + squares[..., 1] + squares[..., 2])
    found = [least * delta, least / (pt_a + pt_b), delta, mass2]
    return torch.stack([torch.log(torch.clamp(q, min=1e-8)) for q in found], -1)


def attention(
    w: Weights, name: str, heads: int, query: torch.Tensor, keys: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    """Query (B, Q, C), keys (B, K, C) and bias (B, H or 1, Q or 1, K) to (B, Q, C)."""
    parts = [linear(w, f"{name}.qkv", one).chunk(3, -1) for one in (query, keys, keys)]
    q, k, v = (parts[i][i].unflatten(-1, (heads, -1)) for i in range(3))
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1]) + bias
    share = torch.softmax(scores, -1)
    return linear(w, f"{name}.out", torch.einsum("bhqk,bkhd->bqhd", share, v).flatten(-2))


def block(
    w: Weights, name: str, heads: int, x: torch.Tensor, others: torch.Tensor | None, bias
) -> torch.Tensor:
    """One block; with `others` x is the class token, which is asked without normalisation."""
    if others is None:
        query = keys = layer_norm(w, f"{name}.ln1", x)
    else:
        query, keys = x, layer_norm(w, f"{name}.ln1", torch.cat([x, others], 1))
    h = attention(w, name, heads, query, keys, bias).unflatten(-1, (heads, -1))
    h = (h * w[f"{name}.c_attn"][:, None]).flatten(-2)
    x = x + layer_norm(w, f"{name}.ln2", h)
    h = gelu(linear(w, f"{name}.dense1", layer_norm(w, f"{name}.ln3", x)))
    return linear(w, f"{name}.dense2", layer_norm(w, f"{name}.ln4", h)) + w[f"{name}.w_resid"] * x


def logits(
    w: Weights, x: torch.Tensor, p: torch.Tensor | None, mask: torch.Tensor, heads: int = 8
) -> torch.Tensor:
    """Features (B, N, F), four-momenta (B, N, 4) [GeV] and mask (B, N) to (B, n_classes).

    Every jet has a constituent.
    """
    h = batch_norm(w, "input", x.double())
    for i in range(3):
        h = gelu(linear(w, f"embed{i}", layer_norm(w, f"ln{i}", h)))
    hidden = torch.zeros(mask.shape, dtype=torch.double).masked_fill(~mask, -torch.inf)
    hidden = hidden[:, None, None]  # (B, 1, 1, N)
    bias = hidden
    if p is not None:
        p = torch.where(mask[..., None], p, torch.tensor([1.0, 0.0, 0.0, 2.0]))
        u = batch_norm(w, "pair_input", interactions(p).double())
        for i in range(4):
            u = gelu(batch_norm(w, f"pair_bn{i}", linear(w, f"pair{i}", u)))
        bias = u.permute(0, 3, 1, 2) + hidden
    for i in range(sum(name.endswith("c_attn") and name[0] == "p" for name in w)):
        h = block(w, f"particle{i}", heads, h, None, bias)
    token = w["token"].expand(len(x), 1, -1)
    with_token = torch.cat([torch.zeros_like(hidden[..., :1]), hidden], -1)
    for i in range(sum(name.endswith("c_attn") and name[0] == "c" for name in w)):
        token = block(w, f"class{i}", heads, token, h, with_token)
    return linear(w, "logits", layer_norm(w, "final", token[:, 0]))
