"""HDF5: the container, and the published samples that are kept in it."""

import io
import json
import pickle
from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pytest

from fivesigma.formats import open_file
from fivesigma.formats.containers.hdf5 import open_tables
from fivesigma.formats.tables import reading

TOP_NAMES = [f"{part}_{i}" for i in range(200) for part in ("E", "PX", "PY", "PZ")]
TRUTH = ["truthE", "truthPX", "truthPY", "truthPZ"]


def tables_of(path):
    return open_tables(str(path), io.BytesIO(path.read_bytes()))


def fixed_frame(path, values, names=None, key="df"):
    """A frame as pandas stores it with format="fixed"."""
    with h5py.File(path, "w") as file:
        group = file.create_group(key)
        group.attrs["pandas_type"] = np.bytes_("frame")
        group["axis1"] = np.arange(len(values))
        count = values.shape[1]
        items = np.arange(count) if names is None else np.array(names, "S")
        group["axis0"], group["block0_items"] = items, items
        group["block0_values"] = values
    return path


def frame_table(path, floats, names, integers, integer_names, kind=None):
    """A frame as pandas stores it with format="table"."""
    dtype = [
        ("index", "<i8"),
        ("values_block_0", "<f4", (len(names),)),
        ("values_block_1", "<i8", (len(integer_names),)),
    ]
    rows = np.zeros(len(floats), dtype)
    rows["values_block_0"], rows["values_block_1"] = floats, integers
    with h5py.File(path, "w") as file:
        group = file.create_group("table")
        group.attrs["pandas_type"] = np.bytes_("frame_table")
        table = group.create_dataset("table", data=rows, chunks=True, compression="gzip")
        for block, each in enumerate((names, integer_names)):
            pickled = pickle.dumps(list(each), protocol=0) if kind is None else kind
            table.attrs[f"values_block_{block}_kind"] = np.bytes_(pickled)
        index = group.create_group("_i_table").create_group("index")
        index["sorted"] = np.zeros((3, 5))
    return path


def top_floats(particles):
    """(N, 804) numbers of jets of (E, px, py, pz); the truth is ten times the first."""
    floats = np.zeros((len(particles), 804), np.float32)
    for row, each in zip(floats, particles, strict=True):
        row[: 4 * len(each)] = np.ravel(each)
        row[800:] = 10 * np.asarray(each[0])
    return floats


PARTICLES = [
    [(50.0, 30.0, 40.0, 0.0), (1.0, 0.6, 0.0, 0.8)],
    [(13.0, 3.0, 4.0, 12.0)],
    [(1.0, 1.0, 0.0, 0.0), (2.0, 0.0, 2.0, 0.0), (3.0, 0.0, 0.0, 3.0)],
]


def top_file(path, kind=None):
    integers = np.array([[0, 1], [1, 0], [2, 1]])
    return frame_table(
        path, top_floats(PARTICLES), [*TOP_NAMES, *TRUTH], integers, ["ttv", "is_signal_new"], kind
    )


# the container


