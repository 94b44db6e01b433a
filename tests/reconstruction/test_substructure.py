"""Substructure: closed forms, safety, invariances, and FastJet's own classes."""

import math

import awkward as ak
import fastjet
import numpy as np
import pytest
from helpers.toy_jets import four_momenta, one_jet, records, sprays

from fivesigma.events import FIELDS
from fivesigma.generation.pythia import Generation, Generator
from fivesigma.reconstruction.jets import JetOptions, cluster
from fivesigma.reconstruction.labels import label_jets
from fivesigma.reconstruction.substructure import LUND_FIELDS, OBSERVABLES, lund, substructure

R = 0.8


@pytest.fixture(scope="module")
def jets():
    """Jets of one to some dozens of constituents."""
    events = sprays(np.random.default_rng(2), 12, spread=0.5)
    return ak.flatten(cluster(events, JetOptions(radius=R, pt_min=5.0)))


@pytest.fixture(scope="module")
def observables(jets):
    return substructure(jets, R)


@pytest.fixture(scope="module")
def reclustered(jets):
    columns = four_momenta(ak.flatten(jets.constituents))
    flat = ak.zip(dict(zip(("px", "py", "pz", "E"), columns, strict=True)), with_name="Momentum4D")
    lists = ak.unflatten(flat, ak.num(jets.constituents))
    definition = fastjet.JetDefinition(fastjet.cambridge_algorithm, 1000.0)
    return fastjet.ClusterSequence(lists, definition)


def value(jet, name, radius=R, **options):
    return float(substructure(jet, radius, **options)[name][0])


def test_the_sample_has_small_and_large_jets(jets):
    sizes = ak.num(jets.constituents)
    assert ak.min(sizes) <= 3
    assert ak.max(sizes) >= 40
    assert len(jets) > 40


def test_soft_drop_mass_is_that_of_fastjet(observables, reclustered):
    groomed = reclustered.exclusive_jets_softdrop_grooming(njets=1, beta=0, symmetry_cut=0.1)
    np.testing.assert_allclose(
        observables.softdrop_mass, np.maximum(groomed.msoftdrop, 0), rtol=1e-5, atol=1e-4
    )


def test_subjettiness_is_that_of_fastjet(observables, reclustered):
    tau = reclustered.njettiness(
        measure_definition="NormalizedMeasure", axes_definition="WTA_KT_Axes", njets=[1, 2, 3, 4]
    )
    for n in range(1, 5):
        np.testing.assert_allclose(observables[f"tau{n}"], tau[:, n - 1], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "options"),
    [("c2", {"func": "C2"}), ("d2", {"func": "D2"}), ("n2", {"func": "nseries"})],
)
def test_correlators_are_those_of_fastjet(jets, observables, reclustered, name, options):
    many = ak.to_numpy(ak.num(jets.constituents)) > 2
    theirs = reclustered.exclusive_jets_energy_correlator(njets=1, beta=1, npoint=2, **options)
    np.testing.assert_allclose(
        ak.to_numpy(observables[name])[many], ak.to_numpy(theirs)[many], rtol=1e-5
    )


def test_the_lund_plane_is_that_of_fastjet(jets, reclustered):
    ours, theirs = lund(jets), reclustered.exclusive_jets_lund_declusterings(1)
    assert ak.num(ours).to_list() == ak.flatten(ak.num(theirs, axis=2)).to_list()
    for name, their_name in (("kt", "kt"), ("delta", "Delta")):
        np.testing.assert_allclose(
            ak.flatten(ours[name]), ak.flatten(theirs[their_name], axis=None), rtol=1e-5
        )


def test_a_jet_of_equal_particles():
    n = 16
    jet = one_jet([5.0] * n, np.linspace(-0.3, 0.3, n), [0.0] * n)
    assert value(jet, "ptd") == pytest.approx(1 / math.sqrt(n))
    assert value(jet, "width") == pytest.approx(np.abs(np.linspace(-0.3, 0.3, n)).mean())
    assert value(jet, "multiplicity") == n


def test_width_is_measured_around_the_azimuth():
    jet = one_jet([10.0, 30.0], [0.0, 0.0], [3.1, -3.1])
    jet = ak.with_field(jet, [math.pi], "phi")
    assert value(jet, "width") == pytest.approx(math.pi - 3.1, rel=1e-5)


