"""A run's score as the discriminant of an analysis."""

import shutil

import awkward as ak
import numpy as np
import pytest
import yaml
from helpers.analysis_files import described, events, write_events, write_samples

from fivesigma.formats import read
from fivesigma.runs import load_run
from fivesigma.search import Score, read_analysis
from fivesigma.search.classifiers import Classifier, Folds, fit_folds, load_folds, shares_of
from fivesigma.search.parts import parts_of
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
    content = described(tmp_path) | {
        "scores": {"tree": {"run": str(run), "inputs": INPUTS, "folds": "mean"}}
    }
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
    score = Score(run=str(copy), inputs=INPUTS, folds="mean")
    before = score(some)
    shutil.rmtree(copy)
    train(copy, rounds=2)
    after = score(some)
    assert np.abs(after - before).min() > 0.05
    assert np.array_equal(after, load_run(copy, device="cpu").predict(_seen(some))[:, 0])


def _seen(events):
    return ak.zip({"score": events.event.score, "ht": ak.sum(events.jets.pt, axis=1)})


def numbered(n, seed, mean, first):
    """Events with numbers from `first`, and what a classifier sees of them."""
    tree = events(n, seed, mean, 0.2) | {"event": np.arange(first, first + n, dtype="u8")}
    return tree, ak.zip({"score": tree["score"], "event": tree["event"]})


@pytest.fixture(scope="module")
def folded(tmp_path_factory):
    """Files of signal, background and data, and the run in folds of the former."""
    folder = tmp_path_factory.mktemp("folded")
    parts = []
    for label, (name, mean) in enumerate((("signal", 0.7), ("qcd", 0.3))):
        tree, seen = numbered(600, 60 + label, mean, 10_000 * label + 2**60)
        write_events(folder / f"{name}.root", tree)
        parts.append(ak.with_field(seen, np.full(600, label), "label"))
    write_events(folder / "data.root", numbered(400, 70, 0.3, 5)[0])
    trees = Trees(rounds=30, leaves=8, early_stopping=0, threads=1)
    fit_folds(
        Classifier("trees", trees=trees), ak.concatenate(parts), ("score",), folder / "trees",
        Folds(3),
    )  # fmt: skip
    return folder


def test_no_event_is_scored_by_a_member_that_learned_from_it(folded):
    """Not even where it is known by its number alone, in another order and another sample."""
    trained = load_folds(folded / "trees")
    score = Score(run=str(folded / "trees"), inputs={"score": "event.score"})
    for name in ("signal", "qcd", "data"):
        whole = read(folded / f"{name}.root")
        found, order = score(whole), np.random.default_rng(1).permutation(len(whole))
        assert np.array_equal(score(whole[order]), found[order])
        seen = ak.zip({"score": whole.event.score, "event": whole.event.event})
        shares = shares_of(seen, Folds(3))
        for number, member in enumerate(trained.members):
            assert not set(shares.test(number)) & set(shares.train(number))
            assert not set(shares.test(number)) & set(shares.validation(number))
            rows = shares.test(number)
            assert np.array_equal(found[rows], member.predict(seen[rows])[:, 0])
    mean = Score(run=score.run, inputs=score.inputs, folds="mean")(whole)
    assert np.array_equal(mean, trained.run.predict(seen)[:, 0])
    assert not np.array_equal(mean, found)
    other = Score(run=score.run, inputs=score.inputs, of="background")(whole)
    assert other == pytest.approx(1 - found)


def test_an_analysis_takes_the_held_out_score_of_all_its_events(folded, tmp_path):
    """Simulation and data alike, whatever is cut away before, and under variations too."""
    content = described(folded) | {"define": {}, "objects": {}}
    content["samples"].pop("top")
    content |= {
        "scores": {"tree": {"run": str(folded / "trees"), "inputs": {"score": "event.score"}}},
        "discriminant": "tree",
        "selection": {"some": "event.score > 0.2"},
        "regions": {"SR": {}},
        "systematics": {"shift": {"kind": "object", "up": {"event.score": "event.score * 1.1"}}},
    }
    path = tmp_path / "analysis.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    chosen = select_all(read_analysis(path), tmp_path / "out", unblind=True, quiet=True)
    trained = load_folds(folded / "trees")
    assert len(chosen) == 3
    for each in chosen:
        whole = read(folded / each.part.given.files[0])
        for variation, factor in (("nominal", 1.0), ("shift/up", 1.1)):
            if variation != "nominal" and each.part.sample == "data":
                continue
            value = ak.to_numpy(whole.event.score) * np.float32(factor)
            kept = value > 0.2
            seen = ak.zip({"score": value[kept], "event": ak.to_numpy(whole.event.event)[kept]})
            weight = np.ones(kept.sum())
            if each.part.sample != "data":
                weight = ak.to_numpy(whole.event.weight)[kept]
            expected = np.histogram(trained.held_out(seen), np.linspace(0, 1, 9), weights=weight)
            values = each.selected.histograms["SR", variation].view()["value"][1]
            assert values == pytest.approx(expected[0], rel=1e-6)


def test_folds_need_numbers_by_which_events_are_known_again(run, folded):
    some = ak.zip({"x": np.zeros(3), "half": np.array([0.5, 1.0, 2.0])})
    rows = Score(run=str(run), inputs={"score": "x", "ht": "x"})
    with pytest.raises(
        ValueError, match=r"in folds of rows, .* with event numbers .* folds: mean"
    ):
        rows(some)
    path = str(folded / "trees")
    with pytest.raises(ValueError, match="'event'"):  # the events have no such field
        Score(run=path, inputs={"score": "x"})(some)
    with pytest.raises(ValueError, match="event 'half': expected a whole number an event, got"):
        Score(run=path, inputs={"score": "x"}, event="half")(some)


def test_mistakes_are_told(run, tmp_path):
    some = ak.zip({"x": np.zeros(3)})
    with pytest.raises(ValueError, match="sees 'ht', which inputs lacks; it has score"):
        Score(run=str(run), inputs={"score": "x"}, folds="mean")(some)
    with pytest.raises(ValueError, match="no class 'singal'; did you mean signal"):
        Score(run=str(run), inputs={"score": "x", "ht": "x"}, of="singal", folds="mean")(some)
    with pytest.raises(FileNotFoundError, match="no run in .*missing"):
        Score(run=str(tmp_path / "missing"), inputs=INPUTS).files()
