"""Particles through the tracker: hits, and what reaches the calorimeters."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fivesigma.detector.flow import Particles, available_energy
from fivesigma.detector.tracker.modules import modules
from fivesigma.detector.tracker.noise import noise_hits
from fivesigma.detector.tracker.transport import transport
from fivesigma.geometry.layers import Layout
from fivesigma.geometry.surfaces import surfaces

__all__ = ["Ledger", "TrackerSignals", "noise_hits", "track_through"]


class Ledger(NamedTuple):
    """Where the available energy of each particle (N,) has gone [GeV].

    Attributes:
        deposited: in the tracker.
        lost: to neutrinos.
        passed: carried on by what leaves the tracker.
    """

    deposited: np.ndarray
    lost: np.ndarray
    passed: np.ndarray


class TrackerSignals(NamedTuple):
    """What `track_through` gives.

    Attributes:
        hits: columns (H,): those of `events.FIELDS["hits"]` in float64 and int64, `event`, and
            `secondary`, whether a particle made in the tracker left the hit; sorted by event.
        particles: at the surface of the tracker's cylinder.
        ledger: energies of the particles that went in.
    """

    hits: dict[str, np.ndarray]
    particles: Particles
    ledger: Ledger


def track_through(
    particles: Particles, layout: Layout, rng: np.random.Generator, noise: float = 1.0
) -> TrackerSignals:
    """Carry particles through the layers of a tracker.

    Helices from layer to layer; at each one hits in all modules that hold the crossing, multiple
    scattering (Highland), ionisation (Bethe, Landau), bremsstrahlung of electrons (Bethe and
    Heitler), conversion of photons (7/9 a radiation length), nuclear interactions (an interaction
    length, `secondaries.interact`), decays in flight of charged pions and kaons. All that is made
    is followed too. Loopers leave hits on the first half turn and then leave through an end cap.
    Particles born outside the cylinder are handed on; neutrinos are lost.

    Args:
        particles: stable particles, sorted by event.
        layout: the tracker.
        rng: source of all randomness.
        noise: factor on the rate of noise hits.

    Raises:
        ValueError: NaN or infinite momenta or positions, or events out of order.

    Example:
        >>> import numpy as np
        >>> from fivesigma.detector.flow import Particles
        >>> from fivesigma.geometry.trackers import TRACKML
        >>> one, zero = np.ones(1), np.zeros(1)
        >>> index = np.zeros(1, int)
        >>> pion = Particles(index, index, index + 211, one, 0.1396 * one, 2 * one, one, one,
        ...                  zero, zero, zero)
        >>> signals = track_through(pion, TRACKML, np.random.default_rng(1), noise=0)
        >>> len(signals.hits["x"]) > 5
        True
    """
    _check(particles)
    columns = (*particles[8:], *particles[5:8], particles.mass, particles.charge, particles.pdg_id)
    state = np.stack([np.asarray(column, np.float64) for column in columns], axis=1)
    floats, integers, out, parent, ledger = transport(
        state, surfaces(layout), modules(layout), rng
    )
    behind = _particles(out, particles.event[parent], particles.truth[parent])
    passed = np.bincount(parent, available_energy(behind), particles.event.size)
    return TrackerSignals(
        _hits(floats, integers, particles, layout, rng, noise),
        behind,
        Ledger(ledger[:, 0], ledger[:, 1], passed),
    )


def _check(particles: Particles) -> None:
    for name in ("px", "py", "pz", "x", "y", "z", "mass"):
        bad = np.count_nonzero(~np.isfinite(getattr(particles, name)))
        if bad:
            message = f"{bad} particles have a {name} that is NaN or infinite; remove them first"
            raise ValueError(message)
    if np.any(np.diff(particles.event) < 0):
        message = "particles are out of order; sort them by event"
        raise ValueError(message)


def _particles(state: np.ndarray, event: np.ndarray, truth: np.ndarray) -> Particles:
    x, y, z, px, py, pz, mass, charge, pdg_id = (np.ascontiguousarray(c) for c in state.T)
    return Particles(event, truth, pdg_id.astype(np.int64), charge, mass, px, py, pz, x, y, z)


def _hits(
    floats: np.ndarray,
    integers: np.ndarray,
    particles: Particles,
    layout: Layout,
    rng: np.random.Generator,
    noise: float,
) -> dict[str, np.ndarray]:
    names = ("x", "y", "z", "tx", "ty", "tz", "u_error", "v_error", "energy")
    columns = {name: floats[:, k] for k, name in enumerate(names)}
    columns["layer"], columns["module"] = integers[:, 0], integers[:, 1]
    columns["event"] = particles.event[integers[:, 2]]
    columns["truth"] = particles.truth[integers[:, 2]]
    columns["secondary"] = integers[:, 3].astype(bool)
    n_events = int(particles.event[-1]) + 1 if particles.event.size else 0
    added = noise_hits(layout, n_events, rng, noise)
    if not added["event"].size:
        return columns
    columns = {name: np.concatenate([column, added[name]]) for name, column in columns.items()}
    order = np.argsort(columns["event"], kind="stable")
    return {name: column[order] for name, column in columns.items()}
