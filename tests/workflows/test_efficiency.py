"""Learning from fewer jets: what is trained on what, and what is told of it."""

import json

import numpy as np
import pytest

from fivesigma.batches import Cache, Inputs
from fivesigma.cli import main
from fivesigma.runs import load_run
from fivesigma.training import Training
from fivesigma.workflows import efficiency as module
from fivesigma.workflows.caches import split_caches
from fivesigma.workflows.efficiency import _part, _scaled, efficiency
from fivesigma.workflows.scoring import score_runs
from fivesigma.workflows.train import inputs_of

QUICK = Training(epochs=1, batch_size=64, threads=1, device="cpu", seed=3)


def learn(out, sample, **changes):
    options = {"fractions": (1.0, 0.2), "repeats": 2, "training": QUICK, "quiet": True, **changes}
    return efficiency(out, data=sample.path, **options)


@pytest.fixture(scope="module")
def learned(sample, tmp_path_factory):
    out = tmp_path_factory.mktemp("efficiency") / "runs"
    return out, learn(out, sample)


def test_runs_have_their_share_of_jets_and_of_steps(learned):
    out, found = learned
    few, every = (found.numbers[f"pfn-{name}/training_jets"].value for name in (20, 100))
    assert few == pytest.approx(0.2 * every, abs=1)
    for name, epochs in (("20", 5), ("100", 1)):
        for repeat in (0, 1):
            form = load_run(out / f"pfn-{name}-{repeat}").model_yaml
            assert form["settings"]["training"]["epochs"] == epochs
            assert form["settings"]["training"]["seed"] == 3 + repeat
            jets = form["settings"]["data"]["train"]["jets"]
            assert jets == found.numbers[f"pfn-{name}/training_jets"].value


def test_numbers_are_means_over_the_repeats(learned, sample):
    out, found = learned
    runs = {name: load_run(out / name) for name in ("pfn-20-0", "pfn-20-1")}
    scored = score_runs(runs, sample)
    aucs = [module.metrics.auc(scored.signal, scored.score(run)) for run in runs]
    number = found.numbers["pfn-20/auc"]
    assert number.value == pytest.approx(np.mean([auc.value for auc in aucs]))
    statistical = np.mean([auc.uncertainty for auc in aucs])
    spread = np.std([auc.value for auc in aucs], ddof=1) / np.sqrt(2)
    assert number.uncertainty == pytest.approx(np.hypot(statistical, spread))
    written = json.loads((out / "results.json").read_text())
    assert written["pfn-20/auc"]["value"] == number.value
    assert len(list((out / "figures").glob("*.svg"))) == 1


def test_repeated_it_goes_on_and_with_other_options_it_stops(learned, sample, monkeypatch):
    out, found = learned
    stamps = {path: path.stat().st_mtime_ns for path in out.glob("*/weights.safetensors")}
    assert len(stamps) == 4
    assert learn(out, sample).numbers == found.numbers
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    with pytest.raises(ValueError, match=r"other settings \(training\.learning_rate"):
        learn(out, sample, training=Training(**vars(QUICK) | {"learning_rate": 0.01}))


def test_through_the_command_line(sample, tmp_path, capsys):
    words = ["efficiency", str(tmp_path / "a"), "--data", str(sample.path)]
    words += ["--fractions", "0.1", "--training.epochs", "1", "--training.threads", "1"]
    assert main(words) == 0, capsys.readouterr().err
    assert "pfn-10/auc" in capsys.readouterr().out
    assert main([*words, "--fractions", "0"]) == 2


@pytest.mark.parametrize("changes", [{"fractions": ()}, {"fractions": (2.0,)}, {"repeats": 0}])
def test_fractions_that_make_no_sense(changes, sample, tmp_path):
    with pytest.raises(ValueError, match="0 < fraction <= 1"):
        learn(tmp_path / "a", sample, **changes)
    assert not (tmp_path / "a").exists()


def events(cache: Cache) -> set[tuple[int, ...]]:
    return {tuple(row) for row in np.stack([cache.event, cache.label], axis=1).tolist()}


def test_smaller_parts_lie_in_larger_ones_and_keep_the_classes(sample):
    inputs: Inputs = inputs_of("pfn")
    (train,) = split_caches(sample, inputs, "train")
    parts = [_part(train, fraction, seed=1) for fraction in (0.1, 0.4, 1.0)]
    assert events(parts[0]) < events(parts[1]) < events(parts[2]) == events(train)
    whole = np.bincount(train.label)
    for part, fraction in zip(parts, (0.1, 0.4, 1.0), strict=True):
        assert np.bincount(part.label) == pytest.approx(fraction * whole, abs=0.51)
    assert events(_part(train, 0.1, seed=2)) != events(parts[0])
    assert np.bincount(_part(train, 1e-6, seed=1).label).tolist() == [1, 1]


def test_small_samples_are_passed_more_often_up_to_a_bound():
    training = Training(epochs=4)
    assert [_scaled(training, f, 0).epochs for f in (1.0, 0.5, 0.1, 0.001)] == [4, 8, 40, 40]
