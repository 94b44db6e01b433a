"""`fivesigma train` with recipes: flat spectra, fine-tuning, a teacher, an ensemble."""

import shutil
from dataclasses import replace

import awkward as ak
import numpy as np
import pytest
import yaml

from fivesigma.cli import main
from fivesigma.datasets import Dataset
from fivesigma.runs import load_run
from fivesigma.training import Training
from fivesigma.workflows import distil
from fivesigma.workflows.caches import jets_of, split_caches
from fivesigma.workflows.distil import teacher_logits
from fivesigma.workflows.predict import predict
from fivesigma.workflows.train import inputs_of, train

QUICK = Training(epochs=2, batch_size=64, threads=1, device="cpu")


@pytest.fixture
def never_asked(monkeypatch):
    def ask(*arguments):
        pytest.fail("the teacher was asked again")

    monkeypatch.setattr(distil, "_computed", ask)


def jets(sample, split):
    return ak.concatenate(list(jets_of(sample, split)))


@pytest.mark.parametrize("name", ["trees", "cnn"])
def test_any_run_teaches_and_is_asked_once(name, runs, sample, tmp_path, request):
    teacher = runs[name]
    student = train(
        tmp_path / "run", data=sample.path, teacher=teacher.path, training=QUICK, quiet=True
    )
    assert student.model_yaml["provenance"]["teacher"] == str(teacher.path)
    (kept,) = student.path.glob("teacher-*.safetensors")
    beside = shutil.copytree(sample.path, tmp_path / "data")
    predict(teacher.path, [str(beside)], quiet=True)  # scores beside the jets change nothing
    sample = Dataset.open(beside)
    request.getfixturevalue("never_asked")
    logits = teacher_logits(teacher, sample, student.path)
    for split, found in zip(("train", "validation"), logits, strict=True):
        scores = teacher.predict(jets(sample, split))
        np.testing.assert_allclose(np.exp(found), scores, rtol=1e-4, atol=1e-6)
    label = split_caches(sample, inputs_of("pfn"), "train")[0].label
    assert (logits[0].argmax(1) == label).mean() > 0.7  # in the order of the cache
    train(tmp_path / "run", data=sample.path, teacher=teacher.path, training=QUICK, quiet=True)


def test_what_was_kept_is_for_one_teacher_and_one_dataset(runs, sample, tmp_path):
    before = teacher_logits(runs["pfn"], sample, tmp_path, quiet=True)
    other = teacher_logits(runs["cnn"], sample, tmp_path, quiet=True)
    assert not np.allclose(before[0], other[0])
    files = sorted(tmp_path.glob("teacher-*"))
    assert len(files) == 2
    for path in files:
        path.write_bytes(path.read_bytes()[:50])  # damaged: computed anew
    again = teacher_logits(runs["pfn"], sample, tmp_path, quiet=True)
    np.testing.assert_array_equal(again[0], before[0])
    assert not list((tmp_path / "none").glob("*"))
    teacher_logits(runs["pfn"], sample, tmp_path / "none", write=False, quiet=True)
    assert not (tmp_path / "none").exists()


def test_a_teacher_of_other_classes_is_refused(runs, sample, tmp_path):
    copy = shutil.copytree(runs["pfn"].path, tmp_path / "copy")
    text = (copy / "model.yaml").read_text()
    (copy / "model.yaml").write_text(text.replace("- qcd\n", "- gluon\n"))
    with pytest.raises(ValueError, match=r"tells top, gluon apart, but .* holds top, qcd"):
        train(tmp_path / "run", data=sample.path, teacher=copy, training=QUICK, quiet=True)
    assert not (tmp_path / "run").exists()


def test_fine_tuning_takes_architecture_and_inputs_from_the_start(runs, sample, tmp_path):
    still = replace(QUICK, epochs=1, learning_rate=1e-12, weight_decay=0.0)
    out = tmp_path / "run"
    run = train(out, data=sample.path, init=runs["pfn"].path, training=still, quiet=True)
    assert run.inputs == runs["pfn"].inputs
    test = jets(sample, "test")
    np.testing.assert_allclose(run.predict(test), runs["pfn"].predict(test), atol=1e-5)
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert config["init"] == str(runs["pfn"].path)
    with pytest.raises(ValueError, match="is a 'pfn', not a 'cnn'"):
        train(tmp_path / "a", data=sample.path, model="cnn", init=runs["pfn"].path, quiet=True)
    with pytest.raises(ValueError, match="of kind 'trees'"):
        train(tmp_path / "a", data=sample.path, init=runs["trees"].path, quiet=True)
    with pytest.raises(ValueError, match=r"inputs\.max_constituents: 128 there, 5 now"):
        train(
            *(tmp_path / "a",), data=sample.path, init=runs["pfn"].path,
            inputs={"max_constituents": 5}, quiet=True,
        )  # fmt: skip
    with pytest.raises(ValueError, match="option phi"):
        train(
            *(tmp_path / "a",), data=sample.path, init=runs["pfn"].path,
            options={"phi": [8]}, quiet=True,
        )  # fmt: skip
    assert not (tmp_path / "a").exists()


def test_flat_spectra_through_the_command_line(sample, tmp_path):
    out = tmp_path / "run"
    words = ["train", str(out), "--data", str(sample.path), "--quiet"]
    words += ["--training.epochs", "1", "--training.flat_spectra"]
    assert main([*words, "{pt: [0, 600, 5000], mass: [0, 100, 5000]}"]) == 0
    form = load_run(out).model_yaml
    assert "weights" in form["settings"]
    assert form["settings"]["training"]["flat_spectra"]["mass"] == [0, 100, 5000]
    assert main([*words, "{pt: [0, 600, 5000], mass: [0, 100, 5000]}"]) == 0  # known again
    assert main([*words, "{pt: [0, 700, 5000], mass: [0, 100, 5000]}"]) == 2
    assert main([*words[:1], str(tmp_path / "b"), *words[2:], "{mas: [0, 100]}"]) == 2


def test_config_of_a_recipe_repeats_it(runs, sample, tmp_path, capsys):
    out = tmp_path / "run"
    options = replace(QUICK, epochs=1, optimizer="ranger", drop_particles=0.1, hard=0.5)
    one = train(out, data=sample.path, teacher=runs["trees"].path, training=options, quiet=True)
    before = (out / "weights.safetensors").read_bytes()
    words = ["train", "--config", str(out / "config.yaml"), "--overwrite", "--quiet"]
    assert main(words) == 0, capsys.readouterr().err
    assert (out / "weights.safetensors").read_bytes() == before
    assert one.finished


def test_an_ensemble_is_trained_and_told(sample, tmp_path, capsys):
    out = tmp_path / "run"
    words = ["train", str(out), "--data", str(sample.path), "--members", "2"]
    assert main([*words, "--training.epochs", "1"]) == 0
    assert "validation loss" in capsys.readouterr().out
    run = load_run(out)
    test = jets(sample, "test")
    mean = np.mean([load_run(out / "members" / n).predict(test) for n in "01"], axis=0)
    np.testing.assert_allclose(run.predict(test), mean, atol=1e-6)


def test_trees_have_no_start_no_teacher_no_members(runs, sample, tmp_path):
    for name, value in (("init", runs["pfn"].path), ("teacher", runs["pfn"].path), ("members", 2)):
        with pytest.raises(ValueError, match=f"--{name} is for networks"):
            train(tmp_path / "a", data=sample.path, model="trees", quiet=True, **{name: value})
    with pytest.raises(ValueError, match="members: got 0"):
        train(tmp_path / "a", data=sample.path, members=0, quiet=True)
