"""What a user can choose about a generation, and the PYTHIA setting lines that follow from it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from math import inf, isfinite
from pathlib import Path
from typing import Literal

import numpy as np

from fivesigma.generation.processes import Process, process_named

__all__ = [
    "LHE_FILE",
    "Generation",
    "Gun",
    "is_lhe",
    "process_of",
    "seed_of",
    "settings_lines",
    "validate",
]

#: how the line begins that names an LHE file; the path follows
LHE_FILE = "Beams:LHEF = "

#: PYTHIA's seeds lie in 1 ... _SEEDS
_SEEDS = 900_000_000
_SHOWERS = {
    "default": (),
    "dipole": ("SpaceShower:dipoleRecoil = on",),
    "vincia": ("PartonShowers:model = 2",),
}
#: what flies further than a beam pipe is left to the detector: K0S, Lambda, charged pions
_LIFETIMES = ("ParticleDecays:limitTau0 = on", "ParticleDecays:tau0Max = 10.")


@dataclass(frozen=True)
class Gun:
    """Single particles from the origin, flat in pseudorapidity, azimuth and pT (or energy).

    Attributes:
        pdg_id: PDG numbers to pick from with equal chance; no quarks, gluons, or resonances.
        pt: range of the transverse momentum [GeV].
        energy: range of the energy [GeV]; takes the place of `pt`.
        eta: range of the pseudorapidity.
    """

    pdg_id: tuple[int, ...] = (13, -13)
    pt: tuple[float, float] = (1.0, 100.0)
    energy: tuple[float, float] | None = None
    eta: tuple[float, float] = (-2.5, 2.5)


@dataclass(frozen=True)
class Generation:
    """Which collisions to generate.

    Attributes:
        process: a name in `PROCESSES`, or the path of a PYTHIA `.cmnd` file or of an `.lhe` file.
        energy: centre-of-mass energy [GeV]; none: that of the process or file.
        pt_hat: range of the hard scattering's transverse momentum [GeV], the upper end may be
            infinite; none: that of the process.
        tune: number of PYTHIA's pp tune; none: its default (14, Monash).
        mpi: further parton interactions in the same collision.
        isr: initial-state radiation.
        fsr: final-state radiation.
        hadronization: hadronisation and decays; without it events end as partons.
        shower: PYTHIA's own shower, the same with dipole recoil, or Vincia.
        mass: mass of the Z' or W' [GeV]; none: that of the process.
        extra: further PYTHIA setting lines; they win over all of the above.
        gun: what the process `gun` shoots.
    """

    process: str = "qcd"
    energy: float | None = None
    pt_hat: tuple[float, float] | None = None
    tune: int | None = None
    mpi: bool = True
    isr: bool = True
    fsr: bool = True
    hadronization: bool = True
    shower: Literal["default", "dipole", "vincia"] = "default"
    mass: float | None = None
    extra: tuple[str, ...] = ()
    gun: Gun = field(default_factory=Gun)


def seed_of(seed: int, shard_index: int, stream: int = 0) -> int:
    """The seed of one shard's generator, in PYTHIA's range 1 ... 900 000 000.

    Args:
        seed: the dataset's seed, >= 0.
        shard_index: number of the shard, >= 0.
        stream: which of the shard's random sequences (0: hard process, 1: pile-up ...), >= 0.

    Example:
        >>> seed_of(1, 0) != seed_of(1, 1) != seed_of(1, 1, stream=1)
        True
    """
    words = np.random.SeedSequence([seed, shard_index, stream]).generate_state(1, np.uint64)
    return int(words[0] % _SEEDS) + 1


def process_of(options: Generation) -> Process:
    """The process chosen: an entry of the catalogue, or one made for a file.

    Raises:
        ValueError: unknown name, or a file that is not there.
    """
    path, from_lhe = Path(options.process), is_lhe(options.process)
    if not from_lhe and path.suffix != ".cmnd":
        return process_named(options.process)
    if not path.is_file():
        message = f"no file {options.process}; give the path of an existing .cmnd or .lhe file"
        raise ValueError(message)
    lines = _lhe_lines(path) if from_lhe else _lines_of(path)
    latex = rf"\mathrm{{{path.stem}}}"
    return Process(path.name, latex, lines, beams=(), energy=0.0, hard=not from_lhe)


def is_lhe(process: str) -> bool:
    """Whether this names an LHE file rather than a process."""
    return process.endswith((".lhe", ".lhe.gz"))


def settings_lines(options: Generation, seed: int) -> list[str]:
    """All setting lines given to PYTHIA, in order; they define the events completely.

    A `.cmnd` file's lines are among them, and of an LHE file a checksum, as a comment.

    Args:
        options: what to generate.
        seed: PYTHIA's seed, 1 ... 900 000 000.
    """
    process = process_of(options)
    pt_hat, mass = options.pt_hat or process.pt_hat, options.mass or process.mass
    energy = options.energy or process.energy
    lines = [f"Tune:pp = {options.tune}"] if options.tune is not None else []
    lines += [
        f"Beams:id{side} = {pdg_id}" for side, pdg_id in zip("AB", process.beams, strict=False)
    ]
    lines += process.recoil if pt_hat and process.recoil else process.production
    lines += process.decays
    if options.process == "gun":
        lines += ["ProcessLevel:all = off"]
    else:
        lines += [f"Beams:eCM = {energy}"] if energy else []
        lines += _collision_lines(options)
    if pt_hat:
        low, high = pt_hat
        lines += [f"PhaseSpace:pTHatMin = {low}"]
        lines += [f"PhaseSpace:pTHatMax = {high}"] if high < inf else []
    if mass:
        lines += [f"{process.resonance}:m0 = {mass}"]
    lines += [*_LIFETIMES, *options.extra]
    return [*lines, "Random:setSeed = on", f"Random:seed = {seed}", "Print:quiet = on"]


def _collision_lines(options: Generation) -> list[str]:
    """Switches of showers, multiparton interactions and hadronisation; PYTHIA's default is on."""
    switches = {
        "PartonLevel:MPI": options.mpi,
        "PartonLevel:ISR": options.isr,
        "PartonLevel:FSR": options.fsr,
        "HadronLevel:all": options.hadronization,
    }
    # without this, electron beams would still share their energy with collinear photons
    lepton = [] if options.isr else ["PDF:lepton = off"]
    off = [f"{name} = off" for name, on in switches.items() if not on]
    return [*off, *lepton, *_SHOWERS[options.shower]]


