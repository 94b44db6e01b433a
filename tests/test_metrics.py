"""Figures of merit against closed forms, scikit-learn, and toys for their uncertainties."""

from math import erf, sqrt

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score, roc_curve

from fivesigma import metrics


def gaussians(n_signal, n_background, distance=1.5, seed=0):
    """Scores of two unit Gaussians: everything about them is known in closed form."""
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.ones(n_signal, int), np.zeros(n_background, int)])
    return y, rng.normal(distance * y, 1.0)


def true_auc(distance=1.5):
    return 0.5 * (1 + erf(distance / 2))


def true_background(efficiency, distance=1.5):
    return norm.sf(norm.isf(efficiency) + distance)


# ROC and AUC


def test_auc_of_two_gaussians_has_its_closed_form():
    number = metrics.auc(*gaussians(40_000, 60_000))
    assert abs(number.value - true_auc()) < 3 * number.uncertainty
    assert number.uncertainty < 0.0015


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("digits", [None, 1])
def test_auc_and_roc_equal_scikit_learn(weighted, digits):
    y, score = gaussians(500, 700)
    score = score if digits is None else score.round(digits)  # one digit: many ties
    weight = np.random.default_rng(1).exponential(size=y.size) if weighted else None
    expected = roc_auc_score(y, score, sample_weight=weight)
    assert metrics.auc(y, score, weight).value == pytest.approx(expected, abs=1e-12)
    curve = metrics.roc(y, score, weight)
    fpr, tpr, cut = roc_curve(y, score, sample_weight=weight, drop_intermediate=False)
    np.testing.assert_allclose(curve.signal_efficiency, tpr, atol=1e-12)
    np.testing.assert_allclose(curve.background_efficiency, fpr, atol=1e-12)
    np.testing.assert_array_equal(curve.threshold, cut)


def test_auc_uncertainty_is_delongs():
    y, score = gaussians(60, 80)
    score = score.round(1)
    signal, background = score[y == 1], score[y == 0]
    wins = (signal[:, None] > background) + 0.5 * (signal[:, None] == background)
    variance = wins.mean(1).var(ddof=1) / signal.size + wins.mean(0).var(ddof=1) / background.size
    assert metrics.auc(y, score).uncertainty == pytest.approx(sqrt(variance), rel=1e-12)


def test_weighted_auc_uncertainty_equals_the_bootstrap():
    y, score = gaussians(400, 500)
    rng = np.random.default_rng(2)
    weight = rng.exponential(size=y.size)
    areas = [metrics.auc(y, score, weight * rng.poisson(1, y.size)).value for _ in range(500)]
    assert metrics.auc(y, score, weight).uncertainty == pytest.approx(np.std(areas), rel=0.12)


def test_integer_weights_repeat_jets():
    y, score = gaussians(300, 300)
    weight = np.random.default_rng(3).integers(0, 4, y.size)
    copies = np.repeat(np.arange(y.size), weight)
    for figure in (metrics.auc, metrics.rejection, metrics.accuracy):
        plain = figure(y[copies], score[copies])
        assert figure(y, score, weight=weight).value == pytest.approx(plain.value)


def test_separated_classes_have_a_bound_for_an_uncertainty():
    y = np.repeat([1, 0], 100)
    number = metrics.auc(y, y.astype(float))
    assert number.value == 1
    assert 0.005 < number.uncertainty < 0.02
    assert "bound" in number.note


def test_macro_auc_of_two_classes_is_the_auc():
    y, score = gaussians(300, 300)
    p = 1 / (1 + np.exp(-score))
    number = metrics.macro_auc(y, np.stack([1 - p, p], axis=1))
    single = metrics.auc(y, score)
    assert number.value == pytest.approx(single.value)
    assert number.uncertainty == pytest.approx(single.uncertainty)  # fully correlated: no gain


# Rejection and significance


@pytest.mark.parametrize("efficiency", metrics.EFFICIENCIES)
def test_rejection_of_two_gaussians_has_its_closed_form(efficiency):
    number = metrics.rejection(*gaussians(50_000, 50_000), efficiency)
    assert abs(number.value - 1 / true_background(efficiency)) < 3 * number.uncertainty
    assert number.uncertainty < 0.05 * number.value
    assert number.note == ""


def test_rejection_is_the_fields_nearest_point():
    y, score = gaussians(1000, 40_000)
    fpr, tpr, _ = roc_curve(y, score, drop_intermediate=False)
    expected = 1 / fpr[np.argmin(np.abs(tpr - 0.3))]
    assert metrics.rejection(y, score, 0.3).value == pytest.approx(expected)


