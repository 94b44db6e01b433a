"""Templates: normalised, rebinned, complete; and what is wrong with them, bin by bin."""

from dataclasses import replace

import hist
import numpy as np
import pytest
import uproot

from fivesigma.search import (
    Analysis,
    Binning,
    HistogramVariation,
    Input,
    InputVariation,
    Pruning,
    Region,
    Sample,
    Templating,
    WeightVariation,
    make_templates,
    make_workspace,
)
from fivesigma.search.histograms import histogram_names, select_histograms
from fivesigma.search.measurement import is_blinded
from fivesigma.search.parts import parts_of
from fivesigma.search.prefit import prefit_covariance
from fivesigma.search.selected import (
    CHOOSING,
    NOMINAL,
    RESULT,
    Selected,
    contents,
    empty_histogram,
)
from fivesigma.search.systematics import FreeNormalisation, Luminosity, Normalisation

EDGES = np.array([0.0, 1.0, 2.0, 3.0, 4.0])


def analysis(**changes):
    options = {
        "title": "counting",
        "luminosity": 100.0,
        "samples": {
            "signal": Sample(kind="signal", inputs=(Input(files=("s.root",), scale=0.5),)),
            "background": Sample(inputs=(Input(files=("b.root",), cross_section=2.0),)),
        },
        "regions": {"SR": Region()},
        "discriminant": "x",
        "binning": Binning(edges=tuple(EDGES)),
    }
    return Analysis(**{**options, **changes})


def selected(values, sums=None, variances=None, edges=EDGES, **variations):
    """Of the half for the result."""
    made = {}
    for name, each in {NOMINAL: values, **variations}.items():
        filled = empty_histogram(edges)
        view = filled.view(flow=True)[1]
        view["value"][1:-1] = each
        view["variance"][1:-1] = np.abs(each) if variances is None else variances
        made["SR", name] = filled
    total = np.nansum(values) if sums is None else sums
    return Selected({}, np.array([0.0, total]), made)


SIGNAL, BACKGROUND = np.array([1.0, 2.0, 4.0, 8.0]), np.array([40.0, 30.0, 20.0, 10.0])


def templates(described, signal=SIGNAL, background=BACKGROUND, **variations):
    parts = parts_of(described)
    found = {"signal": selected(signal), "background": selected(background, **variations)}
    return make_templates(described, [(part, found[part.sample]) for part in parts])


def test_a_cross_section_normalises_to_the_luminosity():
    made = templates(analysis())
    values, variances = contents(made.nominal("SR", "background"))
    # luminosity * cross-section events in all, whatever was generated
    assert values == pytest.approx(200 * BACKGROUND / 100)
    assert variances == pytest.approx(values * 2)
    assert contents(made.nominal("SR", "signal"))[0] == pytest.approx(0.5 * SIGNAL)
    given = Input(
        files=("b.root",), cross_section=2.0, k_factor=1.5, generated=1000, luminosity=10
    )
    samples = {**analysis().samples, "background": Sample(inputs=(given,))}
    values, _ = contents(templates(analysis(samples=samples)).nominal("SR", "background"))
    assert values == pytest.approx(BACKGROUND * 10 * 2 * 1.5 / 1000)


def test_final_bins_are_sums_of_fine_ones():
    made = templates(analysis(binning=Binning(edges=(0, 1, 4))))
    assert contents(made.nominal("SR", "signal"))[0] == pytest.approx([0.5, 7.0])
    fine = selected(SIGNAL)
    fine.histograms["SR", NOMINAL].view(flow=True)[1]["value"][[0, -1]] = 10, 100
    parts = parts_of(analysis())[:1]
    for overflow, expected in ((False, [1.0, 2.0]), (True, [6.5, 56.0])):
        described = analysis(binning=Binning(edges=(1, 2, 3), overflow=overflow))
        values, _ = contents(make_templates(described, [(parts[0], fine)]).nominal("SR", "signal"))
        assert values == pytest.approx(expected)
    with pytest.raises(ValueError, match=r"region SR, signal: the histogram has no edge 2\.5"):
        templates(analysis(binning=Binning(edges=(0, 2.5, 4))))


