"""ATLAS PHYSLITE: MeV become GeV, tracks get momenta, jets the scores of the taggers."""

import awkward as ak
import numpy as np
import pytest
import uproot

from fivesigma.formats import open_file


def columns():
    """Two events, as ATLAS names what is in them."""
    return {
        "EventInfoAuxDyn.runNumber": [300000, 300000],
        "EventInfoAuxDyn.eventNumber": [11, 12],
        "EventInfoAuxDyn.lumiBlock": [1, 2],
        "EventInfoAuxDyn.mcEventWeights": [[2.0, 2.5, 1.5], [3.0, 1.0, 4.0]],
        "AnalysisMuonsAuxDyn.pt": [[40e3, 20e3], []],
        "AnalysisMuonsAuxDyn.eta": [[1.0, -1.0], []],
        "AnalysisMuonsAuxDyn.phi": [[0.5, 2.5], []],
        "AnalysisMuonsAuxDyn.charge": [[1.0, -1.0], []],
        "AnalysisMuonsAuxDyn.ptcone20": [[1e3, 2e3], []],
        "AnalysisJetsAuxDyn.pt": [[90e3], [50e3, 30e3]],
        "AnalysisJetsAuxDyn.eta": [[0.1], [0.2, 0.3]],
        "AnalysisJetsAuxDyn.phi": [[1.0], [2.0, 3.0]],
        "AnalysisJetsAuxDyn.m": [[9e3], [5e3, 3e3]],
        "AnalysisJetsAuxDyn.HadronConeExclTruthLabelID": [[5], [0, 4]],
        "AnalysisJetsAuxDyn.EnergyPerSampling": [[[1e3, 2e3]], [[3e3], []]],
        "AnalysisJetsAuxDyn.btaggingLink.m_persIndex": [[0], [1, 2**32 - 1]],
        "BTagging_AntiKt4EMPFlowAuxDyn.GN2v00_pb": [[0.9], [0.3, 0.1]],
        "InDetTrackParticlesAuxDyn.theta": [[np.pi / 2], [np.pi / 6]],
        "InDetTrackParticlesAuxDyn.phi": [[0.1], [0.2]],
        "InDetTrackParticlesAuxDyn.qOverP": [[-1e-3], [0.5e-3]],
        "InDetTrackParticlesAuxDyn.d0": [[0.01], [-0.02]],
        "InDetTrackParticlesAuxDyn.z0": [[10.0], [-20.0]],
        "InDetTrackParticlesAuxDyn.definingParametersCovMatrixDiag": [[[4.0, 9.0]], [[]]],
        "PrimaryVerticesAuxDyn.x": [[0.1], [0.2]],
        "PrimaryVerticesAuxDyn.y": [[0.1], [0.2]],
        "PrimaryVerticesAuxDyn.z": [[30.0], [-40.0]],
        "TruthElectronsAuxDyn.px": [[3e3], []],
        "TruthElectronsAuxDyn.py": [[4e3], []],
        "TruthElectronsAuxDyn.pz": [[0.0], []],
        "TruthElectronsAuxDyn.e": [[5e3], []],
        "TruthElectronsAuxDyn.m": [[0.511], []],
        "MET_Core_AnalysisMETAuxDyn.name": [["Jet", "Final"], ["Final"]],
        "MET_Core_AnalysisMETAuxDyn.mpx": [[1e3, 6e3], [0.0]],
        "MET_Core_AnalysisMETAuxDyn.mpy": [[1e3, 8e3], [-5e3]],
        "MET_Core_AnalysisMETAuxDyn.sumet": [[9e3, 200e3], [100e3]],
        "AnalysisTrigMatch_HLT_mu4AuxDyn.bits": [[1], []],
    }


def written(path, content):
    with uproot.recreate(path) as file:
        file.mkrntuple("CollectionTree", ak.Array(content))
    return path


@pytest.fixture
def source(tmp_path):
    with open_file(written(tmp_path / "made.root", columns())) as found:
        yield found


@pytest.fixture(scope="module")
def real(real_data):
    with open_file(real_data / "root_files" / "PHYSLITE_example.root") as found:
        yield found


def test_it_is_recognised_and_says_what_it_leaves_out(source):
    assert (source.format, source.kind, source.unit) == ("physlite", "events", "MeV")
    assert any("AnalysisTrigMatch" in note for note in source.notes)
    assert not any("TrigMatch" in field for field in source.fields)


def test_event_numbers_and_weights(source):
    event = source.read(["event"]).event
    assert event.run.tolist() == [300000, 300000]
    assert event.event.tolist() == [11, 12]
    assert event.lumi_block.tolist() == [1, 2]
    assert event.weight.tolist() == [2.0, 3.0]
    assert event.weight_variations.tolist() == [[2.0, 2.5, 1.5], [3.0, 1.0, 4.0]]


def test_energies_are_in_gev_and_muons_have_their_mass(source):
    muons = source.read(["muons"]).muons
    assert muons[0].pt.tolist() == pytest.approx([40, 20])
    assert muons[0].ptcone20.tolist() == pytest.approx([1, 2])
    assert muons[0].mass.tolist() == pytest.approx([0.10566] * 2, abs=1e-5)
    jets = source.read(["jets"]).jets
    assert jets.mass.tolist() == [[9], [5, 3]]
    assert jets.EnergyPerSampling.tolist() == [[[1, 2]], [[3], []]]
    assert jets.HadronConeExclTruthLabelID.tolist() == [[5], [0, 4]]


