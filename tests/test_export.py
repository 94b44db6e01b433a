"""An exported file says of four-momenta what the run says of jets, alone and in any company."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import torch
from helpers.synthetic_jets import make_jets
from helpers.toy_dataset import small

from fivesigma.batches import Batches, build_cache, jet_images
from fivesigma.export import OnnxTagger, agreement, to_int8, to_onnx, torch_scores
from fivesigma.export.arrays import about_their_sum, padded, random_jets
from fivesigma.export.scorer import Scorer, needed_fields
from fivesigma.features import FEATURES
from fivesigma.images import CHANNELS
from fivesigma.inputs import Inputs
from fivesigma.models import MODELS, build
from fivesigma.models.blocks import MOMENTA
from fivesigma.runfolder import describe, open_folder, write_weights
from fivesigma.runs import Run, load_run, logits_of
from fivesigma.training import Training, fit
from fivesigma.trees import Trees, fit_trees, tree_inputs
from fivesigma.workflows.export import export

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "docs" / "score_onnx.py"
CLASSES = ["one prong", "two prongs"]
QUICK = Training(epochs=2, batch_size=64, threads=1, device="cpu")
#: trained for the tests of int8; the others have weights that no training made
TRAINED = ("pfn", "particlenet-lite")
#: networks for all tests; to trace the others takes longer
TRIED = ("cnn", "pfn", "deepsets-max")
#: fewer blocks of published widths, where one more is traced as the one before
FEWER = {
    "resnext": {"blocks": (2, 1, 1, 1)},
    "vit": {"blocks": 2},
    "p-cnn": {"stages": ((64,), (64, 64))},
    "particlenet": {"blocks": ((64, 64, 64), (128, 128, 128))},
    "transformer": {"layers": 1, "class_layers": 1},
    "part": {"layers": 1, "class_layers": 1},
    "event-transformer": {"layers": 1},
    "lorentznet": {"blocks": 2},
    "pelican": {"blocks": 1},
    "lgatr-slim": {"blocks": 2},
    "lgatr-slim-small": {"blocks": 2},
}

#: share of random jets whose score rounding may not move, where it is not all: of images, a
#: constituent lies between two pixels or a jet of two has no upper half; of the others, two
#: constituents are equally near to a third
UNMOVED = {"image": 0.95, "particlenet": 0.99, "particlenet-lite": 0.99}


def on_one_worker(name: str):
    """Exported once for all tests of that network; slow but for the few that are always tried."""
    slow = () if name in TRIED else (pytest.mark.slow,)
    return pytest.param(name, marks=(pytest.mark.xdist_group(f"export-{name}"), *slow))


def inputs_of(name: str) -> Inputs:
    network = MODELS[name]
    if network.kind == "image":
        return Inputs(kind="image", pixels=16, channels=("charged_pt", "pt"), max_constituents=20)
    features = network.features or ("log_pt", "deta", "dphi")
    return Inputs(features=features, max_constituents=20)


def jets(n: int, seed: int = 0) -> ak.Array:
    """Synthetic jets about the sum of their constituents, with displacements."""
    made = make_jets(n, seed=seed)
    rng, counts = np.random.default_rng(seed), ak.num(made.constituents)
    constituents = made.constituents
    for name in ("d0", "dz", "d0_error", "dz_error", "btag"):
        values = ak.unflatten(rng.exponential(0.1, ak.sum(counts)), counts)
        constituents = ak.with_field(constituents, values, name)
    return about_their_sum(ak.with_field(made, constituents, "constituents"))


def quick_run(name: str, folder: Path, n: int = 300) -> Run:
    train = build_cache(jets(n), inputs_of(name))
    validation = build_cache(jets(60, seed=1), train.inputs)
    return fit(name, train, validation, CLASSES, folder, QUICK)


def untrained_run(name: str, folder: Path) -> Run:
    """A run with random weights and averages, whose logits spread as those of a trained one."""
    cache = build_cache(random_jets(100, 30), inputs_of(name))
    torch.manual_seed(2)
    options = FEWER.get(name, {})
    network = build(name, 2, cache.inputs, options)
    with torch.no_grad():
        for values in (*network.parameters(), *running(network, "running_mean")):
            values += 0.05 * torch.randn(values.shape)
        for values in running(network, "running_var"):
            values *= 0.5 + torch.rand(values.shape)
        logits = logits_of(network, cache, 2, 50, torch.device("cpu"))
        last = [each for each in network.modules() if getattr(each, "out_features", 0) == 2][-1]
        last.weight /= logits.std(0)[:, None]
        last.bias.copy_((last.bias - logits.mean(0)) / logits.std(0))
    form = describe("network", name, options, cache.inputs, CLASSES, {}, {})
    open_folder(folder, form, None, overwrite=False)
    write_weights(folder, network.state_dict())
    return load_run(folder, device="cpu")


def running(network: torch.nn.Module, name: str) -> list[torch.Tensor]:
    return [values for key, values in network.named_buffers() if key.endswith(name)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Run]:
    """Made when first asked for."""

    class Runs(dict):
        def __missing__(self, name):
            make = quick_run if name in TRAINED else untrained_run
            self[name] = make(name, tmp_path_factory.mktemp("runs") / name)
            return self[name]

    return Runs()


@pytest.fixture(scope="module")
def exported(runs):
    class Exported(dict):
        def __missing__(self, name):
            self[name] = to_onnx(runs[name])
            return self[name]

    return Exported()


@pytest.fixture(params=[on_one_worker(name) for name in TRIED])
def pair(request, runs, exported) -> tuple[Run, OnnxTagger]:
    model = exported[request.param].SerializeToString()
    return runs[request.param], OnnxTagger(model, threads=1)


@pytest.fixture
def traced_before(monkeypatch, exported):
    """The verb takes what is exported already: tracing again takes long."""
    monkeypatch.setattr("fivesigma.workflows.export.to_onnx", lambda run: exported[run.name])


class Seen(torch.nn.Module):
    """A network that keeps what it sees."""

    def forward(self, x, mask=None):
        self.x, self.mask = x, mask
        return torch.zeros(x.shape[0], 2)


def seen(inputs: Inputs, array: ak.Array) -> Seen:
    scorer = Scorer(Seen(), inputs)
    arrays = {k: torch.from_numpy(v) for k, v in padded(array, scorer.fields).items()}
    scorer(arrays.pop("momenta"), arrays.pop("mask"), list(arrays.values()))
    return scorer.network


#: inputs of the Lorentz group see MeV to TeV; their rounding grows with them
RELATIVE = ("px", "py", "pz", "energy")


@pytest.mark.parametrize("most", [7, 200])
@pytest.mark.parametrize("name", FEATURES)
def test_features_are_those_of_the_batches(name, most):
    """Of all jets: one constituent, many, unsorted, more than are used."""
    array = random_jets(200, 60, seed=3)
    cache = build_cache(array, Inputs(features=(name,), max_constituents=most))
    network = seen(cache.inputs, array)
    got = network.x[..., 0].numpy()
    (batch,) = Batches(cache, 200, shuffle=False).epoch()
    want, mask = np.zeros_like(got), np.zeros_like(network.mask.numpy())
    want[batch.index], mask[batch.index] = batch.x[..., 0].numpy(), batch.mask.numpy()
    np.testing.assert_array_equal(network.mask.numpy(), mask)
    assert not got[~mask].any()
    # a jet of two constituents has no upper and no lower half, nor a first and a second one
    steady = np.full(len(got), True) if name != "dphi_rot" else mask.sum(1) > 2
    scale = 1 + np.abs(want[steady]) * (name in RELATIVE)
    np.testing.assert_allclose((got - want)[steady] / scale, 0, atol=2e-5)


def test_images_are_those_of_the_batches():
    inputs = Inputs(kind="image", channels=("count", "pt", "charged_pt"), max_constituents=30)
    assert set(inputs.channels) == set(CHANNELS)
    array = random_jets(300, 60, seed=3)
    array = array[ak.num(array.constituents) > 2]
    got, want = seen(inputs, array).x.numpy(), jet_images(array, inputs)
    same = np.abs(got - want).max(axis=(1, 2, 3)) < 1e-5
    assert same.mean() > 0.99  # the rest has a constituent between two pixels


def test_fields_that_inputs_need():
    assert needed_fields(Inputs(features=("log_pt", "deta_rot", "energy"))) == ()
    wanted = Inputs(features=("dz_error", "is_charged_hadron", "tanh_d0"))
    assert needed_fields(wanted) == ("charge", "pdg_id", "d0", "dz_error")
    # a light object's mass is lost in its four-momentum
    assert needed_fields(Inputs(features=("log_energy", "log_mass", "btag"))) == ("mass", "btag")
    assert needed_fields(Inputs(kind="image")) == ()
    assert needed_fields(Inputs(kind="image", channels=("charged_pt",))) == ("charge",)
    with pytest.raises(ValueError, match="only constituents and images"):
        needed_fields(Inputs(kind="observables", features=("mass",)))


#: observables come from outside the network, so those networks have no exported form
EXPORTED = [name for name, network in MODELS.items() if network.kind != "observables"]


@pytest.mark.parametrize("name", [on_one_worker(name) for name in EXPORTED])
def test_scores_of_four_momenta_are_those_of_the_run(name, runs, exported):
    """Of jets with one constituent, two, many, more than are used; alone and with others."""
    run, tagger = runs[name], OnnxTagger(exported[name].SerializeToString(), threads=1)
    array = jets(200, seed=5)
    want, got = run.predict(array), tagger.predict(array)
    assert want.std(axis=0).min() > 0.01
    np.testing.assert_allclose(got, torch_scores(run, array), atol=1e-4)
    if set(MOMENTA) <= set(run.inputs.features):
        # E^2 - p^2 of light constituents is rounding, other in the run, from pT, eta, phi and mass
        assert np.quantile(np.abs(got - want), 0.9) < 1e-2
    else:
        np.testing.assert_allclose(got, want, atol=1e-4)
    odd = random_jets(300, 40, seed=2)
    found = agreement(run, tagger, odd)
    assert found.jets == 300 and found.largest < 1e-4
    same = np.abs(tagger.predict(odd) - torch_scores(run, odd)).max(axis=1) < 1e-4
    assert same.mean() >= UNMOVED.get("image" if run.inputs.kind == "image" else name, 1)
    for shape in ((1, 1), (1, 50), (7, 2)):
        feed = {"momenta": np.ones((*shape, 4), np.float32), "mask": np.ones(shape, bool)}
        feed["momenta"][..., 3] = 2
        feed |= {field: np.ones(shape, np.float32) for field in tagger.fields}
        scores = tagger.session.run(None, feed)[0]
        assert scores.shape == (shape[0], 2)
        np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(tagger.predict(array[:9], batch_size=2), got[:9], atol=1e-4)


def test_score_depends_on_the_jet_alone(pair):
    _, tagger = pair
    array = random_jets(64, 30, seed=4)
    array = array[ak.num(array.constituents) != 2]  # see above
    together = tagger.predict(array)
    np.testing.assert_allclose(tagger.predict(array, batch_size=7), together, atol=1e-5)
    np.testing.assert_allclose(tagger.predict(array, batch_size=1), together, atol=1e-5)


def test_padding_and_order_do_not_matter(pair):
    _, tagger = pair
    array = jets(20, seed=6)
    arrays = padded(array, tagger.fields)
    mask = arrays["mask"]
    want = tagger.session.run(None, arrays)[0]
    for garbage in (1e3, np.nan):
        more = {
            name: np.concatenate([v, np.full_like(v, False if v.dtype == bool else garbage)], 1)
            for name, v in arrays.items()
        }
        more = {
            name: v
            if v.dtype == bool
            else np.where(_aligned(more["mask"], v), v, v.dtype.type(garbage))
            for name, v in more.items()
        }
        np.testing.assert_allclose(tagger.session.run(None, more)[0], want, atol=1e-5)
    order = np.random.default_rng(0).permutation(mask.shape[1])
    mixed = {name: v[:, order] for name, v in arrays.items()}
    np.testing.assert_allclose(tagger.session.run(None, mixed)[0], want, atol=1e-5)


def _aligned(mask, values):
    return mask.reshape(mask.shape + (1,) * (values.ndim - 2))


def test_momenta_that_are_no_numbers_give_no_score(pair):
    _, tagger = pair
    arrays = padded(jets(4), tagger.fields)
    arrays["momenta"][1, 2, 0], arrays["momenta"][3, 0, 3] = np.nan, np.inf
    scores = tagger.session.run(None, arrays)[0]
    assert np.isnan(scores[[1, 3]]).all() and np.isfinite(scores[[0, 2]]).all()


def test_jets_without_constituents(pair):
    run, tagger = pair
    hollow = ak.with_field(jets(3), jets(3).constituents[:, :0], "constituents")
    hollow = about_their_sum(hollow)
    np.testing.assert_allclose(tagger.predict(hollow), run.predict(hollow), atol=1e-5)


def test_file_tells_what_it_is(pair, exported):
    run, tagger = pair
    about = tagger.session.get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == CLASSES == tagger.classes
    assert about["run"] == run.name and about["fivesigma"]
    assert set(json.loads(about["inputs"])) == {i.name for i in tagger.session.get_inputs()}
    assert json.loads(about["units"])["momenta"] == "GeV"
    assert Inputs.from_dict(json.loads(about["features"])) == run.inputs
    content = exported[run.architecture].SerializeToString()
    assert b"site-packages" not in content and str(ROOT).encode() not in content


def flattened(array: ak.Array, fields: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Jets in the layout of `docs/score_onnx.py`."""
    arrays = padded(array, fields)
    mask = arrays.pop("mask")
    arrays = {name: values[mask] for name, values in arrays.items()}
    return {"pxpypzE": arrays.pop("momenta"), "counts": mask.sum(1), **arrays}


