"""Double tags: rates per jet, smooth spectra, and the workspace that a fit takes."""

import numpy as np
import pyhf
import pytest

from fivesigma import statistics
from fivesigma.search import doubletag
from fivesigma.search.doubletag import (
    Pairs,
    Process,
    Rates,
    Uncertainties,
    Window,
    tagging_rates,
    workspace,
)

WINDOW = Window(edges=tuple(np.arange(1100.0, 2001.0, 100.0)))
EDGES = np.array([600.0, 700.0])
SURE = Uncertainties(luminosity=1e-6, ttbar=1e-6, tagging=1e-6, energy_scale=1e-6)


def pairs(n, weight, seed, efficiency=0.5, peak=None, slope=300.0):
    """Pairs with a falling spectrum, or a peak; tags depend on pT and are independent."""
    rng = np.random.default_rng(seed)
    mass = 1050 + rng.exponential(slope, n) if peak is None else rng.normal(peak, 40, n)
    pt = np.stack([mass / 2 * rng.uniform(0.93, 1.0, n) for _ in range(2)], 1)
    chance = efficiency * np.where(pt > 650, 0.8, 1.0)
    tagged = rng.random((n, 2)) < chance
    return Pairs(mass, pt, rng.uniform(0, 1.2, n), tagged, weight)


def processes(tag):
    made = {
        "signal": pairs(4000, 0.05, 1, 0.5, peak=1300.0),
        "ttbar": pairs(6000, 0.1, 2, 0.4),
        "qcd": pairs(40_000, 10.0, 3, 0.02),
    }
    return {
        name: Process(p, tagging_rates(p.pt.ravel(), p.tagged.ravel(), EDGES) if tag else None)
        for name, p in made.items()
    }


def test_rates_are_the_shares_with_their_errors():
    rng = np.random.default_rng(0)
    true = np.array([0.002, 0.3, 0.9])
    pt = np.repeat([550.0, 650.0, 800.0], 4000)
    pulls = []
    for _ in range(200):
        found = tagging_rates(pt, rng.random(len(pt)) < np.repeat(true, 4000), EDGES)
        pulls.append((found.value - true) / found.error)
    assert np.abs(np.mean(pulls, axis=0)).max() < 0.3
    assert np.abs(np.std(pulls, axis=0) - 1).max() < 0.2
    with pytest.raises(ValueError, match=r"no jet in bin 0 of pT.*use wider ones"):
        tagging_rates(np.array([650.0, 900.0]), np.ones(2, bool), EDGES)


def test_products_of_rates_are_counted_pairs_where_tags_are_independent():
    both = pairs(200_000, 1.0, 5)
    rates = tagging_rates(both.pt.ravel(), both.tagged.ravel(), np.array([650.0]))
    counted = both.tagged.all(axis=1).sum()
    assert rates.weights(both.pt).sum() == pytest.approx(counted, abs=4 * np.sqrt(counted))


def test_backgrounds_are_smooth_and_the_signal_is_counted():
    content = workspace(processes(tag=False), WINDOW, SURE)
    found = {each["name"]: np.array(each["data"]) for each in content["channels"][0]["samples"]}
    made = processes(tag=False)
    inside = np.histogram(made["signal"].pairs.mass, WINDOW.edges)[0]
    taken = made["signal"].pairs.pt.min(axis=1) > WINDOW.pt_min
    assert found["signal"].sum() <= inside.sum() * 0.05 + 1e-6
    assert found["signal"].sum() == pytest.approx(
        0.05 * np.histogram(made["signal"].pairs.mass[taken], WINDOW.edges)[0].sum()
    )
    qcd = made["qcd"].pairs
    counted = 10.0 * np.histogram(qcd.mass[qcd.pt.min(axis=1) > 500], WINDOW.edges)[0]
    pulls = (found["qcd"] - counted) / np.sqrt(10.0 * counted)
    assert np.abs(pulls).max() < 4
    assert found["qcd"].sum() == pytest.approx(counted.sum(), rel=0.02)


def test_pyhf_takes_the_workspace_and_a_tag_pays():
    expected = {}
    for tag in (False, True):
        content = workspace(processes(tag), WINDOW, Uncertainties())
        theirs = pyhf.Workspace(content).model()
        ours = statistics.build(content)
        assert ours.expected(ours.parameters.init)[0][: len(WINDOW.edges) - 1] == pytest.approx(
            theirs.expected_actualdata(theirs.config.suggested_init()), rel=1e-9
        )
        names = theirs.config.par_order
        assert ("mistag_rate_0" in names) is tag and ("tagging_efficiency" in names) is tag
        assert "jet_energy_scale" in names and "qcd_slope" in names
        expected[tag] = float(statistics.significance(ours).expected)
    assert expected[True] > 3 * expected[False]


def test_the_bends_of_qcd_are_left_to_the_data(monkeypatch):
    z = []
    for freedom in (0.3, 0.6):
        monkeypatch.setattr(doubletag, "_FREEDOM", freedom)
        content = workspace(processes(tag=False), WINDOW, Uncertainties())
        z.append(float(statistics.significance(statistics.build(content)).expected))
    assert z[0] == pytest.approx(z[1], rel=0.1)


def test_errors_of_mistag_rates_are_in_the_fit():
    made = processes(tag=True)
    exact = Rates(EDGES, made["qcd"].rates.value, made["qcd"].rates.error / 1000, 1)
    sure = made | {"qcd": Process(made["qcd"].pairs, exact)}
    poor = Rates(EDGES, made["qcd"].rates.value, made["qcd"].rates.error * 20, 1)
    unsure = made | {"qcd": Process(made["qcd"].pairs, poor)}
    z = [
        float(statistics.significance(statistics.build(workspace(p, WINDOW, SURE))).expected)
        for p in (sure, made, unsure)
    ]
    assert z[0] >= z[1] >= z[2] - 1e-6
    assert z[0] > z[2]


def test_a_bin_without_pairs_is_named():
    made = processes(tag=False)
    few = made | {"ttbar": Process(pairs(30, 1.0, 9))}
    with pytest.raises(ValueError, match=r"ttbar has no pairs between \d+ and \d+ GeV; generate"):
        workspace(few, WINDOW, SURE)
