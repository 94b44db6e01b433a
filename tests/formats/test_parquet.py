"""Parquet and Feather: nested columns, missing values, steps, damage."""

import io
import json

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

import fivesigma.formats
from fivesigma.formats import Format, open_file
from fivesigma.formats.containers.parquet import open_tables, shards


def table_of_jets(n=50):
    rng = np.random.default_rng(1)
    jets = [
        {
            "pt": float(rng.uniform(500, 1000)),
            "eta": 0.1,
            "phi": 0.2,
            "mass": 80.0,
            "label": i % 2,
            "event": i,
            "constituents": [
                {"pt": float(10 + j), "eta": 0.1, "phi": 0.3, "mass": 0.14, "charge": 1}
                for j in range(i % 4)
            ],
        }
        for i in range(n)
    ]
    kinds = {
        **dict.fromkeys(("pt", "eta", "phi", "mass"), pa.float32()),
        "label": pa.int16(),
        "event": pa.uint64(),
        "constituents": pa.list_(
            pa.struct(
                {
                    **dict.fromkeys(("pt", "eta", "phi", "mass"), pa.float32()),
                    "charge": pa.int8(),
                }
            )
        ),
    }
    return pa.Table.from_pylist(jets, schema=pa.schema(kinds))


@pytest.fixture
def jets_format(monkeypatch):
    made = {"jets": Format("containers.parquet:shards", "jets", "one shard of a dataset of jets")}
    formats = {name: each for name, each in fivesigma.formats.FORMATS.items() if name != "jets"}
    monkeypatch.setattr(fivesigma.formats, "FORMATS", {**made, **formats})


def write(path, table, kind):
    if kind == "parquet":
        pq.write_table(table, path, row_group_size=7)
    else:
        pyarrow.feather.write_feather(table, str(path), chunksize=7)
    return path


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_a_shard_is_jets_with_constituents(tmp_path, jets_format, kind):
    path = write(tmp_path / "named_otherwise.txt", table_of_jets(), kind)
    with open_file(path) as source:
        assert (source.format, source.kind, source.entries) == ("jets", "jets", 50)
        jets = source.read()
        assert jets.constituents.pt.to_list()[3] == [10, 11, 12]
        assert ak.num(jets.constituents).to_list() == [i % 4 for i in range(50)]
        assert jets.constituents.px.to_list()[1] == pytest.approx([10 * np.cos(0.3)], rel=1e-6)
        assert jets.label.to_list() == [i % 2 for i in range(50)]
        assert "float32" in str(jets.pt.type)
        assert "int8" in str(jets.constituents.charge.type)
        assert "?" not in str(jets.type)


@pytest.mark.parametrize("kind", ["parquet", "feather"])
@pytest.mark.parametrize("step", [1, 5, 7, 30, "1 kB"])
def test_steps_give_what_the_whole_gives(tmp_path, jets_format, kind, step):
    path = write(tmp_path / "jets", table_of_jets(), kind)
    with open_file(path) as source:
        whole = source.read(["pt", "constituents"])
        parts = list(source.iterate(["pt", "constituents"], step=step))
        assert len(parts) > 1
        assert ak.almost_equal(ak.concatenate(parts), whole, rtol=0, atol=0)
        assert source.read(["event"], start=13, stop=23).event.to_list() == list(range(13, 23))
        assert source.read(["event"], start=3, stop=3).event.to_list() == []
        assert source.read(["constituents"], start=50).constituents.to_list() == []


def test_only_the_columns_that_are_needed_are_read(tmp_path, monkeypatch, jets_format):
    path = write(tmp_path / "jets", table_of_jets(), "parquet")
    asked = []
    real = pq.ParquetFile.iter_batches

    def spy(self, *args, columns, **more):
        asked.append(columns)
        return real(self, *args, columns=columns, **more)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", spy)
    with open_file(path) as source:
        source.read(["constituents.pt"])
    assert asked == [["constituents.list.element.pt"]]


def test_jets_as_weaver_has_them(tmp_path):
    table = pa.table(
        {
            **{f"jet_{name}": [600.0, 700.0] for name in ("pt", "energy")},
            "jet_eta": [0.0, 0.5],
            "jet_phi": [0.0, 0.5],
            "part_px": [[3.0], [1.0, 2.0]],
            "part_py": [[4.0], [0.0, 0.0]],
            "part_pz": [[0.0], [0.0, 0.0]],
            "part_energy": [[5.0], [1.0, 2.0]],
            "label_QCD": [1, 0],
            "label_Tbqq": [0, 1],
        }
    )
    with open_file(write(tmp_path / "jets.parquet", table, "parquet")) as source:
        assert (source.format, source.classes) == ("jetclass", ["QCD", "Tbqq"])
        jets = source.read()
    assert jets.constituents.pt.to_list() == [[5], [1, 2]]
    assert jets.label.to_list() == [0, 1]