def test_templates_merge():
    made = templates(analysis())
    twice = made + made
    assert contents(twice.nominal("SR", "signal"))[0] == pytest.approx(SIGNAL)


def halves_of(seed=1):
    """Signal and background in two halves of different contents, finely binned."""
    rng = np.random.default_rng(seed)
    made = {}
    for name, mean in (("signal", 3.0), ("background", 1.0)):
        filled = empty_histogram(np.linspace(0, 4, 41))
        filled.fill(rng.integers(0, 2, 20000), rng.normal(mean, 0.5, 20000) % 4, weight=1.0)
        sums = filled.view()["value"].sum(axis=1)
        made[name] = Selected({}, sums, {("SR", NOMINAL): filled})
    return made


def test_the_half_that_chose_the_bins_makes_no_template():
    binning = Binning(bins=4, range=(0, 4), fine=40, method="significance", least_background=5)
    described = analysis(binning=binning)
    halves = halves_of()
    made = make_templates(described, [(p, halves[p.sample]) for p in parts_of(described)])
    edges = made.nominal("SR", "background").axes["x"].edges
    assert 2 < len(edges) <= 5
    for name, total in (("signal", 0.5 * 20000), ("background", 200)):
        used = halves[name].histograms["SR", NOMINAL].view()["value"][RESULT]
        at = np.searchsorted(np.linspace(0, 4, 41), edges - 1e-9)
        expected = np.add.reduceat(used, at[:-1]) * total / used.sum()  # as if without halves
        values, variances = contents(made.nominal("SR", name))
        assert values == pytest.approx(expected)
        assert variances == pytest.approx(expected * total / used.sum())


def test_only_the_half_that_chooses_decides_the_bins():
    """Turned around it chooses others; whatever is in the other half, the bins stay."""
    binning = Binning(bins=4, range=(0, 4), fine=40, method="significance", least_background=5)
    described = analysis(binning=binning)
    edges = []
    for half in (None, RESULT, CHOOSING):
        halves = halves_of()
        for each in halves.values() if half is not None else ():
            view = each.histograms["SR", NOMINAL].view()
            view["value"][half] = view["value"][half][::-1] ** 1.01
        made = make_templates(described, [(p, halves[p.sample]) for p in parts_of(described)])
        edges.append(made.nominal("SR", "signal").axes["x"].edges.tolist())
    assert edges[0] == edges[1] != edges[2]


def test_bins_are_chosen_with_the_analysis_own_systematics():
    """A background that is hardly known where the signal is thickest is left aside in a bin."""
    edges = np.linspace(0, 4, 5)
    signal, background = np.array([1.0, 6.0, 6.0, 1.0]), np.full(4, 100.0)
    shifted = background * [1.0, 1.9, 1.0, 1.0]

    def filled(**templates):
        made = {}
        for name, each in templates.items():
            histogram = empty_histogram(edges)
            histogram.view()["value"] = histogram.view()["variance"] = each
            made["SR", name.replace("_", "/")] = histogram
        sums = np.full(2, made["SR", NOMINAL].view()["value"][0].sum())
        return Selected({}, sums, made)

    def chosen(**changes):
        binning = Binning(bins=2, range=(0, 4), fine=4, method="significance")
        described = analysis(binning=binning, **changes)
        found = {"signal": filled(nominal=signal), "background": filled(nominal=background)}
        if described.systematics:
            found["background"] = filled(nominal=background, shape_up=shifted)
        made = make_templates(described, [(p, found[p.sample]) for p in parts_of(described)])
        return made.nominal("SR", "signal").axes["x"].edges.tolist()

    # without it the two bins of the signal belong together, with it the one that is known stands
    assert 1.0 in chosen() or 3.0 in chosen()
    assert 2.0 not in chosen()
    shape = WeightVariation(up="1", samples=("background",))
    assert 2.0 in chosen(systematics={"shape": shape})


