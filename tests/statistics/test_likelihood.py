"""The compiled likelihood is pyhf's, with exact derivatives."""

import json
import tarfile

import numpy as np
import pyhf
import pytest
from helpers import workspaces

from fivesigma import statistics

ARCHIVE = "likelihoods/pyhf-ins1748602-probability-models.tar.gz"
CODES = [("1", "0"), ("4", "2"), ("4", "4p"), ("1", "4p")]


def reference(workspace, normsys="4", histosys="4p", poi="mu"):
    settings = {
        "normsys": {"interpcode": f"code{normsys}"},
        "histosys": {"interpcode": f"code{histosys}"},
    }
    read = pyhf.Workspace(workspace)
    model = read.model(modifier_settings=settings, poi_name=poi)
    return model, np.array(read.data(model))


def random_points(model, rng, n):
    """Points inside the bounds, near and far from where fits start."""
    p = model.parameters
    width = np.where(p.width > 0, p.width, 0.3)
    scale = rng.uniform(0.1, 2.5, (n, 1))
    points = p.init + scale * width * rng.normal(size=(n, len(p)))
    return np.clip(points, p.lower, p.upper)


def assert_same(workspace, rng, codes=("4", "4p"), n=10, poi="mu"):
    """Names, data and -2 ln L of both, wherever pyhf's is finite."""
    theirs, data = reference(workspace, *codes, poi)
    ours = statistics.build(workspace, poi=poi, normsys_code=codes[0], histosys_code=codes[1])
    assert list(ours.parameters.names) == theirs.config.par_names
    assert ours.parameters.init.tolist() == theirs.config.suggested_init()
    assert ours.parameters.fixed.tolist() == theirs.config.suggested_fixed()
    bounds = np.stack([ours.parameters.lower, ours.parameters.upper], axis=1)
    np.testing.assert_array_equal(bounds, theirs.config.suggested_bounds())
    np.testing.assert_allclose(ours.data, data, rtol=1e-14)
    points = random_points(ours, rng, n)
    with np.errstate(invalid="ignore"):
        expected = np.array([-2 * theirs.logpdf(point, data)[0] for point in points])
    good = np.isfinite(expected)
    assert good.sum() >= n // 2
    np.testing.assert_allclose(ours.twice_nll(points)[good], expected[good], rtol=1e-9)
    other = rng.poisson(np.clip(data, 0, None)).astype(float)
    np.testing.assert_allclose(
        ours.twice_nll(points[good][0], other)[0],
        -2 * theirs.logpdf(points[good][0], other)[0],
        rtol=1e-9,
    )
    np.testing.assert_allclose(
        ours.expected_data(points[good][0])[0],
        theirs.expected_data(points[good][0]),
        rtol=1e-12,
        atol=1e-12,
    )


def test_random_workspaces_cover_all_modifiers():
    made = [workspaces.random_workspace(seed) for seed in range(100)]
    kinds = [
        modifier["type"]
        for each in made
        for channel in each["channels"]
        for sample in channel["samples"]
        for modifier in sample["modifiers"]
    ]
    for kind in pyhf.modifiers.histfactory_set:
        assert kinds.count(kind) >= 20, kind


@pytest.mark.parametrize("seed", range(100))
def test_random_workspaces_agree_with_pyhf(seed):
    codes = CODES[seed % len(CODES)]
    assert_same(workspaces.random_workspace(seed), np.random.default_rng(seed), codes)


@pytest.mark.parametrize("name", ["higgs_4l", "higgs_4l_apart", "agc_ttbar"])
def test_real_models_agree_with_pyhf(real_data, name):
    makers = {
        "higgs_4l": workspaces.higgs_4l,
        "higgs_4l_apart": lambda folder: workspaces.higgs_4l(folder, apart=True),
        "agc_ttbar": workspaces.agc_ttbar,
    }
    poi = "ttbar_norm" if name == "agc_ttbar" else "mu"
    assert_same(makers[name](real_data), np.random.default_rng(1), poi=poi)


