r"""The catalogue of collision processes: one literal table, `PROCESSES`.

An entry names PYTHIA's own switches. Where the plain production is 2 -> 1, such as q qbar -> Z,
the boson has no transverse momentum at lowest order; `recoil` then names the 2 -> 2 production
against a quark or gluon, which is taken as soon as there is a pT-hat range: that is how boosted W,
Z and H are made.

Cross-sections are PYTHIA's leading-order ones. They include the branching ratios of top, W, Z, H,
Z', W'; those of hadrons are put in by `Process.branching_ratio`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import inf

__all__ = ["PROCESSES", "Process", "process_named"]


@dataclass(frozen=True)
class Process:
    """One entry of the catalogue.

    Attributes:
        title: what happens, in plain text.
        latex: the same for plots, to stand between dollar signs.
        production: PYTHIA setting lines that switch the production on.
        decays: setting lines that choose decay channels.
        recoil: production against a parton, in place of `production` when there is a pT-hat range.
        pt_hat: range of the hard scattering's transverse momentum when none is asked for [GeV].
        hard: `production` is 2 -> 2, so a pT-hat range can be asked for; implied by `pt_hat`.
        beams: PDG numbers of the beams; empty: no beams.
        energy: centre-of-mass energy taken when none is asked for [GeV].
        resonance: PDG number of the particle whose mass can be chosen, 0: none.
        mass: that mass when none is asked for [GeV].
        branching_ratio: of a hadron's decay, which PYTHIA's cross-section does not count.
        accept: given the PDG numbers of the outgoing particles after resonance decays, whether the
            event is of this process; others are dropped before the shower and not counted in the
            cross-section.
        note: what a user should know.
    """

    title: str
    latex: str
    production: tuple[str, ...] = ()
    decays: tuple[str, ...] = ()
    recoil: tuple[str, ...] = ()
    pt_hat: tuple[float, float] | None = None
    hard: bool = False
    beams: tuple[int, ...] = (2212, 2212)
    energy: float = 13_000.0
    resonance: int = 0
    mass: float = 0.0
    branching_ratio: float = 1.0
    accept: Callable[[Sequence[int]], bool] | None = field(default=None, repr=False)
    note: str = ""

    @property
    def has_pt_hat(self) -> bool:
        """Whether a pT-hat range can be asked for."""
        return self.hard or bool(self.recoil or self.pt_hat)


def _any(parent: int, *daughters: int) -> tuple[str, ...]:
    """Decays of `parent` to at least one of these; antiparticles are meant too."""
    return f"{parent}:onMode = off", f"{parent}:onIfAny = {' '.join(map(str, daughters))}"


def _pair(parent: int, *daughters: int) -> tuple[str, ...]:
    """Decays of `parent` to exactly these."""
    return f"{parent}:onMode = off", f"{parent}:onIfMatch = {' '.join(map(str, daughters))}"


def _light_only(outgoing: Sequence[int]) -> bool:
    return all(abs(number) <= 3 for number in outgoing)


def _one_lepton(outgoing: Sequence[int]) -> bool:
    return sum(abs(number) in (11, 13, 15) for number in outgoing) == 1


_QUARKS = (1, 2, 3, 4, 5)
_LEPTONS = (11, 13)
_CHARGED = (11, 13, 15)
_EE = (11, -11)
_TTBAR = ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on")
_Z_ONLY = "WeakZ0:gmZmode = 2"
_W_JET = ("WeakBosonAndParton:qqbar2Wg = on", "WeakBosonAndParton:qg2Wq = on")
_Z_JET = ("WeakBosonAndParton:qqbar2gmZg = on", "WeakBosonAndParton:qg2gmZq = on", _Z_ONLY)
#: the full top loop: the point-like coupling would overshoot at high pT
_H_JET = ("HiggsSM:gg2Hg(l:t) = on", "HiggsSM:qg2Hq(l:t) = on", "HiggsSM:qqbar2Hg(l:t) = on")
#: boson -> its 2 -> 1 production and that against a parton
_PRODUCTION = {
    23: (("WeakSingleBoson:ffbar2gmZ = on", _Z_ONLY), _Z_JET),
    24: (("WeakSingleBoson:ffbar2W = on",), _W_JET),
    25: (("HiggsSM:gg2H = on",), _H_JET),
}


def _boson(boson: int, title: str, latex: str, decays: tuple[str, ...], note: str = "") -> Process:
    """W, Z or H on its own; boosted where a pT-hat range is asked for."""
    production, recoil = _PRODUCTION[boson]
    return Process(f"pp -> {title}", latex, production, decays, recoil, note=note)


def _boosted(
    boson: int, title: str, latex: str, decays: tuple[str, ...], note: str = ""
) -> Process:
    """W, Z or H with high transverse momentum also where no range is asked for."""
    return replace(_boson(boson, f"{title}, boosted", latex, decays, note), pt_hat=(200.0, inf))


def _onium(name: str, states: int, quarks: str) -> tuple[str, ...]:
    """Direct production of the lowest of PYTHIA's 3S1 states, colour singlet and octet."""
    switches = ",".join(["on"] + ["off"] * (states - 1))
    octet = ("3S1(8)", "1S0(8)", "3PJ(8)")
    channels = (
        *(f"gg2{quarks}(3S1)[{wave}]g" for wave in ("3S1(1)", *octet)),
        *(f"qg2{quarks}(3S1)[{wave}]q" for wave in octet),
        *(f"qqbar2{quarks}(3S1)[{wave}]g" for wave in octet),
    )
    return tuple(f"{name}:{channel} = {switches}" for channel in channels)


