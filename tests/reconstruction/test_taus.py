"""Taus of hand-made events: a narrow jet of one or three tracks, and little around it."""

import awkward as ak
import pytest

from fivesigma.reconstruction.taus import TauOptions, taus

NAMES = ("pt", "eta", "phi", "mass", "charge", "pdg_id", "pt_error", "vertex")


def hadron(pt, eta=0.0, phi=0.0, charge=1, vertex=0):
    return (pt, eta, phi, 0.13957, charge, 211 * charge, 0.1, vertex)


def photon(pt, eta=0.0, phi=0.0):
    return (pt, eta, phi, 0.0, 0, 22, 0.5, -1)


def found(*rows, leptons=()):
    """Taus of one event."""
    every = [dict(zip(NAMES, row, strict=True)) for row in rows]
    lists = ak.Array([[{"eta": 0.0, "phi": 9.0}, *leptons]])[:, 1:]
    return taus(ak.Array([every]), lists)[0]


PHOTON = photon(10.0, 0.02, 0.03)
THREE = (hadron(15), hadron(10, 0.03, 0.01), hadron(8, -0.03, 0.03, -1))
NEUTRON = (8.0, 0.03, 0.0, 0.0, 0, 130, 1.0, -1)


@pytest.mark.parametrize(
    ("rows", "prongs"),
    [
        ((hadron(30),), [1]),
        ((hadron(30), PHOTON), [1]),
        ((hadron(30), photon(4.0, 0.02, 0.1)), [1]),  # a conversion spreads along phi
        ((hadron(30), NEUTRON), [1]),  # a photon may look like a neutral hadron
        ((hadron(30), hadron(40, 1.0)), [1, 1]),
        (THREE, [3]),
        ((hadron(30), hadron(10, 0.02, 0.0, -1)), []),  # two tracks, no charge
        ((*THREE[:2], hadron(8, -0.03, 0.03)), []),  # charge three
        ((hadron(15),), []),  # too soft
        ((hadron(30), photon(8.0, 0.3)), []),  # not alone
        ((hadron(30), hadron(8.0, 0.3)), []),
        ((hadron(30), hadron(10, 0.09), hadron(10, 0.0, 0.08, -1)), []),  # too wide for its pT
        ((photon(30.0),), []),  # no track
    ],
)
def test_what_is_a_tau(rows, prongs):
    made = found(*rows)
    assert made.prongs.to_list() == prongs
    assert abs(made.charge).to_list() == [1] * len(prongs)


def test_the_momentum_is_that_of_what_is_visible():
    made = found(hadron(30), PHOTON)[0]
    assert made.pt == pytest.approx(40.0, rel=1e-3)
    assert made.isolation == pytest.approx(0.0)
    assert made.pt_error == pytest.approx((0.1**2 + 0.5**2) ** 0.5)


def test_charged_particles_of_other_collisions_tell_their_photons():
    around = photon(8.0, 0.3)
    share = TauOptions().pileup_share
    others = [hadron(8.0 / share / 10, 0.2, 0.02 * k, 1, k) for k in range(1, 11)]
    made = found(hadron(30), around, *others)
    assert made.isolation.to_list() == pytest.approx([0.0], abs=1e-6)
    assert len(found(hadron(30), around)) == 0


def test_isolated_leptons_are_no_taus():
    assert len(found(hadron(30), leptons=({"eta": 0.02, "phi": 0.0},))) == 0
    assert len(found(hadron(30), leptons=({"eta": 0.5, "phi": 0.0},))) == 1
