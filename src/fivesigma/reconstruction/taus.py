"""Taus that decay to hadrons: narrow jets of one or three tracks."""

from __future__ import annotations

import awkward as ak
import numpy as np

from fivesigma.events import momenta

__all__ = ["taus"]


def taus(
    jets: ak.Array,
    *,
    pt_min: float = 20.0,
    core: float = 0.2,
    track_pt_min: float = 1.0,
    mass_max: float = 2.0,
    isolation_max: float = 0.15,
) -> ak.Array:
    """Taus among the jets, by falling pT.

    The particles within `core` of the hardest track are the tau; its charged hadrons must be one
    or three with charge one, and what else is in the jet must be little. The cuts are our own.

    Args:
        jets: lists per event with `constituents`.
        pt_min: least visible pT [GeV].
        core: radius of the tau.
        track_pt_min: charged hadrons below do not count [GeV].
        mass_max: largest visible mass [GeV].
        isolation_max: largest pT of the rest of the jet over that of the tau.

    Returns:
        Lists per event: `pt eta phi mass` of what is visible, `charge`, `prongs`, `isolation`,
        `pt_error`.
    """
    inside = jets.constituents
    hadron = abs(inside.pdg_id) == 211
    tracks = inside[hadron & (inside.pt > track_pt_min)]
    leading = ak.firsts(tracks, axis=2)
    # jets without a charged hadron: far from all
    eta, phi = ak.fill_none(leading.eta, 99.0), ak.fill_none(leading.phi, 0.0)
    turned = (inside.phi - phi + np.pi) % (2 * np.pi) - np.pi
    near = np.sqrt((inside.eta - eta) ** 2 + turned**2) < core
    own = inside[near]
    visible = ak.sum(momenta(own), axis=2)
    prong = own[(abs(own.pdg_id) == 211) & (own.pt > track_pt_min)]
    prongs, charge = ak.num(prong, axis=2), ak.sum(prong.charge, axis=2)
    around = ak.sum(inside.pt[~near], axis=2) / np.maximum(visible.pt, 1e-6)
    columns = {
        **{name: ak.values_astype(getattr(visible, name), np.float32) for name in _MOMENTUM},
        "charge": ak.values_astype(charge, np.int8),
        "prongs": ak.values_astype(prongs, np.int8),
        "isolation": ak.values_astype(around, np.float32),
        "pt_error": ak.values_astype(np.sqrt(ak.sum(own.pt_error**2, axis=2)), np.float32),
    }
    found = ak.zip(columns, with_name="Momentum4D")
    good = (found.pt > pt_min) & ((prongs == 1) | (prongs == 3)) & (abs(charge) == 1)
    found = found[good & (found.mass < mass_max) & (found.isolation < isolation_max)]
    return found[ak.argsort(found.pt, axis=1, ascending=False)]


_MOMENTUM = ("pt", "eta", "phi", "mass")
