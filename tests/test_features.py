"""Network inputs: their values, their symmetries, and the same formulas in NumPy and torch."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from weakref import ref

import awkward as ak
import numpy as np
import pytest
import torch

from fivesigma.features import (
    FEATURE_SETS,
    FEATURES,
    OBSERVABLES,
    energy,
    shared,
    wrap,
)
from fivesigma.inputs import Inputs
from fivesigma.kinematics import derived
from fivesigma.preparation import build_cache

ONE = {"pt": 600.0, "eta": -1.0, "phi": 3.1, "mass": 80.0}
CONSTITUENTS = {
    "pt": [300.0, 200.0, 100.0],
    "eta": [-1.1, -0.9, -1.0],
    "phi": [3.0, -3.1, 3.1],  # one of them beyond pi
    "mass": [0.14, 0.0, 0.94],
    "charge": [1, 0, 0],
    "pdg_id": [211, 22, 2112],
    "d0": [0.5, 0.0, 0.0],
    "dz": [-0.2, 0.0, 0.0],
    "d0_error": [0.02, 0.0, 3.0],
    "dz_error": [0.03, 0.0, 0.0],
}


def jets(constituents: dict, **changed: float) -> ak.Array:
    """One jet of these constituents."""
    one = ak.Array({name: [value] for name, value in (ONE | changed).items()})
    return ak.with_field(one, ak.zip({k: [v] for k, v in constituents.items()}), "constituents")


def values(names: tuple[str, ...], array: ak.Array) -> np.ndarray:
    """(n, F), not scaled."""
    inputs = Inputs(features=names, mean=(0.0,) * len(names), scale=(1.0,) * len(names))
    return build_cache(array, inputs).values.astype(np.float64)


def value(name: str, array: ak.Array | None = None) -> np.ndarray:
    return values((name,), jets(CONSTITUENTS) if array is None else array)[:, 0]


def test_wrap():
    np.testing.assert_allclose(
        wrap(np.array([3.5, -3.5, 0.5])), [3.5 - 2 * np.pi, 2 * np.pi - 3.5, 0.5]
    )
    angle = np.linspace(-40, 40, 1001)
    np.testing.assert_allclose(wrap(angle), np.arctan2(np.sin(angle), np.cos(angle)), atol=1e-12)
    np.testing.assert_allclose(wrap(torch.from_numpy(angle)), wrap(angle))


def test_angles_from_the_axis():
    np.testing.assert_allclose(value("deta"), [0.1, -0.1, 0], atol=1e-6)  # outwards is positive
    np.testing.assert_allclose(value("dphi"), [-0.1, 2 * np.pi - 6.2, 0], atol=1e-6)
    np.testing.assert_allclose(value("dr")[0], np.hypot(0.1, 0.1), atol=1e-6)


def test_both_halves_of_the_detector_look_the_same():
    mirrored = jets(CONSTITUENTS | {"eta": [1.1, 0.9, 1.0]}, eta=1.0)
    names = FEATURE_SETS["kin"]
    np.testing.assert_allclose(
        values(names, mirrored), values(names, jets(CONSTITUENTS)), atol=1e-6
    )


def test_a_jet_at_eta_zero_keeps_its_sign():
    at_zero = jets(CONSTITUENTS | {"eta": [0.1, -0.1, 0.0]}, eta=0.0)
    np.testing.assert_allclose(value("deta", at_zero), [0.1, -0.1, 0], atol=1e-6)


def test_energies_and_shares():
    energy = np.hypot(300 * np.cosh(1.1), 0.14)
    of_jet = np.hypot(600 * np.cosh(1), 80)
    wide = Inputs(features=("log_pt", "log_energy", "log_pt_rel", "log_energy_rel"))
    got = build_cache(jets(CONSTITUENTS), wide).values[0]
    want = np.log([300, energy, 300 / 600, energy / of_jet])
    constants = [(1.7, 0.7), (2.0, 0.7), (-4.7, 0.7), (-4.7, 0.7)]
    want = [(v - mean) * scale for v, (mean, scale) in zip(want, constants, strict=True)]
    np.testing.assert_allclose(got, want, rtol=1e-5)
    np.testing.assert_allclose(value("z"), [3 / 6, 2 / 6, 1 / 6], rtol=1e-6)
    np.testing.assert_allclose(value("energy_rel")[0], energy / of_jet, rtol=1e-5)


def test_momentum_components():
    parts = values(("px_rel", "py_rel", "pz_rel"), jets(CONSTITUENTS))
    want = [0.5 * np.cos(3.0), 0.5 * np.sin(3.0), 0.5 * np.sinh(-1.1)]
    np.testing.assert_allclose(parts[0], want, rtol=1e-5)


def test_classes_of_particles():
    names = ("is_charged_hadron", "is_neutral_hadron", "is_photon", "is_electron", "is_muon")
    numbers = {"pdg_id": [-321, 130, 22, -11, 13], "charge": [-1, 0, 0, 1, -1]}
    more = {k: [float(5 - i) for i in range(5)] for k in ("pt", "eta", "phi", "mass")}
    np.testing.assert_array_equal(values(names, jets(more | numbers)), np.eye(5))


def test_displacement():
    np.testing.assert_allclose(value("tanh_d0"), np.tanh([0.5, 0, 0]), rtol=1e-6)
    np.testing.assert_allclose(value("tanh_dz"), np.tanh([-0.2, 0, 0]), rtol=1e-6)
    np.testing.assert_allclose(value("d0_error"), [0.02, 0, 1], rtol=1e-6)


def test_centroid():
    z = value("z")
    for name in ("deta_c", "dphi_c"):
        assert abs((z * value(name)).sum()) < 1e-6


def test_values_are_clipped():
    faint = jets({k: [v[0]] for k, v in CONSTITUENTS.items()} | {"pt": [1e-9]})
    assert build_cache(faint, Inputs(features=("log_pt_rel",))).values.item() == -5


def blob(seed: int, n: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A jet of no symmetry: falling pT, coordinates about its axis."""
    rng = np.random.default_rng(seed)
    pt = np.sort(rng.exponential(15, n))[::-1] + 1
    x, y = rng.normal(0, 0.2, n), rng.normal(0, 0.1, n)
    return pt, x + 0.3 * (x > 0.1), y


