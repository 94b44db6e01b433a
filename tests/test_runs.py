"""A run scores jets by themselves, comes back from disk as it was, and names what is wrong."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import torch
import yaml
from helpers.synthetic_jets import make_jets

from fivesigma import runs
from fivesigma.batches import Inputs, build_cache
from fivesigma.runs import Run, load_run, logits_of, pick_device
from fivesigma.training import Training, fit

CLASSES = ["one prong", "two prongs"]
JETS = make_jets(150, seed=3)
KINDS = {
    "pfn": (Inputs(features=("log_pt", "deta", "dphi", "px_rel")), {"phi": [16, 16], "f": [16]}),
    "cnn": (
        Inputs(kind="image", pixels=16),
        {"filters": [4], "pool_after": [0], "kernel": 3, "widths": [8]},
    ),
}


@pytest.fixture(scope="module", params=KINDS)
def run(request, tmp_path_factory) -> Run:
    inputs, options = KINDS[request.param]
    train = build_cache(make_jets(300), inputs)
    validation = build_cache(make_jets(50, seed=1), train.inputs)
    return fit(
        *(request.param, train, validation, CLASSES),
        tmp_path_factory.mktemp(request.param) / "my-run",
        Training(epochs=1, batch_size=64, threads=1, device="cpu"),
        model_options=options,
        provenance={"dataset": {"path": "data/jets", "hash": "abc"}},
    )


@pytest.fixture
def copy(run, tmp_path):
    """The run's folder, to be damaged."""
    for path in run.path.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_probabilities(run):
    scores = run.predict(JETS)
    assert scores.shape == (150, 2) and scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
    assert run.jets_per_second > 0


def test_score_depends_on_the_jet_alone(run, monkeypatch):
    together = run.predict(JETS)
    alone = np.concatenate([run.predict(JETS[i : i + 1]) for i in range(20)])
    np.testing.assert_allclose(alone, together[:20], atol=1e-6)
    np.testing.assert_allclose(run.predict(JETS, batch_size=7), together, atol=1e-6)
    order = np.random.default_rng(0).permutation(len(JETS))
    np.testing.assert_allclose(run.predict(JETS[order]), together[order], atol=1e-6)
    monkeypatch.setattr(runs, "CHUNK", 40)
    np.testing.assert_allclose(run.predict(JETS), together, atol=1e-6)


def test_score_depends_on_what_the_inputs_name_alone(run):
    """Plain arrays without label, weight or observables score the same."""
    needed = JETS[["pt", "eta", "phi", "mass", "constituents"]]
    assert np.array_equal(run.predict(needed), run.predict(JETS))


def test_saved_and_loaded_is_the_same(run):
    again = load_run(run.path, device="cpu")
    assert np.array_equal(again.predict(JETS), run.predict(JETS))
    assert (again.name, again.classes) == ("my-run", CLASSES)
    assert again.inputs == run.inputs
    assert again.inputs.kind == "image" or len(again.inputs.mean) == len(again.inputs.features)
    assert again.finished and len(again.history()) == 1
    assert again.n_parameters == sum(p.numel() for p in run.model.parameters())
    assert again.model_yaml["provenance"]["dataset"]["path"] == "data/jets"
    assert again.model_yaml["units"]["momentum"] == "GeV"


def test_empty_array(run):
    assert run.predict(JETS[:0]).shape == (0, 2)


def test_jets_without_constituents_score_too(run):
    hollow = ak.with_field(JETS, JETS.constituents[:, :0], "constituents")
    mixed = ak.concatenate([hollow[:3], JETS[3:9]])
    np.testing.assert_allclose(run.predict(mixed)[3:], run.predict(JETS[3:9]), atol=1e-6)
    np.testing.assert_allclose(run.predict(hollow), run.predict(hollow[:1])[[0] * 150], atol=1e-6)


def test_loading_leaves_random_numbers_alone(run):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    load_run(run.path)
    assert torch.equal(torch.rand(3), expected)


def test_missing_field_is_named(run):
    with pytest.raises(ValueError, match="constituents"):
        run.predict(JETS[["pt", "eta", "phi", "mass"]])
    renamed = ak.with_field(ak.without_field(JETS, "eta"), JETS.eta, "Eta")
    with pytest.raises(ValueError, match="missing eta"):
        run.predict(renamed)


def test_nan_momenta_are_refused(run):
    broken = ak.with_field(JETS, ak.where(JETS.event == 5, np.nan, JETS.pt), "pt")
    with pytest.raises(ValueError, match=r"jets\.pt: 1 of 150 values are NaN"):
        run.predict(broken)


def test_scores_that_are_not_finite_are_refused(run):
    broken = load_run(run.path, device="cpu")
    with torch.no_grad():
        next(iter(broken.model.parameters())).fill_(float("nan"))
    with pytest.raises(ValueError, match="not finite"):
        broken.predict(JETS)


def test_processes_share_the_jets(run):
    cache = build_cache(JETS, run.inputs)
    cpu = torch.device("cpu")
    parts = [logits_of(run.model, cache, 2, 32, cpu, rank=r, world=3) for r in range(3)]
    assert torch.equal(sum(parts), logits_of(run.model, cache, 2, 32, cpu))


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_no_run_there(tmp_path, make):
    make(tmp_path / "nothing")
    with pytest.raises(ValueError, match="make one with: fivesigma train"):
        load_run(tmp_path / "nothing")


def change(folder, **values):
    form = yaml.safe_load((folder / "model.yaml").read_text())
    (folder / "model.yaml").write_text(yaml.safe_dump(form | values))


def test_schema_of_another_version(copy):
    change(copy, schema=99)
    with pytest.raises(ValueError, match="has schema 99, this fivesigma reads 1"):
        load_run(copy)


def test_damaged_files(copy):
    weights = copy / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="damaged"):
        load_run(copy)
    weights.unlink()
    with pytest.raises(ValueError, match="repeat the command"):
        load_run(copy)
    weights.write_bytes(whole)
    change(copy, classes=["a", "b", "c"])
    with pytest.raises(ValueError, match="does not fit model.yaml"):
        load_run(copy)
    change(copy, kind="oracle")
    with pytest.raises(ValueError, match="kind 'oracle'"):
        load_run(copy)
    (copy / "model.yaml").write_text("schema: [1")
    with pytest.raises(ValueError, match="damaged"):
        load_run(copy)


def test_files_are_data_not_code(copy):
    """A YAML tag that would run a command is refused."""
    (copy / "model.yaml").write_text("!!python/object/apply:os.system ['touch pwned']")
    with pytest.raises(ValueError, match="damaged"):
        load_run(copy)


def test_users_own_model_needs_trust(copy, tmp_path, monkeypatch):
    change(copy, model="evil_module:Net")
    (tmp_path / "evil_module.py").write_text("raise RuntimeError('was imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="trust=True"):
        load_run(copy)


def test_importance_is_for_trees(run):
    with pytest.raises(ValueError, match="only trees"):
        run.importance()


def test_pick_device():
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(ValueError, match="choose from auto, cpu"):
        pick_device("tpu")
