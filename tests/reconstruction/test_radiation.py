"""Photons radiated by leptons: whose they are, and the momenta with them."""

import awkward as ak
import numpy as np
import pytest

from fivesigma.events import momenta
from fivesigma.reconstruction.radiation import dressed, radiated

RHO = np.zeros((1, 2))


def particles(*rows):
    """Of (pdg_id, pt, eta, phi) in one event."""
    number, pt, eta, phi = (np.array(column, float) for column in zip(*rows, strict=True))
    columns = {
        "pdg_id": number.astype(int), "pt": pt, "eta": eta, "phi": phi, "mass": 0 * pt,
        "charge": np.where(np.isin(number, (22, 130)), 0.0, 1.0), "vertex": np.zeros(pt.size, int),
    }  # fmt: skip
    return ak.unflatten(ak.zip(columns, with_name="Momentum4D"), [pt.size])


def test_photons_go_to_the_nearest_lepton_and_only_close_ones():
    leptons = particles((-13, 30.0, 0.0, 0.0), (13, 30.0, 0.3, 0.0))
    photons = particles(
        (22, 10.0, 0.2, 0.0),  # nearer to the second
        (22, 1.5, 0.01, 0.0),  # too soft
        (22, 3.0, 0.0, 0.2),  # 0.2 / 9 GeV^2 > 0.012
        (22, 20.0, 0.0, 0.6),  # further than 0.5
        (130, 9.0, 0.0, -0.3),  # no photon
    )
    assert radiated(photons, leptons, RHO).to_list() == [[1, -1, -1, -1, -1]]


def test_photons_of_jets_are_left_and_leptons_do_not_count_as_jets():
    leptons = particles((-13, 30.0, 0.0, 0.0))
    photon = (22, 10.0, 0.1, 0.0)
    assert radiated(particles((-13, 30.0, 0.0, 0.0), photon), leptons, RHO)[0].to_list() == [-1, 0]
    jet = particles(photon, (211, 12.0, 0.2, 0.1), (130, 7.0, 0.25, 0.0))
    assert radiated(jet, leptons, RHO)[0].to_list() == [-1, -1, -1]


def test_a_lepton_takes_one_photon_and_azimuths_are_periodic():
    leptons = particles((-13, 30.0, 0.0, 3.1))
    photons = particles((22, 8.0, 0.0, -3.1), (22, 20.0, 0.0, 2.8))
    assert radiated(photons, leptons, RHO)[0].to_list() == [-1, 0]


def test_events_without_leptons_or_photons():
    none = particles((22, 8.0, 0.0, 0.0))[:, :0]
    photons, leptons = particles((22, 8.0, 0.0, 0.0)), particles((-13, 30.0, 0.0, 0.0))
    assert radiated(photons, none, RHO).to_list() == [[-1]]
    assert radiated(none, leptons, RHO).to_list() == [[]]
    assert dressed(leptons, none, radiated(none, leptons, RHO)).pt.to_list() == [[30.0]]


def test_momenta_are_added_and_other_fields_stay():
    leptons = particles((-13, 30.0, 0.0, 0.0), (13, 25.0, 1.0, 2.0))
    photons = particles((22, 10.0, 0.1, 0.05), (22, 4.0, -1.0, 0.0))
    found = dressed(leptons, photons, radiated(photons, leptons, RHO))
    whole = momenta(leptons)[0, 0] + momenta(photons)[0, 0]
    for name in ("pt", "eta", "phi", "mass"):
        assert found[0, 0][name] == pytest.approx(getattr(whole, name), abs=1e-9)
    assert found[0, 1].pt == pytest.approx(25.0)
    assert found.pdg_id.to_list() == [[-13, 13]]
