"""Trees have the same face as networks, and find what there is to find in the observables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.synthetic_jets import make_jets

from fivesigma.batches import Inputs, build_cache
from fivesigma.runs import load_run
from fivesigma.trees import TREE_OBSERVABLES, Trees, fit_trees, tree_inputs

INPUTS = tree_inputs(("mass", "tau21", "width"))
TRAIN = build_cache(make_jets(600), INPUTS)
VALIDATION = build_cache(make_jets(300, seed=1), TRAIN.inputs)
TEST = make_jets(500, seed=2)
CLASSES = ["one prong", "two prongs"]
OPTIONS = Trees(rounds=60, learning_rate=0.1, leaves=8, early_stopping=10, threads=1)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("trees") / "run"
    return fit_trees(TRAIN, VALIDATION, CLASSES, out, OPTIONS)


def test_better_than_chance_and_probabilities(run):
    scores = run.predict(TEST)
    assert scores.shape == (500, 2) and scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
    assert np.mean(scores.argmax(1) == TEST.label) > 0.75


def test_saved_and_loaded_is_the_same(run):
    again = load_run(run.path)
    assert np.array_equal(again.predict(TEST), run.predict(TEST))
    assert again.classes == CLASSES and again.finished
    assert again.predict(TEST[:0]).shape == (0, 2)
    assert again.n_parameters > len(again.history())
    assert "lightgbm" in again.model_yaml["provenance"]


def test_validation_loss_is_that_of_the_kept_rounds(run):
    losses = [line["validation_loss"] for line in run.history()]
    assert len(losses) < OPTIONS.rounds
    scores = run.predict(make_jets(300, seed=1))[np.arange(300), VALIDATION.label]
    assert -np.log(scores).mean() == pytest.approx(min(losses), abs=1e-5)
    assert run.model_yaml["summary"]["best"]["validation_loss"] == min(losses)


def test_same_trees_whatever_the_threads(tmp_path):
    few = replace(OPTIONS, rounds=5)
    one = fit_trees(TRAIN, VALIDATION, CLASSES, tmp_path / "one", few)
    two = fit_trees(TRAIN, VALIDATION, CLASSES, tmp_path / "two", replace(few, threads=2))
    assert np.array_equal(one.predict(TEST), two.predict(TEST))


def test_same_trees_again(run, tmp_path):
    again = fit_trees(TRAIN, VALIDATION, CLASSES, tmp_path / "run", OPTIONS)
    assert np.array_equal(again.predict(TEST), run.predict(TEST))


def test_repeating_returns_at_once_and_other_settings_are_refused(run):
    before = (run.path / "weights.txt").stat().st_mtime_ns
    fit_trees(TRAIN, VALIDATION, CLASSES, run.path, OPTIONS)
    assert (run.path / "weights.txt").stat().st_mtime_ns == before
    with pytest.raises(ValueError, match=r"trees\.leaves: 8 there, 9 now"):
        fit_trees(TRAIN, VALIDATION, CLASSES, run.path, replace(OPTIONS, leaves=9))


def test_importance_knows_noise(run):
    table = run.importance()
    assert table.columns[0] == "observable"
    assert {row[0] for row in table.rows} == {"mass", "tau21", "width"}
    assert table.rows[-1][0] == "width"
    assert sum(row[1].value for row in table.rows) == pytest.approx(1)


def test_three_classes(tmp_path):
    train = build_cache(make_jets(600, n_classes=3), INPUTS)
    validation = build_cache(make_jets(300, seed=1, n_classes=3), train.inputs)
    lines = []
    run = fit_trees(train, validation, list("abc"), tmp_path, OPTIONS, progress=lines.append)
    jets = make_jets(300, seed=2, n_classes=3)
    scores = run.predict(jets)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
    assert np.mean(scores.argmax(1) == jets.label) > 0.55


def test_class_and_event_weights(tmp_path):
    rare = TRAIN.take((TRAIN.label == 0) | (np.arange(len(TRAIN)) % 5 == 0))
    run = fit_trees(rare, VALIDATION, CLASSES, tmp_path / "plain", OPTIONS)
    balanced = replace(OPTIONS, class_weights=True)
    weighted = fit_trees(rare, VALIDATION, CLASSES, tmp_path / "class", balanced)
    assert weighted.predict(TEST)[:, 1].mean() > run.predict(TEST)[:, 1].mean() + 0.1
    events = replace(OPTIONS, use_event_weights=True)
    negative = replace(TRAIN, weight=np.where(TRAIN.label == 0, -0.1, 1).astype(np.float32))
    with pytest.raises(ValueError, match="no negative weights"):
        fit_trees(negative, VALIDATION, CLASSES, tmp_path / "events", events)


def test_defaults_leave_out_what_is_an_artefact_of_the_sample():
    assert not {"pt", "eta", "phi"} & set(TREE_OBSERVABLES)
    assert tree_inputs().kind == "observables"


def test_damaged_weights(run, tmp_path):
    for path in run.path.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    text = (tmp_path / "weights.txt").read_text()
    for damaged in ("", "nothing of the sort", text[: len(text) // 2]):
        (tmp_path / "weights.txt").write_text(damaged)
        with pytest.raises(ValueError, match="truncated"):
            load_run(tmp_path)


def test_bad_input(run, tmp_path):
    constituents = build_cache(make_jets(20), Inputs(features=("log_pt",)))
    with pytest.raises(ValueError, match="kind 'observables'"):
        fit_trees(constituents, constituents, CLASSES, tmp_path)
    with pytest.raises(ValueError, match="no training jets of two prongs"):
        fit_trees(TRAIN.take(TRAIN.label == 0), VALIDATION, CLASSES, tmp_path)
    with pytest.raises(ValueError, match="tau21"):
        run.predict(TEST[["pt", "eta", "phi", "mass"]])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rounds", 0),
        ("learning_rate", 0.0),
        ("leaves", 1),
        ("least_jets", 0),
        ("feature_fraction", 0.0),
        ("l2", -1.0),
        ("early_stopping", -1),
        ("threads", -1),
        ("seed", -1),
    ],
)
def test_bad_options_are_refused(name, value):
    with pytest.raises(ValueError, match=rf"trees\.{name}: got .*, need"):
        Trees(**{name: value})
