"""Delphes: lists of objects, particle flow as one list, and jets with their constituents."""

import awkward as ak
import numpy as np
import pytest
import uproot

from fivesigma.formats import open_file


def columns():
    """Two events, as Delphes names what is in them; one jet of a track and a photon."""
    branches = {
        "Event": {"Number": [[7], [8]], "Weight": [[0.5], [2.0]]},
        "ScalarHT": {"HT": [[300.0], [200.0]]},
        "MissingET": {"MET": [[40.0], [25.0]], "Eta": [[1.0], [0.0]], "Phi": [[0.5], [-2.0]]},
        "Muon": {
            "PT": [[30.0, 20.0], []],
            "Eta": [[0.1, 0.2], []],
            "Phi": [[1.0, 2.0], []],
            "Charge": [[1, -1], []],
            "T": [[1e-9, 2e-9], []],
        },
        "Jet": {
            "PT": [[50.0], [40.0, 30.0]],
            "Eta": [[0.0], [1.0, 2.0]],
            "Phi": [[0.0], [1.0, 2.0]],
            "Mass": [[5.0], [4.0, 3.0]],
            "T": [[1e-9], [2e-9, 3e-9]],
            "BTag": [[3], [0, 1]],
            "Flavor": [[5], [21, 4]],
            "Constituents.refs": [[[21, 31]], [[41, 99], []]],
        },
        "Particle": {
            "PID": [[6, 5], [21]],
            "Status": [[22, 1], [1]],
            "M1": [[-1, 0], [-1]],
            "PT": [[100.0, 50.0], [10.0]],
            "Eta": [[0.1, 0.2], [0.3]],
            "Phi": [[0.1, 0.2], [0.3]],
            "Mass": [[173.0, 4.7], [0.0]],
            **{name: [[1.0, 2.0], [3.0]] for name in ("E", "Px", "Py", "Pz", "X", "Y", "Z")},
            "T": [[1e-12, 2e-12], [3e-12]],
        },
        "EFlowTrack": {
            "fUniqueID": [[20, 21], [41]],
            "PID": [[321, -11], [13]],
            "Charge": [[1, 1], [-1]],
            "PT": [[25.0, 30.0], [40.0]],
            "Eta": [[0.0, 0.1], [0.2]],
            "Phi": [[0.0, 0.1], [0.2]],
            "D0": [[0.1, 0.2], [0.3]],
            "ErrorDZ": [[0.4, 0.5], [0.6]],
        },
        "EFlowPhoton": {
            "fUniqueID": [[31], []],
            "ET": [[20.0], []],
            "Eta": [[0.5], []],
            "Phi": [[0.1], []],
            "E": [[22.6], []],
        },
        "EFlowNeutralHadron": {
            "fUniqueID": [[32], [43]],
            "ET": [[5.0], [6.0]],
            "Eta": [[0.0], [0.0]],
            "Phi": [[3.0], [3.0]],
            "E": [[5.0], [6.0]],
        },
    }
    found = {}
    for branch, inside in branches.items():
        first = next(iter(inside.values()))
        found[f"{branch}_size"] = [len(each) for each in first]
        found[f"{branch}.fUniqueID"] = [[0] * len(each) for each in first]
        found |= {f"{branch}.{name}": values for name, values in inside.items()}
    return found


def written(path, content):
    with uproot.recreate(path) as file:
        file.mkrntuple("Delphes", ak.Array(content))
    return path


@pytest.fixture
def source(tmp_path):
    with open_file(written(tmp_path / "made.root", columns())) as found:
        yield found


@pytest.fixture(scope="module")
def real(real_data):
    with open_file(real_data / "root_files" / "uproot-issue513.root") as found:
        yield found


def test_it_is_recognised(source):
    assert (source.format, source.kind, source.unit) == ("delphes", "events", "GeV")
    assert not any("fUniqueID" in field or "refs" in field for field in source.fields)


def test_event_and_missing_momentum_are_records(source):
    events = source.read(["event", "met"])
    assert events.event.event.tolist() == [7, 8]
    assert events.event.weight.tolist() == [0.5, 2.0]
    assert events.event.ht.tolist() == [300.0, 200.0]
    assert events.met.tolist() == [
        {"pt": 40.0, "eta": 1.0, "phi": 0.5},
        {"pt": 25.0, "eta": 0.0, "phi": -2.0},
    ]


def test_objects_have_standard_names_and_times_in_ns(source):
    events = source.read(["muons", "jets", "truth"])
    assert events.muons[0].mass.tolist() == pytest.approx([0.10566] * 2, abs=1e-5)
    assert events.jets.time.tolist() == [[1.0], [2.0, 3.0]]
    assert events.jets.BTag.tolist() == [[3], [0, 1]]
    assert events.truth.pdg_id.tolist() == [[6, 5], [21]]
    assert events.truth.mother.tolist() == [[-1, 0], [-1]]
    assert events.truth.vx.tolist() == [[1.0, 2.0], [3.0]]
    assert ak.to_numpy(ak.flatten(events.truth.vt)) == pytest.approx([1e-3, 2e-3, 3e-3])


