"""Topological clusters: thresholds, growth across depths, splitting, shares, calibration."""

import awkward as ak
import numpy as np
import pytest

from fivesigma.events import FIELDS
from fivesigma.geometry.calorimeters import ATLAS, CMS
from fivesigma.geometry.cells import CELLS
from fivesigma.reconstruction.cluster_calibration import Calibration, calibrate, derive
from fivesigma.reconstruction.clusters import ClusterOptions, clusters
from fivesigma.reconstruction.neighbours import neighbours

N_PHI = 256  # of the middle depth


def cells_of(entries, geometry=ATLAS, noise=0.01):
    """One event of (depth, cell, energy over noise)."""
    depth, cell, pull = (np.array(column) for column in zip(*sorted(entries), strict=True))
    eta, phi = geometry.centres(depth, cell)
    event = ak.zip({
        "depth": depth.astype(np.int8), "cell": cell.astype(np.int32), "eta": eta, "phi": phi,
        "energy": pull * noise, "noise": np.full(len(pull), noise),
    })  # fmt: skip
    return ak.unflatten(event, [len(pull)])


def middle(i_eta, i_phi):
    return i_eta * N_PHI + i_phi % N_PHI


def row(i_eta, i_phi, pull):
    return (1, middle(i_eta, i_phi), pull)


def test_fields_are_those_of_the_table():
    found = clusters(cells_of([row(10, 5, 50.0)]), ATLAS)
    assert set(found.fields) == set(FIELDS["clusters"])
    for name, field in FIELDS["clusters"].items():
        assert ak.to_numpy(ak.flatten(found[name], axis=None)).dtype == np.dtype(field.dtype), name


def test_seed_grow_and_perimeter():
    chain = [row(10, 0, 5.0), row(10, 1, 3.0), row(10, 2, 1.0), row(10, 3, 1.0)]
    found = clusters(cells_of(chain), ATLAS)
    assert ak.num(found).to_list() == [1]
    assert found.cells.to_list() == [[[0, 1, 2]]]  # nothing grows from the cell of 1 sigma
    assert len(clusters(cells_of([row(10, 0, 3.9), row(10, 1, 3.0)]), ATLAS)[0]) == 0
    assert len(clusters(cells_of([row(10, 0, 5.0)]), ATLAS, ClusterOptions(seed=6.0))[0]) == 0


def test_clusters_grow_over_phi_pi_and_eta_0_and_across_depths():
    around = [row(0, 0, 9.0), row(0, -1, 3.0), (1, middle(0, 0) + ATLAS.grid.half[1], 3.0)]
    eta, phi = ATLAS.centres([1], [middle(0, 0)])
    other = [
        (depth, int(np.flatnonzero(np.hypot(e - eta[0], p - phi[0]) < w)[0]), 3.0)
        for depth, w in ((0, 0.05), (2, 0.04))
        for e, p in [
            ATLAS.centres(np.full(ATLAS.n_cells[depth], depth), np.arange(ATLAS.n_cells[depth]))
        ]
    ]
    found = clusters(cells_of(around + other), ATLAS)
    assert ak.num(found.cells, axis=2).to_list() == [[5]]


