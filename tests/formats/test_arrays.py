"""NumPy's files: read in slices, never believed, never unpickled; and the jets in them."""

import io
import json
import pickle
import shutil
import tracemalloc
import zipfile

import awkward as ak
import numpy as np
import pytest

from fivesigma.formats import open_file
from fivesigma.formats.containers import npy
from fivesigma.formats.containers.arrays import open_tables
from fivesigma.units import mass

RNG = np.random.default_rng(7)


def auc(score, signal):
    """Area under the ROC curve: how often a signal scores higher, ties count half."""
    high = score[signal][:, np.newaxis]
    low = score[~signal]
    return np.mean((high > low) + 0.5 * (high == low))


def stored(*args, **arrays):
    """A table of an npz file in memory."""
    file = io.BytesIO()
    np.savez_compressed(file, *args, **arrays)
    return open_tables("mem.npz", file)[0]


# --- containers -------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_slices_are_those_of_the_array(tmp_path, order, save):
    given = np.asarray(RNG.normal(size=(50, 3, 4)), order=order)
    save(tmp_path / "a.npz", x=given, n=np.arange(50, dtype=">i4"))
    np.save(tmp_path / "a.npy", given)
    with open_file(tmp_path / "a.npz") as packed, open_file(tmp_path / "a.npy") as single:
        for start, stop in ((0, 50), (10, 20), (40, 50), (5, 6), (0, 0), (50, 50)):
            found = packed.read(["x"], start, stop).x
            assert np.array_equal(found, given[start:stop])
            assert np.array_equal(
                single.read(["values"], start, stop)["values"], given[start:stop]
            )
            assert packed.read(["n"], start, stop).n.tolist() == list(range(start, stop))


def test_all_kinds_of_numbers_and_text(tmp_path):
    half = np.array([1.5, np.inf, np.nan], np.float16)
    table = stored(
        half=half,
        big=np.array([1, 2**64 - 1, 2**63], np.uint64),
        flag=np.array([True, False, True]),
        swapped=np.array([-0.0, 2.5, 3.5], ">f8"),
        text=np.array(["ab", "", "é"]),
        raw=np.array([b"x", b"yz", b""]),
        both=np.array([(1, (2.5, 3)), (4, (5, 6)), (7, (8, 9))], "i4,(2,)f4"),
        complex=np.ones(3, complex),
        long=np.ones(5),
        scalar=np.float64(3),
    )
    found = table.read(list(table.columns), 0, 3)
    assert found["half"].to_numpy().dtype == np.float32
    assert np.array_equal(found["half"], half.astype(np.float32), equal_nan=True)
    assert found["big"].tolist() == [1, 2**64 - 1, 2**63]
    assert np.signbit(found["swapped"].to_numpy()[0])
    assert found["text"].tolist() == ["ab", "", "é"]
    assert found["raw"].tolist() == ["x", "yz", ""]
    assert found["both.f0"].tolist() == [1, 4, 7]
    assert table.columns["both.f1"].shape == (2,)
    assert found["both.f1"].tolist() == [[2.5, 3], [5, 6], [8, 9]]
    assert set(table.skipped) == {"complex", "long", "scalar"}
    assert "5 rows, expected 3" in table.skipped["long"]


def test_structured_npy_has_a_column_a_field(tmp_path):
    rows = np.array([(1, 2.5), (3, 4.5)], [("n", "u1"), ("x", "f8")])
    np.save(tmp_path / "a.npy", rows)
    with open_file(tmp_path / "a.npy") as source:
        assert (source.format, source.entries) == ("table", 2)
        assert source.read().to_list() == [{"n": 1, "x": 2.5}, {"n": 3, "x": 4.5}]


