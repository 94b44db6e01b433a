"""Jet substructure: soft drop, N-subjettiness, energy correlators, Lund plane, simple shapes.

The compiled loops do for all jets of a batch what FastJet's contributed classes do jet by jet;
the tests compare the two. Distances are in rapidity and azimuth, as there, except for the width,
which is measured in eta and phi.
"""

from __future__ import annotations

import math

import awkward as ak
import numpy as np

from fivesigma.events import validate
from fivesigma.reconstruction.recombination import cartesian, histories, kernel

__all__ = ["LUND_FIELDS", "OBSERVABLES", "lund", "substructure"]

#: the observables in the order of the columns that the loops fill
OBSERVABLES = (
    "softdrop_mass",
    "tau1",
    "tau2",
    "tau3",
    "tau4",
    "tau21",
    "tau32",
    "tau43",
    "c2",
    "d2",
    "n2",
    "ptd",
    "width",
    "multiplicity",
)
#: what `lund` gives for every splitting
LUND_FIELDS = ("kt", "delta", "z", "psi", "mass")


@kernel
def _distance2(rapidity: float, phi: float, other_rapidity: float, other_phi: float) -> float:
    dphi = abs(phi - other_phi)
    dphi = min(dphi, 2 * math.pi - dphi)
    return (rapidity - other_rapidity) ** 2 + dphi**2


@kernel
def _mass(p: np.ndarray) -> float:
    return math.sqrt(max(0.0, p[3] ** 2 - p[0] ** 2 - p[1] ** 2 - p[2] ** 2))


@kernel
def _soft_drop_mass(
    momentum: np.ndarray, axis: np.ndarray, parents: np.ndarray, root: int, z_cut: float
) -> float:
    """Follow the harder branch of the C/A tree until the softer one has a share above z_cut."""
    row = root
    while parents[row, 0] >= 0:
        a, b = parents[row, 0], parents[row, 1]
        pt_a, pt_b = axis[a, 0], axis[b, 0]
        if min(pt_a, pt_b) > z_cut * (pt_a + pt_b):
            break
        row = a if pt_a > pt_b else b
    return _mass(momentum[row])


@kernel
def _subjets(parents: np.ndarray, n: int, wanted: int) -> np.ndarray:
    """Rows of the exclusive subjets: what the last `wanted` - 1 mergers join."""
    if wanted == 1:
        return np.full(1, 2 * n - 2)
    rows, found, undone = np.empty(wanted, np.int64), 0, 2 * n - wanted
    for merger in range(undone, 2 * n - 1):
        for side in range(2):
            if parents[merger, side] < undone:
                rows[found] = parents[merger, side]
                found += 1
    return rows


@kernel
def _subjettiness(
    axis: np.ndarray, parents: np.ndarray, n: int, wanted: int, radius: float
) -> float:
    """tau_N, beta = 1, about the N exclusive subjets; 0 for jets of N or fewer particles."""
    if n <= wanted:
        return 0.0
    closest = np.full(n, 1e300)
    for row in _subjets(parents, n, wanted):
        rapidity, phi = axis[row, 1], axis[row, 2]
        for i in range(n):
            closest[i] = min(closest[i], _distance2(axis[i, 1], axis[i, 2], rapidity, phi))
    total, weight = 0.0, 0.0
    for i in range(n):
        total += axis[i, 0] * math.sqrt(closest[i])
        weight += axis[i, 0]
    return total / (weight * radius)


@kernel
def _correlators(axis: np.ndarray, n: int) -> tuple[float, float, float]:
    """The energy correlators e2, e3 and 2e3 with beta = 1, z = pT / sum pT.

    e2 = sum z_i z_j d_ij, e3 = sum z_i z_j z_k d_ij d_ik d_jk; in 2e3 the largest of the three
    distances is left out.
    """
    z = axis[:n, 0] / axis[:n, 0].sum()
    rapidity, phi = axis[:n, 1].copy(), axis[:n, 2].copy()
    d = np.empty((n, n))
    for i in range(n):
        to_i = d[i]
        for j in range(i, n):
            to_i[j] = _distance2(rapidity[j], phi[j], rapidity[i], phi[i])
        for j in range(i, n):
            to_i[j] = math.sqrt(to_i[j])
    e2, e3, e3_two = 0.0, 0.0, 0.0
    for i in range(n):
        to_i = d[i]
        for j in range(i + 1, n):
            to_j, dij = d[j], to_i[j]
            all_three, two_smallest = 0.0, 0.0
            for k in range(j + 1, n):
                a, b = to_i[k], to_j[k]
                all_three += z[k] * (a * b)
                two_smallest += z[k] * min(a * b, dij * min(a, b))
            e2 += z[i] * z[j] * dij
            e3 += z[i] * z[j] * dij * all_three
            e3_two += z[i] * z[j] * two_smallest
    return e2, e3, e3_two


