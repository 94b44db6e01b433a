"""What a training promises: the same weights however often it is interrupted; what options do."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import socket
import sys
import time
from dataclasses import replace
from multiprocessing import forkserver
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from helpers.synthetic_jets import make_jets
from helpers.training_job import (
    CLASSES,
    OPTIONS,
    SMALL,
    TRAIN,
    VALIDATION,
    caches,
    job,
    run_fit,
)
from safetensors.torch import load_file

from fivesigma import loop
from fivesigma.batches import Cache, Inputs, build_cache
from fivesigma.optimisation import SCHEDULES, average_into, learning_rate, optimizer_of
from fivesigma.runs import load_run
from fivesigma.training import Training, TrainingDiverged, fit

#: processes that have everything imported, forked from one server
processes = multiprocessing.get_context("forkserver")


@pytest.fixture(scope="module")
def server():
    processes.set_forkserver_preload(["helpers.training_job"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        forkserver.ensure_running()


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "weights.safetensors")


def assert_same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), name


def outcome(out: Path) -> list[dict]:
    """The history without what depends on the clock."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in line.items() if k not in ("seconds", "jets_per_second")}
        for line in lines
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    run_fit(out)
    return out


class Stop(Exception):
    pass


# --- interruption -------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [1, 7, 10, 11, 19, 20, 21, 29])
def test_crash_at_any_batch_changes_nothing(tmp_path, undisturbed, monkeypatch, stop):
    """The process dies right after a batch; checkpoints are those of epochs and of the clock."""
    seen = 0

    def crash(line):
        nonlocal seen
        seen += line["kind"] == "batch"
        if seen == stop:
            raise Stop

    monkeypatch.setattr(loop, "BEAT", -1.0)
    often = replace(OPTIONS, checkpoint_every_seconds=1e-3 if stop % 2 else 1e3)
    with pytest.raises(Stop):
        run_fit(tmp_path / "run", often, progress=crash)
    run_fit(tmp_path / "run")
    assert_same(weights(tmp_path / "run"), weights(undisturbed))
    assert outcome(tmp_path / "run") == outcome(undisturbed)


def test_ctrl_c_writes_a_checkpoint_and_loses_nothing(tmp_path, undisturbed, monkeypatch):
    out, batches = tmp_path / "run", []

    def press(line):
        batches.append((line["epoch"], line.get("batch", 0)))
        if len(batches) == 14:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(loop, "BEAT", -1.0)
    with pytest.raises(KeyboardInterrupt):
        run_fit(out, progress=press)
    last = batches[-1]
    batches.clear()
    run_fit(out, progress=lambda line: batches.append((line["epoch"], line.get("batch", 0))))
    # the batch in which Ctrl-C was pressed, and the one that saw it, were not lost
    assert batches[0] == (last[0], last[1] + 2)
    assert_same(weights(out), weights(undisturbed))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


NORMED = """
import torch
class Net(torch.nn.Sequential):
    kind, features = "constituents", ("log_pt",)
    def __init__(self, n_classes, inputs):
        n = len(inputs.features)
        super().__init__(torch.nn.BatchNorm1d(n), torch.nn.Linear(n, n_classes))
    def forward(self, x, mask=None):
        keep = 1.0 if mask is None else mask[..., None]
        return super().forward((x * keep).sum(1))
"""


def test_crash_with_running_statistics_in_a_users_own_model(tmp_path, monkeypatch):
    (tmp_path / "normed_net.py").write_text(NORMED)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(loop, "BEAT", -1.0)

    def crash(line):
        if line["kind"] == "batch" and (line["epoch"], line["batch"]) == (2, 5):
            raise Stop

    options = replace(OPTIONS, checkpoint_every_seconds=1e-3)
    arguments = ("normed_net:Net", TRAIN, VALIDATION, CLASSES)
    fit(*arguments, tmp_path / "undisturbed", options)
    with pytest.raises(Stop):
        fit(*arguments, tmp_path / "run", options, progress=crash)
    fit(*arguments, tmp_path / "run", options)
    assert_same(weights(tmp_path / "run"), weights(tmp_path / "undisturbed"))
    with pytest.raises(ValueError, match="trust=True"):
        load_run(tmp_path / "run")


