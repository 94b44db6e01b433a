"""Datasets: what is read is what was written, and what is wrong is named."""

import hashlib
import json
import shutil

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.toy_dataset import SETTINGS, SHARDS, contents, jets, make, small, toy, truncate

from fivesigma.datasets import SCHEMA, SPLITS, Dataset, Shard, produce, split_of
from fivesigma.formats import open_file

MASK = 2**64 - 1


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The toy dataset, made by one worker without disturbance; read only."""
    return toy(tmp_path_factory.mktemp("reference") / "toy")


@pytest.fixture
def dataset(reference, tmp_path):
    """A copy to damage."""
    return Dataset.open(shutil.copytree(reference.path, tmp_path / "toy"))


def splitmix64(number):
    """First output of the generator with this seed, in Python's integers."""
    z = (number + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def test_split_is_the_published_hash_and_never_changes():
    assert splitmix64(0) == 0xE220A8397B1DCDAF  # published first output of seed 0
    numbers = [*range(12), 999_999, 1_000_000, 1_000_001, 42_000_007, 2**63, MASK]
    splits = split_of(np.array(numbers, dtype=np.uint64))
    assert splits.tolist() == [2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 2]
    uniform = [(splitmix64(n) >> 11) / 2**53 for n in numbers]
    assert splits.tolist() == [0 if u < 0.7 else 1 if u < 0.8 else 2 for u in uniform]
    assert splits.dtype == np.int8
    assert split_of(5) == 0


@pytest.mark.parametrize("first", [0, 17_000_000])
def test_split_has_its_fractions(first):
    n = 200_000
    splits = split_of(np.arange(first, first + n, dtype=np.uint64))
    for index, fraction in enumerate((0.7, 0.1, 0.2)):
        got = np.mean(splits == index)
        assert abs(got - fraction) < 4 * np.sqrt(fraction * (1 - fraction) / n), SPLITS[index]


def test_split_keeps_the_jets_of_an_event_together():
    event = np.repeat(np.arange(1000, dtype=np.uint64), 2)
    order = np.random.default_rng(1).permutation(event.size)
    splits = np.empty(event.size, np.int8)
    splits[order] = split_of(event[order])
    assert np.array_equal(splits[::2], splits[1::2])


def test_split_refuses_what_is_no_event_number():
    with pytest.raises(ValueError, match="float64, expected integers"):
        split_of(np.array([1.0]))
    with pytest.raises(ValueError, match="add up to 1"):
        split_of(np.arange(3), (0.7, 0.2, 0.2))


def test_round_trip_is_exact(reference):
    read = reference.read("jets")
    written = ak.concatenate([jets(i) for i in range(SHARDS)])
    assert str(read.type) == str(written.type)
    assert "?" not in str(read.type)
    assert ak.array_equal(read, written, dtype_exact=True)


def test_round_trip_of_what_jets_have_not(tmp_path):
    array = ak.zip({"d": np.array([1.5, np.nan])}, depth_limit=1)
    array["score"] = ak.from_numpy(np.ones((2, 3), np.float32))
    array["nested"] = ak.Array([[[1, 2], []], [[3]]])
    array["record"] = ak.zip({"x": np.array([1, 2], np.uint8), "y": np.array([True, False])})
    array["optional"] = ak.mask(np.array([1, 2], np.int16), [True, True])
    data = small(tmp_path / "d", [array, array[:0], array[1:]])
    read = data.read()
    assert ak.array_equal(read["d"], np.array([1.5, np.nan, np.nan]), equal_nan=True)
    assert str(read.type) == (
        "3 * {d: float64, score: 3 * float32, nested: var * var * int64, "
        "record: {x: uint8, y: bool}, optional: int16}"
    )
    assert read.nested.tolist() == [*array.nested.tolist(), [[3]]]
    assert str(data.read(columns=["record.y", "nested"], shards=[1]).type) == (
        "0 * {record: {y: bool}, nested: var * var * int64}"
    )


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (ak.Array([{"pt": 1.0}, {"pt": None}]), "1 of 2 values are missing"),
        (ak.Array([{"pt": [1.0, None]}]), "1 of 2 values are missing"),
        (ak.Array([{"pt": []}]), "known types"),
        (ak.Array([1.0, 2.0]), "expected records"),
        (ak.Array([{"pt": 1.0, "constituents": [{}]}]), "records without fields"),
    ],
)
def test_what_cannot_be_stored_is_refused(tmp_path, array, message):
    with pytest.raises(RuntimeError, match=f"shard 0: ValueError: collection jets: .*{message}"):
        small(tmp_path / "d", [array])


