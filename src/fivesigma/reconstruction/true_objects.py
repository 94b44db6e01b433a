"""What reconstructed objects are compared with: isolated leptons, photons, taus and jets."""

from __future__ import annotations

import awkward as ak
import numpy as np

from fivesigma.events import momenta
from fivesigma.reconstruction.jets import JetOptions, cluster

__all__ = ["true_jets", "true_leptons", "true_taus"]

_NEUTRINOS = (12, 14, 16)


def true_leptons(
    truth: ak.Array, pdg_id: int, pt_min: float = 5.0, *, isolated: bool = True
) -> ak.Array:
    """Stable leptons or photons, isolated: with less than 20 % of their pT within 0.3.

    Args:
        truth: lists of particles per event.
        pdg_id: 11, 13 or 22.
        pt_min: least pT [GeV].
        isolated: False: all, also those of the decays of hadrons.
    """
    final = _visible(truth)
    final = ak.with_field(final, ak.local_index(final), "row")
    chosen = final[(abs(final.pdg_id) == pdg_id) & (final.pt > pt_min)]
    if not isolated:
        return chosen
    pairs = ak.cartesian({"a": chosen[_PLACE], "b": final[[*_PLACE, "pt"]]}, nested=True)
    turned = (pairs.a.phi - pairs.b.phi + np.pi) % (2 * np.pi) - np.pi
    apart = np.sqrt((pairs.a.eta - pairs.b.eta) ** 2 + turned**2)
    around = ak.sum(pairs.b.pt * ((apart < 0.3) & (apart > 1e-6)), axis=2)
    return chosen[around < 0.2 * chosen.pt]


def _visible(truth: ak.Array) -> ak.Array:
    """Stable particles of the hard collision that a detector can see."""
    kept = (truth.status > 0) & (abs(truth.eta) < 5.0)
    for number in _NEUTRINOS:
        kept = kept & (abs(truth.pdg_id) != number)
    if "vertex" in truth.fields:
        kept = kept & (truth.vertex == 0)
    return truth[kept]


def true_jets(truth: ak.Array, pt_min: float = 10.0) -> ak.Array:
    """Anti-kT jets, R = 0.4, of what is visible but isolated leptons and photons above 10 GeV.

    Args:
        truth: lists of particles per event.
        pt_min: least pT [GeV].
    """
    final = _visible(truth)
    final = ak.with_field(final, ak.local_index(final), "row")
    single = ak.zeros_like(final.pt, dtype=bool)
    for number in (11, 13, 22):
        rows = true_leptons(truth, number, 10.0).row
        pairs = ak.cartesian({"a": final.row, "b": rows}, nested=True)
        single = single | ak.any(pairs.a == pairs.b, axis=2)
    kept = final[~single][["pt", "eta", "phi", "mass"]]
    found = cluster(kept, JetOptions(radius=0.4, pt_min=pt_min, eta_max=4.7))
    return found[["pt", "eta", "phi", "mass"]]


def true_taus(truth: ak.Array, pt_min: float = 20.0) -> ak.Array:
    """What is visible of taus that decay to hadrons, with `prongs`.

    Args:
        truth: lists of particles per event, with `mother`.
        pt_min: least visible pT [GeV].
    """
    mother = truth.mother
    parent = ak.where(mother >= 0, abs(truth.pdg_id[ak.where(mother >= 0, mother, 0)]), 0)
    hidden = ak.zeros_like(mother, dtype=bool)
    for number in _NEUTRINOS:
        hidden = hidden | (abs(truth.pdg_id) == number)
    child = truth[(parent == 15) & (abs(truth.pdg_id) != 15) & ~hidden]
    rows = ak.local_index(truth)[abs(truth.pdg_id) == 15]
    pairs = ak.cartesian({"tau": rows, "child": child}, nested=True)
    own = pairs.child[pairs.child.mother == pairs.tau]
    leptons = ak.any((abs(own.pdg_id) == 11) | (abs(own.pdg_id) == 13), axis=2)
    visible = ak.sum(momenta(own), axis=2)
    columns = {name: getattr(visible, name) for name in ("pt", "eta", "phi", "mass")}
    columns["prongs"] = ak.sum(own.charge != 0, axis=2)
    found = ak.zip(columns)
    return found[~leptons & (found.pt > pt_min)]


_PLACE = ["eta", "phi"]
