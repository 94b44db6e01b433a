"""What is written is read again bit for bit, and a file is whole or not there."""

import json

import awkward as ak
import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import uproot

from fivesigma.events import momenta
from fivesigma.formats import open_file
from fivesigma.formats.writers import WRITERS, open_writer, to_pandas, write
from fivesigma.formats.writers.flat import flatten, plain

TYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
TYPES += ("float32", "float64")
SOME = ("bool", "int8", "uint64", "float32")
EXACT = [name for name in WRITERS if name != "hdf5-padded"]
ODD = [np.nan, np.inf, -np.inf, -0.0]


def numbers(rng, count, dtype):
    """Any bits that the type has."""
    if dtype == "bool":
        return rng.random(count) > 0.5
    if dtype.startswith("float"):
        values = rng.normal(size=count).astype(dtype)
        values[:4] = ODD[: len(values[:4])]
        return values
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, count, dtype=dtype, endpoint=True)


def records(rng, count, types=SOME, **more):
    fields = {f"a_{dtype}": numbers(rng, count, dtype) for dtype in types}
    return ak.zip(fields | more, depth_limit=1)


def lists(rng, mean, entries):
    """(lengths, number of items) of lists, some of them empty."""
    lengths = rng.poisson(mean, entries)
    return lengths, int(lengths.sum())


def jets_of(rng, count):
    inside, parts = lists(rng, 3, count)
    hits_inside, hits = lists(rng, 1, parts)
    bits_inside, bits = lists(rng, 2, count)
    constituents = ak.with_field(
        records(rng, parts), ak.unflatten(records(rng, hits), hits_inside), "hits"
    )
    momentum = {name: np.abs(rng.normal(size=count)).astype("f4") for name in ("pt", "mass")}
    momentum |= {name: rng.normal(size=count).astype("f4") for name in ("eta", "phi")}
    jets = records(rng, count, **momentum, label=rng.integers(-1, 2, count).astype("i2"))
    jets = ak.with_field(jets, ak.unflatten(numbers(rng, bits, "int8"), bits_inside), "bits")
    jets = ak.with_field(jets, ak.unflatten(constituents, inside), "constituents")
    return momenta(ak.with_field(jets, records(rng, count), "truth"))


def table_of(rng, count):
    inside, total = lists(rng, 2, count)
    rows = records(rng, count, TYPES, fixed=numbers(rng, 3 * count, "float32").reshape(count, 3))
    return ak.with_field(rows, ak.unflatten(numbers(rng, total, "float64"), inside), "variations")


def events_of(rng, count):
    inside, muons = lists(rng, 1.5, count)
    jets_inside, jets = lists(rng, 2, count)
    covariance = np.arange(6 * muons, dtype="f4").reshape(-1, 2, 3)
    return ak.zip(
        {
            "event": table_of(rng, count),
            "muons": ak.unflatten(records(rng, muons, TYPES, covariance=covariance), inside),
            "jets": ak.unflatten(jets_of(rng, jets), jets_inside),
            "met": records(rng, count),
        },
        depth_limit=1,
    )


MAKERS = {"events": events_of, "jets": jets_of, "table": table_of}


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def assert_same(found, expected):
    """Names, nesting, types and bits."""
    found, expected = flatten(plain(found)), flatten(plain(expected))
    assert found.entries == expected.entries
    assert found.levels == expected.levels
    for name, counts in expected.counts.items():
        assert np.array_equal(found.counts[name], counts), name
    assert found.leaves.keys() == expected.leaves.keys()
    for name, leaf in expected.leaves.items():
        values = found.leaves[name].values
        assert (values.dtype, values.shape) == (leaf.values.dtype, leaf.values.shape), name
        assert values.tobytes() == leaf.values.tobytes(), name


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("format", EXACT)
@pytest.mark.parametrize("kind", MAKERS)
def test_what_is_written_is_read_bit_for_bit(tmp_path, rng, format, kind):
    array = MAKERS[kind](rng, 30)
    path = tmp_path / "file"
    with open_writer(path, format=format, kind=kind, classes=("top", "qcd")) as writer:
        writer.extend(array[:15])
        writer.extend(array[15:])
    assert names_in(tmp_path) == ["file"]
    with open_file(path) as source:
        assert (source.format, source.kind) == ("fivesigma", kind)
        assert source.classes == ["top", "qcd"]
        assert_same(source.read(), array)
        assert_same(ak.concatenate(list(source.iterate(step=19))), array)
        assert_same(source.read(start=11, stop=23), array[11:23])