@kernel
def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 0 else 0.0


@kernel
def _tree_observables(
    offsets: np.ndarray,
    momentum: np.ndarray,
    axis: np.ndarray,
    parents: np.ndarray,
    winner_axis: np.ndarray,
    winner_parents: np.ndarray,
    radius: float,
    z_cut: float,
) -> np.ndarray:
    """The first 11 columns of `OBSERVABLES`, from each jet's C/A and winner-takes-all kT trees."""
    out = np.zeros((len(offsets) - 1, 11))
    for k in range(len(offsets) - 1):
        n = offsets[k + 1] - offsets[k]
        if n == 0:
            continue
        rows, row = slice(2 * offsets[k], 2 * offsets[k + 1]), out[k]
        row[0] = _soft_drop_mass(momentum[rows], axis[rows], parents[rows], 2 * n - 2, z_cut)
        for wanted in range(1, 5):
            row[wanted] = _subjettiness(winner_axis[rows], winner_parents[rows], n, wanted, radius)
        for wanted in range(2, 5):
            row[3 + wanted] = _ratio(row[wanted], row[wanted - 1])
        e2, e3, e3_two = _correlators(axis[rows], n)
        row[8], row[9], row[10] = _ratio(e3, e2**2), _ratio(e3, e2**3), _ratio(e3_two, e2**2)
    return out


@kernel
def _shapes(
    offsets: np.ndarray,
    pt: np.ndarray,
    eta: np.ndarray,
    phi: np.ndarray,
    axis_eta: np.ndarray,
    axis_phi: np.ndarray,
) -> np.ndarray:
    """The columns ptd and width of `OBSERVABLES`."""
    out = np.zeros((len(offsets) - 1, 2))
    for k in range(len(offsets) - 1):
        total, squares, spread = 0.0, 0.0, 0.0
        for i in range(offsets[k], offsets[k + 1]):
            total += pt[i]
            squares += pt[i] ** 2
            spread += pt[i] * math.sqrt(_distance2(eta[i], phi[i], axis_eta[k], axis_phi[k]))
        out[k, 0], out[k, 1] = _ratio(math.sqrt(squares), total), _ratio(spread, total)
    return out


