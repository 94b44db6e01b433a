"""Truth labels on hand-made records and on PYTHIA's own."""

import awkward as ak
import numpy as np
import pytest

from fivesigma.generation.pythia import Generation, Generator
from fivesigma.reconstruction.labels import TRUTHS, label_jets, truth_flags, truth_names

AXIS = (0.0, 0.0)


def record(*particles):
    """One event of (pdg_id, status, mother, pt, eta, phi)."""
    names = ("pdg_id", "status", "mother", "pt", "eta", "phi")
    types = (np.int32, np.int16, np.int32, np.float32, np.float32, np.float32)
    columns = zip(*particles, strict=True)
    table = {n: np.array(c, t) for n, t, c in zip(names, types, columns, strict=True)}
    return ak.unflatten(ak.zip(table), len(particles))


def jet(*axes):
    eta, phi = (np.array(values, np.float32) for values in zip(*axes, strict=True))
    return ak.unflatten(ak.zip({"eta": eta, "phi": phi}), len(axes))


def names_of(jets, truth, radius=0.8):
    return truth_names(ak.to_numpy(ak.flatten(truth_flags(jets, truth, radius))))


def top_decay(spread=0.3, quark=2):
    """t (hard) -> t (last copy) -> b W, W -> q q' (or leptons), around the axis."""
    return (
        (6, -22, -1, 600, 0.0, 0.0),
        (6, -62, 0, 590, 0.0, 0.0),
        (24, -22, 1, 400, 0.0, 0.0),
        (5, -23, 1, 190, spread, 0.0),
        (24, -52, 2, 400, 0.0, 0.0),
        (quark, -23, 4, 200, -0.1, 0.2),
        (-(quark - 1), -23, 4, 200, -0.1, -0.2),
    )


def test_a_top_jet_holds_all_three_quarks():
    assert names_of(jet(AXIS), record(*top_decay())) == ["top"]


def test_a_quark_outside_makes_it_no_top_jet_but_the_w_is_still_there():
    assert names_of(jet(AXIS), record(*top_decay(spread=0.9))) == ["w"]


def test_a_photon_that_the_w_radiates_does_not_spoil_it():
    photon = (22, 51, 2, 0.3, 2.0, 1.0)  # child of an early copy of the W, far from the jet
    assert names_of(jet(AXIS), record(*top_decay(), photon)) == ["top"]


def test_a_leptonic_top_is_no_hadronic_one():
    assert names_of(jet(AXIS), record(*top_decay(quark=12)))[0] not in ("top", "w")


def test_the_jet_on_the_other_side_is_not_a_top_jet():
    flags = truth_flags(jet(AXIS, (0.0, 3.0)), record(*top_decay()), 0.8)
    assert truth_names(ak.to_numpy(flags[0])).tolist()[0] == "top"
    assert truth_names(ak.to_numpy(flags[0])).tolist()[1] == "none"


def test_azimuth_wraps_around():
    truth = record(
        (23, -62, -1, 500, 0.0, 3.1), (1, -23, 0, 250, 0.1, 3.1), (-1, -23, 0, 250, 0.0, -3.1)
    )
    assert names_of(jet((0.0, -3.14)), truth) == ["z"]


@pytest.mark.parametrize(
    ("daughters", "expected"),
    [((5, -5), "h"), ((21, 21), "h"), ((15, -15), "h"), ((22, 22), "none")],
)
def test_higgs_decays(daughters, expected):
    decay = [(d, -23, 0, 250, 0.1 * k, 0.1) for k, d in enumerate(daughters)]
    if abs(daughters[0]) == 5:
        expected = "h"
    found = names_of(jet(AXIS), record((25, -62, -1, 500, 0.0, 0.0), *decay))[0]
    assert found == expected


def test_higgs_to_four_quarks_needs_all_four():
    ww = [(24, -22, 0, 250, 0.0, 0.1), (-24, -22, 0, 250, 0.0, -0.1)]
    quarks = [(2, -23, 1, 99, 0.1, 0.1), (-1, -23, 1, 99, 0.1, 0.1), (1, -23, 2, 99, -0.1, 0.0)]
    higgs = (25, -62, -1, 500, 0.0, 0.0)
    near, far = (-2, -23, 2, 99, -0.1, 0.1), (-2, -23, 2, 99, -0.1, 1.1)
    assert names_of(jet(AXIS), record(higgs, *ww, *quarks, near)) == ["h"]
    assert names_of(jet(AXIS), record(higgs, *ww, *quarks, far)) == ["w"]


@pytest.mark.parametrize(
    ("hadron", "pt", "eta", "expected"),
    [
        (511, 50.0, 0.1, "b"),
        (-5122, 50.0, 0.1, "b"),
        (411, 50.0, 0.1, "c"),
        (511, 4.0, 0.1, "g"),
        (511, 50.0, 0.5, "g"),
    ],
)
def test_flavour_follows_heavy_hadrons_near_the_axis(hadron, pt, eta, expected):
    truth = record((21, -23, -1, 300, 0.0, 0.0), (hadron, -2, 0, pt, eta, 0.0))
    assert names_of(jet(AXIS), truth) == [expected]


def test_quark_and_gluon_follow_the_hardest_parton():
    truth = record((21, -23, -1, 300, 0.0, 0.0), (2, -23, -1, 310, 0.2, 0.0))
    assert names_of(jet(AXIS), truth) == ["q"]
    assert names_of(jet(AXIS), truth, radius=0.1) == ["g"]


def test_light_means_no_heavy_flavour():
    light = list(TRUTHS).index("light")
    gluon = (21, -23, -1, 300, 0.0, 0.0)
    without = truth_flags(jet(AXIS), record(gluon), 0.4)[0, 0]
    with_b = truth_flags(jet(AXIS), record(gluon, (511, -2, 0, 50, 0.0, 0.0)), 0.4)[0, 0]
    assert without >> light & 1
    assert not with_b >> light & 1


def test_bad_requests_are_refused():
    truth = record(*top_decay())
    with pytest.raises(ValueError, match="unknown truth label 'bottom'; choose from top"):
        label_jets(jet(AXIS), truth, ("bottom",), 0.8)
    with pytest.raises(ValueError, match="jets of 1 events, truth of 0"):
        truth_flags(jet(AXIS), truth[:0], 0.8)
    with pytest.raises(ValueError, match="radii must be positive"):
        truth_flags(jet(AXIS), truth, 0.0)


def test_boosted_tops_of_pythia_are_found_where_they_fly():
    generator = Generator(Generation("ttbar-hadronic", pt_hat=(500, 750), mpi=False), seed=3)
    truth = generator.next(60).truth
    tops = truth[(abs(truth.pdg_id) == 6) & (truth.status == -62)]
    assert ak.all(ak.num(tops) == 2)
    share = float(ak.mean(label_jets(tops, truth, ("top",), 0.8)))
    # at 500 GeV most, but by no means all, decays fit into a cone of 0.8
    assert 0.5 < share < 0.95
    wide = float(ak.mean(label_jets(tops, truth, ("top",), 1.5)))
    assert wide > share
    sideways = ak.zip(
        {"eta": tops.eta, "phi": (tops.phi + np.pi / 2 + np.pi) % (2 * np.pi) - np.pi}
    )
    assert float(ak.mean(label_jets(sideways, truth, ("top",), 0.8))) < 0.02
