"""Combine cards become the workspaces that one would write by hand."""

import numpy as np
import pyhf
import pytest
import uproot

from fivesigma import statistics

COUNTING = """
# a counting experiment in two bins
imax 2
jmax 1
kmax 2
------------
bin         one   two
observation 60    22
------------
bin         one   one   two   two
process     sig   bkg   sig   bkg
process     0     1     0     1
rate        10    50    4     20
------------
lumi  lnN   1.02  1.02  1.02  1.02
xsec  lnN   -     0.9/1.2  -  1.1
"""

SHAPES = """
imax 1
jmax 1
kmax *
shapes * SR histograms.root $CHANNEL/$PROCESS $CHANNEL/$PROCESS_$SYSTEMATIC
---
bin SR
observation -1
---
bin      SR   SR
process  sig  bkg
process  0    1
rate     -1   -1
---
jes   shape  -   1
bnorm rateParam SR bkg 1 [0,5]
SR autoMCStats 0
"""
NOMINAL, SIGNAL = np.array([40.0, 30.0, 20.0]), np.array([1.0, 8.0, 2.0])


def events(values):
    """A histogram of so many weighted events: entries of weight 0.5."""
    filled = np.repeat(np.arange(3) + 0.5, (2 * values).astype(int))
    counts, edges = np.histogram(filled, [0, 1, 2, 3], weights=np.full(filled.size, 0.5))
    import hist

    made = hist.Hist(hist.axis.Variable(edges, name="x"), storage=hist.storage.Weight())
    made.fill(filled, weight=np.full(filled.size, 0.5))
    assert made.values().tolist() == counts.tolist()
    return made


@pytest.fixture
def card(tmp_path):
    with uproot.recreate(tmp_path / "histograms.root") as file:
        file["SR/sig"], file["SR/bkg"] = events(SIGNAL), events(NOMINAL)
        file["SR/bkg_jesUp"] = events(np.array([44.0, 30.0, 16.0]))
        file["SR/bkg_jesDown"] = events(np.array([36.0, 30.0, 23.0]))
        file["SR/data_obs"] = events(np.array([41.0, 37.0, 22.0]))
    path = tmp_path / "card.txt"
    path.write_text(SHAPES)
    return path


def test_counting_card(tmp_path):
    path = tmp_path / "card.txt"
    path.write_text(COUNTING)
    model = statistics.load(path)
    assert model.poi_name == "r"
    assert model.data[:2].tolist() == [60, 22]
    theta = model.parameters.init.copy()
    assert model.expected(theta)[0].tolist() == [60, 24]
    theta[model.index("xsec")] = 1.0
    np.testing.assert_allclose(model.expected(theta)[0], [10 + 60, 4 + 22], rtol=1e-9)
    theta[model.index("xsec")] = -1.0
    np.testing.assert_allclose(model.expected(theta)[0], [10 + 45, 4 + 20 / 1.1], rtol=1e-9)


def test_card_with_shapes(card):
    model = statistics.load(card)
    assert model.data[:3].tolist() == [41, 37, 22]
    theta = model.parameters.init.copy()
    np.testing.assert_allclose(model.expected(theta)[0], NOMINAL + SIGNAL)
    theta[model.index("jes")] = 1.0
    np.testing.assert_allclose(model.expected(theta)[0], [45, 38, 18], rtol=1e-9)
    theta[model.index("bnorm")] = 2.0
    np.testing.assert_allclose(model.expected(theta)[0], [89, 68, 34], rtol=1e-9)
    assert model.parameters.upper[model.index("bnorm")] == 5.0
    # statistical errors of events with weight 0.5: sqrt(sum w^2)
    width = model.parameters.width[model.index("staterror_SR")]
    total = NOMINAL + SIGNAL
    np.testing.assert_allclose(width, np.sqrt(0.5 * total) / total)


def test_lnn_is_kappa_to_the_power_of_its_parameter(tmp_path):
    """Exactly, between the variations too; where up and down differ, by Combine's own step."""
    path = tmp_path / "card.txt"
    path.write_text(COUNTING.replace("1.02  1.02  1.02  1.02", "2.5   2.5   2.5   2.5"))
    model = statistics.load(path)
    assert not model.note
    theta = model.parameters.init.copy()
    for x in (-1.7, -0.6, -0.2, 0.35, 0.9, 2.1):
        theta[model.index("lumi")] = x
        np.testing.assert_allclose(model.expected(theta)[0], 2.5**x * np.array([60, 24]))
    theta[model.index("lumi")] = 0.0
    for x in (-0.4, -0.1, 0.25, 0.7):  # arXiv:2404.06614: ln kappa slides within +-1/2
        step = np.clip(2 * x, -1, 1)
        slide = step * (3 * step**4 - 10 * step**2 + 15) / 8
        high, low = np.log(1.2), -np.log(0.9)
        factor = np.exp(x * ((high + low) / 2 + slide * (high - low) / 2))
        theta[model.index("xsec")] = x
        np.testing.assert_allclose(model.expected(theta)[0][0], 10 + 50 * factor, rtol=1e-12)


def test_derivatives_of_lnn_are_exact(tmp_path):
    path = tmp_path / "card.txt"
    path.write_text(COUNTING)
    model = statistics.load(path)
    at = model.index("xsec").start
    for x in (-0.3, 0.2, 0.8):
        theta = model.parameters.init.copy()
        theta[at] = x
        step = 1e-5 * (np.arange(theta.size) == at)
        slope = (model.twice_nll(theta + step) - model.twice_nll(theta - step)) / 2e-5
        np.testing.assert_allclose(model.gradient(theta)[0, at], slope[0], rtol=1e-6)
        bend = (model.gradient(theta + step) - model.gradient(theta - step))[0, at] / 2e-5
        np.testing.assert_allclose(model.hessian(theta)[0, at, at], bend, rtol=1e-6)


