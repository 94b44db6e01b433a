"""Conversion: any file into a dataset or into another file, with cuts, labels, and limits."""

import os
import signal
import subprocess
import sys
import time

import awkward as ak
import numpy as np
import pytest
import uproot

from fivesigma.datasets import Dataset
from fivesigma.formats import open_file, read
from fivesigma.training import Training
from fivesigma.workflows.convert import convert
from fivesigma.workflows.train import train

MOMENTUM = ("pt", "eta", "phi", "mass")


def _jets(n, seed, labels=True):
    """A JetClass-like tree, written with uproot alone."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 30, n)
    part = {name: rng.normal(0, 3, counts.sum()).astype("f4") for name in ("px", "py", "pz")}
    part["energy"] = np.sqrt(sum(v.astype("f8") ** 2 for v in part.values()) + 0.02).astype("f4")
    tree = {"part": ak.unflatten(ak.zip(part), counts)}
    tree |= {f"jet_{name}": rng.uniform(1, 2, n).astype("f4") for name in ("pt", "eta", "phi")}
    tree["jet_energy"] = np.full(n, 20, "f4")
    if labels:
        first = rng.random(n) < 0.4
        tree |= {"label_top": first, "label_qcd": ~first}
    return tree


@pytest.fixture
def jets(tmp_path):
    path = tmp_path / "jets.root"
    with uproot.recreate(path) as file:
        file.mktree("tree", _jets(500, 1))
    return path


@pytest.fixture
def events(tmp_path):
    rng = np.random.default_rng(3)
    counts = rng.integers(0, 5, 300)
    n = counts.sum()
    fields = {name: rng.uniform(1, 2, n).astype("f4") for name in MOMENTUM} | {
        "hadronFlavour": rng.choice([0, 4, 5], n).astype("i4")
    }
    fields["pt"] = rng.exponential(40, n).astype("f4")
    path = tmp_path / "events.root"
    with uproot.recreate(path) as file:
        tree = {"event": np.arange(1000, 1300, dtype="u8"), "run": np.ones(300, "u4")}
        tree |= {"luminosityBlock": np.ones(300, "u4"), "genWeight": rng.normal(1, 0.1, 300)}
        file.mktree("Events", tree | {"Jet": ak.unflatten(ak.zip(fields), counts)})
    return path


def test_a_file_becomes_a_dataset_ready_for_training(jets, tmp_path):
    made = convert([str(jets)], out=tmp_path / "data", quiet=True)
    assert (made.kind, made.read, made.written, made.classes) == ("jets", 500, 500, ("top", "qcd"))
    data = Dataset.open(tmp_path / "data")
    found, want = data.read("jets"), read(jets)
    assert data.classes == ["top", "qcd"]
    assert ak.array_equal(found.constituents.pt, want.constituents.pt)
    assert ak.array_equal(found.label, want.label)
    assert len(set(found.event.to_list())) == 500  # numbers of their own decide the split


def test_events_keep_their_collections_and_numbers(events, tmp_path):
    convert([str(events)], out=tmp_path / "data", quiet=True)
    data = Dataset.open(tmp_path / "data")
    assert data.manifest["kind"] == "events"
    assert data.counts == {"event": 300, "jets": 300}
    assert data.read("event").event.to_list() == list(range(1000, 1300))
    total = data.manifest["processes"]["events"]["sum_of_weights"]
    assert total == pytest.approx(ak.sum(read(events).event.weight))


def test_selected_jets_with_labels(events, tmp_path):
    selection = dict(
        columns=("jets.pt", "jets.eta", "jets.phi", "jets.mass"),
        define={"ht": "sum(jets.pt)"},
        where="ht > 50",
        objects={"jets": "pt > 20"},
        jets="jets",
        labels={"b": "hadronFlavour == 5", "light": "hadronFlavour == 0"},
    )
    convert([str(events)], out=tmp_path / "data", quiet=True, **selection)
    found = Dataset.open(tmp_path / "data").read("jets")
    whole = read(events).jets
    chosen = ak.flatten(whole[(ak.sum(whole.pt, axis=1) > 50) & (whole.pt > 20)])
    chosen = chosen[chosen.hadronFlavour != 4]
    assert ak.array_equal(found.pt, chosen.pt)
    assert found.label.to_list() == [0 if f == 5 else 1 for f in chosen.hadronFlavour]
    assert {"event", "weight"} <= set(found.fields)
    assert "hadronFlavour" not in found.fields  # it was read for the labels alone


def test_whole_events_for_a_network_of_events(events, tmp_path):
    labels = {"busy": "count(jets) > 2", "quiet": "count(jets) > 0 and count(jets) < 3"}
    made = convert([str(events)], out=tmp_path / "data", jets="event", labels=labels, quiet=True)
    assert (made.kind, made.model) == ("jets", "event-transformer")
    dataset, whole = Dataset.open(tmp_path / "data"), read(events)
    found = dataset.read("jets")
    kept = whole[ak.num(whole.jets) > 0]
    assert ak.array_equal(found.event, kept.event.event)
    assert found.label.to_list() == [int(n <= 2) for n in ak.num(kept.jets)]
    assert ak.array_equal(ak.num(found.constituents), ak.num(kept.jets))
    pt = ak.sort(kept.jets.pt, axis=1, ascending=False)
    assert ak.array_equal(found.constituents.pt, pt)
    options = Training(epochs=30, batch_size=64, learning_rate=3e-3, device="cpu")
    run = train(
        tmp_path / "run", data=dataset.path, model=made.model, training=options, quiet=True
    )
    assert run.model_yaml["summary"]["best"]["validation_accuracy"] > 0.9  # it can count


def test_one_class_a_file(tmp_path):
    for seed, name in enumerate(("top_1", "top_2", "qcd")):
        with uproot.recreate(tmp_path / f"{name}.root") as file:
            file.mktree("tree", _jets(100, seed, labels=False))
    classes = {"top": "top*", "qcd": "qcd*"}
    files = [str(tmp_path / "*.root")]
    convert(files, out=tmp_path / "data", classes=classes, quiet=True)
    data = Dataset.open(tmp_path / "data")
    assert data.classes == ["top", "qcd"]
    assert np.bincount(data.read("jets").label).tolist() == [200, 100]
    with pytest.raises(ValueError, match=r"qcd\.root fits 0 of the patterns"):
        convert(files, out=tmp_path / "other", classes={"top": "top*", "b": "b*"}, quiet=True)


@pytest.mark.parametrize("name", ["out.root", "out.h5", "out.npz", "out.parquet"])
def test_from_dataset_to_file_and_back(jets, tmp_path, name):
    convert([str(jets)], out=tmp_path / "data", quiet=True)
    convert([str(tmp_path / "data")], out=tmp_path / name, quiet=True)
    convert([str(tmp_path / name)], out=tmp_path / "again", quiet=True)
    first, again = (Dataset.open(tmp_path / each) for each in ("data", "again"))
    assert again.classes == first.classes
    a, b = first.read("jets"), again.read("jets")
    for field in a.fields:
        assert ak.array_equal(a[field], b[field]), field


def test_a_folder_of_files_keeps_those_that_are_there(jets, events, tmp_path):
    others = tmp_path / "in"
    others.mkdir()
    for name in ("a", "b", "c"):
        (others / f"{name}.root").write_bytes(jets.read_bytes())
    out = tmp_path / "out"
    convert([str(others)], out=out, to="parquet", workers=2, quiet=True)
    assert sorted(path.name for path in out.iterdir()) == ["a.parquet", "b.parquet", "c.parquet"]
    (out / "b.parquet").unlink()
    before = (out / "a.parquet").stat().st_mtime_ns
    made = convert([str(others)], out=out, to="parquet", quiet=True)
    assert made.written == 500  # b alone
    assert (out / "a.parquet").stat().st_mtime_ns == before


def test_workers_and_memory_change_nothing(jets, tmp_path):
    options = [{"memory": "360 MB"}, {"workers": 2, "memory": "2 GB"}, {}]
    found = []
    for number, each in enumerate(options):
        convert([str(jets)], out=tmp_path / str(number), quiet=True, **each)
        found.append(Dataset.open(tmp_path / str(number)).read("jets"))
    assert all(ak.array_equal(found[0], each) for each in found[1:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"to": "csv"}, "cannot write 'csv'; choose from root"),
        ({"memory": "100 MB"}, "too little for 1 workers; give at least"),
        ({"memory": "lots"}, "expected a number and kB, MB, GB"),
        ({"columns": ("jetz",)}, "no field 'jetz'"),
        ({"jets": "jets"}, "holds jets, not events"),
        ({"where": "ptt > 3"}, "unknown name 'ptt'"),
        ({"format": "delphes"}, "columns are not those of delphes"),
        ({"unit": "TeV"}, "unknown unit 'TeV'"),
    ],
)
def test_mistakes_are_told(jets, tmp_path, options, message):
    with pytest.raises((ValueError, RuntimeError), match=message):
        convert([str(jets)], out=tmp_path / "data", quiet=True, **options)


def test_mixed_kinds_and_existing_outputs_are_refused(jets, events, tmp_path):
    with pytest.raises(ValueError, match="differ in kind or classes"):
        convert([str(jets), str(events)], out=tmp_path / "data", quiet=True)
    convert([str(jets)], out=tmp_path / "out.parquet", quiet=True)
    with pytest.raises(FileExistsError, match="overwrite"):
        convert([str(jets)], out=tmp_path / "out.parquet", quiet=True)
    convert([str(jets)], out=tmp_path / "data", quiet=True)
    with pytest.raises(ValueError, match="other settings"):
        convert([str(events)], out=tmp_path / "data", quiet=True)


def test_interrupted_conversion_goes_on(tmp_path):
    path = tmp_path / "large.root"
    with uproot.recreate(path) as file:
        tree = file.mktree("tree", _jets(20_000, 1))
        for seed in range(2, 5):
            tree.extend(_jets(20_000, seed))
    command = [sys.executable, "-m", "fivesigma.cli", "convert", str(path)]
    command += ["--memory", "350 MB", "--quiet", "--out"]
    process = subprocess.Popen([*command, str(tmp_path / "data")])
    shards = tmp_path / "data" / "shards"
    while process.poll() is None and not (shards.is_dir() and any(shards.iterdir())):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "data" / "manifest.json").exists()
    kept = {shard.name: shard.stat().st_mtime_ns for shard in shards.glob("*.json")}
    for name in ("data", "whole"):
        subprocess.run([*command, str(tmp_path / name)], check=True)
    assert all((shards / name).stat().st_mtime_ns == time for name, time in kept.items())
    resumed, whole = (Dataset.open(tmp_path / name) for name in ("data", "whole"))
    assert [s["checksums"] for s in resumed.shards] == [s["checksums"] for s in whole.shards]
    assert len(whole.shards) >= 4  # so that there was something to resume


def test_the_command_line(events, tmp_path):
    command = [sys.executable, "-m", "fivesigma.cli", "convert", str(events), "--out"]
    environment = os.environ | {"COLUMNS": "100"}
    done = subprocess.run(
        [*command, str(tmp_path / "data"), "--jets", "jets", "--columns", "jets.pt,jets.eta"]
        + ["--labels.b", "hadronFlavour == 5", "--labels.rest", "hadronFlavour != 5"],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert "next: fivesigma train" in done.stdout
    assert Dataset.open(tmp_path / "data").classes == ["b", "rest"]
    broken = tmp_path / "broken.root"
    broken.write_bytes(events.read_bytes()[:2000])
    command[4] = str(broken)
    failed = subprocess.run(
        [*command, str(tmp_path / "other")], capture_output=True, text=True, env=environment
    )
    assert failed.returncode == 2
    assert failed.stderr.count("\n") == 1
    assert "broken.root" in failed.stderr


def test_files_of_a_dataset_read_in_part(jets, tmp_path):
    convert([str(jets)], out=tmp_path / "data", quiet=True)
    with open_file(tmp_path / "data") as source:
        assert (source.format, source.kind, source.entries) == ("dataset", "jets", 500)
        part = source.read(["pt", "constituents.pt"], 100, 200)
        assert part.fields == ["pt", "constituents"]
        assert part.constituents.fields == ["pt"]
        assert ak.array_equal(part.pt, read(jets).pt[100:200])
