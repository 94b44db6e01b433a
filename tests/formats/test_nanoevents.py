"""NanoEvents are Events: the same as from the file, and only what is asked for is read."""

import warnings

import awkward as ak
import numpy as np
import pytest

from fivesigma.expressions import parse, select
from fivesigma.formats import open_file
from fivesigma.formats.nanoevents import from_nanoevents
from fivesigma.formats.writers import write
from fivesigma.inputs import Inputs
from fivesigma.preparation import build_cache

#: large jets of each event, and for each jet the places of its candidates in the event
MEMBERS = [[[0, 2], [1]], [], [[3, 0, 1]]]


def candidates(counts):
    rng = np.random.default_rng(1)
    total = sum(counts)
    columns = {
        name: rng.uniform(0.1, 2, total).astype(np.float32) for name in ("pt", "eta", "phi")
    }
    columns |= {"mass": np.zeros(total, np.float32), "d0": np.full(total, 0.5, np.float32)}
    columns["pdgId"] = np.resize(np.array([211, -211, 22, -13], np.int32), total)
    return ak.unflatten(ak.zip(columns, with_name="NanoCollection"), counts)


def objects(name, counts):
    total = sum(counts)
    pt = np.arange(10, 10 + total, dtype=np.float32)
    columns = {"pt": pt, "eta": pt / 100, "phi": pt / 50, "mass": pt / 10}
    columns |= {"dxy": pt / 1000, "genPartIdxG": np.arange(total)}
    return ak.unflatten(ak.zip(columns, with_name=name), counts)


@pytest.fixture
def events():
    """Three events as coffea makes them, without coffea's methods."""
    places, jets = ak.Array(MEMBERS), ak.Array([[0, 0, 1], [], [0, 0, 0]])
    table = {"jetIdx": jets, "pFCandsIdx": ak.flatten(places, axis=2)}
    columns = {
        "event": np.array([7, 8, 2**60 + 1], np.uint64),
        "genWeight": np.array([1, -1, 1], np.float32),
        "LHEPdfWeight": ak.Array([[1.0, 2.0], [], [3.0]]),
        "Muon": objects("Muon", [2, 0, 1]),
        "FatJet": objects("FatJet", [2, 0, 1]),
        "PFCands": candidates([3, 1, 4]),
        "FatJetPFCands": ak.zip(table, with_name="NanoCollection"),
        "MET": ak.zip({"pt": np.ones(3, np.float32), "phi": np.zeros(3, np.float32)}),
        "HLT": ak.zip({"IsoMu24": np.array([True, False, True])}),
    }
    return ak.zip(columns, depth_limit=1, with_name="NanoEvents")


def virtual(array, read):
    """The same, each buffer made when it is first used; `read` gets its name then."""
    form, length, buffers = ak.to_buffers(ak.to_packed(array))

    def maker(key):
        def make():
            read.append(key)
            return buffers[key]

        return make

    names = {f"{node}-{part}" for node, part in (key.rsplit("-", 1) for key in buffers)}
    return ak.from_buffers(form, length, {name: maker(name) for name in names})


def test_names_units_and_event_numbers_are_ours(events):
    made = from_nanoevents(events)
    assert {"event", "muons", "fatjets", "particles", "met", "HLT"} <= {*made.fields}
    assert made.event.event.to_list() == [7, 8, 2**60 + 1]
    assert made.event.weight.to_list() == [1, -1, 1]
    assert made.event.LHEPdfWeight.to_list() == [[1, 2], [], [3]]
    assert np.allclose(ak.flatten(made.muons.d0), 10 * ak.flatten(events.Muon.dxy))
    assert ak.array_equal(made.muons.px, made.muons.pt * np.cos(made.muons.phi))
    assert "genPartIdxG" not in made.muons.fields
    assert made.HLT.IsoMu24.to_list() == [True, False, True]


def test_jets_have_the_candidates_that_they_name(events):
    parts = from_nanoevents(events, ["fatjets"]).fatjets.constituents
    expected = [
        [[events.PFCands.pt[i, place] for place in jet] for jet in jets]
        for i, jets in enumerate(MEMBERS)
    ]
    assert parts.pt.to_list() == expected
    assert parts.charge.to_list() == [[[1, 0], [-1]], [], [[1, 1, -1]]]


@pytest.mark.parametrize("kept", [[0, 2], [2], [], slice(1, 3)])
def test_cuts_on_events_before_and_after_agree(events, kept):
    before, after = from_nanoevents(events[kept]), from_nanoevents(events)[kept]
    assert ak.array_equal(before, ak.to_packed(after))


def test_of_virtual_arrays_only_what_is_needed_is_read(events):
    read = []
    lazy = virtual(events, read)
    some = from_nanoevents(lazy, ["muons.pt", "event.event"])
    assert some.muons.pt.to_list() == events.Muon.pt.to_list()
    assert len(set(read)) == 3  # two columns, and where the lists of muons end
    assert ak.array_equal(from_nanoevents(lazy), from_nanoevents(events))


def test_expressions_take_the_names_of_nanoevents(events):
    assert parse("count(Muon.pt > 10) >= 1")(virtual(events, [])).to_list() == [True, False, True]
    assert select(events, "any(FatJet.pt > 11)").event.to_list() == [2**60 + 1]


def test_network_inputs_come_from_their_jets(events):
    jets = ak.flatten(from_nanoevents(virtual(events, []), ["fatjets"]).fatjets)
    cache = build_cache(jets, Inputs())
    assert cache.count.tolist() == [2, 1, 3]
    assert np.isfinite(cache.values).all()


@pytest.mark.parametrize("format", ["root", "rntuple", "hdf5", "npz", "parquet"])
def test_collections_are_written_as_they_are(events, tmp_path, format):
    few = virtual(events, [])[[True, False, True]][["Muon", "FatJet"]]
    write(few, tmp_path / "some", format=format, kind="events")
    with open_file(tmp_path / "some") as source:
        back = source.read()
    assert back.Muon.pt.to_list() == few.Muon.pt.to_list()
    assert back.FatJet.eta.to_list() == few.FatJet.eta.to_list()


def test_what_is_not_nanoevents_gets_one_clear_line(events):
    with pytest.raises(ValueError, match="expected lists of objects such as Muon or Jet with pt"):
        from_nanoevents(events[["event", "MET"]])
    with pytest.raises(ValueError, match=r"no field 'muon\.pt'; choose from muons"):
        from_nanoevents(events, ["muon.pt"])
    with pytest.raises(ValueError, match=r"got 3 \* var \* Muon.*, expected an array of events"):
        from_nanoevents(events.Muon)
    missing = ak.with_field(events, ak.mask(events.Muon, events.Muon.pt > 10), "Muon")
    with pytest.raises(ValueError, match=r"Muon_pt: 1 of 3 values are missing"):
        from_nanoevents(missing, ["muons.pt"])


@pytest.mark.parametrize("mode", ["virtual", "eager"])
def test_events_of_coffea_equal_those_of_the_file(real_data, mode):
    factory = pytest.importorskip("coffea.nanoevents", reason="coffea is not installed")
    path = real_data / "root_files" / "nano_tt_v15.root"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # coffea's, about cross references
        events = factory.NanoEventsFactory.from_root(
            {str(path): "Events"}, schemaclass=factory.NanoAODSchema, mode=mode
        ).events()
        wanted = ["event", "muons", "fatjets.pt", "fatjets.constituents", "met"]
        made = from_nanoevents(events, wanted)
    with open_file(path) as source:
        assert ak.array_equal(made, source.read(wanted))