def test_columns_are_projected(reference):
    read = reference.read("jets", ["label", "constituents.pt", "constituents.charge"])
    constituents = "constituents: var * {pt: float32, charge: int8}"
    assert str(read.type) == f"{SHARDS * 40} * {{label: int16, {constituents}}}"
    assert ak.all(read.constituents.pt == reference.read().constituents.pt)
    assert reference.read("jets", ["constituents"]).constituents.fields == [
        "pt",
        "charge",
        "pdg_id",
    ]


PARTICLES = ak.Array(
    [[{"pt": 1.0, "hits": [{"x": 1}]}, {"pt": 2.0, "hits": []}], [], [{"pt": 3.0, "hits": []}]]
)
NESTED = {
    "lists": PARTICLES,
    "lists of lists": ak.Array([[[{"x": 1}], []], [], [[{"x": 2}, {"x": 3}]]]),
    "fields": ak.zip(
        {
            "n": np.arange(3),
            "particles": PARTICLES,
            "vertices": ak.Array([[[{"x": 1}], []], [], [[]]]),
            "numbers": ak.Array([[[1.5], []], [], [[2.5]]]),
            "two": ak.to_regular(ak.Array([[{"x": 1}, {"x": 2}]] * 3)),
            "record": ak.zip({"z": np.arange(3), "inner": PARTICLES}, depth_limit=1),
            "no/file name": PARTICLES,
            "dotted.name": PARTICLES,
        },
        depth_limit=1,
    ),
    "empty": PARTICLES[:0],
    "only empty": PARTICLES[[1, 1]],
    "of a fixed length": ak.to_regular(ak.Array([[{"x": 1}, {"x": 2}]] * 3)),
}


@pytest.mark.parametrize("name", NESTED)
def test_nested_lists_come_back(tmp_path, name):
    array = NESTED[name]
    data = small(tmp_path / "d", [array, array[:0], array[::-1]])
    written = ak.to_packed(ak.concatenate([array, array[::-1]]))
    assert str(data.read().type) == str(written.type)
    assert data.read().to_list() == written.to_list()
    empty = data.read(shards=[])
    assert str(empty.type) == str(array[:0].type)
    assert [len(each) for each in data.iterate()] == [len(array), 0, len(array)]
    data.verify()


def test_lists_of_records_are_stored_flat(tmp_path):
    data = small(tmp_path / "d", [NESTED["fields"][["n", "particles", "vertices", "numbers"]]])
    (shard,) = data.shards
    particles, vertices = "jets.particles", "jets.vertices"
    assert shard["parts"] == {
        "jets": [particles, f"{particles}.hits", vertices, f"{vertices}.each"]
    }
    assert shard["counts"] == {
        "jets": 3,
        **{particles: 3, f"{particles}.hits": 1, vertices: 3, f"{vertices}.each": 1},
    }
    columns = {
        name: {str(field.name): str(field.type) for field in found.schema_arrow}
        for name in shard["counts"]
        if (found := pq.ParquetFile(data.path / name / "00000.parquet"))
    }
    assert columns["jets"] | {"numbers": "nested"} == {
        **{"n": "int64", "particles": "uint32", "vertices": "uint32"},
        "numbers": "nested",
    }
    assert columns[particles] == {"pt": "double", "hits": "uint32"}
    assert columns[vertices] == {"count": "uint32"}
    assert columns[f"{vertices}.each"] == {"x": "int64"}


