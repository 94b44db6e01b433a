"""The demo of a search: three fits of the same pairs, honest errors, nothing trained on."""

import json

import numpy as np
import pytest

from fivesigma.datasets import Dataset
from fivesigma.workflows import discovered, discovery
from fivesigma.workflows.dijets import Dijets, Search, processes_of
from fivesigma.workflows.recipes import RECIPES

TAGGERS = {"cnn": 0.5, "pfn": 0.5}
SEARCH = Search(rate_edges=(640.0,))


def dijets(n, weight, seed, efficiency, peak=None):
    """Pairs with scores that are independent of each other and of the mass."""
    rng = np.random.default_rng(seed)
    mass = 1050 + rng.exponential(300, n) if peak is None else rng.normal(peak, 40, n)
    pt = (mass[:, None] / 2 * rng.uniform(0.95, 1.0, (n, 2))).ravel()
    scores = {
        name: np.where(rng.random(2 * n) < factor, 0.9, 0.1) + rng.uniform(-0.09, 0.09, 2 * n)
        for name, factor in zip(TAGGERS, efficiency, strict=True)
    }
    rows = np.arange(2 * n).reshape(n, 2)
    return Dijets(pt, scores, rows, mass, rng.uniform(0, 1.2, n), weight)


@pytest.fixture(scope="module")
def samples():
    return {
        "zprime": dijets(4000, 0.5, 1, (0.5, 0.6), peak=1300.0),
        "ttbar": dijets(6000, 2.0, 2, (0.4, 0.5)),
        "qcd": dijets(30_000, 800.0, 3, (0.02, 0.01)),
    }


@pytest.fixture(scope="module")
def sections(samples, tmp_path_factory):
    out = tmp_path_factory.mktemp("discovery")
    return discovered.sections(samples, TAGGERS, SEARCH, 1, out), out


def test_tags_lift_the_significance(sections):
    numbers = sections[0][0].numbers
    z = {name: numbers[f"{name}/z_expected"] for name in ("mass_alone", "cnn", "pfn")}
    assert z["mass_alone"].value < z["cnn"].value < z["pfn"].value
    assert all(0 < each.uncertainty < each.value for each in z.values())
    gain = numbers["pfn/gain"]
    assert gain.value == pytest.approx(z["pfn"].value / z["mass_alone"].value)
    assert gain.value > 3 and 0 < gain.uncertainty < gain.value
    assert len(sections[0][0].figures) == 3


def test_independent_tags_are_found_independent(sections):
    numbers = sections[0][1].numbers
    ratios = {k: n for k, n in numbers.items() if k.endswith("counted_over_product")}
    assert len(ratios) == 6  # signal, top quarks and loosened QCD, of two taggers
    assert all(abs(n.value - 1) < 4 * n.uncertainty for n in ratios.values())
    chi2 = [n for k, n in numbers.items() if k.endswith("smoothing_chi2")]
    assert len(chi2) == 6 and all(0 < n.value < 60 for n in chi2)


def test_tags_that_hang_together_are_seen(samples):
    qcd = samples["qcd"]
    scores = {"cnn": np.repeat(qcd.scores["cnn"][::2], 2)}  # both jets or none
    same = Dijets(qcd.pt, scores, qcd.rows, qcd.mass, qcd.deta, qcd.weight)
    found = processes_of(samples | {"qcd": same}, "cnn", 0.5, SEARCH)["qcd"]
    assert discovered._ratio(found).value > 10


def test_one_set_of_pseudo_data_is_fitted_and_kept(sections):
    found, out = sections
    numbers = found[-1].numbers
    assert abs(numbers["mu"].value - 1) < 4 * numbers["mu"].uncertainty
    data = json.loads((out / "workspaces" / "pseudo-data.json").read_text())["observations"]
    counts = np.array(data[0]["data"])
    assert (counts == np.round(counts)).all() and counts.sum() > 0
    assert (out / "workspaces" / "mass_alone.json").exists()


def test_a_replica_draws_pairs_and_jets_anew(samples):
    nominal = processes_of(samples, "cnn", 0.5, SEARCH)["qcd"]
    other = processes_of(samples, "cnn", 0.5, SEARCH, np.random.default_rng(0))["qcd"]
    assert len(other.pairs.mass) == len(nominal.pairs.mass)
    assert len(np.unique(other.pairs.mass)) < 0.7 * len(nominal.pairs.mass)
    assert not np.array_equal(other.rates.value, nominal.rates.value)


def test_collisions_that_trained_the_taggers_are_refused(sample):
    with pytest.raises(ValueError, match=r"have the seed \d+; choose another --seed"):
        discovery._refuse_trained_on(sample, Dataset.open(sample.path))


def test_the_recipe_has_the_classes_of_the_fit():
    recipe = RECIPES["dijet-resonance"]
    assert [each.label for each in recipe.samples] == ["zprime", "ttbar", "qcd"]
    assert recipe.jets.leading == 2