def test_ctrl_c_in_the_last_validation_is_not_lost(tmp_path, undisturbed):
    def press(line):
        if line["epoch"] == OPTIONS.epochs:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_fit(tmp_path / "run", progress=press)
    run_fit(tmp_path / "run")
    assert_same(weights(tmp_path / "run"), weights(undisturbed))


def start(out: Path, options: Training, n: int, model_options: dict, **environment: str):
    process = processes.Process(target=job, args=(out, options, n, model_options, environment))
    process.start()
    return process


def test_killed_processes_change_nothing(tmp_path, undisturbed, server):
    out, ends = tmp_path / "run", []
    for number in [signal.SIGKILL, signal.SIGINT] * 2:
        process = start(out, replace(OPTIONS, checkpoint_every_seconds=0.003), len(TRAIN), SMALL)
        while process.is_alive() and not (out / "checkpoints" / "last.pt").exists():
            time.sleep(0.001)
        process.join(random.uniform(0, 0.1))
        if process.is_alive():
            os.kill(process.pid, number)
        process.join()
        ends.append(process.exitcode)
    assert set(ends) <= {0, 1, -signal.SIGKILL}  # 1: a KeyboardInterrupt
    run_fit(out)
    assert_same(weights(out), weights(undisturbed))
    assert outcome(out) == outcome(undisturbed)


def test_repeating_a_finished_training_returns_at_once(tmp_path, undisturbed):
    before = (undisturbed / "weights.safetensors").stat().st_mtime_ns
    lines = []
    run = run_fit(undisturbed, progress=lines.append)
    assert run.finished and not lines
    assert (undisturbed / "weights.safetensors").stat().st_mtime_ns == before


def test_lost_weights_come_back_from_the_checkpoint(undisturbed):
    before = weights(undisturbed)
    (undisturbed / "weights.safetensors").unlink()
    with pytest.raises(ValueError, match="repeat the command"):
        load_run(undisturbed)
    run_fit(undisturbed)
    assert_same(weights(undisturbed), before)


def test_other_settings_are_refused_and_named(undisturbed):
    with pytest.raises(ValueError, match=r"training\.learning_rate: 0\.001 there, 0\.01 now"):
        run_fit(undisturbed, replace(OPTIONS, learning_rate=0.01))
    with pytest.raises(ValueError, match=r"options\.phi"):
        run_fit(undisturbed, model_options=SMALL | {"phi": [8, 8]})
    with pytest.raises(ValueError, match=r"data\.train\.hash"):
        run_fit(undisturbed, train=caches(seed=1)[0])
    run_fit(undisturbed, replace(OPTIONS, checkpoint_every_seconds=7.0))  # changes no weight


def test_overwrite_begins_anew(tmp_path):
    out = tmp_path / "run"
    run_fit(out, replace(OPTIONS, epochs=1))
    (out / "notes.txt").write_text("a user's own file")
    run = run_fit(out, replace(OPTIONS, epochs=2), overwrite=True, config={"model": "pfn"})
    assert len(run.history()) == 2
    assert (out / "notes.txt").exists()
    assert yaml.safe_load((out / "config.yaml").read_text()) == {"model": "pfn"}


def test_folder_with_something_else_is_refused(tmp_path):
    (tmp_path / "results.json").write_text("{}")
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="has results.json but is no run"):
            run_fit(tmp_path, overwrite=overwrite)
    assert (tmp_path / "results.json").exists()
    with pytest.raises(ValueError, match="is a file"):
        run_fit(tmp_path / "results.json")


def test_two_trainings_into_one_folder_are_refused(tmp_path):
    def again(line):
        run_fit(tmp_path / "run")

    with pytest.raises(ValueError, match="is writing into it"):
        run_fit(tmp_path / "run", progress=again)


def test_damaged_checkpoint_is_named(tmp_path, monkeypatch):
    def crash(line):
        raise Stop

    with pytest.raises(Stop):
        run_fit(tmp_path / "run", progress=crash)
    path = tmp_path / "run" / "checkpoints" / "last.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="damaged"):
        run_fit(tmp_path / "run")


# --- what a training does -----------------------------------------------------------------------


