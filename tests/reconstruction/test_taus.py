"""Taus among hand-made jets: narrow ones of one or three tracks and charge one."""

import awkward as ak
import pytest

from fivesigma.reconstruction.taus import taus

NAMES = ("pt", "eta", "phi", "mass", "charge", "pdg_id", "pt_error")


def jet(*rows):
    return {"constituents": [dict(zip(NAMES, map(float, row), strict=True)) for row in rows]}


def hadron(pt, eta=0.0, phi=0.0, charge=1):
    return (pt, eta, phi, 0.13957, charge, 211 * charge, 0.1)


PHOTON = (10.0, 0.02, 0.0, 0.0, 0, 22, 0.5)
FAR = (8.0, 0.35, 0.0, 0.0, 0, 22, 0.5)
THREE = (hadron(15), hadron(10, 0.02), hadron(8, -0.02, 0.02, -1))


@pytest.mark.parametrize(
    ("rows", "prongs"),
    [
        ((hadron(30), PHOTON), [1]),
        (THREE, [3]),
        ((hadron(30), hadron(10, 0.02, 0.0, -1)), []),  # two tracks, no charge
        ((hadron(15),), []),  # too soft
        ((hadron(30), FAR), []),  # not alone
        ((hadron(30), hadron(10, 0.15), hadron(10, 0.0, 0.15, -1)), []),  # too heavy
        ((PHOTON,), []),  # no track
    ],
)
def test_what_is_a_tau(rows, prongs):
    found = taus(ak.Array([[jet(*rows)]]))[0]
    assert found.prongs.to_list() == prongs
    assert found.charge.to_list() == [1] * len(prongs)


def test_the_momentum_is_that_of_what_is_visible():
    found = taus(ak.Array([[jet(hadron(30), PHOTON)]]))[0, 0]
    assert found.pt == pytest.approx(40.0, rel=1e-3)
    assert found.isolation == pytest.approx(0.0)
    assert found.pt_error == pytest.approx((0.1**2 + 0.5**2) ** 0.5)
