"""Missing momentum of a few objects, in closed form."""

import awkward as ak
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
