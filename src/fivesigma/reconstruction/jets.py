"""Jets: anti-kT, Cambridge/Aachen or kT clustering of every event's particles; E-scheme."""

from __future__ import annotations

import math
from dataclasses import dataclass

import awkward as ak
import numpy as np

from fivesigma.events import validate
from fivesigma.reconstruction.recombination import cartesian, find_jets, kernel

__all__ = ["ALGORITHMS", "ENGINES", "JetOptions", "cluster"]

#: algorithm -> p of the distance min(pT_i^2p, pT_j^2p) dR_ij^2 / R^2
ALGORITHMS = {"antikt": -1, "ca": 0, "kt": 1}
_FASTJET_NAMES = {
    "antikt": "antikt_algorithm",
    "ca": "cambridge_algorithm",
    "kt": "kt_algorithm",
}


@dataclass(frozen=True)
class JetOptions:
    """How jets are found and which are kept.

    Attributes:
        algorithm: "antikt" (arXiv:0802.1189), "ca" (Cambridge/Aachen) or "kt".
        radius: the jet radius R.
        pt_min: jets below this pT are dropped [GeV].
        pt_max: jets above this pT are dropped [GeV].
        eta_max: jets with a larger |eta| are dropped.
        leading: only so many jets of an event, those of highest pT, are looked at, whether or not
            they then pass `pt_max` and `eta_max`; None: all.
        max_constituents: only so many constituents, those of highest pT, are kept; the jet's own
            momentum is that of all.
        particle_pt_min: only particles with more pT than this are clustered [GeV].
        engine: "fivesigma", this package's compiled loops, or "fastjet"; the jets are the same.
    """

    algorithm: str = "antikt"
    radius: float = 0.8
    pt_min: float = 20.0
    pt_max: float = math.inf
    eta_max: float = math.inf
    leading: int | None = None
    max_constituents: int = 200
    particle_pt_min: float = 0.0
    engine: str = "fivesigma"

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            message = (
                f"unknown jet algorithm {self.algorithm!r}; choose from {', '.join(ALGORITHMS)}"
            )
            raise ValueError(message)
        if self.engine not in ENGINES:
            message = f"unknown jet engine {self.engine!r}; choose from {', '.join(ENGINES)}"
            raise ValueError(message)
        if not (0 < self.radius < math.inf):
            message = f"radius must be a positive number, got {self.radius:g}; large jets use 0.8"
            raise ValueError(message)
        if not (0 <= self.pt_min < self.pt_max):
            message = (
                f"jet pT range [{self.pt_min:g}, {self.pt_max:g}] GeV is empty; "
                "pt_min must be >= 0 and below pt_max"
            )
            raise ValueError(message)
        for name in ("eta_max", "leading", "max_constituents"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                message = f"{name} must be positive, got {value}"
                raise ValueError(message)
        if not (0 <= self.particle_pt_min < math.inf):
            message = f"particle_pt_min must be >= 0 GeV, got {self.particle_pt_min:g}"
            raise ValueError(message)


_Groups = tuple[np.ndarray, np.ndarray, np.ndarray]


def _find_here(momenta: np.ndarray, offsets: np.ndarray, options: JetOptions) -> _Groups:
    power = ALGORITHMS[options.algorithm]
    return find_jets(momenta, offsets, power, float(options.radius), float(options.pt_min))


def _find_with_fastjet(momenta: np.ndarray, offsets: np.ndarray, options: JetOptions) -> _Groups:
    import fastjet

    columns = dict(zip(("px", "py", "pz", "E"), np.ascontiguousarray(momenta.T), strict=True))
    events = ak.unflatten(ak.zip(columns, with_name="Momentum4D"), np.diff(offsets))
    algorithm = getattr(fastjet, _FASTJET_NAMES[options.algorithm])
    sequence = fastjet.ClusterSequence(events, fastjet.JetDefinition(algorithm, options.radius))
    found = sequence.constituent_index(min_pt=options.pt_min)
    event = np.repeat(np.arange(len(found)), ak.to_numpy(ak.num(found, axis=1)))
    sizes = ak.to_numpy(ak.num(ak.flatten(found, axis=1), axis=1))
    index = ak.to_numpy(ak.flatten(found + offsets[:-1], axis=None))
    return event, sizes.astype(np.int64), index.astype(np.int64)


#: engine -> function giving inclusive jets: event (J,), numbers of constituents (J,), flat indices
ENGINES = {"fivesigma": _find_here, "fastjet": _find_with_fastjet}


@kernel
def _hardest_first(
    jets: np.ndarray,
    starts: np.ndarray,
    sizes: np.ndarray,
    index: np.ndarray,
    pt: np.ndarray,
    limit: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and flat indices of the jets' constituents, by falling pT, at most `limit` each."""
    kept = np.minimum(sizes[jets], limit)
    out = np.empty(kept.sum(), np.int64)
    filled = 0
    for k in range(len(jets)):
        members = index[starts[jets[k]] : starts[jets[k]] + sizes[jets[k]]]
        order = np.argsort(-pt[members], kind="mergesort")
        out[filled : filled + kept[k]] = members[order[: kept[k]]]
        filled += kept[k]
    return kept, out


def _jet_momenta(
    momenta: np.ndarray, index: np.ndarray, starts: np.ndarray
) -> dict[str, np.ndarray]:
    """pt eta phi mass of the sums of constituents, each (J,) float64."""
    if not len(starts):
        return {name: np.zeros(0) for name in ("pt", "eta", "phi", "mass")}
    px, py, pz, energy = np.add.reduceat(momenta[index], starts).T
    pt = np.hypot(px, py)
    mass = np.sqrt(np.maximum(energy * energy - pt * pt - pz * pz, 0.0))
    return {"pt": pt, "eta": np.arcsinh(pz / pt), "phi": np.arctan2(py, px), "mass": mass}


def _selected(jets: dict[str, np.ndarray], event: np.ndarray, options: JetOptions) -> np.ndarray:
    """The jets to keep, ordered by event and falling pT."""
    order = np.lexsort((-jets["pt"], event))
    first = np.searchsorted(event[order], event[order])
    rank = np.arange(len(order)) - first
    keep = (jets["pt"] <= options.pt_max) & (np.abs(jets["eta"]) <= options.eta_max)
    if options.leading is not None:
        return order[keep[order] & (rank < options.leading)]
    return order[keep[order]]


def cluster(particles: ak.Array, options: JetOptions) -> ak.Array:
    """Cluster each event's particles into jets.

    Args:
        particles: E lists of records with at least `pt eta phi mass`; further fields come along.
        options: algorithm, radius and selection.

    Returns:
        E lists of jets by falling pT: `pt eta phi mass` (float32; GeV, rad) of the sum of all
        constituents, and `constituents`, records with every field of `particles`, by falling pT.

    Raises:
        ValueError: no list per event, missing momentum fields, NaN, infinite or negative momenta.

    Example:
        >>> events = ak.Array([[{"pt": 30.0, "eta": 0.1, "phi": 1.0, "mass": 0.0}]])
        >>> cluster(events, JetOptions(radius=0.4)).pt.to_list()
        [[30.0]]
    """
    if particles.ndim != 2:
        message = (
            f"particles must be one list of records per event, got {particles.type}; "
            "for a single event pass ak.Array([event])"
        )
        raise ValueError(message)
    flat = ak.flatten(particles, axis=1)
    validate(flat, "particles")
    counts = ak.to_numpy(ak.num(particles, axis=1))
    pt = np.asarray(flat.pt, dtype=np.float64)
    used = np.flatnonzero(pt > options.particle_pt_min)
    event_of = np.repeat(np.arange(len(counts)), counts)[used]
    offsets = np.searchsorted(event_of, np.arange(len(counts) + 1))
    momenta = cartesian(flat)[used]
    event, sizes, index = ENGINES[options.engine](momenta, offsets, options)
    starts = np.cumsum(sizes) - sizes
    jets = _jet_momenta(momenta, index, starts)
    keep = _selected(jets, event, options)
    counts, members = _hardest_first(
        keep, starts, sizes, used[index], pt, options.max_constituents
    )
    fields = {name: values[keep].astype(np.float32) for name, values in jets.items()}
    constituents = ak.unflatten(flat[members], counts)
    records = ak.zip(fields | {"constituents": constituents}, depth_limit=1)
    return ak.unflatten(records, np.bincount(event[keep], minlength=len(particles)))
