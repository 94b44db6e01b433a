"""What can be wrong with a workspace, said in one line each with the place it is at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np

from fivesigma.statistics.parameters import KINDS

__all__ = ["check_workspace", "closest"]

_VARIATIONS = {"histosys": ("hi_data", "lo_data"), "normsys": ("hi", "lo")}
_MANY = 12


def closest(what: str, got: str, known: Sequence[str]) -> str:
    """`no parameter 'mu_sig'; did you mean 'mu_SIG'? ...`: the message for a name that is not."""
    near = get_close_matches(got.lower(), [name.lower() for name in known], n=1, cutoff=0.5)
    meant = [name for name in known if near and name.lower() == near[0]]
    hint = f"did you mean {meant[0]!r}? " if meant else ""
    more = f" and {len(known) - _MANY} more" if len(known) > _MANY else ""
    return f"no {what} {got!r}; {hint}there is {', '.join(known[:_MANY]) or 'none'}{more}"


def check_workspace(workspace: Mapping[str, Any]) -> None:
    """Raise a ValueError that names channel, sample, modifier and bin of the first fault.

    Raises:
        ValueError: parts that are missing or of the wrong form, a channel without data or data
            without a channel, lengths that differ, values that are negative, not finite or all 0,
            missing up or down variations, unknown modifiers, two entries of one name.
    """
    if not isinstance(workspace, Mapping):
        message = "a workspace is pyhf's JSON, an object with channels; a list is perhaps a patch"
        raise ValueError(message)
    for key in ("channels", "observations", "measurements"):
        if not isinstance(workspace.get(key), list) or not workspace[key]:
            message = f"the workspace has no {key}; it must be pyhf's JSON, a list under {key!r}"
            raise ValueError(message)
    for fault in _faults(workspace):
        raise ValueError(fault)


def _faults(workspace: Mapping[str, Any]) -> Iterator[str]:
    yield from _names(workspace)
    observed = {each["name"]: each.get("data") for each in workspace["observations"]}
    for channel in workspace["channels"]:
        if not channel.get("samples"):
            yield f"region {channel['name']} has no samples; give at least one, or leave it out"
            return
        yield from _channel_faults(channel, observed.get(channel["name"]))
    channels = [channel["name"] for channel in workspace["channels"]]
    for name in observed:
        if name not in channels:
            yield f"there are data for {name!r}, but {closest('region', name, channels)}"


def _names(workspace: Mapping[str, Any]) -> Iterator[str]:
    """Entries without a name, or with one that is taken."""
    groups = [("region", workspace["channels"]), ("observation", workspace["observations"])]
    groups.append(("measurement", workspace["measurements"]))
    groups += [
        (f"region {channel.get('name')}: sample", channel.get("samples", []))
        for channel in workspace["channels"]
    ]
    for what, entries in groups:
        names = [each.get("name") for each in entries]
        if any(not isinstance(name, str) or not name for name in names):
            yield f"{what} number {names.index(None) + 1 if None in names else '?'} has no name"
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            yield f"{what} {twice[0]} is there twice; names must differ"
    for measurement in workspace["measurements"]:
        if "poi" not in measurement.get("config", {}):
            yield f"measurement {measurement['name']} names no parameter of interest (config: poi)"


def _channel_faults(channel: Mapping[str, Any], observed: Any) -> Iterator[str]:
    region = f"region {channel['name']}"
    n = len(channel["samples"][0].get("data", ()))
    for sample in channel["samples"]:
        where = f"{region}, sample {sample['name']}"
        yield from _template_faults(where, sample.get("data"), n)
        yield from _modifier_faults(where, sample, n)
    if observed is None:
        yield f"{region} has no data; add its counts to the workspace's observations"
    yield from _template_faults(f"{region}, data", observed, n)
    totals = np.sum([sample["data"] for sample in channel["samples"]], axis=0)
    for index in np.flatnonzero((totals <= 0) & (np.asarray(observed) > 0)):
        yield (
            f"bin {index} of {region} has no background and no signal, but {observed[index]:g} "
            "observed events; merge it with its neighbour or add the missing sample"
        )


def _template_faults(where: str, values: Any, n: int) -> Iterator[str]:
    """A list of n finite numbers that are not negative."""
    if not isinstance(values, Sequence) or isinstance(values, str) or not len(values):
        yield f"{where}: got {values!r}, expected a list of {n or 'some'} bins"
        return
    if len(values) != n:
        yield f"{where}: {len(values)} bins, but the region has {n}"
        return
    try:
        numbers = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        yield f"{where}: expected numbers, got {values!r}"
        return
    for index in np.flatnonzero(~np.isfinite(numbers)):
        yield f"{where}: bin {index} is {numbers[index]}; fill the histogram from finite weights"
    for index in np.flatnonzero(numbers < 0):
        yield (
            f"{where}: bin {index} is negative ({numbers[index]:g}); merge bins, or set it to 0 "
            "and keep its uncertainty"
        )


def _modifier_faults(where: str, sample: Mapping[str, Any], n: int) -> Iterator[str]:
    seen: set[tuple[str, str]] = set()
    if not isinstance(sample.get("modifiers"), list):
        yield f"{where}: no list of modifiers; give modifiers: [] if there are none"
        return
    for modifier in sample["modifiers"]:
        kind, name = modifier.get("type"), modifier.get("name")
        place = f"{where}, {kind} {name}"
        if not isinstance(name, str):
            yield f"{where}: a modifier of type {kind} has no name"
        elif kind not in KINDS:
            yield f"{where}, modifier {name}: {closest('type', str(kind), KINDS)}"
        elif (kind, name) in seen:
            yield f"{place}: is there twice; join both, or give one another name"
        elif kind in _VARIATIONS:
            yield from _variation_faults(place, kind, modifier.get("data"), n)
        elif kind in ("shapesys", "staterror"):
            yield from _template_faults(f"{place}, uncertainties", modifier.get("data"), n)
        seen.add((str(kind), str(name)))


def _variation_faults(place: str, kind: str, data: Any, n: int) -> Iterator[str]:
    for key in _VARIATIONS[kind]:
        direction = "up" if key.startswith("hi") else "down"
        if not isinstance(data, Mapping) or data.get(key) is None:
            yield f"{place}: no {direction} variation ({key}); give both, or mirror the other one"
            return
        value = data[key]
        if kind == "histosys":
            faults = _template_faults(f"{place}, {direction} variation", value, n)
            # a variation may fall below 0 in a bin; the sum over samples decides
            yield from (fault for fault in faults if "is negative" not in fault)
        elif not isinstance(value, int | float) or not np.isfinite(value) or value <= 0:
            yield f"{place}: the {direction} factor is {value!r}; it must be above 0"