@pytest.mark.parametrize("format", EXACT)
def test_no_entries(tmp_path, rng, format):
    array = jets_of(rng, 5)[:0]
    write(array, tmp_path / "file", format=format, kind="jets")
    with open_file(tmp_path / "file") as source:
        assert source.entries == 0
        assert_same(source.read(), array)


@pytest.mark.parametrize("format", EXACT)
def test_empty_lists_only(tmp_path, rng, format):
    array = events_of(rng, 8)[["met", "jets"]]
    array["jets"] = array.jets[:, :0]
    write(array, tmp_path / "file", format=format, kind="events")
    with open_file(tmp_path / "file") as source:
        assert_same(source.read(), array)


@pytest.mark.parametrize("format", EXACT)
def test_jets_without_constituents(tmp_path, rng, format):
    array = jets_of(rng, 12)
    array["constituents"] = array.constituents[:, :0]
    write(array, tmp_path / "file", format=format, kind="jets")
    with open_file(tmp_path / "file") as source:
        assert_same(source.read(), array)


@pytest.mark.parametrize("format", EXACT)
def test_one_field_of_many(tmp_path, rng, format):
    array = events_of(rng, 20)[["muons", "jets"]]
    write(array, tmp_path / "file", format=format, kind="events")
    with open_file(tmp_path / "file") as source:
        found = source.read(["jets.constituents.a_uint64", "muons.a_bool"])
        assert found.fields == ["muons", "jets"] or found.fields == ["jets", "muons"]
        assert found.muons.fields == ["a_bool"]
        expected = array.jets.constituents.a_uint64
        assert found.jets.constituents.a_uint64.tolist() == expected.tolist()
        assert len(list(source.layout.only(["muons.a_bool"]).columns())) <= 2


@pytest.mark.parametrize("format", EXACT)
def test_steps_are_cut_to_bounded_memory(tmp_path, rng, format, monkeypatch):
    monkeypatch.setattr("fivesigma.formats.writers._STEP_BYTES", 4000)
    monkeypatch.setattr("fivesigma.formats.writers.hdf5._PADDED_BYTES", 20000)
    array = events_of(rng, 40)[["event", "jets"]]
    write(array, tmp_path / "file", format=format, kind="events")
    with open_file(tmp_path / "file") as source:
        assert_same(source.read(), array)
        assert_same(source.read(start=21, stop=23), array[21:23])


@pytest.mark.parametrize("format", EXACT)
def test_names_that_mean_something_in_files(tmp_path, format):
    array = ak.Array(
        {
            "counts": [3, 4],
            "valid": [True, False],
            "fivesigma": [1, 2],
            "edge_index": [5, 6],
            "nx": [7, 8],
            "x": [[1.0, 2.0], []],
            "y": [{"counts": [1], "valid": [2]}, {"counts": [], "valid": [3, 4]}],
            "z": [[{"counts": 1, "valid": 2, "x": [1, 2]}], []],
            "a_b": [1, 2],
            "a": [{"b": 3}, {"b": 4}],
            "deep": [[[[1], []], []], [[[2, 3]]]],
        }
    )
    write(array, tmp_path / "file", format=format, kind="table")
    with open_file(tmp_path / "file") as source:
        assert_same(source.read(), array)


@pytest.mark.parametrize("format", EXACT)
def test_layouts_of_awkward_that_hold_the_same_values(tmp_path, rng, format):
    jets = jets_of(rng, 30)
    expected = jets[np.arange(29, -1, -2)]
    masked = ak.mask(expected, np.ones(len(expected), bool))
    write(masked, tmp_path / "file", format=format, kind="jets")
    with open_file(tmp_path / "file") as source:
        found = source.read()
        assert_same(found, expected)
        assert found.px.tolist() == expected.px.tolist()


