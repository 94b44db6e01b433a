"""Object variations: the same events with other energies, scaled or smeared."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import awkward as ak
import numpy as np
from scipy.special import ndtri

from fivesigma import expressions
from fivesigma.search.typed import nearest

__all__ = ["changed", "smeared"]


def changed(events: ak.Array, values: Mapping[str, str]) -> ak.Array:
    """Events with new values of some fields.

    Args:
        events: (N,) records.
        values: field, e.g. "jets.pt" -> expression over the nominal event.

    Raises:
        ValueError: no such field, or an expression that fails or gives no value for each object.
    """
    return _replaced(events, {name: _value(events, name, text) for name, text in values.items()})


def smeared(
    events: ak.Array, widths: Mapping[str, str], number: np.ndarray, salt: int = 0
) -> ak.Array:
    """Events with fields multiplied by 1 + width * g, g from a Gaussian, and never below 0.

    The numbers depend on those of the events and on the object's place alone: the same on any
    number of workers, and whatever was selected before. All fields of an object share one number,
    objects of different collections do not.

    Args:
        events: (N,) records.
        widths: field, e.g. "jets.pt" -> expression of the relative width.
        number: (N,) of the events.
        salt: tells systematics apart.

    Raises:
        ValueError: as `changed`.
    """
    made = {}
    for name, text in widths.items():
        width = _value(events, name, text)
        own = salt + zlib.crc32(name.split(".")[0].encode())
        factor = 1 + width * _gaussian(width, number, own)
        old = _field(events, name)
        made[name] = _of_type(old, old * ak.where(factor > 0, factor, 0))
    return _replaced(events, made)


def _field(events: ak.Array, name: str) -> ak.Array:
    found, at = events, ""
    for part in name.split("."):
        if part not in found.fields:
            message = f"no field {name!r} to vary; {nearest(part, found.fields)}"
            raise ValueError(message)
        found, at = found[part], part
    if found.fields:
        message = f"{at} is a collection; name the field that varies, e.g. {name}.pt"
        raise ValueError(message)
    return found


def _value(events: ak.Array, name: str, text: str) -> ak.Array:
    """One value for each of the field's, of the field's own precision."""
    old = _field(events, name)
    try:
        new = expressions.parse(text)(events)
        (old, new) = ak.broadcast_arrays(old, new)
        return _of_type(old, ak.fill_none(new, np.nan))
    except (ValueError, TypeError) as error:
        message = f"{name}: {text!r} does not give one number for each value ({error})"
        raise ValueError(message) from None


def _of_type(old: ak.Array, new: ak.Array) -> ak.Array:
    """New values in the precision of the old ones."""
    return ak.values_astype(new, str(old.type).split()[-1])


def _replaced(events: ak.Array, values: Mapping[str, ak.Array]) -> ak.Array:
    for name, each in values.items():
        events = ak.with_field(events, each, name.split("."))
    return events


def _gaussian(like: ak.Array, number: np.ndarray, salt: int) -> ak.Array:
    """Numbers of a standard normal distribution in the shape of (N,) or (N, var) values."""
    event = number.astype(np.uint64)
    if like.ndim == 1:
        return ak.Array(_normal(event, np.uint64(0), salt))
    counts = ak.to_numpy(ak.num(like, axis=1))
    place = ak.to_numpy(ak.flatten(ak.local_index(like, axis=1))).astype(np.uint64)
    return ak.unflatten(_normal(np.repeat(event, counts), place, salt), counts)


def _normal(event: np.ndarray, place: np.ndarray | np.uint64, salt: int) -> np.ndarray:
    """A normal number for each (event, place), by the SplitMix64 hash of both."""
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64
        z = event * np.uint64(0x9E3779B97F4A7C15) + place * np.uint64(0xD1B54A32D192ED03)
        z = z + np.uint64(salt + 1) * np.uint64(0x9E3779B97F4A7C15)  # not 0: its hash is 0
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
        z = z ^ (z >> np.uint64(31))
    return ndtri(((z >> np.uint64(11)) + 0.5) * 2.0**-53)
