"""Calibration of clusters, for hadrons and for electrons and photons.

The calibrated energy is the cluster's energy times a factor that depends on ln E, on the share of
the energy in the ECAL and on |eta|: it makes good what non-compensation, thresholds, leakage and
cells outside clusters take. The factors are those that bring the sum of the clusters of single
particles closest to their energy, under the condition that the mean is right at each energy and
|eta|: weighted least squares on the nodes of a table that is interpolated linearly.

`benchmarks/cluster_calibration.py` makes the shipped tables from single pions and photons,
`benchmarks/electron_calibration.py` those of electrons and photons behind the tracker.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import awkward as ak
import numpy as np

from fivesigma.geometry.cells import Cells

__all__ = ["Calibration", "calibrate", "derive", "load", "save"]

_FOLDER = Path(__file__).parent / "calibrations"
Kind = Literal["hadronic", "electromagnetic", "electrons", "photons"]
#: pull of a node towards its neighbours along each axis, over that of the particles of an average
#: node; with it nodes with few particles are smooth
_SMOOTH = (2.0, 2.0, 2.0)


@dataclass(frozen=True)
class Calibration:
    """Factors on a grid of nodes.

    Attributes:
        energy: nodes in the cluster's energy [GeV].
        em_fraction: nodes in the share of the energy in the ECAL; for electrons and photons that
            are put together, of the largest cluster.
        eta: nodes in |eta|.
        factors: one per node, in this order, the last index running fastest.
    """

    energy: tuple[float, ...]
    em_fraction: tuple[float, ...]
    eta: tuple[float, ...]
    factors: tuple[float, ...] = ()

    @property
    def size(self) -> int:
        """Number of nodes."""
        return len(self.energy) * len(self.em_fraction) * len(self.eta)

    def basis(
        self, energy: np.ndarray, em_fraction: np.ndarray, eta: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The 8 nodes about each cluster (N, 8) and their shares (N, 8)."""
        nodes, shares = np.zeros((len(energy), 1), np.int64), np.ones((len(energy), 1))
        axes = (
            (np.log(self.energy), np.log(np.maximum(energy, 1e-6))),
            (np.array(self.em_fraction), em_fraction),
            (np.array(self.eta), np.abs(eta)),
        )
        for edges, value in axes:
            low, share = _between(edges, value)
            nodes = np.concatenate(
                [nodes * len(edges) + (low + k)[:, None] for k in (0, 1)], axis=1
            )
            shares = np.concatenate(
                [shares * (1 - share)[:, None], shares * share[:, None]], axis=1
            )
        return nodes, shares

    def factor(self, energy: np.ndarray, em_fraction: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """The factors of clusters (N,)."""
        nodes, shares = self.basis(energy, em_fraction, eta)
        return (np.array(self.factors)[nodes] * shares).sum(axis=1)


def _between(edges: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Node below each value and the share of the one above; values are kept within the nodes."""
    low = np.clip(np.searchsorted(edges, value, side="right") - 1, 0, len(edges) - 2)
    return low, np.clip((value - edges[low]) / (edges[low + 1] - edges[low]), 0.0, 1.0)


def derive(
    nodes: Calibration,
    owner: np.ndarray,
    energy: np.ndarray,
    em_fraction: np.ndarray,
    eta: np.ndarray,
    truth: np.ndarray,
    truth_eta: np.ndarray,
    sigma: np.ndarray,
    linear_from: float = 0.0,
    smooth: tuple[float, float, float] = _SMOOTH,
    mean: float = 1e5,
) -> Calibration:
    """Find the factors from clusters of single particles.

    Args:
        nodes: of the table; its factors, if any, are not used.
        owner: (N,) the particle that each cluster belongs to.
        energy: (N,) of the clusters [GeV]; em_fraction, eta likewise.
        em_fraction: see energy.
        eta: see energy.
        truth: (P,) energies of the particles [GeV].
        truth_eta: (P,) their directions.
        sigma: (P,) expected errors of the measured energies, which weight the particles [GeV].
        linear_from: energy from which the mean must be right [GeV]; below it the particles that
            left a cluster are no fair sample.
        smooth: pull of a node towards its neighbours in energy, share and |eta|, over that of the
            particles of an average node.
        mean: weight of a row that asks for the right mean, over that of its particles. Least
            squares alone leave hadrons 10 to 20 % too low, as their errors are large; where errors
            are a few per cent, a large weight lets factors swing from node to node.
    """
    places, shares = nodes.basis(energy, em_fraction, eta)
    table = np.zeros((len(truth), nodes.size))
    np.add.at(table, (owner[:, None], places), shares * energy[:, None])
    rows, aims = table / sigma[:, None], truth / sigma
    # two bins between each node and the next: with one, factors that swing about 1 from node to
    # node would have the right mean, too
    edges = np.array(nodes.eta)
    edges = np.sort(np.concatenate([edges[1:-1], 0.5 * (edges[1:] + edges[:-1])]))
    eta_bin = np.digitize(np.abs(truth_eta), edges)
    bins = eta_bin * 100 + np.digitize(np.log(truth), np.linspace(-1, 7, 13))
    means, mean_aims = [], []
    for one in np.unique(bins):
        here = (bins == one) & (truth >= linear_from)
        number = np.count_nonzero(here)
        if number >= 10:
            weight = np.sqrt(mean / number) / number * np.sum(truth[here] / sigma[here])
            means.append((table[here] / truth[here, None]).mean(0) * weight * number**0.5)
            mean_aims.append(weight * number**0.5)
    pull = np.sqrt(len(truth) / nodes.size) * _differences(nodes, smooth)
    matrix = np.concatenate([rows, np.array(means).reshape(-1, nodes.size), pull])
    target = np.concatenate([aims, mean_aims, np.zeros(len(pull))])
    factors = np.linalg.lstsq(matrix, target, rcond=None)[0]
    return replace(nodes, factors=tuple(np.clip(factors, 0.3, 5.0).round(4).tolist()))


def _differences(nodes: Calibration, weights: tuple[float, float, float]) -> np.ndarray:
    """Differences between neighbouring nodes along each axis, weighted (M, nodes)."""
    shape = (len(nodes.energy), len(nodes.em_fraction), len(nodes.eta))
    unit = np.eye(nodes.size).reshape(*shape, nodes.size)
    return np.concatenate(
        [
            weight * np.diff(unit, axis=k).reshape(-1, nodes.size)
            for k, weight in enumerate(weights)
        ]
    )


def save(path: Path, tables: Mapping[str, Calibration]) -> None:
    """Write tables as JSON; those of other kinds stay in the file."""
    kept = json.loads(path.read_text()) if path.is_file() else {}
    made = {name: asdict(table) for name, table in tables.items()}
    path.write_text(json.dumps(kept | made))


@cache
def load(name: str, kind: Kind = "hadronic") -> Calibration:
    """The shipped table of a calorimeter preset.

    Raises:
        ValueError: no table is shipped for the preset.
    """
    path = _FOLDER / f"{name}.json"
    if not path.is_file():
        has = ", ".join(sorted(file.stem for file in _FOLDER.glob("*.json")))
        message = f"no cluster calibration for {name!r}; there are {has}; see cluster_calibration"
        raise ValueError(message)
    table = json.loads(path.read_text())[kind]
    return Calibration(**{name: tuple(values) for name, values in table.items()})


def calibrate(
    clusters: ak.Array,
    cells: Cells | Calibration,
    kind: Kind = "hadronic",
) -> ak.Array:
    """Fill `calibrated`.

    Args:
        clusters: lists per event.
        cells: the calorimeter preset, or a table of one's own.
        kind: for hadrons, or for single electromagnetic clusters.

    Returns:
        The same clusters.

    Raises:
        ValueError: no table is shipped for the preset.
    """
    table = cells if isinstance(cells, Calibration) else load(cells.name, kind)
    energy, share, eta = (
        ak.to_numpy(ak.flatten(clusters[name])).astype(np.float64)
        for name in ("energy", "em_fraction", "eta")
    )
    values = (energy * table.factor(energy, share, eta)).astype(np.float32)
    return ak.with_field(clusters, ak.unflatten(values, ak.num(clusters)), "calibrated")
