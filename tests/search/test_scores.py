"""A run's score as the discriminant of an analysis."""

import awkward as ak
import numpy as np
import pytest
import yaml
from helpers.analysis_files import described, events, write_events, write_samples

from fivesigma.formats import read
from fivesigma.search import Score, read_analysis
from fivesigma.search.classifiers import Classifier, Folds, fit_folds
from fivesigma.search.templates import parts_of
from fivesigma.trees import Trees
from fivesigma.workflows.selecting import select_all


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write_events(folder / "s.root", events(600, 50, 0.7, 0.2))
    write_events(folder / "b.root", events(600, 51, 0.3, 0.2))
    parts = [read(folder / f"{name}.root") for name in "sb"]
    flat = [
        ak.zip({"score": p.event.score, "ht": ak.sum(p.jets.pt, axis=1), "label": np.full(600, i)})
        for i, p in enumerate(parts)
    ]
    trees = Classifier("trees", trees=Trees(rounds=20, leaves=4, early_stopping=0, threads=1))
    fit_folds(trees, ak.concatenate(flat), ("score", "ht"), folder / "trees", Folds(2))
    return folder / "trees"


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


def test_mistakes_are_told(run, tmp_path):
    some = ak.zip({"x": np.zeros(3)})
    with pytest.raises(ValueError, match="sees 'ht', which inputs lacks; it has score"):
        Score(run=str(run), inputs={"score": "x"})(some)
    with pytest.raises(ValueError, match="no class 'singal'; did you mean signal"):
        Score(run=str(run), inputs={"score": "x", "ht": "x"}, of="singal")(some)
    with pytest.raises(FileNotFoundError, match="no run in .*missing"):
        Score(run=str(tmp_path / "missing"), inputs=INPUTS).files()
