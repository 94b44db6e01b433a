"""Searching for the options that learn best."""

import json

import pytest
import yaml

from fivesigma.training import Training
from fivesigma.workflows.train import train
from fivesigma.workflows.tune import tune

QUICK = Training(epochs=2, batch_size=64, threads=1)
SPACE = {
    "training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "options.phi": {"choices": [[16, 16], [32]]},
    "inputs.max_constituents": {"low": 20, "high": 40},
}


def search(out, sample, trials, **changes):
    options = {"space": SPACE, "training": QUICK, "quiet": True, **changes}
    return tune(out, data=sample.path, trials=trials, **options)


def runs(out):
    return sorted(path.name for path in (out / "runs").iterdir())


def test_a_search_goes_on_and_gives_a_configuration(sample, tmp_path):
    first = search(tmp_path / "a", sample, 2)
    assert first.numbers["tune/trials"].value == 2 and len(runs(tmp_path / "a")) == 2
    again = search(tmp_path / "a", sample, 4)
    assert again.numbers["tune/trials"].value == 4
    best = again.numbers["tune/validation_loss"].value
    assert best <= first.numbers["tune/validation_loss"].value
    config = yaml.safe_load((tmp_path / "a" / "best.yaml").read_text())
    config["training"] = Training(**config["training"])
    run = train(tmp_path / "run", **config, quiet=True)
    assert run.model_yaml["summary"]["best"]["validation_loss"] == pytest.approx(best, abs=1e-6)
    assert json.loads((tmp_path / "a" / "results.json").read_text())["tune/trials"]["value"] == 4


def test_two_workers_share_a_search(sample, tmp_path):
    found = search(tmp_path / "a", sample, 3, workers=2)
    assert found.numbers["tune/trials"].value >= 3


def test_an_interrupted_trial_resumes(sample, tmp_path, monkeypatch):
    """Killed in its second epoch, its run is the one that is finished first."""
    import fivesigma.workflows.tune as module

    def interrupted(*args, progress, **options):
        def stop(line):
            progress(line)
            if line["kind"] == "epoch":
                raise KeyboardInterrupt

        return fit(*args, progress=stop, **options)

    fit = module.fit
    monkeypatch.setattr(module, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "a", sample, 1)
    (begun,) = runs(tmp_path / "a")
    monkeypatch.undo()
    search(tmp_path / "a", sample, 1)
    assert runs(tmp_path / "a") == [begun]


@pytest.mark.parametrize(
    ("space", "text"),
    [
        ({"training.rate": {"low": 1, "high": 2}}, "unknown name 'training.rate'; choose from"),
        ({"speed": {"low": 1, "high": 2}}, "unknown name 'speed'"),
        ({"training.ema": {"low": 0.1}}, "need low and high"),
        ({"training.ema": {"choices": [0], "low": 1}}, "need low and high"),
    ],
)
def test_spaces_that_make_no_sense(space, text, sample, tmp_path):
    with pytest.raises(ValueError, match=text):
        search(tmp_path / "a", sample, 1, space=space)


def test_options_that_fail_are_named(sample, tmp_path):
    space = {"training.learning_rate": {"choices": [-1.0]}}
    with pytest.raises(ValueError, match="no trial came to its end; .*learning_rate"):
        search(tmp_path / "a", sample, 2, space=space)
