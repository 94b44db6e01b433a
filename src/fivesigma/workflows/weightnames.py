"""Names and shapes of other programs' weights: which network they are, and our names for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from fivesigma.features import FEATURE_SETS
from fivesigma.models import options_of
from fivesigma.models.blocks import MOMENTA

__all__ = ["JETCLASS", "SOURCES", "Converted", "Source", "State", "some"]

State = dict[str, torch.Tensor]

#: the classes of JetClass (arXiv:2202.03772) in the order of its published networks
JETCLASS = ("QCD", "Hbb", "Hcc", "Hgg", "H4q", "Hqql", "Zqq", "Wqq", "Tbqq", "Tbl")


class Converted(NamedTuple):
    """Weights under our own names, and what names and shapes tell of the network.

    Attributes:
        model: name of our network in `MODELS`.
        state: names and tensors of our network.
        options: of our network.
        n_features: inputs of one constituent, besides its momentum.
        n_classes: outputs.
        momenta: what the network sees of the four-momentum: `MOMENTA` or nothing.
        features: the published inputs of that number, without the momentum; () where unknown.
        classes: the published classes of that number; () where unknown.
    """

    model: str
    state: State
    options: dict[str, Any]
    n_features: int
    n_classes: int
    momenta: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


class Source(NamedTuple):
    """Where weights come from.

    Attributes:
        convert: from a state dict to `Converted`; ValueError if it is of something else.
        meaning: one line for users.
    """

    convert: Callable[[State], Converted]
    meaning: str


Rules = tuple[tuple[str, str], ...]

#: names of one program -> ours, patterns of whole names; the wrappers' prefix is gone before
_PARTICLENET: Rules = (
    (r"bn_fts\.(\w+)", r"norm.\1"),
    (r"edge_convs\.(\d+)\.convs\.(\d+)\.weight", r"blocks.\1.linears.\2.weight"),
    (r"edge_convs\.(\d+)\.bns\.(\d+)\.(\w+)", r"blocks.\1.norms.\2.\3"),
    (r"edge_convs\.(\d+)\.sc\.weight", r"blocks.\1.shortcut.0.weight"),
    (r"edge_convs\.(\d+)\.sc_bn\.(\w+)", r"blocks.\1.shortcut.1.\2"),
    (r"fc\.(\d+)\.(?:0\.)?(weight|bias)", r"head.\1.\2"),
)
_LAYER = r"(pre_attn_norm|attn\.out_proj|post_attn_norm|pre_fc_norm|fc1|post_fc_norm|fc2)"
_PART: Rules = (
    (r"cls_token", r"cls_token"),
    (r"(embed\.input_bn|embed\.embed\.\d+|pair_embed\.embed\.\d+|norm)\.(\w+)", r"\1.\2"),
    (r"(blocks|cls_blocks)\.(\d+)\.(c_attn|w_resid)", r"\1.\2.\3"),
    # torch.nn.MultiheadAttention, in weaver-core up to 0.4, has an underscore
    (r"(blocks|cls_blocks)\.(\d+)\.attn\.in_proj[._](\w+)", r"\1.\2.attn.in_proj.\3"),
    (rf"(blocks|cls_blocks)\.(\d+)\.{_LAYER}\.(\w+)", r"\1.\2.\3.\4"),
    (r"fc\.(\d+)\.(?:0\.)?(weight|bias)", r"fc.\1.\2"),
)
_LORENTZNET: Rules = (
    (r"embedding\.(\w+)", r"embedding.\1"),
    (r"(?:LGEBs|blocks)\.(\d+)\.(phi_[emxh])\.(\d+)\.(\w+)", r"blocks.\1.\2.\3.\4"),
    (r"(?!embedding)\w+\.([03])\.(weight|bias)", r"head.\1.\2"),  # the decoder, whatever its name
)
_PREFIX = re.compile(r"^((module|mod|_orig_mod)\.)+")


def _weaver(state: State) -> Converted:
    """Weights of weaver-core, told from the names of their tensors."""
    names = {_PREFIX.sub("", name) for name in state}
    if any(name.startswith("edge_convs.") for name in names):
        return _weaver_particlenet(state)
    if "cls_token" in names:
        return _weaver_part(state)
    message = f"neither edge_convs of ParticleNet nor cls_token of ParT in it, but {some(state)}"
    raise ValueError(message)


def _weaver_particlenet(state: State) -> Converted:
    ours = _spread(_renamed(state, _PARTICLENET), "head", 3)  # linear layer, ReLU and dropout
    n_features = len(_get(ours, "norm.weight"))
    hidden, n_classes = _dense(ours, "head")
    blocks = _by_number(r"blocks\.(\d+)\.linears\.(\d+)\.weight", ours)
    options = {"blocks": blocks, "head": hidden}
    lite = options_of("particlenet-lite")
    # the small one of the paper has fewer neighbours, which no shape tells
    small = blocks == [list(widths) for widths in lite["blocks"]] and hidden == [*lite["head"]]
    model = "particlenet-lite" if small else "particlenet"
    known = _published(n_features, n_classes)
    return Converted(model, ours, options, n_features, n_classes, (), *known)


def _weaver_part(state: State) -> Converted:
    ours = _spread(_renamed(state, _PART), "fc", 2)  # linear layer and ReLU
    ours["cls_token"] = token = ours["cls_token"].flatten()  # (1, 1, C) there
    n_features = len(_get(ours, "embed.input_bn.weight"))
    pair = _rows(r"pair_embed\.embed\.(\d+)\.weight", ours)
    hidden, n_classes = _dense(ours, "fc")
    options = {
        "embed": _rows(r"embed\.embed\.(\d+)\.weight", ours),
        "heads": len(_get(ours, "blocks.0.c_attn")),
        "layers": len(_sorted_names(r"blocks\.(\d+)\.c_attn", ours)),
        "class_layers": len(_sorted_names(r"cls_blocks\.(\d+)\.c_attn", ours)),
        "ratio": len(_get(ours, "blocks.0.fc1.weight")) // max(len(token), 1),
        "fc": hidden,
    }
    known = _published(n_features, n_classes)
    if not pair:
        return Converted("transformer", ours, options, n_features, n_classes, (), *known)
    options["pair"] = pair[:-1]  # the last has one output per head
    return Converted("part", ours, options, n_features, n_classes, MOMENTA, *known)


def _lorentznet(state: State) -> Converted:
    ours = _renamed(state, _LORENTZNET)
    width, scalars = _get(ours, "embedding.weight", 2).shape
    if scalars < 2:
        message = f"embedding.weight takes {scalars} scalars; expected 2, of masses, and features"
        raise ValueError(message)
    numbers = {name.split(".")[1] for name in ours if name.startswith("blocks.")}
    n_classes = len(_get(ours, "head.3.weight"))
    options = {"width": width, "blocks": len(numbers), "readout": "legacy"}
    return Converted("lorentznet", ours, options, scalars - 2, n_classes, MOMENTA)


#: name -> where weights come from
SOURCES: dict[str, Source] = {
    "weaver": Source(
        _weaver, "ParticleNet and ParT (its first version, also plain), trained with weaver-core"
    ),
    "lorentznet": Source(_lorentznet, "LorentzNet as its authors and others train it"),
}


def _renamed(state: State, rules: Rules) -> State:
    """Tensors under our names, of our shapes.

    Raises:
        ValueError: a name that stands for nothing in our network, or for what another has, too.
    """
    ours: State = {}
    unknown = []
    for name, tensor in state.items():
        bare = _PREFIX.sub("", name)
        matches = ((re.fullmatch(pattern, bare), new) for pattern, new in rules)
        new = next((match.expand(new) for match, new in matches if match), None)
        if new is None or new in ours:
            unknown.append(name)
            continue
        # convolutions of one pixel are linear layers
        pixel = tensor.ndim > 2 and tensor.shape[2:].numel() == 1
        ours[new] = tensor.flatten(1) if pixel else tensor
    if unknown:
        message = f"it holds more than our network knows: {some(unknown)}"
        raise ValueError(message)
    return ours


def _spread(state: State, part: str, step: int) -> State:
    """The state with the layers 0, 1, 2, ... of a part numbered 0, step, 2 step, ..."""

    def moved(name: str) -> str:
        first, _, rest = name.partition(".")
        number, _, kind = rest.partition(".")
        return f"{part}.{step * int(number)}.{kind}" if first == part else name

    return {moved(name): tensor for name, tensor in state.items()}


def _get(state: State, name: str, ndim: int | None = None) -> torch.Tensor:
    """A tensor that must be there, with so many dimensions, or with any but none."""
    found = state.get(name)
    if found is None or found.ndim == 0 or found.ndim != (ndim or found.ndim):
        what = f"no {name}" if found is None else f"{name} of shape {tuple(found.shape)}"
        message = f"{what} in it"
        raise ValueError(message)
    return found


def _published(n_features: int, n_classes: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Features and classes of weaver's published networks with these numbers, or nothing."""
    sets = {len(FEATURE_SETS[name]): FEATURE_SETS[name] for name in ("kin", "full")}
    return sets.get(n_features, ()), JETCLASS if n_classes == len(JETCLASS) else ()


