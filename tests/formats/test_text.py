"""Tables in text: every row and value arrives, whatever separates them; damage is named."""

import gzip
import io

import awkward as ak
import numpy as np
import pytest

from fivesigma.formats import open_file
from fivesigma.formats.containers import text as text_module

ROWS = np.random.default_rng(1).normal(size=(500, 3)).round(6)


def written(path, lines):
    path.write_bytes(lines.encode() if isinstance(lines, str) else lines)
    return path


def as_text(rows, delimiter=",", header=None):
    lines = [] if header is None else [delimiter.join(header)]
    lines += [delimiter.join(map(repr, row)) for row in rows.tolist()]
    return "\n".join(lines) + "\n"


def table_of(path, **options):
    with open_file(path, **options) as source:
        return source.read(), source


@pytest.mark.parametrize("delimiter", [",", ";", "\t", " ", "   "])
@pytest.mark.parametrize("header", [None, ["x", "y", "z"]])
@pytest.mark.parametrize("compressed", [False, True])
def test_values_arrive_whatever_separates_them(tmp_path, delimiter, header, compressed):
    content = as_text(ROWS, delimiter, header).encode()
    path = written(tmp_path / "any.name", gzip.compress(content) if compressed else content)
    found, source = table_of(path)
    assert (source.format, source.kind, source.entries) == ("table", "table", 500)
    assert found.fields == (header or ["column_0", "column_1", "column_2"])
    assert np.array_equal(np.stack([found[name] for name in found.fields], axis=1), ROWS)


def test_steps_give_the_same_as_reading_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(text_module, "_BLOCK", 1000)
    path = written(tmp_path / "a.csv", as_text(ROWS, header=["x", "y", "z"]))
    with open_file(path) as source:
        assert len(source.table._blocks) > 10
        whole = source.read()
        assert ak.concatenate(list(source.iterate(step=7))).to_list() == whole.to_list()
        assert np.array_equal(source.read(["z"], 450, 480).z, ROWS[450:480, 2])
        assert np.array_equal(source.read(["y"], 3, 5).y, ROWS[3:5, 1])  # back to the beginning
        assert len(source.read(["y"], 500, 500)) == 0


def test_only_the_columns_asked_for_are_converted(tmp_path):
    path = written(tmp_path / "a.csv", as_text(ROWS, header=["x", "y", "z"]))
    with open_file(path) as source:
        assert set(source.table.read(["y"], 0, 10)) == {"y"}
        assert source.table._cached[1].column_names == ["y"]


def test_a_column_has_one_type_that_holds_all_its_values(tmp_path, monkeypatch):
    monkeypatch.setattr(text_module, "_BLOCK", 64)
    rows = [
        f"{k},{k if k < 60 else k + 0.5},{2**60 + k},{'nan' if k == 50 else k}\n"
        for k in range(90)
    ]
    path = written(tmp_path / "a.csv", "n,x,id,hole\n" + "".join(rows))
    found, _ = table_of(path)
    types = {name: str(found[name].type.content) for name in found.fields}
    assert types == {"n": "int64", "x": "float64", "id": "int64", "hole": "float64"}
    assert found.x[:2].tolist() == [0.0, 1.0]
    assert found.x[-1] == 89.5
    assert found.id[-1] == 2**60 + 89
    assert np.flatnonzero(np.isnan(found.hole)).tolist() == [50]


def test_comments_marks_and_line_ends(tmp_path):
    lines = "\ufeff# made by hand\r\n# pt eta\r\n 1.5  2 \r\n\r\n# later\r\n-inf 3\r\n"
    found, _ = table_of(written(tmp_path / "a.txt", lines))
    assert found.fields == ["pt", "eta"]
    assert found.pt.tolist() == [1.5, -np.inf]
    assert found.eta.tolist() == [2, 3]


