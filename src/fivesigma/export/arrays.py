"""Jets as padded arrays of four-momenta, which an exported file takes; and jets to try it on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import awkward as ak
import numpy as np

from fivesigma.events import validate

__all__ = ["about_their_sum", "padded", "padded_batches", "random_jets", "shaken"]

_MOMENTUM = ("pt", "eta", "phi", "mass")
#: kinds of constituents in `random_jets`: mass [GeV], charge, PDG number
_KINDS = ((0.13957, 1, 211), (0.13957, -1, -211), (0.0, 0, 22), (0.4976, 0, 130), (0.1057, 1, -13))


def padded(jets: ak.Array, fields: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """The inputs of an exported file for some jets.

    Args:
        jets: N records with `constituents`.
        fields: fields of constituents that the file takes besides momentum and mask.

    Returns:
        `momenta` (N, L, 4) float32 px, py, pz, E [GeV], `mask` (N, L) bool, and each field (N, L)
        float32; L is the largest number of constituents, at least 1.

    Raises:
        ValueError: jets without constituents, or constituents that lack a field.
    """
    flat, row, slot, shape = _slots(jets)
    missing = [name for name in fields if name not in flat.fields]
    if missing:
        message = (
            f"the exported file needs constituents with the field {', '.join(missing)}; "
            f"they have {', '.join(flat.fields)}"
        )
        raise ValueError(message)
    momenta = np.zeros((*shape, 4), np.float32)
    momenta[row, slot] = _four_momenta(flat)
    mask = np.zeros(shape, bool)
    mask[row, slot] = True
    arrays = {"momenta": momenta, "mask": mask}
    for name in fields:
        arrays[name] = np.zeros(shape, np.float32)
        arrays[name][row, slot] = ak.to_numpy(flat[name])
    return arrays


def _slots(jets: ak.Array) -> tuple[ak.Array, np.ndarray, np.ndarray, tuple[int, int]]:
    """Flat constituents, the jet and the slot of each, and the shape of padded arrays."""
    constituents = validate(_constituents(jets), "constituents")
    counts = _counts(jets)
    begins = np.cumsum(counts) - counts
    row = np.repeat(np.arange(len(counts)), counts)
    shape = (len(counts), int(counts.max(initial=1)))
    return ak.flatten(constituents, axis=1), row, np.arange(len(row)) - begins[row], shape


def _constituents(jets: ak.Array) -> ak.Array:
    if "constituents" not in jets.fields:
        message = f"these jets have no constituents, only {', '.join(jets.fields)}"
        raise ValueError(message)
    return jets["constituents"]


def _counts(jets: ak.Array) -> np.ndarray:
    return ak.to_numpy(ak.num(_constituents(jets), axis=1)).astype(np.int64)


def _four_momenta(flat: ak.Array) -> np.ndarray:
    """(T, 4) px, py, pz, E [GeV] of what has `pt eta phi mass`, in double precision."""
    pt, eta, phi, mass = (ak.to_numpy(flat[name]).astype(np.float64) for name in _MOMENTUM)
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    return np.stack([px, py, pz, np.sqrt(px**2 + py**2 + pz**2 + mass**2)], -1)


def padded_batches(
    jets: ak.Array, fields: Sequence[str], size: int
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Rows and padded arrays of `size` jets at a time, jets of like length together."""
    order = np.argsort(_counts(jets), kind="stable")
    for begin in range(0, len(order), size):
        rows = order[begin : begin + size]
        yield rows, padded(jets[rows], fields)


def about_their_sum(jets: ak.Array) -> ak.Array:
    """The same jets with the momentum of the sum of their constituents."""
    flat, row, _, (count, _) = _slots(jets)
    parts = _four_momenta(flat)
    px, py, pz, energy = (np.bincount(row, part, count) for part in parts.T)
    pt = np.hypot(px, py)
    columns = {
        "pt": pt,
        "eta": np.arcsinh(pz / np.maximum(pt, 1e-9)),
        "phi": np.arctan2(py, px),
        "mass": np.sqrt(np.maximum(energy**2 - pt**2 - pz**2, 0)),
    }
    for name, values in columns.items():
        jets = ak.with_field(jets, values.astype(np.float32), name)
    return jets


def shaken(jets: ak.Array, size: float, seed: int) -> ak.Array:
    """The same jets with momenta moved at random by a relative `size`, angles by `size`."""
    rng = np.random.default_rng(seed)
    constituents, counts = jets["constituents"], ak.num(jets["constituents"], axis=1)
    for name in ("pt", "eta", "phi"):
        noise = rng.normal(0, size, int(ak.sum(counts)))
        old = constituents[name]
        moved = ak.unflatten(noise, counts) * (old if name == "pt" else 1) + old
        constituents = ak.with_field(constituents, moved, name)
        jets = ak.with_field(jets, jets[name] + rng.normal(0, size, len(jets)), name)
    return ak.with_field(jets, constituents, "constituents")


def random_jets(n: int, most: int, seed: int = 0) -> ak.Array:
    """Jets to try a file on, about the sums of their constituents, with all fields.

    They have one constituent, two, or any number up to `most`, in no order of pT: soft and hard
    ones, massive and massless ones, in two prongs anywhere in azimuth and |eta| < 2.3.

    Args:
        n: number of jets.
        most: largest number of constituents.
        seed: of the random numbers.
    """
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, most + 1, n)
    few = n // 32
    counts[:few], counts[few : 2 * few] = 1, 2
    total, row = int(counts.sum()), np.repeat(np.arange(n), counts)
    prong = rng.integers(0, 2, total) * rng.uniform(0, 0.6, n)[row]
    turn = rng.uniform(-np.pi, np.pi, n)[row]
    kind = rng.integers(0, len(_KINDS), total)
    mass, charge, pdg_id = np.array(_KINDS).T[:, kind]
    displaced = rng.standard_t(2, (2, total)) * (charge != 0)
    columns = {
        "pt": np.exp(rng.normal(1.0, 1.5, total)) + 0.05,
        "eta": rng.uniform(-2.3, 2.3, n)[row] + prong * np.cos(turn),
        "phi": rng.uniform(-np.pi, np.pi, n)[row] + prong * np.sin(turn),
        "mass": mass,
        "charge": charge.astype(np.int8),
        "pdg_id": pdg_id.astype(np.int32),
        "d0": 0.1 * displaced[0],
        "dz": 0.2 * displaced[1],
        "d0_error": rng.exponential(0.1, total) * (charge != 0),
        "dz_error": rng.exponential(0.2, total) * (charge != 0),
        "btag": rng.random(total),
    }
    for name in ("eta", "phi"):
        columns[name] += rng.normal(0, 0.08, total)
    columns["phi"] = np.arctan2(np.sin(columns["phi"]), np.cos(columns["phi"]))
    single = {k: v.astype(np.float32) if v.dtype == np.float64 else v for k, v in columns.items()}
    constituents = ak.unflatten(ak.zip(single), counts)
    return about_their_sum(ak.zip({"constituents": constituents}, depth_limit=1))