def test_constant_score_rejects_nothing():
    y = np.repeat([1, 0], [300, 500])
    number = metrics.rejection(y, np.zeros(800), 0.25)
    assert number.value == pytest.approx(4)
    # 1/eps_B with the binomial errors of both classes, as if a fair coin had been thrown
    assert number.uncertainty == pytest.approx(
        16 * sqrt(0.25 * 0.75 * (1 / 300 + 1 / 500)), rel=1e-6
    )


def test_few_surviving_jets_are_noted():
    y, score = gaussians(10_000, 3_000)
    number = metrics.rejection(y, score, 0.5)
    survivors = int((score[y == 0] >= np.median(score[y == 1])).sum())
    assert survivors > 100 and number.note == ""
    number = metrics.rejection(y, score, 0.3)
    assert number.note == f"rests on {round(3000 / number.value)} background jets"


def test_no_surviving_jet_gives_a_limit_that_covers():
    y = np.repeat([1, 0], [100, 1000])
    number = metrics.rejection(y, y + np.linspace(0, 0.5, y.size), 0.5)
    assert number.note.startswith(metrics.LOWER_LIMIT)
    assert np.isfinite([number.value, number.uncertainty]).all()
    # a background efficiency at the limit would show no jet in 32 % of all samples
    assert (1 - 1 / number.value) ** 1000 == pytest.approx(1 - 0.6827)


def test_significance_of_a_random_score_is_root_efficiency():
    y = np.repeat([1, 0], 50_000)
    score = np.random.default_rng(4).random(y.size)
    number = metrics.significance_improvement(y, score, 0.25)
    assert abs(number.value - 0.5) < 3 * number.uncertainty
    best = metrics.max_significance_improvement(y, score)
    assert abs(best.value - 1) < 2 * best.uncertainty + 0.01


def test_max_significance_respects_the_background_floor():
    y = np.repeat([1, 0], [100, 1000])
    score = y + np.linspace(0, 0.5, y.size)  # separates perfectly: the floor decides
    number = metrics.max_significance_improvement(y, score, minimum_background=25)
    assert number.value == pytest.approx(1 / sqrt(0.025))
    assert "25 background jets" in number.note
    few = metrics.max_significance_improvement(y[:110], score[:110])
    assert few.value == 1
    assert "fewer than 25" in few.note


def test_rejection_in_bins_keeps_the_global_cut():
    y, score = gaussians(20_000, 20_000)
    pt = np.random.default_rng(5).uniform(500, 700, y.size)
    score = score + np.where(pt > 600, 0.5, 0.0)  # the score rises with pT for both classes
    fixed = metrics.rejection_in_bins(y, score, pt, [500, 600, 700, 800], 0.5)
    own = metrics.rejection_in_bins(y, score, pt, [500, 600, 700], 0.5, working_point="bin")
    assert fixed.signal_efficiency[0].value < 0.45 < 0.55 < fixed.signal_efficiency[1].value
    assert fixed.rejection[0].value > 1.5 * fixed.rejection[1].value
    for number in own.rejection:
        assert abs(number.value - 1 / true_background(0.5)) < 3 * number.uncertainty
    assert fixed.rejection[2] is None  # nothing there, nothing said


# Uncertainties are what toys show


def _pulls(figure, truth, n=300):
    values = [figure(*gaussians(1500, 1500, seed=seed)) for seed in range(n)]
    return np.array([(v.value - truth) / v.uncertainty for v in values])


@pytest.mark.parametrize(
    ("figure", "truth"),
    [
        pytest.param(metrics.auc, true_auc(), id="auc"),
        pytest.param(
            lambda y, s: metrics.accuracy(y, s, threshold=0.75), norm.cdf(0.75), id="accuracy"
        ),
        pytest.param(
            lambda y, s: metrics.rejection(y, s, 0.7), 1 / true_background(0.7), id="rejection"
        ),
        pytest.param(
            lambda y, s: metrics.significance_improvement(y, s, 0.5),
            0.5 / sqrt(true_background(0.5)),
            id="significance",
        ),
    ],
)
def test_pulls_are_standard_normal(figure, truth):
    pulls = _pulls(figure, truth)
    assert abs(pulls.mean()) < 0.2
    assert 0.88 < pulls.std() < 1.12
    assert 0.60 < np.mean(np.abs(pulls) < 1) < 0.76


