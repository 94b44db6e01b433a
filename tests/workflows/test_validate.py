"""The validation book: checks and their verdicts, sections on small statistics, the page."""

import json

import numpy as np
import pytest

from fivesigma.geometry import detector as detector_named
from fivesigma.geometry.trackers import ATLAS
from fivesigma.results import Number
from fivesigma.workflows.validate import detector
from fivesigma.workflows.validate.checks import Check, section, spread, width
from fivesigma.workflows.validate.setting import Setting
from fivesigma.workflows.validate.tracker import straight_through


@pytest.mark.parametrize(
    ("value", "error", "verdict"),
    [(1.09, 0.0, "met"), (0.91, 0.5, "met"), (1.15, 0.02, "missed"), (1.15, 0.03, "open"),
     (0.85, 0.0, "missed")],
)  # fmt: skip
def test_verdicts_of_relative_bars(value, error, verdict):
    check = Check("part/figure", Number(2 * value, 2 * error), 2.0, 0.10)
    assert check.verdict == verdict
    assert check.deviation == pytest.approx(value - 1)
    assert verdict in check.number().note


def test_absolute_bars_need_no_reference_but_zero():
    assert Check("energy/x", Number(5e-7), 0.0, 1e-6, relative=False).verdict == "met"
    assert Check("energy/x", Number(2e-6), 0.0, 1e-6, relative=False).verdict == "missed"
    assert Check("shown/x", Number(2.0), 1.0, np.inf).verdict == "shown"


def test_a_section_counts_its_verdicts():
    checks = [Check(f"part/{k}", Number(k, 0.01), 1.0, 0.1) for k in (1.0, 1.05, 1.11, 2.0)]
    made = section("Part", checks, {})
    counts = [made.numbers[f"part/{name}"].value for name in ("met", "open", "missed")]
    assert counts == [2, 1, 1]
    assert len(made.tables[""].rows) == 4


def test_widths_of_a_gaussian_and_their_errors():
    rng = np.random.default_rng(1)
    samples = 3.0 + 0.2 * rng.standard_normal((400, 500))
    for measure in (width, lambda values: spread(values)[1]):
        found = [measure(values) for values in samples]
        values, errors = np.array([(each.value, each.uncertainty) for each in found]).T
        scale = 0.2 if measure is width else 0.2 / 3.0
        assert values.mean() == pytest.approx(scale, rel=0.01)
        assert values.std() == pytest.approx(errors.mean(), rel=0.12)


def test_material_on_a_straight_line_is_that_of_the_barrel_at_small_eta():
    barrel = sum(layer.material.radiation for layer in ATLAS.layers if hasattr(layer, "radius"))
    assert straight_through(ATLAS, 0.01)[0] == pytest.approx(barrel, rel=1e-3)
    assert straight_through(ATLAS, -1.0) == straight_through(ATLAS, 1.0)


def test_a_setting_has_streams_and_a_least_number(tmp_path):
    setting = Setting(detector_named("cms"), 0.01, 3, tmp_path)
    assert setting.count(1000) == 50
    assert setting.count(10_000) == 100
    assert setting.rng(1).random() == setting.rng(1).random() != setting.rng(2).random()


def test_the_book(tmp_path):
    out = tmp_path / "book"
    made = detector(out, scale=0.05, only=("tracker", "energy", "wsi"), data=tmp_path, quiet=True)
    numbers = json.loads((out / "results.json").read_text())
    assert numbers["energy/largest_deviation"]["value"] < 1e-6
    places = ("tracker", "calorimeters", "muon_system", "beside_cells", "leaked", "lost")
    shares = [numbers[f"energy/share/{place}"]["value"] for place in places]
    assert sum(shares) == pytest.approx(1, abs=1e-6)
    # 500 pions: the mean is known to 0.15
    assert numbers["trackml/hits"]["value"] == pytest.approx(12.1, abs=0.9)
    # 400 photons at eta = 2, of which 78 % convert
    assert numbers["material/conversions/eta_2"]["value"] == pytest.approx(0.78, abs=0.09)
    page = (out / "report.html").read_text()
    assert "fivesigma validate detector" in page and "Impact parameter" in page
    skipped = [each for each in made if "skipped" in each.note]
    assert len(skipped) == 1 and "geant4_showers" in skipped[0].note
    with pytest.raises(ValueError, match=r"exists; choose another folder or give --overwrite"):
        detector(out, only=("energy",), quiet=True)


def test_wrong_choices_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no section 'traker'; did you mean tracker"):
        detector(tmp_path / "x", only=("traker",), quiet=True)
    with pytest.raises(ValueError, match="'trackml' has no signals; choose atlas or cms"):
        detector(tmp_path / "x", detector="trackml", quiet=True)
    with pytest.raises(ValueError, match="scale must be a number above 0, got -1"):
        detector(tmp_path / "x", scale=-1.0, quiet=True)


@pytest.mark.slow
def test_showers_of_geant4(tmp_path, real_data):
    made = detector(tmp_path / "b", scale=0.1, only=("wsi",), data=real_data, quiet=True)
    assert made[0].numbers["wsi/missed"].value == 0
    assert made[0].numbers["wsi/met"].value >= 15