def in_own_frame(pt: np.ndarray, x: np.ndarray, y: np.ndarray, **axis: float) -> np.ndarray:
    axis = {"eta": 0.5, "phi": 3.0} | axis
    constituents = {"pt": pt, "eta": axis["eta"] + x, "phi": wrap(axis["phi"] + y), "mass": 0 * pt}
    array = jets({name: column.tolist() for name, column in constituents.items()}, **axis)
    return values(("deta_rot", "dphi_rot", "z"), array)


@pytest.mark.parametrize("seed", range(5))
def test_own_frame_does_not_change_when_the_jet_is_moved(seed):
    pt, x, y = blob(seed)
    want = in_own_frame(pt, x, y)
    a = 2.1
    cos, sin = np.cos(a), np.sin(a)
    turned = in_own_frame(pt, cos * x - sin * y, sin * x + cos * y)
    np.testing.assert_allclose(turned, want, atol=2e-5)
    np.testing.assert_allclose(in_own_frame(pt, -x, y), want, atol=2e-5)
    np.testing.assert_allclose(in_own_frame(pt, x, -y), want, atol=2e-5)
    moved = in_own_frame(pt, x, y, eta=-1.7, phi=-0.4)
    np.testing.assert_allclose(moved, want, atol=2e-5)


@pytest.mark.parametrize("seed", range(5))
def test_own_frame_is_what_it_promises(seed):
    x, y, z = in_own_frame(*blob(seed)).T
    assert abs((z * x).sum()) < 1e-6 and abs((z * y).sum()) < 1e-6  # centred
    assert abs((z * x * y).sum()) < 1e-6 and (z * x * x).sum() > (z * y * y).sum()  # principal
    quadrants = [z[(x > 0) == right] @ (y > 0)[(x > 0) == right] for right in (True, False)]
    below = [z[(x > 0) == right] @ (y <= 0)[(x > 0) == right] for right in (True, False)]
    assert quadrants[0] == max(*quadrants, *below)  # most pT in the upper right


