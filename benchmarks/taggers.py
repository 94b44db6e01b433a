"""ParticleNet and ParT against weaver-core's: same weights, same jets, same threads.

    python benchmarks/taggers.py

- particlenet_inference_speedup, part_inference_speedup: 512 jets of 5 to 128 constituents (48 on
  average), time of weaver-core's network over ours. weaver-core takes batches of 128 jets in their
  order and trims each to its longest jet, as in its own evaluation; ours takes batches of jets of
  like length, cut from the cache during the measurement.
- particlenet_training_speedup, part_training_speedup: forward, backward and a step of AdamW over
  the same jets; weaver-core trims as it does in training.
- particlenet_inference_speedup_over_padding, part_inference_speedup_over_padding: our own network
  on all 128 slots of every jet, over the same as above.
- particlenet_memory_ratio, part_memory_ratio: peak memory of a training pass of ours over that of
  weaver-core, each in a process of its own.
- particlenet_logits_difference, part_logits_difference: largest difference between the logits of
  both, before anything is timed; the benchmark ends with an error above 1e-4.

weaver-core comes from PyPI into a temporary folder, without what it depends on. Sides alternate;
values are medians with the extremes. `--device cuda` measures on a GPU with batches of 512.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "2")
os.environ["NUMBA_NUM_THREADS"] = "1"

import numpy as np
import torch
from torch import nn

from fivesigma.batches import Batches, Cache
from fivesigma.inputs import Inputs
from fivesigma.models import build
from fivesigma.models.blocks import MOMENTA

SLOTS, ROUNDS = 128, 3
KIN = ("log_pt", "log_energy", "log_pt_rel", "log_energy_rel", "dr", "deta", "dphi")
FEATURES = {"particlenet": KIN, "part": (*KIN, *MOMENTA)}
Side = Callable[[], None]


def jets(n: int, features: tuple[str, ...]) -> Cache:
    """Jets of realistic lengths, with constituents around one axis."""
    rng = np.random.default_rng(3)
    count = rng.normal(48, 17, n).clip(5, SLOTS).astype(np.int64)
    total = int(count.sum())
    pt, mass = rng.exponential(10, total) + 0.5, 0.1396 * rng.integers(0, 2, total)
    deta, dphi = rng.laplace(0, 0.15, total), rng.laplace(0, 0.15, total)
    px, py, pz = pt * np.cos(dphi), pt * np.sin(dphi), pt * np.sinh(deta + 0.5)
    momenta = (px, py, pz, np.sqrt(px**2 + py**2 + pz**2 + mass**2))
    columns = {name: rng.normal(0, 1, total) for name in KIN}
    columns |= {"deta": deta, "dphi": dphi, **dict(zip(MOMENTA, momenta, strict=True))}
    values = np.stack([columns[name] for name in features], 1).astype(np.float32)
    label = rng.integers(0, 2, n)
    return Cache(Inputs(features=features), values, np.cumsum(count) - count, count, label=label)


def padded(cache: Cache, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Batches in the order of the jets, padded to 128: x (B, 128, F), mask (B, 128), labels."""
    for first in range(0, len(cache), size):
        rows = range(first, min(first + size, len(cache)))
        x = np.zeros((len(rows), SLOTS, cache.values.shape[1]), np.float32)
        mask = np.zeros((len(rows), SLOTS), bool)
        for i, row in enumerate(rows):
            n = cache.count[row]
            x[i, :n] = cache.values[cache.begin[row] :][:n]
            mask[i, :n] = True
        y = torch.from_numpy(cache.label[rows.start : rows.stop])
        yield torch.from_numpy(x), torch.from_numpy(mask), y