def test_a_unit_can_be_given(tmp_path):
    path = written(tmp_path / "gev.root", columns())
    with open_file(path, unit="GeV") as source:
        assert source.read(["jets.pt"]).jets.pt[0, 0] == 90e3


def test_jets_get_the_scores_that_they_point_to(source):
    scores = source.read(["jets.GN2v00_pb"]).jets.GN2v00_pb
    assert ak.to_numpy(ak.flatten(scores)) == pytest.approx([0.9, 0.1, np.nan], nan_ok=True)


def test_tracks_have_momenta_of_pions(source):
    tracks = ak.flatten(source.read(["tracks"]).tracks)
    assert tracks.pt.tolist() == pytest.approx([1.0, 1.0])  # p = 1 GeV across, 2 GeV at 30 degrees
    assert tracks.p.tolist() == pytest.approx([1.0, 2.0])
    assert tracks.eta.tolist() == pytest.approx([0.0, 1.31696], abs=1e-5)
    assert tracks.charge.tolist() == [-1, 1]
    assert tracks.mass.tolist() == pytest.approx([0.13957] * 2, abs=1e-5)
    assert tracks.dz.tolist() == [10.0, -20.0]
    assert tracks.d0_error.tolist() == pytest.approx([2.0, np.nan], nan_ok=True)
    assert tracks.dz_error.tolist() == pytest.approx([3.0, np.nan], nan_ok=True)


def test_truth_keeps_the_mass_of_the_file(source):
    (electron,) = source.read(["TruthElectrons"]).TruthElectrons[0]
    assert (electron.pt, electron.mass) == pytest.approx((5.0, 0.000511))


def test_vertices_are_in_mm(source):
    assert source.read(["vertices"]).vertices.z.tolist() == [[30.0], [-40.0]]


def test_missing_momentum_is_the_final_term(source):
    met = source.read(["met"]).met
    assert met.pt.tolist() == pytest.approx([10.0, 5.0])
    assert met.phi.tolist() == pytest.approx([np.arctan2(8, 6), -np.pi / 2])
    assert met.sumet.tolist() == pytest.approx([200.0, 100.0])


def test_soft_terms_alone_are_not_called_missing_momentum(tmp_path):
    content = columns()
    content["MET_Core_AnalysisMETAuxDyn.name"] = [["SoftClusCore", "PVSoftTrkCore"], ["x"]]
    with open_file(written(tmp_path / "soft.root", content)) as source:
        met = source.read(["met_soft"]).met_soft
        assert met.pt.tolist() == pytest.approx([10.0, np.nan], nan_ok=True)
        assert not any(field.startswith("met.") for field in source.fields)
        assert any("no final missing momentum" in note for note in source.notes)


def test_only_the_columns_that_are_needed_are_read(source, monkeypatch):
    asked, read = [], type(source.table).read
    monkeypatch.setattr(
        type(source.table), "read", lambda self, n, *at: (asked.extend(n), read(self, n, *at))[1]
    )
    source.read(["muons.mass", "tracks.charge"])
    assert sorted(asked) == ["AnalysisMuonsAuxDyn.pt", "InDetTrackParticlesAuxDyn.qOverP"]


def test_lists_of_different_lengths_are_an_error_that_names_them(tmp_path):
    content = columns() | {"AnalysisMuonsAuxDyn.quality": [[1], []]}
    with open_file(written(tmp_path / "odd.root", content)) as source:
        assert len(source.read(["muons.pt"])) == 2
        with pytest.raises(ValueError, match=r"odd\.root: 'quality' and 'pt' have lists of diff"):
            source.read(["muons"])


def test_other_trees_are_not_taken_for_it(tmp_path):
    content = {"muon_pt": [[1.0]], "EventInfo.x": [1.0]}
    with open_file(written(tmp_path / "other.root", content)) as source:
        assert source.format != "physlite"


def test_real_events(real):
    assert real.entries == 100
    events = real.read(["jets.pt", "electrons", "muons.pt", "tracks", "event.event", "met_soft"])
    counts = {name: ak.sum(ak.num(events[name])) for name in ("jets", "muons")}
    assert counts == {"jets": 881, "muons": 5}
    assert events.event.event[0] == 7608691
    assert 20 < ak.mean(events.jets.pt) < 100
    assert 0.4 < np.median(ak.to_numpy(ak.flatten(events.tracks.pt))) < 5
    good = events.electrons[events.electrons.DFCommonElectronsLHLoose == 1]
    two = good[ak.num(good) == 2]
    mass = ak.to_numpy((two[:, 0] + two[:, 1]).mass)
    assert np.median(mass) == pytest.approx(90.0, abs=2.0)  # Z -> ee


def test_real_jets_of_b_quarks_have_the_higher_scores(real):
    fields = ["jets.HadronConeExclTruthLabelID", "jets.GN2v00_pb", "jets.GN2v00_pu"]
    jets = ak.flatten(real.read(fields).jets)
    bottom = jets[jets.HadronConeExclTruthLabelID == 5]
    light = jets[jets.HadronConeExclTruthLabelID == 0]
    assert ak.mean(bottom.GN2v00_pb) > 3 * ak.mean(light.GN2v00_pb)


def test_real_events_in_steps_equal_the_whole(real):
    fields = ["muons.mass", "tracks.d0_error", "jets.GN2v00_pb", "met_soft"]
    parts = ak.concatenate(list(real.iterate(fields, step=33)))
    assert ak.array_equal(parts, real.read(fields), equal_nan=True)