def jets_of_momenta(pxpypze: np.ndarray, counts: np.ndarray) -> ak.Array:
    """What a reader makes of flat four-momenta."""
    px, py, pz, energy = pxpypze.T.astype(np.float64)
    mass = np.sqrt(np.maximum(energy**2 - px**2 - py**2 - pz**2, 0))
    pt = np.hypot(px, py)
    columns = {"pt": pt, "eta": np.arcsinh(pz / pt), "phi": np.arctan2(py, px), "mass": mass}
    columns = {name: values.astype(np.float32) for name, values in columns.items()}
    constituents = ak.unflatten(ak.zip(columns), counts)
    return about_their_sum(ak.zip({"constituents": constituents}, depth_limit=1))


def scored_by_the_script(model: Path, arrays: dict[str, np.ndarray], folder: Path) -> np.ndarray:
    np.savez(folder / "jets.npz", **arrays)
    command = [sys.executable, str(SCRIPT), str(model), "jets.npz"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    assert done.stdout.startswith(f"# {json.dumps(CLASSES)}\n")
    return np.loadtxt(done.stdout.splitlines())


@pytest.mark.xdist_group("export-deepsets-max")
def test_verb_writes_a_file_that_the_script_of_the_docs_runs(runs, tmp_path):
    out = tmp_path / "deep" / "tagger.onnx"
    result = export(runs["deepsets-max"].path, out)
    assert result.numbers["deepsets-max/difference_random_jets"].value < 1e-4
    assert "charge, d0" in result.note
    array = random_jets(100, 40, seed=3)
    got = scored_by_the_script(out, flattened(array, ("charge", "d0")), tmp_path)
    np.testing.assert_allclose(got, runs["deepsets-max"].predict(array), atol=1e-4)


@pytest.mark.xdist_group("export-pfn")
def test_script_of_the_docs_scores_published_jets(runs, exported, real_data, tmp_path):
    with np.load(real_data / "jets" / "top_landscape_1000.npz") as file:
        counts = file["counts"][:100]
        arrays = {"pxpypzE": file["pxpypzE"][: counts.sum()], "counts": counts}
    (tmp_path / "pfn.onnx").write_bytes(exported["pfn"].SerializeToString())
    got = scored_by_the_script(tmp_path / "pfn.onnx", arrays, tmp_path)
    array = jets_of_momenta(arrays["pxpypzE"], counts)
    np.testing.assert_allclose(got, runs["pfn"].predict(array), atol=1e-4)


def test_script_of_the_docs_is_short_and_needs_no_more_than_onnxruntime():
    text = SCRIPT.read_text()
    assert f"```python\n{text}```" in (ROOT / "docs" / "export.md").read_text()
    _, code = text.split('"""\n', 1)
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    imported = [each for each in ast.walk(ast.parse(text)) if isinstance(each, ast.Import)]
    assert {each.names[0].name for each in imported} == {"sys", "numpy", "onnxruntime"}


@pytest.mark.xdist_group("export-pfn")
def test_plain_arrays_of_events_are_scored_as_the_docs_say(runs):
    """As in a coffea processor, but without its classes of arrays."""
    text = (ROOT / "docs" / "export.md").read_text()
    (code,) = re.findall(r"```python\n(import awkward.*?)```", text, re.DOTALL)
    scope = {}
    exec(compile(code, "export.md", "exec"), scope)
    array = jets(60, seed=7)
    per_event = np.array([0, 1, 3, 2, 0, 4] * 6)
    parts = array.constituents[["pt", "eta", "phi", "mass", "charge"]]
    parts = ak.with_field(parts, array.constituents.pdg_id, "pdgId")
    fatjets, candidates = (ak.Array(ak.to_list(ak.unflatten(a, per_event))) for a in (
        array[["pt", "eta", "phi", "mass"]], parts
    ))  # fmt: skip
    scores = scope["scores"](fatjets, candidates, runs["pfn"].path)
    assert ak.num(scores).tolist() == per_event.tolist()
    want = runs["pfn"].predict(array)[:, 0]
    np.testing.assert_allclose(ak.flatten(scores), want, atol=1e-5)


@pytest.mark.xdist_group("export-deepsets-max")
def test_what_is_there_is_not_overwritten(runs, traced_before, tmp_path):
    out = tmp_path / "tagger.onnx"
    out.write_text("mine")
    with pytest.raises(FileExistsError, match="--overwrite"):
        export(runs["deepsets-max"].path, out)
    assert out.read_text() == "mine"
    export(runs["deepsets-max"].path, out, overwrite=True)
    assert OnnxTagger(out).classes == CLASSES
    link = tmp_path / "link.onnx"
    link.symlink_to(out)
    with pytest.raises(ValueError, match="symbolic link"):
        export(runs["deepsets-max"].path, link, overwrite=True)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"to": "tflite"}, "choose from onnx"),
        ({"int8": True}, "needs --data"),
        ({"out": "."}, "is a folder"),
    ],
)
def test_bad_requests(runs, tmp_path, options, complaint):
    options = dict(options)
    out = tmp_path / options.pop("out", "tagger.onnx")
    with pytest.raises(ValueError, match=complaint):
        export(runs["pfn"].path, out, **options)
    assert not list(tmp_path.glob("*.onnx"))