def _sorted_names(pattern: str, state: State) -> list[str]:
    """Names that fit, by the numbers in them."""
    found = {name: match for name in state if (match := re.fullmatch(pattern, name))}
    return sorted(found, key=lambda name: [int(number) for number in found[name].groups()])


def _rows(pattern: str, state: State) -> list[int]:
    """Rows of the matrices that fit, in the order of their numbers."""
    return [len(state[name]) for name in _sorted_names(pattern, state) if state[name].ndim == 2]


def _dense(state: State, part: str) -> tuple[list[int], int]:
    """Hidden widths and outputs of a stack of linear layers.

    Raises:
        ValueError: there is none.
    """
    widths = _rows(rf"{part}\.(\d+)\.weight", state)
    if not widths:
        message = "no layer fc in it that gives the classes"
        raise ValueError(message)
    return widths[:-1], widths[-1]


def _by_number(pattern: str, state: State) -> list[list[int]]:
    """Rows of the matrices that fit, those with the same first number together."""
    groups: dict[str, list[int]] = {}
    for name in _sorted_names(pattern, state):
        groups.setdefault(name.split(".")[1], []).append(len(state[name]))
    return list(groups.values())


def some(names: Sequence[str] | State) -> str:
    """The first three, and how many more."""
    listed = list(names)
    rest = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
    return "; ".join(listed[:3]) + rest
