"""Topological clusters of calorimeter cells, after ATLAS (arXiv:1603.02934).

Cells of more than 4 standard deviations of noise are seeds; their neighbours in three dimensions
join, and from those of more than 2 the growth goes on. Clusters with several local maxima are
split; cells between two parts belong to both, by energy and distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import awkward as ak
import numpy as np

from fivesigma.geometry.cells import CELLS, Cells
from fivesigma.reconstruction.topology import entries

__all__ = ["ClusterOptions", "clusters"]


@dataclass(frozen=True)
class ClusterOptions:
    """Thresholds.

    Attributes:
        seed, grow: |energy| over noise from which a cell starts a cluster, carries its growth.
        maximum: smallest energy of a local maximum [GeV].
        around: smallest number of neighbours in the cluster that a local maximum needs.
        scale: distance over which a shared cell's weight falls by a factor e [mm].
        energy_min: clusters with less energy are dropped [GeV].
    """

    seed: float = 4.0
    grow: float = 2.0
    maximum: float = 0.5
    around: int = 4
    scale: float = 50.0
    energy_min: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.grow <= self.seed:
            message = f"need 0 <= grow <= seed, got grow {self.grow} and seed {self.seed}"
            raise ValueError(message)


def clusters(cells: ak.Array, geometry: Cells, options: ClusterOptions | None = None) -> ak.Array:
    """Find the topological clusters of each event.

    Args:
        cells: lists of cells per event with the fields of `events.FIELDS["cells"]`.
        geometry: the calorimeters.
        options: thresholds.

    Returns:
        One list per event with the fields of `events.FIELDS["clusters"]`, most energy first.
        `calibrated` equals `energy`: see `cluster_calibration`.
    """
    options = options or ClusterOptions()
    counts = ak.to_numpy(ak.num(cells))
    column = {
        name: ak.to_numpy(ak.flatten(cells[name])).astype(np.float64)
        for name in ("depth", "cell", "energy", "noise", "eta", "phi")
    }
    starts = np.concatenate([[0], np.cumsum(counts)])
    keys = (column["depth"] * CELLS + column["cell"]).astype(np.int64)
    owner, cell, weight, numbers = entries(
        geometry.grid, starts, keys, column["energy"], column["noise"],
        geometry.radius, geometry.half_length,
        np.array([options.seed, options.grow, options.maximum, options.scale]), options.around,
    )  # fmt: skip
    event = np.repeat(np.arange(len(numbers)), numbers)
    moments = _moments(column, owner, cell, weight, len(event), geometry)
    order = np.lexsort((-moments["energy"], event))
    order = order[moments["energy"][order] > options.energy_min]
    lists = _lists(owner, cell - starts[event[owner]] if len(owner) else cell, weight, order)
    flat = {name: values[order].astype(np.float32) for name, values in moments.items()}
    return ak.unflatten(
        ak.zip({**flat, **lists}, depth_limit=1),
        np.bincount(event[order], minlength=len(counts)),
    )


def _moments(
    column: dict[str, np.ndarray],
    owner: np.ndarray,
    cell: np.ndarray,
    weight: np.ndarray,
    n: int,
    geometry: Cells,
) -> dict[str, np.ndarray]:
    """Sums over the cells of each cluster (n,); directions and shapes from positive energies."""
    energy = weight * column["energy"][cell]
    positive = np.maximum(energy, 0.0)
    eta, phi = column["eta"][cell], column["phi"][cell]
    depth = column["depth"][cell].astype(np.int64)
    middle = 0.5 * (geometry.grid.mm[1:] + geometry.grid.mm[:-1])

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(owner, positive * values, n) / total

    total = np.maximum(np.bincount(owner, positive, n), 1e-12)
    centre = mean(eta)
    azimuth = np.arctan2(mean(np.sin(phi)), mean(np.cos(phi)))
    apart = (phi - azimuth[owner] + np.pi) % (2 * np.pi) - np.pi
    significance = np.zeros(n)
    np.maximum.at(significance, owner, column["energy"][cell] / column["noise"][cell])
    whole = np.bincount(owner, energy, n)
    return {
        "energy": whole,
        "calibrated": whole,
        "eta": centre,
        "phi": azimuth,
        "em_fraction": mean(geometry.grid.ecal[depth].astype(np.float64)),
        "depth": mean(middle[depth]),
        "width": np.sqrt(mean((eta - centre[owner]) ** 2 + apart**2)),
        "significance": significance,
    }


def _lists(
    owner: np.ndarray, cell: np.ndarray, weight: np.ndarray, order: np.ndarray
) -> dict[str, ak.Array]:
    """Cells and weights of the clusters in this order."""
    place = np.full(owner.max() + 1 if len(owner) else 0, -1)
    place[order] = np.arange(len(order))
    kept = place[owner] >= 0 if len(owner) else np.zeros(0, bool)
    rows = np.argsort(place[owner[kept]], kind="stable")
    counts = np.bincount(place[owner[kept]], minlength=len(order))
    return {
        "cells": ak.unflatten(cell[kept][rows].astype(np.int32), counts),
        "weights": ak.unflatten(weight[kept][rows].astype(np.float32), counts),
    }