def test_many_fields_in_hdf5(tmp_path):
    array = ak.zip({f"HLT_path_with_a_long_name_{i}": [i % 2 == 0] * 3 for i in range(900)})
    write(ak.zip({"HLT": array}, depth_limit=1), tmp_path / "file.h5", kind="events")
    with open_file(tmp_path / "file.h5") as source:
        assert_same(source.read().HLT, array)


def test_tree_of_events_is_named_as_in_nanoaod(tmp_path, rng):
    array = events_of(rng, 20)
    write(array, tmp_path / "file.root", kind="events")
    with uproot.open(tmp_path / "file.root") as file:
        tree = file["Events"]
        assert file.classnames()["Events;1"] == "TTree"
        assert tree["nmuons"].array(library="np").tolist() == ak.num(array.muons).tolist()
        assert tree["muons_a_int8"].array().tolist() == array.muons.a_int8.tolist()
        assert tree["muons_a_int8"].count_branch is tree["nmuons"]
        assert tree["a_uint64"].array().tolist() == array.event.a_uint64.tolist()
        joined = ak.flatten(array.jets.constituents.a_int8, axis=2)
        assert tree["jets_constituents_a_int8"].array().tolist() == joined.tolist()
        lengths = ak.num(array.jets.constituents, axis=2)
        assert tree["jets_nconstituents"].array().tolist() == lengths.tolist()
        assert json.loads(str(file["Events_fivesigma"]))["kind"] == "events"


def test_tree_of_jets_is_read_as_jetclass(tmp_path, rng):
    array = jets_of(rng, 20)
    constituents = ak.zip({name: array.constituents.a_int8 for name in ("pt", "eta", "phi")})
    array = array[["pt", "eta", "phi", "mass", "label"]]
    array["constituents"] = constituents
    write(array, tmp_path / "file.root", kind="jets", classes=["top", "qcd"])
    with uproot.open(tmp_path / "file.root") as file:
        keys = {"jet_pt", "part_pt", "npart", "label_top", "label_qcd"}
        assert keys <= set(file["tree"].keys())
        assert file["tree"]["label_top"].array().tolist() == (array.label == 0).tolist()
    with open_file(tmp_path / "file.root", format="jetclass") as source:
        found = source.read()
        assert source.classes == ["top", "qcd"]
        assert found.label.tolist() == array.label.tolist()
        assert found.constituents.pt.tolist() == constituents.pt.tolist()


@pytest.mark.parametrize("compression", ["zstd:5", "lzma:9", "lz4", "zlib:1", "none"])
def test_compression_of_trees(tmp_path, rng, compression):
    array = table_of(rng, 2000)
    write(array, tmp_path / "file.root", kind="table", compression=compression)
    with uproot.open(tmp_path / "file.root") as file:
        method, (name, _, level) = file.file.compression, compression.partition(":")
        assert (method is None) == (name == "none")
        assert method is None or type(method).__name__.lower() == name
        assert not level or method.level == int(level)
        branch = file["tree"]["a_bool"]
        assert (branch.compressed_bytes < branch.uncompressed_bytes) == (name != "none")
    with open_file(tmp_path / "file.root") as source:
        assert_same(source.read(), array)


def test_structured_hdf5_grows_with_its_lists(tmp_path):
    one = ak.Array({"pt": [1.0], "constituents": [[{"pt": 1.0}]]})
    three = ak.Array({"pt": [2.0], "constituents": [[{"pt": 2.0}, {"pt": 3.0}, {"pt": 4.0}]]})
    with open_writer(tmp_path / "file.h5", kind="jets") as writer:
        for array in (one, three):
            writer.extend(array)
            writer._flush()
    with h5py.File(tmp_path / "file.h5") as file:
        assert file["jets"]["pt"].tolist() == [1.0, 2.0]
        found = file["constituents"]
        assert found["pt"].tolist() == [[1.0, 0.0, 0.0], [2.0, 3.0, 4.0]]
        assert found["valid"].tolist() == [[True, False, False], [True, True, True]]
        assert found.compression == "gzip"
        assert found.shuffle


