"""Charged particles of other collisions about jets."""

import awkward as ak
import numpy as np
import pytest

from fivesigma.reconstruction.surroundings import vertex_fraction


def particle(pt, eta, vertex, charge=1):
    return {"pt": pt, "eta": eta, "phi": 3.1, "vertex": vertex, "charge": charge}


def test_share_of_the_hard_collision():
    near = [particle(6.0, 1.0, 0), particle(1.0, 1.1, -1), particle(3.0, 0.9, 5)]
    others = [particle(50.0, 1.0, -1, charge=0), particle(50.0, 1.5, 2), particle(50.0, 1.5, 0)]
    jets = ak.Array([
        [{"eta": 1.0, "phi": -3.1}, {"eta": -2.0, "phi": 0.0}], [{"eta": 1.0, "phi": -3.1}],
    ])  # fmt: skip
    found = vertex_fraction(jets, ak.Array([near + others, [particle(2.0, 1.0, 3)]]))
    assert found[0].to_list() == pytest.approx([0.7, -1.0])
    assert found[1].to_list() == [0.0]
    assert np.asarray(ak.flatten(found)).dtype == np.float32
