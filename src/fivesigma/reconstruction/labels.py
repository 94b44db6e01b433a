"""Truth labels of jets: what decayed, or which parton or heavy hadron is, inside a jet.

A jet of a heavy resonance must hold all quarks of the decay: the three of a hadronic top quark,
the two of W and Z, all partons or taus of a Higgs boson. Flavour follows the weakly decaying
hadrons near the axis; a quark or gluon jet is named after the hardest outgoing parton of the
collision within the jet's radius.
"""

from __future__ import annotations

import math

import awkward as ak
import numpy as np

from fivesigma.reconstruction.recombination import kernel

__all__ = ["TRUTHS", "label_jets", "truth_flags", "truth_names"]

#: what can be true of a jet, a bit each, in order of precedence
TRUTHS = {
    "top": "all three quarks of a hadronic top decay within the radius",
    "h": "all partons or taus of a Higgs decay within the radius",
    "w": "both quarks of a W decay within the radius",
    "z": "both quarks of a Z decay within the radius",
    "tau": "a tau lepton within the hadron radius",
    "b": "a b hadron within the hadron radius, or the hardest parton is a b quark",
    "c": "a c hadron within the hadron radius, or the hardest parton is a c quark; and no b",
    "g": "the hardest parton is a gluon",
    "q": "the hardest parton is a u, d or s quark",
    "light": "a quark or gluon jet without b and c",
}


@kernel
def _is_resonance(number: int) -> bool:
    return number == 6 or 23 <= number <= 25


