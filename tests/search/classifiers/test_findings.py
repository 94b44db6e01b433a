"""What is told of classifiers: ranking, correlations, over-training, stability, mu."""

from __future__ import annotations

from dataclasses import replace

import awkward as ak
import numpy as np
import pytest
from helpers.toy_events import make_events
from scipy.stats import ks_2samp

from fivesigma.search.classifiers import (
    Classifier,
    Folds,
    Spectrum,
    correlations,
    fit_folds,
    kolmogorov_smirnov,
    overtraining,
    pairs_of,
    permutation_importance,
    stability,
    strength_gain,
    strength_uncertainty,
)
from fivesigma.trees import Trees

EVENTS = make_events(2500)
TREES = Trees(rounds=40, leaves=6, early_stopping=0, threads=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("findings") / "trees"
    return fit_folds(Classifier("trees", trees=TREES), EVENTS, ("x", "y", "noise"), out, Folds(3))


def test_noise_has_no_importance(trained):
    ranking = permutation_importance(trained, EVENTS)
    assert list(ranking)[-1] == "noise"
    assert abs(ranking["noise"].value) < 3 * ranking["noise"].uncertainty
    assert ranking["x"].value > 10 * ranking["x"].uncertainty
    with pytest.raises(ValueError, match="got 1 repeats"):
        permutation_importance(trained, EVENTS, repeats=1)


def test_correlations_are_those_of_numpy_and_know_weights():
    names = ("x", "y", "mass", "noise")
    plain = EVENTS[[name for name in EVENTS.fields if name != "weight"]]
    own = EVENTS[EVENTS.label == 1]
    values = np.stack([ak.to_numpy(own[name]) for name in names])
    np.testing.assert_allclose(correlations(plain, names, 1), np.corrcoef(values), atol=1e-12)
    assert correlations(plain, names, 1)[1, 2] < -0.3 < correlations(plain, names, 0)[1, 2]
    # an event of weight -1 takes its twin away
    more = ak.concatenate([plain, plain[:300]])
    weight = np.ones(len(more))
    weight[:300] = -1
    weighted = ak.with_field(ak.concatenate([more, plain[:300]]),
                             np.concatenate([weight, np.ones(300)]), "weight")  # fmt: skip
    np.testing.assert_allclose(
        correlations(weighted, names, 1), correlations(plain, names, 1), atol=1e-9
    )


def test_kolmogorov_smirnov_is_that_of_scipy():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=400), rng.normal(0.1, 1, 300)
    distance, p = kolmogorov_smirnov(a, b)
    theirs = ks_2samp(a, b, method="asymp")
    assert distance == pytest.approx(theirs.statistic)
    assert p == pytest.approx(theirs.pvalue, rel=0.15)  # theirs corrects for finite samples
    again = kolmogorov_smirnov(a, b, np.ones(400), np.full(300, 7.0))
    assert again == pytest.approx((distance, p))


def test_kolmogorov_smirnov_is_flat_for_equal_distributions():
    rng = np.random.default_rng(2)
    p = [kolmogorov_smirnov(rng.random(300), rng.random(300))[1] for _ in range(400)]
    assert ks_2samp(p, np.linspace(0, 1, 4000)).pvalue > 1e-3


def test_overtraining_is_seen(trained, tmp_path):
    """Trees of 60 leaves know their events by heart; those of 6 hardly."""
    deep = replace(TREES, rounds=100, leaves=60, least_jets=2)
    heart = fit_folds(Classifier("trees", trees=deep), EVENTS, ("x", "noise"), tmp_path, Folds(3))
    bad, good = overtraining(heart, EVENTS), overtraining(trained, EVENTS)
    assert bad.numbers["auc_gap"].value > 0.2 > 4 * good.numbers["auc_gap"].value
    assert bad.numbers["ks_p_signal"].value < 1e-6
    assert good.numbers["ks_p_signal"].value > bad.numbers["ks_p_signal"].value
    assert set(good.scores) == {"signal, train", "signal, test", "background, train",
                                "background, test"}  # fmt: skip
    assert len(good.scores["signal, test"]) == np.count_nonzero(EVENTS.label == 0)


def test_a_classifier_is_as_stable_as_what_it_sees(trained):
    y = (ak.to_numpy(EVENTS.label) == 0).astype(int)
    moved = {
        side: trained.held_out(ak.with_field(EVENTS, EVENTS.x - step * EVENTS.label, "x"))
        for side, step in (("scale_up", 0.5), ("scale_down", -0.5))
    }
    numbers = stability(y, trained.held_out(EVENTS), moved | {"nothing": trained.held_out(EVENTS)})
    assert numbers["scale_up/auc_shift"].value > 0 > numbers["scale_down/auc_shift"].value
    assert numbers["nothing/auc_shift"].value == 0
    larger = max(abs(numbers[f"scale_{s}/auc_shift"].value) for s in ("up", "down"))
    assert numbers["auc_spread"].value == pytest.approx(larger)
    assert numbers["rejection_spread"].uncertainty > 0


def test_pairs():
    names = ["jes_down", "jes_up", "generator", "Tune Up"]
    assert pairs_of(names) == {
        "jes": ["jes_up", "jes_down"], "generator": ["generator"], "Tune": ["Tune Up"],
    }  # fmt: skip


def spectrum(score: np.ndarray, shift: float, uncertainty: float = 0.0) -> Spectrum:
    rng = np.random.default_rng(1)
    y = rng.random(len(score)) < 0.5
    weight = np.where(y, 50, 500) / (0.5 * len(score))
    varied = {"b": [(score, weight * np.where(y, 1, 1 + s * shift)) for s in (1, -1)]}
    return Spectrum(y.astype(int), (score, weight), varied, uncertainty)


def test_uncertainty_of_the_signal_strength_of_a_counting_experiment():
    """A score that tells nothing: sqrt(s + b + (u b)^2) / s, however u is given."""
    score = np.random.default_rng(2).random(40_000)
    for one in (spectrum(score, 0.1), spectrum(score, 0.0, 0.1)):
        found = strength_uncertainty(one, bins=2)
        assert found.value == pytest.approx(np.sqrt(550 + 50**2) / 50, rel=0.02)
    free = strength_uncertainty(spectrum(score, 0.0), bins=2)
    assert free.value == pytest.approx(np.sqrt(550) / 50, rel=0.02)


def test_gain_of_a_score_over_itself_is_nothing_and_over_a_worse_one_is_positive():
    rng = np.random.default_rng(3)
    score = rng.random(20_000)
    plain = spectrum(score, 0.1)
    assert strength_gain(plain, plain).value == 0 == strength_gain(plain, plain).uncertainty
    better = replace(plain, nominal=(np.clip(score + 0.3 * plain.y, 0, 1), plain.nominal[1]))
    better = replace(better, varied={"b": [(better.nominal[0], w) for _, w in plain.varied["b"]]})
    gain = strength_gain(plain, better)
    assert gain.value > 5 * gain.uncertainty > 0


def test_too_few_events_for_bins():
    with pytest.raises(ValueError, match="background events in one bin of the score"):
        strength_uncertainty(spectrum(np.random.default_rng(4).random(30), 0.1))
