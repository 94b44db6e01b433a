"""The dataset doctor: what it tells of files, and what it warns of."""

import json

import awkward as ak
import numpy as np
import pytest
import uproot

from fivesigma import cli
from fivesigma.workflows.inspect import inspect

EVENTS = 400


def events(seed=1, muons=3, **changed):
    """Columns of NanoAOD with nothing wrong: muons ordered by pT, in GeV."""
    rng = np.random.default_rng(seed)
    shape = (EVENTS, muons)
    columns = {
        "Muon_pt": -np.sort(-rng.exponential(30, shape)).astype("f4"),
        "Muon_eta": rng.normal(0, 1, shape).astype("f4"),
        "Muon_phi": rng.uniform(-np.pi, np.pi, shape).astype("f4"),
        "Muon_mass": np.full(shape, 0.1057, "f4"),
        "Muon_charge": rng.choice([-1, 1], shape).astype("i4"),
        "run": np.ones(EVENTS, "u4"),
        "event": np.arange(EVENTS, dtype="u8") + 1000 * seed,
        "genWeight": np.ones(EVENTS, "f4"),
    }
    return {**columns, **changed}


def write(path, columns, tree="Events"):
    """A tree with lists and their counter `nMuon`."""
    lists = {k.removeprefix("Muon_"): v for k, v in columns.items() if k.startswith("Muon_")}
    branches = {k: v for k, v in columns.items() if not k.startswith("Muon_")}
    branches["Muon"] = ak.zip({k: ak.from_regular(ak.Array(v)) for k, v in lists.items()})
    with uproot.recreate(path) as file:
        file.mktree(tree, {name: ak.Array(each).type for name, each in branches.items()})
        file[tree].extend(branches)
    return str(path)


