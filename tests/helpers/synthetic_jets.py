"""Toy jets that are quick to make and easy to tell apart: class k has k + 1 prongs."""

from __future__ import annotations

import awkward as ak
import numpy as np


def make_jets(n: int, *, seed: int = 0, n_classes: int = 2) -> ak.Array:
    """N jets with constituents, observables, label, weight and event number."""
    rng = np.random.default_rng(seed)
    label = rng.integers(n_classes, size=n)
    counts = rng.integers(4, 30, size=n)
    of_jet = np.repeat(np.arange(n), counts)
    pt, eta, phi = rng.uniform(400, 600, n), rng.uniform(-2, 2, n), rng.uniform(-3, 3, n)
    prong = rng.integers(0, label[of_jet] + 1)
    angle = rng.uniform(0, 2 * np.pi, n)[of_jet] + 2 * np.pi * prong / (label[of_jet] + 1)
    distance = np.where(label[of_jet] > 0, 0.3, 0.0)
    share = rng.exponential(size=len(of_jet))
    share /= np.bincount(of_jet, share)[of_jet]
    constituents = ak.zip(
        {
            "pt": share * pt[of_jet],
            "eta": eta[of_jet] + distance * np.cos(angle) + rng.normal(0, 0.1, len(of_jet)),
            "phi": phi[of_jet] + distance * np.sin(angle) + rng.normal(0, 0.1, len(of_jet)),
            "mass": np.zeros(len(of_jet)),
            "charge": rng.integers(-1, 2, len(of_jet)),
            "pdg_id": rng.choice([211, 130, 22], len(of_jet)),
        }
    )
    constituents = ak.unflatten(constituents, counts)
    constituents = constituents[ak.argsort(constituents.pt, ascending=False)]
    jets = {
        "pt": pt,
        "eta": eta,
        "phi": phi,
        "mass": 40 + 40 * label + rng.normal(0, 20, n) ** 2 / 10,
        "tau21": np.clip(0.7 - 0.2 * label + rng.normal(0, 0.15, n), 0.05, 1),
        "width": rng.uniform(0, 1, n),
        "event": np.arange(n, dtype=np.uint64),
        "label": label,
        "weight": rng.uniform(0.5, 1.5, n),
    }
    return ak.with_field(ak.Array(jets), constituents, "constituents")