def test_a_normalised_variation_changes_acceptance_but_no_cross_section():
    """Factors of 1.2 on all events, 1.5 on those that are selected."""
    for normalise, expected in ((False, 1.5), (True, 1.5 / 1.2)):
        variation = WeightVariation(up="1.5", samples=("background",), normalise=normalise)
        described = analysis(systematics={"pdf": variation})
        each = selected(BACKGROUND, sums=400.0, **{"pdf/up": 1.5 * BACKGROUND})
        kept = {"pdf/up": np.array([0.0, 1.2 * 400])} if normalise else {}
        found = {"signal": selected(SIGNAL), "background": replace(each, varied_sums=kept)}
        made = make_templates(described, [(p, found[p.sample]) for p in parts_of(described)])
        nominal, up = (
            contents(made.predicted["SR", "background", name])[0] for name in (NOMINAL, "pdf/up")
        )
        assert up == pytest.approx(expected * nominal)
    found["background"] = replace(each, varied_sums={"pdf/up": np.array([0.0, -3.0])})
    with pytest.raises(ValueError, match=r"pdf: the weights of all events .* up add up to -3, ex"):
        make_templates(described, [(p, found[p.sample]) for p in parts_of(described)])


def test_a_variation_that_is_missing_is_named():
    described = analysis(
        systematics={"pu": WeightVariation(up="1.1", down="0.9", samples=("background",))}
    )
    up = {"pu/up": BACKGROUND}
    message = "systematic pu: its variation down is missing for sample background in region SR"
    with pytest.raises(ValueError, match=message):
        templates(described, **up)
    made = templates(described, **up, **{"pu/down": 2 * BACKGROUND})
    assert contents(made.predicted["SR", "background", "pu/down"])[0].sum() == pytest.approx(400)


def test_one_side_is_mirrored_and_other_files_stand_in():
    described = analysis(
        systematics={"parton": InputVariation(samples=("background",), up=(Input(
            files=("other.root",), cross_section=2.0),))}
    )  # fmt: skip
    parts = parts_of(described)
    assert [part.variation for part in parts] == [NOMINAL, NOMINAL, "parton/up"]
    flat = selected(np.array([35.0, 30.0, 20.0, 15.0]))
    found = [selected(SIGNAL), selected(BACKGROUND), flat]
    made = make_templates(described, list(zip(parts, found, strict=True)))
    up, down = (
        contents(made.predicted["SR", "background", f"parton/{s}"])[0] for s in ("up", "down")
    )
    assert up == pytest.approx([70, 60, 40, 30])
    assert (up + down) / 2 == pytest.approx(contents(made.nominal("SR", "background"))[0])


@pytest.fixture
def root_file(tmp_path):
    def write(**histograms):
        path = tmp_path / "h.root"
        with uproot.recreate(path) as file:
            for name, each in histograms.items():
                made = hist.Hist(hist.axis.Variable(EDGES), storage=hist.storage.Weight())
                made.view()["value"], made.view()["variance"] = each, np.abs(each)
                file[name] = made
        return str(path)

    return write


def test_histograms_of_others_with_their_variations(root_file):
    path = root_file(m=BACKGROUND, n=SIGNAL, m_up=2 * BACKGROUND, n_up=3 * SIGNAL)
    described = analysis(
        binning=Binning(),
        regions={"SR": Region(histogram=("m", "n"))},
        systematics={"jes": HistogramVariation(up="{}_up")},
    )
    names = histogram_names(described, "background", Input(files=("x",)), unblind=False)
    assert names == {("SR", NOMINAL): ("m", "n"), ("SR", "jes/up"): ("m_up", "n_up")}
    found = select_histograms(names, [path])
    assert contents(found.histograms["SR", NOMINAL][1, :])[0] == pytest.approx(BACKGROUND + SIGNAL)
    up = contents(found.histograms["SR", "jes/up"][1, :])[0]
    assert up == pytest.approx(2 * BACKGROUND + 3 * SIGNAL)
    with pytest.raises(
        ValueError, match=r"region SR, systematic jes: no histogram 'm_u'; .* m_up"
    ):
        select_histograms({("SR", "jes/up"): ("m_u",)}, [path])
    with pytest.raises(ValueError, match=r"'m': contents or errors that are NaN"):
        select_histograms({("SR", NOMINAL): ("m",)}, [root_file(m=np.array([1.0, np.nan, 1, 1]))])