def test_it_learns_and_keeps_the_best_epoch(tmp_path):
    options = replace(OPTIONS, epochs=5, learning_rate=0.01)
    run = run_fit(tmp_path / "run", options)
    history = run.history()
    assert history[-1]["validation_auc"] > 0.9
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    best = min(history, key=lambda line: line["validation_loss"])
    assert run.model_yaml["summary"]["best"]["epoch"] == best["epoch"]
    scores = run.predict(make_jets(200, seed=100))
    loss = -np.log(scores[np.arange(200), VALIDATION.label]).mean()
    assert loss == pytest.approx(best["validation_loss"], abs=1e-6)


def test_global_state_is_left_alone(tmp_path):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    threads = torch.get_num_threads()
    run_fit(tmp_path / "run", replace(OPTIONS, epochs=1))
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_the_seed_decides(tmp_path):
    one = replace(OPTIONS, epochs=1)
    for name, options in (("a", one), ("b", one), ("c", replace(one, seed=5))):
        run_fit(tmp_path / name, options)
    assert_same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    name = next(iter(weights(tmp_path / "a")))
    assert not torch.equal(weights(tmp_path / "a")[name], weights(tmp_path / "c")[name])


def test_early_stopping(tmp_path):
    """Labels without meaning: the validation loss soon rises."""
    rng = np.random.default_rng(0)
    noise = replace(TRAIN, label=rng.permutation(TRAIN.label))
    options = replace(
        OPTIONS, epochs=60, early_stopping=2, ema=0.0, learning_rate=0.01, schedule="constant"
    )
    run = run_fit(tmp_path / "run", options, train=noise, model_options={})
    history = [line["validation_loss"] for line in run.history()]
    assert len(history) < 60
    assert np.argmin(history) == len(history) - 3


def test_average_follows_its_formula():
    network, average = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    expected = average.weight.detach().clone()
    for step in range(200):
        with torch.no_grad():
            network.weight.add_(0.1)
        decay = min(0.95, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * network.weight.detach()
        average_into(average, network, 0.95, step)
    assert torch.allclose(average.weight, expected, rtol=1e-5)


def test_schedules_agree_with_torch():
    total = 50
    parameter = torch.nn.Parameter(torch.zeros(1))
    references = {
        "one-cycle": lambda opt: torch.optim.lr_scheduler.OneCycleLR(
            opt, 0.1, total_steps=total, pct_start=0.2
        ),
        "cosine": lambda opt: torch.optim.lr_scheduler.CosineAnnealingLR(opt, total),
    }
    for name, make in references.items():
        warm_up = 0.2 if name == "one-cycle" else 0.0
        options = Training(schedule=name, learning_rate=0.1, warm_up=warm_up)
        optimizer = torch.optim.SGD([parameter], lr=0.1, momentum=0.9)
        scheduler = make(optimizer)
        for step in range(total):
            expected = optimizer.param_groups[0]["lr"]
            assert learning_rate(options, step, total) == pytest.approx(expected, abs=1e-9)
            optimizer.step()
            scheduler.step()


def test_flat_then_decay():
    options = Training(schedule="flat-then-decay", learning_rate=0.1, warm_up=0.0)
    rates = [learning_rate(options, step, 1000) for step in range(1001)]
    assert rates[:701] == [0.1] * 701
    assert rates[1000] == pytest.approx(1e-3)
    falling = np.log(rates[700:])
    np.testing.assert_allclose(np.diff(falling), np.log(0.01) / 300, rtol=1e-6)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("warm_up", "total"), [(0, 1), (0.1, 1), (0.1, 7), (0.5, 40), (0.99, 10)])
def test_schedules_stay_within_bounds(schedule, warm_up, total):
    options = Training(schedule=schedule, warm_up=warm_up, learning_rate=2.0)
    rates = [learning_rate(options, step, total) for step in range(total)]
    assert all(0 <= rate <= 2.0 for rate in rates)
    assert max(rates) > 0
    if round(warm_up * total) > 1:
        assert rates[0] < rates[1]


def test_weight_decay_spares_biases():
    network = torch.nn.Linear(3, 2)
    groups = optimizer_of(network, Training(weight_decay=0.3)).param_groups
    assert [(g["weight_decay"], [p.ndim for p in g["params"]]) for g in groups] == [
        (0.3, [2]),
        (0.0, [1]),
    ]


