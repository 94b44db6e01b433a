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
