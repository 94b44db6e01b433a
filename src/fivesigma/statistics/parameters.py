"""The parameters of a HistFactory model: names, order, ranges and constraint terms, as in pyhf."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fivesigma.statistics.kernels import GAUSSIAN, POISSON

__all__ = ["FREE", "KINDS", "Parameters", "parameters_of"]

FREE = 0
#: kinds of modifiers, in the order in which their parameters follow one another
KINDS = ("histosys", "lumi", "normfactor", "normsys", "shapefactor", "shapesys", "staterror")


@dataclass(frozen=True)
class Parameters:
    """P parameters in pyhf's order, and the A auxiliary measurements that constrain some of them.

    Attributes:
        names: (P,) `mu`, `gamma[0]`, `gamma[1]`, ...
        slices: name of a set of parameters -> its place.
        init: (P,) where fits start.
        lower: (P,) lower bounds.
        upper: (P,) upper bounds.
        fixed: (P,) flags of those that no fit moves.
        constraint: (P,) `FREE`, `GAUSSIAN` or `POISSON`.
        width: (P,) standard deviation of the constraint; 0 for free parameters.
        aux: (A,) what was measured.
        aux_parameter: (A,) index of the parameter that it constrains.
        aux_scale: (A,) standard deviation, or for Poisson the events per unit of the parameter.
        kinds: name of a set -> the kinds of modifiers that it steers.
    """

    names: tuple[str, ...]
    slices: Mapping[str, slice]
    init: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    fixed: np.ndarray
    constraint: np.ndarray
    width: np.ndarray
    aux: np.ndarray
    aux_parameter: np.ndarray
    aux_scale: np.ndarray
    kinds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class _Set:
    """What a modifier asks of the parameters of its name."""

    constraint: int
    scalar: bool
    inits: list[float]
    bounds: list[list[float]]
    fixed: list[bool]
    auxdata: list[float] | None = None
    #: standard deviations or Poisson factors
    scale: list[float] | None = None


def parameters_of(
    channels: Mapping[str, Mapping[str, Any]], configured: Sequence[Mapping[str, Any]]
) -> Parameters:
    """The parameters of checked channels.

    Args:
        channels: channel -> sample -> sample of the workspace, both sorted by name.
        configured: `parameters` of the measurement.

    Raises:
        ValueError: one name for parameters of different kinds, or settings that do not fit.
    """
    sets: dict[str, _Set] = {}
    kinds: dict[str, list[str]] = {}
    for kind, name, wanted in _wanted(channels):
        if name in sets and sets[name] != wanted:
            message = (
                f"modifier {name!r} of type {kind} asks for other parameters than "
                f"{kinds[name][0]} of the same name; give it a name of its own"
            )
            raise ValueError(message)
        sets[name] = wanted
        if kind not in kinds.setdefault(name, []):
            kinds[name].append(kind)
    settings = {entry["name"]: entry for entry in configured}
    done = {name: _configured(name, each, settings.get(name, {})) for name, each in sets.items()}
    return _joined(done, {name: tuple(each) for name, each in kinds.items()})


def _wanted(channels: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, _Set]]:
    """Kind, name and parameters of every modifier, kind by kind as pyhf orders them."""
    for kind in KINDS:
        found: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {}
        for samples in channels.values():
            for sample in samples.values():
                for modifier in sorted(sample["modifiers"], key=lambda each: each["name"]):
                    if modifier["type"] == kind:
                        found.setdefault(modifier["name"], []).append((sample, modifier))
        if kind == "staterror":
            for name in sorted(found):
                yield kind, name, _staterror(name, channels)
            continue
        for name, places in found.items():
            yield kind, name, _simple(kind, *places[0])


def _simple(kind: str, sample: Mapping[str, Any], modifier: Mapping[str, Any]) -> _Set:
    if kind in ("histosys", "normsys"):
        return _Set(GAUSSIAN, True, [0.0], [[-5.0, 5.0]], [False], [0.0], [1.0])
    if kind == "normfactor":
        return _Set(FREE, True, [1.0], [[0.0, 10.0]], [False])
    if kind == "lumi":  # all of it must be configured
        return _Set(GAUSSIAN, True, [], [], [False], [], [])
    n = len(sample["data"])
    if kind == "shapefactor":
        return _Set(FREE, False, [1.0] * n, [[0.0, 10.0]] * n, [False] * n)
    pairs = list(zip(sample["data"], modifier["data"], strict=True))
    counts = [(y / u) ** 2 if y > 0 and u > 0 else 1.0 for y, u in pairs]
    fixed = [not (y > 0 and u > 0) for y, u in pairs]
    return _Set(POISSON, False, [1.0] * n, [[1e-10, 10.0]] * n, fixed, counts, counts)


def _staterror(name: str, channels: Mapping[str, Mapping[str, Any]]) -> _Set:
    """Relative statistical uncertainty of the sum of the samples that carry the modifier."""
    sigmas: list[float] = []
    for samples in channels.values():
        found = [
            (sample["data"], modifier["data"])
            for sample in samples.values()
            for modifier in sample["modifiers"]
            if (modifier["type"], modifier["name"]) == ("staterror", name)
        ]
        if found:
            events, errors = np.array(found, float).swapaxes(0, 1)
            total, error = events.sum(axis=0), np.sqrt(np.square(errors).sum(axis=0))
            sigmas += np.where(total > 0, error / np.where(total > 0, total, 1.0), 0.0).tolist()
    n = len(sigmas)
    fixed = [sigma == 0 for sigma in sigmas]
    # the width of a fixed parameter is of no meaning; 1 is pyhf's choice
    widths = [sigma or 1.0 for sigma in sigmas]
    return _Set(GAUSSIAN, False, [1.0] * n, [[1e-10, 10.0]] * n, fixed, [1.0] * n, widths)


def _configured(name: str, default: _Set, settings: Mapping[str, Any]) -> _Set:
    """A set with what the measurement says of it."""
    fixed = settings.get("fixed", default.fixed)
    n = max(len(default.inits), 1)
    scale_name = "factors" if default.constraint == POISSON else "sigmas"
    chosen = _Set(
        default.constraint,
        default.scalar,
        list(settings.get("inits", default.inits)),
        [list(pair) for pair in settings.get("bounds", default.bounds)],
        [fixed] * n if isinstance(fixed, bool) else list(fixed),
        None if default.auxdata is None else list(settings.get("auxdata", default.auxdata)),
        None if default.scale is None else list(settings.get(scale_name, default.scale)),
    )
    for key, values in (
        *(("inits", chosen.inits), ("bounds", chosen.bounds), ("fixed", chosen.fixed)),
        *(("auxdata", chosen.auxdata), (scale_name, chosen.scale)),
    ):
        if values is not None and len(values) != n:
            message = (
                f"parameter {name!r} needs {n} {key}, the measurement gives {len(values)}; "
                f"complete its entry in the measurement's parameters"
            )
            raise ValueError(message)
    for low, high in chosen.bounds:
        if not low < high:
            message = (
                f"parameter {name!r} has the bounds {low} and {high}; the first must be lower"
            )
            raise ValueError(message)
    return chosen


def _joined(sets: Mapping[str, _Set], kinds: Mapping[str, tuple[str, ...]]) -> Parameters:
    names: list[str] = []
    slices: dict[str, slice] = {}
    aux_parameter: list[int] = []
    for name, each in sets.items():
        n = len(each.inits)
        slices[name] = slice(len(names), len(names) + n)
        if each.auxdata is not None:
            aux_parameter += range(len(names), len(names) + n)
        names += [name] if each.scalar else [f"{name}[{index}]" for index in range(n)]
    constraint = np.array([s.constraint for s in sets.values() for _ in s.inits], dtype=np.int64)
    bounds = np.array([pair for s in sets.values() for pair in s.bounds], float).reshape(-1, 2)
    scale = np.array([x for s in sets.values() for x in s.scale or []], float)
    index = np.array(aux_parameter, dtype=np.int64)
    width = np.zeros(len(names))
    gaussian = constraint[index] == GAUSSIAN
    width[index] = np.where(gaussian, scale, 1 / np.sqrt(scale))
    return Parameters(
        names=tuple(names),
        slices=slices,
        init=np.array([x for s in sets.values() for x in s.inits], float),
        lower=bounds[:, 0].copy(),
        upper=bounds[:, 1].copy(),
        fixed=np.array([flag for s in sets.values() for flag in s.fixed], bool),
        constraint=constraint,
        width=width,
        aux=np.array([x for s in sets.values() for x in s.auxdata or []], float),
        aux_parameter=index,
        aux_scale=scale,
        kinds=kinds,
    )
