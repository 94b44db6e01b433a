"""Photons that leptons radiate, put back: final-state radiation in decays of Z and Higgs bosons.

The method of CMS in H -> ZZ -> 4 l (arXiv:1706.09936): each photon of energy flow goes to the
nearest lepton if it is close by for its transverse energy, Delta R / E_T^2, and isolated; a lepton
takes one, and what leptons took does not count against their isolation.
"""

from __future__ import annotations

from dataclasses import dataclass

import awkward as ak
import numpy as np

from fivesigma.events import momenta
from fivesigma.reconstruction.surroundings import isolation

__all__ = ["RadiationOptions", "dressed", "radiated"]


@dataclass(frozen=True)
class RadiationOptions:
    """Which photons count as radiated by a lepton; the values of CMS.

    Attributes:
        pt_min: softer photons are left [GeV].
        eta_max: so are those further forward.
        isolation_max: of hadrons and photons in a cone of 0.3, over their own.
        cone: largest distance from the lepton.
        narrow: largest distance over the transverse energy squared [1/GeV^2].
    """

    pt_min: float = 2.0
    eta_max: float = 2.4
    isolation_max: float = 1.8
    cone: float = 0.5
    narrow: float = 0.012


def radiated(
    particles: ak.Array,
    leptons: ak.Array,
    rho: np.ndarray,
    options: RadiationOptions = RadiationOptions(),  # noqa: B008
) -> ak.Array:
    """The lepton that radiated each particle.

    Clusters of an electron's own bremsstrahlung are part of the electron, and no photons of energy
    flow: nothing is counted twice.

    Args:
        particles: lists per event of energy flow, with `pt eta phi charge pdg_id vertex`.
        leptons: lists per event of electrons and muons, with `eta phi`.
        rho: from `surroundings.density`.
        options: cuts.

    Returns:
        Lists like `particles` of indices into `leptons`; -1: no radiated photon.
    """
    photon = (particles.pdg_id == 22) & (particles.pt > options.pt_min)
    photon = photon & (abs(particles.eta) < options.eta_max)
    index = ak.local_index(particles)[photon]
    found = particles[photon]
    beside = particles[(abs(particles.pdg_id) != 11) & (abs(particles.pdg_id) != 13)]
    apart = _distances(found, leptons)
    nearest = ak.argmin(apart, axis=2)
    distance = ak.fill_none(ak.min(apart, axis=2), np.inf)
    ratio = distance / found.pt**2
    good = (distance < options.cone) & (ratio < options.narrow)
    good = good & (isolation(found, beside, rho) < options.isolation_max)
    owner = ak.where(good, ak.fill_none(nearest, -1), -1)
    return _filled(particles, index, _one_each(owner, ratio))


def dressed(leptons: ak.Array, particles: ak.Array, owner: ak.Array) -> ak.Array:
    """Leptons with the momenta of the photons they radiated.

    Args:
        leptons: lists per event with `pt eta phi mass`.
        particles: lists per event.
        owner: from `radiated`.

    Returns:
        The leptons, all other fields as before.
    """
    found, owner = particles[owner >= 0], owner[owner >= 0]
    pairs = ak.cartesian({"lepton": ak.local_index(leptons), "photon": found}, nested=True)
    own = ak.cartesian({"lepton": ak.local_index(leptons), "owner": owner}, nested=True)
    mine = pairs.photon[own.owner == own.lepton]
    columns = {name: mine[name] for name in _MOMENTUM}
    total = momenta(leptons) + ak.sum(ak.zip(columns, with_name="Momentum4D"), axis=2)
    for name in _MOMENTUM:
        leptons = ak.with_field(leptons, getattr(total, name), name)
    return leptons


_MOMENTUM = ("pt", "eta", "phi", "mass")


def _distances(photons: ak.Array, leptons: ak.Array) -> ak.Array:
    """Delta R of each photon to each lepton, nested lists."""
    pairs = ak.cartesian({"photon": photons, "lepton": leptons}, nested=True)
    across = (pairs.photon.phi - pairs.lepton.phi + np.pi) % (2 * np.pi) - np.pi
    return np.hypot(pairs.photon.eta - pairs.lepton.eta, across)


def _one_each(owner: ak.Array, ratio: ak.Array) -> ak.Array:
    """Owners (lists) where each lepton keeps its photon of the smallest ratio alone."""
    event = np.repeat(np.arange(len(owner)), ak.to_numpy(ak.num(owner)))
    flat, rank = ak.to_numpy(ak.flatten(owner)), ak.to_numpy(ak.flatten(ratio))
    order = np.lexsort((rank, flat, event))
    again = np.zeros(flat.size, bool)
    again[order[1:]] = (np.diff(flat[order]) == 0) & (np.diff(event[order]) == 0)
    return ak.unflatten(np.where(again, -1, flat), ak.num(owner))


def _filled(lists: ak.Array, index: ak.Array, values: ak.Array) -> ak.Array:
    """Lists like `lists` with these values at these places and -1 elsewhere."""
    counts = ak.to_numpy(ak.num(lists))
    starts = np.cumsum(counts) - counts
    event = np.repeat(np.arange(counts.size), ak.to_numpy(ak.num(index)))
    flat = np.full(counts.sum(), -1)
    flat[starts[event] + ak.to_numpy(ak.flatten(index))] = ak.to_numpy(ak.flatten(values))
    return ak.unflatten(flat, counts)