def test_padded_hdf5_for_other_trainers(tmp_path):
    array = ak.Array(
        {
            "pt": [10.0, 20.0],
            "event": np.array([2**60 + 1, 2], np.uint64),
            "label": [1, 0],
            "constituents": [
                [{"pt": 1.5, "charge": -1}],
                [{"pt": float(i), "charge": i} for i in range(4)],
            ],
        }
    )
    path = tmp_path / "file.h5"
    write(array, path, format="hdf5-padded", kind="jets", classes=["a", "b"], max_constituents=3)
    with h5py.File(path) as file:
        assert file["features"].shape == (2, 3, 2)
        assert file["features"].dtype == np.float32
        assert list(file["features"].attrs["names"]) == ["pt", "charge"]
        assert file["features"][1].tolist() == [[0, 0], [1, 1], [2, 2]]
        assert file["mask"][:].tolist() == [[True, False, False], [True, True, True]]
        assert file["labels"][:].tolist() == [1, 0]
        assert file["labels"].dtype == np.int64
        assert list(file["jets"].attrs["names"]) == ["pt"]
        assert file["jets"][:].tolist() == [[10.0], [20.0]]
    with open_file(path) as source:
        found = source.read()
        assert source.classes == ["a", "b"]
        assert found.constituents.pt.tolist() == [[1.5], [0.0, 1.0, 2.0]]
        assert found.constituents.pt.layout.content.dtype == np.float32
        assert (found.pt.tolist(), found.label.tolist()) == ([10.0, 20.0], [1, 0])


def test_padded_hdf5_without_label_and_without_constituents(tmp_path):
    array = ak.Array({"pt": [1.0], "constituents": [[{"pt": 1.5}]]})
    write(array, tmp_path / "file.h5", format="hdf5-padded", kind="jets")
    with h5py.File(tmp_path / "file.h5") as file:
        assert set(file) == {"features", "mask", "jets"}
    with pytest.raises(ValueError, match="expected kind 'jets' with constituents"):
        write(array[["pt"]], tmp_path / "other.h5", format="hdf5-padded", kind="jets")
    assert names_in(tmp_path) == ["file.h5"]


def test_lists_too_uneven_to_be_padded_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("fivesigma.formats.writers.hdf5._LARGE_BYTES", 1e4)
    monkeypatch.setattr("fivesigma.formats.writers.hdf5._MOST_RATIO", 2)
    counts = np.zeros(500, int)
    counts[0] = 1000
    array = ak.Array({"x": ak.unflatten(np.arange(1000), counts)})
    with pytest.raises(ValueError, match="too uneven to be padded; write ROOT or Parquet"):
        write(array, tmp_path / "file.h5", kind="table")
    assert names_in(tmp_path) == []


def test_npz_is_flat_arrays_and_counts(tmp_path, rng):
    array = jets_of(rng, 20)
    write(array, tmp_path / "file.npz", kind="jets", compression="zlib:1")
    with np.load(tmp_path / "file.npz", allow_pickle=False) as file:
        assert file["a_int8"].tolist() == array.a_int8.tolist()
        lengths = ak.num(array.constituents)
        assert file["constituents.counts"].tolist() == lengths.tolist()
        joined = ak.flatten(array.constituents.a_uint64)
        assert file["constituents.a_uint64"].tolist() == joined.tolist()


def test_parquet_is_nested(tmp_path, rng):
    array = jets_of(rng, 20)
    write(array, tmp_path / "file.parquet", kind="jets")
    found = pq.read_table(tmp_path / "file.parquet")
    assert found["constituents"].to_pylist()[3] == array.constituents[3].to_list()
    assert found.schema.metadata[b"fivesigma"]


