"""Particles from the origin, for the tests of the tracker."""

import numpy as np

from fivesigma.detector.flow import Particles
from fivesigma.units import charge, mass


def gun(number, pdg_id, pt, eta=2.5, seed=1):
    """One particle an event: pT a number or range [GeV], |eta| up to a number or at (eta,)."""
    rng = np.random.default_rng(seed)
    low, high = (pt, pt) if np.isscalar(pt) else pt
    size = rng.uniform(low, high, number)
    slope = np.sinh(rng.uniform(-eta, eta, number) if np.isscalar(eta) else np.full(number, *eta))
    phi = rng.uniform(-np.pi, np.pi, number)
    q = charge(pdg_id)
    sign = rng.choice([-1, 1], number) if q else np.ones(number, int)
    zero = np.zeros(number)
    return Particles(
        event=np.arange(number),
        truth=np.zeros(number, int),
        pdg_id=pdg_id * sign,
        charge=q * sign,
        mass=np.full(number, mass(pdg_id)),
        px=size * np.cos(phi),
        py=size * np.sin(phi),
        pz=size * slope,
        x=zero,
        y=zero,
        z=zero,
    )