def test_trees_are_refused(tmp_path):
    inputs = tree_inputs()
    array = make_jets(200)
    for name in inputs.features:
        array = ak.with_field(array, np.random.default_rng(0).random(200), name)
    train = build_cache(array, inputs)
    fit_trees(train, train, CLASSES, tmp_path / "trees", Trees(rounds=2))
    with pytest.raises(ValueError, match="holds trees"):
        export(tmp_path / "trees", tmp_path / "trees.onnx")


@pytest.mark.xdist_group("export-deepsets-max")
def test_missing_fields_are_named(exported):
    tagger = OnnxTagger(exported["deepsets-max"].SerializeToString())
    with pytest.raises(ValueError, match="needs constituents with the field d0"):
        tagger.predict(make_jets(5))
    with pytest.raises(ValueError, match="no constituents"):
        tagger.predict(make_jets(5)[["pt", "eta", "phi", "mass"]])


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ValueError, match="cannot read"):
        OnnxTagger(tmp_path / "text.onnx")


@pytest.mark.xdist_group("export-pfn")
def test_a_wrong_export_is_noticed(runs, exported):
    tagger = OnnxTagger(exported["pfn"].SerializeToString())
    changed = load_run(runs["pfn"].path, device="cpu")
    with torch.no_grad():
        next(changed.model.parameters()).mul_(1.01)
    with pytest.raises(ValueError, match="nothing is written"):
        agreement(changed, tagger, random_jets(100, 20))