def test_numbers_of_columns_are_a_header_and_text_stays_text(tmp_path):
    path = written(tmp_path / "a.csv", ",0,1,2,3\n0,1.5,a,2020-01-01,True\n1,2.5,b,x,False\n")
    found, _ = table_of(path)
    assert found.fields == [f"column_{k}" for k in range(5)]
    assert found.column_2.tolist() == ["a", "b"]
    assert found.column_4.tolist() == [True, False]
    path = written(tmp_path / "b.csv", "x,x,\n1,2,\n3,4,\n")
    found, _ = table_of(path)
    assert found.fields == ["x", "x_1", "column_2"]
    assert found.x_1.tolist() == [2, 4]


def test_a_table_without_rows_is_empty(tmp_path):
    found, source = table_of(written(tmp_path / "a.csv", "pt,eta\n"))
    assert (source.entries, found.fields, len(found)) == (0, ["pt", "eta"], 0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n\n# nothing\n", "no rows"),
        (b"hello world\nthis is no table\n", "without numbers"),
        (b"a,b,c\n1,2,3\n4,5,6\n7,8\n", "row 3 has 2 values, expected 3"),
        (gzip.compress(as_text(ROWS).encode())[:-100], "damaged gzip"),
        (b"x" * (17 * 1024**2), "16 MB"),
        (gzip.compress(b"1" * (20 * 1024**2)), "16 MB"),
        (b"1," * 60_000 + b"1\n", "50000"),
    ],
)
def test_damage_is_named_in_one_line(tmp_path, content, said):
    path = written(tmp_path / "bad.csv", content)
    with pytest.raises(ValueError, match=said) as caught:
        open_file(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_field_that_is_not_there_is_named_with_the_closest(tmp_path):
    path = written(tmp_path / "a.csv", "muon_energy,b\n1,2\n")
    with open_file(path) as source:
        with pytest.raises(ValueError, match="muon_energy"):
            source.read(["muon_energie"])
        with pytest.raises(ValueError, match="no column 'c'"):
            source.table.read(["c"], 0, 1)


def test_files_that_are_only_streams_of_pieces(tmp_path):
    class Slow(io.BytesIO):
        """Gives less than is asked for, as the network does."""

        def read(self, size=-1):
            return super().read(min(size, 100) if size >= 0 else 100)

    (table,) = text_module.open_tables("far.csv", Slow(as_text(ROWS).encode()))
    assert np.array_equal(table.read(["column_1"], 0, 500)["column_1"], ROWS[:, 1])


@pytest.mark.parametrize(("name", "entries"), [("Zmumu", 10583), ("Zee", 18885)])
def test_the_z_peak(real_data, name, entries):
    with open_file(real_data / "cms_z" / f"{name}_Run2011A.csv") as source:
        assert (source.format, source.unit, source.entries) == ("objects", "GeV", entries)
        leptons = source.read(["objects.pt", "objects.eta", "objects.phi", "objects.mass"]).objects
    mass = np.asarray((leptons[:, 0] + leptons[:, 1]).mass)
    assert np.median(mass[(mass > 80) & (mass < 100)]) == pytest.approx(91, abs=1)


def test_four_lepton_masses_are_those_of_the_file(real_data):
    files = sorted((real_data / "cms_higgs4l" / "events").glob("*.csv"))
    entries = 0
    for path in files:
        events, source = table_of(path)
        entries += source.entries
        four = ak.sum(events.objects, axis=1)
        assert ak.all(ak.num(events.objects) == 4)
        assert np.allclose(four.mass, events.event.M, rtol=2e-3)
    assert entries == 278


@pytest.mark.parametrize(("name", "entries"), [("train", 7000), ("test", 500)])
def test_uci_higgs_without_a_header(real_data, name, entries):
    rows, source = table_of(real_data / "uci_higgs" / f"binary.{name}")
    assert source.entries == entries
    assert rows.fields == [f"column_{k}" for k in range(29)]
    assert set(np.unique(rows.column_0)) == {0, 1}
