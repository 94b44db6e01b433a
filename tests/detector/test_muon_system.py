"""Segments and energies of the muon system."""

import awkward as ak
import numpy as np
import pytest
from helpers.muon_gun import behind_calorimeters

from fivesigma.detector.flow import Particles, available_energy
from fivesigma.detector.iron import lost_energy
from fivesigma.detector.muon_system import MuonOptions, muon_signals
from fivesigma.events import FIELDS
from fivesigma.geometry.passage import ionisation, radiation
from fivesigma.geometry.stations import ATLAS, CMS
from fivesigma.units import mass

BOTH = pytest.mark.parametrize("system", [ATLAS, CMS], ids=["atlas", "cms"])


def beam(pdg_id, momentum, n, system):
    """Particles just behind the calorimeters, in all azimuths at eta = 0.3."""
    phi, eta = np.linspace(-np.pi, np.pi, n, endpoint=False), 0.3
    direction = np.stack([np.cos(phi), np.sin(phi), np.full(n, np.sinh(eta))]) / np.cosh(eta)
    charge = {13: -1.0, 211: 1.0, 2212: 1.0, -2212: -1.0}.get(pdg_id, 0.0)
    return Particles(
        np.arange(n), np.zeros(n, int), np.full(n, pdg_id), np.full(n, charge),
        np.full(n, mass(pdg_id)), *(momentum * direction),
        *(system.absorber.back_radius * np.cosh(eta) * direction),
    )  # fmt: skip


def test_the_loss_of_muons_has_its_mean_and_its_tail():
    rng, iron = np.random.default_rng(1), 1500.0
    for energy, tolerance in ((20.0, 0.01), (1000.0, 0.06)):
        loss = np.array([lost_energy(energy, iron, rng) for _ in range(20_000)])
        ionised = ionisation(energy, iron)
        mean = ionised + radiation(iron) * (energy - ionised)
        assert loss.mean() == pytest.approx(mean, rel=tolerance)
        assert np.median(loss) < loss.mean()
        assert loss.max() <= energy
    assert (loss > 100).mean() == pytest.approx(radiation(iron) * np.log(10), rel=0.2)


@BOTH
@pytest.mark.parametrize("pdg_id", [13, 211, 2212, -2212, 130, 22, 11, 12])
def test_no_energy_is_made_or_lost(system, pdg_id):
    for momentum in (0.15, 1.0, 30.0):
        particles = beam(pdg_id, momentum, 200, system)
        out = muon_signals(particles, system, 200, np.random.default_rng(2))
        total = out.deposited + out.lost + out.leaked
        assert total == pytest.approx(available_energy(particles), rel=1e-12)
        assert (out.deposited >= 0).all() and (out.leaked >= -1e-12).all()
        if pdg_id in (12, 22, 130):
            assert ak.sum(ak.num(out.segments)) == 0
        if pdg_id == 12:
            assert (out.deposited == 0).all()


def test_muons_stop_in_the_yoke_and_pass_the_air():
    slow = beam(13, 0.5, 300, CMS)
    out = muon_signals(slow, CMS, 300, np.random.default_rng(3))
    assert (out.leaked == 0).mean() > 0.9
    assert out.lost[out.leaked == 0] == pytest.approx(mass(13))
    fast = beam(13, 30.0, 300, ATLAS)
    out = muon_signals(fast, ATLAS, 300, np.random.default_rng(3))
    assert (out.leaked > 29).all()


def test_punch_through_is_absorbed_by_the_interaction_length_of_iron():
    """Pions that cross the yoke: exp(-x / 168 mm)."""
    n = 20_000
    out = muon_signals(beam(211, 30.0, n, CMS), CMS, n, np.random.default_rng(4))
    reached = np.array([(ak.any(out.segments.station == k, axis=1)).to_numpy() for k in range(4)])
    share = reached.mean(axis=1) / CMS.efficiency
    iron = np.cumsum([0, *CMS.barrel.iron]) * np.cosh(0.3)
    assert share == pytest.approx(np.exp(-iron / 167.8), abs=0.01)


@BOTH
def test_segments_are_as_their_table_says(system):
    rng, n = np.random.default_rng(5), 500
    particles, *_ = behind_calorimeters(50.0, rng.uniform(-2.3, 2.3, n), system, rng)
    segments = muon_signals(particles, system, n, rng).segments
    assert set(segments.fields) == set(FIELDS["segments"]) | {"uy", "uz"}
    flat = ak.flatten(segments)
    r = np.hypot(flat.x, flat.y).to_numpy()
    station, tables = flat.station.to_numpy(), system.tables
    off = np.minimum(
        np.abs(r - tables.positions[0, station]),
        np.abs(np.abs(flat.z.to_numpy()) - tables.positions[1, station]),
    )
    assert off.max() < 0.01
    assert ak.to_numpy(flat.ux**2 + flat.uy**2 + flat.uz**2) == pytest.approx(1, abs=1e-5)
    assert (flat.truth == 0).to_numpy().all()
    mean = ak.mean(ak.num(segments)) / system.stations
    assert 0.93 * system.efficiency < mean <= system.efficiency + 0.02


def test_alignment_shifts_whole_sectors():
    """1 TeV muons at one place: all shifted alike, by the alignment error from seed to seed."""
    particles = beam(13, 1e5, 1, ATLAS)
    still = MuonOptions(absorber=False)

    def places(seed, alignment):
        options = MuonOptions(absorber=False, alignment=alignment, alignment_seed=seed)
        out = muon_signals(particles, ATLAS, 1, np.random.default_rng(6), options)
        return out.segments.z[0].to_numpy()

    assert still.alignment == 1
    base = places(0, 0.0)
    shifts = np.array([places(seed, 1.0) - base for seed in range(200)])
    assert (places(3, 1.0) == places(3, 1.0)).all()
    assert np.std(shifts) == pytest.approx(ATLAS.alignment, rel=0.1)


def test_noise_has_its_rate_and_no_truth():
    nothing = beam(13, 10.0, 0, CMS)
    out = muon_signals(nothing, CMS, 2000, np.random.default_rng(7), MuonOptions(noise=0.5))
    assert ak.mean(ak.num(out.segments)) == pytest.approx(0.5 * CMS.stations, rel=0.05)
    assert ak.all(out.segments.truth == -1)
    assert len(out.segments) == 2000


def test_same_seed_same_segments():
    particles = beam(13, 10.0, 50, CMS)
    one, other = (muon_signals(particles, CMS, 50, np.random.default_rng(8)) for _ in range(2))
    assert ak.array_equal(one.segments, other.segments)
    assert (one.deposited == other.deposited).all()


def test_wrong_options_are_refused():
    with pytest.raises(ValueError, match="noise must be a number >= 0, got -1"):
        MuonOptions(noise=-1)