def test_rejection_error_contains_that_of_the_threshold():
    # few signal jets: the cut itself is uncertain, and dominates
    truth, pulls, plain = 1 / true_background(0.7), [], []
    for seed in range(200):
        y, score = gaussians(100, 20_000, seed=seed)
        number = metrics.rejection(y, score, 0.7)
        pulls.append((np.log(number.value / truth)) * number.value / number.uncertainty)
        plain.append(sqrt((number.value - 1) / 20_000))
    assert 0.85 < np.std(pulls) < 1.15
    assert number.uncertainty > 5 * np.mean(plain) * truth


def test_ece_uncertainty_covers_a_bias():
    rng = np.random.default_rng(6)
    values = []
    for _ in range(200):
        p = rng.random(2000)
        y = (rng.random(p.size) < 0.8 * p).astype(int)  # overconfident by 0.2 p: ECE = 0.1
        values.append(metrics.expected_calibration_error(y, p))
    pulls = [(v.value - 0.1) / v.uncertainty for v in values]
    assert abs(np.mean(pulls)) < 0.35
    assert 0.85 < np.std(pulls) < 1.15


# Several classes


def three_classes(n=600, seed=7):
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 1, 2], n)
    logits = rng.normal(size=(y.size, 3)) + 1.5 * np.eye(3)[y]
    p = np.exp(logits)
    return y, p / p.sum(1, keepdims=True)


def test_confusion_rows_add_up_and_the_diagonal_gives_the_accuracy():
    y, p = three_classes()
    matrix = metrics.confusion(y, p, ["top", "W", "QCD"])
    np.testing.assert_allclose(matrix.fraction.sum(1), 1)
    assert np.average(np.diag(matrix.fraction), weights=matrix.jets) == pytest.approx(
        metrics.accuracy(y, p).value
    )
    f = matrix.fraction
    np.testing.assert_allclose(matrix.uncertainty, np.sqrt(f * (1 - f) / 600))
    assert set(matrix.numbers()) >= {"top -> top", "QCD -> W"}


