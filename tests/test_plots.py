"""Figures hold what they are given, refuse nothing to draw, and stand in HTML pages."""

import re
from xml.etree import ElementTree

import awkward as ak
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from fivesigma import metrics, plots
from fivesigma.results import Number


def contrast(first, second):
    """WCAG contrast of two colours."""

    def luminance(colour):
        rgb = np.array(mpl.colors.to_rgb(colour))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    dark, light = sorted([luminance(first), luminance(second)])
    return (light + 0.05) / (dark + 0.05)


@pytest.fixture(scope="module")
def tagger():
    rng = np.random.default_rng(1)
    y = np.repeat([1, 0], 1500)
    score = 1 / (1 + np.exp(-rng.normal(2 * y - 1, 1)))
    return y, score, np.abs(rng.normal(90 + 80 * y, 30)), rng.uniform(550, 650, y.size)


@pytest.fixture(scope="module")
def jets():
    rng = np.random.default_rng(2)
    return {
        name: {"mass": rng.normal(mean, 20, 500), "multiplicity": rng.poisson(mean / 2, 500)}
        for name, mean in (("QCD", 80), ("top", 170))
    }


def one_jet(n=30):
    rng = np.random.default_rng(3)
    parts = {
        "pt": rng.exponential(10, n),
        "eta": rng.normal(1.0, 0.2, n),
        "phi": np.angle(np.exp(1j * rng.normal(np.pi, 0.2, n))),
        "pdg_id": rng.choice([211, -211, 22, 130], n),
    }
    return {"eta": 1.0, "phi": np.pi, "constituents": parts}


def figures(tagger, jets):
    y, score, mass, pt = tagger
    curve = metrics.roc(y, score)
    names = ["QCD", "top"]
    matrix = metrics.confusion(y, np.stack([1 - score, score], 1), names)
    history = [{"epoch": e, "train_loss": 1 / e, "validation_auc": 1 - 0.1 / e} for e in (1, 2, 3)]
    image = np.random.default_rng(4).exponential(size=(40, 40))
    values = {name: sample["mass"] for name, sample in jets.items()}
    return {
        "histogram": plots.histogram(values, "Mass", "GeV", ratio=True, log=True),
        "observable": plots.observable(jets, "multiplicity"),
        "grid": plots.observable_grid(jets, ["mass", "multiplicity", "mass"]),
        "images": plots.jet_images({"QCD": image, "top": image, "W": image}, 0.8),
        "single": plots.single_jets({"a jet": one_jet()}),
        "sculpting": plots.sculpting(y, score, mass),
        "training": plots.training_curves(history, best_epoch=2),
        "roc": plots.roc_curves({"cnn": curve, "pfn": curve}),
        "significance": plots.significance_curves({"cnn": curve}),
        "scores": plots.score_distributions({"QCD": score[y == 0], "top": score[y == 1]}),
        "confusion": plots.confusion_matrix(matrix),
        "calibration": plots.calibration_curves({"cnn": metrics.calibration(y, score)}),
        "bins": plots.rejection_bins(
            {"cnn": metrics.rejection_in_bins(y, score, pt, [550, 600, 650, 700])}, "Jet pT", "GeV"
        ),
        "importance": plots.feature_importance({"mass": Number(3, 0.2), "width": 1}, "gain"),
    }


def texts(figure):
    return [text.get_text() for text in figure.findobj(mpl.text.Text)]


def test_every_figure_becomes_an_svg_of_the_pages_colour(tagger, jets):
    drawn = figures(tagger, jets)
    svgs = {name: plots.to_svg(figure, name) for name, figure in drawn.items()}
    ids = []
    for name, svg in svgs.items():
        root = ElementTree.fromstring(svg)
        assert root.get("role") == "img" and root.get("aria-label") == name
        assert root.get("viewBox") and root.get("width") is None
        assert "currentColor" in svg and plots.INK not in svg
        assert "<style" not in svg and "<script" not in svg
        assert len(svg) < 200_000
        own = re.findall(r' id="([^"]+)"', svg)
        used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
        assert set(own) == used and len(own) == len(used)
        ids += own
        # no white or black but what lies on a coloured cell
        inks = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", svg)) - {"#ffffff", "#000000"}
        if name not in ("confusion", "images"):
            assert inks <= set(plots.PALETTE)
    assert len(ids) == len(set(ids))
    assert "matplotlib.pyplot" not in dir(plots)
    assert mpl._pylab_helpers.Gcf.figs == {}  # nothing left open


def test_the_palette_is_readable_on_white_and_on_dark():
    for colour in plots.PALETTE:
        assert contrast(colour, "#ffffff") > 2.3
        assert contrast(colour, "#14171c") > 3


def test_classes_keep_their_colours_and_others_stay_apart():
    first, second = plots.colours(["QCD", "top"]), plots.colours(["W", "top", "mine", "yours"])
    assert first["top"] == second["top"]
    assert len(set(second.values())) == 4
    many = plots.colours([f"class {k}" for k in range(11)])
    assert set(many.values()) == set(plots.PALETTE)