def _lines_of(path: Path) -> tuple[str, ...]:
    """The setting lines of a `.cmnd` file, one per setting, without comments."""
    text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"\{[^}]*\}", lambda braces: " ".join(braces[0].split()), text)
    return tuple(line.strip() for line in text.splitlines() if line.strip()[:1].isalnum())


def _lhe_lines(path: Path) -> tuple[str, ...]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return "Beams:frameType = 4", f"{LHE_FILE}{path}", f"! sha256 {digest}"


def validate(options: Generation) -> Process:
    """Check what can be judged without starting PYTHIA.

    Returns:
        The process chosen.

    Raises:
        ValueError: says what was got, what was expected and how to mend it.
    """
    process = process_of(options)
    _check_pt_hat(options, process)
    _check_energies(options, process)
    if options.shower not in _SHOWERS:
        message = f"unknown shower {options.shower!r}; choose from {', '.join(_SHOWERS)}"
        raise ValueError(message)
    for line in (*process.production, *options.extra):
        if line.strip().lower().startswith("init:plugins"):
            message = f"the line {line!r} would run code from a file; plugins are not supported"
            raise ValueError(message)
    if options.process == "minimum-bias" and not options.mpi:
        message = "minimum-bias is made of multiparton interactions; leave mpi on"
        raise ValueError(message)
    if options.process == "gun":
        _check_gun(options.gun)
    elif options.gun != Gun():
        message = f"gun options are set for the process {options.process!r}; choose gun"
        raise ValueError(message)
    return process


def _check_pt_hat(options: Generation, process: Process) -> None:
    if options.pt_hat is None:
        return
    if not process.has_pt_hat:
        message = f"{options.process}: this process has no pT-hat; leave pt_hat out"
        raise ValueError(message)
    low, high = options.pt_hat
    if not 0 <= low < high:
        message = f"pt_hat {options.pt_hat}: expected (min, max) with 0 <= min < max, in GeV"
        raise ValueError(message)


def _check_energies(options: Generation, process: Process) -> None:
    fixed = options.process == "gun" or is_lhe(options.process)
    if fixed and options.energy is not None:
        message = f"{options.process}: has no beam energy to set; leave energy out"
        raise ValueError(message)
    if options.mass is not None and not process.resonance:
        message = f"{options.process}: has no mass to set; leave mass out"
        raise ValueError(message)
    for name in ("energy", "mass"):
        value = getattr(options, name)
        if value is not None and not (value > 0 and isfinite(value)):
            message = f"{name} {value:g} GeV: expected a positive number"
            raise ValueError(message)
    energy, mass = options.energy or process.energy, options.mass or process.mass
    low = (options.pt_hat or process.pt_hat or (0.0, inf))[0]
    for name, needed in (("mass", mass), ("smallest pT-hat", 2 * low)):
        if energy and needed >= energy:
            message = f"{options.process}: {energy:g} GeV is too little for the {name} asked for"
            raise ValueError(message)


def _check_gun(gun: Gun) -> None:
    ranges = {"pt": gun.pt, "eta": gun.eta} | ({"energy": gun.energy} if gun.energy else {})
    for name, (low, high) in ranges.items():
        if not (isfinite(low) and isfinite(high) and low <= high and (name == "eta" or low > 0)):
            least = "" if name == "eta" else "0 < "
            message = f"gun.{name} ({low:g}, {high:g}): expected {least}min <= max, both finite"
            raise ValueError(message)
    if not gun.pdg_id:
        message = "gun.pdg_id is empty; give at least one PDG number"
        raise ValueError(message)
