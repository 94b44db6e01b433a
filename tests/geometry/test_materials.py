"""Effective constants of stacks against published and measured values."""

import pytest

from fivesigma.geometry.calorimeters import ATLAS, WSI
from fivesigma.geometry.materials import IRON, LEAD, TUNGSTEN, Layer, mix


def test_tungsten_silicon_has_the_radiation_length_of_the_geant4_sample():
    assert WSI.ecal.material.x0 == pytest.approx(4.22, rel=0.005)  # README of geant4_showers
    assert WSI.ecal.material.critical == pytest.approx(8.2e-3, rel=0.01)


def test_lead_argon_has_the_moliere_radius_of_the_atlas_barrel():
    assert ATLAS.ecal.material.moliere == pytest.approx(41, rel=0.05)
    assert ATLAS.ecal.material.x0 == pytest.approx(21, rel=0.05)


@pytest.mark.parametrize(("element", "x0"), [(LEAD, 5.61), (IRON, 17.58), (TUNGSTEN, 3.50)])
def test_a_stack_of_one_element_is_that_element(element, x0):
    material = mix((Layer(element, 3.0),))
    assert material.x0 == pytest.approx(x0, rel=0.005)  # [mm], PDG
    assert material.critical == pytest.approx(element.critical)
    assert material.moliere == pytest.approx(21.2e-3 / element.critical * material.x0)


def test_a_gap_dilutes_all_lengths_alike():
    layers = (Layer(LEAD, 2.0), Layer(IRON, 1.0))
    dense, loose = mix(layers), mix(layers, gap=3.0)
    for name in ("x0", "moliere", "interaction"):
        assert getattr(loose, name) == pytest.approx(2 * getattr(dense, name))
    assert loose.stopping == pytest.approx(dense.stopping / 2)
