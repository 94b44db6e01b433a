"""The verb `spectrum`: resonances of real data at their PDG masses, toys, and mistakes."""

import json
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import yaml

from fivesigma.formats import read
from fivesigma.statistics.spectra import SHAPES
from fivesigma.units import mass
from fivesigma.workflows.spectra.options import Overview, Peak, Sidebands, Spectrum, SpectrumFit
from fivesigma.workflows.spectra.reading import read_quantity
from fivesigma.workflows.spectra.sections import measure
from fivesigma.workflows.spectrum import spectrum

CONFIGS = Path(__file__).parents[2] / "configs"


def described(path: Path, values, **keys) -> Path:
    """A CSV file of masses and the YAML of its spectrum beside it."""
    np.savetxt(path / "masses.csv", values, header="mass,flag", delimiter=",", comments="")
    content = {
        "files": "masses.csv",
        "folder": str(path),
        "quantity": "mass",
        "fits": {"jpsi": {"range": [2.8, 3.4], "peaks": {"jpsi": {}}}},
    }
    file = path / "spectrum.yaml"
    file.write_text(yaml.safe_dump({**content, **keys}))
    return file


def masses(seed=1, n=4000):
    rng = np.random.default_rng(seed)
    peak = rng.normal(3.0969, 0.03, n)
    rest = rng.uniform(2.5, 3.7, n)
    return np.stack([np.concatenate([peak, rest]), np.ones(2 * n)], axis=1)


@pytest.fixture
def config(tmp_path):
    return described(tmp_path, masses())


@pytest.fixture(scope="module")
def dimuons(real_data, tmp_path_factory):
    out = tmp_path_factory.mktemp("dimuon")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIVESIGMA_REAL_DATA", str(real_data))
        result = spectrum(str(CONFIGS / "cms-dimuon.yaml"), out=out, unblind=True, overwrite=True,
                          quiet=True)  # fmt: skip
    return result, out


@pytest.mark.parametrize("name", ["jpsi", "upsilon1s", "z", "psi2s"])
def test_dimuon_masses_are_those_of_the_pdg_within_half_a_percent(dimuons, name):
    numbers = dimuons[0].numbers
    expected = {"jpsi": 443, "upsilon1s": 553, "z": 23, "psi2s": 100443}[name]
    found = numbers[f"{name}/mass"]
    assert found.value == pytest.approx(mass(expected), rel=5e-3)
    assert 0 < found.uncertainty < 2e-3 * found.value
    shift = numbers[f"{name}/mass_deviation"]
    assert shift.value == pytest.approx(100 * (found.value / mass(expected) - 1))


def test_dimuon_fits_are_good_and_say_so(dimuons):
    numbers = dimuons[0].numbers
    for name in ("jpsi", "psi2s", "upsilon", "z"):
        assert numbers[f"{name}/p_value"].value > 0.05
    assert numbers["events"].value == 37183
    # the deviation is many statistical errors, and the report says what else moves it
    assert numbers["jpsi/mass_deviation"].value < -3 * numbers["jpsi/mass_deviation"].uncertainty
    assert "momentum scale" in dimuons[0].note


def test_two_ways_to_count_the_jpsi_agree(dimuons):
    """The fit of the peak, and the window less its sidebands' prediction."""
    numbers = dimuons[0].numbers
    fitted, counted = numbers["jpsi/yield"], numbers["jpsi_window/excess"]
    assert abs(fitted.value - counted.value) < 2 * counted.uncertainty
    assert numbers["jpsi_window/observed"].value > 3600


def test_upsilons_share_scale_and_resolution(dimuons):
    numbers = dimuons[0].numbers
    ratio = mass(100553) / mass(553)
    for key in ("mass", "sigma"):
        one, two = numbers[f"upsilon1s/{key}"], numbers[f"upsilon2s/{key}"]
        assert two.value == pytest.approx(ratio * one.value)
    yields = [numbers[f"upsilon{n}s/yield"] for n in (1, 2, 3)]
    assert all(each.value > 5 * each.uncertainty for each in yields)


