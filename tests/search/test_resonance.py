"""The model of a resonance in pairs: what pyhf makes of it, and which errors are in the fit."""

from dataclasses import replace

import numpy as np
import pyhf
import pytest
from helpers.tagged_pairs import EDGES, SURE, WINDOW, processes

from fivesigma import statistics
from fivesigma.search import resonance
from fivesigma.search.doubletag import Process
from fivesigma.search.resonance import OTHER, Uncertainties, expected, workspace


def test_pyhf_takes_the_workspace_and_a_tag_pays():
    expected = {}
    for tag in (False, True):
        content = workspace(processes(tag), WINDOW, Uncertainties())
        theirs = pyhf.Workspace(content).model()
        ours = statistics.build(content)
        assert ours.expected(ours.parameters.init)[0][: len(WINDOW.edges) - 1] == pytest.approx(
            theirs.expected_actualdata(theirs.config.suggested_init()), rel=1e-9
        )
        names = theirs.config.par_order
        assert ("mistag_rate_0" in names) is tag and ("tagging_efficiency" in names) is tag
        assert "jet_energy_scale" in names and "qcd_slope" in names
        expected[tag] = float(statistics.significance(ours).expected)
    assert expected[True] > 3 * expected[False]


def test_the_bends_of_qcd_are_left_to_the_data(monkeypatch):
    z = []
    for freedom in (0.3, 0.6):
        monkeypatch.setattr(resonance, "_FREEDOM", freedom)
        content = workspace(processes(tag=False), WINDOW, Uncertainties())
        z.append(float(statistics.significance(statistics.build(content)).expected))
    assert z[0] == pytest.approx(z[1], rel=0.1)


@pytest.mark.parametrize(
    ("name", "parameter"),
    [("qcd", "mistag_rate"), ("ttbar", "top_tagging_rate"), ("signal", "signal_tagging_rate")],
)
def test_errors_of_tagging_rates_are_in_the_fit(name, parameter):
    made = processes(tag=True)
    names = statistics.build(workspace(made, WINDOW, SURE)).parameters.names
    assert sum(each.startswith(parameter) for each in names) == len(EDGES) + 1
    errors = []
    for factor in (1e-3, 1.0, 20.0):
        rates = replace(made[name].rates, error=made[name].rates.error * factor)
        content = workspace(made | {name: Process(made[name].pairs, rates)}, WINDOW, SURE)
        errors.append(float(statistics.fit(statistics.build(content)).mu_uncertainty))
    assert errors[0] <= errors[1] + 1e-6 and 1.02 * errors[1] < errors[2]


def test_another_function_of_the_backgrounds_is_in_the_fit():
    made = processes(tag=True)
    one, other = (expected(made, WINDOW, name) for name in ("polynomial", OTHER))
    assert not np.array_equal(one, other)
    model = statistics.build(workspace(made, WINDOW, Uncertainties(), other))
    assert "qcd_function" in model.parameters.names
    fit = statistics.fit(model)
    assert abs(float(fit.mu) - 1) < 0.2 * float(fit.mu_uncertainty)
