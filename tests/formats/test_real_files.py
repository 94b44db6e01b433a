"""Every file of the real data is recognised by its content, read, and counted."""

import shutil

import awkward as ak
import numpy as np
import pytest

from fivesigma.expressions import parse
from fivesigma.formats import FORMATS, open_file, read
from fivesigma.formats.containers.root import read_histograms

#: file -> format, kind, entries
FILES = {
    "root_files/uproot-HZZ.root": ("objects", "events", 2421),
    "root_files/uproot-HZZ-objects.root": ("objects", "events", 2421),
    "root_files/uproot-Zmumu.root": ("objects", "events", 2304),
    "root_files/nanoAOD_2015_CMS_Open_Data_ttbar.root": ("nanoaod", "events", 200),
    "root_files/uproot-issue513.root": ("delphes", "events", 10),
    "root_files/nano_tt_v15.root": ("pfnano", "events", 200),
    "root_files/nano_tt_v12.root": ("nanoaod", "events", 200),
    "root_files/nano_dy.root": ("nanoaod", "events", 40),
    "root_files/pfnano.root": ("pfnano", "events", 10),
    "root_files/PHYSLITE_example.root": ("physlite", "events", 100),
    "cms_dimuon/Run2012BC_DoubleMuParked_100k.root": ("nanoaod", "events", 100_000),
    "cms_z/Zmumu_Run2011A.csv": ("objects", "events", 10_583),
    "cms_z/Zee_Run2011A.csv": ("objects", "events", 18_885),
    "cms_higgs4l/events/2e2mu_2011.csv": ("objects", "events", 13),
    "cms_higgs4l/events/2e2mu_2012.csv": ("objects", "events", 104),
    "cms_higgs4l/events/4e_2011.csv": ("objects", "events", 7),
    "cms_higgs4l/events/4e_2012.csv": ("objects", "events", 41),
    "cms_higgs4l/events/4mu_2011.csv": ("objects", "events", 18),
    "cms_higgs4l/events/4mu_2012.csv": ("objects", "events", 95),
    "bumphunter/data.root": ("table", "table", 100_147),
    "jets/top_landscape_1000.npz": ("flat-jets", "jets", 1000),
    "jets/quark_gluon_1000.npz": ("flat-jets", "jets", 1000),
    "jets/jetclass_top_hadronic_100.npz": ("weaver-npz", "jets", 100),
    "jets/jetclass_top_leptonic_100.npz": ("weaver-npz", "jets", 100),
    "jets/jetclass_top_hadronic_kin_100.npz": ("weaver-npz", "jets", 100),
    "jets/jetclass_top_leptonic_kin_100.npz": ("weaver-npz", "jets", 100),
    "lhco_rnd/innerdata_train.npy": ("lhco-windows", "table", 60_000),
    "lhco_rnd/innerdata_val.npy": ("lhco-windows", "table", 60_000),
    "lhco_rnd/innerdata_test.npy": ("lhco-windows", "table", 60_000),
    "lhco_rnd/innerdata_extrasig_train.npy": ("lhco-windows", "table", 27_263),
    "lhco_rnd/innerdata_extrasig_val.npy": ("lhco-windows", "table", 27_264),
    "trackml/detectors.csv.gz": ("trackml-detectors", "hits", 18_728),
    "trackml/event000000001-hits.csv.gz": ("trackml-hits", "hits", 5527),
    "trackml/event000000001-cells.csv.gz": ("trackml-cells", "hits", 18_564),
    "trackml/event000000001-truth.csv.gz": ("trackml-truth", "hits", 5527),
    "trackml/event000000001-particles.csv.gz": ("trackml-particles", "hits", 548),
    "geant4_showers/electrons_1-20GeV.h5": ("calochallenge", "showers", 14_000),
    "geant4_showers/photons_1-20GeV.h5": ("calochallenge", "showers", 10_000),
    "uci_higgs/binary.train": ("table", "table", 7000),
    "uci_higgs/binary.test": ("table", "table", 500),
}


@pytest.mark.parametrize("name", FILES)
def test_recognised_whatever_it_is_called(real_data, tmp_path, name):
    renamed = tmp_path / "data.bin"
    shutil.copy(real_data / name, renamed)
    with open_file(renamed) as source:
        assert (source.format, source.kind, source.entries) == FILES[name]
        some = source.read(stop=5)
        assert len(some) == min(5, source.entries)
    assert FORMATS[FILES[name][0]].kind == FILES[name][1]


def test_every_histogram_of_the_four_lepton_files(real_data):
    files = sorted((real_data / "cms_higgs4l" / "histograms").glob("*.root"))
    assert len(files) == 23
    for path in files:
        assert len(read_histograms(str(path))) == 95
        with pytest.raises(ValueError, match="no tree"):
            open_file(path)
    counts = 0
    for sample, channel in (("DoubleMu", "4mu"), ("DoubleMu", "2mu2e"), ("DoubleE", "4e")):
        for year in ("11", "12"):
            found = read_histograms(str(files[0].with_name(f"{sample}{year}.root")))
            mass = found[f"demo/mass{channel}_8TeV_low"]
            window = (mass.axes[0].centers > 121) & (mass.axes[0].centers < 130)
            counts += mass.values()[window].sum()
    assert counts == 12  # the reference answer


def test_dimuons_in_three_windows(real_data):
    events = read(real_data / "cms_dimuon" / "Run2012BC_DoubleMuParked_100k.root")
    pair = parse("count(muons) == 2 and muons[0].charge * muons[1].charge < 0")
    events = events[ak.fill_none(pair(events), False)]
    assert len(events) == 37_183
    # the reference counts are those of massless muons
    massless = parse(
        "sqrt(2 * muons[0].pt * muons[1].pt * (cosh(muons[0].eta - muons[1].eta)"
        " - cos(muons[0].phi - muons[1].phi)))"
    )
    mass = np.asarray(ak.drop_none(massless(events)))
    counts = [np.sum((mass > low) & (mass < high)) for low, high in ((2.9, 3.3), (9, 10.6))]
    assert [*counts, np.sum((mass > 80) & (mass < 100))] == [3623, 1135, 6864]
    full = np.asarray(ak.drop_none(parse("(muons[0] + muons[1]).mass")(events)))
    assert np.sum((full > 2.9) & (full < 3.3)) == pytest.approx(3628, abs=1)  # with its mass


@pytest.mark.parametrize("name", ["Zmumu", "Zee"])
def test_the_z_peak(real_data, name):
    events = read(real_data / "cms_z" / f"{name}_Run2011A.csv")
    mass = np.asarray(ak.drop_none(parse("(objects[0] + objects[1]).mass")(events)))
    counts, edges = np.histogram(mass, np.arange(70, 110, 0.5))
    peak = counts.argmax()
    around = (mass > edges[peak] - 5) & (mass < edges[peak] + 5)
    assert abs(np.median(mass[around]) - 91) < 1
    assert abs(edges[peak] + 0.25 - 91) < 1