def test_dimuon_files_are_written(dimuons):
    result, out = dimuons
    stored = json.loads((out / "results.json").read_text())
    assert stored["jpsi/mass"]["unit"] == "GeV"
    assert stored["jpsi/mass"]["value"] == result.numbers["jpsi/mass"].value
    names = {path.name for path in (out / "figures").iterdir()}
    assert {"spectrum.svg", "fit-jpsi.svg", "fit-z.svg", "window-jpsi-window.svg"} <= names
    page = (out / "report.html").read_text()
    assert "Dimuons, CMS Open Data 2012" in page
    assert "fivesigma spectrum" in page
    again = Spectrum.read(out / "config.yaml")
    assert again.fits["upsilon"].peaks["upsilon2s"].like == "upsilon1s"


def test_the_definition_of_the_z_mass_is_told(dimuons):
    """PDG: a running width puts the mass 34 MeV above that of a fixed width."""
    numbers = dimuons[0].numbers
    note = numbers["z/mass_deviation"].note
    assert "of which -0.037 % (-34 MeV) are the definition" in note
    assert "Of it -0.037 % (-34 MeV) are the definition" in dimuons[0].note
    assert "definition" not in numbers["jpsi/mass_deviation"].note


@pytest.mark.parametrize("leptons", ["mumu", "ee"])
def test_z_masses_of_2011(real_data, monkeypatch, tmp_path, leptons):
    monkeypatch.setenv("FIVESIGMA_REAL_DATA", str(real_data))
    found = spectrum(str(CONFIGS / f"cms-z-{leptons}.yaml"), out=tmp_path / "out", quiet=True)
    assert found.numbers["z/mass"].value == pytest.approx(mass(23), rel=5e-3)
    assert found.numbers["z/p_value"].value > 0.05
    assert found.numbers["z/gamma"].note == "fixed"


def test_radiation_explains_most_of_the_shift_of_the_z(real_data, dimuons):
    """Without a tail for radiated photons the mass comes out lower and the fit is bad."""
    plain = Spectrum(
        files=("Run2012BC_DoubleMuParked_100k.root",),
        folder=str(real_data / "cms_dimuon"),
        where="len(muons) == 2 and muons[0].charge != muons[1].charge",
        quantity="(muons[0] + muons[1]).mass",
        fits={"z": SpectrumFit(range=(70, 110), bins=80, peaks={"z": Peak(shape="voigtian")})},
    )
    (section,) = measure(plain, read_quantity(plain, quiet=True)[0])
    lower, better = section.numbers["z/mass"].value, dimuons[0].numbers["z/mass"].value
    assert better - lower > 0.15
    assert section.numbers["z/p_value"].value < 1e-6 and "the fit is bad" in section.note


def test_masses_are_those_of_the_vector_behaviours(real_data):
    """Of the events that the reference answers count, in double precision."""
    path = real_data / "cms_dimuon" / "Run2012BC_DoubleMuParked_100k.root"
    spectrum = Spectrum(
        files=(str(path),),
        where="len(muons) == 2 and muons[0].charge != muons[1].charge",
        quantity="(muons[0] + muons[1]).mass",
        fits={"z": SpectrumFit(range=(70, 110), peaks={"z": Peak()})},
    )
    values, events = read_quantity(spectrum, quiet=True)
    assert (len(values), events) == (37183, 100_000)
    muons = read(path, ["muons"]).muons
    two = muons[ak.num(muons) == 2]
    two = two[two.charge[:, 0] != two.charge[:, 1]]
    p, e = np.zeros((len(two), 3)), np.zeros(len(two))
    for k in (0, 1):
        pt, eta, phi, m = (
            np.asarray(two[x][:, k], np.float64) for x in ("pt", "eta", "phi", "mass")
        )
        one = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=1)
        p, e = p + one, e + np.sqrt(m**2 + (one**2).sum(axis=1))
    np.testing.assert_allclose(values, np.sqrt(e**2 - (p**2).sum(axis=1)), rtol=1e-6)


