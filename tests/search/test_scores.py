"""A run's score as the discriminant of an analysis."""

import shutil

import awkward as ak
import numpy as np
import pytest
import yaml
from helpers.analysis_files import described, events, write_samples

from fivesigma.formats import read
from fivesigma.runs import load_run
from fivesigma.search import Score, read_analysis
from fivesigma.search.classifiers import Classifier, Folds, fit_folds
from fivesigma.search.templates import parts_of
from fivesigma.trees import Trees
from fivesigma.workflows.selecting import select_all


def train(out, rounds):
    parts = [events(600, 50, 0.7, 0.2), events(600, 51, 0.3, 0.2)]
    flat = [
        ak.zip({"score": p["score"], "ht": ak.sum(p["Jet"].pt, axis=1), "label": np.full(600, i)})
        for i, p in enumerate(parts)
    ]
    trees = Trees(rounds=rounds, leaves=4, early_stopping=0, threads=1)
    columns = ("score", "ht")
    fit_folds(Classifier("trees", trees=trees), ak.concatenate(flat), columns, out, Folds(2))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "trees"
    train(folder, rounds=20)
    return folder


INPUTS = {"score": "event.score", "ht": "sum(jets.pt)"}


def test_scores_are_those_of_the_run(run, tmp_path):
    write_samples(tmp_path)
    content = described(tmp_path) | {"scores": {"tree": {"run": str(run), "inputs": INPUTS}}}
    content |= {"discriminant": "tree", "systematics": {}, "objects": {}}
    content["regions"].pop("CR")
    path = tmp_path / "analysis.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    analysis = read_analysis(path)
    chosen = select_all(analysis, tmp_path / "out", unblind=True, quiet=True)
    assert [each.part for each in chosen] == parts_of(analysis)
    found = next(each.selected for each in chosen if each.part.sample == "signal")
    whole = read(tmp_path / "signal.root")
    kept = (ak.sum(whole.muons.pt > 25, axis=1) == 1) & (ak.num(whole.jets) >= 2)
    kept = whole[kept & ak.any(whole.jets.btag > 0.7, axis=1)]
    score = analysis.scores["tree"](kept)
    weight = ak.to_numpy(kept.event.weight)
    expected = np.histogram(score, np.linspace(0, 1, 9), weights=weight)[0]
    values = found.histograms["SR", "nominal"].view()["value"][1]
    assert values == pytest.approx(expected, rel=1e-6)
    assert values[4:].sum() > 2 * values[:4].sum()  # most of the signal is recognised


def test_a_run_that_is_trained_anew_is_loaded_anew(run, tmp_path):
    copy = tmp_path / "trees"
    shutil.copytree(run, copy)
    some = ak.zip(
        {
            "event": ak.zip({"score": np.array([0.1, 0.9])}),
            "jets": ak.zip({"pt": [[50.0, 60.0], [50.0]]}),
        },
        depth_limit=1,
    )
    score = Score(run=str(copy), inputs=INPUTS)
    before = score(some)
    shutil.rmtree(copy)
    train(copy, rounds=2)
    after = score(some)
    assert np.abs(after - before).min() > 0.05
    assert np.array_equal(after, load_run(copy, device="cpu").predict(_seen(some))[:, 0])


def _seen(events):
    return ak.zip({"score": events.event.score, "ht": ak.sum(events.jets.pt, axis=1)})


def test_mistakes_are_told(run, tmp_path):
    some = ak.zip({"x": np.zeros(3)})
    with pytest.raises(ValueError, match="sees 'ht', which inputs lacks; it has score"):
        Score(run=str(run), inputs={"score": "x"})(some)
    with pytest.raises(ValueError, match="no class 'singal'; did you mean signal"):
        Score(run=str(run), inputs={"score": "x", "ht": "x"}, of="singal")(some)
    with pytest.raises(FileNotFoundError, match="no run in .*missing"):
        Score(run=str(tmp_path / "missing"), inputs=INPUTS).files()
