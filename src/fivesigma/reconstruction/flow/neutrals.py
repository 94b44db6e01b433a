"""Neutral particles: what tracks leave over in the clusters."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fivesigma.geometry.cells import Cells
from fivesigma.reconstruction.flow.table import EM_FRACTION, Deposits

__all__ = ["Neutrals", "from_vertex", "neutrals", "photon_like"]

#: radiation lengths to the centre of a cluster of 1 GeV, up to which clusters in the ECAL look
#: electromagnetic: nearly all photons, a third of the pions of 1 to 3 GeV; showers lie deeper by
#: one radiation length for each factor e in energy
_DEEPEST = 12.0


class Neutrals(NamedTuple):
    """Neutral particles (M,), in any order.

    Attributes:
        cluster: rows of the clusters.
        energy: [GeV].
        eta, phi: from the origin.
        depth: behind the calorimeters' front [mm].
        photon: whether it counts as a photon.
    """

    cluster: np.ndarray
    energy: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    depth: np.ndarray
    photon: np.ndarray


def photon_like(calo: Deposits, geometry: Cells) -> np.ndarray:
    """Clusters that look electromagnetic (C,): in the ECAL, and not deep in it."""
    grid = geometry.grid
    x0 = np.interp(calo.depth, grid.mm, grid.x0)
    return (calo.em_fraction > EM_FRACTION) & (
        x0 < _DEEPEST + np.log(np.maximum(calo.electromagnetic, 1.0))
    )


def neutrals(
    calo: Deposits,
    left: np.ndarray,
    touched: np.ndarray,
    photon: np.ndarray,
    geometry: Cells,
    minimum: tuple[float, float],
) -> Neutrals:
    """Photons and neutral hadrons of what is left.

    A cluster that no track took from is a photon, if it looks like one, or a neutral hadron. Where
    tracks took their part, what is left in the ECAL is a photon, as photons are a quarter of a jet
    and neutral hadrons with energy in the ECAL a few per cent; what is left in the HCAL is a
    neutral hadron. Photons have their direction from the finest cells, as in ATLAS the strips tell
    eta and the second depth phi.

    Args:
        calo: the clusters.
        left: (S,) energies of the shares of cells [GeV].
        touched: (C,) clusters that tracks took from.
        photon: (C,) clusters that look like photons.
        geometry: the calorimeters.
        minimum: least transverse energies of photons and neutral hadrons [GeV].
    """
    n = calo.eta.size
    owner = np.repeat(np.arange(n), np.diff(calo.starts))
    inside = geometry.grid.ecal[calo.cell_depth]
    middle = 0.5 * (geometry.grid.mm[1:] + geometry.grid.mm[:-1])
    whole = np.ones(left.size, bool)
    scale = calo.electromagnetic / np.maximum(calo.energy, 1e-9)
    parts = (
        (~touched & photon, whole, scale, True),
        (~touched & ~photon, whole, np.ones(n), False),
        (touched, inside, scale, True),
        (touched, ~inside, np.ones(n), False),
    )
    found = []
    sharp = geometry.sharpness(calo.cell_depth, calo.cell_eta)
    for clusters, cells, factor, is_photon in parts:
        weight = np.where(cells & clusters[owner], left, 0.0)
        energy = np.bincount(owner, weight, n) * factor
        precision = sharp if is_photon else np.ones_like(sharp)
        eta, phi, depth = _centres(calo, owner, np.maximum(weight, 0.0), precision, middle)
        enough = minimum[0 if is_photon else 1] * np.cosh(eta)
        rows = np.flatnonzero(clusters & (energy > enough))
        found.append((rows, energy[rows], eta[rows], phi[rows], depth[rows],
                      np.full(rows.size, is_photon)))  # fmt: skip
    return Neutrals(*(np.concatenate(columns) for columns in zip(*found, strict=True)))


def _centres(
    calo: Deposits,
    owner: np.ndarray,
    weight: np.ndarray,
    precision: np.ndarray,
    middle: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means over the cells of each cluster, in eta and phi (2, S) weighted by their precision."""
    turned = (calo.cell_phi - calo.phi[owner] + np.pi) % (2 * np.pi) - np.pi
    eta, phi, depth = (
        np.bincount(owner, weight * more * values, calo.eta.size)
        / np.maximum(np.bincount(owner, weight * more, calo.eta.size), 1e-12)
        for more, values in (
            (precision[0], calo.cell_eta), (precision[1], turned), (1.0, middle[calo.cell_depth]),
        )
    )  # fmt: skip
    return eta, (calo.phi + phi + np.pi) % (2 * np.pi) - np.pi, depth


def from_vertex(eta: np.ndarray, depth: np.ndarray, z: np.ndarray, geometry: Cells) -> np.ndarray:
    """Pseudorapidities (M,) seen from a vertex on the beam line.

    Args:
        eta: (M,) from the origin.
        depth: (M,) behind the calorimeters' front along this direction [mm].
        z: (M,) of the vertices [mm].
        geometry: the calorimeters.
    """
    front = np.minimum(
        geometry.radius * np.cosh(eta),
        geometry.half_length / np.maximum(np.abs(np.tanh(eta)), 1e-9),
    )
    path = front + depth
    return np.arcsinh((path * np.tanh(eta) - z) / (path / np.cosh(eta)))