def test_all_kinds_of_modifiers_make_a_workspace_of_pyhf():
    import pyhf

    described = analysis(
        systematics={
            "lumi": Luminosity(size=0.02),
            "norm": Normalisation(samples=("background",), up=1.2, down=0.85),
            "free": FreeNormalisation(samples=("background",), range=(0.0, 5.0)),
            "shape": WeightVariation(up="1.1", samples=("background",)),
            "parted": WeightVariation(up="1.1", samples=("background",), split=True),
        }
    )
    up = BACKGROUND * [1.3, 1.2, 1.1, 1.0]
    made = templates(described, **{"shape/up": up, "parted/up": up})
    content, pruned = make_workspace(described, made)
    assert pruned == []
    model = pyhf.Workspace(content).model()
    kinds = {
        (m["name"], m["type"]) for s in content["channels"][0]["samples"] for m in s["modifiers"]
    }
    assert kinds == {
        *(("mu", "normfactor"), ("lumi", "lumi"), ("norm", "normsys"), ("free", "normfactor")),
        *(("shape", "histosys"), ("parted", "normsys"), ("parted", "histosys")),
        ("staterror_SR", "staterror"),
    }
    assert model.config.poi_name == "mu"
    parameters = np.array(model.config.suggested_init())
    nominal = contents(made.nominal("SR", "background"))[0] + 0.5 * SIGNAL
    assert model.expected_actualdata(parameters) == pytest.approx(nominal)
    parameters[model.config.par_slice("parted")] = 1.0
    varied = contents(made.predicted["SR", "background", "parted/up"])[0] + 0.5 * SIGNAL
    # HistFactory multiplies the factor on the shifted shape: they agree to second order
    assert model.expected_actualdata(parameters) == pytest.approx(varied, rel=0.02)


def test_two_systematics_that_would_replace_each_other_are_refused():
    alike = {
        name: WeightVariation(up="1.1", samples=("background",), parameter="scale")
        for name in ("one", "two")
    }
    described = analysis(systematics=alike)
    made = templates(described, **{f"{name}/up": BACKGROUND * 1.1 for name in alike})
    with pytest.raises(ValueError, match=r"SR, sample background: two systematics of the param"):
        make_workspace(described, made)


def test_closed_data_are_stood_for_by_the_prediction():
    made = templates(analysis())
    content, _ = make_workspace(analysis(), made)
    total = contents(made.nominal("SR", "background"))[0] + 0.5 * SIGNAL
    assert content["observations"][0]["data"] == pytest.approx(total)
    assert content["measurements"][0]["name"] == "measurement_blinded"
    assert is_blinded(content)
    opened, _ = make_workspace(
        analysis(), replace(made, observed={"SR": made.nominal("SR", "signal")})
    )
    assert opened["measurements"][0]["name"] == "measurement"
    assert not is_blinded(opened)


@pytest.mark.parametrize(
    ("background", "message"),
    [
        ([40, -1, 20, 10], r"region SR, sample background, bin 1 \(1 to 2\): -2\.9 events, a"),
        ([40, np.nan, 20, 10], r"sample background, bin 1 .*: nan, expected a finite number"),
        ([40, 0, 20, 10], r"region SR, bin 1 \(1 to 2\): no background \(1 such bins\); merge it"),
    ],
)  # fmt: skip
def test_bad_bins_are_named(background, message):
    with pytest.raises(ValueError, match=message):
        make_workspace(analysis(), templates(analysis(), background=np.array(background, float)))