def test_lists_by_counts(monkeypatch):
    monkeypatch.setattr(npy, "_COUNTED", 4)
    counts = RNG.integers(0, 5, 30)
    values = RNG.normal(size=(counts.sum(), 2))
    table = stored(v=values, counts=counts, n=np.arange(30))
    expected = ak.unflatten(values, counts)
    assert (table.columns["v"].depth, table.columns["v"].shape) == (1, (2,))
    for start, stop in ((0, 30), (7, 9), (3, 3), (29, 30), (0, 1)):
        assert table.read(["v"], start, stop)["v"].tolist() == expected[start:stop].tolist()


def test_lists_where_all_have_one_item_or_there_are_none():
    one = stored(v=np.ones((3, 4)), counts=np.ones(3, int))
    assert one.read(["v"], 0, 3)["v"].tolist() == [[[1, 1, 1, 1]]] * 3
    none = stored(v=np.ones((0, 4)), counts=np.zeros(0, int))
    assert (none.entries, len(none.read(["v"], 0, 0)["v"])) == (0, 0)


def test_lists_of_lists_by_names_and_a_note(tmp_path):
    jets = ak.Array([[[1.0, 2.0], []], [], [[3.0]], [[4.0, 5.0, 6.0], [7.0]]])
    arrays = {
        "jets.counts": ak.num(jets),
        "jets.n": ak.flatten(ak.num(jets, axis=2)),
        "jets.constituents.counts": ak.flatten(ak.num(jets, axis=2)),
        "jets.constituents.pt": ak.flatten(jets, axis=None),
        "event.weight": np.arange(4.0),
    }
    note = {
        "fivesigma": 1,
        "kind": "events",
        "fields": {n: n for n in ("jets.n", "jets.constituents.pt", "event.weight")},
        "lists": ["jets", "jets.constituents"],
        "classes": [],
    }
    note_array = np.array(json.dumps(note))
    np.savez(
        tmp_path / "a.npz", fivesigma=note_array, **{k: np.asarray(v) for k, v in arrays.items()}
    )
    with open_file(tmp_path / "a.npz") as source:
        assert (source.format, source.entries) == ("fivesigma", 4)
        assert source.read().jets.constituents.pt.tolist() == jets.tolist()
        assert source.read(start=2, stop=4).jets.constituents.pt.tolist() == jets[2:].tolist()
        assert source.read(["event.weight"], 1, 2).event.weight.tolist() == [1.0]


def test_reading_in_steps_stays_within_them(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((2_000_000, 16), np.float32))  # 128 MB
    with open_file(tmp_path / "a.npz") as source:
        source.read(stop=10)
        tracemalloc.start()
        steps = [float(ak.sum(part.x)) for part in source.iterate(step="2 MB")]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert len(steps) == 64
    assert peak < 30e6


def test_only_the_members_asked_for_are_read(monkeypatch):
    table = stored(x=np.ones(10), y=np.ones(10))
    read = []
    rows = npy.StoredArray.rows
    monkeypatch.setattr(
        npy.StoredArray, "rows", lambda self, *at: read.append(self.path) or rows(self, *at)
    )
    table.read(["y"], 0, 10)
    assert read == ["mem.npz: y"]
    with pytest.raises(ValueError, match="no column 'z'"):
        table.read(["z"], 0, 1)


def header(shape, descr="'<f8'", order="False"):
    """An npy file that claims any shape, with 64 bytes of content."""
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"
    text = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + b"\0" * 64


def whole():
    file = io.BytesIO()
    np.save(file, np.ones((100, 6)))
    return file.getvalue()


