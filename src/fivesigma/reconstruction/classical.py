"""The classical chain: from the signals of a detector to the objects of physics.

Every part is simple and calibrated: it is the baseline that networks must beat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import awkward as ak
import numpy as np

from fivesigma.events import with_pileup
from fivesigma.geometry import Detector
from fivesigma.reconstruction.cluster_calibration import calibrate, load
from fivesigma.reconstruction.clusters import ClusterOptions, clusters
from fivesigma.reconstruction.flow import FlowOptions, energy_flow
from fivesigma.reconstruction.jet_calibration import calibrated_jets, tables_of
from fivesigma.reconstruction.leptons import electrons, isolated_muons, photons
from fivesigma.reconstruction.missing import missing_momentum
from fivesigma.reconstruction.muons import MuonFinding, reconstruct_muons
from fivesigma.reconstruction.surroundings import density, vertex_fraction
from fivesigma.reconstruction.taus import taus
from fivesigma.reconstruction.tracks import TrackFinding, reconstruct_tracks
from fivesigma.reconstruction.vertices import find_vertices

__all__ = ["COLLECTIONS", "ReconstructionOptions", "physics_objects", "reconstruct_signals"]

#: what the chain makes, in its order
COLLECTIONS = (
    "tracks", "clusters", "particles", "muons", "electrons", "photons", "taus", "jets", "met",
)  # fmt: skip


#: charged particles of other vertices from which on an event has pile-up
_OTHERS = 20
#: |eta| of jets whose charged particles tell their collision
_TRACKED = 2.4


@dataclass(frozen=True)
class ReconstructionOptions:
    """Options of the classical chain.

    Attributes:
        tracks: of track finding.
        clusters: thresholds of topological clusters.
        muons: of muon finding.
        flow: cuts of energy flow.
        jet_pt_min: softer jets are dropped [GeV].
        isolation_max: leptons and photons with less around them are not part of jets.
        vertex_fraction_min: jets softer than `vertex_pt_max` [GeV] with a smaller share of the
            hard collision are dropped, where there is pile-up and there are tracks.
        met_jet_pt_min: jets with less do not count for missing momentum where there is pile-up,
            with tracks and beyond them [GeV].
        calibrate_jets: False leaves jets at the scale of energy flow.
    """

    tracks: TrackFinding = field(default_factory=TrackFinding)
    clusters: ClusterOptions = field(default_factory=ClusterOptions)
    muons: MuonFinding = field(default_factory=MuonFinding)
    flow: FlowOptions = field(default_factory=FlowOptions)
    jet_pt_min: float = 15.0
    isolation_max: float = 0.2
    vertex_fraction_min: float = 0.2
    vertex_pt_max: float = 50.0
    met_jet_pt_min: tuple[float, float] = (20.0, 30.0)
    calibrate_jets: bool = True


def reconstruct_signals(
    signals: Mapping[str, ak.Array],
    detector: Detector,
    rng: np.random.Generator,
    options: ReconstructionOptions = ReconstructionOptions(),  # noqa: B008
) -> dict[str, ak.Array]:
    """All objects of some events.

    Args:
        signals: `truth`, `hits`, `cells`, `segments` and, with pile-up of a library, `pileup`, one
            list per event each.
        detector: the preset that made them.
        rng: source of randomness of the track parameters.
        options: of each part.

    Returns:
        The collections in `COLLECTIONS`; `met` one record per event, all others lists.

    Raises:
        ValueError: a preset without signals or calibration, or signals of another one.
    """
    if detector.layers is None or detector.cells is None or detector.stations is None:
        message = f"the detector {detector.name!r} has no signals; choose atlas or cms"
        raise ValueError(message)
    tracker = detector.response.tracker if detector.response else None
    truth = signals["truth"]
    if "pileup" in signals:
        truth = with_pileup(truth, signals["pileup"])
    tracks = reconstruct_tracks(
        truth, signals["hits"], detector.layers, rng, tracker, options.tracks
    )
    z, vertex = find_vertices(tracks)
    found = calibrate(clusters(signals["cells"], detector.cells, options.clusters), detector.cells)
    muons = reconstruct_muons(signals["segments"], tracks, detector.stations, options.muons)
    particles = energy_flow(
        ak.with_field(tracks, vertex, "vertex"),
        found,
        signals["cells"],
        muons,
        detector.cells,
        z,
        options.flow,
    )
    made = physics_objects(particles, tracks, muons, detector, options)
    return {"tracks": tracks, "clusters": found, "particles": particles, **made}


def physics_objects(
    particles: ak.Array,
    tracks: ak.Array,
    muons: ak.Array,
    detector: Detector,
    options: ReconstructionOptions = ReconstructionOptions(),  # noqa: B008
) -> dict[str, ak.Array]:
    """Leptons, photons, taus, jets and missing momentum from particles.

    Args:
        particles: lists per event, with `vertex pt_error track`.
        tracks: that they refer to.
        muons: from `reconstruct_muons`.
        detector: the preset, for the calibration of jets.
        options: of each part.
    """
    rho = density(particles)
    own = {
        "muons": isolated_muons(muons, particles, rho),
        "electrons": electrons(particles, tracks, rho),
        "photons": photons(particles, rho, load(detector.name, "photons")),
    }
    hard = particles[particles.vertex <= 0]
    hard = ak.with_field(hard, ak.local_index(hard), "index")
    single = _isolated(hard, own, options)
    tables = tables_of(detector.name) if options.calibrate_jets else None
    crowded = _crowded(particles)
    of_pileup = rho * crowded[:, None]
    vertices = crowded * ak.to_numpy(ak.fill_none(ak.max(particles.vertex, axis=1), 0))
    jets = calibrated_jets(hard[~single], of_pileup, tables, vertices, options.jet_pt_min)
    jets = ak.with_field(jets, vertex_fraction(jets, particles), "vertex_fraction")
    jets = jets[~crowded | ~_of_pileup(jets, options)]
    found = taus(particles, _leptons(own, options))
    sure = jets[~crowded | (jets.pt > _pt_min(jets, options))]
    within = ak.flatten(sure.constituents.index, axis=2)
    hard = ak.with_field(hard, _members(hard, within), "in_jet")
    met = missing_momentum(hard[~crowded | (hard.charge != 0) | single], sure, vertices)
    kept = jets[[name for name in jets.fields if name != "constituents"]]
    return {**own, "taus": found, "jets": kept, "met": met}


def _of_pileup(jets: ak.Array, options: ReconstructionOptions) -> ak.Array:
    """Jets whose charged particles come from other collisions."""
    soft = (jets.pt < options.vertex_pt_max) & (abs(jets.eta) < _TRACKED)
    return soft & (jets.vertex_fraction < options.vertex_fraction_min)


def _pt_min(jets: ak.Array, options: ReconstructionOptions) -> ak.Array:
    """Least pT of jets that count for missing momentum, where there is pile-up [GeV]."""
    return ak.where(abs(jets.eta) < _TRACKED, *options.met_jet_pt_min)


def _leptons(own: Mapping[str, ak.Array], options: ReconstructionOptions) -> ak.Array:
    """Isolated electrons and muons."""
    each = (own[name] for name in ("electrons", "muons"))
    chosen = [
        a[(a.pt > 10.0) & (a.isolation < options.isolation_max)][["eta", "phi"]] for a in each
    ]
    return ak.concatenate(chosen, axis=1)


def _crowded(particles: ak.Array) -> np.ndarray:
    """Events (E,) with pile-up: charged particles of other vertices, more than decays in flight
    leave."""
    other = (particles.charge != 0) & (particles.vertex > 0)
    return ak.to_numpy(ak.sum(other, axis=1)) >= _OTHERS


def _members(lists: ak.Array, index: ak.Array) -> ak.Array:
    """Whether each entry's index is in a list of indices of its event."""
    counts = ak.to_numpy(ak.num(lists))
    starts = np.cumsum(counts) - counts
    mask = np.zeros(counts.sum(), bool)
    event = np.repeat(np.arange(counts.size), ak.to_numpy(ak.num(index)))
    mask[starts[event] + ak.to_numpy(ak.flatten(index))] = True
    return ak.unflatten(mask, counts)


def _isolated(
    particles: ak.Array, objects: Mapping[str, ak.Array], options: ReconstructionOptions
) -> ak.Array:
    """Particles that are isolated leptons and photons, or pieces of them."""
    mask = ak.zeros_like(particles.pt, dtype=bool)
    for name, number, strip in (
        ("muons", 13, (0.001, 0.001)),
        ("electrons", 11, (0.001, 0.001)),
        ("photons", 22, (0.03, 0.15)),
    ):
        found = objects[name]
        found = found[(found.pt > 10.0) & (found.isolation < options.isolation_max)]
        pairs = ak.cartesian({"p": particles, "o": found}, nested=True)
        across = (pairs.p.phi - pairs.o.phi + np.pi) % (2 * np.pi) - np.pi
        near = (abs(pairs.p.eta - pairs.o.eta) < strip[0]) & (abs(across) < strip[1])
        mask = mask | (ak.any(near, axis=2) & (abs(particles.pdg_id) == number))
    return mask