def jets(path, rng=None, leak=True, ordered=False, classes=2):
    """One jet an entry in an npy-like table: features and a label, as Parquet has it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = rng or np.random.default_rng(3)
    label = np.arange(EVENTS) % classes
    label = np.sort(label) if ordered else label
    columns = {
        "width": rng.normal(label * 0.3, 1.0),
        "first": rng.exponential(1, EVENTS),
        "second": rng.exponential(1, EVENTS),
        "label": label,
    }
    if leak:
        columns["score"] = label * 10 + rng.normal(0, 1, EVENTS)
    pq.write_table(pa.table(columns), path)
    return str(path)


def only(report):
    (file,) = report.files
    return file


def told(report, *parts):
    """Whether one warning holds all of the words."""
    return any(all(part in text for part in parts) for text in report.warnings)


def test_a_sound_file_is_described_without_a_warning(tmp_path):
    report = inspect([write(tmp_path / "a.root", events())], quiet=True)
    assert report.warnings == []
    file = only(report)
    assert (file.format, file.kind, file.events, file.entries_read) == (
        "nanoaod", "events", EVENTS, EVENTS,
    )  # fmt: skip
    muons = file.collections["muons"]
    assert (muons.objects, muons.mean, muons.minimum, muons.maximum) == (3 * EVENTS, 3.0, 3, 3)
    assert muons.pt_ordered == 1.0
    pt = muons.fields["pt"]
    assert pt.dtype == "float32"
    assert pt.mean == pytest.approx(events()["Muon_pt"].mean(), rel=1e-5)
    assert pt.maximum == pytest.approx(events()["Muon_pt"].max())
    assert file.weights["event.weight"]["effective"] == pytest.approx(EVENTS)
    assert file.convert == f"fivesigma convert {file.path} --out data/a"
    assert file.duplicates == 0


def wrong(name, change):
    columns = events()
    columns[name] = change(columns[name])
    return columns


def first(value):
    def change(array):
        array = array.copy()
        array[0] = value
        return array

    return change


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (wrong("Muon_pt", first(np.nan)), ("muons.pt", "NaN")),
        (wrong("Muon_pt", first(np.inf)), ("muons.pt", "infinite")),
        (wrong("Muon_pt", lambda pt: -pt), ("muons.pt", "negative")),
        (wrong("Muon_pt", lambda pt: pt[:, ::-1].copy()), ("not ordered by pT", "muons")),
        (wrong("Muon_mass", lambda mass: mass * 1000), ("MeV", "--unit MeV")),
        (wrong("Muon_phi", np.degrees), ("muons.phi", "degrees")),
        (wrong("Muon_phi", lambda phi: phi + np.float32(np.pi)), ("muons.phi", "(-pi, pi]")),
        (wrong("Muon_eta", first(999)), ("muons.eta", "999")),
        (wrong("genWeight", first(-1.0)), ("event.weight", "negative")),
        (wrong("event", first(1001)), ("repeat an earlier", "number")),
        (wrong("genWeight", lambda w: np.geomspace(1, 1e6, len(w))), ("uneven",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_wrong_is_told_in_one_sentence(columns, words, tmp_path):
    report = inspect([write(tmp_path / "a.root", columns)], quiet=True)
    assert told(report, *words), report.warnings


def test_events_that_are_there_twice_are_counted(tmp_path):
    columns = {name: np.concatenate([v[:300], v[:100]]) for name, v in events().items()}
    report = inspect([write(tmp_path / "a.root", columns)], quiet=True)
    assert only(report).duplicates == 100
    assert told(report, "100 of 400 entries repeat the content")


def test_common_events_of_two_files_are_found_although_renumbered(tmp_path):
    train, test = events(1), events(2)
    for name in test:
        if name.startswith("Muon_"):
            test[name][:50] = train[name][200:250]
    files = [write(tmp_path / f"{k}.root", v) for k, v in (("train", train), ("test", test))]
    report = inspect(files, quiet=True)
    assert report.overlaps == [{"first": files[0], "second": files[1], "entries": 50}]
    assert told(report, "share 50 entries")
    assert report.to_dict()["events"] == 2 * EVENTS
    assert len(report.to_dict()["files"]) == 2


def test_empty_events_are_told_and_not_taken_for_duplicates(tmp_path):
    columns = events()
    counts = np.where(np.arange(EVENTS) < 40, 0, 3)
    for name in [name for name in columns if name.startswith("Muon_")]:
        columns[name] = ak.unflatten(columns[name][40:].reshape(-1), counts)
    path = tmp_path / "a.root"
    branches = {k: ak.Array(v) for k, v in columns.items() if not k.startswith("Muon_")}
    muons = {k.removeprefix("Muon_"): v for k, v in columns.items() if k.startswith("Muon_")}
    with uproot.recreate(path) as file:
        branches["Muon"] = ak.zip(muons)
        file.mktree("Events", {name: each.type for name, each in branches.items()})
        file["Events"].extend(branches)
    report = inspect([str(path)], quiet=True)
    assert told(report, "40 of 400 entries have no object")
    assert only(report).duplicates == 0


def test_a_field_that_knows_the_label_is_told(tmp_path):
    report = inspect([jets(tmp_path / "a.parquet")], quiet=True)
    file = only(report)
    assert list(file.leaks) == ["rows.score"]
    assert told(report, "rows.score alone tells the class")
    assert file.classes == {"0": 200, "1": 200}
    assert inspect([jets(tmp_path / "b.parquet", leak=False)], quiet=True).warnings == []


def test_a_file_ordered_by_class_is_told(tmp_path):
    path = jets(tmp_path / "a.parquet", leak=False, ordered=True)
    assert told(inspect([path], quiet=True), "ordered by class")
    assert told(inspect([path], entries=50, quiet=True), "one class only", "first 50")


def test_a_file_without_entries_is_told(tmp_path):
    columns = {name: each[:0] for name, each in events().items()}
    report = inspect([write(tmp_path / "a.root", columns)], html=tmp_path / "p.html", quiet=True)
    assert report.warnings == ["it has no entries"]


def test_padding_is_recognised(tmp_path):
    rng = np.random.default_rng(2)
    used = rng.integers(5, 30, EVENTS)
    pt = rng.exponential(1, (EVENTS, 40)).astype("f4")
    for filling in (0.0, -999.0, np.nan):
        path = tmp_path / f"{filling}.root"
        column = np.where(np.arange(40) < used[:, None], pt, np.float32(filling))
        with uproot.recreate(path) as file:
            file.mktree("t", {"particle_feature": np.dtype(("f4", (40,)))})
            file["t"].extend({"particle_feature": column})
        (text,) = only(inspect([str(path)], quiet=True)).padding.values()
        assert f"40 places, filled up with {filling:g}: {used.mean():.1f} used" in text


def test_a_common_value_and_missing_ones_are_counted(tmp_path):
    columns = events()
    charge = columns["Muon_charge"]
    columns["Muon_iso"] = np.where(charge > -2, -999.0, 1.0).astype("f4")
    columns["Muon_iso"][:40] = 0.5
    file = only(inspect([write(tmp_path / "a.root", columns)], quiet=True))
    iso = file.collections["muons"].fields["iso"]
    assert (iso.common, iso.common_fraction) == (-999.0, pytest.approx(0.9))
    assert told(file, "stand-ins", "muons.iso (90 %)")


def test_steps_do_not_change_what_is_told(tmp_path, monkeypatch):
    path = write(tmp_path / "a.root", events())
    whole = inspect([path], quiet=True).to_dict()
    monkeypatch.setattr("fivesigma.workflows.doctor.examine._STEP", "2 kB")
    steps = inspect([path], quiet=True).to_dict()
    mean = ("collections", "muons", "fields", "pt", "mean")
    for report in (whole, steps):
        inner = report
        for key in mean[:-1]:
            inner = inner[key]
        inner["mean"] = pytest.approx(inner["mean"], rel=1e-6)
        for field in (*report["collections"]["muons"]["fields"].values(),
                      *report["collections"]["event"]["fields"].values()):  # fmt: skip
            field.pop("mean")
    assert steps == whole


def test_histograms_instead_of_events(tmp_path):
    path = tmp_path / "h.root"
    with uproot.recreate(path) as file:
        file["folder/mass"] = np.histogram([91.0, 92.0, 30.0], bins=10, range=(0, 100))
    report = inspect([str(path)], quiet=True).to_dict()
    assert (report["kind"], report["collections"]) == ("histograms", {})
    found = report["histograms"]["folder/mass"]
    assert (found["bins"], found["sum"], found["entries"]) == ([10], 3.0, 3.0)
    assert found["axes"][0]["high"] == 100.0


def test_json_is_one_object_even_where_numbers_are_none(tmp_path, capsys):
    columns = wrong("Muon_mass", lambda mass: np.full_like(mass, np.nan))
    path = write(tmp_path / "a.root", columns)
    assert cli.main(["inspect", path, "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"format", "events", "collections", "warnings", "path", "kind", "unit", "why_unit",
            "classes", "entries_read", "notes", "convert"} <= found.keys()  # fmt: skip
    assert (found["format"], found["events"]) == ("nanoaod", EVENTS)
    mass = found["collections"]["muons"]["fields"]["mass"]
    assert (mass["mean"], mass["nan"]) == (None, 1.0)


def test_the_text_names_main_fields_and_all_on_request(tmp_path, capsys):
    columns = events()
    columns |= {f"Muon_extra{k}": columns["Muon_pt"] for k in range(40)}
    path = write(tmp_path / "a.root", columns)
    assert cli.main(["inspect", path]) == 0
    text = capsys.readouterr().out
    assert "muons.pt" in text
    assert "more fields (--all)" in text
    assert "extra39" not in text
    assert f"next: fivesigma convert {path}" in text
    assert cli.main(["inspect", path, "--all"]) == 0
    assert "muons.extra39" in capsys.readouterr().out


def test_the_page_shows_every_field_by_class(tmp_path):
    page = tmp_path / "page.html"
    path = jets(tmp_path / "a.parquet")
    inspect([path], html=page, quiet=True)
    text = page.read_text()
    assert text.count("<svg") == 1
    assert "rows.score alone tells the class" in text
    with pytest.raises(ValueError, match="overwrite"):
        inspect([path], html=page, quiet=True)
    inspect([path], html=page, overwrite=True, quiet=True)


def test_a_dataset_folder_is_read_like_a_file(sample):
    file = only(inspect([str(sample.path)], quiet=True))
    assert (file.format, file.kind, file.events) == ("dataset", "jets", sample.counts["jets"])
    assert set(file.classes) == set(sample.classes)
    assert {"jets", "constituents"} <= set(file.collections)
    assert only(inspect([str(sample.path)], entries=10, quiet=True)).entries_read == 10


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is empty"), (b"\x00\xff" * 50, "neither text nor")],
    ids=["empty", "no known format"],
)
def test_files_that_cannot_be_read_get_one_line(content, words, tmp_path, capsys):
    path = tmp_path / "bad.root"
    path.write_bytes(content)
    assert cli.main(["inspect", str(path)]) == 2
    error = capsys.readouterr().err.strip()
    assert words in error
    assert len(error.splitlines()) == 1


def test_a_truncated_file_gets_one_line(tmp_path, capsys):
    path = tmp_path / "whole.root"
    write(path, events())
    short = tmp_path / "short.root"
    short.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert cli.main(["inspect", str(short)]) == 2
    error = capsys.readouterr().err.strip()
    assert "short.root" in error
    assert len(error.splitlines()) == 1


def test_real_muons_are_not_ordered(real_data):
    (path,) = (real_data / "cms_dimuon").glob("*.root")
    report = inspect([str(path)], entries=5000, quiet=True)
    file = only(report)
    assert (file.events, file.entries_read) == (100_000, 5000)
    assert 0.3 < file.collections["muons"].pt_ordered < 0.5
    assert told(report, "not ordered by pT", "muons")


def test_real_histograms_are_listed(real_data):
    path = real_data / "cms_higgs4l" / "histograms" / "HZZ12.root"
    found = only(inspect([str(path)], quiet=True)).histograms
    assert found["demo/mass4mu_8TeV_low"]["bins"] == [37]
