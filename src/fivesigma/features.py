"""Network inputs, each written once as a formula over an array library that is passed in.

The formulas serve NumPy (flat arrays, for batches) and torch (padded arrays, for export) alike.
Each has the form `formula(xp, c, j)`: `xp` is the array library, `c` a namespace of constituent
arrays (the fields of `particles` and what `derive` adds), `j` a namespace of the jets' values,
broadcast to the constituents. A network sees `(value - mean) * scale`, clipped to +-`clip`. Where
`mean` is None, both constants are learned on the training jets.

Sources: ParticleNet and ParT inputs with their constants arXiv:1902.08570, arXiv:2202.03772;
energy-flow inputs arXiv:1810.05165.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple
from weakref import proxy

__all__ = [
    "FEATURES",
    "FEATURE_SETS",
    "OBSERVABLES",
    "Feature",
    "derive",
    "derive_centred",
    "energy",
    "orient",
    "shared",
    "wrap",
]

Formula = Callable[[Any, Any, Any], Any]


class Feature(NamedTuple):
    """One network input: `(formula - mean) * scale`, clipped to +-clip."""

    formula: Formula
    meaning: str
    mean: float | None = 0.0
    scale: float | None = 1.0
    clip: float = 5.0


def wrap(angle: Any) -> Any:
    """Angles [rad] brought to [-pi, pi]; works on arrays of any library."""
    turns = (angle / (2 * math.pi)).round()
    # pi comes and goes so that values round as those of (angle + pi) % (2 pi) - pi, which is slow
    return (angle + math.pi) - 2 * math.pi * turns - math.pi


def energy(xp: Any, one: Any) -> Any:
    """Energies [GeV] of what has `pt eta mass`."""
    grown = xp.exp(one.eta)  # NumPy's exp is six times faster than its cosh
    return xp.sqrt((0.5 * one.pt * (grown + 1 / grown)) ** 2 + one.mass**2)


def derive(xp: Any, c: Any, j: Any) -> None:
    """Add what the formulas share: `energy` [GeV] to both, `deta`, `dphi` and `dr` to `c`.

    They are taken from the jet axis; `deta` is multiplied by the sign of the jet's pseudorapidity
    (1 at 0), so that both halves of the detector look the same (arXiv:2202.03772).

    Args:
        xp: the array library.
        c: namespace with `pt eta phi mass` of constituents [GeV, rad], changed in place.
        j: namespace with `pt eta phi mass` of their jets, broadcastable to `c`, changed in place;
            an `energy` that it has already is kept.
    """
    c.energy = energy(xp, c)
    if "energy" not in vars(j):
        j.energy = energy(xp, j)
    c.deta = xp.where(j.eta < 0, j.eta - c.eta, c.eta - j.eta)
    c.dphi = wrap(c.phi - j.phi)
    c.dr = xp.sqrt(c.deta**2 + c.dphi**2)


def derive_centred(c: Any, j: Any, total: Callable[[Any], Any]) -> None:
    """Add the pT sum of the constituents and their coordinates about the pT-weighted centroid.

    Args:
        c: namespace after `derive`; gains `eta_centred` and `phi_centred`.
        j: namespace of the jets; gains `sum_pt` [GeV].
        total: sums an array over the constituents of each jet and broadcasts the sum back to them.
    """
    j.sum_pt = total(c.pt)
    eta, phi = c.eta - j.eta, c.dphi
    c.eta_centred = eta - total(c.pt * eta) / j.sum_pt
    c.phi_centred = phi - total(c.pt * phi) / j.sum_pt


def orient(xp: Any, c: Any, total: Callable[[Any], Any]) -> None:
    """Add the coordinates in each jet's own frame, `eta_oriented` and `phi_oriented`, to `c`.

    Turned about the centroid so that the principal axis of the pT-weighted covariance lies along
    the first coordinate, then mirrored so that of the four quadrants the one with most pT has
    both coordinates positive (the frame of jet images, arXiv:1902.09914).

    Args:
        xp: the array library.
        c: namespace after `derive_centred`, changed in place.
        total: sums an array over the constituents of each jet and broadcasts the sum back to them.
    """
    pt, x, y = c.pt, c.eta_centred, c.phi_centred
    angle = 0.5 * xp.arctan2(2 * total(pt * x * y), total(pt * (x**2 - y**2)))
    cos, sin = xp.cos(angle), xp.sin(angle)
    x, y = cos * x + sin * y, cos * y - sin * x
    right, upper = x > 0, y > 0
    upper_right, lower_right = total(pt * (right & upper)), total(pt * (right & ~upper))
    upper_left, lower_left = total(pt * (~right & upper)), total(pt * (~right & ~upper))
    most_right = xp.maximum(upper_right, lower_right) >= xp.maximum(upper_left, lower_left)
    most_upper = xp.maximum(upper_right, upper_left) >= xp.maximum(lower_right, lower_left)
    c.eta_oriented = xp.where(most_right, x, -x)
    c.phi_oriented = xp.where(most_upper, y, -y)


#: what `derive`, `derive_centred` and `orient` add to constituents
_ADDED = (
    *("energy", "deta", "dphi", "dr"),
    *("eta_centred", "phi_centred", "eta_oriented", "phi_oriented"),
)


class _Columns(SimpleNamespace):
    """Arrays by name; `stages` add more of them, and run when an array is asked for in vain.

    What can be called gives its array when it is asked for.
    """

    __slots__ = ("__weakref__", "_later", "_stages")  # so that `vars` gives arrays alone

    def __init__(self, stages: list[Callable[[], None]], columns: Mapping[str, Any]) -> None:
        super().__init__(**{name: v for name, v in columns.items() if not callable(v)})
        self._later = {name: v for name, v in columns.items() if callable(v)}
        self._stages = stages

    def __getattr__(self, name: str) -> Any:
        if name in self._later:
            setattr(self, name, self._later[name]())
            return vars(self)[name]
        while self._stages:
            self._stages.pop(0)()
            if name in vars(self):
                return vars(self)[name]
        raise AttributeError(name=name, obj=self)


def shared(
    xp: Any,
    c: Mapping[str, Any],
    j: Mapping[str, Any],
    total: Callable[[Any], Any],
    derived: Mapping[str, Any] | None = None,
) -> tuple[SimpleNamespace, SimpleNamespace]:
    """Namespaces for formulas, where `derive`, `derive_centred` and `orient` run at first need.

    Args:
        xp: the array library.
        c: arrays of constituents by name, at least `pt eta phi mass` [GeV, rad]; what is computed
            here is not taken from them.
        j: arrays of their jets, or functions that give them, likewise, broadcastable to `c`; an
            `energy` [GeV] is kept.
        total: sums an array over the constituents of each jet and broadcasts the sum back to them.
        derived: what `derive` would add to the constituents, where it is known.

    Returns:
        Namespaces of the constituents and of the jets.
    """
    stages: list[Callable[[], None]] = []
    own = {name: array for name, array in c.items() if name not in _ADDED} | dict(derived or {})
    of_constituents, of_jets = _Columns(stages, own), _Columns(stages, j)
    # weak, or the cycle would keep all arrays in memory until the garbage collector runs
    weak_c, weak_j = proxy(of_constituents), proxy(of_jets)
    if derived is None:
        stages.append(lambda: derive(xp, weak_c, weak_j))
    stages += [
        lambda: derive_centred(weak_c, weak_j, total),
        lambda: orient(xp, weak_c, total),
    ]
    return of_constituents, of_jets


def _among(numbers: tuple[int, ...], c: Any) -> Any:
    """True where |PDG number| is one of these."""
    found = abs(c.pdg_id) == numbers[0]
    for number in numbers[1:]:
        found = found | (abs(c.pdg_id) == number)
    return found


def _is(*numbers: int) -> Formula:
    """1 where |PDG number| is one of these, else 0."""

    return lambda xp, c, j: 1.0 * _among(numbers, c)


def _is_hadron(charged: bool) -> Formula:
    """1 for what is no lepton and no photon, and charged or neutral as asked."""

    def formula(xp: Any, c: Any, j: Any) -> Any:
        right_charge = (c.charge != 0) if charged else (c.charge == 0)
        return 1.0 * (right_charge & ~_among((11, 13, 22), c))

    return formula


#: inputs of one constituent
FEATURES: dict[str, Feature] = {
    "log_pt": Feature(lambda xp, c, j: xp.log(c.pt), "log of pT [GeV]", 1.7, 0.7),
    "log_energy": Feature(lambda xp, c, j: xp.log(c.energy), "log of the energy [GeV]", 2.0, 0.7),
    "log_pt_rel": Feature(lambda xp, c, j: xp.log(c.pt / j.pt), "log of pT / pT(jet)", -4.7, 0.7),
    "log_energy_rel": Feature(
        lambda xp, c, j: xp.log(c.energy / j.energy), "log of E / E(jet)", -4.7, 0.7
    ),
    "dr": Feature(lambda xp, c, j: c.dr, "distance to the jet axis", 0.2, 4.0),
    "deta": Feature(lambda xp, c, j: c.deta, "pseudorapidity from the jet axis, outwards"),
    "dphi": Feature(lambda xp, c, j: c.dphi, "azimuth from the jet axis [rad]"),
    "z": Feature(lambda xp, c, j: c.pt / j.sum_pt, "share of the constituents' summed pT"),
    "deta_c": Feature(lambda xp, c, j: c.eta_centred, "eta from the pT-weighted centroid"),
    "dphi_c": Feature(lambda xp, c, j: c.phi_centred, "phi from the pT-weighted centroid [rad]"),
    "deta_rot": Feature(lambda xp, c, j: c.eta_oriented, "first coordinate, see `orient`", 0, 4),
    "dphi_rot": Feature(lambda xp, c, j: c.phi_oriented, "second coordinate, likewise", 0, 4),
    "px_rel": Feature(lambda xp, c, j: c.pt * xp.cos(c.phi) / j.pt, "px / pT(jet)", None, None),
    "py_rel": Feature(lambda xp, c, j: c.pt * xp.sin(c.phi) / j.pt, "py / pT(jet)", None, None),
    "pz_rel": Feature(lambda xp, c, j: c.pt * xp.sinh(c.eta) / j.pt, "pz / pT(jet)", None, None),
    "energy_rel": Feature(lambda xp, c, j: c.energy / j.energy, "E / E(jet)", None, None),
    "px": Feature(lambda xp, c, j: c.pt * xp.cos(c.phi), "px [GeV]", clip=math.inf),
    "py": Feature(lambda xp, c, j: c.pt * xp.sin(c.phi), "py [GeV]", clip=math.inf),
    "pz": Feature(lambda xp, c, j: c.pt * xp.sinh(c.eta), "pz [GeV]", clip=math.inf),
    "energy": Feature(lambda xp, c, j: c.energy, "energy [GeV]", clip=math.inf),
    "charge": Feature(lambda xp, c, j: c.charge, "electric charge [e]"),
    "is_charged_hadron": Feature(_is_hadron(charged=True), "1 for a charged hadron"),
    "is_neutral_hadron": Feature(_is_hadron(charged=False), "1 for a neutral hadron"),
    "is_photon": Feature(_is(22), "1 for a photon"),
    "is_electron": Feature(_is(11), "1 for an electron"),
    "is_muon": Feature(_is(13), "1 for a muon"),
    # objects of events, see `reconstruction.objects`
    "is_tau": Feature(_is(15), "1 for a tau lepton"),
    "is_jet": Feature(_is(91), "1 for a jet"),
    "is_fatjet": Feature(_is(92), "1 for a large jet"),
    "is_met": Feature(_is(12), "1 for the missing momentum"),
    "btag": Feature(lambda xp, c, j: c.btag, "score of a b tagger"),
    "eta": Feature(lambda xp, c, j: c.eta, "pseudorapidity"),
    "sin_phi": Feature(lambda xp, c, j: xp.sin(c.phi), "sine of the azimuth"),
    "cos_phi": Feature(lambda xp, c, j: xp.cos(c.phi), "cosine of the azimuth"),
    "log_mass": Feature(
        lambda xp, c, j: xp.log(xp.clip(c.mass, 0.1, None)), "log of the mass [GeV], 0.1 at least"
    ),
    "tanh_d0": Feature(lambda xp, c, j: xp.tanh(c.d0), "tanh of d0 [mm]"),
    "tanh_dz": Feature(lambda xp, c, j: xp.tanh(c.dz), "tanh of dz [mm]"),
    "d0_error": Feature(lambda xp, c, j: xp.clip(c.d0_error, 0, 1), "error of d0 [mm], at most 1"),
    "dz_error": Feature(lambda xp, c, j: xp.clip(c.dz_error, 0, 1), "error of dz [mm], at most 1"),
}

#: usual sets of them, by name
FEATURE_SETS: dict[str, tuple[str, ...]] = {
    "kin": ("log_pt", "log_energy", "log_pt_rel", "log_energy_rel", "dr", "deta", "dphi"),
    "full": (
        *("log_pt", "log_energy", "log_pt_rel", "log_energy_rel", "dr", "charge"),
        *("is_charged_hadron", "is_neutral_hadron", "is_photon", "is_electron", "is_muon"),
        *("tanh_d0", "d0_error", "tanh_dz", "dz_error", "deta", "dphi"),
    ),
    "kin-rot": (
        *("log_pt", "log_energy", "log_pt_rel", "log_energy_rel", "dr"),
        *("deta_rot", "dphi_rot"),
    ),
    "energy-flow": ("z", "deta_c", "dphi_c"),
    "energy-flow-rot": ("z", "deta_rot", "dphi_rot"),
    # objects of a whole event
    "objects": (
        *("log_pt", "log_energy", "log_mass", "eta", "sin_phi", "cos_phi", "charge", "btag"),
        *("is_jet", "is_fatjet", "is_electron", "is_muon", "is_tau", "is_photon", "is_met"),
    ),
    # nine that a trigger has at hand: kinematics, share of the jet, charge, displacement
    "trigger": (
        *("log_pt", "log_energy", "log_pt_rel", "z", "deta", "dphi", "dr"),
        *("charge", "tanh_d0"),
    ),
}


def _field(name: str) -> Formula:
    return lambda xp, c, j: getattr(j, name)


#: inputs of a whole jet; its pT and direction, artefacts of how samples are made, stay out
OBSERVABLES: dict[str, Feature] = {
    name: Feature(formula, meaning, None, None, clip=10.0)
    for name, formula, meaning in (
        ("mass", _field("mass"), "jet mass [GeV]"),
        ("softdrop_mass", _field("softdrop_mass"), "soft-drop mass [GeV]"),
        ("softdrop_ratio", lambda xp, c, j: j.softdrop_mass / j.mass, "soft-drop mass / mass"),
        ("mass_over_pt", lambda xp, c, j: j.mass / j.pt, "mass / pT"),
        ("tau1", _field("tau1"), "1-subjettiness"),
        ("tau2", _field("tau2"), "2-subjettiness"),
        ("tau3", _field("tau3"), "3-subjettiness"),
        ("tau4", _field("tau4"), "4-subjettiness"),
        ("tau21", _field("tau21"), "tau2 / tau1"),
        ("tau32", _field("tau32"), "tau3 / tau2"),
        ("tau43", _field("tau43"), "tau4 / tau3"),
        ("c2", _field("c2"), "energy-correlation ratio C2"),
        ("d2", _field("d2"), "energy-correlation ratio D2"),
        ("n2", _field("n2"), "energy-correlation ratio N2"),
        ("ptd", _field("ptd"), "sqrt(sum pT^2) / sum pT"),
        ("width", _field("width"), "pT-weighted mean distance to the axis"),
        ("multiplicity", _field("multiplicity"), "number of constituents"),
    )
}