class Fixed(torch.nn.Module):
    """Turns a shape into a number."""

    def forward(self, x, mask):
        return x.sum(1)[:, :2].reshape(int(str(len(x))), 2)


@pytest.mark.xdist_group("export-pfn")
def test_a_network_of_one_shape_is_refused(runs, tmp_path):
    run = load_run(runs["pfn"].path, device="cpu")
    run.model, run.inputs = Fixed(), build_cache(jets(20), Inputs(features=("log_pt",))).inputs
    with pytest.raises(ValueError, match="pfn"):
        to_onnx(run)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """Labelled jets of all splits."""
    folder = tmp_path_factory.mktemp("data") / "jets"
    arrays = [jets(150, seed=seed) for seed in range(4)]
    for number, array in enumerate(arrays):
        event = np.arange(150, dtype=np.uint64) + np.uint64(1000 * number)
        arrays[number] = ak.with_field(array, event, "event")
    small(folder, arrays)
    form = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(form | {"kind": "jets", "classes": CLASSES}))
    return folder


@pytest.mark.xdist_group("export-pfn")
def test_int8_needs_jets(exported):
    with pytest.raises(ValueError, match="no calibration jets"):
        to_int8(exported["pfn"], [])


@pytest.mark.parametrize("name", [on_one_worker(name) for name in TRAINED])
def test_int8_tells_its_cost(name, runs, exported, traced_before, dataset, tmp_path):
    out = tmp_path / "int8.onnx"
    result = export(runs[name].path, out, int8=True, data=dataset)
    figures = ("auc", "rejection_at_50", "jets_per_second")
    wanted = {f"{name}/{kind}/{key}" for kind in ("int8", "float32") for key in figures}
    ratio = f"{name}/int8-vs-float32/rejection_ratio_at_50"
    assert wanted | {ratio, f"{name}/int8-vs-float32/auc_difference"} <= set(result.numbers)
    loss = result.numbers[ratio]
    told = f"int8 costs {100 * (1 - loss.value):.1f} +- {100 * loss.uncertainty:.1f} %"
    assert f"{told} of the rejection at 50 %" in result.note
    assert abs(result.numbers[f"{name}/int8-vs-float32/auc_difference"].value) < 0.02
    assert result.numbers[f"{name}/difference_test_jets"].value < 1e-4
    coarse, plain = OnnxTagger(out), OnnxTagger(exported[name].SerializeToString())
    assert (coarse.classes, coarse.fields) == (plain.classes, plain.fields)
    array = jets(200, seed=9)
    assert 0 < np.abs(coarse.predict(array) - plain.predict(array)).mean() < 0.03
    assert out.stat().st_size < 0.8 * len(exported[name].SerializeToString())


@pytest.mark.xdist_group("export-pfn")
def test_int8_measures_on_jets_of_the_same_classes(runs, dataset, tmp_path):
    form = json.loads((dataset / "manifest.json").read_text())
    other = tmp_path / "other"
    other.mkdir()
    (other / "manifest.json").write_text(json.dumps(form | {"classes": ["other", *CLASSES]}))
    with pytest.raises(ValueError, match="tells one prong, two prongs apart"):
        export(runs["pfn"].path, tmp_path / "x.onnx", data=other)
