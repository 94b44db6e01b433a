"""Single particles from the origin and what they leave, for the sections of the book."""

from __future__ import annotations

import awkward as ak
import numpy as np

from fivesigma.detector.flow import Particles
from fivesigma.units import charge, mass

__all__ = ["as_truth", "shoot"]


def shoot(
    pdg_id: int, pt: np.ndarray | float, eta: np.ndarray, rng: np.random.Generator
) -> Particles:
    """One particle per event, particle or antiparticle, flat in azimuth.

    Args:
        pdg_id: its PDG number.
        pt: (N,) or one for all [GeV].
        eta: (N,).
        rng: source of azimuths and signs.
    """
    n, zero = len(eta), np.zeros(len(eta))
    size, phi = np.broadcast_to(pt, n).astype(float), rng.uniform(-np.pi, np.pi, n)
    sign = rng.choice((-1, 1), n) if charge(pdg_id) else np.ones(n, int)
    momentum = (size * np.cos(phi), size * np.sin(phi), size * np.sinh(eta))
    return Particles(
        np.arange(n), np.zeros(n, int), pdg_id * sign, charge(pdg_id) * sign,
        np.full(n, mass(pdg_id)), *momentum, zero, zero, zero,
    )  # fmt: skip


def as_truth(particles: Particles) -> ak.Array:
    """`truth` of events of particles that are sorted by event."""
    pt = np.hypot(particles.px, particles.py)
    columns = {
        "pt": pt, "eta": np.arcsinh(particles.pz / pt),
        "phi": np.arctan2(particles.py, particles.px), "mass": particles.mass,
        "charge": particles.charge, "pdg_id": particles.pdg_id,
        "status": np.ones(len(pt), int),
        "vx": particles.x, "vy": particles.y, "vz": particles.z,
    }  # fmt: skip
    return ak.unflatten(ak.zip(columns), np.bincount(particles.event))
