"""Analyses from files to the workspace and beyond: the same numbers, kept, resumed, blinded."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import awkward as ak
import numpy as np
import pyhf
import pytest
import uproot
import yaml
from helpers import analysis_files
from helpers.analysis_files import described, write_samples
from scipy.stats import norm

from fivesigma.datasets import split_of
from fivesigma.formats import read
from fivesigma.formats.containers.root import read_histograms
from fivesigma.plots.style import canvas
from fivesigma.results import Number, Result, Table
from fivesigma.search.selected import Selected
from fivesigma.workflows import findings, inference, selecting
from fivesigma.workflows.analyse import analyse, select, templates

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    write_samples(folder)
    return folder


@pytest.fixture
def config(files, tmp_path):
    def write(**changes):
        path = tmp_path / "toy.yaml"
        path.write_text(yaml.safe_dump({**described(files), **changes}, sort_keys=False))
        return path

    return write


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    """An empty figure for each region: drawing them takes longer than all else."""
    monkeypatch.setattr(findings, "stack", lambda *_, **__: canvas()[0])


@pytest.fixture
def pieces(monkeypatch):
    """The pieces that are selected, sample by sample."""
    done = []
    one = selecting._one_piece

    def noted(piece):
        done.append(piece[0].part.sample)
        return one(piece)

    monkeypatch.setattr(selecting, "_one_piece", noted)
    return done


def workspace(folder):
    return json.loads((folder / "templates" / "workspace.json").read_text())


def significances(content):
    """Observed and expected discovery significance by plain pyhf."""
    pyhf.set_backend("numpy", "minuit")
    space = pyhf.Workspace(content)
    model = space.model()
    found = pyhf.infer.hypotest(
        0.0, space.data(model), model, test_stat="q0", return_expected=True
    )
    return [float(norm.isf(float(p))) for p in found]


def test_the_four_lepton_model_is_that_of_the_reference(real_data, tmp_path, monkeypatch):
    monkeypatch.setenv("FIVESIGMA_REAL_DATA", str(real_data))
    found = templates(ROOT / "configs" / "cms-higgs-4l.yaml", out=tmp_path / "4l", quiet=True)
    values = {name: each.value for name, each in found.numbers.items()}
    assert values["yields/4l/data"] == 102
    content = workspace(tmp_path / "4l")
    window = slice(17, 20)  # 121 to 130 GeV
    samples = {each["name"]: each for each in content["channels"][0]["samples"]}
    background = np.array(samples["ZZ"]["data"]) + np.array(samples["other"]["data"])
    assert background[window].sum() == pytest.approx(4.66, abs=0.005)
    assert sum(samples["signal"]["data"][window]) == pytest.approx(8.20, abs=0.005)
    assert sum(content["observations"][0]["data"][window]) == 12
    observed, expected = significances(content)
    assert (observed, expected) == pytest.approx((3.08, 3.27), abs=0.01)
    # 20 % more signal is expected to stand out more, but the data are what they are; more
    # background makes them stand out less
    shifts = {"signal": (0.0, 0.4), "ZZ": (-0.2, -0.1), "other": (-0.03, -0.015)}
    for name, least in shifts.items():
        samples[name]["data"] = [1.2 * each for each in samples[name]["data"]]
        moved = np.array(significances(content)) - (observed, expected)
        samples[name]["data"] = [each / 1.2 for each in samples[name]["data"]]
        for shift, size in zip(moved, least, strict=True):
            if size:
                assert 1 <= shift / size <= 1.5, (name, moved)
            else:
                assert abs(shift) < 1e-3, (name, moved)


@pytest.mark.slow
def test_one_command_gives_the_reference_answers(real_data, tmp_path, monkeypatch):
    monkeypatch.setenv("FIVESIGMA_REAL_DATA", str(real_data))
    out = tmp_path / "4l"
    analyse(ROOT / "configs" / "cms-higgs-4l.yaml", out=out, quiet=True)
    found = {k: v["value"] for k, v in json.loads((out / "results.json").read_text()).items()}
    assert found["z_observed"] == pytest.approx(3.08, abs=0.03)
    assert found["z_expected"] == pytest.approx(3.27, abs=0.03)
    reference = {"mu": 0.89, "mu_limit_observed": 1.70, "mu_limit_expected": 0.66}
    reference |= {"mu_limit_expected_minus2": 0.31, "mu_limit_expected_plus2": 1.58}
    for name, value in reference.items():
        assert found[name] == pytest.approx(value, rel=0.02), name
    page = (out / "report.html").read_text()
    assert "Region 4l after the fit" in page and "observed significance" in page


@pytest.mark.slow
def test_closed_data_have_no_part_in_what_is_told(config, files, tmp_path):
    samples = described(files)["samples"]
    told = []
    for name, content in (("one", "data.root"), ("two", "signal.root")):
        samples["data"]["files"] = content
        only = {"SR": described(files)["regions"]["SR"]}
        analyse(config(samples=samples, regions=only), out=tmp_path / name, quiet=True)
        told.append(json.loads((tmp_path / name / "results.json").read_text()))
    assert {"z_expected", "mu_limit_expected"} < told[0].keys()
    assert not {"z_observed", "mu_limit_observed", "yields/SR/data"} & told[0].keys()
    for name in ("z_expected", "mu_limit_expected", "mu"):
        assert told[0][name] == told[1][name]
    assert "Region SR after the fit" not in (tmp_path / "one" / "report.html").read_text()


def test_three_channels_with_the_statistics_of_the_simulation(real_data, tmp_path, monkeypatch):
    monkeypatch.setenv("FIVESIGMA_REAL_DATA", str(real_data))
    config = ROOT / "configs" / "cms-higgs-4l-channels.yaml"
    templates(config, out=tmp_path / "channels", quiet=True)
    content = workspace(tmp_path / "channels")
    names = {m["name"] for c in content["channels"] for s in c["samples"] for m in s["modifiers"]}
    assert {"staterror_4mu", "staterror_4e", "staterror_2mu2e", "mu"} < names
    for channel in content["channels"]:
        for sample in channel["samples"]:
            sample["modifiers"] = [m for m in sample["modifiers"] if m["type"] != "staterror"]
    assert significances(content) == pytest.approx((2.94, 3.32), abs=0.01)


def test_selection_to_workspace_from_events(config, tmp_path):
    found = select(config(), out=tmp_path / "out", unblind=True, quiet=True)
    total = found.numbers["cutflow/top/all events"]
    assert total.value == pytest.approx(400)  # cross-section times luminosity
    assert total.uncertainty == pytest.approx(400 / np.sqrt(4000), rel=0.02)
    raw = dict((row[0], row[2:]) for row in found.tables["Events in the files"].rows)
    assert raw["all events"][0] == Number(3000, np.sqrt(3000))
    made = templates(config(), out=tmp_path / "out", unblind=True, quiet=True)
    assert made.numbers["yields/SR/data"].value + made.numbers["yields/CR/data"].value < 900
    content = workspace(tmp_path / "out")
    model = pyhf.Workspace(content).model()
    assert {"jes", "jer", "pileup", "lumi", "qcd_norm"} < set(model.config.par_order)
    stored = read_histograms(str(tmp_path / "out" / "templates" / "templates.root"))
    top = content["channels"][0]["samples"][1]
    assert stored["SR/top/nominal"].values() == pytest.approx(top["data"])
    assert np.sqrt(stored["SR/top/nominal"].variances()) == pytest.approx(
        next(m["data"] for m in top["modifiers"] if m["type"] == "staterror")
    )
    assert {"SR/top/jes/up", "SR/top/jer/down", "CR/data"} < stored.keys()


@pytest.mark.slow
def test_workers_do_not_change_the_result(config, tmp_path):
    templates(config(), out=tmp_path / "one", quiet=True)
    templates(config(), out=tmp_path / "two", workers=2, quiet=True)
    assert workspace(tmp_path / "one") == workspace(tmp_path / "two")


def test_only_what_changed_is_selected_again(config, tmp_path, pieces, files):
    out = tmp_path / "out"
    templates(config(), out=out, quiet=True)
    assert sorted(set(pieces)) == ["data", "qcd", "signal", "top"]
    pieces.clear()
    first = workspace(out)
    changes = described(files)
    changes["samples"]["top"]["cross_section"] = 0.8
    changes["systematics"]["qcd_norm"]["size"] = 0.5
    templates(config(**changes), out=out, quiet=True)
    assert pieces == []  # the normalisation is no part of the selection
    scaled = [each["channels"][0]["samples"][1]["data"] for each in (first, workspace(out))]
    assert np.array(scaled[1]) == pytest.approx(2 * np.array(scaled[0]))
    changes["samples"]["qcd"]["weight"] = "1.0"
    templates(config(**changes), out=out, quiet=True)
    assert set(pieces) == {"qcd"}
    pieces.clear()
    assert len(list(out.glob("select/*.npz"))) == 4  # nothing is kept that no step needs
    pieces.clear()
    templates(config(), out=out, quiet=True)
    assert set(pieces) == {"qcd"}
    assert workspace(out) == first


def test_another_order_of_the_cuts_is_another_cut_flow(config, files, tmp_path):
    cuts = described(files)["selection"]
    turned = {name: cuts[name] for name in reversed(cuts)}
    for selection in (cuts, turned):
        found = select(config(selection=selection), out=tmp_path / "out", quiet=True)
        rows = [row[0] for row in found.tables["Expected events"].rows]
        assert rows[:3] == ["all events", *selection]


def test_data_of_signal_regions_stay_closed(config, tmp_path):
    out = tmp_path / "out"
    found = templates(config(), out=out, quiet=True)
    assert "yields/SR/data" not in found.numbers
    assert "Data of SR are closed" in found.note
    assert "yields/CR/data" in found.numbers
    for path in out.glob("select/data-*.npz"):
        kept = Selected.from_bytes(path.read_bytes())
        assert {region for region, _ in kept.histograms} == {"CR"}
        # the common cuts less the open region would tell how many are in the closed one
        assert kept.cutflow.keys() == {"all events", "region CR"}
    stored = read_histograms(str(out / "templates" / "templates.root"))
    assert "SR/data" not in stored
    observed = {each["name"]: each["data"] for each in workspace(out)["observations"]}
    assert all(float(n).is_integer() for n in observed["CR"])
    assert not all(float(n).is_integer() for n in observed["SR"])
    assert workspace(out)["measurements"][0]["name"] == "measurement_blinded"
    templates(config(), out=out, unblind=True, quiet=True)
    opened = {each["name"]: each["data"] for each in workspace(out)["observations"]}
    assert all(float(n).is_integer() for n in opened["SR"])
    assert workspace(out)["measurements"][0]["name"] == "measurement"
    templates(config(), out=out, quiet=True)  # closed again: what was open is gone
    for path in out.glob("select/data-*.npz"):
        assert {r for r, _ in Selected.from_bytes(path.read_bytes()).histograms} == {"CR"}


def test_data_may_be_without_events_but_no_simulation(config, files, tmp_path):
    samples = described(files)["samples"]
    with uproot.recreate(tmp_path / "empty.root") as file:
        tree = analysis_files.events(5, 1)
        file.mktree("Events", {name: each[:0] for name, each in tree.items()})
    samples["data"]["files"] = str(tmp_path / "empty.root")
    found = select(config(samples=samples), out=tmp_path / "out", unblind=True, quiet=True)
    assert found.numbers["cutflow/data/all events"].value == 0
    assert f"No events of data in {tmp_path}/empty.root." in found.note
    made = templates(config(samples=samples), out=tmp_path / "out", unblind=True, quiet=True)
    assert made.numbers["yields/SR/data"].value == 0
    assert workspace(tmp_path / "out")["observations"][0]["data"] == [0.0] * 8
    samples["top"]["files"] = str(tmp_path / "empty.root")
    with pytest.raises(ValueError, match=r"sample top: .*empty\.root hold no events"):
        select(config(samples=samples), out=tmp_path / "out", unblind=True, quiet=True)


def test_events_added_to_negative_bins_are_told(config, files, tmp_path):
    samples = described(files)["samples"]
    samples["qcd"]["weight"] = "where(event.score > 0.5, -3, 1)"
    templating = {"negative": "zero"}
    out = tmp_path / "out"
    found = templates(config(samples=samples, templates=templating), out=out, quiet=True)
    added = found.numbers["raised/SR/qcd"].value
    assert added > 0
    rows = found.tables["Negative bins taken for empty ones"].rows
    assert rows == (("SR", "qcd", Number(added)),)
    qcd = next(s for s in workspace(out)["channels"][0]["samples"] if s["name"] == "qcd")
    assert min(qcd["data"]) == 0
    assert found.numbers["yields/SR/qcd"].value == pytest.approx(sum(qcd["data"]))
    stored = read_histograms(str(out / "templates" / "templates.root"))
    assert stored["SR/qcd/nominal"].values() == pytest.approx(qcd["data"])


@pytest.mark.slow
def test_a_killed_analysis_goes_on_where_it_stopped(config, files, tmp_path, pieces):
    out = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, analysis_files.__file__, files, out])
    try:
        deadline = time.monotonic() + 60
        while not list(out.glob("select/pieces-*/*.npz")):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    finished = len(list(out.glob("select/pieces-*/*.npz")))
    templates(config(), out=out, quiet=True)
    assert 1 <= finished <= 3
    assert len(pieces) == 4 - finished
    pieces.clear()
    templates(config(), out=tmp_path / "whole", quiet=True)
    assert len(pieces) == 4
    assert workspace(out) == workspace(tmp_path / "whole")


def test_a_folder_of_something_else_is_left_alone(config, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("text")
    with pytest.raises(ValueError, match="out exists and is no analysis; choose another folder"):
        templates(config(), out=tmp_path / "out", quiet=True)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("samples", "top", "weight"), "event.weight / (event.event - 5)",
         r"sample top, .*top\.root, events 0 to 4000: .*infinite for 1 of 4000 events"),
        (("samples", "top", "files"), "tpo.root", r"no file .*tpo\.root"),
        (("selection", "two jets"), "len(jets) >= 200", "sample qcd: the template is empty"),
        (("systematics", "pileup", "up"), "event.pileupp",
         r"sample qcd, .*no field 'event\.pileupp'; choose from event\.pileup"),
        (("systematics", "jes", "up"), {"jet.pt": "jets.pt"}, r"no field 'jet\.pt'"),
        (("discriminant",), "evnt.score", r"sample data, .*evnt"),
    ],
)  # fmt: skip
def test_mistakes_say_where(config, files, tmp_path, place, value, message):
    content = described(files)
    inner = content
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        templates(config(**content), out=tmp_path / "out", unblind=True, quiet=True)
    assert "\n" not in str(caught.value)


def test_bins_chosen_on_one_half_of_the_events(config, files, tmp_path):
    """Templates by hand from the other half alone, which stands for all events."""
    binning = {"bins": 6, "range": [0, 1], "method": "significance", "fine": 50}
    out = tmp_path / "out"
    templates(config(binning=binning), out=out, quiet=True)
    stored = read_histograms(str(out / "templates" / "templates.root"))
    edges = stored["SR/top/nominal"].axes[0].edges
    assert 3 <= len(edges) <= 7
    for sample, size in (("top", 0.4), ("signal", 0.2)):
        whole = read(files / f"{sample}.root")
        result = split_of(np.arange(len(whole), dtype=np.uint64), (0.5, 0.0, 0.5)) != 0
        assert 0.4 < result.mean() < 0.6
        jets = whole.jets[(whole.jets.pt > 25) & (abs(whole.jets.eta) < 2.4)]
        kept = (ak.sum(whole.muons.pt > 25, axis=1) == 1) & (ak.num(jets) >= 2)
        kept = ak.to_numpy(kept & ak.any(jets.btag > 0.7, axis=1)) & result
        weight = ak.to_numpy(whole.event.weight)
        filled = np.histogram(ak.to_numpy(whole.event.score)[kept], edges, weights=weight[kept])[0]
        expected = filled * 1000 * size / weight[result].sum()
        assert stored[f"SR/{sample}/nominal"].values() == pytest.approx(expected, rel=1e-6)
    assert significances(workspace(out))[1] > 0


def test_pruning_is_told(config, tmp_path):
    out = tmp_path / "out"
    pruned = config(templates={"prune": {"normalisation": 0.5, "shape": 0.5}})
    found = templates(pruned, out=out, quiet=True)
    left_out = {row[2] for row in found.tables["Left out"].rows}
    assert left_out == {"pileup", "jes", "jer"}
    names = {
        m["name"] for c in workspace(out)["channels"] for s in c["samples"] for m in s["modifiers"]
    }
    assert not names & left_out
    whole = json.loads((out / "templates" / "unpruned.json").read_text())
    assert left_out <= set(pyhf.Workspace(whole).model().config.par_order)


def test_samples_of_one_label_are_added_in_figures(config, files, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(findings, "stack", lambda *given, **_: shown.append(given) or canvas()[0])
    samples = described(files)["samples"]
    samples["qcd"]["label"] = samples["top"]["label"] = "Background"
    found = templates(config(samples=samples), out=tmp_path / "out", quiet=True)
    heights = shown[0][1]
    assert list(heights) == ["Background", "signal"]
    expected = sum(found.numbers[f"yields/SR/{name}"].value for name in ("qcd", "top"))
    assert heights["Background"].sum() == pytest.approx(expected)


@pytest.fixture
def called(monkeypatch):
    """A stand-in that counts what is called: the steps are tested here, not the fits."""
    calls = []

    def step(name, numbers):
        def run(workspace, out, **options):
            calls.append(name)
            assert pyhf.Workspace(json.loads(workspace.read_text())).model().config.poi_name
            figure, axes = canvas()
            axes.plot([0, 1], [0, len(calls)])
            table = Table(("a", "b"), (("x", Number(1.0, 0.5, "GeV")),), "below")
            return Result(name, numbers, {f"Figure of {name}": figure}, {"Table": table}, "note")

        return run

    for name, numbers in {
        "fit": {"mu": Number(0.9, 0.3)},
        "significance": {"z_expected": Number(3.0)},
        "limit": {"mu_limit_expected": Number(0.6)},
    }.items():
        monkeypatch.setattr(inference, name, step(name, numbers))
    as_it_is = "fivesigma.workflows.inferring.after_fit"
    monkeypatch.setattr(as_it_is, lambda analysis, out, fit, observed: fit)
    return calls


def test_finished_steps_are_kept(config, files, tmp_path, called, pieces):
    out = tmp_path / "out"
    first = analyse(config(), out=out, quiet=True)
    assert called == ["fit", "significance", "limit"]
    results = json.loads((out / "results.json").read_text())
    assert {"mu", "z_expected", "mu_limit_expected", "yields/SR/top"} < results.keys()
    assert "Figure of fit" in (out / "report.html").read_text()
    called.clear()
    pieces.clear()
    second = analyse(config(), out=out, quiet=True)
    assert called == pieces == []
    assert [each.title for each in second] == [each.title for each in first]
    for one, other in zip(first, second, strict=True):
        assert (one.numbers, one.tables, one.note) == (other.numbers, other.tables, other.note)
        assert one.figures.keys() == other.figures.keys()
    assert json.loads((out / "results.json").read_text()) == results
    assert "Figure of fit" in (out / "report.html").read_text()
    (out / "significance" / "step.json").write_text('{"key": ')  # killed while it was written
    analyse(config(), out=out, quiet=True)
    assert called == ["significance"]
    called.clear()
    analyse(config(axis="Score of the network"), out=out, quiet=True)
    assert called == ["fit"]  # its figures name the axis
    analyse(config(title="Other"), out=out, quiet=True)
    called.clear()
    larger = described(files)["systematics"]
    larger["qcd_norm"]["size"] = 0.5
    analyse(config(systematics=larger), out=out, quiet=True)
    assert called == ["fit", "significance", "limit"]
    assert pieces == []


def test_the_effect_of_pruning_is_told(config, tmp_path, called):
    path = config(templates={"prune": {"normalisation": 0.5, "shape": 0.5}})
    analyse(path, out=tmp_path / "out", quiet=True)
    assert called.count("significance") == 3
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {"z_expected_pruned", "z_expected_unpruned"} < results.keys()


def test_without_an_expected_significance_pruning_has_no_effect_to_tell(
    config, tmp_path, called, monkeypatch
):
    """Its fit failed, which the section on the significance says; the analysis goes on."""
    lost = Result("significance", {}, note="a fit failed")
    monkeypatch.setattr(inference, "significance", lambda *_, **__: lost)
    path = config(templates={"prune": {"normalisation": 0.5, "shape": 0.5}})
    sections = analyse(path, out=tmp_path / "out", quiet=True)
    assert "a fit failed" in [each.note for each in sections]
    assert not [name for each in sections for name in each.numbers if "pruned" in name]