@pytest.mark.parametrize("format", ["parquet", "rntuple"])
def test_text(tmp_path, format):
    array = ak.Array({"name": ["top", "", "Zürich"], "tags": [["a"], [], ["bb", ""]]})
    write(array, tmp_path / "file", format=format, kind="table")
    with open_file(tmp_path / "file") as source:
        assert source.read().tolist() == array.tolist()


@pytest.mark.parametrize("format", ["root", "hdf5", "npz", "hdf5-padded"])
def test_text_where_there_are_numbers_only(tmp_path, format):
    with pytest.raises(ValueError, match=r"name: text, .* takes numbers"):
        write(ak.Array({"name": ["top"]}), tmp_path / "file", format=format, kind="table")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("format", WRITERS)
@pytest.mark.parametrize("fails", ["outside", "extend", "put"])
def test_after_an_error_nothing_is_left(tmp_path, rng, format, fails, monkeypatch):
    (tmp_path / "file").write_text("older")
    array = jets_of(rng, 20)
    options = {"format": format, "kind": "jets", "overwrite": True}
    with (
        pytest.raises((ValueError, OSError), match=r"disk|missing"),
        open_writer(tmp_path / "file", **options) as writer,
    ):
        writer.extend(array)
        writer._flush()
        if fails == "put":
            monkeypatch.setattr(writer, "_put", lambda array: full_disk())
            writer.extend(array)
        if fails == "outside":
            full_disk()
        if fails == "extend":
            writer.extend(ak.Array({"pt": [1.0, None]}))
    assert names_in(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "older"


def full_disk():
    raise OSError(28, "No space left on disk")


def test_nothing_is_overwritten_without_being_told(tmp_path):
    array, path = ak.Array({"x": [1, 2]}), tmp_path / "a" / "b" / "file.npz"
    write(array, path, kind="table")
    with pytest.raises(FileExistsError, match=r"overwrite=True \(--overwrite\)"):
        write(array, path, kind="table")
    write(array[:1], path, kind="table", overwrite=True)
    with open_file(path) as source:
        assert source.entries == 1


def test_links_and_folders_are_refused(tmp_path):
    (tmp_path / "target.npz").write_text("x")
    (tmp_path / "link.npz").symlink_to(tmp_path / "target.npz")
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(ValueError, match=r"link.npz is a symbolic link; give the file"):
        open_writer(tmp_path / "link.npz", kind="table", overwrite=True)
    with pytest.raises(IsADirectoryError, match="is a folder"):
        open_writer(tmp_path / "folder.npz", kind="table", overwrite=True)
    assert (tmp_path / "target.npz").read_text() == "x"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "x.dat"}, "the suffix tells no format; expected one of .root"),
        ({"format": "csv"}, "unknown format 'csv'; choose from root"),
        ({"kind": "tables"}, "unknown kind 'tables'; choose from events"),
        ({"compression": "zip"}, "compression 'zip'; choose from zstd:5"),
        ({"compression": "zstd:much"}, "compression 'zstd:much'; choose from zstd:5"),
        ({"max_constituents": 0}, "max_constituents 0; expected at least 1"),
    ],
)
def test_wrong_options(tmp_path, options, message):
    options = {"path": "file.root", "kind": "table"} | options
    with pytest.raises(ValueError, match=message):
        open_writer(tmp_path / options.pop("path"), **options)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("array", "message"),
    [
        ({"x": [1, None]}, "x: 1 of 2 values are missing"),
        ({"x": [[{"y": None}], []]}, "x.y: 1 of 1 values are missing"),
        ({"x": [[], []]}, "x: type unknown, expected one of bool"),
        ({"x": np.zeros(2, np.complex128)}, "x: type complex128, expected one of bool"),
        ({"x": np.zeros(2, np.float16)}, "x: type float16, expected one of bool"),
        ({"x": [1, "a"]}, "x: type union"),
        ({"a.b": [1, 2]}, "field name 'a.b': expected no dots and brackets"),
        ({"a[2]": [1, 2]}, "expected no dots and brackets in it; rename the field"),
        ([1, 2], "expected records with named fields"),
    ],
)
def test_arrays_that_files_cannot_hold(tmp_path, array, message):
    with pytest.raises(ValueError, match=message):
        write(ak.Array(array), tmp_path / "file.npz", kind="table")
    assert names_in(tmp_path) == []