def test_the_same_figure_gives_the_same_text(jets):
    first, second = (plots.to_svg(plots.observable(jets, "mass")) for _ in range(2))
    assert first == second
    assert plots.to_svg(plots.observable(jets, "mass"), prefix="x-") != first


def test_a_histogram_holds_the_fractions_of_all_jets():
    figure = plots.histogram({"QCD": [1.0, 1.0, 3.0, 99.0]}, "x", bins=[0, 2, 4])
    outline = [p for p in figure.axes[0].patches if isinstance(p, mpl.patches.StepPatch)][-1]
    np.testing.assert_allclose(outline.get_data().values, [0.5, 0.25])


def test_histogram_weights_count():
    figure = plots.histogram({"QCD": [1.0, 3.0]}, "x", bins=[0, 2, 4], weights={"QCD": [3.0, 1.0]})
    outline = [p for p in figure.axes[0].patches if isinstance(p, mpl.patches.StepPatch)][-1]
    np.testing.assert_allclose(outline.get_data().values, [0.75, 0.25])


def test_counts_get_bins_of_whole_numbers(jets):
    edges = plots.observable(jets, "multiplicity").axes[0].patches[-1].get_data().edges
    assert np.all(edges % 1 == 0.5)


def test_observables_have_units_and_work_on_awkward_arrays(jets):
    arrays = {name: ak.Array(sample) for name, sample in jets.items()}
    assert "Jet mass [GeV]" in texts(plots.observable(arrays, "mass"))
    assert "Fraction of jets / 5 GeV" in texts(plots.observable(arrays, "mass"))


def test_one_class_and_equal_values_can_be_drawn():
    assert isinstance(plots.histogram({"QCD": np.full(10, 0.3)}, "x"), Figure)
    assert isinstance(plots.training_curves([{"train_loss": 1.0}]), Figure)


def test_roc_has_a_band_only_where_enough_jets_survive(tagger):
    y, score, *_ = tagger
    curve = metrics.roc(y, score)
    figure = plots.roc_curves({"cnn": curve}, minimum_background=50)
    solid = next(line for line in figure.axes[0].lines if line.get_label() == "cnn")
    x, height = solid.get_data()
    assert np.all(curve.jets_at(x) >= 50)
    np.testing.assert_allclose(height, 1 / curve.background_at(x))
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    assert band[:, 0].min() == pytest.approx(x.min())


def test_confusion_matrix_prints_per_cent(tagger):
    y, score, *_ = tagger
    matrix = metrics.confusion(y, np.stack([1 - score, score], 1), ["QCD", "top"])
    shown = texts(plots.confusion_matrix(matrix))
    assert any(text.startswith(f"{100 * matrix.fraction[1, 1]:.1f}\n±") for text in shown)


def test_single_jets_are_centred_across_the_seam_of_phi():
    axes = plots.single_jets({"jet": one_jet()}).axes[0]
    offsets = np.concatenate([np.asarray(c.get_offsets()) for c in axes.collections])
    assert np.nanmax(np.abs(offsets)) < 1


def test_single_jets_take_awkward_records():
    record = ak.Array([one_jet() | {"constituents": ak.zip(one_jet()["constituents"])}])[0]
    assert isinstance(plots.single_jets({"jet": record}), Figure)


def test_strange_class_names_are_drawn_as_they_are():
    figure = plots.histogram({"_a $x_y$ <b>": [1.0, 2.0]}, "x")
    svg = plots.to_svg(figure, '<"&>')
    assert ElementTree.fromstring(svg).get("aria-label") == '<"&>'


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: plots.histogram({}, "x"), "no classes"),
        (lambda: plots.histogram({"QCD": []}, "x"), "no finite values of class QCD"),
        (lambda: plots.histogram({"QCD": [np.nan]}, "x"), "no finite values of class QCD"),
        (lambda: plots.observable_grid({"QCD": {}}, []), "no observables"),
        (lambda: plots.jet_images({}, 0.8), "no images"),
        (lambda: plots.jet_images({"a": np.zeros((4, 4))}, 0.8), "no pixel above 0"),
        (lambda: plots.jet_images({"a": np.zeros(4)}, 0.8), r"shape \(H, W\)"),
        (lambda: plots.single_jets({}), "no jets"),
        (lambda: plots.training_curves([]), "no epochs"),
        (lambda: plots.training_curves([{"speed": 1.0}]), "no loss, accuracy or auc"),
        (lambda: plots.roc_curves({}), "no taggers"),
        (lambda: plots.significance_curves({}), "no taggers"),
        (lambda: plots.score_distributions({}), "no classes"),
        (lambda: plots.calibration_curves({}), "no taggers"),
        (lambda: plots.rejection_bins({}, "x"), "no taggers"),
        (lambda: plots.feature_importance({}, "gain"), "no features"),
        (lambda: plots.sculpting([1], [0.5], [80]), "no background jets"),
        (lambda: plots.to_svg("figure"), "expected a matplotlib Figure"),
    ],
)
def test_nothing_to_draw_is_answered_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()