def columns_of(tmp_path, table, kind="parquet"):
    path = write(tmp_path / "table", table, kind)
    file = path.open("rb")
    (found,) = open_tables(str(path), file)
    return found


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_nested_columns_fixed_lists_and_text(tmp_path, kind):
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(20.0)), 4)
    nested = [[[1.0, 2.0], []], [], [[3.0]], [[4.0]], [[], [5.0]]]
    table = pa.table(
        {
            "image": pa.FixedSizeListArray.from_arrays(fixed.slice(1), 2).slice(0, 2),
            "deep": nested[:2],
            "word": pa.array(["b", "c"]).dictionary_encode(),
            "seen": [True, False],
            "half": pa.array(np.array([1, 2], np.float16)),
        }
    )
    with columns_of(tmp_path, table, kind) as found:
        columns = found.columns
        assert columns["image"].shape == (2, 4)
        assert columns["image"].depth == 0
        assert columns["deep"].depth == 2
        assert columns["word"].dtype == "str"
        read = found.read(list(columns), 0, 2)
        assert read["image"].to_list()[1] == [[12, 13, 14, 15], [16, 17, 18, 19]]
        assert read["deep"].to_list() == nested[:2]
        assert read["word"].to_list() == ["b", "c"]
        assert read["seen"].to_list() == [True, False]
        assert read["half"].to_list() == [1, 2]
        assert found.read(["image"], 1, 2)["image"].to_list() == read["image"].to_list()[1:]
        assert found.read(["deep", "word", "image"], 2, 2)["deep"].to_list() == []


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_missing_numbers_are_nan_missing_lists_empty(tmp_path, kind):
    struct = pa.struct({"x": pa.float64()})
    table = pa.table(
        {
            "f": pa.array([1.0, None]),
            "l": pa.array([None, [1.0, None]]),
            "s": pa.array([None, {"x": 2.0}], struct),
            "n": pa.array([1, None]),
        }
    )
    with columns_of(tmp_path, table, kind) as found:
        read = found.read(["f", "l", "s.x"], 0, 2)
        assert np.isnan(read["f"][1])
        assert ak.num(read["l"]).to_list() == [0, 2]
        assert np.isnan(read["l"][1, 1])
        assert np.isnan(read["s.x"][0])
        with pytest.raises(ValueError, match=r"table: column 'n': 1 of 2 values are missing"):
            found.read(["n"], 0, 2)


def test_what_is_no_number_is_left_out_with_a_reason(tmp_path):
    table = pa.table(
        {
            "t": pa.array([1], pa.timestamp("s")),
            "m": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
            "x": [1.0],
        }
    )
    with columns_of(tmp_path, table) as found:
        assert list(found.columns) == ["x"]
        assert "timestamp" in found.skipped["t"]
        assert "map" in found.skipped["m.value"]
        assert found.read(["x"], 0, 1)["x"].to_list() == [1]
        with pytest.raises(ValueError, match="no column 'y'"):
            found.read(["y"], 0, 1)


def test_a_note_of_ours_is_found_and_others_are_not_taken_for_it(tmp_path):
    note = {"fivesigma": 1, "kind": "table", "fields": {"a": "x"}, "lists": [], "classes": []}
    table = pa.table({"x": [1.0]})
    for text, expected in ((json.dumps(note), note), ("[1]", {}), ("{", {})):
        with columns_of(tmp_path, table.replace_schema_metadata({"fivesigma": text})) as found:
            assert found.metadata == expected


def test_memory_of_an_entry_is_known_without_reading(tmp_path):
    table = pa.table({"x": np.zeros(1000), "l": [[1.0, 2.0]] * 1000})
    with columns_of(tmp_path, table) as found:
        assert found.entry_bytes(["x"]) == 8
        assert found.entry_bytes(["l"]) == pytest.approx(24)


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_a_file_that_is_cut_off_is_an_error(tmp_path, kind):
    path = write(tmp_path / "jets", table_of_jets(), kind)
    data = path.read_bytes()
    for part in (10, len(data) // 2, len(data) - 3):
        path.write_bytes(data[:part])
        with pytest.raises(ValueError, match="jets: cannot be read, it is damaged"):
            open_file(path)


def test_damage_in_the_data_is_an_error_of_one_line(tmp_path, jets_format):
    buffer = io.BytesIO()
    pq.write_table(table_of_jets(), buffer, compression="zstd", use_dictionary=False)
    data = bytearray(buffer.getvalue())
    data[40:400] = b"\xff" * 360
    path = tmp_path / "jets.parquet"
    path.write_bytes(data)
    with open_file(path) as source, pytest.raises(ValueError, match="damaged") as caught:
        source.read()
    assert "\n" not in str(caught.value)


def test_feather_of_version_1_is_refused(tmp_path):
    path = tmp_path / "old.feather"
    path.write_bytes(b"FEA1" + bytes(100))
    with pytest.raises(ValueError, match="version 1; write it as version 2 or Parquet"):
        open_file(path)


def test_other_columns_are_no_jets(tmp_path):
    with columns_of(tmp_path, pa.table({"pt": [1.0]})) as found:
        assert shards(found) is None
    with open_file(tmp_path / "table") as source:
        assert source.format == "table"


def test_no_entries(tmp_path, jets_format):
    path = write(tmp_path / "jets", table_of_jets(4).slice(0, 0), "parquet")
    with open_file(path) as source:
        assert source.entries == 0
        assert source.read().constituents.pt.to_list() == []
