"""Training, evaluation, prediction, comparison and report on a small sample."""

import json
import shutil

import awkward as ak
import numpy as np
import pytest
import yaml

from fivesigma.datasets import Dataset
from fivesigma.runs import load_run
from fivesigma.training import Training
from fivesigma.workflows.caches import jets_of, split_caches
from fivesigma.workflows.evaluate import compare, evaluate
from fivesigma.workflows.info import info
from fivesigma.workflows.predict import predict
from fivesigma.workflows.report import report
from fivesigma.workflows.train import inputs_of, train


def test_splits_are_disjoint_and_complete(sample):
    caches = split_caches(sample, inputs_of("pfn"), "train", "validation", "test")
    events = [set(cache.event.tolist()) for cache in caches]
    assert sum(map(len, caches)) == sample.counts["jets"]
    assert not (events[0] & events[1] or events[0] & events[2] or events[1] & events[2])


@pytest.mark.parametrize("model", ["pfn", "cnn", "trees"])
def test_kept_inputs_are_those_computed(model, sample, tmp_path):
    copy = Dataset.open(shutil.copytree(sample.path, tmp_path / "copy"))
    wanted = inputs_of(model)
    computed = split_caches(copy, wanted, "train", "test")
    assert not (copy.path / "prepared").exists()
    for _ in range(2):  # made, and found
        kept = split_caches(copy, wanted, "train", "test", keep=True)
        assert len(list((copy.path / "prepared").iterdir())) == 1
        for one, other in zip(kept, computed, strict=True):
            assert one.inputs == other.inputs
            for name in ("values", "count", "label", "event"):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    split_caches(copy, inputs_of(model, {"max_constituents": 5}), "train", keep=True)
    assert len(list((copy.path / "prepared").iterdir())) == 2


def test_constants_are_learned_from_training_jets_only(sample):
    train_jets, _ = split_caches(sample, inputs_of("trees"), "train", "test")
    mass = np.concatenate([ak.to_numpy(jets.mass) for jets in jets_of(sample, "train")])
    index = train_jets.inputs.features.index("mass")
    assert train_jets.inputs.mean[index] == pytest.approx(mass.mean(), rel=1e-4)


def test_a_loaded_run_scores_plain_jets(runs, sample):
    jets = sample.read("jets")
    for run in runs.values():
        scores = load_run(run.path).predict(jets)
        assert scores.shape == (len(jets), 2)
        np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)


def test_evaluate_writes_numbers_and_figures(runs, sample):
    folder = runs["trees"].path
    result = evaluate(folder, data=sample.path, overwrite=True)
    written = json.loads((folder / "results.json").read_text())
    assert set(written) == set(result.numbers)
    assert 0.9 < written["trees/auc"]["value"] <= 1
    assert written["trees/auc"]["uncertainty"] > 0
    assert (folder / "figures" / "calibration.svg").is_file()
    with pytest.raises(ValueError, match="overwrite"):
        evaluate(folder, data=sample.path)


def test_predict_adds_a_collection_aligned_with_the_jets(runs, sample):
    (made,) = predict(runs["pfn"].path, sample.path, overwrite=True)
    assert (made.jets, made.fields) == (
        sample.counts["jets"],
        ("scores-pfn.top", "scores-pfn.qcd"),
    )
    dataset = Dataset.open(made.path)
    scores = dataset.read("scores-pfn")
    assert scores.fields == ["top", "qcd"]
    again = runs["pfn"].predict(sample.read("jets"))
    np.testing.assert_allclose(ak.to_numpy(scores.top), again[:, 0], atol=1e-6)
    with pytest.raises(ValueError, match="overwrite"):
        predict(runs["pfn"].path, sample.path)


def test_compare_of_a_run_with_itself_is_nothing(runs, sample):
    same = compare(runs["trees"].path, runs["trees"].path.parent / "pfn", data=sample.path)
    assert set(same.numbers) >= {"trees-vs-pfn/auc_difference"}
    with pytest.raises(ValueError, match="two runs of the name"):
        compare(runs["trees"].path, runs["trees"].path, data=sample.path)


def test_report_is_one_page_that_needs_nothing_else(runs, sample, tmp_path):
    sections = report([run.path for run in runs.values()], data=sample.path, out=tmp_path / "r")
    page = (tmp_path / "r" / "report.html").read_text()
    numbers = json.loads((tmp_path / "r" / "results.json").read_text())
    assert {"pfn/auc", "cnn/auc", "trees/auc"} <= set(numbers)
    assert len(sections) > 5
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script src" not in page
    assert "prefers-color-scheme" in page


def test_a_run_s_config_repeats_it(runs, sample, tmp_path):
    config = yaml.safe_load((runs["pfn"].path / "config.yaml").read_text())
    again = train(
        tmp_path / "pfn", data=config["data"], model=config["model"],
        training=Training(**config["training"]), quiet=True,
    )  # fmt: skip
    first = (runs["pfn"].path / "weights.safetensors").read_bytes()
    assert (again.path / "weights.safetensors").read_bytes() == first


def test_info_tells_what_there_is(runs, sample):
    text = info()
    for name in ("ttbar", "top-tagging", "atlas", "pfn", "pythia8mc"):
        assert name in text
    assert "classes: top, qcd" in info(sample.path)
    assert "pfn with 57" in info(runs["pfn"].path)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, r, t: train(t / "x", data=s.path, model="pfm"), "unknown model 'pfm'"),
        (lambda s, r, t: train(t / "x", data=t / "none", model="pfn"), "none"),
        (
            lambda s, r, t: train(t / "x", data=s.path, inputs={"pixel": 3}),
            "unknown key of inputs",
        ),
        (lambda s, r, t: evaluate(t / "none", data=s.path), "none"),
        (lambda s, r, t: evaluate(r["pfn"].path, data=s.path, split="tset"), "unknown split"),
        (lambda s, r, t: report([], data=s.path), "at least one run"),
    ],
)
def test_mistakes_are_answered(call, message, sample, runs, tmp_path):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        call(sample, runs, tmp_path)


def test_a_truncated_shard_is_named(sample, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(sample.path, copy)
    shard = copy / "jets" / "00002.parquet"
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(ValueError, match="00002.parquet"):
        train(tmp_path / "run", data=copy, model="pfn", quiet=True)


def test_a_manifest_of_another_schema_is_refused(sample, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(sample.path, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"schema": 999}))
    with pytest.raises(ValueError, match="schema"):
        Dataset.open(copy)


def test_nan_momenta_are_refused(runs, sample):
    jets = sample.read("jets", shards=[0])
    pt = ak.to_numpy(jets.pt).copy()
    pt[3] = np.nan
    broken = ak.with_field(jets, pt, "pt")
    with pytest.raises(ValueError, match="NaN or infinite"):
        runs["pfn"].predict(broken)
