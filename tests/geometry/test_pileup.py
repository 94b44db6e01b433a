"""The shipped noise of pile-up: for every cell, and more where cells see more of it."""

import numpy as np
import pytest

from fivesigma.geometry import detector
from fivesigma.geometry.pileup import load


@pytest.mark.parametrize("name", ["atlas", "cms"])
def test_every_cell_has_its_noise(name):
    cells, table = detector(name).cells, load(name)
    assert len(table.sigma) == len(table.eta) == len(cells.depths)
    for depth, number in enumerate(cells.n_cells):
        every = np.unique(np.linspace(0, number - 1, 300).astype(int))
        eta, _ = cells.centres(np.full(every.size, depth), every)
        mean, sigma = table.at(np.full(every.size, depth), eta)
        assert ((sigma > mean) & (mean >= 0)).all()
        np.testing.assert_array_equal(sigma, table.at(np.full(every.size, depth), -eta)[1])
        # a cell beyond the trackers sees more than one in the middle
        assert sigma[np.argmax(np.abs(eta))] > 3 * sigma[np.argmin(np.abs(eta))]


def test_presets_without_a_table_are_named():
    with pytest.raises(ValueError, match="no noise of pile-up for 'wsi'; there is that of atlas"):
        load("wsi")
