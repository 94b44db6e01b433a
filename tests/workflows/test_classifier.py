"""`fivesigma train classifier`: from files to runs, numbers and a report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import yaml
from helpers.synthetic_jets import make_jets
from helpers.toy_events import make_events

from fivesigma.formats.writers import open_writer
from fivesigma.search.classifiers import Aim, Classifier, Folds, load_folds
from fivesigma.training import Training
from fivesigma.trees import Trees
from fivesigma.workflows.classifier import classifier
from fivesigma.workflows.labelled import Columns, read_labelled, with_objects

TRAINING = Training(epochs=3, batch_size=128, learning_rate=5e-3, threads=1)
TREES = Classifier("trees", trees=Trees(rounds=20, leaves=6, early_stopping=0, threads=1))
MLP = Classifier("mlp", TRAINING, options={"hidden": [16], "dropout": 0.0})
AWARE = replace(MLP, start="mlp", aim=Aim("signal-strength", background_uncertainty=0.1, bins=5))
VARIATIONS = {"shift_up": {"x": "x + 0.2"}, "shift_down": {"x": "x - 0.2"},
              "tilt": {"weight": "weight * (1 + 0.1 * y)"}}  # fmt: skip


def write(path: Path, events: ak.Array, kind: str = "table") -> str:
    with open_writer(path, kind=kind) as writer:
        writer.extend(events)
    return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[str]:
    """A ROOT and a Parquet file: in the label 1 is signal; weights of both signs, as `w`."""
    folder = tmp_path_factory.mktemp("events")
    parts = []
    for seed, name in enumerate(("a.root", "b.parquet")):
        events = make_events(700, seed=seed, negative=0.05)
        table = {name: events[name] for name in ("x", "y", "noise", "mass")}
        table |= {"kind": 1 - events.label, "w": events.weight, "number": events.event}
        parts.append(write(folder / name, ak.Array(table)))
    return parts


COLUMNS = Columns(label="kind", signal="1", weight="w", event="number")


@pytest.fixture(scope="module")
def made(files, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "toy"
    sections = classifier(
        files, out=out, columns=COLUMNS, features=["x", "y", "noise"],
        classifiers={"aware": AWARE, "mlp": MLP}, folds=Folds(2),
        mass="mass", variations=VARIATIONS, expected=(50, 1000),
        background_uncertainty=0.1, quiet=True,
    )  # fmt: skip
    return out, sections


def test_everything_is_there(made):
    out, sections = made
    assert [section.title for section in sections] == [
        "Performance", "Significance", "Training against test", "Inputs",
        "Independence of the mass", "Accuracy against stability",
        "Uncertainty of the signal strength",
    ]  # fmt: skip
    numbers = json.loads((out / "results.json").read_text())
    for name in ("aware", "mlp"):
        assert numbers[f"{name}/auc"]["value"] > 0.75
        for key in ("asimov", "simple", "ams", "auc_gap", "ks_p_signal", "importance/noise",
                    "inverse_jsd", "auc_spread", "rejection_spread", "shift_up/auc_shift",
                    "mu_uncertainty"):  # fmt: skip
            assert f"{name}/{key}" in numbers
    assert "aware/mu_uncertainty_gain_over_mlp" in numbers
    page = (out / "report.html").read_text()
    assert "Correlations in signal" in page and "have negative weights" in page
    assert (out / "figures" / "expected-significance-against-the-cut.svg").exists()


def test_the_runs_score_new_events_and_their_own(made, files):
    out, _ = made
    trained = load_folds(out / "mlp")
    assert len(trained.members) == 2
    events = read_labelled(files, columns=COLUMNS)
    assert trained.held_out(events).shape == (1400,)
    scores = trained.run.predict(ak.Array({"x": [2.0, -2.0], "y": [2.0, -2.0], "noise": [0, 0]}))
    assert scores[0, 0] > 0.6 > 0.4 > scores[1, 0]


def test_yields_are_signed_and_those_expected(made):
    _, sections = made
    assert "For 50 signal and 1000 background events" in sections[1].note


def test_what_exists_is_kept(made, files):
    out, _ = made
    with pytest.raises(ValueError, match=r"results\.json exists; choose another folder"):
        classifier(files, out=out, columns=COLUMNS, quiet=True)


def test_the_configuration_repeats_it(made):
    out, _ = made
    config = yaml.safe_load((out / "mlp" / "config.yaml").read_text())
    assert config["classifiers"]["aware"]["aim"]["loss"] == "signal-strength"
    assert config["expected"] == [50, 1000] and "quiet" not in config


def test_signal_and_background_in_files_of_their_own(tmp_path):
    events = make_events(400)
    quantities = ["x", "y", "event"]
    signal = write(tmp_path / "s.parquet", events[events.label == 0][quantities])
    background = write(tmp_path / "b.parquet", events[events.label == 1][quantities])
    columns = Columns(define={"z": "x + y"}, where="x > -1")
    found = read_labelled([background], [signal], columns)
    assert set(found.fields) == {"x", "y", "z", "event", "label"}
    cut = events[events.x > -1]
    assert len(found) == len(cut) and np.mean(found.label) == np.mean(cut.label)
    assert ak.min(found.x) > -1


def test_events_of_collections_give_their_objects(tmp_path):
    rng, counts = np.random.default_rng(1), np.array([2, 0, 3])
    jets = ak.unflatten(
        ak.zip({name: rng.uniform(30, 60, 5) for name in ("pt", "eta", "phi", "mass")}), counts
    )
    met = ak.zip({"pt": [20.0, 50.0, 10.0], "phi": [0.0, 1.0, 2.0]})
    about = ak.zip({"event": np.array([7, 8, 9], np.uint64), "weight": [1.0, -1.0, 2.0]})
    events = ak.zip({"event": about, "jets": jets, "met": met}, depth_limit=1)
    path = write(tmp_path / "events.parquet", events, "events")
    found = with_objects(read_labelled([], [path], Columns(define={"met_pt": "met.pt"})))
    assert found.weight.to_list() == [1, -1, 2] and found.event.to_list() == [7, 8, 9]
    assert found.label.to_list() == [0, 0, 0] and found.met_pt.to_list() == [20, 50, 10]
    assert ak.num(found.constituents).to_list() == [3, 1, 4]
    pt = found.constituents.pt
    assert ak.all(pt[:, 1:] <= pt[:, :-1])


def test_networks_of_objects_beside_networks_of_quantities(tmp_path):
    events = make_jets(160)
    path = write(tmp_path / "events.parquet", events, "jets")
    small = {"embed": [16], "layers": 1, "heads": 2}
    objects = Classifier("event-transformer", replace(TRAINING, epochs=1), options=small,
                         features=("log_pt", "eta"))  # fmt: skip
    sections = classifier(
        [path], out=tmp_path / "out", columns=Columns(signal="1"), features=["mass", "tau21"],
        classifiers={"objects": objects, "trees": TREES}, folds=Folds(2), quiet=True,
    )  # fmt: skip
    numbers = {k: v for section in sections for k, v in section.numbers.items()}
    assert {"objects/auc", "objects/importance/eta", "trees/importance/mass"} <= set(numbers)


def test_parametrised_classifiers_are_asked_mass_by_mass(tmp_path):
    rng = np.random.default_rng(1)
    label = rng.integers(2, size=800)
    true = np.where(label == 1, rng.choice([3.0, 7.0], 800), -1)
    m = np.where(label == 1, rng.normal(true, 0.7), rng.uniform(0, 10, 800))
    path = write(tmp_path / "x.parquet", ak.Array({"m": m, "true": true, "label": label}))
    told = replace(TREES, trees=replace(TREES.trees, rounds=150), parameter="true")
    sections = classifier(
        [path], out=tmp_path / "out", folds=Folds(2), quiet=True, classifiers={"told": told}
    )
    numbers = sections[-1].numbers
    assert min(numbers[f"told/auc_at_{value}"].value for value in (3, 7)) > 0.8


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"features": ["nois"]}, "no feature 'nois'; did you mean noise"),
        ({"columns": replace(COLUMNS, weight="ww")}, "no column 'ww'; did you mean w"),
        ({"columns": replace(COLUMNS, label="knd")}, "no column 'knd'; did you mean kind"),
        ({"columns": replace(COLUMNS, signal="3")}, "no label '3'; there are 0, 1"),
        ({"variations": {"up": {"z": "2 * x"}}}, "variation 'up': z: no column 'z'"),
        ({"expected": (0.0, 10.0)}, "expected: got .* need events of signal and background > 0"),
        ({"classifiers": {}}, "no classifiers"),
        ({"classifiers": {"a": replace(MLP, start="b")}}, "'a' starts from 'b', which is no"),
        (
            {"classifiers": {"a": replace(MLP, start="b"), "b": replace(MLP, start="a")}},
            "classifiers a, b start from each other",
        ),
        (
            {"classifiers": {"mlp": replace(MLP, aim=Aim(decorrelate=1.0))}},
            "name the quantity to be independent of",
        ),
    ],
)
def test_mistakes(files, tmp_path, options, text):
    given = {"columns": COLUMNS, "classifiers": {"trees": TREES}} | options
    with pytest.raises(ValueError, match=text):
        classifier(files, out=tmp_path / "out", quiet=True, **given)
    assert not (tmp_path / "out" / "results.json").exists()


def test_files_are_looked_for_where_the_environment_says(files, monkeypatch):
    """As in analyses and spectra: what is shipped names no folder of anybody."""
    folder, name = Path(files[0]).parent, Path(files[0]).name
    monkeypatch.setenv("MY_EVENTS", str(folder))
    found = read_labelled(["${MY_EVENTS:-nowhere}/" + name], columns=COLUMNS)
    assert len(found) == 700
    monkeypatch.delenv("MY_EVENTS")
    with pytest.raises(ValueError, match="the variable MY_EVENTS is not set"):
        read_labelled(["${MY_EVENTS}/" + name], columns=COLUMNS)


@pytest.mark.slow
def test_own_trees_are_as_good_as_plain_lightgbm_on_uci_higgs(real_data, tmp_path):
    """The same settings and folds: acceptance of 0.01 in AUC."""
    import lightgbm

    from fivesigma import metrics
    from fivesigma.search.classifiers import fit_folds, shares_of

    root = Path(__file__).parents[2]
    mapping = root / "configs" / "formats" / "uci_higgs.yaml"
    events = read_labelled([str(real_data / "uci_higgs" / "binary.train")], mapping=mapping)
    names = tuple(name for name in events.fields if name != "label")
    options = Trees(rounds=150, early_stopping=0, threads=1)
    trained = fit_folds(Classifier("trees", trees=options), events, names, tmp_path, Folds(4))
    shares = shares_of(events, Folds(4))
    x = np.stack([ak.to_numpy(events[name]) for name in names], axis=1)
    y = (ak.to_numpy(events.label) == 0).astype(int)
    plain = np.empty(len(y))
    settings = {"objective": "binary", "learning_rate": 0.05, "num_leaves": 31, "verbose": -1,
                "feature_fraction": 0.8, "lambda_l2": 1.0, "num_threads": 1}  # fmt: skip
    for number in range(4):
        rows, test = shares.train(number), shares.test(number)
        booster = lightgbm.train(settings, lightgbm.Dataset(x[rows], y[rows]), 150)
        plain[test] = booster.predict(x[test])
    own, theirs = (metrics.auc(y, score) for score in (trained.held_out(events), plain))
    assert own.value == pytest.approx(theirs.value, abs=0.01)
    assert own.value > 0.75
