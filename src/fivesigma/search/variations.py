"""Object variations: the same events with other energies, scaled or smeared."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import awkward as ak
import numpy as np
from scipy.special import ndtri

from fivesigma import expressions
from fivesigma.search.typed import nearest

__all__ = ["Variation", "changed", "propagated", "smeared", "sorted_again"]


@dataclass(frozen=True)
class Variation:
    """One side of an object variation.

    Attributes:
        change: field -> expression of its new value, or of its relative width if smeared.
        smear: whether fields are multiplied by Gaussian numbers.
        sort: whether objects whose pT changes are put in its order again.
        propagate: whether missing momentum loses what the objects gain.
    """

    change: Mapping[str, str]
    smear: bool = False
    sort: bool = False
    propagate: bool = False

    @property
    def collections(self) -> list[str]:
        """Those that change."""
        return list(dict.fromkeys(name.rpartition(".")[0] for name in self.change))

    def reads(self) -> set[str]:
        """Fields of the events that it needs besides those that its expressions name."""
        needed = set(self.change)
        if self.propagate:
            needed |= {f"{each}.{field}" for each in ("met", *self.collections) for field in _FLAT}
        return needed

    def __call__(self, events: ak.Array, number: np.ndarray, salt: int = 0) -> ak.Array:
        """The events with it.

        Args:
            events: (N,) records.
            number: (N,) of the events, for what is smeared.
            salt: tells systematics apart, likewise.

        Raises:
            ValueError: as `changed`.
        """
        made = (
            smeared(events, self.change, number, salt)
            if self.smear
            else changed(events, self.change)
        )
        if self.propagate:
            made = propagated(events, made, self.collections)
        for name in self.collections if self.sort else ():
            if f"{name}.pt" in self.change:
                made = sorted_again(made, name)
        return made


#: what a momentum in the transverse plane is made of
_FLAT = ("pt", "phi")


def propagated(before: ak.Array, after: ak.Array, collections: list[str]) -> ak.Array:
    """Varied events whose `met` loses what the objects of some collections gain.

    All objects that the events have count, before any cut on them.

    Args:
        before: (N,) nominal events.
        after: (N,) varied ones.
        collections: names of those whose objects moved.
    """
    x, y = _flat(before.met)
    for name in collections:
        for sign, events in ((1, before), (-1, after)):
            their_x, their_y = (_summed(each) for each in _flat(events[name]))
            x, y = x + sign * their_x, y + sign * their_y
    new = {"pt": np.hypot(x, y), "phi": np.arctan2(y, x)}
    return _replaced(
        after, {f"met.{name}": _of_type(before.met[name], each) for name, each in new.items()}
    )


def _flat(objects: ak.Array) -> tuple[ak.Array, ak.Array]:
    """Momentum in the transverse plane, in double precision: large sums are subtracted."""
    pt, phi = (ak.values_astype(objects[name], np.float64) for name in _FLAT)
    return pt * np.cos(phi), pt * np.sin(phi)


def _summed(values: ak.Array) -> ak.Array:
    return ak.sum(values, axis=1) if values.ndim > 1 else values


def sorted_again(events: ak.Array, name: str) -> ak.Array:
    """Events with the objects of a collection in the order of their pT, the largest first."""
    objects = events[name]
    if objects.ndim == 1:
        return events
    order = ak.argsort(objects.pt, axis=1, ascending=False, stable=True)
    return ak.with_field(events, objects[order], name)


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
