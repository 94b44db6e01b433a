"""Les Houches events and HepMC: physics, weights, units, streams that end too early."""

import gzip
import io

import awkward as ak
import numpy as np
import pytest

from fivesigma.formats import open_file
from fivesigma.formats.containers.generators import hepmc, lhe, open_tables
from fivesigma.formats.source import Source
from fivesigma.units import C_LIGHT

LHE_BEGIN = """<LesHouchesEvents version="3.0">
<header>
<MGProcCard> a < b & c, which is no XML </MGProcCard>
<initrwgt><weightgroup name="scales">
<weight id="1001"> muR=1 </weight>
<weight id="1002"> muR=2 </weight>
</weightgroup></initrwgt>
</header>
<init>
2212 2212 6500.0 6500.0 0 0 247000 247000 -4 1
12.5 0.25 12.5 7
<generator name="x" version="1">x</generator>
</init>
"""
LHE_END = "</LesHouchesEvents>\n"
#: u ubar -> Z -> mu- mu+, the Z moving along the beam
LHE_EVENT = """<event>
5 7 {weight} 91.2 0.0078 0.118
2 -1 0 0 501 0 0.0 0.0 100.0 100.0 0.0 0.0 9.0
-2 -1 0 0 0 501 0.0 0.0 -20.7936 20.7936 0.0 0.0 9.0
23 2 1 2 0 0 0.0 0.0 79.2064 120.7936 91.2 0.0 9.0
13 1 3 3 0 0 30.0 34.342 39.6032 60.3968 0.10566 0.0 -1.0
-13 1 3 3 0 0 -30.0 -34.342 39.6032 60.3968 0.10566 0.0 1.0
# a comment
<rwgt>
<wgt id='1001'> {weight} </wgt>
<wgt id='1002'> 3.5 </wgt>
</rwgt>
</event>
"""
HEPMC3 = """HepMC::Version 3.02.05
HepMC::Asciiv3-START_EVENT_LISTING
W 3
N Default\\|up\\|down
{events}HepMC::Asciiv3-END_EVENT_LISTING

"""
#: p p -> Z (10 mm away) -> mu- mu+; Z and muons in MeV, lengths in cm
HEPMC3_EVENT = """E {number} 2 5
U MEV CM
W 2.0 2.5 1.5
A 0 signal_process_id 221
A 0 alphaQCD 0.118
P 1 0 2212 0 0 6500000 6500000 0 4
P 2 0 2212 0 0 -6500000 6500000 0 4
V -1 0 [1,2] @ 0.1 0.2 1.0 2.0
P 3 -1 23 3000 4000 0 91300 91150 22
P 4 3 13 3000 45000 0 46000 105.66 1
P 5 3 -13 0 -41000 0 45300 105.66 1
"""
HEPMC2 = """HepMC::Version 2.06.09
HepMC::IO_GenEvent-START_EVENT_LISTING
{events}HepMC::IO_GenEvent-END_EVENT_LISTING
"""
HEPMC2_EVENT = """E {number} -1 91.2 0.118 0.0078 221 0 2 10001 10002 1 5 2 1.5 2.5
N 2 "Default" "scale up"
U GEV MM
V -1 0 1 2 3 4 2 1 0
P 10001 2212 0 0 6500 6500 0 4 0 0 -1 0
P 10002 2212 0 0 -6500 6500 0 4 0 0 -1 0
P 10003 23 3 4 0 91.3 91.15 22 0 0 -2 0
V -2 0 5 6 7 8 0 2 0
P 10004 13 3 45 0 46 0.10566 1 0 0 0 1 1 501
P 10005 -13 0 -41 0 45.3 0.10566 1 0 0 0 0
"""


def source_of(data, layout=None):
    data = data.encode() if isinstance(data, str) else data
    (table,) = open_tables("file", io.BytesIO(data))
    return Source(table, lhe(table) or hepmc(table))


def lhe_text(n=3, end=LHE_END):
    return LHE_BEGIN + "".join(LHE_EVENT.format(weight=i + 1) for i in range(n)) + end


def hepmc3(n=3):
    return HEPMC3.format(events="".join(HEPMC3_EVENT.format(number=10 + i) for i in range(n)))


def hepmc2(n=3):
    return HEPMC2.format(events="".join(HEPMC2_EVENT.format(number=10 + i) for i in range(n)))


TEXTS = {"lhe": lhe_text, "hepmc2": hepmc2, "hepmc3": hepmc3}