def test_steps_must_be_alike(tmp_path):
    with (
        pytest.raises(ValueError, match=r"got \{x: float64\}, expected \{x: int64\} as before"),
        open_writer(tmp_path / "file.npz", kind="table") as writer,
    ):
        writer.extend(ak.Array({"x": [1]}))
        writer.extend(ak.Array({"x": [1.0]}))


def test_events_are_collections(tmp_path):
    with pytest.raises(ValueError, match=r"weight: expected collections .* e.g. event.weight"):
        write(ak.Array({"weight": [1.0]}), tmp_path / "file.root", kind="events")


def test_a_writer_without_entries_and_a_closed_one(tmp_path):
    with (
        pytest.raises(ValueError, match="nothing to write"),
        open_writer(tmp_path / "file.root", kind="table"),
    ):
        pass
    writer = open_writer(tmp_path / "file.root", kind="table")
    writer.extend(ak.Array({"x": [1]}))
    writer.close()
    writer.close()
    assert writer.entries == 1
    with pytest.raises(ValueError, match="closed already"):
        writer.extend(ak.Array({"x": [1]}))
    assert names_in(tmp_path) == ["file.root"]


@pytest.mark.parametrize(
    "change",
    [
        {"fields": {"x": "gone"}},
        {"fields": {"x": 5}},
        {"fields": {}},
        {"fields": []},
        {"lists": "x"},
        {"lists": ["x"]},
        {"kind": "events"},
        {"classes": None},
        {"valid": {"x": "x"}, "lists": ["x"]},
        {"nested": {"x": "gone"}, "lists": ["x"]},
        {"fivesigma": 2},
    ],
)
def test_a_note_that_does_not_fit_is_not_believed(tmp_path, change):
    note = {"fivesigma": 1, "kind": "table", "fields": {"x": "x"}, "lists": [], "classes": []}
    np.savez(tmp_path / "file.npz", x=np.arange(3), fivesigma=np.array(json.dumps(note | change)))
    with open_file(tmp_path / "file.npz") as source:
        assert source.format == "table"
        assert source.read().x.tolist() == [0, 1, 2]


def test_flat_records_as_a_frame():
    frame = to_pandas(ak.Array({"pt": [1.0, 2.0], "p": np.eye(2), "met": [{"x": 1}, {"x": 2}]}))
    assert list(frame.columns) == ["pt", "p.0", "p.1", "met.x"]
    assert frame["met.x"].tolist() == [1, 2]


def test_lists_as_a_frame():
    jets = ak.Array({"pt": [10.0, 20.0], "constituents": [[{"pt": 1.0}, {"pt": 2.0}], []]})
    frame = to_pandas(jets)
    assert frame.index.names == ["entry", "subentry"]
    assert frame.index.tolist() == [(0, 0), (0, 1)]
    assert frame["pt"].tolist() == [10.0, 10.0]
    assert frame["constituents.pt"].tolist() == [1.0, 2.0]
    assert to_pandas(jets.constituents)["pt"].tolist() == [1.0, 2.0]
    nested = to_pandas(ak.Array({"jets": [jets[:1], jets[1:], jets]}))
    assert nested.index.tolist() == [(0, 0, 0), (0, 0, 1), (2, 0, 0), (2, 0, 1)]


def test_a_frame_has_one_collection(rng):
    with pytest.raises(ValueError, match=r"lists .*muons.*; choose one"):
        to_pandas(events_of(rng, 5))


def test_collisions_of_cms_in_all_formats(tmp_path, real_data):
    with open_file(real_data / "root_files" / "nano_tt_v15.root") as source:
        array = source.read(["muons.pt", "muons.charge", "event.event", "met.pt"], stop=100)
    for format in EXACT:
        write(array, tmp_path / format, format=format, kind="events")
        with open_file(tmp_path / format) as source:
            assert_same(source.read(), array)
