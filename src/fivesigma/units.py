"""Units and constants: GeV, rad, mm, ns everywhere; what speaks MeV is converted here, once."""

from __future__ import annotations

from functools import cache

from particle import InvalidParticle, Particle, ParticleNotFound

__all__ = ["C_LIGHT", "CURVATURE", "GEV", "MEV", "PB_PER_MB", "charge", "mass", "width"]

GEV = 1.0
MEV = 1e-3
#: speed of light [mm/ns]
C_LIGHT = 299.792458
#: pT [GeV] = CURVATURE * |q| * B [T] * R [mm] for a helix of radius R
CURVATURE = 0.299792458e-3
#: PYTHIA gives cross-sections in mb
PB_PER_MB = 1e9


@cache
def _particle(pdg_id: int) -> Particle:
    try:
        return Particle.from_pdgid(pdg_id)
    except (ParticleNotFound, InvalidParticle):
        message = f"no particle with PDG number {pdg_id}; see https://pdg.lbl.gov for the scheme"
        raise ValueError(message) from None


def mass(pdg_id: int) -> float:
    """The PDG mass of a particle [GeV]; 0 where the PDG gives none.

    Raises:
        ValueError: the number names no particle.

    Example:
        >>> round(mass(23), 3)
        91.188
    """
    return (_particle(pdg_id).mass or 0.0) * MEV


def charge(pdg_id: int) -> float:
    """The electric charge of a particle [e].

    Raises:
        ValueError: the number names no particle.
    """
    return float(_particle(pdg_id).charge or 0.0)


def width(pdg_id: int) -> float:
    """The natural width of a particle [GeV]; 0 where the PDG gives none.

    Raises:
        ValueError: the number names no particle.
    """
    return (_particle(pdg_id).width or 0.0) * MEV