def share_of_second_class(out: Path, train: Cache, options: Training) -> float:
    """Mean score of inputs that tell nothing: the class fractions that the network believes in."""
    blind = Inputs(features=("charge",), mean=(0.0,), scale=(0.0,))
    blank = replace(train, inputs=blind, values=np.zeros((len(train.values), 1), np.float32))
    run = run_fit(
        out, options, train=blank, validation=blank, model_options={"phi": [4], "f": [4]}
    )
    return float(run.predict(make_jets(20))[:, 1].mean())


def test_class_weights_event_weights_and_oversampling_shift_the_prior(tmp_path):
    keep = (TRAIN.label == 0) | (np.arange(len(TRAIN)) % 5 == 0)
    rare = TRAIN.take(keep)
    share = rare.label.mean()
    assert share < 0.2
    plain = Training(
        epochs=10, batch_size=32, learning_rate=0.05, threads=1, device="cpu", weight_decay=0
    )
    weighted = replace(rare, weight=np.where(rare.label == 1, 3.0, 1.0).astype(np.float32))
    for name, options, cache, expected in (
        ("plain", plain, rare, share),
        ("class", replace(plain, class_weights=True), rare, 0.5),
        ("tuple", replace(plain, class_weights=(1, 3)), rare, 3 * share / (1 + 2 * share)),
        ("sample", replace(plain, oversample=True), rare, 0.5),
        ("event", replace(plain, use_event_weights=True), weighted, 3 * share / (1 + 2 * share)),
    ):
        found = share_of_second_class(tmp_path / name, cache, options)
        assert found == pytest.approx(expected, abs=0.05), name


def test_label_smoothing_bounds_confidence(tmp_path):
    options = replace(OPTIONS, epochs=15, learning_rate=0.02, label_smoothing=0.4)
    run = run_fit(tmp_path / "run", options)
    # the smallest smoothed loss is the entropy of (0.8, 0.2)
    assert min(line["train_loss"] for line in run.history()) > 0.5004
    assert run.predict(make_jets(100)).max() < 0.95


def test_every_optimizer_and_bfloat16_learn(tmp_path):
    rates = {"sgd": 0.05, "lion": 2e-3, "ranger": 0.03}
    for number, name in enumerate(("adam", "radam", "sgd", "adamw", "lion", "ranger")):
        options = Training(
            *(4, 64, rates.get(name, 0.01)),
            optimizer=name,
            schedule="cosine",
            threads=1,
            device="cpu",
            precision="bfloat16" if number == 3 else "auto",
        )
        assert run_fit(tmp_path / name, options).history()[-1]["validation_auc"] > 0.8, name


def test_three_classes(tmp_path):
    train = build_cache(make_jets(400, n_classes=3), TRAIN.inputs)
    validation = build_cache(make_jets(100, seed=9, n_classes=3), TRAIN.inputs)
    options = replace(OPTIONS, epochs=4, learning_rate=0.01)
    run = fit("pfn", train, validation, list("abc"), tmp_path, options, model_options=SMALL)
    assert run.predict(make_jets(5)).shape == (5, 3)
    assert "validation_auc" not in run.history()[-1]
    assert run.history()[-1]["validation_accuracy"] > 0.45


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    run_fit(tmp_path / "run", replace(OPTIONS, epochs=1, tensorboard=True))
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))


def test_tensorboard_missing_says_how_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match="pip install"):
        run_fit(tmp_path / "run", replace(OPTIONS, tensorboard=True))


# --- several processes --------------------------------------------------------------------------


def test_two_processes_are_one_with_twice_the_batch(tmp_path, server):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    options, no_dropout = replace(OPTIONS, batch_size=32, epochs=2), SMALL | {"dropout": 0.0}
    two = [
        start(tmp_path / "two", options, 512, no_dropout, RANK=rank, LOCAL_RANK=rank, **common)
        for rank in "01"
    ]
    job(tmp_path / "one", replace(options, batch_size=64), 512, no_dropout, {})
    for process in two:
        process.join(200)
        assert process.exitcode == 0
    found, expected = weights(tmp_path / "two"), weights(tmp_path / "one")
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-3, atol=1e-5)
    for left, right in zip(outcome(tmp_path / "two"), outcome(tmp_path / "one"), strict=True):
        for key in left:
            assert left[key] == pytest.approx(right[key], rel=1e-4), key


