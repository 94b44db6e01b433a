"""`fivesigma prune`: an ordinary run with zeros, gone on with, and what it costs."""

import json
import shutil

import numpy as np
import pytest
import yaml

from fivesigma.cli import main
from fivesigma.pruning import zero_share
from fivesigma.runs import load_run
from fivesigma.training import Training
from fivesigma.workflows import prune as module
from fivesigma.workflows.evaluate import compare
from fivesigma.workflows.prune import prune

QUICK = Training(epochs=1, batch_size=64, learning_rate=3e-4, threads=1, device="cpu")


def pruned(runs, sample, out, **changes):
    options = {"share": 0.8, "steps": 3, "training": QUICK, "quiet": True, **changes}
    return prune(runs["pfn"].path, out, data=sample.path, **options)


@pytest.fixture(scope="module")
def made(runs, sample, tmp_path_factory):
    out = tmp_path_factory.mktemp("pruned") / "small"
    return out, pruned(runs, sample, out)


def test_the_result_is_a_run_and_tells_its_cost(runs, sample, made):
    out, found = made
    run = load_run(out)
    assert run.finished and zero_share(run.model) == pytest.approx(0.8, abs=1e-3)
    numbers = {key.removeprefix("small/"): value for key, value in found.numbers.items()}
    assert numbers["zeros"].value == pytest.approx(zero_share(run.model))
    dense = run.n_parameters - numbers["nonzero_parameters"].value
    assert dense == pytest.approx(0.8 * 56500, rel=0.01)  # of 57130, 56500 are no biases
    direct = compare(out, runs["pfn"].path, data=sample.path).numbers
    for key in ("auc_difference", "rejection_ratio_at_50"):
        assert numbers[f"pruned-vs-unpruned/{key}"] == direct[f"small-vs-pfn/{key}"]
    assert {"pruned/auc", "unpruned/rejection_at_50"} <= numbers.keys()
    written = json.loads((out / "results.json").read_text())
    assert written["small/zeros"]["value"] == numbers["zeros"].value
    assert "of the rejection at 50 %" in found.note
    assert all(row[1].value > 0 for row in found.tables["layers"].rows)
    assert numbers["pruned/auc"].value > 0.5 + 3 * numbers["pruned/auc"].uncertainty
    kept = sum(int(row[1].value) for row in found.tables["layers"].rows)
    assert kept == pytest.approx(0.2 * 56500, rel=0.01)


def test_zeros_grow_step_by_step_and_none_comes_back(made):
    out, _ = made
    steps = [load_run(path).model for path in (out / "steps/0", out / "steps/1", out)]
    assert [zero_share(step) for step in steps] == pytest.approx([0.563, 0.770, 0.8], abs=1e-3)
    for before, after in zip(steps, steps[1:], strict=False):
        for one, other in zip(before.parameters(), after.parameters(), strict=True):
            assert one.ndim < 2 or not other[one == 0].any()


def test_a_finished_one_is_known_and_an_interrupted_one_goes_on(
    runs, sample, made, tmp_path, monkeypatch
):
    out, found = made
    monkeypatch.setattr(module, "magnitude_masks", fails_at(3, module.magnitude_masks))
    with pytest.raises(KeyboardInterrupt):
        pruned(runs, sample, tmp_path / "small")
    monkeypatch.undo()
    first = (tmp_path / "small/steps/0/checkpoints/last.pt").stat().st_mtime_ns
    again = pruned(runs, sample, tmp_path / "small")
    assert (tmp_path / "small/steps/0/checkpoints/last.pt").stat().st_mtime_ns == first
    same(again, found)
    weights = [
        (folder / "weights.safetensors").read_bytes() for folder in (tmp_path / "small", out)
    ]
    assert weights[0] == weights[1]
    same(pruned(runs, sample, tmp_path / "small"), found)
    with pytest.raises(ValueError, match=r"other settings \(masks: \w+ there"):
        pruned(runs, sample, tmp_path / "small", share=0.7)
    less = pruned(runs, sample, tmp_path / "small", share=0.5, steps=1, overwrite=True)
    assert less.numbers["small/zeros"].value == pytest.approx(0.5, abs=1e-3)
    assert not (tmp_path / "small/steps/0/model.yaml").exists()


def fails_at(call, function):
    calls = []

    def failing(*arguments):
        calls.append(arguments)
        if len(calls) == call:
            raise KeyboardInterrupt
        return function(*arguments)

    return failing


def same(one, other):
    """All but the rates, which are measured."""
    for key in other.numbers:
        if "per_second" not in key:
            assert one.numbers[key] == other.numbers[key], key


def test_a_pruned_run_is_pruned_further(sample, made, tmp_path):
    out, _ = made
    with pytest.raises(ValueError, match="has 80.0% zeros already; give a share above 0.8"):
        prune(out, tmp_path / "a", data=sample.path, share=0.5, training=QUICK, quiet=True)
    words = ["prune", str(out), str(tmp_path / "a"), "--data", str(sample.path), "--share", "0.9"]
    words += ["--steps", "1", "--training.epochs", "1", "--training.threads", "1"]
    assert main(words) == 0
    assert zero_share(load_run(tmp_path / "a").model) == pytest.approx(0.9, abs=1e-3)


def test_the_configuration_of_a_step_repeats_it(made, tmp_path, capsys):
    out, _ = made
    config = yaml.safe_load((out / "config.yaml").read_text())
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config | {"out": str(tmp_path / "a")}))
    words = ["prune", "--config", str(tmp_path / "config.yaml"), "--quiet"]
    assert main(words) == 0, capsys.readouterr().err
    one, other = (folder / "weights.safetensors" for folder in (out, tmp_path / "a"))
    assert one.read_bytes() == other.read_bytes()


def test_convolutions_and_flat_spectra(runs, sample, tmp_path):
    training = Training(**vars(QUICK) | {"flat_spectra": {"pt": (0.0, 600.0, 5000.0)}})
    options = {"data": sample.path, "share": 0.5, "steps": 1, "training": training, "quiet": True}
    prune(runs["cnn"].path, tmp_path / "a", **options)
    run = load_run(tmp_path / "a")
    assert zero_share(run.model) == pytest.approx(0.5, abs=1e-3)
    assert "weights" in run.model_yaml["settings"]


def test_mistakes_are_told_before_anything_is_written(runs, sample, tmp_path):
    for share, steps in ((0.0, 1), (1.0, 1), (np.nan, 1), (0.5, 0)):
        with pytest.raises(ValueError, match="need 0 < share < 1"):
            pruned(runs, sample, tmp_path / "a", share=share, steps=steps)
    with pytest.raises(ValueError, match="of kind 'trees'"):
        prune(runs["trees"].path, tmp_path / "a", data=sample.path, quiet=True)
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="not pruned; choose another folder"):
            pruned(runs, sample, runs["pfn"].path, overwrite=overwrite)
    copy = shutil.copytree(runs["pfn"].path, tmp_path / "copy")
    with pytest.raises(ValueError, match="not pruned; choose another folder"):
        pruned(runs, sample, copy)
    text = (copy / "model.yaml").read_text()
    (copy / "model.yaml").write_text(text.replace("- qcd\n", "- gluon\n"))
    with pytest.raises(ValueError, match="tells top, gluon apart"):
        prune(copy, tmp_path / "a", data=sample.path, quiet=True)
    assert not (tmp_path / "a").exists() and not (copy / "steps").exists()
