"""Selection and variations: against Awkward Array by hand, piece by piece, and again."""

import awkward as ak
import numpy as np
import pytest
from helpers.analysis_files import events as tree_of
from helpers.analysis_files import write_events

from fivesigma.datasets import split_of
from fivesigma.formats import open_file, read
from fivesigma.search.selected import CHOOSING, RESULT, Selected
from fivesigma.search.selection import Filling, Selecting
from fivesigma.search.variations import Variation, changed, smeared

EDGES = (0.0, 0.25, 0.5, 0.75, 1.0)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("events") / "events.root"
    write_events(path, tree_of(1500, 1))
    return path


@pytest.fixture(scope="module")
def events(path):
    return read(path)


def selecting(**changes):
    options = {
        "objects": {"jets": "pt > 25"},
        "define": {"bjets": "jets[jets.btag > 0.7]", "ht": "sum(jets.pt)"},
        "cuts": {"one muon": "count(muons.pt > 25) == 1", "two jets": "len(jets) >= 2"},
        "regions": {
            "SR": Filling("len(bjets) >= 1", "event.score", EDGES),
            "CR": Filling("len(bjets) == 0", "ht", (0.0, 100.0, 200.0, 1000.0)),
        },
        "weight": "event.weight",
    }
    return Selecting(**{**options, **changes})


def number(n):
    return np.arange(n, dtype=np.uint64)


def values(selected, region, variation="nominal"):
    return selected.histograms[region, variation].view()["value"][1]


def by_hand(events):
    jets = events.jets[events.jets.pt > 25]
    kept = (ak.sum(events.muons.pt > 25, axis=1) == 1) & (ak.num(jets) >= 2)
    b = ak.sum(jets.btag > 0.7, axis=1) >= 1
    return jets, ak.to_numpy(kept), ak.to_numpy(b)


def test_cutflow_and_histograms_are_those_by_hand(events):
    found = selecting()(events, number(len(events)))
    jets, kept, b = by_hand(events)
    weight = ak.to_numpy(events.event.weight)
    for name, passed in {
        "all events": np.ones(len(events), bool),
        "two jets": kept,
        "region SR": kept & b,
    }.items():
        expected = [passed.sum(), weight[passed].sum(), (weight[passed] ** 2).sum()]
        assert found.cutflow[name] == pytest.approx(expected)
    score = ak.to_numpy(events.event.score)[kept & b]
    expected = np.histogram(score, EDGES, weights=weight[kept & b])[0]
    assert values(found, "SR")[:4] == pytest.approx(expected, rel=1e-6)
    variance = found.histograms["SR", "nominal"].view()["variance"][1]
    squares = np.histogram(score, EDGES, weights=weight[kept & b] ** 2)[0]
    assert variance == pytest.approx(squares, rel=1e-6)
    ht = ak.to_numpy(ak.sum(jets.pt, axis=1))[kept & ~b]
    expected = np.histogram(ht, [0, 100, 200, 1000], weights=weight[kept & ~b])[0]
    assert values(found, "CR") == pytest.approx(expected, rel=1e-6)
    assert found.sum_of_weights.tolist() == pytest.approx([0, weight.sum()])


def test_pieces_add_up_to_the_whole(events):
    do = selecting(
        variations={
            "jes/up": Variation({"jets.pt": "jets.pt * 1.1"}),
            "jer/up": Variation({"jets.pt": "0.2"}, smear=True),
        },
        factors={"pu/up": "event.pileup"},
        halves=True,
    )
    whole = do(events, number(len(events)))
    parts = [do(events[a:b], number(len(events))[a:b]) for a, b in [(0, 7), (7, 900), (900, 1500)]]
    total = parts[0] + Selected.from_bytes(parts[1].to_bytes()) + parts[2]
    assert total.histograms.keys() == whole.histograms.keys()
    for key, each in whole.histograms.items():
        assert np.allclose(
            total.histograms[key].view(flow=True)["value"], each.view(flow=True)["value"]
        )
        assert np.allclose(total.histograms[key].variances(), each.variances())
    for cut, each in whole.cutflow.items():
        assert total.cutflow[cut] == pytest.approx(each)
    assert total.sum_of_weights == pytest.approx(whole.sum_of_weights)
    assert 0.4 < whole.sum_of_weights[0] / whole.sum_of_weights.sum() < 0.6


def test_object_variations_run_the_selection_again(events):
    do = selecting(variations={"jes/up": Variation({"jets.pt": "jets.pt * 1.2"})})
    found = do(events, number(len(events)))
    scaled = ak.with_field(events, events.jets.pt * np.float32(1.2), ["jets", "pt"])
    again = selecting()(scaled, number(len(events)))
    for region in ("SR", "CR"):
        assert values(found, region, "jes/up") == pytest.approx(values(again, region))
    assert values(found, "SR", "jes/up").sum() > 1.05 * values(found, "SR").sum()


def test_weight_variations_multiply_the_weight(events):
    found = selecting(factors={"pu/up": "1.5"})(events, number(len(events)))
    assert values(found, "SR", "pu/up") == pytest.approx(1.5 * values(found, "SR"))


