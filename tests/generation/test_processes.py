"""Every process of the catalogue starts and leads to the final state that its title promises."""

from collections import Counter
from collections.abc import Callable

import awkward as ak
import numpy as np
import pytest

from fivesigma.generation.processes import PROCESSES, process_named
from fivesigma.generation.pythia import Generation, Generator

QUARKS, LEPTONS, CHARGED, NEUTRINOS = {1, 2, 3, 4, 5}, {11, 13}, {11, 13, 15}, {12, 14, 16}
PARTONS = QUARKS | {21}


def only(*groups: set[int] | int) -> Callable[[Counter], bool]:
    """As many outgoing particles as groups, and each group is met by one of them."""

    def matches(content: Counter) -> bool:
        left = list(content.elements())
        for group in groups:
            allowed = group if isinstance(group, set) else {group}
            found = [number for number in left if number in allowed]
            if not found:
                return False
            left.remove(found[0])
        return not left

    return matches


def four_fermions(content: Counter) -> bool:
    return content.total() == 4 and set(content) <= QUARKS | CHARGED | NEUTRINOS


#: what leaves the hard process after the decays of resonances, without showers, by |PDG number|
OUTGOING = {
    "qcd": only(PARTONS, PARTONS),
    "light-quarks": only({1, 2, 3}, {1, 2, 3}),
    "gluons": only(21, 21),
    "charm": only(4, 4),
    "bottom": only(5, 5),
    "ttbar": lambda c: c.total() == 6 and c[6] == 0,
    "ttbar-hadronic": only(*[QUARKS] * 6),
    "ttbar-semileptonic": only(CHARGED, NEUTRINOS, *[QUARKS] * 4),
    "ttbar-dileptonic": only(CHARGED, CHARGED, NEUTRINOS, NEUTRINOS, QUARKS, QUARKS),
    "w-qq": only(QUARKS, QUARKS, PARTONS),
    "w-lnu": only(LEPTONS, {12, 14}),
    "w-taunu": only(15, 16),
    "z-qq": only(QUARKS, QUARKS, PARTONS),
    "z-bb": only(5, 5, PARTONS),
    "z-ll": lambda c: only(11, 11)(c) or only(13, 13)(c),
    "z-tautau": only(15, 15),
    "drell-yan": only(CHARGED, CHARGED),
    "w-jet": only(LEPTONS, {12, 14}, PARTONS),
    "z-jet": only(LEPTONS, LEPTONS, PARTONS),
    "gamma-jet": only(22, PARTONS),
    "gamma-gamma": only(22, 22),
    "ww": four_fermions,
    "wz": four_fermions,
    "zz": four_fermions,
    "h-bb": only(5, 5, PARTONS),
    "h-cc": only(4, 4, PARTONS),
    "h-gg": only(21, 21, PARTONS),
    "h-ww": lambda c: c.total() == 5,
    "h-tautau": only(15, 15),
    "h-gammagamma": only(22, 22),
    "h-4l": lambda c: c.total() == 4 and c[11] % 2 == 0 and c[11] + c[13] == 4,
    "zprime-ttbar": lambda c: c.total() == 6,
    "wprime-wz": four_fermions,
    "ee-z-qq": only(QUARKS, QUARKS),
    "ee-zh": lambda c: c.total() >= 4,
    "ee-ww": four_fermions,
}
#: processes whose content shows only after hadronisation: tested one by one below
HADRONIC = {"minimum-bias", "jpsi-mumu", "upsilon-mumu", "gun"}
#: the heavy particles that an event must hold
HEAVY = {
    "ttbar": {6: 2, 24: 2},
    "ww": {24: 2},
    "wz": {23: 1, 24: 1},
    "zz": {23: 2},
    "h-bb": {25: 1},
    "h-ww": {25: 1, 24: 2},
    "h-4l": {25: 1, 23: 2},
    "w-qq": {24: 1},
    "z-bb": {23: 1},
    "zprime-ttbar": {32: 1, 6: 2},
    "wprime-wz": {34: 1, 23: 1, 24: 1},
    "ee-zh": {23: 1, 25: 1},
    "ee-ww": {24: 2},
}


def hard_process(name: str, n: int = 6, **options) -> ak.Array:
    """Events without showers and hadronisation."""
    plain = Generation(name, mpi=False, isr=False, fsr=False, hadronization=False, **options)
    return Generator(plain, seed=11).next(n).truth


def contents(truth: ak.Array) -> list[Counter]:
    return [Counter(map(abs, event)) for event in truth.pdg_id.to_list()]


def test_every_process_has_its_expectation():
    assert set(OUTGOING) | HADRONIC == set(PROCESSES)


@pytest.mark.parametrize("name", OUTGOING)
def test_final_state(name):
    truth = hard_process(name)
    assert len(truth) == 6
    for content in contents(truth[(abs(truth.status) == 23) | (abs(truth.status) == 24)]):
        assert OUTGOING[name](content), content
    for content in contents(truth[truth.status == -22]):
        assert all(content[number] >= count for number, count in HEAVY.get(name, {}).items())


@pytest.mark.parametrize(("name", "boson"), [("w-qq", 24), ("z-bb", 23), ("h-bb", 25)])
def test_boosted_bosons_are_boosted(name, boson):
    truth = hard_process(name, pt_hat=(300.0, 400.0))
    pt = truth.pt[(abs(truth.pdg_id) == boson) & (truth.status == -22)]
    assert ak.all((pt > 299) & (pt < 401))


def test_a_pt_hat_range_boosts_what_is_inclusive_without():
    assert not ak.any(hard_process("z-ll").pt[:, 2] > 1)
    truth = hard_process("z-ll", pt_hat=(100.0, 150.0))
    assert ak.all(truth.pt[truth.pdg_id == 23] > 99)


@pytest.mark.parametrize(("name", "number"), [("zprime-ttbar", 32), ("wprime-wz", 34)])
def test_mass_of_the_resonance(name, number):
    truth = hard_process(name, n=20, mass=1200.0)
    masses = ak.flatten(truth.mass[abs(truth.pdg_id) == number])
    assert abs(np.median(masses) - 1200) < 40


@pytest.mark.parametrize(("name", "meson"), [("jpsi-mumu", 443), ("upsilon-mumu", 553)])
def test_quarkonia_decay_to_muons(name, meson):
    truth = Generator(Generation(name, mpi=False), seed=3).next(5).truth
    for event in truth:
        at = [i for i, number in enumerate(event.pdg_id) if number == meson][-1]
        assert sorted(event.pdg_id[event.mother == at]) == [-13, 13]


def test_unknown_process_names_the_choices():
    with pytest.raises(ValueError, match=r"'tbar'.*ttbar-hadronic"):
        process_named("tbar")