def test_empty_templates_are_named_or_dropped():
    described = analysis(
        samples={**analysis().samples, "rare": Sample(inputs=(Input(files=("r.root",)),))}
    )
    parts = parts_of(described)
    found = {"signal": selected(SIGNAL), "background": selected(BACKGROUND)}
    found["rare"] = selected(np.zeros(4), sums=100.0)
    made = make_templates(described, [(part, found[part.sample]) for part in parts])
    with pytest.raises(ValueError, match="region SR, sample rare: the template is empty"):
        make_workspace(described, made)
    content, _ = make_workspace(replace(described, templates=Templating(empty="drop")), made)
    assert [each["name"] for each in content["channels"][0]["samples"]] == ["background", "signal"]


def test_negative_bins_may_be_taken_for_empty_ones():
    described = analysis(
        samples={**analysis().samples, "rare": Sample(inputs=(Input(files=("r.root",)),))},
        templates=Templating(negative="zero"),
    )
    found = {"signal": selected(SIGNAL), "background": selected(BACKGROUND)}
    found["rare"] = selected(np.array([3.0, -1.0, 2.0, 1.0]))
    parts = parts_of(described)
    made = make_templates(described, [(part, found[part.sample]) for part in parts])
    content, _ = make_workspace(described, made)
    assert content["channels"][0]["samples"][1]["data"] == [3.0, 0.0, 2.0, 1.0]
    # figures and tables are of the same template, and tell what it gained
    assert contents(made.nominal("SR", "rare"))[0].tolist() == [3.0, 0.0, 2.0, 1.0]
    assert made.raised == {("SR", "rare"): 1.0}
    assert (made + made).raised == {("SR", "rare"): 2.0}


def test_weights_that_add_up_to_nothing():
    with pytest.raises(ValueError, match="sample background, b.root: the weights .* add up to -5"):
        make_templates(analysis(), [(parts_of(analysis())[1], selected(BACKGROUND, sums=-5.0))])


def test_covariance_before_the_fit_is_that_of_the_parameters():
    described = analysis(
        systematics={
            "norm": Normalisation(samples=("background",), size=0.1),
            "lumi": Luminosity(size=0.02),
        }
    )
    made = templates(described)
    b, b_variance = contents(made.nominal("SR", "background"))
    s, s_variance = contents(made.nominal("SR", "signal"))
    expected = np.diag(b_variance + s_variance)
    expected += np.outer(0.1 * b, 0.1 * b) + np.outer(0.02 * (s + b), 0.02 * (s + b))
    assert prefit_covariance(described, made, "SR") == pytest.approx(expected)


def banded(prune=None, up=BACKGROUND * 1.02, **options):
    """Systematic part of the band of the background, of one weight variation."""
    shape = WeightVariation(up="1", samples=("background",), **options)
    described = analysis(
        systematics={"shape": shape},
        templates=Templating(mc_statistics=False, prune=prune or Pruning()),
    )
    made = templates(described, **{"shape/up": up})
    return np.sqrt(np.diag(prefit_covariance(described, made, "SR"))), made


def test_the_band_before_the_fit_is_without_what_is_pruned():
    band, made = banded()
    assert band == pytest.approx(0.02 * contents(made.nominal("SR", "background"))[0])
    assert banded(Pruning(normalisation=0.03))[0] == pytest.approx(0)
    # of a change of yield and shape the part is left that the model has
    tilted = BACKGROUND * [1.2, 1.1, 0.9, 0.8]
    b = 2 * BACKGROUND
    change = tilted.sum() / BACKGROUND.sum()
    parted, _ = banded(Pruning(normalisation=0.5), up=tilted)
    up, down = (2 * each / each.sum() * 100 for each in (tilted, 2 * BACKGROUND - tilted))
    assert parted == pytest.approx(np.abs(up - down) / 2)
    assert banded(up=tilted, use="normalisation")[0] == pytest.approx((change - 1) * b)


def test_an_empty_variation_has_a_band_or_a_message_but_no_nan():
    band, made = banded(up=0 * BACKGROUND)
    assert band == pytest.approx(contents(made.nominal("SR", "background"))[0])
    with pytest.raises(ValueError, match=r"region SR, sample background, systematic shape: its y"):
        banded(up=0 * BACKGROUND, use="shape")