def test_a_normalised_weight_variation_keeps_the_sum_over_all_events(events):
    """Before the selection: what passes may still change."""
    factors = {"pdf/up": "1.5 + event.score", "pdf/down": "1"}
    do = selecting(factors=factors, normalised=("pdf/up",), halves=True)
    found = do(events, number(len(events)))
    weight, factor = ak.to_numpy(events.event.weight), 1.5 + ak.to_numpy(events.event.score)
    assert found.varied_sums.keys() == {"pdf/up"}
    assert found.varied_sums["pdf/up"].sum() == pytest.approx((weight * factor).sum())
    parts = [do(events[a:b], number(len(events))[a:b]) for a, b in [(0, 700), (700, 1500)]]
    total = Selected.from_bytes(parts[0].to_bytes()) + parts[1]
    assert total.varied_sums["pdf/up"] == pytest.approx(found.varied_sums["pdf/up"])
    assert values(found, "SR", "pdf/up").sum() > values(found, "SR").sum()  # not normalised here


def test_every_event_is_in_one_of_the_halves(events):
    do, n = selecting(halves=True), number(len(events))
    found, whole = do(events, n), selecting()(events, n)
    chosen = split_of(n, (0.5, 0.0, 0.5)) == 0
    for half, rows in ((CHOOSING, chosen), (RESULT, ~chosen)):
        alone = selecting()(events[rows], n[rows])
        for key, each in found.histograms.items():
            expected = alone.histograms[key].view(flow=True)["value"][RESULT]
            assert each.view(flow=True)["value"][half] == pytest.approx(expected)
    for key, each in whole.histograms.items():
        both = found.histograms[key].view(flow=True)["value"].sum(axis=0)
        assert both == pytest.approx(each.view(flow=True)["value"][RESULT])


@pytest.fixture
def with_met():
    """Two events, of two jets and of none."""
    jets = ak.zip({"pt": [[50.0, 40.0], []], "phi": [[0.0, np.pi / 2], []]})
    met = ak.zip({"pt": [30.0, 10.0], "phi": [np.pi, 1.0]})
    return ak.zip({"jets": jets, "met": met}, depth_limit=1)


def test_objects_come_in_their_order_again_where_wanted(with_met):
    change = {"jets.pt": "jets.pt * where(jets.phi > 1, 2, 1)"}
    n = number(2)
    assert Variation(change)(with_met, n).jets.pt.tolist() == [[50, 80], []]
    again = Variation(change, sort=True)(with_met, n)
    assert again.jets.pt.tolist() == [[80, 50], []]
    assert again.jets.phi[0].tolist() == [np.pi / 2, 0]


def test_missing_momentum_loses_what_objects_gain(with_met):
    """pt 30 at -x: jets that gain 5 along x and 4 along y leave (-35, -4)."""
    n = number(2)
    change = {"jets.pt": "jets.pt * 1.1"}
    assert ak.all(Variation(change)(with_met, n).met.pt == with_met.met.pt)
    met = Variation(change, propagate=True)(with_met, n).met
    assert met.pt.tolist() == pytest.approx([np.hypot(35, 4), 10])
    assert met.phi.tolist() == pytest.approx([np.arctan2(-4, -35), 1.0])
    x, y = (
        f"(met.pt * {f}(met.phi) - 0.1 * sum(jets.pt * {f}(jets.phi)))" for f in ("cos", "sin")
    )
    change |= {"met.pt": f"hypot({x}, {y})", "met.phi": f"arctan2({y}, {x})"}
    by_expression = Variation(change)(with_met, n).met
    assert by_expression.pt.tolist() == pytest.approx(met.pt.tolist())
    assert by_expression.phi.tolist() == pytest.approx(met.phi.tolist())
    smeared_too = Variation({"jets.pt": "0.3"}, smear=True, propagate=True)(with_met, n)
    assert smeared_too.met.pt[0] != 30
    gain = ak.sum((smeared_too.jets.pt - with_met.jets.pt) * np.cos(with_met.jets.phi), axis=1)
    px = smeared_too.met.pt * np.cos(smeared_too.met.phi)
    assert px.tolist() == pytest.approx((-30 - gain[0], 10 * np.cos(1.0)))


def test_what_is_propagated_is_read():
    do = selecting(variations={"jes/up": Variation({"taus.pt": "taus.pt * 2"}, propagate=True)})
    fields = ["event.score", "met.pt", "met.phi", "met.sum_et", "taus.pt", "taus.phi", "taus.eta"]
    assert {"met.pt", "met.phi", "taus.pt", "taus.phi"} <= set(do.reads(fields))
    assert not {"met.sum_et", "taus.eta"} & set(do.reads(fields))


def test_only_what_is_used_is_read(path):
    with open_file(path) as source:
        names = selecting(define={"bjets": "sort(jets, jets.btag)", "ht": "1"}).reads(
            source.fields
        )
    assert names == [
        *("event.score", "event.weight"),
        *("jets.btag", "jets.eta", "jets.mass", "jets.phi", "jets.pt"),
        *("muons.pt",),
    ]


