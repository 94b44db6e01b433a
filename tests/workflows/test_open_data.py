"""Published templates and likelihoods through the ordinary commands: the reference answers."""

import json
from pathlib import Path

import numpy as np
import pyhf
import pytest

from fivesigma.plots.style import canvas
from fivesigma.workflows import findings
from fivesigma.workflows.analyse import analyse

ROOT = Path(__file__).parents[2]


def values(folder):
    stored = json.loads((folder / "results.json").read_text())
    return {name: each["value"] for name, each in stored.items()}


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
