"""Simple cards of the CMS tool Combine, read as pyhf's JSON.

Read are counting experiments and binned `shapes` of TH1 in ROOT files; `lnN` (also asymmetric),
`shape`, `rateParam` without formulas, and `autoMCStats` with its threshold. What a card has beyond
that is refused by name, never passed over.

`statistics.load` computes lnN, and the effect of shapes on the yield, by Combine's own formula.
pyhf, to which the JSON is given, knows no such code and takes its code 4: the same to 5e-6 for
kappa = 2, but up to 0.5 % apart between the variations of 0.9/1.2. One difference is left
(`LEFT_OUT`): where one parameter stands for the statistics of all processes of a bin, its size
follows the fitted yields in Combine, not in HistFactory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import uproot

from fivesigma.statistics.checks import closest
from fivesigma.statistics.mcstats import Process, statistical_modifiers

__all__ = ["LEFT_OUT", "read_card"]

#: what HistFactory cannot say of a card with autoMCStats
LEFT_OUT = (
    "autoMCStats: where one parameter stands for all processes of a bin, its size is that before "
    "the fit; Combine's follows the fitted yields"
)
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
    #: channel ("*": all) -> threshold, and whether signals count towards it
    mc_stats: dict[str, tuple[float, bool]] = field(default_factory=dict)


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
        indices = [i for i, column in enumerate(card.columns) if column[0] == channel]
        samples, processes = zip(*(_sample(path, card, i) for i in indices), strict=True)
        threshold, with_signal = card.mc_stats.get(channel, card.mc_stats.get("*", (-1.0, False)))
        if threshold >= 0:
            added = statistical_modifiers(channel, processes, threshold, with_signal)
            for sample, modifiers in zip(samples, added, strict=True):
                sample["modifiers"] += modifiers
        channels.append({"name": channel, "samples": list(samples)})
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
            card.mc_stats[words[0]] = _mc_stats(path, number, words[2:])
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


def _mc_stats(path: Path, number: int, words: list[str]) -> tuple[float, bool]:
    """Threshold, and whether signals count; a threshold below 0 switches the uncertainties off."""
    try:
        threshold, signal, mode = (float(word) for word in [*words, *("0", "1")[len(words) - 1 :]])
    except ValueError:
        threshold, signal, mode = np.nan, 0.0, 0.0
    if not np.isfinite(threshold) or mode != 1:
        message = (
            f"{path}, line {number}: autoMCStats {' '.join(words)!r}; read are a threshold, "
            "whether signals count (0 or 1), and the histogram mode 1"
        )
        raise ValueError(message)
    return threshold, bool(signal)


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


def _sample(path: Path, card: _Card, index: int) -> tuple[dict[str, Any], Process]:
    """One process in one channel, and what its simulation's statistics are."""
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
    free = {
        name: float(rest[0])
        for name, where, what, rest in card.rate_parameters
        if where in (channel, "*") and what in (process, "*")
    }
    modifiers += [{"name": name, "type": "normfactor", "data": None} for name in free]
    made = {"name": process, "data": values.tolist(), "modifiers": modifiers}
    errors = template.errors * scale
    return made, Process(process, values, errors, float(np.prod([*free.values()])), number <= 0)


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