def test_columns_of_nested_lists_are_projected(tmp_path):
    data = produce(
        tmp_path / "d",
        lambda _: Shard({"jets": NESTED["fields"], "particles": PARTICLES}),
        *(1,),
        kind="test",
        settings={},
    )
    for collection, columns, kind in (
        ("jets", ["particles.pt"], "{particles: var * {pt: float64}}"),
        (
            *("jets", ["particles.hits", "particles.pt"]),
            "{particles: var * {pt: float64, hits: var * {x: int64}}}",
        ),
        ("jets", ["particles.hits"], "{particles: var * {hits: var * {x: int64}}}"),
        ("jets", ["vertices", "n"], "{vertices: var * var * {x: int64}, n: int64}"),
        ("jets", ["record.inner.pt"], "{record: {inner: var * {pt: float64}}}"),
        ("jets", ["two.x"], "{two: 2 * {x: int64}}"),
        ("particles", ["pt"], "var * {pt: float64}"),
        ("particles", ["hits.x"], "var * {hits: var * {x: int64}}"),
    ):
        assert str(data.read(collection, columns).type) == f"3 * {kind}"
        assert str(data.read(collection, columns, shards=[]).type) == f"0 * {kind}"
    with pytest.raises(ValueError, match=r"no column 'particles.hits.y'; .*particles.hits.x"):
        data.read("jets", ["particles.hits.y"])
    with pytest.raises(ValueError, match="no column 'eta'; choose from pt, hits"):
        data.read("particles", ["eta"])


def test_only_what_is_asked_for_is_unpacked(reference, monkeypatch):
    seen = []
    real = pq.ParquetFile.read

    def read(self, columns=None, **options):
        seen.append(columns)
        return real(self, columns, **options)

    monkeypatch.setattr(pq.ParquetFile, "read", read)
    reference.read("jets", ["label", "constituents.pt"], shards=[0])
    assert seen == [["label", "constituents"], ["pt"]]
    seen.clear()
    reference.read("jets", ["label"], shards=[0])
    assert seen == [["label"]]
    seen.clear()
    reference.read("jets", shards=[])
    with open_file(reference.path) as source:
        size = source.table.entry_bytes(["label", "constituents.pt"])
        assert source.table.read(["pt"], 0, 0)["pt"].to_list() == []
    assert seen == []
    assert str(reference.read("jets", [], shards=[]).type) == "0 * {}"
    counts = reference.shards[0]["counts"]
    assert size == 2 * (2 + 4 * counts["jets.constituents"] / counts["jets"] + 8)


def test_parts_are_no_collections(dataset):
    assert dataset.counts == {"jets": SHARDS * 40, "event": SHARDS * 40}
    assert "constituents" not in repr(dataset)
    part = "jets.constituents"
    with pytest.raises(ValueError, match="no collection 'jets.constituents'; .* jets, event$"):
        dataset.read(part)
    records = ak.zip({"pt": np.zeros(dataset.shards[0]["counts"][part])})
    with pytest.raises(ValueError, match="no base 'jets.constituents'; choose from jets, event$"):
        dataset.write("scores", 0, records, base=part)
    with pytest.raises(ValueError, match="is a part that another is stored in"):
        dataset.write(part, 0, records, base=None, overwrite=True)
    dataset.write("more.constituents", 0, records, base=None)
    with pytest.raises(ValueError, match="'more.constituents' is there twice"):
        dataset.write("more", 0, jets(0))
    assert not (dataset.path / "more").exists()
    dataset.verify()


@pytest.mark.parametrize("first", ["jets", "jets.constituents"])
def test_collection_with_the_name_of_a_part_is_refused(tmp_path, first):
    both = {
        name: jets(0) for name in sorted(["jets", "jets.constituents"], reverse=first != "jets")
    }
    with pytest.raises(RuntimeError, match="'jets.constituents' is there twice"):
        produce(tmp_path / "d", lambda _: Shard(both), 1, kind="", settings={})