def test_where_says_which_events_are_the_inputs(events):
    found = selecting(where="event.score > 0.5")(events, number(len(events)))
    chosen = events[events.event.score > 0.5]
    assert found.cutflow["all events"][0] == len(chosen)
    assert found.sum_of_weights[1] == pytest.approx(ak.sum(chosen.event.weight))


def test_all_changed_values_are_of_the_nominal_ones(events):
    made = changed(events, {"jets.pt": "jets.pt * 2", "jets.mass": "jets.pt"})
    assert ak.all(made.jets.mass == events.jets.pt)
    assert ak.all(made.jets.pt == 2 * events.jets.pt)
    assert ak.all(made.jets.px == made.jets.pt * np.cos(made.jets.phi))  # still momenta


def test_smearing_is_gaussian_and_the_same_for_the_same_event(events):
    made = smeared(events, {"jets.pt": "0.1"}, number(len(events)))
    ratio = ak.to_numpy(ak.flatten(made.jets.pt / events.jets.pt)) - 1
    assert abs(ratio.mean()) < 4 * 0.1 / np.sqrt(ratio.size)
    assert ratio.std() == pytest.approx(0.1, rel=0.05)
    assert abs(np.mean(ratio**4) / ratio.var() ** 2 - 3) < 0.4
    kept = events.event.score > 0.5
    part = smeared(events[kept], {"jets.pt": "0.1"}, number(len(events))[ak.to_numpy(kept)])
    assert ak.all(part.jets.pt == made.jets.pt[kept])
    other = smeared(events, {"jets.pt": "0.1"}, number(len(events)), salt=1)
    assert not ak.all(other.jets.pt == made.jets.pt)
    one = smeared(events, {"event.pileup": "0.1"}, number(len(events)))
    assert ak.std(one.event.pileup / events.event.pileup) == pytest.approx(0.1, rel=0.1)


def test_validation_regions_may_share_events(events):
    regions = {
        "SR": Filling("", "ht", EDGES),
        "VR": Filling("len(jets) > 2", "ht", EDGES, fitted=False),
    }
    found = selecting(regions=regions)(events, number(len(events)))
    assert 0 < found.cutflow["region VR"][0] < found.cutflow["region SR"][0]


def test_collections_are_smeared_apart_and_fields_of_one_together(events):
    widths = {"jets.pt": "0.1", "jets.mass": "0.1", "muons.pt": "0.1"}
    made = smeared(events, widths, number(len(events)))
    of = {
        (each, field): ak.to_numpy((made[each][field] / events[each][field])[:, 0])
        for each, field in (("jets", "pt"), ("jets", "mass"), ("muons", "pt"))
    }
    assert of["jets", "mass"] == pytest.approx(of["jets", "pt"], rel=1e-5)
    correlation = np.corrcoef(of["jets", "pt"], of["muons", "pt"])[0, 1]
    assert abs(correlation) < 4 / np.sqrt(len(events))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": "1 / (event.event - 3)"}, "weight '1 / .*infinite for 1 of 1500 .* number 3"),
        ({"weight": "jets.pt"}, "expected one number an event, got"),
        ({"regions": {"SR": Filling("", "jets[4].pt", EDGES)}},
         "region SR: discriminant 'jets.4..pt': absent, NaN or infinite for"),
        ({"regions": {"SR": Filling("", "ht", EDGES), "CR": Filling("ht > 90", "ht", EDGES)}},
         r"regions SR and CR have \d+ events in common, which the fit would count twice"),
        ({"objects": {"jet": "pt > 3"}}, "objects.jet: no such collection; choose from"),
        ({"cuts": {"b": "count(jets.btg > 1) > 0"}}, "cut 'b': unknown field 'btg'.*btag"),
        ({"factors": {"pu/up": "event.pileip"}}, "unknown field 'pileip'"),
        ({"variations": {"jes/up": Variation({"jets.pt": "muons.pt"})}},
         "systematic jes/up: jets.pt: 'muons.pt' does not give one number for each"),
        ({"variations": {"jes/up": Variation({"jets.ptt": "1"})}},
         "systematic jes/up: no field 'jets.ptt' to vary; did you mean pt"),
        ({"variations": {"jes/up": Variation({"jets": "1"})}}, "name the field that varies"),
    ],
)  # fmt: skip
def test_mistakes_say_where(events, changes, message):
    with pytest.raises(ValueError, match=message):
        selecting(**changes)(events, number(len(events)))


def test_closed_data_are_not_counted_whole_where_no_cut_is_before_the_regions(events):
    """All events less those of the open regions would be those of the closed one."""
    open_region = {"CR": Filling("len(bjets) == 0", "ht", (0.0, 100.0, 1000.0))}
    for cuts in ({}, {"two jets": "len(jets) >= 2"}):
        for closed in (False, True):
            chosen = selecting(cuts=cuts, regions=open_region, closed=closed)
            told = chosen(events, number(len(events))).cutflow
            assert ("all events" in told) == (bool(cuts) or not closed)
            assert "region CR" in told