@pytest.mark.parametrize("names", [FEATURE_SETS["full"], FEATURE_SETS["kin-rot"]])
def test_torch_gives_what_numpy_gives(names):
    """The formulas on padded torch arrays (1, N), as an exported network would use them."""
    array = jets(CONSTITUENTS)
    dtype = torch.float64
    c = {k: torch.tensor([v], dtype=dtype) for k, v in CONSTITUENTS.items()}
    j = {k: torch.tensor([[v]], dtype=dtype) for k, v in ONE.items()}
    c, j = shared(torch, c, j, lambda v: v.sum(1, keepdim=True))
    want = build_cache(array, Inputs(features=names)).values
    for i, name in enumerate(names):
        feature = FEATURES[name]
        got = (feature.formula(torch, c, j) - feature.mean) * feature.scale
        got = got.clip(-feature.clip, feature.clip)[0].numpy()
        np.testing.assert_allclose(got, want[:, i], atol=1e-5, err_msg=name)


@pytest.mark.parametrize("seed", range(3))
def test_compiled_loops_give_what_the_formulas_give(seed):
    rng = np.random.default_rng(seed)
    counts = np.append(rng.integers(0, 60, 200), 0)
    total = int(counts.sum())
    c = {
        "pt": rng.exponential(5, total) + 1e-3,
        "eta": rng.normal(0, 2, total),
        "phi": rng.uniform(-np.pi, np.pi, total),
        "mass": rng.choice([0, 0.14, 0.5], total),
    }
    j = {
        "pt": rng.uniform(20, 900, len(counts)),
        "eta": rng.normal(0, 1.5, len(counts)),
        "phi": rng.uniform(-np.pi, np.pi, len(counts)),
        "mass": rng.exponential(50, len(counts)),
    }
    j["energy"] = energy(np, SimpleNamespace(**j))
    single = [{name: v.astype(np.float32) for name, v in one.items()} for one in (c, j)]
    made = derived(*single, counts)
    want, of_jets = shared(np, c, {k: np.repeat(v, counts) for k, v in j.items()}, lambda v: v)
    for name, found in made.items():
        assert found.dtype == np.float32 and found.shape == (total,)
        exact = FEATURES[name].formula(np, want, of_jets)
        np.testing.assert_allclose(found, exact, rtol=1e-6, atol=1e-6, err_msg=name)


def test_logarithms_of_all_sizes():
    values = (10 ** np.random.default_rng(2).uniform(-37, 38, 10_001)).astype(np.float32)
    odd = np.array([0, 1, np.inf, np.nan, -1, 1e-40, 1.4e-45], np.float32)
    values = np.concatenate([values, odd, np.linspace(0.5, 2, 1001, dtype=np.float32)])
    ones = np.ones(len(values), np.float32)
    c = {"pt": values, "eta": 0 * ones, "phi": ones, "mass": ones}
    j = {name: ones[:1] for name in ("pt", "eta", "phi", "energy")}
    with np.errstate(divide="ignore", invalid="ignore"):
        want = np.log(values.astype(np.float64))
    found = derived(c, j, np.array([len(values)]))["log_pt"]
    np.testing.assert_allclose(found, want, rtol=2e-7, atol=1e-7)