def test_two_particles():
    """The winner-takes-all axis is the harder one: tau1 = z d / R; no three-point function."""
    jet = one_jet([30.0, 10.0], [0.0, 0.0], [0.2, -0.2])
    assert value(jet, "tau1") == pytest.approx(0.25 * 0.4 / R)
    assert value(jet, "tau1", radius=0.4) == pytest.approx(0.25 * 0.4 / 0.4)
    for name in ("tau2", "tau3", "tau21", "tau32", "c2", "d2", "n2"):
        assert value(jet, name) == 0
    splitting = lund(jet)[0]
    assert len(splitting) == 1
    assert splitting.kt[0] == pytest.approx(10 * 0.4)
    assert splitting.delta[0] == pytest.approx(0.4)
    assert splitting.z[0] == pytest.approx(0.25)
    assert splitting.mass[0] == pytest.approx(math.sqrt(2 * 300 * (1 - math.cos(0.4))), rel=1e-5)
    assert splitting.psi[0] == pytest.approx(math.pi)


def test_correlators_of_an_equilateral_triangle():
    """With z = 1/3 and sides d: e2 = d/3, e3 = d^3/27, 2e3 = d^2/27."""
    d, height = 0.3, 0.3 * math.sqrt(3) / 2
    jet = one_jet([20.0] * 3, [0.0, height, 0.0], [-d / 2, 0.0, d / 2])
    assert value(jet, "c2") == pytest.approx(d / 3, rel=1e-5)
    assert value(jet, "d2") == pytest.approx(1.0, rel=1e-5)
    assert value(jet, "n2") == pytest.approx(1 / 3, rel=1e-5)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_tau_vanishes_for_jets_of_no_more_particles(n):
    rng = np.random.default_rng(n)
    jet = one_jet(rng.uniform(5, 50, n), rng.normal(0, 0.2, n), rng.normal(0, 0.2, n))
    assert all(value(jet, f"tau{k}") == 0 for k in range(n, 5))
    assert all(value(jet, f"tau{k}") > 0 for k in range(1, n))


def pronged(prongs, rng, size=12):
    """A jet of sharp prongs of equal pT on a circle of radius 0.4."""
    angle = np.repeat(2 * np.pi * np.arange(prongs) / prongs, size)
    eta = 0.4 * np.cos(angle) + rng.normal(0, 0.01, prongs * size)
    phi = 0.4 * np.sin(angle) + rng.normal(0, 0.01, prongs * size)
    return one_jet(rng.uniform(5, 15, prongs * size), eta, phi)


@pytest.mark.parametrize(("prongs", "drop"), [(2, "tau21"), (3, "tau32"), (4, "tau43")])
def test_ratios_of_subjettiness_count_prongs(prongs, drop):
    jet = pronged(prongs, np.random.default_rng(prongs))
    assert value(jet, drop) < 0.15
    assert all(value(jet, f"tau{n + 1}{n}") > 0.3 for n in range(1, prongs - 1))
    one_more = pronged(prongs + 1, np.random.default_rng(prongs))
    assert value(one_more, drop) > 0.3


def test_soft_drop_keeps_two_hard_prongs_and_takes_soft_wide_radiation_off():
    hard = ([100.0, 80.0], [0.0, 0.0], [0.15, -0.15])
    mass = math.sqrt(2 * 100 * 80 * (1 - math.cos(0.3)))
    soft = ([100.0, 80.0, 3.0, 2.0], [0.0, 0.0, 0.6, -0.6], [0.15, -0.15, 0.1, 0.0])
    assert value(one_jet(*hard), "softdrop_mass") == pytest.approx(mass, rel=1e-5)
    assert value(one_jet(*soft), "softdrop_mass") == pytest.approx(mass, rel=1e-5)
    assert value(one_jet(*soft), "softdrop_mass", z_cut=0.0) > 1.05 * mass


def test_a_soft_branch_leaves_nothing_of_one_massless_prong():
    jet = one_jet([100.0, 9.0], [0.0, 0.0], [0.0, 0.4])  # z = 0.083
    assert value(jet, "softdrop_mass") == pytest.approx(0.0, abs=1e-4)
    assert value(jet, "softdrop_mass", z_cut=0.05) > 10


def test_soft_particles_and_collinear_splittings_change_nothing_that_is_safe(jets, observables):
    large = ak.num(jets.constituents) > 10
    some, before = jets[large], observables[large]
    half = ak.with_field(some.constituents, some.constituents.pt / 2, "pt")
    half = ak.with_field(half, half.mass / 2, "mass")
    soft = some.constituents[:, :3]
    for name, very_little in (("pt", 1e-9), ("mass", 0.0)):
        soft = ak.with_field(soft, soft.pt * 0 + very_little, name)
    more = ak.concatenate([half, half, soft], axis=1)
    after = substructure(ak.with_field(some, more, "constituents"), R)
    safe = ("softdrop_mass", "tau1", "tau2", "tau3", "c2", "d2", "n2", "width")
    for name in safe:
        np.testing.assert_allclose(after[name], before[name], rtol=2e-4, err_msg=name)
    np.testing.assert_allclose(after.ptd, before.ptd / math.sqrt(2), rtol=1e-5)