def test_nested_collection_is_added_and_replaced(dataset):
    for shard in range(SHARDS):
        dataset.write("sub.jets-v2", shard, jets(shard))
    assert dataset.counts["sub.jets-v2"] == SHARDS * 40
    assert ak.array_equal(dataset.read("sub.jets-v2"), dataset.read("jets"), dtype_exact=True)
    truncate(dataset.path / "jets.constituents" / "00003.parquet")
    repaired = toy(dataset.path, broken=set(range(SHARDS)) - {3})
    repaired.verify()
    assert repaired.manifest == dataset.manifest
    part = dataset.path / "sub.jets-v2.constituents" / "00000.parquet"
    assert part.exists()
    dataset.write("sub.jets-v2", 0, jets(0)[["pt"]], overwrite=True)
    assert not part.exists()
    assert Dataset.open(dataset.path).read("sub.jets-v2", shards=[0]).fields == ["pt"]
    with pytest.raises(ValueError, match="shards of sub.jets-v2 differ in their fields"):
        dataset.read("sub.jets-v2")
    dataset.verify()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.set_column(1, "constituents", [t["constituents"].to_numpy() + 1]), "counts"),
        (lambda t: t.set_column(1, "constituents", [t["pt"]]), "got float32, expected numbers"),
        (lambda t: t.slice(0, 39), "has 39 entries, expected 40"),
        (lambda t: t.replace_schema_metadata({}), "does not say which columns are lists"),
    ],
)
def test_lists_that_do_not_fit_are_damage(tmp_path, change, message):
    data = small(tmp_path / "d", [jets(0)[["pt", "constituents"]]])
    path = data.path / "jets" / "00000.parquet"
    pq.write_table(change(pq.read_table(path)), path)
    data.shards[0]["bytes"]["jets"] = path.stat().st_size
    with pytest.raises(ValueError, match=f"jets/00000.parquet: .*{message}.*damaged") as caught:
        data.read()
    assert "\n" not in str(caught.value)


def test_wrong_names_are_answered_with_the_choices(reference):
    with pytest.raises(ValueError, match=r"00000.parquet: no column 'constituents.pT'; .*pt"):
        reference.read("jets", ["constituents.pT"])
    with pytest.raises(ValueError, match="no collection 'tracks'; choose from jets, event"):
        reference.read("tracks")
    with pytest.raises(ValueError, match="no shard 8; it has 8, from 0 to 7"):
        reference.read("jets", shards=[8])


def test_shards_are_read_one_by_one_or_chosen(reference):
    shards = list(reference.iterate("jets", ["event"]))
    assert [int(array.event[0]) for array in shards] == [i * 1_000_000 for i in range(SHARDS)]
    assert reference.read("jets", ["event"], shards=[3, 1]).event[0] == 3_000_000
    assert str(reference.read("jets", ["event"], shards=[]).type) == "0 * {event: uint64}"


def test_manifest_says_what_was_made(reference):
    manifest = json.loads((reference.path / "manifest.json").read_text())
    text = json.dumps(SETTINGS, sort_keys=True, separators=(",", ":"))
    assert manifest["settings_hash"] == hashlib.sha256(text.encode()).hexdigest()
    assert (manifest["schema"], manifest["kind"], manifest["settings"]) == (
        SCHEMA,
        "toy",
        SETTINGS,
    )
    assert manifest["versions"] == {"toy": "1.0"}
    assert reference.classes == ["qcd", "top"]
    assert reference.counts == {"jets": SHARDS * 40, "event": SHARDS * 40}
    for index, shard in enumerate(reference.shards):
        assert (shard["index"], shard["info"]["seed"], shard["counts"]["jets"]) == (
            index,
            index,
            40,
        )
        data = (reference.path / f"jets/{index:05d}.parquet").read_bytes()
        assert shard["bytes"]["jets"] == len(data)
        assert shard["checksums"]["jets"] == hashlib.sha256(data).hexdigest()


def test_cross_sections_are_merged(reference):
    qcd = reference.manifest["processes"]["qcd"]
    events = np.array([100, 102, 104, 106])
    assert qcd["n_generated"] == events.sum()
    assert qcd["cross_section_pb"] == pytest.approx(np.average([10, 12, 14, 16], weights=events))
    error = np.sqrt(np.sum(events**2)) / events.sum()
    assert qcd["cross_section_error_pb"] == pytest.approx(error)
    assert error == pytest.approx(1 / np.sqrt(4), rel=1e-3)  # four equal shards: half the error
    weights = [ak.sum(jets(i).weight) for i in (0, 2, 4, 6)]
    assert qcd["sum_of_weights"] == pytest.approx(sum(weights))


