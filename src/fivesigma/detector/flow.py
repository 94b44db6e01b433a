"""What passes from one sub-detector to the next: flat tables over the particles of a shard."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Particles", "available_energy"]


class Particles(NamedTuple):
    """Particles at one point of their way, all arrays (N,).

    At the start they are the stable particles of the generator; behind the tracker and the
    calorimeters they are what comes out, secondaries too.

    Attributes:
        event: index of the event in the shard, ascending.
        truth: index into the event's `truth` list of the stable particle that all this stems from.
        pdg_id: PDG numbers.
        charge: charges [e].
        mass: masses [GeV].
        px, py, pz: momenta [GeV].
        x, y, z: positions [mm].
    """

    event: np.ndarray
    truth: np.ndarray
    pdg_id: np.ndarray
    charge: np.ndarray
    mass: np.ndarray
    px: np.ndarray
    py: np.ndarray
    pz: np.ndarray
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray

    @property
    def energy(self) -> np.ndarray:
        """Total energies (N,) [GeV]."""
        return np.sqrt(self.px**2 + self.py**2 + self.pz**2 + self.mass**2)

    def take(self, rows: np.ndarray) -> Particles:
        """Some of them, by index or mask."""
        return Particles(*(column[rows] for column in self))


def available_energy(particles: Particles) -> np.ndarray:
    """The energy that a particle can leave in matter (N,) [GeV].

    Baryons keep their rest mass, antibaryons release that of a nucleon besides their own.
    """
    baryon = (np.abs(particles.pdg_id) // 1000 % 10 > 0) & (np.abs(particles.pdg_id) < 1_000_000)
    sign = np.where(baryon, np.sign(particles.pdg_id), 0)
    return particles.energy - sign * particles.mass