def archive(content, method=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        made.writestr("x.npy", content)
    return file.getvalue()


def pickled():
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (whole()[:-5], "truncated"),
        (whole()[:40], "damaged or incomplete"),
        (header((10**15,)), "claims 8000000000000000 bytes"),
        (header((10**15, 0)), "rows without values"),
        (header((10**15,), "'<U0'"), "rows without values"),
        (header((-1, -8)), "damaged"),
        (header((1,), "('<f4', (2,))"), "damaged"),
        (header(()), "single number"),
        (pickled(), "pickled"),
        (archive(pickled()), "pickled"),
        (archive(header((10**15,))), "claims"),
        (archive(header((10**15,)), zipfile.ZIP_BZIP2), "method 12"),
        (archive(whole())[:-30], "damaged zip"),
        (archive(b"hello"), "damaged"),
        (b"", "is empty"),
        (pickle.dumps([1, 2, 3]), "."),
    ],
)
def test_damaged_and_hostile_files_are_refused(tmp_path, content, said):
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=said) as caught:
        open_file(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_member_that_is_damaged_inside_is_noticed(tmp_path):
    content = bytearray(archive(whole(), zipfile.ZIP_STORED))
    content[1000] ^= 1
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with open_file(path) as source, pytest.raises(Exception, match="CRC"):
        source.read()


def test_claimed_sizes_of_members_are_compared_with_the_file(tmp_path):
    content = bytearray(archive(whole()))
    at = content.rindex(b"PK\x01\x02") + 24  # size in the archive's list of members
    content[at : at + 4] = (2**31).to_bytes(4, "little")
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match="more than the file can hold"):
        open_file(tmp_path / "a.npz")


# --- layouts ----------------------------------------------------------------------------------


def energyflow_file(path, jets=40):
    """Jets as EnergyFlow writes them, and the four-vectors of their particles."""
    counts = RNG.integers(1, 12, jets)
    x = np.zeros((jets, counts.max(), 4))
    for jet, count in enumerate(counts):
        x[jet, :count, 0] = RNG.exponential(10, count) + 0.1
        x[jet, :count, 1] = RNG.normal(0.5, 0.2, count)
        x[jet, :count, 2] = RNG.uniform(0, 2 * np.pi, count)
        x[jet, :count, 3] = RNG.choice([22, 211, -211, 130, 2212, 11, -13, 310], count)
    y = RNG.integers(0, 2, jets).astype(float)
    np.savez(path, X=x, y=y)
    return x, y, counts


def test_energyflow_jets(tmp_path):
    x, y, counts = energyflow_file(tmp_path / "QG_jets.npz")
    with open_file(tmp_path / "QG_jets.npz") as source:
        assert (source.format, source.kind, source.entries) == ("energyflow", "jets", 40)
        assert source.classes == ["quark", "gluon"]
        jets = source.read()
        parts = ak.concatenate(list(source.iterate(step=7)))
        assert source.read(["label"]).fields == ["label"]
    assert ak.all(parts.constituents.eta == jets.constituents.eta)
    assert ak.num(jets.constituents).to_list() == counts.tolist()
    assert jets.label.tolist() == (1 - y).tolist()
    first = jets.constituents[0]
    given = x[0, : counts[0]]
    assert np.allclose(first.rapidity, given[:, 1])
    assert np.allclose(np.mod(first.phi, 2 * np.pi), given[:, 2])
    assert first.mass.tolist() == pytest.approx([mass(int(n)) for n in given[:, 3]])
    assert set(ak.flatten(jets.constituents.charge).tolist()) == {-1, 0, 1}
    four = ak.sum(jets.constituents, axis=1)
    assert np.allclose(four.pt, jets.pt, rtol=1e-5)
    assert np.allclose(four.mass, jets.mass, rtol=1e-3)
    assert np.allclose(four.eta, jets.eta, atol=1e-5)


def test_x_and_y_of_something_else_are_no_jets(tmp_path):
    np.savez(tmp_path / "a.npz", X=RNG.normal(size=(10, 5, 4)), y=np.zeros(10))
    with open_file(tmp_path / "a.npz") as source:
        assert source.format == "table"


