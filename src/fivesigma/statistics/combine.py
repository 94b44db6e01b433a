"""Simple cards of the CMS tool Combine, read as pyhf's JSON.

Read are counting experiments and binned `shapes` of TH1 in ROOT files; `lnN` (also asymmetric),
`shape`, `rateParam` without formulas, `lumi`-like lnN, and `autoMCStats`. What a card has beyond
that is refused by name, never passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import uproot

from fivesigma.statistics.checks import closest

__all__ = ["read_card"]

_POI = "r"
#: lines that carry nothing of the model
_PASSED = ("imax", "jmax", "kmax")


@dataclass
class _Card:
    """The lines of a card by what they say."""

    shapes: list[list[str]] = field(default_factory=list)
    observations: dict[str, float] = field(default_factory=dict)
    #: columns: channel, process, its number (signals are <= 0), rate
    columns: list[tuple[str, str, int, float]] = field(default_factory=list)
    #: name, type, one entry a column
    systematics: list[tuple[str, str, list[str]]] = field(default_factory=list)
    #: name, channel, process, rest
    rate_parameters: list[tuple[str, str, str, list[str]]] = field(default_factory=list)
    #: channels with statistical uncertainties; "*" for all
    mc_stats: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Template:
    values: np.ndarray
    errors: np.ndarray


def read_card(path: Path) -> dict[str, Any]:
    """Read a Combine card as a workspace; the parameter of interest is `r`.

    Args:
        path: the card; ROOT files that it names must lie in its folder or below.

    Raises:
        ValueError: what the card has that is not read, or what it lacks.
    """
    card = _parse(path)
    names = list(dict.fromkeys(channel for channel, *_ in card.columns))
    observations, channels = [], []
    for channel in names:
        samples = [_sample(path, card, i) for i, c in enumerate(card.columns) if c[0] == channel]
        channels.append({"name": channel, "samples": samples})
        counts = _observed(path, card, channel)
        observations.append({"name": channel, "data": counts})
    parameters = [
        {"name": name, "inits": [float(rest[0])], "bounds": [_range(name, rest)]}
        for name, _, _, rest in card.rate_parameters
    ]
    unique = {entry["name"]: entry for entry in parameters}
    config = {"poi": _POI, "parameters": list(unique.values())}
    return {
        "channels": channels,
        "observations": observations,
        "measurements": [{"name": path.stem, "config": config}],
        "version": "1.0.0",
    }


def _range(name: str, rest: list[str]) -> list[float]:
    """The range `[low,high]` of a rateParam; 0 to 10 times its start without one."""
    if len(rest) < 2:
        return [0.0, 10.0 * max(float(rest[0]), 1.0)]
    low, _, high = rest[1].strip("[]").partition(",")
    try:
        return [float(low), float(high)]
    except ValueError:
        message = f"rateParam {name} has {' '.join(rest[1:])!r}; only a range [low,high] is read"
        raise ValueError(message) from None


def _parse(path: Path) -> _Card:
    card, rows = _Card(), []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split("#")[0].split()
        if not words or words[0] in _PASSED or set(words[0]) == {"-"}:
            continue
        if words[1:2] == ["group"]:  # names of parameters that are shown together
            continue
        if words[0] == "shapes":
            card.shapes.append(words[1:])
        elif words[0] in ("bin", "observation", "process", "rate"):
            rows.append(words)
        elif len(words) > 2 and words[1] == "autoMCStats":
            if not words[2].startswith("-"):  # a threshold below 0 switches them off
                card.mc_stats.append(words[0])
        elif len(words) > 4 and words[1] == "rateParam":
            card.rate_parameters.append((words[0], words[2], words[3], words[4:]))
        elif len(words) > 2 and words[1] in ("lnN", "shape"):
            card.systematics.append((words[0], words[1], words[2:]))
        else:
            message = (
                f"{path}, line {number}: {' '.join(words[:2])!r} is not read; known are shapes, "
                "lnN, shape, rateParam and autoMCStats: convert the card with Combine's tools"
            )
            raise ValueError(message)
    _fill_columns(path, card, rows)
    return card


def _fill_columns(path: Path, card: _Card, rows: list[list[str]]) -> None:
    """The two `bin` lines, observations, processes and rates."""
    bins = [row[1:] for row in rows if row[0] == "bin"]
    processes = [row[1:] for row in rows if row[0] == "process"]
    rates = [row[1:] for row in rows if row[0] == "rate"]
    observed = [row[1:] for row in rows if row[0] == "observation"]
    if len(bins) != 2 or len(processes) != 2 or len(rates) != 1 or len(observed) != 1:
        message = (
            f"{path} needs two lines `bin`, two `process`, one `rate` and one `observation`; "
            f"got {len(bins)}, {len(processes)}, {len(rates)} and {len(observed)}"
        )
        raise ValueError(message)
    numbers = processes[1] if _all_integers(processes[1]) else processes[0]
    names = processes[0] if numbers is processes[1] else processes[1]
    lengths = {len(bins[1]), len(names), len(numbers), len(rates[0])}
    if len(lengths) != 1 or len(bins[0]) != len(observed[0]):
        message = f"{path}: lines bin, process and rate have different numbers of columns"
        raise ValueError(message)
    for name, _, entries in card.systematics:
        if len(entries) != len(names):
            message = f"{path}: {name} has {len(entries)} columns, expected {len(names)}"
            raise ValueError(message)
    try:
        card.observations = dict(zip(bins[0], map(float, observed[0]), strict=True))
        columns = zip(bins[1], names, map(int, numbers), map(float, rates[0]), strict=True)
        card.columns = list(columns)
    except ValueError as error:
        message = f"{path}: observation, process or rate is no number ({error})"
        raise ValueError(message) from None


def _all_integers(words: list[str]) -> bool:
    return all(word.lstrip("+-").isdigit() for word in words)


def _sample(path: Path, card: _Card, index: int) -> dict[str, Any]:
    """One process in one channel."""
    channel, process, number, rate = card.columns[index]
    template = _template(path, card, channel, process, "")
    scale = 1.0
    if template is None:
        template = _Template(np.array([rate]), np.zeros(1))
    elif rate >= 0 and template.values.sum() > 0:
        scale = rate / template.values.sum()  # -1 takes the rate from the histogram
    values = template.values * scale
    modifiers: list[dict[str, Any]] = []
    if number <= 0:
        modifiers.append({"name": _POI, "type": "normfactor", "data": None})
    for name, kind, entries in card.systematics:
        if entries[index] != "-":
            effect = _systematic(path, card, index, name, kind, entries[index], values)
            modifiers += effect
    modifiers += [
        {"name": name, "type": "normfactor", "data": None}
        for name, where, what, _ in card.rate_parameters
        if where in (channel, "*") and what in (process, "*")
    ]
    if set(card.mc_stats) & {channel, "*"} and template.errors.any():
        errors = (template.errors * scale).tolist()
        modifiers.append({"name": f"staterror_{channel}", "type": "staterror", "data": errors})
    return {"name": process, "data": values.tolist(), "modifiers": modifiers}


def _systematic(
    path: Path, card: _Card, index: int, name: str, kind: str, entry: str, nominal: np.ndarray
) -> Iterator[dict[str, Any]]:
    """A lnN as normsys; a shape as its effects on norm and shape, both by one parameter."""
    channel, process, *_ = card.columns[index]
    if kind == "lnN":
        low, _, high = entry.partition("/")
        try:
            down, up = (float(low), float(high)) if high else (1 / float(low), float(low))
        except (ValueError, ZeroDivisionError):
            message = f"{path}: lnN {name} is {entry!r} for {process} in {channel}; e.g. 1.05"
            raise ValueError(message) from None
        yield {"name": name, "type": "normsys", "data": {"hi": up, "lo": down}}
        return
    if float(entry) != 1.0:
        message = f"{path}: shape {name} scaled by {entry} is not read; only 1 is"
        raise ValueError(message)
    varied = []
    plain = _template(path, card, channel, process, "")
    for direction in ("Up", "Down"):
        found = _template(path, card, channel, process, name + direction)
        if found is None or plain is None or not plain.values.sum() > 0:
            message = f"{path}: no {direction} variation of {name} for {process} in {channel}"
            raise ValueError(message)
        varied.append(found.values * nominal.sum() / plain.values.sum())
    factors = [each.sum() / nominal.sum() for each in varied]
    shapes = [(each / f).tolist() for each, f in zip(varied, factors, strict=True)]
    yield {"name": name, "type": "normsys", "data": {"hi": factors[0], "lo": factors[1]}}
    data = {"hi_data": shapes[0], "lo_data": shapes[1]}
    yield {"name": name, "type": "histosys", "data": data}


def _observed(path: Path, card: _Card, channel: str) -> list[float]:
    template = _template(path, card, channel, "data_obs", "")
    if template is not None:
        return [float(count) for count in template.values]
    if channel not in card.observations:
        raise ValueError(f"{path}: {closest('observation of bin', channel, [*card.observations])}")
    return [card.observations[channel]]


def _template(
    path: Path, card: _Card, channel: str, process: str, variation: str
) -> _Template | None:
    """A histogram of the card's `shapes`; None for counting experiments."""
    fitting = [
        line
        for line in card.shapes
        if len(line) >= 4 and line[0] in (process, "*") and line[1] in (channel, "*")
    ]
    if not fitting:
        return None
    # a line that names process and channel goes before one that says "*"
    line = min(fitting, key=lambda each: (each[0] == "*", each[1] == "*"))
    if variation and len(line) < 5:
        message = f"{path}: the shapes of {process} in {channel} name no variations"
        raise ValueError(message)
    replaced = {"$PROCESS": process, "$CHANNEL": channel, "$SYSTEMATIC": variation}
    key = line[4] if variation else line[3]
    for word, value in replaced.items():
        key = key.replace(word, value)
    return _histogram(path, line[2], key, replaced)


def _histogram(card: Path, name: str, key: str, replaced: Mapping[str, str]) -> _Template:
    for word, value in replaced.items():
        name = name.replace(word, value)
    path = (card.parent / name).resolve()
    if not path.is_relative_to(card.parent.resolve()) or not path.is_file():
        message = f"{card} names {name}, which is no file in its folder"
        raise ValueError(message)
    with uproot.open(path) as file:
        known = [each.partition(";")[0] for each in file.keys(recursive=True)]
        if key not in known:
            raise ValueError(f"{path}: {closest('histogram', key, known)}")
        histogram = file[key]
        if not hasattr(histogram, "values") or not hasattr(histogram, "axis"):
            message = f"{path}: {key} is no histogram; analytic shapes are not read"
            raise ValueError(message)
        values = np.asarray(histogram.values(), np.float64)
        if values.ndim != 1:
            message = f"{path}: {key} has {values.ndim} dimensions; only TH1 are read"
            raise ValueError(message)
        return _Template(values, np.sqrt(np.asarray(histogram.variances(), np.float64)))
