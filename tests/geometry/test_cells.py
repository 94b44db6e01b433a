"""The grids of cells: numbers, centres and edges."""

import numpy as np
import pytest

from fivesigma.detector.calorimeter.tally import cell_at
from fivesigma.geometry.calorimeters import ATLAS, CMS, WSI
from fivesigma.geometry.response import CMS as CMS_RESPONSE


@pytest.mark.parametrize("cells", [ATLAS, CMS], ids=lambda cells: cells.name)
def test_the_cell_at_a_cells_centre_is_that_cell(cells):
    for depth, number in enumerate(cells.n_cells):
        every = np.unique(np.linspace(0, number - 1, 500).astype(int))
        eta, phi = cells.centres(np.full(len(every), depth), every)
        found = [cell_at(cells.grid, depth, e, p) for e, p in zip(eta, phi, strict=True)]
        np.testing.assert_array_equal(found, every)


@pytest.mark.parametrize("cells", [ATLAS, CMS], ids=lambda cells: cells.name)
def test_cells_cover_the_acceptance_and_no_more(cells):
    assert cell_at(cells.grid, 0, 4.89, 1.0) >= 0
    assert cell_at(cells.grid, 0, 4.91, 1.0) == -1
    eta, _ = cells.centres(np.zeros(2, int), np.array([0, cells.grid.half[0]]))
    assert eta[0] == -eta[1] > 0


def test_six_depths_of_known_thickness():
    for cells in (ATLAS, CMS):
        assert len(cells.depths) == 6
        assert list(cells.grid.ecal) == [True] * 3 + [False] * 3
        assert 24 < cells.grid.x0[3] < 27  # the ECAL, in radiation lengths
        assert 8.5 < cells.grid.lengths[-1] < 11  # all, in interaction lengths


def test_the_silicon_calorimeter_has_the_cells_of_the_challenge():
    assert WSI.n_cells.sum() == 6480
    assert WSI.grid.mm[-1] == pytest.approx(45 * 3.4)
    radius, alpha = WSI.centres([0, 44], [0, 143])
    np.testing.assert_allclose(radius, [2.325, 39.525])
    np.testing.assert_allclose(alpha, [-np.pi * 15 / 16, np.pi * 15 / 16])


def test_published_terms_depend_on_eta():
    constant, sampling = CMS.ecal.terms(np.array([0.0, 1.0]))
    np.testing.assert_allclose(constant, [0.008, 0.008 * 1.64])
    np.testing.assert_allclose(sampling, [0.11, 0.11 * 1.64])
    sigma = CMS.ecal.sigma(np.array([[10.0], [100.0]]), np.array([-1.0, 0.0, 9.0]))
    at_10 = np.sqrt(0.08**2 + 0.11**2 * 10 + 0.4**2)
    np.testing.assert_allclose(sigma[0], [1.64 * at_10, at_10, np.inf])
    assert sigma[1, 1] == pytest.approx(CMS_RESPONSE.ecal.sigma(100.0, 0.0))


def test_strips_tell_more_of_eta_and_the_second_depth_of_phi():
    depth, eta = np.array([0, 1, 1]), np.array([0.3, 0.3, -3.0])
    sharp = ATLAS.sharpness(depth, eta)
    np.testing.assert_allclose(sharp[0], [0.003125**-2, 0.025**-2, 0.1**-2], rtol=0.01)
    widths = 2 * np.pi / np.array([64, 256, 64])
    np.testing.assert_allclose(sharp[1], widths**-2)
