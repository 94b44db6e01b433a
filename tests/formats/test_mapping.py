"""Mappings: unknown columns named by a few lines of YAML, and weaver's data configuration."""

from pathlib import Path

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fivesigma.formats import open_file
from fivesigma.formats.containers.parquet import open_tables
from fivesigma.formats.mappings.mapping import WeaverConfig, mapped, read_weaver
from fivesigma.formats.source import Source
from fivesigma.formats.tables import Column, Table

ROOT = Path(__file__).parents[2]


class Memory(Table):
    """A table of arrays in memory."""

    def __init__(self, arrays):
        super().__init__("data.x")
        self.arrays = {name: ak.Array(each) for name, each in arrays.items()}
        self.columns = {name: self._column(each) for name, each in self.arrays.items()}
        self.asked = []

    @staticmethod
    def _column(array):
        form = array.layout
        if form.is_list and form.parameter("__array__") != "string":
            return Column("float64", 1)
        if form.is_list:
            return Column("str")
        values = np.asarray(array)
        return Column(values.dtype.name, 0, values.shape[1:])

    @property
    def entries(self):
        return len(next(iter(self.arrays.values())))

    def read(self, names, start, stop):
        self.asked.append(list(names))
        return {name: self.arrays[name][start:stop] for name in names}


def source_of(tmp_path, arrays, text):
    path = tmp_path / "mapping.yaml"
    path.write_text(text)
    table = arrays if isinstance(arrays, Table) else Memory(arrays)
    return Source(*mapped([table], path))


JETS = {
    "jpt": [600.0, 700.0],
    "jeta": [0.0, 1.0],
    "jphi": [0.5, -0.5],
    "jm": [80.0, 170.0],
    "cx": [[3.0], [1.0, 2.0]],
    "cy": [[4.0], [0.0, 0.0]],
    "cz": [[0.0], [0.0, 0.0]],
    "ce": [[5.0], [1.0, 3.0]],
    "cq": [[1.0], [-1.0, 0.0]],
    "top": [0, 1],
    "qcd": [1, 0],
}
JETS_YAML = """
kind: jets
fields:
  pt: jpt
  eta: jeta
  phi: jphi
  mass: jm
  constituents: {px: cx, py: cy, pz: cz, energy: ce, charge: cq}
label: {top: top, qcd: qcd}
"""


def test_jets_with_constituents(tmp_path):
    source = source_of(tmp_path, JETS, JETS_YAML)
    assert (source.kind, source.format, source.classes) == ("jets", "mapping", ["top", "qcd"])
    jets = source.read()
    assert jets.label.to_list() == [1, 0]
    assert jets.constituents.pt.to_list() == [[5], [1, 2]]
    assert jets.constituents.mass[1, 1] == pytest.approx(np.sqrt(5))
    assert jets.constituents.charge.to_list() == [[1], [-1, 0]]
    assert jets.energy[0] == pytest.approx(np.hypot(600, 80))


def test_only_the_columns_that_are_needed_are_read(tmp_path):
    table = Memory(JETS)
    source_of(tmp_path, table, JETS_YAML).read(["pt", "constituents.charge"])
    assert sorted(table.asked[0]) == ["cq", "jpt"]


def test_unit_mev(tmp_path):
    jets = source_of(tmp_path, JETS, f"unit: MeV\n{JETS_YAML}").read()
    assert jets.pt.to_list() == pytest.approx([0.6, 0.7])
    assert jets.constituents.pt.to_list() == [[0.005], [0.001, 0.002]]
    assert jets.constituents.charge.to_list() == [[1], [-1, 0]]