def test_order_and_azimuth_do_not_matter(jets, observables):
    turned = ak.with_field(jets.constituents, jets.constituents.phi + 1.9, "phi")[:, ::-1]
    moved = ak.with_field(ak.with_field(jets, jets.phi + 1.9, "phi"), turned, "constituents")
    after = substructure(moved, R)
    for name in OBSERVABLES:
        np.testing.assert_allclose(
            after[name], observables[name], rtol=1e-4, atol=2e-4, err_msg=name
        )


def test_a_jet_alone_gives_what_it_gives_among_others(jets, observables):
    for k in (0, 7, len(jets) - 1):
        assert substructure(jets[k : k + 1], R).to_list() == observables[k : k + 1].to_list()


def test_padding_does_not_count(jets, observables):
    nothing = ak.with_field(jets.constituents[:, :1], jets.constituents.pt[:, :1] * 0, "pt")
    padded = ak.concatenate([jets.constituents, nothing], axis=1)
    assert substructure(ak.with_field(jets, padded, "constituents"), R).to_list() == (
        observables.to_list()
    )


def test_jets_of_one_and_of_no_constituents():
    constituents = ak.unflatten(records([25.0], [0.1], [0.2], [0.5]), [0, 1, 0])
    jets = ak.zip(
        {"eta": [0.0, 0.1, 0.0], "phi": [0.0, 0.2, 0.0], "constituents": constituents},
        depth_limit=1,
    )
    found = substructure(jets, R)
    assert found.multiplicity.to_list() == [0, 1, 0]
    assert found.ptd.to_list() == [0, 1, 0]
    assert found.softdrop_mass.to_list() == pytest.approx([0, 0.5, 0], rel=1e-4)
    assert all(np.all(np.isfinite(found[name])) for name in found.fields)
    assert ak.num(lund(jets)).to_list() == [0, 0, 0]


def test_fields_and_types_are_those_of_the_schema_even_without_jets(jets):
    for sample in (jets, jets[:0]):
        found = substructure(sample, R)
        assert tuple(found.fields) == OBSERVABLES
        for name in OBSERVABLES:
            assert np.asarray(found[name]).dtype == FIELDS["jets"][name].dtype
    assert tuple(lund(jets[:0]).fields) == LUND_FIELDS


def test_bad_input_is_refused(jets):
    with pytest.raises(ValueError, match="jets need constituents; they have pt, eta"):
        substructure(jets[["pt", "eta"]], R)
    with pytest.raises(ValueError, match="jets must be one flat list"):
        substructure(ak.unflatten(jets, [len(jets)]), R)
    with pytest.raises(ValueError, match="radius must be the jet radius R > 0, got 0"):
        substructure(jets, 0.0)
    with pytest.raises(ValueError, match="z_cut is a share of the pT"):
        substructure(jets, R, z_cut=0.7)
    broken = ak.with_field(jets.constituents, jets.constituents.eta * np.nan, "eta")
    with pytest.raises(ValueError, match="constituents.eta: .* NaN or infinite"):
        lund(ak.with_field(jets, broken, "constituents"))


def boosted(process, seed, keep):
    truth = Generator(Generation(process, pt_hat=(540, 760), mpi=False), seed).next(60).truth
    number = abs(truth.pdg_id)
    stable = truth[(truth.status > 0) & (number != 12) & (number != 14) & (number != 16)]
    found = cluster(stable, JetOptions(radius=R, pt_min=500.0, eta_max=2.0, leading=2))
    labelled = label_jets(found, truth, keep, R)
    return ak.mean(labelled), substructure(ak.flatten(found[labelled]), R)


def test_tops_of_pythia_look_like_tops():
    share, top = boosted("ttbar-hadronic", 1, ("top",))
    _, qcd = boosted("qcd", 1, ("light",))
    assert 0.5 < share < 0.95
    assert np.median(top.softdrop_mass) == pytest.approx(172, abs=15)
    assert np.median(qcd.softdrop_mass) < 60
    assert np.median(top.tau32) < np.median(qcd.tau32) - 0.1
    assert np.median(top.width) > 1.5 * np.median(qcd.width)