def test_changed_origin_is_another_dataset(reference, tmp_path):
    options = {"kind": "derived", "settings": {}, "classes": ["a", "b"]}
    data = produce(tmp_path / "d", make, 1, derived_from=reference, **options)
    origin = data.manifest["derived_from"]
    assert (data.path / origin["path"]).resolve() == reference.path.resolve()
    assert origin["settings_hash"] == reference.manifest["settings_hash"]
    assert data.classes == ["a", "b"]
    other = small(tmp_path / "other", [jets(0)])
    with pytest.raises(ValueError, match="derived_from: .* there, .* asked for"):
        produce(tmp_path / "d", make, 1, derived_from=other, **options)


def test_unreadable_parquet_is_named(dataset):
    path = dataset.path / "jets" / "00001.parquet"
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(ValueError, match="00001.parquet: "):
        dataset.read()


def test_open_says_what_is_wrong(dataset, tmp_path):
    with pytest.raises(FileNotFoundError, match="no dataset at .*fivesigma generate"):
        Dataset.open(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="holds no dataset"):
        Dataset.open(tmp_path)
    path = dataset.path / "manifest.json"
    text = path.read_text()
    path.write_text(text.replace(f'"schema": {SCHEMA}', '"schema": 99'))
    with pytest.raises(ValueError, match=f"schema version 99, expected {SCHEMA}"):
        Dataset.open(dataset.path)
    path.write_text(text[:100])
    with pytest.raises(ValueError, match=r"manifest.json is damaged"):
        Dataset.open(dataset.path)
    toy(dataset.path, broken=range(SHARDS))  # from the shards' records
    assert path.read_text() == text


def test_collection_is_added(dataset):
    before = contents(dataset.path)
    for index, array in enumerate(dataset.iterate("jets", ["label"])):
        dataset.write("scores", index, ak.zip({"top": array.label * np.float32(0.5)}))
    assert Dataset.open(dataset.path).manifest == dataset.manifest
    assert ak.all(dataset.read("scores").top == dataset.read("jets").label / 2)
    dataset.verify()
    after = contents(dataset.path)
    assert all(after[name] == data for name, data in before.items() if name[-4:] != "json")


def test_addition_must_fit(dataset):
    scores = ak.zip({"top": np.ones(40, np.float32)})
    with pytest.raises(ValueError, match="has 39 entries, expected one for each of 40 jets"):
        dataset.write("scores", 0, scores[:-1])
    with pytest.raises(ValueError, match="no base 'tracks'; choose from jets, event"):
        dataset.write("scores", 0, scores, base="tracks")
    with pytest.raises(ValueError, match="'jets' .* what the dataset was made of"):
        dataset.write("jets", 0, scores, overwrite=True)
    with pytest.raises(ValueError, match="no shard 9"):
        dataset.write("scores", 9, scores)
    with pytest.raises(ValueError, match="collection name"):
        dataset.write("../scores", 0, scores)
    dataset.write("other", 0, scores[:3], base=None)
    dataset.write("scores", 0, scores)
    with pytest.raises(ValueError, match="replace it with --overwrite"):
        dataset.write("scores", 0, scores)
    dataset.write("scores", 0, ak.zip({"top": np.zeros(40)}), overwrite=True)
    assert ak.all(dataset.read("scores", shards=[0]).top == 0)
    with pytest.raises(ValueError, match="shard 1 has no scores yet"):
        dataset.read("scores")
    assert str(dataset.read("scores", shards=[]).type) == "0 * {top: float64}"


def test_addition_outlives_the_repair_of_its_base(dataset):
    dataset.write("scores", 3, ak.zip({"top": np.arange(40)}))
    truncate(dataset.path / "jets" / "00003.parquet")
    repaired = toy(dataset.path, broken=set(range(SHARDS)) - {3})
    repaired.verify()
    assert repaired.manifest == dataset.manifest


def test_part_of_a_momentum_can_be_read(tmp_path):
    columns = {name: np.arange(3, dtype=np.float32) for name in ("pt", "eta", "phi", "mass")}
    momenta = ak.zip(columns | {"label": np.zeros(3, np.int16)}, with_name="Momentum4D")
    dataset = produce(
        tmp_path / "d", lambda index: Shard({"jets": momenta}), 1, kind="jets", settings={}
    )
    assert ak.to_list(dataset.read("jets", ["label", "pt"]).pt) == [0.0, 1.0, 2.0]
    assert ak.all(dataset.read("jets").px == momenta.px)
