"""What is refused before PYTHIA generates anything, and the lines that it is given."""

import numpy as np
import pytest

from fivesigma.generation.options import Generation, Gun, seed_of, settings_lines
from fivesigma.generation.pythia import check

REFUSED = [
    ({"process": "tbar"}, "unknown process 'tbar'; choose from qcd"),
    ({"process": "absent.cmnd"}, "no file absent.cmnd"),
    ({"process": "absent.lhe"}, "no file absent.lhe"),
    ({"pt_hat": (500.0, 400.0)}, "0 <= min < max"),
    ({"pt_hat": (float("nan"), 400.0)}, "0 <= min < max"),
    ({"pt_hat": (7000.0, 8000.0)}, "too little for the smallest pT-hat"),
    ({"process": "drell-yan", "pt_hat": (20.0, 40.0)}, "has no pT-hat"),
    ({"process": "zprime-ttbar", "mass": 14_000.0}, "too little for the mass"),
    ({"process": "ttbar", "mass": 175.0}, "no mass to set"),
    ({"energy": -13_000.0}, "positive"),
    ({"process": "ttbar", "energy": 50.0}, "vanishing cross sections"),
    ({"process": "gun", "energy": 100.0}, "no beam energy"),
    ({"process": "gun", "gun": Gun(pdg_id=(21,))}, "21 needs a collision"),
    ({"process": "gun", "gun": Gun(pdg_id=(999_999,))}, "999999 is no particle"),
    ({"process": "gun", "gun": Gun(pdg_id=())}, "empty"),
    ({"process": "gun", "gun": Gun(pt=(-1.0, 3.0))}, "gun.pt"),
    ({"process": "ttbar", "gun": Gun(pt=(1.0, 3.0))}, "choose gun"),
    ({"process": "minimum-bias", "mpi": False}, "leave mpi on"),
    ({"shower": "dire"}, "choose from default, dipole, vincia"),
    ({"tune": 99}, "'Tune:pp = 99'.*out of range"),
    ({"extra": ("Foo:bar = 1",)}, "'Foo:bar = 1'.*not found"),
    ({"extra": ("24:mayDecy = on",)}, "'24:mayDecy = on'.*not found"),
    ({"extra": ("PartonLevel:MPI = maybe",)}, "on or off, got 'maybe'"),
    ({"extra": ("Init:plugins = {lib.so::Hook}",)}, "plugins are not supported"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_refused(changes, message, capfd):
    with pytest.raises(ValueError, match=message):
        check(Generation(**changes))
    assert capfd.readouterr().out == ""


def test_accepted():
    check(Generation("ttbar", energy=14_000.0, pt_hat=(540.0, 760.0), mpi=False, tune=21))


def test_users_lines_win_but_not_over_the_seed():
    lines = settings_lines(Generation("ttbar", extra=("Random:seed = 5", "6:m0 = 170")), seed=9)
    assert lines.index("Random:seed = 9") > lines.index("Random:seed = 5")
    assert lines.index("6:m0 = 170") > lines.index("Beams:eCM = 13000.0")


def test_infinite_range_has_no_upper_line():
    lines = settings_lines(Generation("qcd", pt_hat=(30.0, np.inf)), seed=1)
    assert "PhaseSpace:pTHatMin = 30.0" in lines
    assert not any("pTHatMax" in line for line in lines)


def test_seeds_differ_and_stay_in_range():
    seeds = {
        seed_of(seed, shard, stream)
        for seed in range(5)
        for shard in range(200)
        for stream in range(2)
    }
    assert len(seeds) == 2000
    assert min(seeds) >= 1
    assert max(seeds) <= 900_000_000
    assert seed_of(3, 7) == seed_of(3, 7)