def test_les_houches_events():
    with source_of(lhe_text()) as source:
        assert (source.format, source.kind, source.entries, source.unit) == (
            *("lhe", "events", 3, "GeV"),
        )
        events = source.read()
    assert events.event.weight.to_list() == [1, 2, 3]
    assert events.event.event.to_list() == [0, 1, 2]
    assert events.event.process_id.to_list() == [7, 7, 7]
    assert events.event.alpha_qcd[0] == 0.118
    truth = events.truth
    assert truth.pdg_id[0].to_list() == [2, -2, 23, 13, -13]
    assert truth.mother[0].to_list() == [-1, -1, 0, 2, 2]
    assert truth.charge[0].to_list() == pytest.approx([2 / 3, -2 / 3, 0, -1, 1])
    assert truth.mass[0].to_list() == [0, 0, 91.2, 0.10566, 0.10566]
    assert truth.pt[0, 3] == pytest.approx(np.hypot(30, 34.342))
    muons = truth[truth.status == 1]
    assert (muons[:, 0] + muons[:, 1]).mass[0] == pytest.approx(91.2, rel=1e-3)


def test_what_flies_along_the_beam_has_a_finite_eta_and_keeps_its_momentum():
    with source_of(lhe_text(1)) as source:
        truth = source.read(["truth"]).truth
        assert "eta is +-100 where pT is exactly 0" in source.notes[0]
    assert truth.eta[0].to_list()[:3] == [100, -100, 100]
    assert truth.given_pz[0].to_list()[:2] == [100, -20.7936]
    shat = 4 * truth.given_energy[0, 0] * truth.given_energy[0, 1]
    assert np.sqrt(shat) == pytest.approx(91.2, rel=1e-4)


def test_weight_variations_have_the_names_of_the_header():
    with source_of(lhe_text()) as source:
        assert "event.weight_variations: 1001 (muR=1), 1002 (muR=2)" in source.notes
        assert "process 7: 12.5 +- 0.25 pb" in source.notes
        weights = source.read(["event.weight_variations"]).event.weight_variations
    assert weights.to_list() == [[1, 3.5], [2, 3.5], [3, 3.5]]


def test_weights_without_names_of_their_own_take_the_order_of_the_header():
    text = lhe_text(1)
    start, end = text.index("<rwgt>"), text.index("</rwgt>") + 7
    with source_of(f"{text[:start]}<weights> 8.0 9.0 </weights>{text[end:]}") as source:
        assert source.read().event.weight_variations.to_list() == [[8, 9]]


def test_no_variations_no_field():
    start, end = LHE_EVENT.index("<rwgt>"), LHE_EVENT.index("</rwgt>") + 8
    event = (LHE_EVENT[:start] + LHE_EVENT[end:]).format(weight=1)
    with source_of(LHE_BEGIN + event + LHE_END) as source:
        assert "event.weight_variations" not in source.fields


def test_as_pylhe_reads_it(tmp_path):
    pylhe = pytest.importorskip("pylhe")
    events = pylhe.LHEFile.fromstring(lhe_text().replace(" < b & c", ""), generator=False)
    path = tmp_path / "written.lhe.gz"
    events.tofile(str(path))
    with source_of(path.read_bytes()) as source:
        found = source.read()
    given = pylhe.to_awkward(events.events)
    theirs = given.particles
    pairs = ((found.truth.px, theirs.vector.px), (found.truth.spin, theirs.spin))
    for mine, other in (*pairs, (found.truth.mass, theirs.m)):
        assert np.allclose(ak.flatten(mine), ak.flatten(other), atol=1e-9)
    assert found.event.weight_variations.to_list() == [[i + 1, 3.5] for i in range(3)]


@pytest.mark.parametrize("kind", list(TEXTS))
@pytest.mark.parametrize("zipped", [False, True])
def test_steps_forward_and_back_give_what_the_whole_gives(kind, zipped):
    data = TEXTS[kind](11).encode()
    with source_of(gzip.compress(data) if zipped else data) as source:
        assert source.entries == 11
        whole = source.read(["event.event", "truth.pt"])
        parts = list(source.iterate(["event.event", "truth.pt"], step=4))
        assert [len(part) for part in parts] == [4, 4, 3]
        assert ak.concatenate(parts).tolist() == whole.tolist()
        assert source.read(["event.event"], 5, 7).tolist() == whole[["event"]][5:7].tolist()
        assert source.read(["truth.pt"], 1, 2).truth.pt.tolist() == whole.truth.pt[1:2].tolist()
        assert source.read(["truth"], 4, 4).truth.pdg_id.tolist() == []
        assert source.step_entries(["truth"], "1 kB") >= 1


@pytest.mark.parametrize("kind", list(TEXTS))
def test_no_events(kind):
    with source_of(TEXTS[kind](0)) as source:
        assert source.entries == 0
        assert source.read().truth.pt.tolist() == []