@kernel
def _primary_plane(
    offsets: np.ndarray, momentum: np.ndarray, axis: np.ndarray, parents: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Splittings along the harder branch of each C/A tree: their numbers (J,), `LUND_FIELDS`."""
    counts, out = np.zeros(len(offsets) - 1, np.int64), np.empty((offsets[-1], 5))
    found = 0
    for k in range(len(offsets) - 1):
        begin, n = 2 * offsets[k], offsets[k + 1] - offsets[k]
        row = begin + max(2 * n - 2, 0)
        while n > 0 and parents[row, 0] >= 0:
            a, b = begin + parents[row, 0], begin + parents[row, 1]
            if axis[a, 0] < axis[b, 0]:
                a, b = b, a
            dy, dphi = axis[b, 1] - axis[a, 1], axis[b, 2] - axis[a, 2]
            dphi = (dphi + math.pi) % (2 * math.pi) - math.pi
            delta = math.sqrt(dy * dy + dphi * dphi)
            out[found, 0], out[found, 1] = axis[b, 0] * delta, delta
            out[found, 2] = axis[b, 0] / (axis[a, 0] + axis[b, 0])
            out[found, 3], out[found, 4] = math.atan2(dy, dphi), _mass(momentum[row])
            found += 1
            counts[k] += 1
            row = a
    return counts, out[:found]


def _constituents(jets: ak.Array) -> tuple[ak.Array, np.ndarray]:
    """The constituents with pT > 0 as one flat array, and where each jet's begin (J + 1,)."""
    if "constituents" not in jets.fields:
        message = f"jets need constituents; they have {', '.join(jets.fields) or 'no fields'}"
        raise ValueError(message)
    constituents = jets.constituents
    if constituents.ndim != 2:
        message = (
            f"jets must be one flat list, got {jets.type}; flatten the events' lists first: "
            "ak.flatten(jets)"
        )
        raise ValueError(message)
    validate(constituents, "constituents")
    constituents = constituents[constituents.pt > 0]
    counts = ak.to_numpy(ak.num(constituents, axis=1))
    return ak.flatten(constituents), np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def substructure(jets: ak.Array, radius: float, z_cut: float = 0.1) -> ak.Array:
    """Observables of each jet, from its constituents.

    - `softdrop_mass`: mass after soft drop with beta = 0 on the C/A tree (arXiv:1402.2657).
    - `tau1` ... `tau4`: N-subjettiness with beta = 1, normalised by sum pT times the radius,
      about the axes of the N exclusive kT subjets with winner-takes-all recombination
      (arXiv:1011.2268, 1401.2158; FastJet's `WTA_KT_Axes`); `tau21`, `tau32`, `tau43`: ratios.
    - `c2` (arXiv:1305.0007), `d2` (1409.6298), `n2` (1609.07483): ratios of energy correlators
      with beta = 1.
    - `ptd`: sqrt(sum pT^2) / sum pT; `width`: sum pT dR / sum pT, dR to the jet's `eta`, `phi`.
    - `multiplicity`: number of constituents.

    What is undefined (0/0: too few constituents) is 0.

    Args:
        jets: (J,) records with `eta`, `phi` and `constituents`, lists of records with
            `pt eta phi mass` in any order; those of zero pT are ignored.
        radius: the jet radius R, the unit of the N-subjettiness.
        z_cut: the soft-drop threshold.

    Returns:
        (J,) records with the fields of `OBSERVABLES`; float32, `multiplicity` int32.

    Raises:
        ValueError: no constituents, jets nested in events, NaN momenta, a radius or z_cut that
            makes no sense.
    """
    if not (0 < radius < math.inf):
        message = f"radius must be the jet radius R > 0, got {radius:g}"
        raise ValueError(message)
    if not (0 <= z_cut <= 0.5):
        message = f"z_cut is a share of the pT between 0 and 0.5, got {z_cut:g}"
        raise ValueError(message)
    flat, offsets = _constituents(jets)
    momenta = cartesian(flat)
    _, winner_axis, winner_parents = histories(momenta, offsets, 1, True)
    columns = _tree_observables(
        offsets, *histories(momenta, offsets, 0, False), winner_axis, winner_parents,
        float(radius), float(z_cut),
    )  # fmt: skip
    shapes = _shapes(
        offsets, *(_column(flat, name) for name in ("pt", "eta", "phi")),
        *(_column(jets, name) for name in ("eta", "phi")),
    )  # fmt: skip
    values = np.concatenate([columns, shapes], axis=1).astype(np.float32)
    fields = {name: values[:, i] for i, name in enumerate(OBSERVABLES[:-1])}
    return ak.zip(fields | {"multiplicity": np.diff(offsets).astype(np.int32)})


def _column(records: ak.Array, name: str) -> np.ndarray:
    return np.asarray(records[name], dtype=np.float64)


def lund(jets: ak.Array) -> ak.Array:
    """The primary Lund plane: splittings along the harder branch of the C/A tree.

    After arXiv:1807.04758.

    Args:
        jets: (J,) records with `constituents`.

    Returns:
        (J,) lists, from the last merger inwards, of `kt` [GeV], `delta`, `z` (the softer branch's
        share of the pT), `psi` (azimuth of the softer branch about the harder one,
        atan2(dy, dphi)) and `mass` of the pair [GeV]; float32.

    Raises:
        ValueError: as `substructure`.
    """
    flat, offsets = _constituents(jets)
    counts, columns = _primary_plane(offsets, *histories(cartesian(flat), offsets, 0, False))
    fields = {name: columns[:, i].astype(np.float32) for i, name in enumerate(LUND_FIELDS)}
    return ak.unflatten(ak.zip(fields), counts)