class Weaver(nn.Module):
    """weaver-core's network, called like ours; made as in the JetClass configurations."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.momenta = name == "part"
        if name == "particlenet":
            from weaver.nn.model.ParticleNet import ParticleNet

            layers = [(16, (64, 64, 64)), (16, (128, 128, 128)), (16, (256, 256, 256))]
            self.mod = ParticleNet(7, 2, layers, [(256, 0.1)], use_fusion=False, use_fts_bn=True)
        else:
            from weaver.nn.model.ParticleTransformer import ParticleTransformer

            self.mod = ParticleTransformer(
                input_dim=7, num_classes=2, pair_input_dim=4, use_pre_activation_pair=False,
                embed_dims=[128, 512, 128], pair_embed_dims=[64, 64, 64], num_heads=8,
                num_layers=8, num_cls_layers=2, block_params=None, fc_params=[], trim=True,
                cls_block_params={"dropout": 0, "attn_dropout": 0, "activation_dropout": 0},
            )  # fmt: skip

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(B, N, F) and (B, N) to logits."""
        x, mask = x.transpose(1, 2), mask[:, None]
        if self.momenta:
            return self.mod(x[:, :7], v=x[:, 7:], mask=mask)
        return self.mod(x[:, 5:7], x, mask)


def both(name: str) -> tuple[nn.Module, nn.Module]:
    """Our network and weaver-core's with the same weights, and statistics that matter."""
    from fivesigma.workflows.weightnames import SOURCES

    torch.manual_seed(1)
    theirs = Weaver(name)
    cache = jets(256, FEATURES[name])
    with torch.no_grad():
        for x, mask, _ in padded(cache, 128):  # statistics of the normalisations
            theirs.train()(x, mask)
    ours = build(name, 2, cache.inputs)
    ours.load_state_dict(SOURCES["weaver"].convert(theirs.state_dict()).state)
    return ours, theirs


def infer(network: nn.Module, batches: Callable, device: torch.device) -> None:
    """Logits of all batches."""
    network.eval()
    with torch.inference_mode():
        for x, mask, _ in batches():
            network(x.to(device), mask if mask is None else mask.to(device))
    finish(device)


def train(network: nn.Module, optimizer: Any, batches: Callable, device: torch.device) -> None:
    """One pass of training."""
    network.train()
    for x, mask, y in batches():
        logits = network(x.to(device), mask.to(device))
        optimizer.zero_grad()
        nn.functional.cross_entropy(logits, y.to(device)).backward()
        optimizer.step()
    finish(device)


