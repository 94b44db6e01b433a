"""The verbs fit, limit and significance: numbers, figures, tables, and what they refuse."""

import json

import numpy as np
import pytest
import yaml
from helpers import workspaces

from fivesigma import statistics
from fivesigma.search.measurement import BLINDED
from fivesigma.workflows.inference import fit, limit, significance


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    path = tmp_path_factory.mktemp("workspace") / "workspace.json"
    statistics.write_workspace(path, workspaces.shape_model(bounds=(0.0, 10.0)))
    return path


def read(folder):
    return json.loads((folder / "results.json").read_text())


def test_fit(workspace, tmp_path):
    result = fit(workspace, tmp_path / "fit", impacts=True)
    stored = read(tmp_path / "fit")
    found = statistics.fit(statistics.load(workspace))
    assert stored["mu"]["value"] == found.mu
    np.testing.assert_allclose(stored["mu"]["uncertainty"], found.mu_uncertainty, rtol=0.05)
    assert stored["converged"]["value"] == 1
    assert 0 < stored["p_goodness_of_fit"]["value"] <= 1
    assert {"Pulls", "Ranking", "Correlations", "Likelihood scan"} < set(result.figures)
    assert {"SR before the fit", "SR after the fit"} < set(result.figures)
    assert set(result.tables) == {"Events after the fit", "Parameters", "Impacts"}
    names = {path.name for path in (tmp_path / "fit" / "figures").iterdir()}
    assert {"pulls.svg", "ranking.svg", "sr-after-the-fit.svg"} < names
    assert "Likelihood scan" in (tmp_path / "fit" / "report.html").read_text()
    folder = tmp_path / "fit" / "hepdata"
    table = yaml.safe_load((folder / "SR.yaml").read_text())
    assert len(table["dependent_variables"][0]["values"]) == 20
    listed = list(yaml.safe_load_all((folder / "submission.yaml").read_text()))
    assert [each["data_file"] for each in listed] == ["SR.yaml", "likelihood_scan.yaml"]
    curve = yaml.safe_load((folder / "likelihood_scan.yaml").read_text())["dependent_variables"]
    assert len(curve[0]["values"]) == 41


def test_goodness_of_fit_by_toys(workspace, tmp_path):
    moved = json.loads(workspace.read_text())
    moved["observations"][0]["data"][::2] = [30.0] * 10
    path = tmp_path / "moved.json"
    path.write_text(json.dumps(moved))
    result = fit(path, tmp_path / "fit", toys=300, seed=2, fixed={"tilt": 0.0})
    stored = read(tmp_path / "fit")
    assert stored["p_goodness_of_fit_toys"]["value"] < 0.01
    assert stored["p_goodness_of_fit_toys"]["note"] == "0 of 300 pseudo-experiments"
    assert stored["p_goodness_of_fit_toys"]["uncertainty"] == pytest.approx(1 / 300, rel=0.01)
    assert stored["toys_failed"]["value"] == 0
    assert "Goodness of fit" in result.figures
    page = (tmp_path / "fit" / "report.html").read_text()
    assert "p_goodness_of_fit_toys" in page or "Goodness of fit" in page
    assert "--fixed.tilt=0.0 --toys=300 --seed=2" in page
    with pytest.raises(ValueError, match="there is none of Asimov data; leave it out"):
        fit(path, tmp_path / "closed", toys=10, observed=False)


def test_a_fit_without_degrees_of_freedom_has_no_goodness(tmp_path):
    path = tmp_path / "w.json"
    statistics.write_workspace(path, workspaces.counting(10, 50, 60))
    result = fit(path, tmp_path / "fit", toys=10)
    assert "The goodness of fit is not defined" in result.note
    assert not {"p_goodness_of_fit", "p_goodness_of_fit_toys"} & set(result.numbers)


def test_blinded_fit_never_looks_at_the_data(workspace, tmp_path):
    """Other data, same answer; its signal strength is what the Asimov data were made with."""
    moved = json.loads(workspace.read_text())
    moved["observations"][0]["data"] = [1.0] * 20
    other = tmp_path / "moved.json"
    other.write_text(json.dumps(moved))
    for verb in (fit, limit, significance):
        answers = []
        for number, path in enumerate((workspace, other)):
            out = tmp_path / f"{verb.__name__}{number}"
            verb(path, out, observed=False)
            answers.append(read(out))
        assert answers[0] == answers[1]
        assert not (tmp_path / f"{verb.__name__}0" / "hepdata").exists()
        assert not {"z_observed", "mu_limit_observed", "cls_observed"} & set(answers[0])
    np.testing.assert_allclose(read(tmp_path / "fit0")["mu"]["value"], 1.0, atol=1e-6)


def test_a_workspace_of_closed_data_has_nothing_observed(tmp_path):
    """Its observations are the prediction; the name of its measurement tells."""
    content = workspaces.counting(10, 50, 60)
    content["measurements"][0]["name"] += BLINDED
    path = tmp_path / "workspace.json"
    statistics.write_workspace(path, content)
    for verb in (fit, limit, significance):
        found = verb(path, tmp_path / verb.__name__)
        assert not [name for name in found.numbers if "observed" in name or "goodness" in name]
        assert "the data are closed, the workspace has the prediction in their place" in found.note
    assert not (tmp_path / "fit" / "hepdata").exists()