def test_hepmc3_has_vertices_in_mm_and_ns_and_energies_in_gev():
    with source_of(hepmc3()) as source:
        assert (source.format, source.kind, source.unit, source.entries) == (
            *("hepmc", "events", "MeV", 3),
        )
        events = source.read()
        assert "event.weight_variations: up, down" in source.notes
    assert events.event.event.to_list() == [10, 11, 12]
    assert events.event.weight.to_list() == [2, 2, 2]
    assert events.event.weight_variations[0].to_list() == [2.5, 1.5]
    assert events.event.process_id[0] == 221
    assert events.event.alpha_qcd[0] == 0.118
    truth = events.truth[0]
    assert truth.mother.to_list() == [-1, -1, 0, 2, 2]
    assert truth.pt.to_list()[2:] == pytest.approx([5, np.hypot(3, 45), 41])
    assert truth.mass.to_list()[2:] == pytest.approx([91.15, 0.10566, 0.10566])
    assert truth.status.to_list() == [4, 4, 22, 1, 1]
    assert truth.vz.to_list() == [0, 0, 10, 10, 10]
    assert truth.vt.to_list()[2:] == pytest.approx([20 / C_LIGHT] * 3)


def test_hepmc2():
    with source_of(hepmc2()) as source:
        assert (source.unit, source.entries) == ("GeV", 3)
        events = source.read()
        assert "event.weight_variations: scale up" in source.notes
    assert events.event.event.to_list() == [10, 11, 12]
    assert events.event.weight.to_list() == [1.5] * 3
    assert events.event.scale.to_list() == [91.2] * 3
    truth = events.truth[0]
    assert truth.pdg_id.to_list() == [2212, 2212, 23, 13, -13]
    assert truth.mother.to_list() == [-1, -1, 0, 2, 2]
    assert truth.vy.to_list() == [0, 0, 2, 6, 6]
    assert truth.pt[2] == 5


@pytest.mark.parametrize("version", ["HepMC2", "HepMC3"])
def test_as_pyhepmc_reads_it(version, tmp_path):
    pyhepmc = pytest.importorskip("pyhepmc")
    rng = np.random.default_rng(3)
    path = tmp_path / "events"
    with pyhepmc.open(str(path), "w", format=version) as file:
        for number in range(5):
            file.write(_tree(pyhepmc, rng, number))
    with source_of(path.read_bytes()) as source:
        found = source.read()
    with pyhepmc.open(str(path)) as file:
        for mine, theirs in zip(found, file, strict=True):
            theirs.set_units(pyhepmc.Units.GEV, pyhepmc.Units.MM)
            particles = theirs.particles
            assert mine.event.event == theirs.event_number
            assert mine.event.weight == theirs.weights[0]
            assert mine.truth.pdg_id.to_list() == [p.pid for p in particles]
            assert np.allclose(mine.truth.pt, [p.momentum.pt() for p in particles], rtol=1e-6)
            assert np.allclose(mine.truth.mass, [p.generated_mass for p in particles], rtol=1e-6)
            first = [min((q.id for q in p.parents), default=0) - 1 for p in particles]
            assert mine.truth.mother.to_list() == first
            born = [p.production_vertex for p in particles]
            vz = [v.position.z if v is not None and v.id else 0 for v in born]
            assert np.allclose(mine.truth.vz, vz, rtol=1e-6)


def _tree(pyhepmc, rng, number):
    """A chain of decays: each vertex takes one particle, gives three, one of which decays."""
    event = pyhepmc.GenEvent(pyhepmc.Units.MEV, pyhepmc.Units.CM)
    event.event_number = number
    mother = pyhepmc.GenParticle((0, 0, 0, 500e3), 25, 2)
    for depth in range(4):
        vertex = pyhepmc.GenVertex(tuple(rng.uniform(0, 9, 4)) if depth != 2 else (0, 0, 0, 0))
        vertex.add_particle_in(mother)
        for pid in (211, -13, 22):
            mother = pyhepmc.GenParticle((*rng.normal(0, 1e4, 3), 1e5), pid, 1)
            mother.generated_mass = float(rng.uniform(0, 100))
            vertex.add_particle_out(mother)
        event.add_vertex(vertex)
    event.weights = [1.25, 0.5]
    return event


@pytest.mark.parametrize("kind", list(TEXTS))
def test_the_events_before_one_that_is_cut_off_are_read(kind):
    data = TEXTS[kind]().encode()
    mark = b"<event>" if kind == "lhe" else b"\nE 12"
    begin = data.rindex(mark)
    with source_of(data[: begin + 60]) as source:
        assert source.entries == 3
        assert (
            source.read(stop=2).event.event.to_list() == source.read(stop=2).event.event.to_list()
        )
        with pytest.raises(ValueError, match=r"file: it is cut off .*2 events .*read\(stop=2\)"):
            source.read()
        parts = source.iterate(step=1)
        assert len([next(parts), next(parts)]) == 2
        with pytest.raises(ValueError, match="cut off"):
            next(parts)
        assert len(source.read(stop=2)) == 2
        assert source.step_entries(None, "1 MB") > 1