def test_what_was_put_in_is_found(config, tmp_path):
    found = spectrum(str(config), out=tmp_path / "out", quiet=True).numbers
    assert abs(found["jpsi/mass"].value - 3.0969) < 4 * found["jpsi/mass"].uncertainty
    assert abs(found["jpsi/yield"].value - 4000) < 4 * found["jpsi/yield"].uncertainty
    assert found["jpsi/p_value"].value > 0.001
    assert found["jpsi/background/yield"].value == pytest.approx(2000, rel=0.15)


def test_options_describe_a_file_like_the_yaml_does(config, tmp_path):
    (first,) = measure(Spectrum.read(config), masses()[:, 0])
    second = spectrum(str(tmp_path / "masses.csv"), out=tmp_path / "out", quantity="mass",
                      range=[2.8, 3.4], peaks={"jpsi": "gaussian"}, quiet=True)  # fmt: skip
    found, expected = second.numbers["jpsi/mass"], first.numbers["jpsi/mass"]
    assert found.value == pytest.approx(expected.value, rel=1e-9)
    assert "fit/chi2" in second.numbers


def test_the_written_configuration_repeats_the_run_but_overwrites_nothing(config, tmp_path):
    spectrum(str(config), out=tmp_path / "one", quiet=True)
    again = str(tmp_path / "one" / "config.yaml")
    with pytest.raises(ValueError, match="results.json exists; choose another --out"):
        spectrum(again, out=tmp_path / "one", quiet=True)
    spectrum(again, out=tmp_path / "two", quiet=True)
    for name in ("results.json", "config.yaml"):
        assert (tmp_path / "one" / name).read_text() == (tmp_path / "two" / name).read_text()


def test_unbinned_and_binned_fits_agree():
    found = []
    for unbinned in (False, True):
        fit = SpectrumFit(range=(2.8, 3.4), peaks={"jpsi": Peak()}, unbinned=unbinned)
        one = Spectrum(files=("x",), quantity="mass", fits={"jpsi": fit})
        (section,) = measure(one, masses(2)[:, 0])
        found.append(section.numbers["jpsi/mass"])
    assert abs(found[0].value - found[1].value) < 0.3 * found[1].uncertainty


def test_a_window_stays_closed_until_unblinded():
    window = Sidebands(range=(2.6, 3.6), window=(2.9, 3.3), bins=50)
    one = Spectrum(files=("x",), quantity="mass", sidebands={"jpsi": window})
    values = masses(3)[:, 0]
    (closed,) = measure(one, values)
    assert not {"jpsi/observed", "jpsi/excess"} & closed.numbers.keys()
    (opened,) = measure(one, values, unblind=True)
    excess, predicted = opened.numbers["jpsi/excess"], closed.numbers["jpsi/predicted"]
    assert abs(excess.value - 4000) < 3 * excess.uncertainty
    assert abs(predicted.value - 4000 / 1.2 * 0.4) < 3 * predicted.uncertainty


def test_a_window_of_one_function_says_that_the_choice_is_not_known():
    window = Sidebands(range=(2.5, 3.7), window=(2.7, 3.3), bins=6, families=("exponential",))
    one = Spectrum(files=("x",), quantity="mass", sidebands={"w": window})
    (section,) = measure(one, masses(3)[:, 0])
    assert "w/predicted_choice" not in section.numbers
    assert "is not known" in section.numbers["w/predicted"].note
    assert "w: the uncertainty from the choice of the function is not known" in section.note


def test_what_is_closed_shows_in_no_other_section():
    window = Sidebands(range=(2.6, 3.6), window=(2.9, 3.3), bins=50)
    one = Spectrum(
        files=("x",),
        quantity="mass",
        overview=Overview(),
        fits={"jpsi": SpectrumFit(range=(2.8, 3.4), peaks={"jpsi": Peak()})},
        sidebands={"window": window},
    )
    values = masses(3)[:, 0]
    outside = (values < 2.9) | (values >= 3.3)
    overview, fit, _ = measure(one, values)
    assert overview.numbers["events"].value == outside.sum() < len(values)
    assert not fit.numbers and not fit.figures and "Closed until --unblind" in fit.note
    overview, fit, _ = measure(one, values, unblind=True)
    assert overview.numbers["events"].value == len(values) and fit.numbers