def finish(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def bucketed(cache: Cache, size: int, shuffle: bool) -> Iterator[tuple[Any, Any, Any]]:
    """Our batches."""
    for batch in Batches(cache, size, shuffle=shuffle).epoch():
        yield batch.x, batch.mask, batch.y


def dense(made: list[Any]) -> Iterator[tuple[Any, None, Any]]:
    """Padded batches whose padding counts as constituents."""
    for x, _, y in made:
        yield x, None, y


def alternate(first: Side, second: Side, what: str, reference: str) -> dict[str, Any]:
    """Median and extremes of the ratio of both times."""
    ratios = []
    for _ in range(ROUNDS + 1):
        times = []
        for side in (first, second):
            begin = time.perf_counter()
            side()
            times.append(time.perf_counter() - begin)
        ratios.append(times[0] / times[1])
        print(f"  {what}: {times[0]:.2f} s / {times[1]:.2f} s = {ratios[-1]:.2f}", flush=True)
    return figure(ratios[1:], reference)


def figure(values: list[float], reference: str = "") -> dict[str, Any]:
    """Median and extremes."""
    low, high = min(values), max(values)
    return {"value": statistics.median(values), "low": low, "high": high, "unit": "",
            "reference": reference}  # fmt: skip


def trimming(theirs: nn.Module, cache: Cache) -> None:
    """Bring weaver-core's network to where it trims batches: it does from its sixth call on."""
    x, mask, _ = next(padded(cache, 4))
    with torch.no_grad():
        for _ in range(8):
            theirs(x, mask)


def difference(ours: nn.Module, theirs: nn.Module, cache: Cache) -> float:
    """Largest difference of logits."""
    largest = 0.0
    with torch.inference_mode():
        trimming(theirs.eval(), cache)
        for x, mask, _ in padded(cache, 64):
            largest = max(largest, (ours.eval()(x, mask) - theirs(x, mask)).abs().max().item())
    return largest


def measure(name: str, n: int, size: int, device: torch.device) -> dict[str, Any]:
    """All figures of one network."""
    ours, theirs = both(name)
    cache = jets(n, FEATURES[name])
    found = difference(ours, theirs, jets(256, FEATURES[name]))
    if found > 1e-4:
        message = f"{name}: logits differ by {found:.2g}"
        raise SystemExit(message)
    made = list(padded(cache, size))
    ours, theirs = ours.to(device), theirs.to(device)
    evaluate = partial(infer, ours, partial(bucketed, cache, size, False), device)
    figures = {f"{name}_logits_difference": figure([found], "weaver-core")}
    figures[f"{name}_inference_speedup"] = alternate(
        *(partial(infer, theirs, lambda: made, device), evaluate),
        *(f"{name} inference", "weaver-core"),
    )
    figures[f"{name}_inference_speedup_over_padding"] = alternate(
        *(partial(infer, ours, partial(dense, made), device), evaluate),
        *(f"{name} over padding", "128 slots"),
    )
    steps = [
        partial(train, network, torch.optim.AdamW(network.parameters(), 1e-5), batches, device)
        for network, batches in (
            (theirs, lambda: made),
            (ours, partial(bucketed, cache, size, True)),
        )
    ]
    figures[f"{name}_training_speedup"] = alternate(*steps, f"{name} training", "weaver-core")
    return figures


def peak(name: str, side: str, n: int, size: int, device: torch.device) -> None:
    """Print the peak memory [MB] of two passes of training, in this process."""
    cache = jets(n, FEATURES[name])
    network = Weaver(name) if side == "weaver" else build(name, 2, cache.inputs)
    made = list(padded(cache, size)) if side == "weaver" else []
    if made:
        trimming(network, cache)
    network = network.to(device)
    batches = (lambda: made) if made else partial(bucketed, cache, size, True)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-5)
    for _ in range(2):
        train(network, optimizer, batches, device)
    if device.type == "cuda":
        print(torch.cuda.max_memory_allocated() / 1e6)
        return
    status = Path("/proc/self/status").read_text().splitlines()
    print(next(int(line.split()[1]) for line in status if "VmHWM" in line) / 1e3)


def memory_ratio(name: str, arguments: list[str]) -> dict[str, Any]:
    """Peak memory of ours over weaver-core's."""
    peaks = []
    for side in ("ours", "weaver"):
        command = [sys.executable, __file__, *arguments, "--peak", name, side]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks.append(float(done.stdout.split()[-1]))
    print(f"  {name} memory: {peaks[0]:.0f} MB / {peaks[1]:.0f} MB", flush=True)
    return figure([peaks[0] / peaks[1]], "weaver-core")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--weaver", default="", help="a folder that has weaver-core")
    parser.add_argument("--peak", nargs=2, metavar=("NETWORK", "SIDE"))
    options = parser.parse_args()
    device = torch.device(options.device)
    n, size = (512, 128) if device.type == "cpu" else (65_536, 512)
    with tempfile.TemporaryDirectory() as folder:
        where = options.weaver or folder
        if not options.weaver:
            install = ["pip", "install", "--quiet", "--no-deps", "--target", where, "weaver-core"]
            subprocess.run([sys.executable, "-m", *install], check=True)
        sys.path.append(where)
        if options.peak:
            peak(*options.peak, n, size, device)
            return
        figures: dict[str, Any] = {}
        arguments = ["--device", options.device, "--weaver", where]
        for name in FEATURES:
            figures |= measure(name, n, size, device)
            figures[f"{name}_memory_ratio"] = memory_ratio(name, arguments)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    if device.type == "cuda":
        machine = torch.cuda.get_device_name()
    print(json.dumps({"benchmark": "taggers", "machine": machine, "figures": figures}))


if __name__ == "__main__":
    main()