@pytest.mark.parametrize("kind", list(TEXTS))
def test_every_cut_is_seen(kind):
    data = TEXTS[kind](2).encode()
    whole = source_of(data).read()
    for stop in range(len(data) * 2 // 3, len(data) - 1, 7):
        try:
            source = source_of(data[:stop])
            found = source.read()
        except ValueError as error:
            assert str(error).count("\n") == 0
        else:
            assert len(found) == 2 or any("events may be missing" in n for n in source.notes)
            part = whole[: len(found)]
            assert ak.array_equal(found, part, equal_nan=True)


def test_gzip_that_ends_too_early_is_seen():
    data = gzip.compress(lhe_text(300).encode(), mtime=0)
    with source_of(data[: len(data) // 2]) as source:
        n = source.entries - 1
        assert 0 < n < 300
        assert len(source.read(["event"], stop=n)) == n
        with pytest.raises(ValueError, match="gzip data are cut off"):
            source.read(["event"])


@pytest.mark.parametrize(
    ("kind", "old", "new", "why"),
    [
        ("lhe", "-13 1 3 3 0 0 -30.0", "-13 1 3 3 0 0 -3x.0", "could not convert"),
        ("lhe", "5 7 2 91.2", "6 7 2 91.2", "5 particles, it claims 6"),
        ("lhe", "5 7 2 91.2", "1e300 7 2 91.2", "5 particles"),
        ("lhe", "<wgt id='1002'>", "<wgt id='new'>", "weights new"),
        ("hepmc3", "E 11 2 5", "E 11 2 2000000000", "claims 2000000000"),
        ("hepmc3", "P 4 3 13", "P 4 9 13", "out of order"),
        ("hepmc3", "P 4 3 13", "P 4 -7 13", "out of order"),
        ("hepmc3", "[1,2]", "[1,7]", "parents that are not there"),
        ("hepmc3", "U MEV CM", "U TEV CM", "expected GEV or MEV"),
        ("hepmc2", "P 10004 13", "X 10004 13", "4 particles, it claims 5"),
        ("hepmc2", "V -2 0", "X -2 0", "vertices are missing"),
        ("hepmc2", "P 10004 13", "P 10004 13000000000000", "32 bits"),
    ],
)
def test_a_damaged_event_is_named_and_can_be_left_out(kind, old, new, why):
    first, second, third = _events(TEXTS[kind](), kind)
    with source_of(first + second.replace(old, new) + third) as source:
        assert source.entries == 3
        with pytest.raises(ValueError, match=rf"file: event 1 is damaged \(.*{why}"):
            source.read()
        assert len(source.read(start=2)) == len(source.read(stop=1)) == 1


def _events(text, kind):
    mark = "<event>" if kind == "lhe" else "\nE "
    at = [i for i in range(len(text)) if text.startswith(mark, i)]
    return text[: at[1]], text[at[1] : at[2]], text[at[2] :]


def test_entities_are_refused():
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>\n'
    with pytest.raises(ValueError, match="refused"):
        source_of(bomb + lhe_text())


def test_a_line_without_end_is_refused():
    bomb = gzip.compress(LHE_BEGIN.encode() + b"<event>\n" + b"1" * 20_000_000)
    with pytest.raises(ValueError, match="a line of more than"):
        source_of(bomb)


def test_an_event_without_end_is_refused(monkeypatch):
    monkeypatch.setattr("fivesigma.formats.containers.eventtext._BLOCK_BYTES", 5000)
    text = lhe_text(1, "") + "<event>\n" + "1 2 3\n" * 2000
    with source_of(text) as source, pytest.raises(ValueError, match="of more than 5000 bytes"):
        source.read()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<LesHouchesEvents>\n</LesHouchesEvents>", "no <init>"),
        (lhe_text(0, LHE_EVENT[:60]), "no event before it"),
        ("HepMC::Version 2\nHepMC::IO_Ascii-START\n", "expected HepMC::Asciiv3"),
    ],
)
def test_files_without_a_whole_event_say_so(text, why):
    with pytest.raises(ValueError, match=why):
        source_of(text)


def test_units_that_the_file_does_not_name_are_noted():
    with source_of(hepmc2().replace("U GEV MM\n", "")) as source:
        assert any("names no units" in note for note in source.notes)
        assert source.read().truth.pt[0, 2] == 5


@pytest.mark.parametrize(
    ("kind", "name"), [("lhe", "lhe"), ("hepmc2", "hepmc"), ("hepmc3", "hepmc")]
)
def test_files_are_known_by_their_content(tmp_path, kind, name):
    path = tmp_path / "named_otherwise.root"
    path.write_bytes(gzip.compress(TEXTS[kind](5).encode()))
    with open_file(path) as source:
        assert (source.format, source.kind, source.entries) == (name, "events", 5)
        assert len(source.read(["truth.pt"])) == 5
