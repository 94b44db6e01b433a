"""Recipes of training: augmentation, weights, fine-tuning, teachers, ensembles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from helpers.synthetic_jets import make_jets
from helpers.training_job import CLASSES, OPTIONS, SMALL, TRAIN, VALIDATION, run_fit
from safetensors.torch import load_file

from fivesigma import loop
from fivesigma.augmentation import drop_particles
from fivesigma.batches import Batches, build_cache
from fivesigma.finetuning import head_of
from fivesigma.inputs import Inputs
from fivesigma.losses import distillation
from fivesigma.models import build
from fivesigma.runs import load_run, logits_of
from fivesigma.spectra import flat_factors
from fivesigma.training import Training, fit, fit_members

QUICK = replace(OPTIONS, epochs=2, ema=0.0)
LEARNING = Training(epochs=4, batch_size=64, learning_rate=0.01, threads=1, device="cpu")


class Stop(Exception):
    pass


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "weights.safetensors")


def assert_same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), name


def crash_at(epoch: int, batch: int):
    def crash(line):
        if (line["epoch"], line.get("batch")) == (epoch, batch):
            raise Stop

    return crash


# --- resumed bit by bit -------------------------------------------------------------------------

TEACHER = tuple(
    np.random.default_rng(i).normal(size=(len(cache), 2)).astype(np.float32)
    for i, cache in enumerate((TRAIN, VALIDATION))
)
FACTORS = tuple(
    np.random.default_rng(i).uniform(0, 2, len(cache))
    for i, cache in enumerate((TRAIN, VALIDATION))
)
RECIPES = {
    "ranger": (replace(OPTIONS, optimizer="ranger", schedule="flat-then-decay", ema=0.0), {}),
    "ranger with average": (replace(OPTIONS, optimizer="ranger"), {}),
    "lion": (replace(OPTIONS, optimizer="lion", drop_particles=0.2), {}),
    "head": (replace(OPTIONS, head_learning_rate_factor=50.0), {}),
    "teacher": (replace(OPTIONS, hard=0.5, oversample=True), {"teacher": TEACHER}),
    "weights": (OPTIONS, {"weights": FACTORS}),
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_crash_changes_nothing(tmp_path, monkeypatch, name):
    options, more = RECIPES[name]
    run_fit(tmp_path / "undisturbed", options, **more)
    monkeypatch.setattr(loop, "BEAT", -1.0)
    often = replace(options, checkpoint_every_seconds=1e-3)
    for stop in ((1, 4), (2, 3), (3, 7)):
        with pytest.raises(Stop):
            run_fit(tmp_path / "run", often, **more, progress=crash_at(*stop))
    run_fit(tmp_path / "run", options, **more)
    assert_same(weights(tmp_path / "run"), weights(tmp_path / "undisturbed"))


# --- slow weights -------------------------------------------------------------------------------


def test_ranger_validates_and_keeps_the_slow_weights(tmp_path):
    options = replace(QUICK, optimizer="ranger", epochs=1)
    run_fit(tmp_path, options)
    form = torch.load(tmp_path / "checkpoints" / "last.pt", weights_only=True)
    slow, steps = form["optimizer"]["slow"], form["optimizer"]["steps"]
    assert steps == 10  # four steps after the last synchronisation
    groups = form["optimizer"]["inner"]["param_groups"]
    network = build("pfn", 2, TRAIN.inputs, SMALL)
    names = [name for name, p in network.named_parameters() if p.ndim > 1]
    names += [name for name, p in network.named_parameters() if p.ndim <= 1]
    assert len(names) == len(slow) == sum(len(group["params"]) for group in groups)
    kept = weights(tmp_path)
    for name, phi in zip(names, slow, strict=True):
        fast = form["network"][name]
        torch.testing.assert_close(kept[name], phi + 0.5 * (fast - phi))
        assert not torch.equal(kept[name], fast)


# --- dropped particles --------------------------------------------------------------------------


def test_dropped_particles_leave_the_others_in_order():
    batch = next(Batches(TRAIN, 300, shuffle=False).epoch())
    torch.manual_seed(3)
    dropped = drop_particles(batch, 0.3)
    assert torch.equal(dropped.y, batch.y)
    assert torch.equal(dropped.index, batch.index)
    before, after = batch.mask.sum(1), dropped.mask.sum(1)
    assert dropped.x.shape[1] == after.max()
    assert after.sum() / before.sum() == pytest.approx(0.7, abs=0.03)
    assert not dropped.x[~dropped.mask].any()
    for i in range(40):
        jet = batch.x[i, batch.mask[i]]
        rest = dropped.x[i, dropped.mask[i]]
        assert dropped.mask[i, : len(rest)].all()
        where = [int((jet == row).all(1).nonzero()[0, 0]) for row in rest]
        assert where == sorted(set(where))


def test_of_each_jet_at_least_one_particle_stays():
    x = torch.arange(40.0).view(4, 10, 1)
    mask = torch.arange(10) < torch.tensor([0, 1, 2, 10])[:, None]
    batch = next(Batches(TRAIN, 4, shuffle=False).epoch())._replace(x=x, mask=mask)
    for seed in range(20):
        torch.manual_seed(seed)
        found = drop_particles(batch, 0.999)
        assert (found.mask.sum(1) >= torch.tensor([0, 1, 1, 1])).all()
        assert found.mask.sum(1)[0] == 0
    assert torch.equal(drop_particles(batch, 0.0).mask, mask)


def test_dropping_is_off_in_validation_and_needs_constituents(tmp_path):
    run = run_fit(tmp_path / "run", replace(QUICK, epochs=1, drop_particles=0.5))
    logits = logits_of(run.model, VALIDATION, 2, 64, torch.device("cpu"))
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(VALIDATION.label)).item()
    assert run.history()[0]["validation_loss"] == pytest.approx(loss, abs=1e-6)
    images = [build_cache(make_jets(60, seed=i), Inputs(kind="image")) for i in range(2)]
    with pytest.raises(ValueError, match=r"drop_particles: needs inputs of constituents"):
        fit("cnn", *images, CLASSES, tmp_path / "cnn", replace(QUICK, drop_particles=0.1))


# --- flat spectra -------------------------------------------------------------------------------

EDGES = {"pt": (400, 450, 500, 550, 600), "mass": (0, 60, 120)}


def columns(n: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    label = rng.integers(2, size=n)
    return {
        "label": label,
        "pt": 400 + 220 * rng.beta(1 + label, 3, n),  # some lie beyond 600
        "mass": 120 * rng.beta(2, 2 + label, n),
        "weight": rng.uniform(0.5, 2, n),
    }


@pytest.mark.parametrize("weighted", [False, True])
def test_factors_make_the_joint_spectrum_of_every_class_flat(weighted):
    train, other = columns(20000, 0), columns(5000, 1)
    base = np.ones(20000)
    if weighted:
        base = train["weight"]
    else:
        del train["weight"], other["weight"]
    factors, judged = flat_factors(train, other, EDGES)
    for label in range(2):
        mine = train["label"] == label
        content, _, _ = np.histogram2d(
            train["pt"][mine],
            train["mass"][mine],
            list(EDGES.values()),
            weights=(base * factors)[mine],
        )
        # flat up to the cap on the one rarest of the eight bins
        ordered = np.sort(content.ravel())
        np.testing.assert_allclose(ordered[1:], ordered[-1], rtol=1e-9)
        assert 0.2 * ordered[-1] < ordered[0] <= ordered[-1]
        assert (base * factors)[mine].sum() == pytest.approx(base[mine].sum())
        theirs = other["label"] == label
        inside = (other["pt"] < 600) & theirs
        share = np.histogram2d(other["pt"][inside], other["mass"][inside], list(EDGES.values()))[0]
        assert (share > 0).all()
    outside = (train["pt"] > 600) | (train["pt"] < 400)
    assert outside.any()
    assert not factors[outside].any()
    assert not judged[other["pt"] > 600].any()
    assert (judged[other["pt"] < 600] > 0).all()


def test_factors_of_rare_bins_are_capped_and_the_last_edge_belongs_to_its_bin():
    pt = np.concatenate([np.linspace(0, 99, 1000) + 0.5, [100.0]])
    label = np.zeros(1001, int)
    jets = {"label": label, "pt": pt}
    factors, _ = flat_factors(jets, jets, {"pt": tuple(range(0, 101, 2))})
    assert factors[-1] > 0
    rare = {"label": np.zeros(10001, int), "pt": np.append(np.linspace(0, 59.999, 10000), 60.5)}
    factors, _ = flat_factors(rare, rare, {"pt": tuple(np.linspace(0, 61, 62))})
    assert factors[-1] < 2 * factors[:-1].max()


def test_spectra_that_cannot_be_flat_are_refused(tmp_path):
    train = columns(100, 0)
    with pytest.raises(ValueError, match="no training jets of class 0"):
        flat_factors(train, train, {"pt": (0, 10)})
    with pytest.raises(ValueError, match="pt of some jets is not a finite number"):
        flat_factors(train | {"pt": np.full(100, np.nan)}, train, {"pt": (0, 1000)})
    with pytest.raises(ValueError, match=r"flat_spectra: .*give `weights`"):
        run_fit(tmp_path / "run", replace(QUICK, flat_spectra={"pt": (0.0, 1.0)}))
    with pytest.raises(ValueError, match="one each"):
        run_fit(tmp_path / "run", QUICK, weights=(np.ones(3), FACTORS[1]))
    with pytest.raises(ValueError, match="positive number"):
        run_fit(tmp_path / "run", QUICK, weights=(np.zeros(len(TRAIN)), FACTORS[1]))


def test_factors_reach_the_loss(tmp_path):
    """Jets of factor 0 teach nothing: labels turned round there change nothing."""
    half = np.arange(len(TRAIN)) % 2
    turned = replace(TRAIN, label=np.where(half, TRAIN.label, 1 - TRAIN.label))
    for name, train in (("plain", TRAIN), ("turned", turned)):
        pair = (half.astype(float), np.ones(len(VALIDATION)))
        run_fit(tmp_path / name, QUICK, train=train, weights=pair)
    left, right = weights(tmp_path / "plain"), weights(tmp_path / "turned")
    for name in left:
        torch.testing.assert_close(left[name], right[name])


# --- fine-tuning --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    return run_fit(tmp_path_factory.mktemp("learned") / "run", LEARNING)


def test_the_head_is_what_follows_the_number_of_classes():
    assert head_of(build("pfn", 2, TRAIN.inputs, SMALL), "pfn", 2, TRAIN.inputs, SMALL) == {
        "f.3.weight",
        "f.3.bias",
    }


def test_a_start_from_a_run_begins_where_that_ended(tmp_path, learned):
    still = replace(QUICK, epochs=1, learning_rate=1e-12, weight_decay=0.0)
    run = run_fit(tmp_path / "run", still, init=learned)
    best = learned.model_yaml["summary"]["best"]["validation_loss"]
    assert run.history()[0]["validation_loss"] == pytest.approx(best, abs=1e-6)
    again = run_fit(tmp_path / "run", still, init=learned)  # a finished one returns
    assert len(again.history()) == 1
    with pytest.raises(ValueError, match=r"init: \w+ there, None now"):
        run_fit(tmp_path / "run", still)


def test_other_classes_get_a_fresh_head_and_keep_the_body(tmp_path, learned):
    train = build_cache(make_jets(300, n_classes=3), TRAIN.inputs)
    validation = build_cache(make_jets(60, seed=9, n_classes=3), TRAIN.inputs)
    still = replace(QUICK, epochs=1, learning_rate=1e-12, weight_decay=0.0)
    more = {"model_options": SMALL, "init": learned}
    fit("pfn", train, validation, list("abc"), tmp_path / "three", still, **more)
    found, before = weights(tmp_path / "three"), weights(learned.path)
    for name, value in before.items():
        if name.startswith("f.3"):
            assert len(found[name]) == 3
        else:
            torch.testing.assert_close(found[name], value)
    # as many classes, but others: what was learned of the old ones is of no use
    fit("pfn", TRAIN, VALIDATION, ["b", "a"], tmp_path / "two", still, **more)
    assert not torch.allclose(weights(tmp_path / "two")["f.3.weight"], before["f.3.weight"])


def test_the_head_learns_faster(tmp_path, learned):
    options = replace(
        QUICK, epochs=1, learning_rate=1e-5, head_learning_rate_factor=100, weight_decay=0
    )
    run_fit(tmp_path / "run", options, init=learned)
    found, before = weights(tmp_path / "run"), weights(learned.path)
    moved = {name: (found[name] - before[name]).abs().max().item() for name in before}
    head = [value for name, value in moved.items() if name.startswith("f.3")]
    body = [value for name, value in moved.items() if not name.startswith("f.3")]
    assert min(head) > 10 * max(body)


def test_another_architecture_is_no_start(tmp_path, learned):
    out = tmp_path / "run"
    with pytest.raises(ValueError, match=r"option phi: \[16, 16\] there, \[8, 8\] now"):
        run_fit(out, QUICK, init=learned, model_options=SMALL | {"phi": (8, 8)})
    with pytest.raises(ValueError, match=r"is a 'pfn', not a 'deepsets-max'"):
        fit("deepsets-max", TRAIN, VALIDATION, CLASSES, out, QUICK, init=learned)
    other = replace(TRAIN.inputs, max_constituents=7)
    caches = {
        name: replace(cache, inputs=other)
        for name, cache in (("train", TRAIN), ("validation", VALIDATION))
    }
    with pytest.raises(ValueError, match=r"inputs\.max_constituents: 128 there, 7 now"):
        run_fit(out, QUICK, init=learned, **caches)
    learned.model_yaml["kind"] = "trees"
    try:
        with pytest.raises(ValueError, match="of kind 'trees'"):
            run_fit(out, QUICK, init=learned)
    finally:
        learned.model_yaml["kind"] = "network"
    assert not out.exists()


# --- teachers -----------------------------------------------------------------------------------


def test_a_student_learns_its_teacher_and_not_the_labels(tmp_path, learned):
    """Labels are noise; the teacher knows."""
    rng = np.random.default_rng(0)
    caches = {
        "train": replace(TRAIN, label=rng.permutation(TRAIN.label)),
        "validation": replace(VALIDATION, label=rng.permutation(VALIDATION.label)),
    }
    asked = [
        np.log(learned.predict(make_jets(n, seed=seed))) for n, seed in ((600, 0), (200, 100))
    ]
    options = replace(LEARNING, epochs=8, temperature=2.0)
    run = run_fit(tmp_path / "run", options, **caches, teacher=tuple(asked))
    jets = make_jets(500, seed=7)
    score, target = run.predict(jets)[:, 1], learned.predict(jets)[:, 1]
    assert np.corrcoef(score, target)[0, 1] > 0.95
    losses = [line["validation_loss"] for line in run.history()]
    assert losses[-1] < 0.3 * losses[0]


def test_the_loss_is_what_it_says(tmp_path):
    options = replace(QUICK, epochs=1, temperature=3.0, hard=0.25)
    run = run_fit(tmp_path / "run", options, teacher=TEACHER)
    logits = logits_of(run.model, VALIDATION, 2, 64, torch.device("cpu"))
    y = torch.from_numpy(VALIDATION.label)
    soft = distillation(logits, torch.from_numpy(TEACHER[1]), 3.0).mean()
    hard = torch.nn.functional.cross_entropy(logits, y)
    line = run.history()[0]
    assert line["validation_loss"] == pytest.approx((soft + 0.25 * hard).item(), abs=1e-5)
    assert line["validation_accuracy"] == pytest.approx((logits.argmax(1) == y).float().mean())


def test_teachers_that_do_not_fit(tmp_path):
    with pytest.raises(ValueError, match=r"logits have shape \(600, 3\); need \(600, 2\)"):
        run_fit(tmp_path / "run", QUICK, teacher=(np.zeros((600, 3)), TEACHER[1]))
    bad = TEACHER[1].copy()
    bad[3, 0] = np.inf
    with pytest.raises(ValueError, match="finite numbers only"):
        run_fit(tmp_path / "run", QUICK, teacher=(TEACHER[0], bad))
    run_fit(tmp_path / "run", QUICK, teacher=TEACHER)
    with pytest.raises(ValueError, match="teacher: "):
        run_fit(tmp_path / "run", QUICK)


# --- ensembles ----------------------------------------------------------------------------------


def run_members(out: Path, members: int = 3, options: Training = QUICK, **more):
    more = {"model_options": SMALL} | more
    return fit_members(members, "pfn", TRAIN, VALIDATION, CLASSES, out, options, **more)


def test_an_ensemble_is_the_mean_of_its_members(tmp_path):
    seen = []
    run = run_members(tmp_path / "run", progress=seen.append, config={"model": "pfn"})
    jets = make_jets(50, seed=8)
    members = [load_run(tmp_path / "run" / "members" / str(i)) for i in range(3)]
    for number, member in enumerate(members):
        alone = run_fit(tmp_path / f"alone{number}", replace(QUICK, seed=QUICK.seed + number))
        assert_same(weights(member.path), weights(alone.path))
        config = yaml.safe_load((member.path / "config.yaml").read_text())
        assert (config["members"], config["training"]["seed"]) == (1, QUICK.seed + number)
    mean = np.mean([member.predict(jets) for member in members], axis=0)
    np.testing.assert_allclose(run.predict(jets), mean, atol=1e-6)
    np.testing.assert_allclose(load_run(run.path).predict(jets), mean, atol=1e-6)
    assert run.finished
    assert run.n_parameters == 3 * members[0].n_parameters
    assert {line["member"] for line in seen} == {0, 1, 2}
    summary = run.model_yaml["summary"]
    losses = [member.model_yaml["summary"]["best"]["validation_loss"] for member in members]
    assert summary["best"]["validation_loss"] == pytest.approx(np.mean(losses))
    assert summary["epochs"] == 6


def test_an_interrupted_ensemble_goes_on(tmp_path):
    def stop(line):
        if (line["member"], line["epoch"]) == (1, 2):
            raise Stop

    whole = run_members(tmp_path / "whole", 2)
    with pytest.raises(Stop):
        run_members(tmp_path / "run", 2, progress=stop)
    assert not load_run(tmp_path / "run").finished
    lines = []
    run = run_members(tmp_path / "run", 2, progress=lines.append)
    assert {line["member"] for line in lines} <= {1}
    for number in "01":
        assert_same(
            weights(run.path / "members" / number), weights(whole.path / "members" / number)
        )
    with pytest.raises(ValueError, match="members: 2 there, 3 now"):
        run_members(tmp_path / "run", 3)
    with pytest.raises(ValueError, match="kind: ensemble there, network now"):
        run_fit(tmp_path / "run", QUICK)
    again = run_members(tmp_path / "run", 2, replace(QUICK, epochs=1), overwrite=True)
    assert again.model_yaml["summary"]["epochs"] == 2


def test_damaged_ensembles_are_named(tmp_path):
    with pytest.raises(ValueError, match="at least 2"):
        run_members(tmp_path / "run", 1)
    run_members(tmp_path / "run", 2, replace(QUICK, epochs=1))
    path = tmp_path / "run" / "members" / "1" / "model.yaml"
    text = path.read_text()
    path.write_text(text.replace("two prongs", "three prongs"))
    with pytest.raises(ValueError, match="no member of"):
        load_run(tmp_path / "run")
    path.unlink()
    with pytest.raises(ValueError, match=r"members/1 holds no model\.yaml"):
        load_run(tmp_path / "run")
    top = tmp_path / "run" / "model.yaml"
    top.write_text(top.read_text().replace("members: 2", "members: two"))
    with pytest.raises(ValueError, match="how many members"):
        load_run(tmp_path / "run")
