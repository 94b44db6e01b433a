"""ROOT files are known by their content; physics of real NanoAOD, PFNano and plain trees."""

import shutil
from contextlib import ExitStack
from functools import cache

import awkward as ak
import hist
import numpy as np
import pytest
import uproot
from sklearn.metrics import roc_auc_score

from fivesigma.formats import open_file
from fivesigma.formats.containers.root import open_tables, read_histograms
from fivesigma.formats.content import container_of

KINDS = {
    "uproot-HZZ": ("objects", 2421),
    "uproot-HZZ-objects": ("objects", 2421),
    "uproot-Zmumu": ("objects", 2304),
    "nanoAOD_2015_CMS_Open_Data_ttbar": ("nanoaod", 200),
    "nano_tt_v15": ("pfnano", 200),
    "nano_tt_v12": ("nanoaod", 200),
    "nano_dy": ("nanoaod", 40),
    "pfnano": ("pfnano", 10),
    "PHYSLITE_example": ("physlite", 100),
    "uproot-issue513": ("delphes", 10),
}


@pytest.fixture(scope="module")
def roots(real_data):
    return real_data / "root_files"


@pytest.fixture(scope="module")
def opened(roots):
    """Gives a real file, opened once for all tests."""
    with ExitStack() as stack:
        yield cache(lambda name: stack.enter_context(open_file(roots / f"{name}.root")))


@pytest.fixture
def muons(tmp_path):
    """An RNTuple with muons, as NanoAOD names them."""
    path = tmp_path / "muons.root"
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 4, 500)
    lists = {
        name: ak.unflatten(rng.uniform(0.1, 3.0, counts.sum()).astype(np.float32), counts)
        for name in ("Muon_pt", "Muon_eta", "Muon_phi", "Muon_dxy")
    }
    with uproot.recreate(path) as file:
        file.mkrntuple("Events", ak.Array({"nMuon": counts, **lists}))
    return path


@pytest.mark.parametrize("name", KINDS)
def test_real_files_are_recognised_and_counted(opened, name):
    source = opened(name)
    assert (source.format, source.entries) == KINDS[name]
    assert source.kind == "events"


def test_ntuple_reads_like_a_tree(muons, tmp_path):
    with open_file(muons) as source:
        whole = source.read()
    with uproot.recreate(tmp_path / "tree.root") as file:
        columns = uproot.open(muons)["Events"].arrays()
        lists = {name: columns[name] for name in columns.fields if name != "nMuon"}
        types = {"nMuon": "int64", **dict.fromkeys(lists, "var * float32")}
        file.mktree("Events", types)
        file["Events"].extend({"nMuon": columns.nMuon, **lists})
    with open_file(tmp_path / "tree.root") as tree:
        assert ak.almost_equal(tree.read(), whole)
        assert "nMuon_pt" not in tree.table.columns  # uproot's own counters are no data
    assert ak.all(whole.muons.d0 == 10 * uproot.open(muons)["Events"]["Muon_dxy"].array())


def test_reading_in_steps_equals_reading_whole(muons):
    with open_file(muons) as source:
        parts = list(source.iterate(step=37))
        assert max(map(len, parts)) == 37
        assert ak.array_equal(ak.concatenate(parts), source.read())
        small = list(source.iterate(["muons.pt"], step="1 kB"))
        assert len(small) > 5
        assert ak.array_equal(ak.concatenate(small).muons.pt, source.read().muons.pt)


def test_few_fields_read_few_columns(opened, monkeypatch):
    source = opened("nano_dy")
    asked, read = [], type(source.table).read
    monkeypatch.setattr(
        type(source.table), "read", lambda self, n, *at: (asked.extend(n), read(self, n, *at))[1]
    )
    source.read(["muons.pt", "met.phi"])
    assert sorted(asked) == ["MET_phi", "Muon_pt"]


def test_newest_cycle_and_the_tree_with_most_columns_come_first(tmp_path):
    with uproot.recreate(tmp_path / "cycles.root") as file:
        for entries in (3, 5):
            file.mktree("small", {"x": "f8"})
            file["small"].extend({"x": np.arange(float(entries))})
        file.mktree("folder/wide", {name: "f8" for name in "abc"})
        file["folder/wide"].extend({name: np.arange(2.0) for name in "abc"})
    with (tmp_path / "cycles.root").open("rb") as file:
        tables = open_tables("cycles.root", file)
        assert [(t.name, t.entries) for t in tables] == [("folder/wide", 2), ("small", 5)]
    with open_file(tmp_path / "cycles.root", tree="small") as source:
        assert source.entries == 5
    with pytest.raises(ValueError, match="no tree 'Events'; it has folder/wide, small"):
        open_file(tmp_path / "cycles.root", tree="Events")


def test_histograms_keep_contents_variances_and_folders(tmp_path):
    edges = np.array([0.0, 1.0, 3.0])
    made = hist.Hist(hist.axis.Variable(edges), storage=hist.storage.Weight())
    made.fill([0.5, 2.0, 2.5], weight=[2.0, 1.0, 3.0])
    with uproot.recreate(tmp_path / "h.root") as file:
        file["demo/mass"] = made
    found = read_histograms(str(tmp_path / "h.root"))["demo/mass"]
    assert found.values() == pytest.approx([2.0, 4.0])
    assert found.variances() == pytest.approx([4.0, 10.0])
    assert found.axes[0].edges == pytest.approx(edges)