def test_flat_jets_are_the_sums_of_their_constituents(tmp_path):
    counts = np.array([2, 1, 3])
    p = RNG.normal(size=(6, 3)).astype(np.float32) * 100
    vectors = np.c_[p, np.linalg.norm(p, axis=1) * 1.01].astype(np.float32)
    path = tmp_path / "a.npz"
    np.savez(path, pxpypzE=vectors, counts=counts, label=np.array([1, 0, 1]))
    with open_file(path) as source:
        jets = source.read()
        assert source.table.entries == 3
    assert (source.format, source.kind) == ("flat-jets", "jets")
    assert source.classes == ["signal", "background"]
    assert jets.label.tolist() == [0, 1, 0]
    assert jets.multiplicity.tolist() == [2, 1, 3]
    energy = [vectors[:2, 3].sum(), vectors[2, 3], vectors[3:, 3].sum()]
    assert np.allclose(jets.energy, energy, rtol=1e-5)
    assert np.allclose(ak.flatten(jets.constituents.px), vectors[:, 0], rtol=1e-4, atol=1e-3)
    np.savez(path, pxpypzE=vectors, counts=counts, label=np.array([1, 0, 2]))
    with open_file(path) as source, pytest.raises(ValueError, match="expected 0 and 1"):
        source.read(["label"])


def test_the_mask_decides_and_never_the_values(tmp_path):
    vectors = np.tile(np.array([3.0, 4.0, 0.0, 5.0])[:, np.newaxis], (2, 1, 4))
    vectors[0, :, 1] = 0  # there, though it is zero
    mask = np.array([[[1, 1, 0, 0]], [[1, 1, 1, 0]]])
    path = tmp_path / "a.npz"
    np.savez(path, vectors=vectors, mask=mask, features=RNG.normal(size=(2, 3, 4)), y=[1, 2])
    with open_file(path) as source:
        jets = source.read()
        assert source.format == "weaver-npz"
    assert ak.num(jets.constituents).tolist() == [2, 3]
    assert jets.pt.tolist() == [5, 15]
    assert jets.vy.tolist() == [1, 2]  # y would be a coordinate of the four-vector
    assert "feature_02" in jets.constituents.fields


def test_graphs_in_natural_units(tmp_path):
    hits = np.asfortranarray([[0.03, 0.5, -0.1], [0.07, -1.0, 0.2], [0.1, 0.0, 1.5]], np.float32)
    path = tmp_path / "a.npz"
    np.savez(
        path,
        hits_r_phi_z=hits,
        edge_index=np.array([[0, 1], [1, 2]], np.int32),
        edge_label=np.array([True, False]),
        particle_id=np.array([5, 5, 0]),
    )
    with open_file(path) as source:
        graph = source.read()
        assert (source.format, source.kind, source.entries) == ("trackml-graph", "hits", 1)
        assert source.read(["edges.label"]).edges.fields == ["label"]
    assert graph.hits.r[0].tolist() == pytest.approx([30, 70, 100])
    assert graph.hits.phi[0].tolist() == pytest.approx([np.pi / 2, -np.pi, 0])
    assert graph.hits.z[0].tolist() == pytest.approx([-100, 200, 1500])
    assert (graph.edges.inner[0].tolist(), graph.edges.outer[0].tolist()) == ([0, 1], [1, 2])
    assert graph.edges.label[0].tolist() == [True, False]


def windows(rows=50):
    columns = [
        RNG.uniform(3.3, 3.7, rows),
        RNG.uniform(0, 0.5, rows),
        RNG.uniform(0, 0.5, rows),
        RNG.uniform(0, 1, rows),
        RNG.uniform(0, 1, rows),
        RNG.integers(0, 2, rows),
    ]
    return np.stack(columns, axis=1)


