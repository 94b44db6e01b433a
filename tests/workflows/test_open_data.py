"""Published templates and likelihoods through the ordinary commands: the reference answers."""

import json
from pathlib import Path

import numpy as np
import pyhf
import pytest
from helpers import workspaces

from fivesigma import statistics
from fivesigma.cli import main
from fivesigma.plots.style import canvas
from fivesigma.workflows import findings
from fivesigma.workflows.analyse import analyse
from fivesigma.workflows.signals import cls_of_signals

ROOT = Path(__file__).parents[2]
KINDS = ("observed", "expected")


def test_ttbar_of_the_analysis_grand_challenge(real_data, tmp_path, monkeypatch):
    """0.946 +- 0.080, which are the minimum and the profile that pyhf finds with MINUIT."""
    monkeypatch.setenv("FIVESIGMA_REAL_DATA", str(real_data))
    monkeypatch.setattr(findings, "stack", lambda *_, **__: canvas()[0])
    analyse(ROOT / "configs" / "agc-ttbar.yaml", out=tmp_path, quiet=True)
    found = json.loads((tmp_path / "results.json").read_text())["mu"]
    assert abs(found["value"] - 0.946) < 0.005
    assert abs(found["uncertainty"] - 0.080) < 0.005

    workspace = pyhf.Workspace(json.loads((tmp_path / "templates" / "workspace.json").read_text()))
    model = workspace.model()
    assert (sum(model.config.channel_nbins.values()), model.config.npars) == (22, 12)
    assert model.config.poi_name == "ttbar_norm"
    data = workspace.data(model)
    pyhf.set_backend("numpy", "minuit")
    try:
        best, least = pyhf.infer.mle.fit(data, model, return_fitted_val=True)
        ends = found["value"] + np.array([-1, 1]) * found["uncertainty"]
        raised = [
            float(pyhf.infer.mle.fixed_poi_fit(mu, data, model, return_fitted_val=True)[1])
            for mu in ends
        ]
    finally:
        pyhf.set_backend("numpy", "scipy")
    assert found["value"] == pytest.approx(best[model.config.poi_index], abs=1e-3)
    # one standard deviation: the profile has risen by 1, at both ends but for its asymmetry
    assert np.array(raised) - least == pytest.approx([1, 1], abs=0.04)


def test_limit_of_susy_2018_31(real_data, tmp_path, monkeypatch):
    """CLs observed 0.2444 and expected 0.3841, by the command that the configuration names."""
    monkeypatch.setenv("FIVESIGMA_REAL_DATA", str(real_data))
    config = str(ROOT / "configs" / "susy-2018-31.yaml")
    options = ["--out", str(tmp_path), "--signals", "patch.sbottom_1300_[29]50_60.json"]
    assert main(["limit", "--config", config, *options]) == 0
    found = json.loads((tmp_path / "results.json").read_text())
    assert abs(found["cls_observed"]["value"] - 0.2444) < 1e-3
    assert abs(found["cls_expected"]["value"] - 0.3841) < 1e-3
    # neutralinos of 250 GeV are too light for this region, those of 950 GeV are excluded
    light, heavy = (
        {kind: found[f"cls_{kind}/sbottom_1300_{mass}_60"]["value"] for kind in KINDS}
        for mass in (250, 950)
    )
    assert min(light.values()) > 0.05 > max(heavy.values())
    assert found["cls_observed"]["value"] > light["observed"]
    report = (tmp_path / "report.html").read_text()
    assert "sbottom_1300_950_60" in report and "excluded" in report


def test_blinded_signals_tell_nothing_of_the_data(tmp_path):
    background = workspaces.counting(observed=90)
    statistics.write_workspace(tmp_path / "workspace.json", background)
    stronger = [{"op": "replace", "path": "/channels/0/samples/0/data", "value": [20.0]}]
    (tmp_path / "patch.strong.json").write_text(json.dumps(stronger))
    numbers, table = cls_of_signals(tmp_path / "workspace.json", ["patch.*"], observed=False)
    assert list(numbers) == ["cls_expected/strong"]
    assert table.columns == ("Signal", "CLs expected")
    model = statistics.build(statistics.patched(background, stronger))
    expected = statistics.cls(model, 1.0, model.asimov(0.0)).expected[2, 0]
    assert numbers["cls_expected/strong"].value == expected