#: name -> process
PROCESSES: dict[str, Process] = {
    # jets
    "qcd": Process(
        "pp -> two jets, all QCD processes",
        r"pp \to jj",
        ("HardQCD:all = on",),
        pt_hat=(20.0, inf),
    ),
    "light-quarks": Process(
        "pp -> two jets of u, d, s quarks",
        r"pp \to qq",
        ("HardQCD:gg2qqbar = on", "HardQCD:qq2qq = on", "HardQCD:qqbar2qqbarNew = on"),
        pt_hat=(20.0, inf),
        accept=_light_only,
        note="scatterings that leave a charm or bottom quark of the proton are dropped",
    ),
    "gluons": Process(
        "pp -> two gluon jets",
        r"pp \to gg",
        ("HardQCD:gg2gg = on", "HardQCD:qqbar2gg = on"),
        pt_hat=(20.0, inf),
    ),
    "charm": Process(
        "pp -> c cbar",
        r"pp \to c\bar{c}",
        ("HardQCD:hardccbar = on",),
        pt_hat=(20.0, inf),
        note="pair creation; charm from gluon splitting in the shower is part of qcd",
    ),
    "bottom": Process(
        "pp -> b bbar",
        r"pp \to b\bar{b}",
        ("HardQCD:hardbbbar = on",),
        pt_hat=(20.0, inf),
        note="pair creation; bottom from gluon splitting in the shower is part of qcd",
    ),
    "minimum-bias": Process(
        "pp -> anything, inelastic",
        r"pp \to X",
        ("SoftQCD:inelastic = on",),
        note="non-diffractive and diffractive; what pile-up is made of",
    ),
    # top
    "ttbar": Process("pp -> t tbar", r"pp \to t\bar{t}", _TTBAR, hard=True),
    "ttbar-hadronic": Process(
        "pp -> t tbar, both W -> q qbar",
        r"t\bar{t} \to bq\bar{q}\,\bar{b}q\bar{q}",
        _TTBAR,
        _any(24, *_QUARKS),
        hard=True,
    ),
    "ttbar-semileptonic": Process(
        "pp -> t tbar, one W -> l nu",
        r"t\bar{t} \to b\ell\nu\,bq\bar{q}",
        _TTBAR,
        hard=True,
        accept=_one_lepton,
        note="e, mu and tau, of either charge",
    ),
    "ttbar-dileptonic": Process(
        "pp -> t tbar, both W -> l nu",
        r"t\bar{t} \to b\ell\nu\,b\ell\nu",
        _TTBAR,
        _any(24, *_CHARGED),
        hard=True,
        note="e, mu and tau",
    ),
    # W and Z
    "w-qq": _boosted(24, "W -> q qbar", r"W \to q\bar{q}", _any(24, *_QUARKS)),
    "w-lnu": _boson(24, "W -> l nu", r"W \to \ell\nu", _any(24, *_LEPTONS), "e and mu"),
    "w-taunu": _boson(24, "W -> tau nu", r"W \to \tau\nu", _any(24, 15)),
    "z-qq": _boosted(23, "Z -> q qbar", r"Z \to q\bar{q}", _any(23, *_QUARKS)),
    "z-bb": _boosted(23, "Z -> b bbar", r"Z \to b\bar{b}", _any(23, 5)),
    "z-ll": _boson(23, "Z -> l l", r"Z \to \ell\ell", _any(23, *_LEPTONS), "e and mu, no photon"),
    "z-tautau": _boson(23, "Z -> tau tau", r"Z \to \tau\tau", _any(23, 15), "no photon exchange"),
    "drell-yan": Process(
        "pp -> gamma*/Z -> l l, m > 50 GeV",
        r"\gamma^*/Z \to \ell\ell",
        ("WeakSingleBoson:ffbar2gmZ = on", "PhaseSpace:mHatMin = 50"),
        _any(23, *_CHARGED),
        note="e, mu and tau, with interference",
    ),
    "w-jet": Process(
        "pp -> W + jet, W -> l nu",
        r"W(\ell\nu) + j",
        _W_JET,
        _any(24, *_LEPTONS),
        pt_hat=(30.0, inf),
    ),
    "z-jet": Process(
        "pp -> Z + jet, Z -> l l",
        r"Z(\ell\ell) + j",
        _Z_JET,
        _any(23, *_LEPTONS),
        pt_hat=(30.0, inf),
    ),
    "gamma-jet": Process(
        "pp -> gamma + jet",
        r"\gamma + j",
        ("PromptPhoton:qg2qgamma = on", "PromptPhoton:qqbar2ggamma = on"),
        pt_hat=(30.0, inf),
    ),
    "gamma-gamma": Process(
        "pp -> gamma gamma",
        r"pp \to \gamma\gamma",
        ("PromptPhoton:ffbar2gammagamma = on", "PromptPhoton:gg2gammagamma = on"),
        pt_hat=(30.0, inf),
    ),
    "ww": Process("pp -> W W", r"pp \to WW", ("WeakDoubleBoson:ffbar2WW = on",), hard=True),
    "wz": Process(
        "pp -> W Z", r"pp \to WZ", ("WeakDoubleBoson:ffbar2ZW = on", _Z_ONLY), hard=True
    ),
    "zz": Process(
        "pp -> Z Z", r"pp \to ZZ", ("WeakDoubleBoson:ffbar2gmZgmZ = on", _Z_ONLY), hard=True
    ),
    # Higgs
    "h-bb": _boosted(25, "H -> b bbar", r"H \to b\bar{b}", _any(25, 5)),
    "h-cc": _boosted(25, "H -> c cbar", r"H \to c\bar{c}", _any(25, 4)),
    "h-gg": _boosted(25, "H -> g g", r"H \to gg", _any(25, 21)),
    "h-ww": _boosted(25, "H -> W W", r"H \to WW^*", _any(25, 24), "all decays of the W"),
    "h-tautau": _boson(25, "H -> tau tau", r"H \to \tau\tau", _any(25, 15)),
    "h-gammagamma": _boson(25, "H -> gamma gamma", r"H \to \gamma\gamma", _pair(25, 22, 22)),
    "h-4l": _boson(
        25,
        "H -> Z Z -> 4 l",
        r"H \to ZZ^* \to 4\ell",
        _pair(25, 23, 23) + _any(23, *_LEPTONS),
        "e and mu",
    ),
    # quarkonia
    "jpsi-mumu": Process(
        "pp -> J/psi -> mu mu, direct",
        r"J/\psi \to \mu\mu",
        _onium("Charmonium", 2, "ccbar"),
        _pair(443, 13, -13),
        pt_hat=(5.0, inf),
        branching_ratio=0.05961,
        note="without feed-down from heavier states",
    ),
    "upsilon-mumu": Process(
        "pp -> Upsilon(1S) -> mu mu, direct",
        r"\Upsilon \to \mu\mu",
        _onium("Bottomonium", 3, "bbbar"),
        _pair(553, 13, -13),
        pt_hat=(5.0, inf),
        branching_ratio=0.0248,
        note="without feed-down from heavier states",
    ),
    # new gauge bosons
    "zprime-ttbar": Process(
        "pp -> Z' -> t tbar",
        r"Z' \to t\bar{t}",
        ("NewGaugeBoson:ffbar2gmZZprime = on", "Zprime:gmZmode = 3"),
        _any(32, 6),
        resonance=32,
        mass=2000.0,
        note="couplings of the Standard Model's Z",
    ),
    "wprime-wz": Process(
        "pp -> W' -> W Z",
        r"W' \to WZ",
        ("NewGaugeBoson:ffbar2Wprime = on", "Wprime:coup2WZ = 1"),
        _any(34, 23),
        resonance=34,
        mass=2000.0,
    ),
    # electrons and positrons
    "ee-z-qq": Process(
        "e+ e- -> Z -> q qbar",
        r"e^+e^- \to q\bar{q}",
        ("WeakSingleBoson:ffbar2gmZ = on",),
        _any(23, *_QUARKS),
        beams=_EE,
        energy=91.188,
    ),
    "ee-zh": Process(
        "e+ e- -> Z H",
        r"e^+e^- \to ZH",
        ("HiggsSM:ffbar2HZ = on",),
        beams=_EE,
        energy=240.0,
        hard=True,
    ),
    "ee-ww": Process(
        "e+ e- -> W W",
        r"e^+e^- \to WW",
        ("WeakDoubleBoson:ffbar2WW = on",),
        beams=_EE,
        energy=240.0,
        hard=True,
    ),
    # no collision
    "gun": Process("single particles", r"\mathrm{single\ particles}", beams=(), energy=0.0),
}


def process_named(name: str) -> Process:
    """The process of that name.

    Raises:
        ValueError: there is none; the message lists the choices.
    """
    if name not in PROCESSES:
        message = (
            f"unknown process {name!r}; choose from {', '.join(PROCESSES)}, "
            "or give the path of a PYTHIA .cmnd file or of an .lhe file"
        )
        raise ValueError(message)
    return PROCESSES[name]
