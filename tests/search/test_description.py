"""Descriptions of analyses: what is read, and how mistakes in them are answered."""

import copy
from pathlib import Path

import pytest
import yaml
from helpers.analysis_files import described as toy

from fivesigma.search import (
    Analysis,
    Binning,
    Input,
    Normalisation,
    ObjectVariation,
    Region,
    Sample,
    read_analysis,
)
from fivesigma.search.description import described
from fivesigma.search.samples import expanded

CONFIGS = Path(__file__).parents[2] / "configs"


def read(folder, content):
    path = folder / "analysis.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return read_analysis(path)


def changed(place, value):
    """The toy analysis with another value at a dotted place; None removes it."""
    content = copy.deepcopy(toy("data"))
    *path, last = place.split(".")
    inner = content
    for name in path:
        inner = inner[name]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return content


def test_yaml_becomes_typed_settings(tmp_path):
    analysis = read(tmp_path, toy("data"))
    assert analysis.samples["top"] == Sample(
        inputs=(Input(files=("top.root",), cross_section=0.4),), weight="event.weight"
    )
    assert analysis.systematics["jes"] == ObjectVariation(
        up={"jets.pt": "jets.pt * 1.03"}, down={"jets.pt": "jets.pt * 0.97"}
    )
    assert analysis.simulated == ["qcd", "top", "signal"]
    assert analysis.data == ["data"]
    assert analysis.signal == ("signal",)
    region = analysis.region("SR")
    assert (region.discriminant, region.label, region.axis) == ("event.score", "SR", "Score")
    assert region.binning == Binning(bins=8, range=(0, 1))
    assert [name for name, _ in analysis.shapes("top", "SR")] == ["pileup", "jes", "jer"]


@pytest.mark.parametrize("name", ["cms-higgs-4l", "cms-higgs-4l-channels"])
def test_what_is_written_down_is_the_same_analysis(name, tmp_path):
    analysis = read_analysis(CONFIGS / f"{name}.yaml")
    assert read(tmp_path, described(analysis)) == analysis


def test_the_example_of_the_documentation_is_valid(tmp_path):
    page = (CONFIGS.parent / "docs" / "analysis.md").read_text()
    path = tmp_path / "example.yaml"
    path.write_text(page.split("```yaml\n")[1].split("```")[0])
    analysis = read_analysis(path)
    assert list(analysis.regions) == ["SR", "CR", "VR"]
    assert read(tmp_path, described(analysis)) == analysis


def test_the_same_shape_in_python():
    analysis = Analysis(
        title="counting",
        samples={
            "signal": Sample(kind="signal", inputs=(Input(files=("s.root",)),)),
            "background": Sample(inputs=(Input(files=("b.root",)),)),
        },
        regions={"SR": Region(selection="met.pt > 200")},
        discriminant="met.pt",
        binning=Binning(edges=(200, 300, 500)),
        systematics={"norm": Normalisation(samples=("background",), size=0.1)},
    )
    assert analysis.systematics["norm"].factors == (1.1, 0.9)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("regions.SR.selecton", "True", r"regions\.SR\.selecton: unknown; did you mean selection"),
        ("sample", {}, r"sample: unknown; did you mean samples\?"),
        ("samples.top.fils", "x", r"samples\.top\.inputs\[0\]\.fils: unknown; did you mean files"),
        ("systematics.jes.kind", "objekt", r"systematics\.jes\.kind: 'objekt' .* mean object\?"),
        ("systematics.jes.kind", None, r"systematics\.jes\.kind is missing; choose from normal"),
        ("systematics.jes.upp", {}, r"systematics\.jes\.upp: unknown; did you mean up\?"),
        ("systematics.qcd_norm.samples", "qdc", r"qcd_norm\.samples: no simulated sample 'qdc'; "
         r"did you mean qcd\?"),
        ("systematics.jes.regions", ["Sr"], r"jes\.regions: no region 'Sr'; .*CR|SR"),
        ("samples.top.regions", "SRR", r"samples\.top\.inputs\[0\]\.regions: no region 'SRR'; "),
        ("regions.SR.kind", "sginal", r"regions\.SR\.kind: 'sginal' is unknown; did you"),
        ("regions.SR.selection", "count(jets.pt > 25", r"regions\.SR: .*column"),
        ("selection.two jets", "len(jets) >=", r"selection\.two jets: "),
        ("define.ht", "sum(jets.pt) + later", None),
        ("binning.bins", "many", r"binning\.bins: got 'many', expected a number"),
        ("binning.bins", 2.5, r"binning\.bins: got '2\.5', expected a whole number"),
        ("binning", {"edges": [1, 1, 2]}, r"binning: edges: got \[1\.0, 1\.0, 2\.0\], exp"),
        ("binning", {"bins": 3}, r"binning: bins 3, range \[\]: give both"),
        ("samples.signal.kind", "background", r"samples: none is a signal"),
        ("samples.top.cross_section", -1, r"cross_section: got -1\.0, expected a number above 0"),
        ("luminosity", None, r"samples\.qcd\.inputs\[0\]: a cross-section needs a luminosity"),
        ("discriminant", None, r"regions\.SR: nothing to fill; give a discriminant"),
        ("samples.data.regions", ["CR"], r"regions\.SR: no data; no input of data is for it"),
        ("samples.data.weight", "event.weight", r"samples\.data: data have no weights"),
        ("regions", {}, r"regions: none is fitted"),
        ("title", None, r"title is missing"),
        ("regions.S/R", {}, r"regions: the name 'S/R'; use letters, digits"),
        ("systematics.qcd_norm.size", 1.5, r"systematics\.qcd_norm: size 1\.5"),
        ("systematics.qcd_norm.parameter", "mu", r"qcd_norm: the parameter 'mu' has another mean"),
        ("systematics.mu", {"kind": "free"}, r"systematics\.mu: the parameter 'mu' has another"),
        ("systematics.shower", {"kind": "inputs", "samples": "top", "up": [
            {"files": "x.root", "regions": "SRR"}]}, r"shower\.up\[0\]\.regions: no region 'SRR'"),
        ("samples.data.cross_section", 1, r"samples\.data: data are counted as they are"),
        ("samples.data.scale", 2, r"samples\.data: data are counted as they are"),
        ("samples.data.k_factor", 2, r"k_factor and generated belong to a cross_section"),
        ("samples.top.k_factor", 0, r"k_factor: got 0\.0, expected a number above 0"),
        ("luminosity", -3, r"luminosity: got -3\.0, expected a number above 0"),
        ("measurement", {"range": [0]}, r"measurement: range: got \[0\.0\], expected two bounds"),
        ("binning", {"bins": 9, "range": [0, 1], "method": "significance", "fine": 3},
         r"binning: fine: got 3, expected at least the 9 bins"),
        ("systematics.jes.up", None, None),
        ("systematics.pileup.up", "(", r"systematics\.pileup: "),
        ("measurement", {"name": "x_blinded"}, r"measurement: name: got 'x_blinded'; this end"),
        ("systematics.jes", {"kind": "object", "up": {"met.pt": "met.pt"}, "propagate": True},
         r"systematics\.jes: propagate: got changes of met\.pt, expected the pt or phi of obj"),
        ("systematics.jes", {"kind": "object", "up": {"jets.mass": "1"}, "propagate": True},
         r"systematics\.jes: propagate: got changes of jets\.mass, expected the pt or phi"),
        ("systematics.jes.normalise", True, r"systematics\.jes\.normalise: unknown"),
        ("scores", {"nn": {"run": "x", "inputs": {"a": "b"}, "folds": "heldout"}},
         r"scores\.nn\.folds: 'heldout' is unknown; did you mean held-out"),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_their_place(place, value, message, tmp_path):
    if message is None:
        read(tmp_path, changed(place, value))
        return
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path, changed(place, value))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "analysis.yaml"))