def test_events_with_masses_by_hypothesis_and_weight_variations(tmp_path):
    arrays = {
        "mu_pt": [[20.0, 30.0], []],
        "mu_eta": [[0.1, 0.2], []],
        "mu_phi": [[0.1, 0.2], []],
        "j_pt": [[50.0], []],
        "j_eta": [[1.0], []],
        "j_phi": [[1.0], []],
        "w": [1.0, 2.0],
        "up": [1.1, 2.2],
        "down": [0.9, 1.8],
        "met": [10.0, 20.0],
        "met_phi": [0.0, 1.0],
    }
    text = """
fields:
  muons: {pt: mu_pt, eta: mu_eta, phi: mu_phi}
  jets: {pt: j_pt, eta: j_eta, phi: j_phi}
  met: {pt: met, phi: met_phi}
  event: {weight: w}
weights: [up, down]
"""
    source = source_of(tmp_path, arrays, text)
    events = source.read()
    assert source.kind == "events"
    assert events.muons.mass.to_list() == [pytest.approx([0.10566] * 2, rel=1e-4), []]
    assert (events.muons[0, 0] + events.muons[0, 1]).mass > 2 * 0.105
    assert events.jets.mass.to_list() == [[0], []]
    assert source.notes == ["jets: taken as massless, as neither mass nor energy is named"]
    assert events.met.pt.to_list() == [10, 20]
    assert events.event.weight.to_list() == [1, 2]
    assert events.event.weight_variations.to_list() == [[1.1, 0.9], [2.2, 1.8]]


PADDED = {
    "zeros": np.array(
        [[[3, 4, 0, 5], [1, 0, 0, 1], [0, 0, 0, 0]], [[0, 1, 0, 1]] + [[0] * 4] * 2]
    ),
}


@pytest.mark.parametrize("padding", ["zeros", "nan", "-999", "kept"])
def test_a_particle_of_exactly_1_gev_is_no_padding(tmp_path, padding):
    value = {"zeros": 0.0, "nan": np.nan, "-999": -999.0, "kept": 1.0}[padding]
    four = np.array([[[3, 4, 0, 5.0], [1, 0, 0, 1], [0, 0, 0, 1]], [[0, 1, 0, 1]] + [[0] * 4] * 2])
    kept = np.array([[1, 1, 1], [1, 0, 0]])
    four[kept == 0] = value
    arrays = {name: four[..., i] for i, name in enumerate(("x", "y", "z", "e"))}
    arrays |= {"kept": kept, "id": np.array([[0, 1, 2], [3, 9, 9]])}
    text = f"""
kind: jets
fields:
  constituents: {{px: x, py: y, pz: z, energy: e, id: id}}
padding: {padding}
"""
    source = source_of(tmp_path, arrays, text)
    jets = source.read()
    assert jets.constituents.pt.to_list() == [[5, 1, 0], [1]]
    assert jets.constituents.id.to_list() == [[0, 1, 2], [3]]
    with pytest.raises(ValueError, match="add padding: zeros, nan"):
        source_of(tmp_path, arrays, text.replace("padding", "# padding"))


@pytest.mark.parametrize(
    ("column", "label", "classes", "expected"),
    [
        ([5, 4, 0, 7], "flavour", "{b: 5, c: 4, light: 0}", (["b", "c", "light"], [0, 1, 2, -1])),
        (
            [0, 1, 1, 2],
            "flavour",
            "[background, signal]",
            (["background", "signal"], [0, 1, 1, -1]),
        ),
        (["b", "x", "c", "b"], "flavour", "[c, b]", (["c", "b"], [1, -1, 0, 1])),
        (["b", "x", "c", "b"], "flavour", "{bottom: b}", (["bottom"], [0, -1, -1, 0])),
    ],
)
def test_labels_by_value(tmp_path, column, label, classes, expected):
    text = f"kind: table\nfields: {{x: x}}\nlabel: {label}\nclasses: {classes}\n"
    source = source_of(tmp_path, {"flavour": column, "x": [1.0] * 4}, text)
    assert (source.classes, source.read().label.to_list()) == expected


def test_one_hot_labels_that_are_not_one_hot_are_none(tmp_path):
    arrays = {"a": [1, 0, 1, 0], "b": [0, 1, 1, 0]}
    rows = source_of(tmp_path, arrays, "kind: table\nlabel: {x: a, y: b}\n").read()
    assert rows.label.to_list() == [0, 1, -1, -1]