@pytest.mark.parametrize("verb", [fit, limit, significance])
def test_closing_the_data_again_takes_their_tables_away(workspace, tmp_path, verb):
    """And nothing else that was put beside them."""
    verb(workspace, tmp_path)
    listed = yaml.safe_load_all((tmp_path / "hepdata" / "submission.yaml").read_text())
    shown = {each["data_file"] for each in listed}
    assert shown == {path.name for path in (tmp_path / "hepdata").iterdir()} - {"submission.yaml"}
    (tmp_path / "hepdata" / "mine.yaml").write_text("")
    verb(workspace, tmp_path, observed=False, overwrite=True)
    assert [path.name for path in (tmp_path / "hepdata").iterdir()] == ["mine.yaml"]


def test_limit(workspace, tmp_path):
    limit(workspace, tmp_path / "limit")
    stored = {name: each["value"] for name, each in read(tmp_path / "limit").items()}
    bands = ["_minus2", "_minus1", "", "_plus1", "_plus2"]
    expected = [stored[f"mu_limit_expected{band}"] for band in bands]
    assert expected == sorted(expected)
    model = statistics.load(workspace)
    observed = statistics.cls(model, stored["mu_limit_observed"]).observed[0]
    np.testing.assert_allclose(observed, 0.05, atol=1e-5)
    assert stored["cls_observed"] == statistics.cls(model, 1.0).observed[0]
    assert (tmp_path / "limit" / "figures" / "cls.svg").exists()
    assert (tmp_path / "limit" / "report.html").exists()
    table = yaml.safe_load((tmp_path / "limit" / "hepdata" / "cls.yaml").read_text())
    names = [each["header"]["name"] for each in table["dependent_variables"]]
    assert names[0] == "CLs observed" and "CLs expected +2 sigma" in names


def test_significance_with_pseudo_experiments(workspace, tmp_path):
    result = significance(workspace, tmp_path / "z", toys=2000, seed=3)
    numbers = result.numbers
    found = statistics.significance(statistics.load(workspace))
    assert numbers["z_observed"].value == found.observed
    assert numbers["z_expected"].value == found.expected
    assert numbers["toys_failed"].value == 0
    difference = numbers["p_observed_toys"].value - found.p_observed
    assert abs(difference) < 4 * numbers["p_observed_toys"].uncertainty + 0.002
    assert {"Pseudo-experiments", "Likelihood scan"} == set(result.figures)
    # the profile at no signal is Z^2
    table = yaml.safe_load((tmp_path / "z" / "hepdata" / "likelihood_scan.yaml").read_text())
    for column, z in zip(table["dependent_variables"], ("observed", "expected"), strict=True):
        assert column["values"][0]["value"] == pytest.approx(
            numbers[f"z_{z}"].value ** 2, abs=1e-3
        )


def test_results_are_not_replaced_by_accident(workspace, tmp_path):
    significance(workspace, tmp_path / "z")
    before = read(tmp_path / "z")
    with pytest.raises(ValueError, match="exists; add --overwrite"):
        significance(workspace, tmp_path / "z", toys=10)
    assert read(tmp_path / "z") == before
    significance(workspace, tmp_path / "z", overwrite=True)


def test_parameters_may_be_held_and_renamed(workspace, tmp_path):
    result = fit(workspace, tmp_path / "fit", fixed={"tilt": 0.5, "norm": 0.0})
    shown = [row[0] for row in result.tables["Parameters"].rows]
    assert shown == ["mu", "eff"]
    other = fit(workspace, tmp_path / "other", poi="tilt")
    assert other.numbers["mu"].value == statistics.fit(statistics.load(workspace)).theta[0]
    assert "Parameter of interest: tilt" in other.note
    kept = yaml.safe_load((tmp_path / "fit" / "config.yaml").read_text())
    assert kept["workspace"] == str(workspace) and kept["fixed"] == {"tilt": 0.5, "norm": 0.0}
    assert "HistFactory" in (tmp_path / "fit" / "report.html").read_text()


def test_fit_at_a_boundary(tmp_path):
    path = tmp_path / "deficit.json"
    statistics.write_workspace(path, workspaces.counting(10, 50, 30))
    result = fit(path, tmp_path / "fit")
    assert "u is at its bound 0: its uncertainty is not to be trusted" in result.note
    assert result.numbers["mu"].value == 0
    assert result.numbers["mu"].uncertainty > 0


def test_regions_cannot_write_elsewhere(tmp_path):
    made = workspaces.counting(10, 50, 60)
    made["channels"][0]["name"] = made["observations"][0]["name"] = "../../outside"
    path = tmp_path / "w.json"
    path.write_text(json.dumps(made))
    fit(path, tmp_path / "a" / "b" / "fit")
    outside = [p for p in tmp_path.rglob("*outside*") if "fit" not in p.parts]
    assert not outside