def test_a_description_that_is_not_there_is_answered_with_one_that_is(config, tmp_path):
    path = tmp_path / "spektrum.yaml"
    with pytest.raises(FileNotFoundError, match=f"no file {path}; did you mean {config}"):
        spectrum(str(path), out=tmp_path / "out", quiet=True)


def test_windows_of_other_sidebands_stay_closed():
    """Their events would be fitted and drawn as if they were a sideband."""
    windows = {
        "left": Sidebands(range=(2.5, 3.3), window=(2.7, 2.9), bins=40),
        "right": Sidebands(range=(2.6, 3.7), window=(3.0, 3.2), bins=55),
    }
    one = Spectrum(files=("x",), quantity="mass", sidebands=windows)
    for section in measure(one, masses(3)[:, 0]):
        assert not section.numbers and not section.figures and not section.tables
        assert "Closed until --unblind" in section.note
    assert all(each.numbers for each in measure(one, masses(3)[:, 0], unblind=True))


def test_no_number_tells_what_a_closed_window_holds(tmp_path):
    """Not even that of all events, less those that are shown."""
    window = {"w": {"range": [2.6, 3.6], "window": [2.9, 3.3], "bins": 50}}
    file = described(tmp_path, masses(3), fits={}, overview={}, sidebands=window)
    values = masses(3)[:, 0]
    outside = int(((values < 2.9) | (values >= 3.3)).sum())
    result = spectrum(str(file), out=tmp_path / "closed", quiet=True)
    told = [result.title, (tmp_path / "closed" / "report.html").read_text()]
    told.append((tmp_path / "closed" / "results.json").read_text())
    assert all(str(outside) in each and str(len(values)) not in each for each in told)
    result = spectrum(str(file), out=tmp_path / "open", unblind=True, quiet=True)
    assert str(len(values)) in result.title
    assert f"{len(values)} of {len(values)}" in (tmp_path / "open" / "report.html").read_text()


def test_several_files_and_a_cut(tmp_path):
    file = described(tmp_path, masses(4), files="*.csv", where="flag > 0")
    values = masses(5)
    values[:, 1] = 0
    np.savetxt(tmp_path / "more.csv", values, header="mass,flag", delimiter=",", comments="")
    kept, events = read_quantity(Spectrum.read(file), quiet=True)
    assert (len(kept), events) == (8000, 16_000)