def test_particle_flow_is_one_list(source):
    particles = source.read(["particles"]).particles
    assert particles.pdg_id.tolist() == [[211, -11, 22, 130], [13, 130]]
    assert particles.charge.tolist() == [[1, 1, 0, 0], [-1, 0]]
    assert particles.pt.tolist() == [[25, 30, 20, 5], [40, 6]]
    expected = [0.13957, 0.000511, 0, 0, 0.10566, 0]
    assert ak.to_numpy(ak.flatten(particles.mass)) == pytest.approx(expected, abs=1e-5)
    assert ak.to_numpy(ak.flatten(particles.d0)) == pytest.approx([0.1, 0.2, 0, 0, 0.3, 0])
    assert "dz" not in particles.fields
    assert "dz_error" in particles.fields


def test_jets_have_the_constituents_that_they_refer_to(source):
    jets = source.read(["jets.pt", "jets.constituents"]).jets
    assert jets.constituents.pdg_id.tolist() == [[[-11, 22]], [[13], []]]
    assert jets.constituents.pt.tolist() == [[[30.0, 20.0]], [[40.0], []]]


def test_events_do_not_share_unique_numbers(source):
    """Number 41 is a muon of the second event alone."""
    assert source.read(["jets.constituents.pt"], 0, 1).jets.constituents.pt.tolist() == [
        [[30, 20]]
    ]
    second = source.read(["jets.constituents.pt"], 1, 2).jets.constituents
    assert second.pt.tolist() == [[[40.0], []]]


def test_without_matching_objects_there_are_no_constituents(tmp_path):
    content = columns() | {"Jet.Constituents.refs": [[[901]], [[902], [903]]]}
    with open_file(written(tmp_path / "alone.root", content)) as source:
        assert not any("constituents" in field for field in source.fields)


def test_jets_of_towers(tmp_path):
    content = {name: each for name, each in columns().items() if not name.startswith("EFlow")}
    tower = {"fUniqueID": [[31], [41]], "ET": [[10.0], [20.0]]}
    tower |= {"Eta": [[0.0], [1.0]], "Phi": [[0.0], [1.0]], "E": [[10.0], [30.9]]}
    content |= {f"Tower.{name}": each for name, each in tower.items()} | {"Tower_size": [1, 1]}
    with open_file(written(tmp_path / "towers.root", content)) as source:
        parts = source.read(["jets.constituents"]).jets.constituents
        assert parts.pt.tolist() == [[[10.0]], [[20.0], []]]
        assert ak.all(parts.mass == 0)


def test_only_the_columns_that_are_needed_are_read(source, monkeypatch):
    asked, read = [], type(source.table).read
    monkeypatch.setattr(
        type(source.table), "read", lambda self, n, *at: (asked.extend(n), read(self, n, *at))[1]
    )
    source.read(["muons.pt", "met.phi"])
    assert sorted(asked) == ["MissingET.Phi", "Muon.PT"]


def test_real_events_are_counted_by_branch(real):
    fields = ["jets.pt", "GenJet.pt", "truth.pt", "particles.pt", "Particle_2.pt"]
    events = real.read(fields)
    counts = {name: int(ak.sum(ak.num(events[name]))) for name in events.fields}
    # the file has a second branch called Particle, of another kind
    assert counts == {
        "jets": 60,
        "GenJet": 66,
        "truth": 22736,
        "particles": 2098,
        "Particle_2": 1535,
    }


def test_real_jets_are_the_sum_of_their_constituents(real):
    events = real.read(["jets", "GenJet"])
    ratio = {name: sum_over_jet(events[name]) for name in ("jets", "GenJet")}
    assert ratio["GenJet"] == pytest.approx(1.0, abs=1e-4)
    # Delphes corrects the scale of jets upwards, by less at large pT
    assert np.median(ratio["jets"]) == pytest.approx(0.94, abs=0.02)
    assert np.all((ratio["jets"] > 0.85) & (ratio["jets"] < 1.0))


def sum_over_jet(jets):
    px, py = (ak.sum(getattr(jets.constituents, name), axis=2) for name in ("px", "py"))
    return ak.to_numpy(ak.flatten(np.hypot(px, py) / jets.pt))


def test_real_subjettiness_falls_with_the_number_of_axes(real):
    jets = ak.flatten(real.read([f"jets.tau{n}" for n in range(1, 6)]).jets)
    for n in range(1, 5):
        assert ak.all(jets[f"tau{n}"] >= jets[f"tau{n + 1}"])


def test_real_events_in_steps_equal_the_whole(real):
    fields = ["jets.pt", "jets.constituents", "particles", "event", "jets.SoftDroppedJet"]
    parts = ak.concatenate(list(real.iterate(fields, step=3)))
    assert ak.array_equal(parts, real.read(fields), equal_nan=True)