def test_a_renamed_file_is_recognised(muons, tmp_path):
    shutil.copy(muons, tmp_path / "events.csv")
    with open_file(tmp_path / "events.csv") as source:
        assert source.format == "nanoaod"


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9])
def test_a_truncated_file_gives_one_clear_line(roots, tmp_path, share):
    data = (roots / "uproot-HZZ.root").read_bytes()
    path = tmp_path / "cut.root"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match=r"cut\.root: cannot be read, it is damaged") as error:
        open_file(path).read()
    assert "\n" not in str(error.value)


def test_an_empty_file_and_a_root_file_without_trees(tmp_path):
    (tmp_path / "empty.root").write_bytes(b"")
    with (
        (tmp_path / "empty.root").open("rb") as file,
        pytest.raises(ValueError, match="is empty"),
    ):
        container_of("empty.root", file)
    with uproot.recreate(tmp_path / "bare.root") as file:
        file["note"] = "no tree"
    with (tmp_path / "bare.root").open("rb") as file:
        assert open_tables("bare.root", file) == []


def test_an_absent_field_is_answered_with_close_names(muons):
    wrong = pytest.raises(ValueError, match=r"no field 'muons\.ptt'; choose from muons\.pt")
    with open_file(muons) as source, wrong:
        source.read(["muons.ptt"])


def test_vectors_and_plain_columns_of_the_same_events_agree(opened):
    plain = opened("uproot-HZZ").read(["muons"]).muons
    vectors = opened("uproot-HZZ-objects").read(["muons"]).muons
    assert ak.sum(ak.num(plain)) == 3825
    assert ak.all(ak.num(plain) == ak.num(vectors))
    assert np.allclose(ak.flatten(plain.pt), ak.flatten(vectors.pt), rtol=1e-5)


def test_z_mass_of_real_dimuons(opened):
    events = opened("uproot-Zmumu").read(["objects"])
    mass = (events.objects[:, 0] + events.objects[:, 1]).mass
    assert np.median(ak.to_numpy(mass)) == pytest.approx(91.0, abs=1.0)


def test_dimuons_of_real_collisions(real_data):
    path = real_data / "cms_dimuon" / "Run2012BC_DoubleMuParked_100k.root"
    with open_file(path) as source:
        assert source.entries == 100_000
        muons = source.read([f"muons.{name}" for name in ("pt", "eta", "phi", "charge")]).muons
    two = muons[ak.num(muons) == 2]
    two = ak.values_astype(two[ak.sum(two.charge, axis=1) == 0], np.float64)
    first, second = two[:, 0], two[:, 1]
    # of massless muons, as the reference numbers are
    angles = np.cosh(first.eta - second.eta) - np.cos(first.phi - second.phi)
    mass = ak.to_numpy(np.sqrt(2 * first.pt * second.pt * angles))
    assert len(mass) == 37_183
    ranges = [(2.9, 3.3), (9.0, 10.6), (80.0, 100.0)]
    counts = [np.sum((mass > low) & (mass < high)) for low, high in ranges]
    assert counts == [3623, 1135, 6864]


def test_the_highest_cycle_of_a_real_tree(real_data):
    path = real_data / "bumphunter" / "data.root"
    with uproot.open(path) as raw, open_file(path) as source:
        trees = [key for key, kind in raw.classnames().items() if kind == "TTree"]
        assert source.entries == raw[max(trees, key=cycle)].num_entries


def cycle(key):
    return int(key.rsplit(";", 1)[1])


def test_jets_of_nanoaod(opened):
    v15 = opened("nano_tt_v15").read(["jets.pt", "fatjets.constituents.pt"])
    assert ak.sum(ak.num(v15.jets)) == 1636
    assert ak.sum(ak.num(v15.fatjets)) == 64
    assert ak.sum(ak.num(v15.fatjets.constituents, axis=2)) == 2374
    v12 = opened("nano_tt_v12").read(["jets.pt"])
    assert ak.sum(ak.num(v12.jets)) == 1504


def test_constituents_of_pfnano_add_up_to_their_jets(opened):
    fields = ["jets.pt", "jets.rawFactor", "jets.constituents.pt", "jets.constituents.phi"]
    jets = opened("pfnano").read(fields).jets
    parts = jets.constituents
    px, py = (ak.sum(parts.pt * turn(parts.phi), axis=2) for turn in (np.cos, np.sin))
    ratio = ak.flatten(np.hypot(px, py) / (jets.pt * (1 - jets.rawFactor)))
    assert np.mean(abs(ak.to_numpy(ratio) - 1) < 0.05) > 0.95


def test_official_taggers_reach_their_known_auc(opened):
    """B jets against light ones, pT > 30 GeV and |eta| < 2.4."""
    expected = {"btagDeepFlavB": 0.9748, "btagPNetB": 0.9743, "btagUParTAK4B": 0.9790}
    fields = [f"jets.{name}" for name in ("pt", "eta", "hadronFlavour", *expected)]
    jets = ak.flatten(opened("nano_tt_v15").read(fields).jets)
    jets = jets[(jets.pt > 30) & (abs(jets.eta) < 2.4)]
    jets = jets[(jets.hadronFlavour == 5) | (jets.hadronFlavour == 0)]
    truth = ak.to_numpy(jets.hadronFlavour) == 5
    assert (truth.sum(), (~truth).sum()) == (289, 461)
    for name, auc in expected.items():
        assert roc_auc_score(truth, ak.to_numpy(jets[name])) == pytest.approx(auc, abs=1e-4)
