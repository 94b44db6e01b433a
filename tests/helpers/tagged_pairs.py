"""Pairs of jets with tags that are independent of each other: a peak over falling spectra."""

import numpy as np

from fivesigma.search.doubletag import Pairs, Process, Window, tagging_rates
from fivesigma.search.resonance import Uncertainties

WINDOW = Window(edges=tuple(np.arange(1100.0, 2001.0, 100.0)))
EDGES = np.array([600.0, 700.0])
SURE = Uncertainties(luminosity=1e-6, ttbar=1e-6, tagging=1e-6, energy_scale=1e-6)


def pairs(n, weight, seed, efficiency=0.5, peak=None, slope=300.0):
    """Pairs with a falling spectrum, or a peak; tags depend on pT and are independent."""
    rng = np.random.default_rng(seed)
    mass = 1050 + rng.exponential(slope, n) if peak is None else rng.normal(peak, 40, n)
    pt = np.stack([mass / 2 * rng.uniform(0.93, 1.0, n) for _ in range(2)], 1)
    chance = efficiency * np.where(pt > 650, 0.8, 1.0)
    tagged = rng.random((n, 2)) < chance
    return Pairs(mass, pt, rng.uniform(0, 1.2, n), tagged, weight)


def processes(tag):
    made = {
        "signal": pairs(4000, 0.05, 1, 0.5, peak=1300.0),
        "ttbar": pairs(6000, 0.1, 2, 0.4),
        "qcd": pairs(40_000, 10.0, 3, 0.02),
    }
    return {
        name: Process(p, tagging_rates(p.pt.ravel(), p.tagged.ravel(), EDGES) if tag else None)
        for name, p in made.items()
    }