def test_names_for_a_table_without(tmp_path):
    arrays = {"column_0": [1, 0], "column_1": [2.0, 3.0]}
    text = "columns: [label, m_bb]\nlabel: label\nclasses: [background, signal]\n"
    for table in (arrays, {"values": np.array([[1, 2.0], [0, 3.0]])}):
        source = source_of(tmp_path, table, text)
        assert source.kind == "table"
        assert source.read().to_list() == [{"m_bb": 2, "label": 1}, {"m_bb": 3, "label": 0}]
        assert source.read(["m_bb"], 1).to_list() == [{"m_bb": 3}]
    with pytest.raises(ValueError, match="columns: 3 different names for 2 columns"):
        source_of(tmp_path, arrays, "columns: [a, b, c]")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("feilds: {}", "unknown key 'feilds'; did you mean 'fields'?"),
        ("kind: jet\nfields: {pt: jpt}", "kind: 'jet'; choose from events, jets"),
        ("unit: TeV", "unit: 'TeV'; choose from GeV, MeV"),
        ("kind: jets", "no fields; a mapping of kind jets needs them"),
        ("fields: {pt: jp}", "no column 'jp'; close to it: jpt"),
        ("fields: {pt: 3}", "fields: pt: expected the name of a column, got 3"),
        ("fields: [pt]", "fields: expected names and columns"),
        ("fields: {jets: {pt: jpt, q: cq}}", "jets: pt has one value where others have lists"),
        ("label: top", "classes: None; expected what the values of top mean"),
        ("label: {x: cq}", "label: cq; expected one value an entry"),
        ("weights: [top, cq]", "weights: top, cq; expected columns of one value"),
        ("padding: [1]", "padding: .*; expected zeros, nan"),
        ("tree: other", "no tree 'other'; it has Events"),
        ("- a", "expected keys and values, got list"),
        ("a: [", "no YAML"),
        ("a: &x [1]\nb: *x", "line 2: an alias"),
        ("a: !!python/object/apply:os.system [ls]", "no YAML"),
        ("[" * 500_000, "nested in more than 20 levels"),
        ("# " + "x" * 1_000_001, "more than 1000000 bytes"),
    ],
)
def test_errors_say_what_to_mend(tmp_path, text, why):
    table = Memory(JETS)
    table.name = "Events"
    with pytest.raises(ValueError, match=why) as caught:
        source_of(tmp_path, table, text)
    said = str(caught.value)
    assert said.startswith(f"data.x: mapping {tmp_path / 'mapping.yaml'}: ")
    assert "\n" not in said


def test_the_table_that_has_the_columns_is_taken(tmp_path):
    path = tmp_path / "mapping.yaml"
    path.write_text("fields: {x: b}")
    first, second = Memory({"a": [1.0]}), Memory({"b": [2.0]})
    assert mapped([first, second], path)[0] is second


def test_open_file_with_a_mapping(tmp_path):
    data, path = tmp_path / "jets.parquet", tmp_path / "mapping.yaml"
    pq.write_table(pa.table(JETS), data)
    path.write_text(JETS_YAML)
    with open_file(data, mapping=path) as source:
        assert (source.kind, source.entries) == ("jets", 2)
        parts = list(source.iterate(step=1))
        whole = source.read()
        assert ak.concatenate(parts).tolist() == whole.tolist()
    path.write_text("kind: jets\nfields: {pt: jptt}")
    with pytest.raises(ValueError, match="no column 'jptt'; close to it: jpt"):
        open_file(data, mapping=path)
    with pytest.raises(FileNotFoundError):
        open_file(data, mapping=tmp_path / "none.yaml")


WEAVER = """
selection: (jet_pt > 500) & __import__('os').system('false')
new_variables:
  part_mask: ak.ones_like(part_energy)
  part_pt: np.hypot(part_px, part_py)
treename: tree
preprocess: {method: manual}
inputs:
  pf_features:
    length: 128
    vars:
      - [part_pt, 1.7, 0.7]
      - [part_charge, null]
      - part_deta
      - [part_d0, 0, 1, -2, 2, -9]
  pf_vectors:
    vars:
      - [part_px, null]
      - [part_py, null]
      - [part_pz, null]
      - [part_energy, null]
  pf_mask:
    vars: [[part_mask, null]]
labels:
  type: simple
  value: [label_QCD, label_Tbqq]
observers: [jet_pt, jet_eta, jet_phi, jet_mass]
weights:
  use_precomputed_weights: true
  weight_branches: [gen_weight]
"""