# --- bad input ----------------------------------------------------------------------------------


def test_diverged_training_says_where_and_keeps_its_checkpoint(tmp_path):
    options = replace(
        OPTIONS, optimizer="sgd", learning_rate=1e18, schedule="one-cycle", warm_up=0.9
    )
    options = replace(options, gradient_clip=0.0)
    with pytest.raises(TrainingDiverged, match=r"epoch \d+, batch \d+.*lower learning rate"):
        run_fit(tmp_path / "run", options)
    assert not (tmp_path / "run" / "weights.safetensors").exists()


def test_divergence_never_reaches_the_checkpoint(tmp_path, monkeypatch):
    out = tmp_path / "run"

    def poison(line):
        if line["kind"] == "epoch" and line["epoch"] == 2:
            raise Stop

    with pytest.raises(Stop):
        run_fit(out, progress=poison)
    before = (out / "checkpoints" / "last.pt").read_bytes()
    monkeypatch.setattr(loop, "learning_rate", lambda *_: float("nan"))
    with pytest.raises(TrainingDiverged, match="epoch 3"):
        run_fit(out, replace(OPTIONS, checkpoint_every_seconds=1e-9))
    assert (out / "checkpoints" / "last.pt").read_bytes() == before


def test_empty_class_and_wrong_labels(tmp_path):
    first = TRAIN.take(TRAIN.label == 0)
    with pytest.raises(ValueError, match="no training jets of two prongs"):
        run_fit(tmp_path, train=first)
    with pytest.raises(ValueError, match="labels -1"):
        run_fit(tmp_path, validation=replace(VALIDATION, label=VALIDATION.label - 1))
    with pytest.raises(ValueError, match="without the field 'label'"):
        run_fit(tmp_path, train=replace(TRAIN, label=None))
    with pytest.raises(ValueError, match="no jets for validation"):
        run_fit(tmp_path, validation=VALIDATION.take(np.arange(0)))
    with pytest.raises(ValueError, match="inputs of the training jets"):
        other = replace(TRAIN.inputs, max_constituents=5)
        run_fit(tmp_path, validation=replace(VALIDATION, inputs=other))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("learning_rate", float("nan")),
        ("weight_decay", -1.0),
        ("optimizer", "rmsprop"),
        ("schedule", "step"),
        ("warm_up", 1.0),
        ("early_stopping", -1),
        ("ema", 1.0),
        ("gradient_clip", -1.0),
        ("label_smoothing", 1.0),
        ("head_learning_rate_factor", 0.0),
        ("drop_particles", 1.0),
        ("flat_spectra", {}),
        ("flat_spectra", {"pt": (500.0,)}),
        ("flat_spectra", {"pt": (500.0, 400.0)}),
        ("temperature", 0.0),
        ("hard", -1.0),
        ("class_weights", (1.0, -1.0)),
        ("precision", "int8"),
        ("threads", -1),
        ("seed", -1),
        ("checkpoint_every_epochs", 0),
        ("checkpoint_every_seconds", 0.0),
    ],
)
def test_bad_options_are_refused(name, value):
    with pytest.raises(ValueError, match=rf"training\.{name}: got .*, need"):
        Training(**{name: value})


def test_options_that_contradict_or_ask_for_what_is_not_here(tmp_path):
    with pytest.raises(ValueError, match="class_weights"):
        Training(oversample=True, class_weights=True)
    with pytest.raises(ValueError, match="2 classes"):
        run_fit(tmp_path, replace(OPTIONS, class_weights=(1.0, 2.0, 3.0)))
    with pytest.raises(ValueError, match="no device 'abacus' here; choose from auto, cpu"):
        run_fit(tmp_path, replace(OPTIONS, device="abacus"))
    with pytest.raises(ValueError, match="float16 needs a CUDA device"):
        run_fit(tmp_path / "half", replace(OPTIONS, precision="float16"))