def test_compiled_loops_on_the_edge():
    """No pT, no jet pT, no constituents."""
    none = {name: np.zeros(0, np.float32) for name in ("pt", "eta", "phi", "mass")}
    jet = {name: np.zeros(1, np.float32) for name in ("pt", "eta", "phi", "energy")}
    assert all(len(found) == 0 for found in derived(none, jet, np.array([0])).values())
    made = derived({k: np.zeros(1, np.float32) for k in none}, jet, np.array([1]))
    assert made["log_pt"] == -np.inf and np.isnan(made["log_pt_rel"]) and made["dr"] == 0


def test_only_what_is_asked_for_is_computed_and_freed_at_once():
    c = {k: np.array(v) for k, v in CONSTITUENTS.items()}
    c, j = shared(np, c, {k: np.full(3, v) for k, v in ONE.items()}, lambda v: v.sum())
    assert set(vars(c)) == set(CONSTITUENTS) and set(vars(j)) == set(ONE)
    np.testing.assert_allclose(c.deta, [0.1, -0.1, 0], atol=1e-12)
    assert "energy" in vars(c) and "eta_centred" not in vars(c)
    with pytest.raises(AttributeError):
        c.no_such_field  # noqa: B018
    gone = ref(c)
    gc.disable()
    del c, j
    gc.enable()
    assert gone() is None


def test_fields_do_not_stand_in_for_what_is_computed():
    """Such as energies in other units, from a file that has them."""
    more = jets(CONSTITUENTS | {name: [1e6, 1e5, 1e4] for name in ("energy", "dr", "deta")})
    names = FEATURE_SETS["kin"]
    np.testing.assert_array_equal(values(names, more), values(names, jets(CONSTITUENTS)))


def test_sets_name_features():
    assert {name for names in FEATURE_SETS.values() for name in names} <= set(FEATURES)
    assert len(FEATURE_SETS["trigger"]) == 9 and len(FEATURE_SETS["full"]) == 17
    assert all(feature.meaning for feature in (FEATURES | OBSERVABLES).values())


def test_observables_leave_momentum_and_direction_out():
    assert not {"pt", "eta", "phi"} & set(OBSERVABLES)


@pytest.mark.parametrize("kind", ["hadronic", "leptonic"])
def test_published_features_of_real_jets(real_data, kind):
    """JetClass jets with the features that their authors computed (arXiv:2202.03772)."""
    path = real_data / "jets" / f"jetclass_top_{kind}_kin_100.npz"
    if not path.exists():
        pytest.skip(f"no {path}")
    file = np.load(path)
    vectors, mask = file["vectors"], file["mask"][:, 0] > 0
    want = file["features"]
    px, py, pz, energy = (vectors[:, i] for i in range(4))
    total = (vectors * mask[:, None]).sum(2)
    pt = np.hypot(px, py)

    def columns(px, py, pz, energy):
        pt = np.hypot(px, py)
        mass2 = np.maximum(energy**2 - pt**2 - pz**2, 0)
        return {
            "pt": pt,
            "eta": np.arcsinh(pz / np.maximum(pt, 1e-9)),
            "phi": np.arctan2(py, px),
            "mass": np.sqrt(mass2),
        }

    flat = ak.zip({k: v[mask] for k, v in columns(px, py, pz, energy).items()})
    array = ak.Array(columns(*total.astype(np.float64).T))
    array = ak.with_field(array, ak.unflatten(flat, mask.sum(1)), "constituents")
    inputs = Inputs(features=FEATURE_SETS["kin"])
    assert (np.diff(pt, axis=1)[mask[:, 1:]] <= 0).all()  # so that the order stays
    got = build_cache(array, inputs).values
    expected = np.stack([want[:, i][mask] for i in range(7)], 1)
    difference = got - np.clip(expected, -5, 5)
    # energy and eta of their jets are not quite the sums': one shift for all of a jet, at most
    jet = np.repeat(np.arange(len(mask)), mask.sum(1))
    for column in (3, 5):
        difference[:, column] -= difference[np.unique(jet, return_index=True)[1], column][jet]
    np.testing.assert_allclose(difference[:, [0, 1, 2, 3, 5, 6]], 0, atol=1e-5)