@pytest.mark.parametrize("cells", [ATLAS, CMS], ids=lambda cells: cells.name)
def test_neighbourhood_is_mutual(cells):
    rng = np.random.default_rng(1)
    out, back = np.empty(4096, np.int64), np.empty(4096, np.int64)
    for depth, number in enumerate(cells.n_cells):
        for cell in rng.integers(0, number, 40):
            key = depth * CELLS + cell
            others = out[: neighbours(cells.grid, key, out)]
            assert len(np.unique(others)) == len(others) >= 6  # at the edge of the acceptance
            for other in others[:: max(1, len(others) // 8)]:
                assert key in back[: neighbours(cells.grid, other, back)]


def test_two_photons_are_split_and_share_the_cells_between():
    entries = {}
    for centre in (0, 4):
        for i in (-2, -1, 0, 1, 2):
            for j in (-2, -1, 0, 1, 2):
                place = (20 + i, 40 + centre + j)
                entries[place] = entries.get(place, 0) + 1000.0 * 0.1 ** max(abs(i), abs(j))
    found = clusters(cells_of([row(*place, pull) for place, pull in entries.items()]), ATLAS)
    assert ak.num(found).to_list() == [2]
    total = sum(entries.values()) * 0.01
    assert ak.sum(found.energy) == pytest.approx(total, rel=1e-5)
    np.testing.assert_allclose(found.energy[0], total / 2, rtol=0.02)
    weights = np.zeros(len(entries))
    for one in found[0]:
        weights[ak.to_numpy(one.cells)] += ak.to_numpy(one.weights)
    np.testing.assert_allclose(weights, 1.0, atol=1e-6)
    assert abs(found.phi[0, 0] - found.phi[0, 1]) == pytest.approx(4 * 2 * np.pi / N_PHI, rel=0.1)


def test_each_event_is_its_own():
    one = cells_of([row(10, 0, 50.0), row(30, 9, 8.0)])
    two = cells_of([row(11, 3, 20.0)])
    both = clusters(ak.concatenate([one, two, one[:, :0]]), ATLAS)
    assert ak.num(both).to_list() == [2, 1, 0]
    assert both.cells.to_list() == [[[0], [1]], [[0]], []]
    assert (both.energy[0, 0] > both.energy[0, 1]) and both.energy[1, 0] == pytest.approx(0.2)


def test_moments():
    found = clusters(cells_of([row(10, 0, 30.0), row(10, 1, 10.0)]), ATLAS)[0, 0]
    eta, phi = ATLAS.centres([1, 1], [middle(10, 0), middle(10, 1)])
    assert found.eta == pytest.approx(eta[0], rel=1e-5)
    assert found.phi == pytest.approx(0.75 * phi[0] + 0.25 * phi[1], rel=1e-4)
    assert found.em_fraction == 1.0
    assert found.width == pytest.approx(2 * np.pi / N_PHI * np.sqrt(0.1875), rel=1e-3)
    assert found.significance == pytest.approx(30.0, rel=1e-5)
    assert found.depth == pytest.approx(0.5 * (ATLAS.grid.mm[1] + ATLAS.grid.mm[2]), rel=1e-5)


def test_thresholds_are_checked():
    with pytest.raises(ValueError, match="grow 5"):
        ClusterOptions(grow=5.0)


def test_derived_factors_undo_a_known_response():
    rng = np.random.default_rng(2)
    nodes = Calibration((1.0, 10.0, 100.0), (0.0, 1.0), (0.0, 2.5))
    truth = np.exp(rng.uniform(0.5, 4.3, 3000))
    share, eta = rng.random(3000), rng.uniform(-2.5, 2.5, 3000)
    response = 0.7 + 0.2 * share
    energy = truth * response * (1 + 0.05 * rng.standard_normal(3000))
    table = derive(nodes, np.arange(3000), energy, share, eta, truth, eta, 0.05 * truth)
    ratio = energy * table.factor(energy, share, eta) / truth
    assert ratio.mean() == pytest.approx(1, abs=0.005)
    assert ratio[share > 0.8].mean() == pytest.approx(1, abs=0.01)
    assert ratio.std() < 0.06


def test_derived_factors_do_not_swing_from_node_to_node():
    """Factors that swing about the right one have the right mean between two nodes, too."""
    rng = np.random.default_rng(3)
    nodes = Calibration((1.0, 10.0, 100.0), (0.0, 1.0), (0.0, 1.4, 2.5))
    truth, eta = np.exp(rng.uniform(0.5, 4.3, 4000)), rng.uniform(-2.5, 2.5, 4000)
    share = np.full(4000, 0.98)
    # hard particles count in the mean, soft ones alone have a slope in |eta|
    slope = np.where(truth < 5.0, 1 + 0.2 * (np.abs(eta) - 0.7), 1.0)
    energy = 0.8 * truth * slope * (1 + 0.03 * rng.standard_normal(4000))
    table = derive(nodes, np.arange(4000), energy, share, eta, truth, eta, 0.03 * truth, mean=1e5)
    ratio = energy * table.factor(energy, share, eta) / truth
    for low, high in ((0.0, 0.7), (0.7, 1.4), (1.4, 1.9), (1.9, 2.5)):
        here = (truth > 20.0) & (np.abs(eta) > low) & (np.abs(eta) < high)
        assert ratio[here].mean() == pytest.approx(1, abs=0.01)


def test_a_preset_without_table_is_refused():
    from dataclasses import replace

    found = clusters(cells_of([row(10, 5, 50.0)]), ATLAS)
    with pytest.raises(ValueError, match="no cluster calibration for 'mine'; there are"):
        calibrate(found, replace(ATLAS, name="mine"))
