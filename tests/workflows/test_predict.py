"""Scores for files of any format: jets are found or formed, and the copy keeps what was there."""

import awkward as ak
import numpy as np
import pytest
import uproot

from fivesigma.formats import open_file, read
from fivesigma.reconstruction.jets import JetOptions, cluster
from fivesigma.workflows.predict import predict
from fivesigma.workflows.rawjets import RawJets


@pytest.fixture(scope="module")
def jetclass(tmp_path_factory):
    """Jets in the layout of JetClass, by uproot alone, and their four-vectors."""
    rng = np.random.default_rng(1)
    counts = rng.integers(2, 40, 200)
    row = np.repeat(np.arange(200), counts)
    p = {name: rng.normal(0, 2, len(row)) for name in ("px", "py", "pz")}
    p["px"] += 20
    p["energy"] = np.sqrt(sum(v**2 for v in p.values()) + 0.02)
    total = {name: np.bincount(row, values) for name, values in p.items()}
    pt = np.hypot(total["px"], total["py"])
    jet = {"pt": pt, "eta": np.arcsinh(total["pz"] / pt), "energy": total["energy"]}
    jet["phi"] = np.arctan2(total["py"], total["px"])
    path = tmp_path_factory.mktemp("jetclass") / "jets.root"
    with uproot.recreate(path) as file:
        tree = {f"jet_{name}": values.astype("f4") for name, values in jet.items()}
        part = ak.zip({name: values.astype("f4") for name, values in p.items()})
        file.mktree("tree", tree | {"part": ak.unflatten(part, counts), "label_QCD": pt > 0})
    return path


def test_jetclass_keeps_its_branches_and_gains_scores(runs, jetclass, tmp_path):
    (made,) = predict(runs["pfn"].path, [str(jetclass)], out=tmp_path / "out.root", quiet=True)
    assert (made.jets, made.fields, made.left_out) == (200, ("pfn_top", "pfn_qcd"), ())
    with uproot.open(jetclass) as before, uproot.open(made.path) as after:
        old, new = before["tree"].arrays(), after["tree"].arrays()
    assert set(new.fields) == {*old.fields, "pfn_top", "pfn_qcd"}
    assert all(ak.array_equal(old[name], new[name]) for name in old.fields)
    want = runs["pfn"].predict(read(jetclass))
    np.testing.assert_array_equal(ak.to_numpy(new.pfn_top), want[:, 0])


def test_substructure_is_computed_for_trees(runs, jetclass, tmp_path):
    (made,) = predict(runs["trees"].path, [str(jetclass)], out=tmp_path / "out.root", quiet=True)
    scores = uproot.open(made.path)["tree"]["trees_top"].array()
    assert len(scores) == 200
    assert 0 <= ak.min(scores) < ak.max(scores) <= 1


def test_pfnano_scores_stand_beside_the_fat_jets(runs, real_data, tmp_path):
    path = real_data / "root_files" / "pfnano.root"
    (made,) = predict(runs["pfn"].path, [str(path)], out=tmp_path / "out.root", quiet=True)
    with uproot.open(path) as before, uproot.open(made.path) as after:
        old, new = before["Events"], after["Events"]
        lost = {name for name in old.keys() if name not in new.keys()}  # noqa: SIM118
        for name in ("FatJet_pt", "PFCands_d0", "HLT_PFJet500", "nJet", "event", "LHEPdfWeight"):
            if name in old:  # uproot writes all counters as int32
                assert ak.array_equal(old[name].array(), new[name].array(), dtype_exact=False)
        scores = new["FatJet_pfn_top"].array()
    assert not lost
    fat = read(path, ["fatjets"]).fatjets
    assert ak.array_equal(ak.num(scores), ak.num(fat))
    want = runs["pfn"].predict(ak.flatten(fat))
    np.testing.assert_array_equal(ak.to_numpy(ak.flatten(scores)), want[:, 0])
    with open_file(made.path) as again:
        assert again.format == "pfnano"
        assert "fatjets.pfn_top" in again.fields


def test_particles_are_clustered_where_jets_have_no_constituents(runs, real_data, tmp_path):
    path = real_data / "root_files" / "pfnano.root"
    options = {"jets": "particles", "out": tmp_path / "out.root", "quiet": True}
    (made,) = predict(runs["pfn"].path, [str(path)], **options)
    jets = cluster(read(path, ["particles"]).particles, JetOptions(radius=0.8))
    with uproot.open(made.path) as file:
        tree = file["Events"]
        assert ak.all(tree["ParticleJet_pt"].array() == jets.pt)
        assert ak.all(ak.num(tree["ParticleJet_pfn_top"].array()) == ak.num(jets))


def test_delphes_becomes_parquet_or_what_is_asked_for(runs, real_data, tmp_path):
    path = real_data / "root_files" / "uproot-issue513.root"
    with open_file(path) as source:
        chosen = RawJets.of(runs["pfn"], source)
    assert (chosen.collection, chosen.cluster) == ("jets", None)
    for name in ("out.parquet", "out.h5"):
        (made,) = predict(runs["pfn"].path, [str(path)], out=tmp_path / name, quiet=True)
        found = read(made.path)
        assert ak.array_equal(found.jets.pt, read(path).jets.pt)
        assert ak.all(ak.num(found.jets.pfn_top) == ak.num(found.jets))


def test_what_is_missing_is_named(runs, real_data, jetclass, tmp_path):
    nano = real_data / "root_files" / "nano_tt_v12.root"
    with pytest.raises(ValueError, match="without constituents of jets"):
        predict(runs["pfn"].path, [str(nano)], out=tmp_path / "out.root", quiet=True)
    with pytest.raises(ValueError, match=r"needs jets\.constituents\.eta, .* lacks"):
        predict(runs["pfn"].path, [str(nano)], jets="jets", quiet=True)
    with pytest.raises(ValueError, match="no jets 'jetz'"):
        predict(runs["pfn"].path, [str(nano)], jets="jetz", quiet=True)
    (tmp_path / "out.root").write_text("mine")
    with pytest.raises(FileExistsError, match="--overwrite"):
        predict(runs["pfn"].path, [str(jetclass)], out=tmp_path / "out.root", quiet=True)
    assert (tmp_path / "out.root").read_text() == "mine"


def test_several_files_into_a_folder(runs, jetclass, tmp_path):
    other = tmp_path / "more.root"
    other.write_bytes(jetclass.read_bytes())
    files = [str(jetclass), str(other)]
    made = predict(runs["pfn"].path, files, out=tmp_path / "scored", quiet=True)
    assert [each.path.name for each in made] == ["jets-pfn.root", "more-pfn.root"]
    with pytest.raises(ValueError, match="give a folder"):
        predict(runs["pfn"].path, files, out=tmp_path / "one.root", quiet=True)