@kernel
def _holds(number: int, digit: int) -> bool:
    """Whether a hadron's number has this quark in its quark content."""
    return number > 100 and (number // 1000 % 10 == digit or number // 100 % 10 == digit)


@kernel
def _near(eta: float, phi: float, other_eta: float, other_phi: float, radius: float) -> bool:
    dphi = abs(phi - other_phi)
    dphi = min(dphi, 2 * math.pi - dphi)
    return (eta - other_eta) ** 2 + dphi**2 < radius**2


@kernel
def _decay_flag(number: int, quarks: int, taus: int) -> int:
    """The flag of a resonance whose decay is wholly inside, 0 for decays that make no such jet."""
    if number == 6 and quarks == 3:
        return 1
    if number == 25 and quarks + taus >= 2:
        return 2
    if number == 24 and quarks == 2:
        return 4
    if number == 23 and quarks == 2:
        return 8
    return 0


@kernel
def _resonances(
    eta: np.ndarray,
    phi: np.ndarray,
    pdg_id: np.ndarray,
    status: np.ndarray,
    mother: np.ndarray,
    first: int,
    last: int,
    jet_eta: float,
    jet_phi: float,
    radius: float,
) -> int:
    """Flags of the resonances of one event whose decay lies within `radius` of one jet."""
    quarks = np.zeros(last - first, np.int64)
    taus = np.zeros(last - first, np.int64)
    lost = np.zeros(last - first, np.bool_)  # a daughter outside, or one that is no parton or tau
    for i in range(first, last):
        number = abs(pdg_id[i])
        above = mother[i]
        # daughters of the decay itself have statuses 21-29; photons that a W radiates have not
        if above < 0 or _is_resonance(number) or not 21 <= abs(status[i]) <= 29:
            continue
        if not _is_resonance(abs(pdg_id[first + above])):
            continue
        inside = _near(eta[i], phi[i], jet_eta, jet_phi, radius)
        parton, tau = number <= 5 or number == 21, number == 15
        before = 0
        while above >= 0 and _is_resonance(abs(pdg_id[first + above])):
            resonance = abs(pdg_id[first + above])
            if resonance != before:  # earlier copies of the same particle do not count again
                quarks[above] += parton
                taus[above] += tau
                lost[above] |= not (inside and (parton or tau))
            before = resonance
            above = mother[first + above]
    flags = 0
    for k in range(last - first):
        if not lost[k]:
            flags |= _decay_flag(abs(pdg_id[first + k]), quarks[k], taus[k])
    return flags


@kernel
def _flavour(
    pt: np.ndarray,
    eta: np.ndarray,
    phi: np.ndarray,
    pdg_id: np.ndarray,
    status: np.ndarray,
    first: int,
    last: int,
    jet: tuple[float, float],
    radii: tuple[float, float],
    hadron_pt: float,
) -> int:
    """Flags of taus, heavy hadrons and the hardest parton near one jet."""
    jet_eta, jet_phi = jet
    radius, hadron_radius = radii
    bottom = charm = tau = False
    parton, hardest = 0, 0.0
    for i in range(first, last):
        number = abs(pdg_id[i])
        outgoing = abs(status[i]) == 23 and (number <= 5 or number == 21)
        if outgoing and pt[i] > hardest and _near(eta[i], phi[i], jet_eta, jet_phi, radius):
            parton, hardest = number, pt[i]
        heavy = number == 15 or number > 400
        if heavy and pt[i] > hadron_pt and _near(eta[i], phi[i], jet_eta, jet_phi, hadron_radius):
            tau |= number == 15
            bottom |= status[i] < 0 and _holds(number, 5)
            charm |= status[i] < 0 and _holds(number, 4)
    bottom |= parton == 5
    charm = (charm or parton == 4) and not bottom
    flags = 16 * tau + 32 * bottom + 64 * charm
    flags += 128 * (parton == 21) + 256 * (1 <= parton <= 3)
    return flags + 512 * (parton > 0 and not bottom and not charm)


@kernel
def _flags(
    jet_eta: np.ndarray,
    jet_phi: np.ndarray,
    jet_at: np.ndarray,
    pt: np.ndarray,
    eta: np.ndarray,
    phi: np.ndarray,
    pdg_id: np.ndarray,
    status: np.ndarray,
    mother: np.ndarray,
    at: np.ndarray,
    radii: tuple[float, float],
    hadron_pt: float,
) -> np.ndarray:
    out = np.zeros(len(jet_eta), np.int32)
    for event in range(len(at) - 1):
        first, last = at[event], at[event + 1]
        for j in range(jet_at[event], jet_at[event + 1]):
            out[j] = _resonances(
                eta, phi, pdg_id, status, mother, first, last, jet_eta[j], jet_phi[j], radii[0]
            ) | _flavour(
                pt, eta, phi, pdg_id, status, first, last, (jet_eta[j], jet_phi[j]), radii,
                hadron_pt,
            )  # fmt: skip
    return out


def truth_flags(
    jets: ak.Array,
    truth: ak.Array,
    radius: float,
    *,
    hadron_radius: float = 0.3,
    hadron_pt: float = 5.0,
) -> ak.Array:
    """All that is true of each jet.

    Args:
        jets: lists of jets per event, with `eta` and `phi`.
        truth: lists of `truth` per event.
        radius: within which decays and partons must lie.
        hadron_radius: within which heavy hadrons and taus must lie.
        hadron_pt: their least pT [GeV].

    Returns:
        Lists of int32 per event, bit k for the k-th name of `TRUTHS`.

    Raises:
        ValueError: jets and truth of different events, or radii that are not positive.
    """
    if len(jets) != len(truth):
        message = f"jets of {len(jets)} events, truth of {len(truth)}; they must be the same"
        raise ValueError(message)
    if min(radius, hadron_radius) <= 0:
        message = f"radii must be positive, got {radius:g} and {hadron_radius:g}"
        raise ValueError(message)
    jet_at, at = (np.concatenate([[0], np.cumsum(ak.to_numpy(ak.num(a)))]) for a in (jets, truth))
    jet_eta, jet_phi = (ak.to_numpy(ak.flatten(jets[name])) for name in ("eta", "phi"))
    names = ("pt", "eta", "phi", "pdg_id", "status", "mother")
    pt, eta, phi, pdg_id, status, mother = (ak.to_numpy(ak.flatten(truth[n])) for n in names)
    radii = (float(radius), float(hadron_radius))
    flags = _flags(
        jet_eta, jet_phi, jet_at, pt, eta, phi, pdg_id, status, mother, at, radii, float(hadron_pt)
    )
    return ak.unflatten(flags, ak.num(jets))


def label_jets(jets: ak.Array, truth: ak.Array, names: tuple[str, ...], radius: float) -> ak.Array:
    """Whether one of these names is true of each jet.

    Args:
        jets: lists of jets per event.
        truth: lists of `truth` per event.
        names: keys of `TRUTHS`.
        radius: within which decays and partons must lie.

    Returns:
        Lists of booleans per event.

    Raises:
        ValueError: a name that is not in `TRUTHS`, or what `truth_flags` refuses.
    """
    unknown = [name for name in names if name not in TRUTHS]
    if unknown:
        message = f"unknown truth label {unknown[0]!r}; choose from {', '.join(TRUTHS)}"
        raise ValueError(message)
    wanted = sum(1 << list(TRUTHS).index(name) for name in names)
    return (truth_flags(jets, truth, radius) & wanted) != 0


def truth_names(flags: np.ndarray) -> np.ndarray:
    """The name of the highest precedence for each jet, "none" where nothing is true.

    Args:
        flags: (N,) from `truth_flags`.
    """
    names = np.array([*TRUTHS, "none"])
    bits = (flags[:, None] >> np.arange(len(TRUTHS))) & 1
    return names[np.where(bits.any(axis=1), bits.argmax(axis=1), len(TRUTHS))]
