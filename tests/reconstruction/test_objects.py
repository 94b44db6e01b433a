"""Events as sets of objects."""

import awkward as ak
import numpy as np
import pytest

from fivesigma.batches import Inputs, build_cache
from fivesigma.reconstruction.objects import event_objects

EVENTS = ak.Array(
    {
        "event": [
            {"event": 7, "weight": 0.5},
            {"event": 8, "weight": 2.0},
            {"event": 9, "weight": 1},
        ],
        "jets": [
            [{"pt": 50.0, "eta": 1.0, "phi": 0.5, "mass": 9.0, "btag": 0.9}],
            [],
            [{"pt": 30.0, "eta": -1.0, "phi": 2.0, "mass": 5.0, "btag": 0.1}],
        ],
        "muons": [
            [{"pt": 60.0, "eta": 0.2, "phi": -3.0, "mass": 0.1, "charge": -1}],
            [],
            [{"pt": 20.0, "eta": 0.1, "phi": 0.0, "mass": 0.1, "charge": 1}] * 2,
        ],
        "met": [{"pt": 40.0, "phi": 1.0}, {"pt": 5.0, "phi": -1.0}, {"pt": 25.0, "phi": 0.0}],
    }
)


def test_objects_by_falling_pt():
    found = event_objects(EVENTS, label=1)
    assert found.constituents.pt.to_list() == [[60, 50, 40], [5], [30, 25, 20, 20]]
    assert found.constituents.pdg_id.to_list() == [[13, 91, 12], [12], [91, 12, 13, 13]]
    assert found.constituents.charge.to_list()[0] == [-1, 0, 0]
    np.testing.assert_allclose(found.constituents.btag.to_list()[0], [0, 0.9, 0], rtol=1e-6)
    assert found.event.to_list() == [7, 8, 9] and found.weight.to_list() == [0.5, 2, 1]
    assert found.label.to_list() == [1, 1, 1]


def test_the_sum_is_that_of_the_objects():
    alone = event_objects(EVENTS, ["met"])
    np.testing.assert_allclose(alone.pt, [40, 5, 25], rtol=1e-6)
    np.testing.assert_allclose(alone.mass, 0, atol=1e-2)
    both = event_objects(EVENTS, ["jets", "muons"])
    assert both.mass[0] > 50 and both.pt[1] == 0


def test_networks_take_them():
    cache = build_cache(event_objects(EVENTS), Inputs(features=("log_pt", "is_muon", "is_met")))
    assert cache.count.tolist() == [3, 1, 4]
    assert cache.values[:3, 1].tolist() == [1, 0, 0] and cache.values[2, 2] == 1


@pytest.mark.parametrize(("which", "text"), [(["tracks"], "tracks"), ([], "of objects")])
def test_mistakes(which, text):
    with pytest.raises(ValueError, match=f"collections {text}: expected some of jets"):
        event_objects(EVENTS, which)
