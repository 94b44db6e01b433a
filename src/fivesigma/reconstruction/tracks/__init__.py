"""Tracks as a well-working track finder would give them, from truth and hits.

Pattern recognition is taken from truth: each charged stable particle with enough hits of its own
is found with the published efficiency; its parameters are drawn from the covariance that a Kalman
filter would have with these hits (`covariance`). What particles made in the detector leave is not
reconstructed.
"""

from __future__ import annotations

from dataclasses import dataclass

import awkward as ak
import numpy as np

from fivesigma.events import FIELDS, particle_class
from fivesigma.geometry import Tracker
from fivesigma.geometry.layers import Layout
from fivesigma.geometry.surfaces import surfaces
from fivesigma.reconstruction.tracks.covariance import (
    Resolution,
    expected_resolution,
    fit_covariance,
)
from fivesigma.reconstruction.tracks.finding import candidates, efficiency
from fivesigma.reconstruction.tracks.measuring import fakes, measure, track_columns

__all__ = ["Resolution", "TrackFinding", "expected_resolution", "reconstruct_tracks"]


@dataclass(frozen=True)
class TrackFinding:
    """Options of `reconstruct_tracks`.

    Attributes:
        layers_min: layers with a hit that a track needs.
        fake_rate: fake tracks per track, with parameters loosely like those of a track.
    """

    layers_min: int = 6
    fake_rate: float = 0.0

    def __post_init__(self) -> None:
        if self.layers_min < 3 or self.fake_rate < 0:
            message = (
                f"TrackFinding: layers_min {self.layers_min} must be at least 3 and fake_rate "
                f"{self.fake_rate:g} not negative"
            )
            raise ValueError(message)


def reconstruct_tracks(
    truth: ak.Array,
    hits: ak.Array,
    layout: Layout,
    rng: np.random.Generator,
    tracker: Tracker | None = None,
    options: TrackFinding = TrackFinding(),  # noqa: B008
) -> ak.Array:
    """Tracks of the charged stable particles.

    The efficiency is that of the preset's object-level response, times having enough hits. Hadrons
    count as muons: what makes their published efficiency smaller are nuclear interactions, which
    the hits know of. Electrons radiate on their way: their
    q/p is that of half the radiation lengths crossed (Bethe and Heitler 1934), so that their
    momenta have a tail to low values.

    Args:
        truth: lists of particles per event with the fields of `truth`.
        hits: lists of hits per event with `layer`, `truth` and, where known, `secondary`: hits of
            particles made in the detector, which belong to no track.
        layout: the tracker that made the hits.
        rng: source of all randomness.
        tracker: of the object-level response, for its efficiencies; None: 1.
        options: of finding.

    Returns:
        Lists of `tracks` per event, in the order of truth, fakes last.

    Raises:
        ValueError: hits of layers that this tracker has not, or of other events.
    """
    found = candidates(truth, hits, layout)
    layers = surfaces(layout)
    kind = particle_class(found.pdg_id, found.charge)
    kind = np.where(
        kind == 211, 13, kind
    )  # their nuclear interactions have cost them hits already
    chance = efficiency(tracker, kind, found.pt, found.eta)
    lucky = rng.random(chance.size) < chance
    found = found.take(lucky & (found.seen.sum(axis=1) >= options.layers_min))
    fit = fit_covariance(found.perigee, found.charge, found.mass, found.seen, layers)
    enough = fit.layers >= options.layers_min
    found = found.take(enough)
    covariance, radiation = fit.covariance[enough], fit.radiation[enough]
    parameters = measure(found, covariance, radiation, rng)
    tracks = track_columns(found, parameters, covariance, layout)
    if options.fake_rate > 0:
        added = fakes(found, parameters, covariance, options.fake_rate, rng)
        extra = track_columns(*added, layout)
        extra["truth"][:] = -1
        extra["hits"][:] = options.layers_min
        tracks = {name: np.concatenate([tracks[name], extra[name]]) for name in tracks}
    return _lists(tracks, len(truth))


def _lists(columns: dict[str, np.ndarray], n_events: int) -> ak.Array:
    event = columns.pop("event")
    order = np.argsort(event, kind="stable")
    records = {}
    for name, field in FIELDS["tracks"].items():
        values = columns[name][order].astype(field.dtype)
        records[name] = ak.from_regular(values) if values.ndim > 1 else values
    lists = ak.zip(records, with_name="Momentum4D", depth_limit=1)
    return ak.unflatten(lists, np.bincount(event, minlength=n_events))
