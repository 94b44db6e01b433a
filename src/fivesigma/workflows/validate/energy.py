"""The energy balance of all particles of ttbar events."""

from __future__ import annotations

import numpy as np

from fivesigma.detector.flow import Particles
from fivesigma.detector.signals import Balance, stable, transport
from fivesigma.generation.options import Generation, seed_of
from fivesigma.generation.pythia import Generator
from fivesigma.plots.validation import shares
from fivesigma.results import Number, Result
from fivesigma.workflows.validate.checks import Check, section
from fivesigma.workflows.validate.setting import Setting

__all__ = ["energy_balance"]

_EVENTS = 200
#: particles go through in portions of so many events
_PORTION = 25
#: shares are those of particles within the calorimeters; most energy goes down the beam pipe
_ETA_MAX = 4.5
_KINDS = ("charged hadrons", "neutral hadrons", "photons", "electrons", "muons", "neutrinos")
_PLACES = ("tracker", "calorimeters", "muon system", "beside cells", "leaked", "lost")


def energy_balance(setting: Setting) -> Result:
    """Deposited, leaked and lost energy of each particle against what it brought."""
    rng, n = setting.rng(8), setting.count(_EVENTS)
    source = Generator(Generation("ttbar"), seed=seed_of(setting.seed, 8))
    worst, total, table = 0.0, 0, np.zeros((len(_KINDS), len(_PLACES)))
    for begin in range(0, n, _PORTION):
        count = min(_PORTION, n - begin)
        particles = stable(source.next(count).truth)
        balance = transport(particles, count, setting.detector, rng).balance
        worst = max(worst, _largest_deviation(balance))
        total += len(particles.event)
        kind, pt = _kinds(particles), np.hypot(particles.px, particles.py)
        inside = np.abs(particles.pz) < np.sinh(_ETA_MAX) * pt
        for column, energies in enumerate(balance[1:]):
            table[:, column] += np.bincount(kind[inside], energies[inside], len(_KINDS))
    check = Check(
        "energy/largest_deviation",
        Number(worst, note=f"of {total} particles"), 0.0, 1e-6, relative=False,
    )  # fmt: skip
    fractions = table / np.maximum(table.sum(axis=1, keepdims=True), 1e-12)
    every = table.sum(axis=0) / table.sum()
    rows = dict(zip((*_KINDS, "all"), (*fractions, every), strict=True))
    result = section(
        "Energy balance", [check],
        {"Where the energy of particles in ttbar events goes": shares(
            rows, _PLACES, "Share of the energy")},
        f"{total} stable particles of {n} ttbar events. The deviation is that of deposited + "
        "beside cells + leaked + lost from the energy that the particle can leave, over that "
        f"energy. Shares are of particles with |eta| < {_ETA_MAX:g}. Beside cells: where there "
        "are none, such as down the beam pipe.",
    )  # fmt: skip
    numbers = {
        f"energy/share/{place.replace(' ', '_')}": Number(float(share))
        for place, share in zip(_PLACES, every, strict=True)
    }
    return Result(
        result.title, {**result.numbers, **numbers}, result.figures, result.tables, result.note
    )


def _largest_deviation(balance: Balance) -> float:
    total = np.sum(balance[1:], axis=0)
    # a baryon at rest has nothing to leave
    return float(np.max(np.abs(total - balance.available) / np.maximum(balance.available, 1e-9)))


def _kinds(particles: Particles) -> np.ndarray:
    number = np.abs(particles.pdg_id)
    return np.select(
        [np.isin(number, (12, 14, 16)), number == 22, number == 11, number == 13,
         particles.charge != 0],
        [5, 2, 3, 4, 0], 1,
    )  # fmt: skip
