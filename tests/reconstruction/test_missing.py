"""Missing momentum of a few objects, in closed form."""

import awkward as ak
import numpy as np
import pytest

from fivesigma.reconstruction.missing import missing_momentum


def test_significance_of_one_jet_is_its_pt_over_its_error():
    jets = ak.Array([[{"pt": 100.0, "phi": 0.0, "pt_error": 10.0}]])
    muon = {"pt": 40.0, "phi": 0.0, "charge": 1, "pdg_id": 13, "pt_error": 0.0, "in_jet": False}
    inside = muon | {"in_jet": True}
    found = missing_momentum(ak.Array([[muon, inside]]), jets)[0]
    assert found.pt == pytest.approx(140.0)
    assert abs(found.phi) == pytest.approx(3.1416, abs=1e-3)
    assert found.sum_et == pytest.approx(140.0)
    # variance of the jet and 1 GeV^2 of noise
    assert found.significance == pytest.approx(140.0 / 101.0**0.5)
    assert found.xy == pytest.approx(0.0, abs=1e-6)


def events_of_jets(n, rng):
    """Balanced events of four jets, smeared by their errors; nothing is missing."""
    phi = rng.uniform(-np.pi, np.pi, (n, 2))
    phi = np.concatenate([phi, phi + np.pi], axis=1)
    true = np.tile(rng.uniform(30, 150, (n, 2)), 2)
    error = 0.1 * true
    pt = true + error * rng.standard_normal(true.shape)
    angle = phi + 0.03 * rng.standard_normal(phi.shape)
    return ak.zip({"pt": pt, "phi": angle, "pt_error": error})


def test_significance_has_a_chi2_distribution_where_nothing_is_missing():
    rng = np.random.default_rng(1)
    jets = events_of_jets(4000, rng)
    none = ak.Array([[{"pt": 0.0, "phi": 0.0, "charge": 1, "pdg_id": 13, "pt_error": 0.0,
                       "in_jet": True}]] * 4000)  # fmt: skip
    found = missing_momentum(none, jets)
    square = ak.to_numpy(found.significance) ** 2
    # chi2 of two degrees of freedom, less the 1 GeV^2 of noise that these jets have not
    assert square.mean() == pytest.approx(2.0, abs=0.1)
    assert np.median(square) == pytest.approx(2 * np.log(2), abs=0.08)
    pull = np.concatenate([ak.to_numpy(found.pt * np.cos(found.phi) / found.xx**0.5),
                           ak.to_numpy(found.pt * np.sin(found.phi) / found.yy**0.5)])  # fmt: skip
    assert pull.mean() == pytest.approx(0.0, abs=0.05)
    assert pull.std() == pytest.approx(1.0, abs=0.05)


def test_pile_up_makes_missing_momentum_less_significant():
    jets = events_of_jets(50, np.random.default_rng(2))
    none = ak.Array([[{"pt": 0.0, "phi": 0.0, "charge": 1, "pdg_id": 13, "pt_error": 0.0,
                       "in_jet": True}]] * 50)  # fmt: skip
    quiet = missing_momentum(none, jets)
    crowded = missing_momentum(none, jets, np.full(50, 20))
    assert ak.all(crowded.significance < quiet.significance)
    assert ak.all(crowded.pt == quiet.pt)