def test_bins_of_few_simulated_events_have_a_parameter_for_each_process(card):
    """Effective events of weight 1/2 are twice the events: 80, 60, 40 of the background."""
    card.write_text(SHAPES.replace("autoMCStats 0", "autoMCStats 50"))
    model = statistics.load(card)
    kinds = {n: k for n, k in model.parameters.kinds.items() if n.partition("_")[2]}
    assert kinds == {
        "staterror_SR": ("staterror",),
        "shapesys_SR_bkg": ("shapesys",),
        "shapesys_SR_sig": ("shapesys",),
    }
    fixed = {
        name: model.parameters.fixed[place] for name, place in model.parameters.slices.items()
    }
    assert fixed["staterror_SR"].tolist() == [False, False, True]
    assert fixed["shapesys_SR_bkg"].tolist() == [True, True, False]
    # Poisson parameters of 40 and 4 effective events: width 1 / sqrt(n)
    width = model.parameters.width
    assert width[model.index("shapesys_SR_bkg")][2] == pytest.approx(1 / np.sqrt(40))
    assert width[model.index("shapesys_SR_sig")][2] == pytest.approx(1 / np.sqrt(4))
    assert "Combine's follows the fitted yields" in model.note
    theta = model.parameters.init.copy()
    theta[model.index("shapesys_SR_sig").start + 2] = 1.5
    np.testing.assert_allclose(model.expected(theta)[0], NOMINAL + SIGNAL + [0, 0, 1.0])


def test_signals_count_towards_the_threshold_where_the_card_says_so(card):
    """Of the last bin: 40 effective events without the signal, 44 with it."""
    for line, shared in (("42", False), ("42 1", True), ("42 0 1", False)):
        card.write_text(SHAPES.replace("autoMCStats 0", f"autoMCStats {line}"))
        place = statistics.load(card).index("staterror_SR")
        assert statistics.load(card).parameters.fixed[place][2] != shared
    card.write_text(SHAPES.replace("autoMCStats 0", "autoMCStats -1"))
    assert not any("SR" in name for name in statistics.load(card).parameters.names)


def test_a_process_of_enough_events_has_a_gaussian_parameter_of_its_own(card):
    """A signal of large weights brings the bin below the threshold, the background is above."""
    import hist

    with uproot.recreate(card.parent / "histograms.root") as file:
        heavy = hist.Hist(hist.axis.Regular(3, 0, 3, name="x"), storage=hist.storage.Weight())
        heavy.view().value, heavy.view().variance = SIGNAL, [1.0, 8.0, 20.0]
        file["SR/sig"] = heavy
        file["SR/bkg"] = events(NOMINAL)
        for name in ("bkg_jesUp", "bkg_jesDown", "data_obs"):
            file[f"SR/{name}"] = events(NOMINAL)
    card.write_text(SHAPES.replace("autoMCStats 0", "autoMCStats 30 1"))
    model = statistics.load(card)  # last bin: 22^2 / 30 = 16 with the signal, background 40
    assert model.parameters.kinds["staterror_SR_bkg"] == ("staterror",)
    width = model.parameters.width[model.index("staterror_SR_bkg")][2]
    assert width == pytest.approx(1 / np.sqrt(40))
    # more uncertainty than events: Gaussian, as no count stands for it
    assert "staterror_SR_sig" in model.parameters.slices


def test_cards_are_pyhf_workspaces(card):
    workspace = statistics.read_workspace(card)
    model = pyhf.Workspace(workspace).model()
    assert model.config.poi_name == "r"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("jes   shape  -   1", "jes gmN 4 - 1", "line 15: 'jes gmN' is not read"),
        ("jes   shape  -   1", "jes shape - 1 1", "jes has 3 columns, expected 2"),
        ("jes   shape", "jer   shape", "no histogram 'SR/bkg_jerUp'; did you mean 'SR/bkg_jesUp'"),
        ("histograms.root", "../histograms.root", "no file in its folder"),
        ("histograms.root", "histogram.root", "no file in its folder"),
        ("rate     -1   -1", "rate     -1", "different numbers of columns"),
        ("[0,5]", "(@0*2)", "only a range"),
        ("observation -1", "", "one `observation`"),
        ("observation -1", "observation many", "is no number"),
        ("jes   shape  -   1", "nuisance edit drop * * jes", "'nuisance edit' is not read"),
        ("autoMCStats 0", "autoMCStats few", "line 17: autoMCStats 'few'; read are a threshold"),
        ("autoMCStats 0", "autoMCStats 10 0 2", "and the histogram mode 1"),
        ("jes   shape  -   1", "xsec lnN 0 -", "lnN xsec is '0' for sig in SR"),
    ],
)
def test_what_is_not_read_is_named(card, old, new, message):
    card.write_text(SHAPES.replace(old, new))
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        statistics.load(card)


def test_systematics_whose_names_begin_like_keywords_are_read(tmp_path):
    path = tmp_path / "card.txt"
    path.write_text(COUNTING.replace("xsec", "group_xsec") + "theory group = group_xsec\n")
    assert "group_xsec" in statistics.load(path).parameters.names


def test_negative_bins_are_not_passed_over(card):
    with uproot.recreate(card.parent / "histograms.root") as file:
        file["SR/sig"] = np.array([1.0, -8.0, 2.0]), np.arange(4.0)
        for name in ("bkg", "bkg_jesUp", "bkg_jesDown", "data_obs"):
            file[f"SR/{name}"] = NOMINAL, np.arange(4.0)
    with pytest.raises(ValueError, match=r"sample sig: bin 1 is negative \(-8\)"):
        statistics.load(card)
