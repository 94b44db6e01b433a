"""Folds: who learns from what, with which weights, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import awkward as ak
import numpy as np
import pytest
from helpers.synthetic_jets import make_jets
from helpers.toy_events import SHIFT, make_events
from scipy.stats import norm

from fivesigma import metrics
from fivesigma.runs import load_run
from fivesigma.search.classifiers import (
    Aim,
    Classifier,
    Folds,
    check_events,
    fit_folds,
    inputs_of,
    load_folds,
    shares_of,
    training_weights,
)
from fivesigma.training import Training
from fivesigma.trees import Trees

EVENTS = make_events(2000)
QUICK = Training(
    epochs=4, batch_size=128, learning_rate=3e-3, threads=1, checkpoint_every_epochs=50
)
TREES = Classifier("trees", trees=Trees(rounds=40, leaves=6, early_stopping=0, threads=1))
MLP = Classifier("mlp", QUICK, options={"hidden": [16], "dropout": 0.0})
#: of the best possible score of two unit Gaussians a distance SHIFT apart in x
AREA = norm.cdf(SHIFT / np.sqrt(2))


def signal(events: ak.Array) -> np.ndarray:
    return (ak.to_numpy(events.label) == 0).astype(int)


@pytest.fixture(scope="module", params=["trees", "mlp"])
def trained(request, tmp_path_factory):
    out = tmp_path_factory.mktemp(request.param) / "run"
    classifier = {"trees": TREES, "mlp": MLP}[request.param]
    return fit_folds(classifier, EVENTS, ("x", "noise"), out, Folds(3))


def test_every_event_is_learned_judged_or_tested_in_each_fold():
    shares = shares_of(EVENTS, Folds(4))
    for number in range(4):
        parts = [shares.train(number), shares.validation(number), shares.test(number)]
        assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(EVENTS)))
    tested = np.concatenate([shares.test(number) for number in range(4)])
    assert len(np.unique(tested)) == len(EVENTS)
    assert np.bincount(shares.fold) / len(EVENTS) == pytest.approx([0.25] * 4, abs=0.04)


def test_shares_follow_the_event_number_alone():
    shares, order = shares_of(EVENTS, Folds()), np.random.default_rng(1).permutation(2000)
    moved = shares_of(EVENTS[order], Folds())
    assert np.array_equal(moved.fold, shares.fold[order])
    assert not np.array_equal(shares_of(EVENTS, Folds(seed=1)).fold, shares.fold)
    rows = shares_of(EVENTS[["x", "label"]], Folds())
    assert np.array_equal(rows.fold, shares.fold)  # here numbers are those of the rows
    cells = np.bincount(4 * shares.fold + 2 * shares.judging + shares.half, minlength=16)
    expected = 500 * np.tile([0.4, 0.4, 0.1, 0.1], 4)
    assert np.square((cells - expected) / np.sqrt(expected)).sum() < 40  # 15 degrees of freedom


def test_the_score_of_an_event_is_that_of_the_member_that_did_not_see_it(trained):
    score, shares = trained.held_out(EVENTS), shares_of(EVENTS, trained.folds)
    for number, member in enumerate(trained.members):
        rows = shares.test(number)
        np.testing.assert_array_equal(score[rows], member.predict(EVENTS[rows])[:, 0])


def test_no_member_ever_learned_from_its_test_events(tmp_path):
    """Labels of one fold are turned around: its own member cannot know."""
    shares = shares_of(EVENTS, Folds(3))
    label = ak.to_numpy(EVENTS.label)
    turned = ak.with_field(EVENTS, np.where(shares.fold == 1, 1 - label, label), "label")
    plain = fit_folds(TREES, EVENTS, ("x",), tmp_path / "plain", Folds(3))
    other = fit_folds(TREES, turned, ("x",), tmp_path / "turned", Folds(3))
    same = plain.held_out(EVENTS) == other.held_out(EVENTS)
    assert same[shares.fold == 1].all()
    assert not same[shares.fold == 0].all()


def test_scores_are_as_good_as_they_can_be(trained):
    area = metrics.auc(signal(EVENTS), trained.held_out(EVENTS))
    assert abs(area.value - AREA) < 3 * area.uncertainty + 0.01


def test_new_events_get_the_mean_of_the_members(trained):
    new = make_events(50, seed=9)
    mean = np.mean([member.predict(new) for member in trained.members], axis=0)
    np.testing.assert_allclose(trained.run.predict(new), mean, atol=1e-6)
    np.testing.assert_array_equal(
        load_run(trained.run.path).predict(new), trained.run.predict(new)
    )
    assert trained.run.classes == ["signal", "background"]


def test_finished_folds_return_at_once_and_others_are_refused(trained):
    path, model = trained.run.path, trained.run.architecture
    before = sorted((p, p.stat().st_mtime_ns) for p in path.rglob("weights.*"))
    classifier = {"trees": TREES, "mlp": MLP}[model]
    again = fit_folds(classifier, EVENTS, ("x", "noise"), path, Folds(3))
    assert np.array_equal(again.held_out(EVENTS), trained.held_out(EVENTS))
    assert before == sorted((p, p.stat().st_mtime_ns) for p in path.rglob("weights.*"))
    with pytest.raises(ValueError, match="number: 3 there, 4 now"):
        fit_folds(classifier, EVENTS, ("x", "noise"), path, Folds(4))
    assert load_folds(path).folds == Folds(3)


def test_an_interrupted_training_goes_on(tmp_path):
    class Stop(Exception):
        pass

    def stop(line):
        if line["member"] == 1 and line["epoch"] == 2:
            raise Stop

    each = replace(MLP, training=replace(QUICK, checkpoint_every_epochs=1))
    with pytest.raises(Stop):
        fit_folds(each, EVENTS, ("x",), tmp_path / "cut", Folds(2), progress=stop)
    cut = fit_folds(each, EVENTS, ("x",), tmp_path / "cut", Folds(2))
    whole = fit_folds(each, EVENTS, ("x",), tmp_path / "whole", Folds(2))
    assert np.array_equal(cut.held_out(EVENTS), whole.held_out(EVENTS))


@pytest.mark.parametrize("model", ["event-transformer", "pfn"])
def test_networks_of_objects_classify_events_with_weights(tmp_path, model):
    events = ak.with_field(make_jets(240), 1 - make_jets(240).label, "label")
    small = {"embed": [16], "layers": 1, "heads": 2} if model == "event-transformer" else {}
    classifier = Classifier(model, replace(QUICK, epochs=2), options=small,
                            features=("log_pt", "eta", "sin_phi", "is_photon"))  # fmt: skip
    trained = fit_folds(classifier, events, (), tmp_path, Folds(2))
    score = trained.held_out(events)
    assert score.shape == (240,) and np.isfinite(score).all()
    assert trained.run.inputs.kind == "constituents"


# --- weights ------------------------------------------------------------------------------------


@pytest.mark.parametrize("balance", ["weights", "oversampling"])
@pytest.mark.parametrize("weighting", ["absolute", "signed", "none"])
def test_both_classes_weigh_the_same(balance, weighting):
    events = make_events(1000, signal=0.2, negative=0.15)
    label, weight = ak.to_numpy(events.label), ak.to_numpy(events.weight)
    classifier = Classifier("mlp", weighting=weighting, balance=balance)
    found = training_weights(label, weight, classifier)
    total = [found[label == k].sum() for k in (0, 1)]
    if balance == "oversampling":  # each class as often as the larger one
        total = [found[label == k].mean() for k in (0, 1)]
    assert total[0] == pytest.approx(total[1])
    assert (found < 0).any() == (weighting == "signed")


def test_signed_weights_take_away_what_is_subtracted(tmp_path):
    """Background of x and as much of x + 3 with weight -1: with signs, only x remains."""
    rng = np.random.default_rng(3)
    n = 1500
    x = np.concatenate([rng.normal(3, 1, n), rng.normal(0, 1, n), rng.normal(3, 1, n),
                        rng.normal(3, 1, n)])  # fmt: skip
    weight = np.repeat([1, 1, 1, -1], n)
    label = np.repeat([0, 1, 1, 1], n)
    events = ak.Array({"x": x, "label": label, "weight": weight})
    scores = {}
    for weighting in ("signed", "absolute"):
        classifier = replace(MLP, training=replace(QUICK, epochs=20), weighting=weighting)
        run = fit_folds(classifier, events, ("x",), tmp_path / weighting, Folds(2)).run
        scores[weighting] = run.predict(ak.Array({"x": [3.0]}))[0, 0]
    assert scores["signed"] > 0.9  # nearly no background left there
    assert scores["absolute"] == pytest.approx(0.6, abs=0.1)  # 1 to 2/3


def bad(**changes) -> ak.Array:
    events = make_events(200)
    for name, values in changes.items():
        events = ak.with_field(events, values(events), name)
    return events


@pytest.mark.parametrize(
    ("events", "text"),
    [
        (bad(weight=lambda e: np.where(e.x > 1, np.nan, 1)), "event weights are NaN or infinite"),
        (bad(weight=lambda e: e.label), "weights of the signal events sum to 0"),
        (bad(weight=lambda e: 2 * e.label - 1), "the signal events sum to -"),
        (bad(label=lambda e: np.zeros(200, int)), "no background events among 200"),
        (bad(label=lambda e: e.label + 1), "labels 2; expected 0 for signal"),
        (bad(x=lambda e: np.where(e.x > 1, np.inf, 1)), "'x': .* of 200 values are NaN or inf"),
        (bad()[["y", "label"]], "no 'x'; they have y, label"),
        (bad()[["y", "xx", "label"]] if "xx" in bad().fields else bad()[["y"]], "no 'label'"),
    ],
)
def test_events_that_cannot_be_learned_from(events, text, tmp_path):
    with pytest.raises(ValueError, match=text):
        fit_folds(TREES, events, ("x",), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_unknown_feature_is_answered_with_the_closest():
    with pytest.raises(ValueError, match="no 'nois'; did you mean noise"):
        check_events(EVENTS, ("nois",))


def test_weights_that_a_fold_cannot_use():
    with pytest.raises(ValueError, match="2 signal events of a training have weights that sum"):
        training_weights(np.array([0, 0, 1]), np.array([1.0, -2, 1]),
                         Classifier("mlp", weighting="signed"))  # fmt: skip


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Folds(1), r"folds\.number: got 1, need >= 2"),
        (lambda: Folds(validation=1.0), r"folds\.validation"),
        (lambda: Aim("sharp"), r"aim\.loss: got 'sharp', need cross-entropy or simple"),
        (lambda: Aim(bins=1), r"aim\.bins"),
        (lambda: Classifier(weighting="abs"), "weighting: got 'abs', need absolute or signed"),
        (lambda: Classifier("trees", weighting="signed"), "no negative weights"),
        (lambda: Classifier("trees", aim=Aim("asimov")), r"classifier\.aim is for networks"),
        (lambda: Classifier("trees", start="mlp"), r"classifier\.start is for networks"),
        (lambda: inputs_of(Classifier("cnn"), ("x",)), "with inputs of kind 'image'"),
        (lambda: inputs_of(Classifier("pfn", parameter="m"), ()), "with a parameter; use mlp"),
    ],
)
def test_options_that_are_refused(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_a_run_without_folds_is_refused(trained):
    with pytest.raises(ValueError, match="was not trained in folds"):
        load_folds(trained.run.path / "members" / "0")