def test_masses_that_are_not_finite(tmp_path):
    values = masses(6)
    values[:3, 0] = [np.nan, np.inf, -np.inf]
    with pytest.raises(ValueError, match=r"3 of 8000 values of 'mass' are NaN or infinite.*where"):
        spectrum(str(described(tmp_path, values)), out=tmp_path / "out", quiet=True)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"quantty": "mass"}, "quantty: unknown; did you mean quantity"),
        ({"quantity": "mas"}, "no field 'mas'"),
        ({"quantity": "mass >"}, "at column"),
        ({"where": "mass"}, "compare it with a number"),
        ({"files": "none.csv"}, "no file"),
        ({"where": "mass < 0"}, "none of 8000 events passes 'mass < 0'"),
        ({"fits": {}}, "nothing to do"),
        ({"fits": {"a": {"range": [3.4, 2.8], "peaks": {}}}}, "fits.a: range: got"),
        (
            {"fits": {"a": {"range": [2.8, 3.4], "peaks": {"jpsi": {"shape": "gausian"}}}}},
            "fits.a.peaks.jpsi: unknown shape 'gausian'; did you mean gaussian",
        ),
        (
            {"fits": {"a": {"range": [2.8, 3.4], "peaks": {}, "background": "exponental"}}},
            "unknown shape 'exponental'; did you mean exponential",
        ),
        (
            {"fits": {"a": {"range": [2800, 3400], "peaks": {"jpsi": {}}}}},
            r"its mass 3.097 GeV is outside of the range 2800 to 3400; give the range in GeV",
        ),
        (
            {"fits": {"a": {"range": [2.8, 3.4], "peaks": {"b": {"like": "jpsi"}}}}},
            "fits.a: peaks.b: like 'jpsi', expected a peak of this fit",
        ),
        (
            {"fits": {"a": {"range": [2.8, 3.4], "peaks": {"jpsi": {"fixed": {"sigm": 1}}}}}},
            "has no parameter 'sigm'; did you mean sigma",
        ),
        (
            {"fits": {"a": {"range": [5.0, 6.0], "peaks": {"bump": {}}}}},
            "fits.a: no events in the range 5 to 6: of 8000 events they lie in",
        ),
        (
            {"fits": {"a": {"range": [2.5, 2.502], "peaks": {"bump": {}}}}},
            "fits.a: . events in . filled bins cannot tell 5 parameters",
        ),
        (
            {"fits": {}, "sidebands": {"w": {"range": [2.6, 3.6], "window": [2.905, 3.3]}}},
            "sidebands.w: window 2.905 to 3.3: 2.905 is no edge of a bin",
        ),
        (
            {"fits": {}, "sidebands": {"w": {"range": [2, 4], "window": [2.9, 3.3], "bins": 0}}},
            "sidebands.w: bins: got 0, expected at least 3",
        ),
        (
            {"sidebands": {"w": {"range": [2, 4], "window": [2.9, 3.3], "threshold": 5}}},
            "sidebands.w: threshold: got 5, expected a probability",
        ),
        (
            {"sidebands": {"w": {"range": [2, 4], "window": [2.9, 3.3], "families": []}}},
            "sidebands.w: families: got none",
        ),
        (
            {"fits": {"a": {"range": [2.8, 3.4], "peaks": {"jpsi": {}}, "bins": 1}}},
            "fits.a: bins: got 1, expected at least 2",
        ),
        ({"overview": {"bins": -3}}, "overview: bins: got -3, expected at least 1"),
        (
            {"overview": {"resonances": ["jpsy"]}},
            "overview: resonances: unknown 'jpsy'; did you mean jpsi",
        ),
    ],
)
def test_mistakes_are_answered_with_their_place(tmp_path, keys, message):
    file = described(tmp_path, masses(7), **keys)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        spectrum(str(file), out=tmp_path / "out", quiet=True)
    assert not (tmp_path / "out").exists()


def test_a_file_needs_quantity_and_range_and_a_yaml_neither(config, tmp_path):
    with pytest.raises(ValueError, match="needs --quantity and --range"):
        spectrum(str(tmp_path / "masses.csv"), out=tmp_path / "out", quiet=True)
    with pytest.raises(ValueError, match="a YAML file describes all"):
        spectrum(str(config), out=tmp_path / "out", quantity="mass", quiet=True)


def test_a_failing_fit_stands_with_its_reason():
    """A narrow peak where nothing is: numbers, and what is wrong with them in the note."""
    values = np.random.default_rng(8).uniform(2.5, 3.7, 3000)
    fit = SpectrumFit(range=(2.8, 3.4), peaks={"jpsi": Peak(shape="double-gaussian")})
    one = Spectrum(files=("x",), quantity="mass", fits={"none": fit})
    (section,) = measure(one, values)
    assert "none: jpsi/" in section.note
    assert "bound" in section.note or "not told apart" in section.note


def test_shipped_configurations_name_no_machine():
    for path in CONFIGS.glob("cms-*.yaml"):
        text = path.read_text()
        # a variant has the folder of the one that it is made of
        assert "${FIVESIGMA_REAL_DATA:-../shared/data}" in text or "\nbase: " in text, path.name


def test_every_shape_of_a_peak_fits_the_same_mass():
    values = masses(9)[:, 0]
    for name, shape in SHAPES.items():
        if not shape.peak or name == "breit-wigner":
            continue
        fixed = {"gamma": 0.006} if "gamma" in {p.name for p in shape.parameters} else {}
        fit = SpectrumFit(range=(2.8, 3.4), peaks={"jpsi": Peak(shape=name, fixed=fixed)})
        one = Spectrum(files=("x",), quantity="mass", fits={"jpsi": fit})
        (section,) = measure(one, values)
        found = section.numbers["jpsi/mass"]
        assert found.value == pytest.approx(3.0969, abs=0.004), name
