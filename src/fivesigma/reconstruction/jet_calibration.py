"""Jets of energy flow: pile-up taken off, response brought to one.

The response table is that of `benchmarks/jet_calibration.py`: the median of measured over true pT
in bins of true pT and |eta|, inverted numerically: a jet measured at
R(t) t has the factor 1 / R(t). Pile-up raises the thresholds of clusters: a second table is that
of jets with pile-up, and factors go from one to the other with the number of vertices.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from math import pi
from pathlib import Path

import awkward as ak
import numpy as np

from fivesigma.reconstruction.jets import JetOptions, cluster
from fivesigma.reconstruction.surroundings import density_at

__all__ = ["JetResponse", "calibrated_jets", "derive", "load", "save", "tables_of"]

_FOLDER = Path(__file__).parent / "calibrations"


@dataclass(frozen=True)
class JetResponse:
    """Response and resolution of jets.

    Attributes:
        pt: nodes in true pT [GeV].
        eta: edges in |eta|; bins are between them.
        response: measured over true pT, node by node for each bin of |eta|.
        resolution: (N, S, C) of sigma / pT = N / pT (+) S / sqrt(pT) (+) C for each bin of |eta|.
        vertices: mean number of further vertices that were found in its events.
    """

    pt: tuple[float, ...]
    eta: tuple[float, ...]
    response: tuple[tuple[float, ...], ...]
    resolution: tuple[tuple[float, float, float], ...]
    vertices: float = 0.0

    def factor(self, pt: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Factors on jets (N,) of these measured pT [GeV] and eta."""
        bins, out = self._bin(eta), np.ones(pt.size)
        for k, response in enumerate(self.response):
            here = bins == k
            measured = np.array(self.pt) * response
            out[here] = 1 / np.interp(np.log(pt[here]), np.log(measured), response)
        return out

    def sigma(self, pt: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Resolution of calibrated jets (N,) [GeV]."""
        n, s, c = np.array(self.resolution)[self._bin(eta)].T
        return np.sqrt(n**2 + s**2 * pt + (c * pt) ** 2)

    def _bin(self, eta: np.ndarray) -> np.ndarray:
        last = len(self.eta) - 2
        return np.clip(np.searchsorted(self.eta, np.abs(eta), side="right") - 1, 0, last)


def derive(
    measured: np.ndarray, true: np.ndarray, eta: np.ndarray, pt: tuple[float, ...],
    edges: tuple[float, ...], vertices: float = 0.0,
) -> JetResponse:  # fmt: skip
    """The table from matched jets.

    Args:
        measured: (N,) pT before calibration, pile-up taken off [GeV].
        true: (N,) pT [GeV].
        eta: (N,) true directions.
        pt: nodes; jets within half the way to the next nodes, in ln pT, make each.
        edges: in |eta|.
        vertices: mean number of further vertices.
    """
    nodes = np.log(pt)
    limits = np.concatenate([[-np.inf], 0.5 * (nodes[1:] + nodes[:-1]), [np.inf]])
    responses, resolutions = [], []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        here = (np.abs(eta) >= low) & (np.abs(eta) < high)
        medians, widths = np.full(len(pt), np.nan), np.full(len(pt), np.nan)
        for k in range(len(pt)):
            inside = here & (np.log(true) >= limits[k]) & (np.log(true) < limits[k + 1])
            if np.count_nonzero(inside) >= 15:
                ratio = measured[inside] / true[inside]
                q = np.percentile(ratio, [16, 50, 84])
                medians[k], widths[k] = q[1], (q[2] - q[0]) / 2 / q[1]
        responses.append(tuple(_filled(nodes, medians).round(4).tolist()))
        resolutions.append(_terms(np.array(pt), widths))
    return JetResponse(pt, edges, tuple(responses), tuple(resolutions), vertices)


def _filled(nodes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Nodes with too few jets take the value of the nearest ones."""
    known = np.isfinite(values)
    return np.interp(nodes, nodes[known], values[known]) if known.any() else np.ones(nodes.size)


def _terms(pt: np.ndarray, widths: np.ndarray) -> tuple[float, float, float]:
    """(N, S, C), none of them negative, by least squares of the squares."""
    from scipy.optimize import nnls

    known = np.isfinite(widths)
    if known.sum() < 2:
        return (2.0, 0.8, 0.05)
    matrix = np.stack([pt[known] ** -2, pt[known] ** -1, np.ones(known.sum())], axis=1)
    weight = 1 / widths[known] ** 2
    squares, _ = nnls(matrix * weight[:, None], widths[known] ** 2 * weight)
    n, s, c = np.sqrt(squares).round(4).tolist()
    return n, s, c


def save(path: Path, table: JetResponse) -> None:
    """Write the table as JSON."""
    path.write_text(json.dumps(asdict(table)))


@cache
def load(name: str, *, pileup: bool = False) -> JetResponse:
    """The shipped table of a detector preset.

    Args:
        name: of the preset.
        pileup: that of jets with pile-up.

    Raises:
        ValueError: none is shipped.
    """
    kind = "crowded-jets" if pileup else "jets"
    path = _FOLDER / f"{kind}-{name}.json"
    if not path.is_file():
        has = ", ".join(sorted(each.stem[len(kind) + 1 :] for each in _FOLDER.glob(f"{kind}-*")))
        message = f"no jet calibration for {name!r}; there are {has or 'none'}"
        raise ValueError(message)
    content = json.loads(path.read_text())
    return JetResponse(
        tuple(content["pt"]),
        tuple(content["eta"]),
        tuple(map(tuple, content["response"])),
        tuple(map(tuple, content["resolution"])),
        content.get("vertices", 0.0),
    )


def tables_of(name: str) -> tuple[JetResponse, JetResponse]:
    """The tables of a preset without and with pile-up.

    Raises:
        ValueError: one is not shipped.
    """
    return load(name), load(name, pileup=True)


#: largest share of the table with pile-up: more vertices than this goes beyond what it knows
_BEYOND = 1.5


def _between(
    tables: tuple[JetResponse, JetResponse], raw: np.ndarray, eta: np.ndarray, further: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated pT and its error (N,) [GeV], between both tables by the number of vertices."""
    share = np.clip(further / tables[1].vertices, 0.0, _BEYOND)
    one, two = (table.factor(raw, eta) for table in tables)
    value = raw * (one + share * (two - one))
    low, high = (table.sigma(value, eta) ** 2 for table in tables)
    return value, np.sqrt(np.maximum(low + share * (high - low), 0.25 * low))


def calibrated_jets(
    particles: ak.Array,
    rho: np.ndarray,
    tables: tuple[JetResponse, JetResponse] | None,
    vertices: np.ndarray,
    pt_min: float = 15.0,
    radius: float = 0.4,
) -> ak.Array:
    """Anti-kT jets of the hard collision, less rho pi R^2 of pile-up, calibrated.

    Args:
        particles: lists per event; charged ones of other collisions left out.
        rho: (E, 2) from `surroundings.density`.
        tables: response without and with pile-up; None: no calibration.
        vertices: (E,) number of further vertices.
        pt_min: least pT after all [GeV].
        radius: R.

    Returns:
        Lists per event by falling pT: `pt eta phi mass`, `raw_pt` (pile-up taken off, not
        calibrated), `pt_error`, `charged_fraction`, and `constituents`.
    """
    options = JetOptions(radius=radius, pt_min=0.5 * pt_min, eta_max=4.7)
    found = cluster(particles, options)
    event = np.repeat(np.arange(len(found)), ak.to_numpy(ak.num(found)))
    flat = ak.flatten(found)
    pt, eta, mass = (ak.to_numpy(flat[name]).astype(np.float64) for name in ("pt", "eta", "mass"))
    raw = np.maximum(pt - density_at(rho, event, eta) * pi * radius**2, 0.1 * pt)
    value, error = raw, np.zeros(pt.size)
    if tables:
        value, error = _between(tables, raw, eta, vertices[event])
    charged = ak.sum(flat.constituents.pt * (flat.constituents.charge != 0), axis=1) / pt
    columns = {
        "pt": value, "eta": eta, "phi": flat.phi, "mass": mass * value / pt, "raw_pt": raw,
        "pt_error": error, "charged_fraction": charged,
    }  # fmt: skip
    records = {name: ak.values_astype(each, np.float32) for name, each in columns.items()}
    records["constituents"] = flat.constituents
    jets = ak.unflatten(ak.zip(records, depth_limit=1, with_name="Momentum4D"), ak.num(found))
    jets = jets[jets.pt > pt_min]
    return jets[ak.argsort(jets.pt, axis=1, ascending=False)]