@pytest.mark.parametrize("region", ["RegionA", "RegionB", "RegionC"])
def test_published_likelihoods_agree_with_pyhf(real_data, region):
    archive = real_data / ARCHIVE
    with tarfile.open(archive) as tar:
        patches = sorted(n for n in tar.getnames() if n.startswith(f"{region}/patch"))
    for patch in ["", *patches[:: len(patches) // 2 + 1]]:
        path = archive / region / "BkgOnly.json"
        workspace = statistics.read_workspace(path, patch=patch.rpartition("/")[2])
        # the background alone has no signal strength
        assert_same(
            workspace, np.random.default_rng(2), n=3, poi="mu_SIG" if patch else "mu_ttbar"
        )


@pytest.mark.parametrize("seed", range(0, 40, 4))
@pytest.mark.parametrize("codes", CODES)
def test_derivatives_are_exact(seed, codes):
    workspace = workspaces.random_workspace(seed)
    model = statistics.build(workspace, normsys_code=codes[0], histosys_code=codes[1])
    rng = np.random.default_rng(seed)
    # away from bounds, where expectations are positive on both sides
    point = model.parameters.init + 0.2 * rng.uniform(0.1, 1, len(model.parameters))
    step = 1e-5
    shifts = step * np.eye(point.size)
    slope = (model.twice_nll(point + shifts) - model.twice_nll(point - shifts)) / (2 * step)
    gradient = model.gradient(point)[0]
    np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=1e-5)
    bend = (model.gradient(point + shifts) - model.gradient(point - shifts)) / (2 * step)
    hessian = model.hessian(point)[0]
    np.testing.assert_allclose(hessian, bend, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-12, atol=1e-9)
    slopes = (model.expected(point + shifts) - model.expected(point - shifts)).T / (2 * step)
    np.testing.assert_allclose(model.slopes(point), slopes, rtol=1e-5, atol=1e-5)


def test_hessian_where_a_factor_is_zero():
    model = statistics.build(workspaces.random_workspace(3))
    point = model.parameters.init.copy()
    point[model.poi] = 0.0
    step = 1e-5
    shifts = step * np.eye(point.size)
    bend = (model.gradient(point + shifts) - model.gradient(point - shifts)) / (2 * step)
    np.testing.assert_allclose(model.hessian(point)[0], bend, rtol=1e-5, atol=1e-4)


def test_expected_hessian_is_that_of_asimov_data():
    """Where data meet their expectation, exact and expected second derivatives are the same."""
    model = statistics.build(workspaces.random_workspace(8))
    point = model.parameters.init
    asimov = model.expected_data(point)
    exact = model.hessian(point, asimov)[0]
    expected = model.hessian(point, asimov, expected=True)[0]
    np.testing.assert_allclose(exact, expected, rtol=1e-9, atol=1e-9)


def test_batches_are_single_points_one_after_the_other():
    model = statistics.build(workspaces.random_workspace(5))
    rng = np.random.default_rng(5)
    points = random_points(model, rng, 7)
    data = model.sample(model.parameters.init, 7, rng)
    together = model.twice_nll(points, data)
    alone = [model.twice_nll(p, d)[0] for p, d in zip(points, data, strict=True)]
    np.testing.assert_array_equal(together, alone)


def test_pseudo_data_have_the_mean_and_spread_of_the_model():
    model = statistics.build(workspaces.counting(uncertainty=0.1))
    drawn = model.sample(model.parameters.init, 20_000, np.random.default_rng(1))
    expected = model.expected_data(model.parameters.init)[0]
    spread = np.sqrt(expected)  # counts, and a Poisson auxiliary measurement of 100
    np.testing.assert_allclose(drawn.mean(axis=0), expected, atol=4 * spread.max() / np.sqrt(2e4))
    np.testing.assert_allclose(drawn.std(axis=0), spread, rtol=0.03)


def test_shifting_a_template_moves_the_answer(real_data):
    """20 % more background is seen in every figure; more signal in all that depend on its size."""
    nominal = workspaces.higgs_4l(real_data)
    observed, expected, mu = _figures(nominal)
    signal, background = (_figures(_scaled(nominal, index, 1.2)) for index in range(2))
    assert background[0] < observed - 0.1
    assert background[1] < expected - 0.1
    assert background[2] < mu - 0.05
    assert signal[1] > expected + 0.3
    np.testing.assert_allclose(signal[2], mu / 1.2, rtol=1e-6)
    # the signal strength absorbs the size of the signal, not its shape
    np.testing.assert_allclose(signal[0], observed, rtol=1e-6)


def _scaled(workspace, index, factor):
    moved = json.loads(json.dumps(workspace))
    sample = moved["channels"][0]["samples"][index]
    sample["data"] = [factor * value for value in sample["data"]]
    return moved


def _figures(workspace):
    model = statistics.build(workspace)
    found = statistics.significance(model)
    return [found.observed, found.expected, found.mu]


def test_wrong_shapes_are_told():
    model = statistics.build(workspaces.counting())
    with pytest.raises(ValueError, match=r"parameters of shape .* this model has 1"):
        model.twice_nll([1.0, 2.0])
    with pytest.raises(ValueError, match=r"data of shape .* this model has 1"):
        model.twice_nll([1.0], [1.0, 2.0])