def test_datasets_of_one_length_make_one_table(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["data/jet/pt"] = np.arange(5, dtype=">f4")
        file["data/jet/flag"] = np.array([True, False, True, True, False])
        file["data/image"] = np.arange(60, dtype="f2").reshape(5, 3, 4)
        file["data/name"] = np.array([b"a", b"b", b"c", b"d", b"e"])
        lists = file.create_dataset("data/lists", (5,), h5py.vlen_dtype(np.dtype("i4")))
        lists[1] = [4, 5]
        file["data/text"] = ["", "one", "zwei", "три", "4"]
        file["other"] = np.arange(2)
        file["one"] = 3.0
    first, second = tables_of(path)
    assert (first.name, first.entries) == ("data", 5)
    assert (second.name, second.entries, list(second.columns)) == ("other", 2, ["other"])
    assert first.columns["jet.pt"] == ("float32", 0, ())
    assert first.columns["image"] == ("float32", 0, (3, 4))
    assert first.columns["lists"] == ("int32", 1, ())
    assert first.columns["name"] == ("str", 0, ())
    assert list(first.skipped) == ["one"]
    got = first.read(list(first.columns), 1, 4)
    assert got["jet.pt"].tolist() == [1, 2, 3]
    assert got["jet.flag"].tolist() == [False, True, True]
    assert got["image"][0, 1].tolist() == [16, 17, 18, 19]
    assert got["name"].tolist() == ["b", "c", "d"]
    assert got["text"].tolist() == ["one", "zwei", "три"]
    assert got["lists"].tolist() == [[4, 5], [], []]
    assert first.texts["data/name"] == ("a", "b", "c", "d", "e")
    empty = first.read(list(first.columns), 2, 2)
    assert [len(each) for each in empty.values()] == [0] * 6
    assert "string" in str(empty["name"].type)
    with pytest.raises(ValueError, match=r"no column 'jet.pz'; close to it: jet.pt"):
        first.read(["jet.pz"], 0, 1)


def test_compound_members_are_columns_and_references_are_skipped(tmp_path):
    path = tmp_path / "x.h5"
    inner = np.dtype([("x", "f4"), ("y", "f4")])
    rows = np.zeros(4, [("pt", "f8"), ("at", inner), ("ref", h5py.ref_dtype), ("n", "i2", (2,))])
    rows["pt"], rows["at"]["y"], rows["n"] = [1, 2, 3, 4], 7, [5, 6]
    with h5py.File(path, "w") as file:
        rows["ref"] = file.ref
        file["hits"] = rows
        file.attrs["fivesigma"] = json.dumps({"kind": "table"})
    (table,) = tables_of(path)
    assert list(table.columns) == ["hits.pt", "hits.at.x", "hits.at.y", "hits.n"]
    assert list(table.skipped) == ["hits.ref"]
    assert table.metadata == {"kind": "table"}
    got = table.read(["hits.at.y", "hits.n"], 0, 3)
    assert got["hits.at.y"].tolist() == [7, 7, 7]
    assert got["hits.n"].tolist() == [[5, 6]] * 3
    assert table.entry_bytes(["hits.at.y", "hits.n"]) == 8


def test_nothing_outside_the_file_is_followed(tmp_path):
    secret, path = tmp_path / "secret.h5", tmp_path / "x.h5"
    with h5py.File(secret, "w") as file:
        file["values"] = np.arange(3)
    (tmp_path / "secret.bin").write_bytes(np.arange(3.0).tobytes())
    source = h5py.VirtualSource(str(secret), "values", shape=(3,))
    with h5py.File(path, "w") as file:
        file["own"] = np.arange(3)
        file["soft"] = h5py.SoftLink("/external/values")
        file["external"] = h5py.ExternalLink(str(secret), "/")
        layout = h5py.VirtualLayout(shape=(3,), dtype="i8")
        layout[:] = source
        file.create_virtual_dataset("virtual", layout)
        raw = [(str(tmp_path / "secret.bin"), 0, 24)]
        file.create_dataset("raw", (3,), "f8", external=raw)
        file["within/itself"] = file["/"]
    (table,) = tables_of(path)
    assert list(table.columns) == ["own"]
    assert set(table.skipped) == {"soft", "external", "virtual", "raw"}


def test_claims_larger_than_the_file_are_not_believed(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("long", (10**15,), "f4", chunks=(1000,))
        file.create_dataset("wide", (3, 10**9), "f4", chunks=(1, 1000))
    with pytest.raises(ValueError, match=r"x\.h5: no dataset .*long: claims 4e\+15 bytes"):
        tables_of(path)


def test_unknown_compression_is_named(tmp_path):
    path = tmp_path / "x.h5"
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_chunk((10,))
    settings.set_filter(250, h5py.h5z.FLAG_OPTIONAL, ())
    with h5py.File(path, "w") as file:
        space = h5py.h5s.create_simple((10,))
        h5py.h5d.create(file.id, b"packed", h5py.h5t.NATIVE_FLOAT, space, settings)
    with pytest.raises(ValueError, match=r"250\), which needs: pip install hdf5plugin"):
        tables_of(path)


@pytest.mark.parametrize("size", [10, 100, 3000])
def test_a_truncated_file_is_one_clear_line(tmp_path, size):
    path = top_file(tmp_path / "x.h5")
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"x\.h5: cannot be read") as caught, reading(str(path)):
        tables_of(path)
    assert "\n" not in str(caught.value)


def test_damaged_values_are_one_clear_line(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        values = np.random.default_rng(0).normal(size=100_000)
        file.create_dataset("x", data=values, chunks=(10_000,), compression="gzip")
    data = path.read_bytes()
    path.write_bytes(data[:200_000] + bytes(1000) + data[201_000:])
    (table,) = tables_of(path)
    assert len(table.read(["x"], 0, 100)["x"]) == 100
    with pytest.raises(ValueError, match=r"x\.h5: cannot be read, it is damaged"):
        table.read(["x"], 0, 100_000)


def test_no_pickle_of_a_frame_is_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    path = top_file(tmp_path / "x.h5", pickle.dumps([Evil()], protocol=0))
    with open_file(path) as source:
        assert source.format == "top-tagging"  # by the published order
        assert "published order" in source.notes[0]
        jets = source.read()
    assert not (tmp_path / "ran").exists()
    with open_file(top_file(tmp_path / "y.h5")) as source:
        assert ak.array_equal(jets, source.read())


# the samples


def test_top_tagging_jets_are_the_sums_of_their_constituents(tmp_path):
    path = top_file(tmp_path / "renamed.txt")
    with open_file(path) as source:
        assert (source.format, source.kind, source.entries) == ("top-tagging", "jets", 3)
        assert (source.unit, source.classes) == ("GeV", ["top", "qcd"])
        jets = source.read()
        steps = ak.concatenate(list(source.iterate(step=2)))
        assert ak.array_equal(steps, jets)
        assert source.read(["label"]).fields == ["label"]
        label = source.layout.only(["label"])
        assert list(label.columns()) == ["is_signal_new"]
        copied = pickle.loads(pickle.dumps(source.layout))  # layouts go to worker processes
        assert copied.names() == source.layout.names()
        assert len(source.read(start=1, stop=1)) == 0
    assert ak.num(jets.constituents).tolist() == [2, 1, 3]  # also the particle of exactly 1 GeV
    assert jets.constituents.pt[0].tolist() == pytest.approx([50, 0.6])
    assert jets.constituents.mass[0].tolist() == pytest.approx([0, 0], abs=1e-3)
    assert jets.pt.tolist() == pytest.approx([np.hypot(30.6, 40), 5, 5**0.5])
    mass2 = 51**2 - 30.6**2 - 40**2 - 0.8**2
    assert jets.mass.tolist() == pytest.approx([mass2**0.5, 0, (36 - 14) ** 0.5], abs=1e-4)
    assert jets.label.tolist() == [0, 1, 0]
    assert jets.split.tolist() == [0, 1, 2]
    assert jets.truth_pt.tolist() == pytest.approx([500, 50, 10])
    assert "Momentum4D" in str(jets.type)


def test_top_tagging_with_a_column_for_each_number(tmp_path):
    path = tmp_path / "x.h5"
    floats = top_floats(PARTICLES)[:, [*range(12), 800, 801, 802, 803]]
    with h5py.File(path, "w") as file:
        for name, values in zip([*TOP_NAMES[:12], *TRUTH], floats.T, strict=True):
            file[name] = values
        file["is_signal_new"] = np.array([1, 0, 1])
    with open_file(path) as source, open_file(top_file(tmp_path / "y.h5")) as other:
        assert source.format == "top-tagging"
        fields = ["pt", "mass", "label", "constituents", "truth_mass"]
        assert ak.array_equal(source.read(fields), other.read(fields))


def test_published_top_jets_have_their_mass(tmp_path, real_data):
    stored = np.load(real_data / "jets" / "top_landscape_1000.npz")
    counts, label = stored["counts"], stored["label"]
    jets = np.split(stored["pxpypzE"][:, [3, 0, 1, 2]], np.cumsum(counts)[:-1])
    integers = np.stack([np.ones_like(label), label], axis=1)
    names = [*TOP_NAMES, *TRUTH], ["ttv", "is_signal_new"]
    path = frame_table(tmp_path / "t.h5", top_floats(jets), names[0], integers, names[1])
    with open_file(path) as source:
        read = source.read()
        assert ak.array_equal(ak.concatenate(list(source.iterate(step="1 MB"))), read)
    assert ak.num(read.constituents).tolist() == counts.tolist()
    means = [float(np.mean(read.mass[read.label == each])) for each in (0, 1)]
    assert means == pytest.approx([176.9, 95.3], rel=0.05)


@pytest.mark.parametrize("labelled", [True, False])
def test_lhco_collisions(tmp_path, labelled):
    values = np.zeros((3, 2101 if labelled else 2100))
    values[0, :6] = [100, 1.5, -2.0, 50, -1.0, 3.0]
    values[2, :3] = [7, 0, 0]
    if labelled:
        values[:, -1] = [1, 0, 0]
    with open_file(fixed_frame(tmp_path / "x.h5", values)) as source:
        assert (source.format, source.kind, source.entries) == ("lhco", "events", 3)
        events = source.read()
        assert source.read(["particles.pt"]).particles.pt.tolist() == [[100, 50], [], [7]]
    assert events.particles.phi.tolist() == [[-2, 3], [], [0]]
    assert events.particles.mass.tolist() == [[0, 0], [], [0]]
    if labelled:
        assert source.classes == ["background", "signal"]
        assert events.event.label.tolist() == [1, 0, 0]
    else:
        assert events.fields == ["particles"]


def test_lhco_features_are_two_jets(tmp_path):
    stems = ("px", "py", "pz", "m", "tau1", "tau2", "tau3")
    names = [f"{stem}j{n}" for n in (1, 2) for stem in stems] + ["label"]
    first, second = [3, 4, 0, 100, 0.5, 0.25, 0.1], [-3, 4, 12, 80, 0.0, 0.0, 0.0]
    values = np.array([[*first, *second, 1], [*first, *np.zeros(7), 0]])
    with open_file(fixed_frame(tmp_path / "x.h5", values, names)) as source:
        assert (source.format, source.kind, source.unit) == ("lhco-features", "events", "GeV")
        events = source.read()
        assert source.read(["jets.mass"]).jets.mass.tolist() == [[100, 80], [100]]
    assert events.jets.pt.tolist() == [[5, 5], [5]]
    assert events.jets.eta[0, 1] == pytest.approx(np.arcsinh(12 / 5))
    assert events.jets.tau21.tolist() == [[0.5, 0], [0.5]]
    assert events.jets.tau3.tolist() == [[0.1, 0], [0.1]]
    assert events.event.label.tolist() == [1, 0]


@pytest.mark.parametrize("typed", [True, False])
def test_jetnet_particles_become_absolute(tmp_path, typed):
    path = tmp_path / "t.hdf5"
    jet = np.array([[1000, 0.5, 170, 2], [800, -1.0, 90, 1]], "f4")
    particles = np.zeros((2, 30, 4), "f4")
    particles[0, :2] = [[0.1, -0.2, 0.6, 1], [-0.3, 0.1, 0.4, 1]]
    particles[1, 0] = [0.0, 0.0, 1.0, 1]
    particles[1, 1] = [0.4, 0.3, 0.2, 0]
    with h5py.File(path, "w") as file:
        file["jet_features"] = np.column_stack([[2, 0], jet]) if typed else jet
        file["particle_features"] = particles
    with open_file(path) as source:
        assert (source.format, source.kind, source.unit) == ("jetnet", "jets", "GeV")
        jets = source.read()
        assert source.classes == (["g", "q", "t", "w", "z"] if typed else [])
    assert jets.pt.tolist() == [1000, 800]
    assert jets.mass.tolist() == [170, 90]
    assert jets.phi.tolist() == [0, 0]
    assert jets.multiplicity.tolist() == [2, 1]
    assert ak.flatten(jets.constituents.pt).tolist() == pytest.approx([600, 400, 800])
    assert ak.flatten(jets.constituents.eta).tolist() == pytest.approx([0.6, 0.2, -1.0])
    assert ak.flatten(jets.constituents.phi).tolist() == pytest.approx([-0.2, 0.1, 0.0])
    assert ("label" in jets.fields) is typed
    assert not typed or jets.label.tolist() == [2, 0]


def test_hls4ml_jets(tmp_path):
    of_jet = ["j_ptfrac", "j_pt", "j_eta", "j_mass", "j_tau1_b1"]
    of_jet += ["j_g", "j_q", "j_w", "j_z", "j_t", "j_undef"]
    of_particle = ["px", "py", "pz", "e", "erel", "pt", "ptrel", "eta", "etarel", "etarot"]
    of_particle += ["phi", "phirel", "phirot", "deltaR", "costheta", "costhetarel", "pdgid"]
    of_particle = [f"j1_{name}" for name in of_particle]
    jets = np.zeros((11, 11))  # as many jets as names: both are of length 11
    jets[:, :5] = [0.5, 1000, 0.4, 80, 0.1]
    jets[0, 7] = jets[1, 9] = 1
    particles = np.zeros((11, 100, 16))
    particles[0, 0, [0, 1, 2, 3, 5, 7, 10]] = [3, 4, 12, 13, 5, np.arcsinh(12 / 5), 0.927]
    particles[0, 1, [0, 1, 2, 3, 5, 7, 10]] = [-3, 4, 0, 5, 5, 0, 2.214]
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["jets"], file["jetConstituentList"] = jets, particles
        file["jetImage"] = np.zeros((11, 4, 4))
        file["jetFeatureNames"] = np.array(of_jet, "S")
        file["particleFeatureNames"] = np.array(of_particle, "S")
    with open_file(tmp_path / "x.h5") as source:
        assert (source.format, source.kind, source.entries) == ("hls4ml-jets", "jets", 11)
        read = source.read()
    assert source.classes == ["g", "q", "w", "z", "t"]
    assert read.label.tolist() == [2, 4] + [-1] * 9
    assert (read.pt[0], read.mass[0], read.tau1_b1[0]) == (1000, 80, 0.1)
    assert read.phi[0] == pytest.approx(np.pi / 2)
    assert ak.num(read.constituents).tolist() == [2] + [0] * 10
    assert read.constituents.px[0].tolist() == pytest.approx([3, -3], abs=0.01)
    assert read.constituents.mass[0].tolist() == pytest.approx([0, 0], abs=1e-5)
    assert {"ptrel", "deltaR"} <= set(read.constituents.fields)


def test_atlas_top_jets_are_in_mev(tmp_path):
    clusters = np.zeros((2, 4, 200), "f4")
    clusters[:, 0, :2] = [[3e5, 2e5], [4e5, 0]]
    clusters[:, 1, :2] = [[0.5, 0.4], [1.0, 0]]
    clusters[:, 3] = clusters[:, 0] * np.cosh(clusters[:, 1])
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, values in zip(("pt", "eta", "phi", "E"), clusters.swapaxes(0, 1), strict=True):
            file[f"fjet_clus_{name}"] = values
        for name, value in {"pt": 5e5, "eta": 0.5, "phi": 0.1, "m": 1.7e5, "C2": 0.2}.items():
            file[f"fjet_{name}"] = np.full(2, value, "f4")
        file["labels"], file["weights"] = np.array([1, 0]), np.array([0.5, 2.0])
    with open_file(tmp_path / "x.h5") as source:
        assert (source.format, source.unit, source.classes) == ("atlas-top", "MeV", ["top", "qcd"])
        jets = source.read()
        assert ak.array_equal(ak.concatenate(list(source.iterate(step=1))), jets)
        assert len(source.read(start=2)) == 0
    assert jets.pt.tolist() == pytest.approx([500, 500])
    assert jets.mass.tolist() == pytest.approx([170, 170])
    assert jets.label.tolist() == [0, 1]
    assert jets.weight.tolist() == [0.5, 2]
    assert jets.C2[0] == pytest.approx(0.2)
    assert ak.flatten(jets.constituents.pt).tolist() == pytest.approx([300, 200, 400])
    assert ak.max(jets.constituents.mass) < 1


def structured_file(path, classes=None, momentum=True):
    jets = np.zeros(3, [("pt_btagJes", "f4"), ("eta_btagJes", "f4"), ("flavour_label", "i4")])
    jets = np.zeros(3, [*jets.dtype.descr, ("HadronConeExclTruthLabelID", "i4")])
    jets["pt_btagJes"], jets["flavour_label"] = [20e3, 40e3, 90e3], [0, 2, 1]
    jets["HadronConeExclTruthLabelID"] = [5, 0, 15]
    polar = [("pt", "f2"), ("eta", "f2"), ("phi", "f2")] if momentum else []
    tracks = np.zeros((3, 40), [("d0", "f4"), ("qOverP", "f4"), *polar, ("valid", "?")])
    tracks["valid"][0, :2] = tracks["valid"][2, :1] = True
    tracks["d0"] = 0.5
    tracks["qOverP"][0, :2] = [1e-4, -1e-4]
    if momentum:
        tracks["pt"] = 5e3
    with h5py.File(path, "w") as file:
        file.create_dataset("jets", data=jets, compression="lzf")
        file.create_dataset("tracks", data=tracks, compression="lzf")
        if classes:
            file["jets"].attrs["flavour_label"] = classes
    return path


def test_structured_jets_with_tracks(tmp_path):
    with open_file(structured_file(tmp_path / "x.h5")) as source:
        assert (source.format, source.kind, source.unit) == ("structured", "jets", "MeV")
        assert source.classes == ["b", "c", "light", "tau"]
        jets = source.read()
    assert jets.pt.tolist() == pytest.approx([20, 40, 90])
    assert jets.label.tolist() == [0, 2, 3]
    assert ak.num(jets.constituents).tolist() == [2, 0, 1]
    assert jets.constituents.pt[0].tolist() == [5, 5]
    assert jets.constituents.charge[0].tolist() == [1, -1]
    assert jets.constituents.mass[0, 0] == pytest.approx(0.1396, abs=1e-3)  # tracks are pions
    assert "valid" not in jets.constituents.fields


def test_structured_classes_of_the_file_and_tracks_without_momentum(tmp_path):
    path = structured_file(tmp_path / "x.h5", ["bjets", "cjets", "ujets"], momentum=False)
    with open_file(path) as source:
        jets = source.read()
        assert source.classes == ["bjets", "cjets", "ujets"]
    assert jets.label.tolist() == [0, 2, 1]
    assert jets.tracks.d0.tolist() == [[0.5, 0.5], [], [0.5]]


@pytest.mark.parametrize(("name", "count"), [("electrons", 14_000), ("photons", 10_000)])
def test_geant4_showers_respond_as_measured(real_data, name, count):
    path = real_data / "geant4_showers" / f"{name}_1-20GeV.h5"
    with open_file(path) as source:
        assert (source.format, source.kind, source.entries) == ("calochallenge", "showers", count)
        response, energies = [], []
        for showers in source.iterate(step=1700):  # chunks of the file have 500
            energies.append(np.asarray(showers.incident_energy))
            response.append(np.asarray(showers.showers).sum(axis=1) / energies[-1])
        single = source.read(["showers"], 499, 502)
        assert np.array_equal(single.showers, source.read(stop=502).showers[499:])
    energy, found = np.concatenate(energies), np.concatenate(response)
    assert (energy > 1 - 1e-6).all()
    assert (energy < 20 + 1e-6).all()
    if name == "electrons":
        low, high = found[energy < 1.5], found[(energy > 9) & (energy < 11)]
        assert [low.mean(), high.mean()] == pytest.approx([0.966, 0.972], abs=0.002)
        assert [low.std() / low.mean(), high.std() / high.mean()] == pytest.approx(
            [0.117, 0.041], abs=0.004
        )


def test_other_files_are_tables_with_arrays(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["features"], file["mask"] = np.ones((4, 3, 2)), np.ones((4, 3), bool)
    with open_file(tmp_path / "x.h5") as source:
        assert (source.format, source.kind) == ("table", "table")
        assert str(source.read(["mask"])["mask"].type) == "4 * 3 * bool"