def test_quantities_are_made_of_earlier_ones(tmp_path):
    content = toy("data") | {"define": {"a": "b + 1", "b": "sum(jets.pt)"}}
    with pytest.raises(ValueError, match=r"define\.a: uses b, which is not defined before"):
        read(tmp_path, content)
    with pytest.raises(ValueError, match=r"define\.ht: uses ht"):
        read(tmp_path, toy("data") | {"define": {"ht": "ht + 1"}})


def test_other_files_of_a_variation_need_a_luminosity_too(tmp_path):
    other = {"files": "x.root", "cross_section": 0.4}
    content = toy("data") | {"luminosity": None}
    for sample in content["samples"].values():
        sample.pop("cross_section", None)
    content["systematics"]["shower"] = {"kind": "inputs", "samples": "top", "up": [other]}
    with pytest.raises(ValueError, match=r"systematics\.shower\.up\[0\]: a cross-section needs a"):
        read(tmp_path, content)
    other["luminosity"] = 1000
    assert read(tmp_path, content).luminosity is None


def test_no_file_and_no_yaml(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file .*missing.yaml"):
        read_analysis(tmp_path / "missing.yaml")
    (tmp_path / "list.yaml").write_text("- a\n- b\n")
    with pytest.raises(ValueError, match=r"list\.yaml: expected keys and values"):
        read_analysis(tmp_path / "list.yaml")


def test_a_variant_says_what_differs_from_its_base(tmp_path):
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(toy("data"), sort_keys=False))
    regions = {"CR": None, "SR": {"label": "Signal"}}
    variant = {"base": "base.yaml", "luminosity": 5, "regions": regions}
    made = read(tmp_path, variant | {"samples": {"top": {"files": "other.root"}}})
    base = read_analysis(tmp_path / "base.yaml")
    assert (made.luminosity, list(made.regions), made.regions["SR"].label) == (5, ["SR"], "Signal")
    assert made.regions["SR"].selection == base.regions["SR"].selection
    assert list(made.samples) == list(base.samples)
    assert made.samples["top"].inputs[0].files == ("other.root",)
    assert made.samples["top"].inputs[0].cross_section == 0.4
    assert (made.title, made.systematics) == (base.title, base.systematics)


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("analysis.yaml", r"analysis\.yaml: base: it is a variant of itself; one file must"),
        (3, r"analysis\.yaml: base: got 3, expected the path of another YAML"),
        ("none.yaml", r"no file .*none\.yaml"),
    ],
)
def test_bases_that_cannot_be(base, message, tmp_path):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read(tmp_path, {"base": base})


def test_paths_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("WHERE", "/data")
    monkeypatch.delenv("NOWHERE", raising=False)
    assert expanded("${WHERE}/x") == "/data/x"
    assert expanded("${NOWHERE:-../here}/x") == "../here/x"
    with pytest.raises(ValueError, match="variable NOWHERE is not set"):
        expanded("${NOWHERE}/x")