def test_windows_are_told_by_their_values(tmp_path):
    given = windows()
    np.save(tmp_path / "a.npy", given)
    with open_file(tmp_path / "a.npy") as source:
        found = source.read()
        assert (source.format, source.kind) == ("lhco-windows", "table")
        assert source.classes == ["background", "signal"]
    assert np.allclose(found.mjj, given[:, 0] * 1000)
    assert np.array_equal(found.tau21_j2, given[:, 4])
    assert found.label.tolist() == given[:, 5].tolist()
    for column, value in ((0, 0.5), (3, 2.0), (5, 0.5), (1, -1.0)):
        other = given.copy()
        other[3, column] = value
        np.save(tmp_path / "b.npy", other)
        with open_file(tmp_path / "b.npy") as source:
            assert source.format == "table"


# --- real data --------------------------------------------------------------------------------


def test_published_top_jets(real_data, tmp_path):
    renamed = shutil.copy(real_data / "jets" / "top_landscape_1000.npz", tmp_path / "jets.dat")
    with open_file(renamed) as source:
        jets = source.read()
        steps = ak.concatenate(list(source.iterate(["mass", "label"], step="100 kB")))
    assert (source.format, len(jets)) == ("flat-jets", 1000)
    assert np.array_equal(steps.mass, jets.mass)
    top = np.asarray(jets.label) == 0
    assert np.mean(jets.mass[top]) == pytest.approx(176.9, rel=0.03)
    assert np.mean(jets.mass[~top]) == pytest.approx(95.3, rel=0.06)
    assert auc(np.asarray(jets.mass), top) == pytest.approx(0.895, abs=0.002)
    assert auc(-np.abs(np.asarray(jets.mass) - 173), top) == pytest.approx(0.915, abs=0.002)
    assert auc(np.asarray(ak.num(jets.constituents)), top) == pytest.approx(0.702, abs=0.002)
    assert ak.all((jets.pt > 550) & (jets.pt < 650))


def test_published_quark_and_gluon_jets(real_data):
    with open_file(real_data / "jets" / "quark_gluon_1000.npz") as source:
        jets = source.read(["label", "multiplicity", "pt"])
    quark = np.asarray(jets.label) == 0
    assert auc(-np.asarray(jets.multiplicity), quark) == pytest.approx(0.852, abs=0.002)
    assert ak.all((jets.pt > 500) & (jets.pt < 550))


@pytest.mark.parametrize(("name", "features"), [("hadronic", 17), ("leptonic_kin", 7)])
def test_jetclass_inputs(real_data, name, features):
    with open_file(real_data / "jets" / f"jetclass_top_{name}_100.npz") as source:
        jets = source.read()
    assert (source.format, len(jets)) == ("weaver-npz", 100)
    assert sum(each.startswith("feature_") for each in jets.constituents.fields) == features
    assert ak.all(jets.pt > 450)
    # points are distances from the jet's axis
    assert np.median(np.abs(ak.flatten(jets.constituents.deta))) < 0.3
    assert ak.min(ak.num(jets.constituents)) > 0


def test_published_graphs(real_data):
    path = real_data / "trackml" / "graphs_1GeV" / "event000001000_g000.npz"
    with open_file(path) as source:
        graph = source.read()[0]
    assert (len(graph.hits), len(graph.edges)) == (5955, 36900)
    assert 30 < np.min(graph.hits.r) < np.max(graph.hits.r) < 200
    assert np.max(np.abs(graph.hits.phi)) <= np.pi * 1.0001
    # a true edge joins hits of one particle
    inner, outer = (
        graph.hits.particle_id[graph.edges.inner],
        graph.hits.particle_id[graph.edges.outer],
    )
    assert ak.all(inner[graph.edges.label] == outer[graph.edges.label])


@pytest.mark.parametrize(("name", "signal"), [("train", 395), ("val", 369)])
def test_published_windows(real_data, name, signal):
    with open_file(real_data / "lhco_rnd" / f"innerdata_{name}.npy") as source:
        rows = source.read()
    assert (source.format, len(rows), ak.sum(rows.label)) == ("lhco-windows", 60000, signal)
    assert ak.all((rows.mjj > 3299) & (rows.mjj < 3701))