def weaver_table():
    lists = {f"part_{n}": [[3.0], [1.0, 2.0]] for n in ("px", "charge", "deta", "d0")}
    zeros = {f"part_{n}": [[0.0], [0.0, 0.0]] for n in ("py", "pz")}
    jets = {f"jet_{n}": [600.0, 1.0] for n in ("pt", "eta", "phi", "mass")}
    labels = {"label_QCD": [0, 1], "label_Tbqq": [1, 0]}
    energy = {"part_energy": [[3.0], [1.0, 2.0]], "gen_weight": [1.0, 2.0]}
    return {**lists, **zeros, **jets, **labels, **energy, "not_named": [1, 2]}


def test_weaver_configuration(tmp_path):
    path = tmp_path / "weaver.yaml"
    path.write_text(WEAVER)
    config = read_weaver(str(path))
    assert isinstance(config, WeaverConfig)
    assert config.treename == "tree"
    assert [tuple(each) for each in config.inputs["pf_features"]] == [
        ("part_pt", 1.7, 0.7, -5, 5, 0),
        ("part_charge", None, 1, -5, 5, 0),
        ("part_deta", None, 1, -5, 5, 0),
        ("part_d0", 0, 1, -2, 2, -9),
    ]
    assert config.labels == ("label_QCD", "label_Tbqq")
    assert config.weights == ("gen_weight",)
    assert config.expressions["part_pt"] == "np.hypot(part_px, part_py)"
    assert "selection" in config.expressions


def test_jets_through_a_weaver_configuration(tmp_path):
    table = Memory(weaver_table())
    table.name = "tree"
    source = source_of(tmp_path, table, WEAVER)
    jets = source.read()
    assert (source.format, source.kind, source.classes) == ("weaver", "jets", ["QCD", "Tbqq"])
    assert jets.label.to_list() == [1, 0]
    assert jets.pt.to_list() == [600, 1]
    assert jets.constituents.pt.to_list() == [[3], [1, 2]]
    assert {"deta", "d0", "charge"} <= set(jets.constituents.fields)
    assert "not_named" not in {name for asked in table.asked for name in asked}
    assert "not applied: part_pt: np.hypot(part_px, part_py)" in source.notes
    del table.columns["part_deta"]
    with pytest.raises(ValueError, match="no column 'part_deta'; close to it"):
        source_of(tmp_path, table, WEAVER)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("[part_pt, 1.7, 0.7]", "[part_pt, 1.7, abc]", "expected a name or"),
        ("[part_pt, 1.7, 0.7]", "{}", "expected a name or"),
        ("vars: [[part_mask, null]]", "length: 3", "pf_mask: expected a list `vars`"),
        ("observers: [jet_pt", "observers: [3", "observers: expected a list of names"),
    ],
)
def test_a_wrong_weaver_configuration_is_an_error(tmp_path, old, new, why):
    with pytest.raises(ValueError, match=why):
        source_of(tmp_path, weaver_table(), WEAVER.replace(old, new))


def test_the_shipped_mapping_reads_uci_higgs(real_data):
    mapping = ROOT / "configs" / "formats" / "uci_higgs.yaml"
    with open_file(real_data / "uci_higgs" / "binary.train", mapping=mapping) as source:
        assert (source.kind, source.entries) == ("table", 7000)
        assert source.classes == ["background", "signal"]
        rows = source.read()
    assert len(rows.fields) == 29
    assert set(np.unique(rows.label)) == {0, 1}
    assert rows.lepton_pT[0] == 0.869
    assert rows.m_wwbb[0] == 0.877
    assert np.mean(rows.m_bb) == pytest.approx(1, abs=0.1)


def test_padded_columns_of_parquet(tmp_path):
    four = np.array([[[1, 0, 0, 1.0], [0, 0, 0, 0]], [[0, 2, 0, 2], [0, 3, 0, 3]]])
    columns = {
        name: pa.FixedSizeListArray.from_arrays(pa.array(four[..., i].ravel()), 2)
        for i, name in enumerate(("x", "y", "z", "e"))
    }
    data, path = tmp_path / "jets.parquet", tmp_path / "mapping.yaml"
    pq.write_table(pa.table(columns), data)
    path.write_text(
        "kind: jets\npadding: zeros\nfields: {constituents: {px: x, py: y, pz: z, energy: e}}\n"
    )
    with data.open("rb") as file:
        source = Source(*mapped(open_tables(str(data), file), path))
        assert source.read().constituents.pt.to_list() == [[1], [2, 3]]
