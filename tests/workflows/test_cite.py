"""`fivesigma cite`: what runs, data sets, analyses, reports and configurations stand on."""

import json
from pathlib import Path

import pytest
import yaml

from fivesigma import cli
from fivesigma.report import write_report
from fivesigma.workflows.cite import cite

CONFIGS = Path(__file__).parent.parent.parent / "configs"
STATISTICS = {"histfactory", "pyhf", "asymptotic-formulae", "cls"}
EXPECTED = {
    "agc-ttbar": {"analysis-grand-challenge", *STATISTICS},
    "cms-dimuon": {"cms-dimuon-2012"},
    "cms-higgs-4l": {"cms-higgs-4l", *STATISTICS},
    "cms-higgs-4l-channels": {"cms-higgs-4l", *STATISTICS},
    "cms-z-ee": {"cms-education-2011"},
    "cms-z-mumu": {"cms-education-2011"},
    "susy-2018-31": {"sbottom-search", "sbottom-likelihoods", *STATISTICS},
    "top-tagging": {"pythia83", "delphes3", "anti-kt", "top-taggers", "energy-flow-networks"},
    "uci-higgs": {"uci-higgs", "exotic-particles", "lightgbm", "batch-normalisation"},
}


def keys(*paths):
    return [each.key for each in cite(paths)]


@pytest.mark.parametrize("config", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_has_its_references(config):
    found = keys(config)
    assert found[0] == "fivesigma" and len(found) == len(set(found))
    # of a configuration that is not listed, the data at least
    assert EXPECTED.get(config.stem, set()) <= set(found) and len(found) > 1


def test_a_run_cites_its_network_its_training_and_its_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, run = Path("data"), Path("runs/part")
    for folder in (data, run):
        folder.mkdir(parents=True)
    recipe = {
        "detector": "cms",
        "generation": {"process": "qcd"},
        "jets": {"algorithm": "antikt", "engine": "fastjet"},
    }
    (data / "manifest.json").write_text(json.dumps({"settings": {"recipe": recipe}}))
    model = {
        "model": "part",
        "settings": {"training": {"optimizer": "ranger", "schedule": "flat-then-decay"}},
        "provenance": {"dataset": "data"},
    }
    (run / "model.yaml").write_text(yaml.safe_dump(model))
    # what a run was not made with stands in config.yaml too: the options of trees, for one
    (run / "config.yaml").write_text("training: {optimizer: lion}\n")
    assert set(keys(run)) == {
        "fivesigma", "part", "radam", "lookahead", "pythia83", "cms-experiment", "delphes3",
        "cms-tracker", "anti-kt", "fastjet",
    }  # fmt: skip
    assert keys(Path("runs"), data) == keys(run)


def test_a_report_names_what_it_cites(tmp_path):
    page = tmp_path / "report.html"
    write_report(page, "T", [], {}, [], references=cite([CONFIGS / "uci-higgs.yaml"]))
    text = page.read_text()
    assert "What to cite" in text and "doi:10.24432/C5V312" in text
    assert set(keys(tmp_path)) == set(keys(CONFIGS / "uci-higgs.yaml"))


def test_a_workspace_and_identifiers_of_ones_own(tmp_path):
    workspace = tmp_path / "workspace.json"
    workspace.write_text('{"channels": [], "measurements": [{"name": "m"}]}')
    assert set(keys(workspace)) == {"fivesigma", *STATISTICS}
    mine = tmp_path / "mine.yaml"
    mine.write_text("# after arXiv:2401.00001\nquantity: m\n")
    assert keys(mine) == ["fivesigma", "arXiv:2401.00001"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent", None, "is not there, so it tells nothing to cite; name a run"),
        ("empty", "", "tells nothing to cite"),
        ("bad.yaml", "a: [1", "cannot be read"),
        ("bad.json", "{", "cannot be read"),
    ],
)
def test_what_tells_nothing_is_an_error_of_one_line(tmp_path, capsys, name, content, message):
    path = tmp_path / name
    if content:
        path.write_text(content)
    elif content is not None:
        path.mkdir()
    assert cli.main(["cite", str(path)]) == 2
    error = capsys.readouterr().err
    assert message in error and str(path) in error and error.count("\n") == 1


def test_text_and_bibtex_on_the_command_line(capsys):
    config = str(CONFIGS / "cms-higgs-4l.yaml")
    assert cli.main(["cite", config]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("The fivesigma developers, fivesigma:")
    assert any("doi:10.7483/OPENDATA.CMS.JKB8.RR42" in line for line in lines)
    assert cli.main(["cite", config, "--bibtex"]) == 0
    assert "@dataset{cms-higgs-4l," in capsys.readouterr().out