def test_discriminant_is_the_best_pair_score():
    p = np.array([[0.2, 0.2, 0.6], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(metrics.discriminant(p, 0, 1), [0.5, 0.5])
    y, p = three_classes()
    chosen, labels, score = metrics.pairwise(y, p, 0, 2)
    assert chosen.sum() == labels.size == score.size == 1200
    assert metrics.auc(labels, score).value > 0.8


def test_multiclass_report_names_every_pair():
    y, p = three_classes()
    numbers = metrics.multiclass_report("net", y, p, ["top", "W", "QCD"])
    assert {"net/accuracy", "net/auc_macro", "net/auc_W", "net/auc_top_vs_QCD"} <= set(numbers)
    assert {"net/rejection_at_50_top_vs_QCD", "net/rejection_at_50_QCD_vs_top"} <= set(numbers)
    assert all(np.isfinite([n.value, n.uncertainty]).all() for n in numbers.values())


# Calibration


def test_calibrated_scores_have_no_calibration_error_beyond_statistics():
    rng = np.random.default_rng(8)
    p = rng.beta(0.5, 0.5, 50_000)
    y = (rng.random(p.size) < p).astype(int)
    number = metrics.expected_calibration_error(y, p)
    floor = float(number.note.split()[-1])
    assert number.value < 0.01
    assert abs(number.value - floor) < 3 * number.uncertainty
    curve = metrics.calibration(y, p)
    pulls = (curve.observed - curve.predicted) / curve.uncertainty
    assert np.mean(pulls**2) < 2
    assert curve.jets.sum() == p.size


def test_ece_sees_inverted_scores():
    y = np.repeat([1, 0], 100)
    assert metrics.expected_calibration_error(y, 1.0 - y).value == 1


# Mass sculpting


def test_jensen_shannon_distance_at_its_ends_and_between():
    p = np.array([1.0, 2.0, 3.0])
    assert metrics.jensen_shannon_distance(p, 7 * p) == pytest.approx(0, abs=1e-9)
    assert metrics.jensen_shannon_distance([1, 0], [0, 1]) == pytest.approx(1)
    # m = (3/4, 1/4): [log2(4/3) + (log2(2/3) + log2 2) / 2] / 2
    expected = sqrt((np.log2(4 / 3) + 0.5 * np.log2(2 / 3) + 0.5 * np.log2(2)) / 2)
    assert metrics.jensen_shannon_distance([1, 0], [1, 1]) == pytest.approx(expected)


def test_sculpting_is_at_its_floor_for_an_independent_score_and_above_for_the_mass():
    y, score = gaussians(3000, 3000)
    mass = np.random.default_rng(9).exponential(60, y.size)
    free = metrics.mass_sculpting(y, score, mass, replicas=60)
    floor = float(free.note.split()[-1])
    assert abs(free.value - floor) < 3 * free.uncertainty
    bent = metrics.mass_sculpting(y, score + mass / 60, mass, replicas=60)
    assert bent.value > floor + 10 * bent.uncertainty
    edges = np.linspace(0, 300, 31)
    again = metrics.mass_sculpting(y, score + mass / 60, mass, bins=edges, replicas=60)
    assert again.value == pytest.approx(bent.value, rel=0.1)


# Comparison and summary


def test_a_tagger_does_not_differ_from_itself():
    y, score = gaussians(500, 500)
    numbers = metrics.compare(y, score, 2 * score + 1, replicas=20)
    assert numbers["auc_difference"].value == numbers["auc_difference"].uncertainty == 0
    assert numbers["rejection_ratio_at_50"].value == 1
    assert numbers["rejection_ratio_at_50"].uncertainty == 0


def test_compare_is_paired_and_covers():
    rng = np.random.default_rng(10)
    y, score = gaussians(3000, 3000)
    blurred = score + rng.normal(0, 0.2, y.size)
    numbers = metrics.compare(y, score, blurred)
    single = metrics.auc(y, score), metrics.auc(y, blurred)
    difference = numbers["auc_difference"]
    assert difference.value == pytest.approx(single[0].value - single[1].value)
    assert difference.value > 3 * difference.uncertainty
    # not paired, the same difference would be lost in the fluctuations of the jets
    unpaired = sqrt(sum(n.uncertainty**2 for n in single))
    assert difference.uncertainty < 0.4 * unpaired
    ratio = numbers["rejection_ratio_at_30"]
    each = metrics.rejection(y, score, 0.3), metrics.rejection(y, blurred, 0.3)
    assert ratio.value == pytest.approx(each[0].value / each[1].value)


def test_compare_errors_are_those_of_toys():
    rng = np.random.default_rng(11)
    values = []
    for seed in range(60):
        y, score = gaussians(800, 800, seed=seed)
        other = score + rng.normal(0, 0.5, y.size)
        values.append(metrics.compare(y, score, other, efficiencies=[0.7], replicas=50))
    for name in ("auc_difference", "rejection_ratio_at_70"):
        spread = np.std([v[name].value for v in values])
        assert np.mean([v[name].uncertainty for v in values]) == pytest.approx(spread, rel=0.3)


def test_binary_report_has_the_names_of_results_json():
    y, score = gaussians(2000, 2000)
    p = 1 / (1 + np.exp(-score))
    mass = np.random.default_rng(12).exponential(60, y.size)
    numbers = metrics.binary_report("cnn", y, p, mass=mass)
    expected = ["auc", "accuracy", "rejection_at_30", "rejection_at_50", "rejection_at_70"]
    expected += ["rejection_at_80", "max_sic", "ece", "mass_jsd_at_50"]
    assert list(numbers) == [f"cnn/{key}" for key in expected]
    assert "cnn/ece" not in metrics.binary_report("cnn", y, score)  # not probabilities


# Bad input


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: metrics.auc([1, 1], [0.1, 0.2]), "no background jets"),
        (lambda: metrics.auc([], []), "no signal jets"),
        (lambda: metrics.auc([1, 0], [0.1]), "must be"),
        (lambda: metrics.auc([1, 2], [0.1, 0.2]), "got also"),
        (lambda: metrics.auc([1, 0], [0.1, np.nan]), "NaN"),
        (lambda: metrics.auc([1, 0], [0.1, 0.2], [1, -1]), "negative"),
        (lambda: metrics.auc([1, 0], [0.1, 0.2], [1, 1, 1]), "one weight per jet"),
        (lambda: metrics.rejection([1, 0], [1, 0], 50), "between 0 and 1"),
        (lambda: metrics.accuracy([], []), "no jets"),
        (lambda: metrics.confusion([0, 0], np.eye(2), ["a", "b"]), "no jets of class b"),
        (lambda: metrics.confusion([0, 5], np.eye(2), ["a", "b"]), "labels from 0 to 5"),
        (lambda: metrics.calibration([1, 0], [1.5, 0]), "only probabilities"),
        (lambda: metrics.mass_sculpting([1, 0], [1, 0], [80]), "one finite mass"),
        (lambda: metrics.compare([1, 0], [1, 0], [1, 0], efficiencies=[1]), "between 0 and 1"),
        (
            lambda: metrics.rejection_in_bins([1, 0], [1, 0], [1, 0], [0, 1], working_point="x"),
            "choose from global, bin",
        ),
    ],
)
def test_bad_input_is_answered_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()
