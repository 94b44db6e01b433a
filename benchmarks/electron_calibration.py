"""Make the tables for electrons and photons of `reconstruction/calibrations`.

    python benchmarks/electron_calibration.py [atlas|cms [electrons|photons]]

Single electrons and photons from the origin through tracker and calorimeters, pT flat in ln pT,
flat in |eta| < 2.5, four to an event. What departs by more than some standard deviations is
left out, again and again until the core stays: 2.5 for photons and 4 for electrons, our choice.
With these, pairs and fours of such particles, put together at random, have the peaks of
H -> gamma gamma (-0.04 % for atlas, +0.10 % for cms), Z -> ee (+0.09, +0.17) and H -> 4e
(-0.03, -0.22) closest to their masses in all; the less is left out, the higher are the peaks.
"""

from __future__ import annotations

import sys
from pathlib import Path

import awkward as ak
import numpy as np

import fivesigma.reconstruction
from fivesigma.detector.flow import Particles
from fivesigma.detector.signals import measure, stable, transport
from fivesigma.geometry import Detector
from fivesigma.geometry import detector as detector_named
from fivesigma.reconstruction.classical import reconstruct_signals
from fivesigma.reconstruction.cluster_calibration import Calibration, calibrate, derive, save
from fivesigma.reconstruction.clusters import clusters
from fivesigma.reconstruction.flow.leptons import superclusters
from fivesigma.reconstruction.flow.neutrals import photon_like
from fivesigma.reconstruction.flow.table import deposits, track_table
from fivesigma.reconstruction.leptons import merged_photons
from fivesigma.reconstruction.tracks import reconstruct_tracks
from fivesigma.workflows.validate.calorimeters import packed
from fivesigma.workflows.validate.guns import as_truth, shoot

#: share of the energy of the largest cluster; |eta| follows the matter of the trackers
NODES = Calibration(
    (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0), (0.2, 0.6, 1.0),
    (0.0, 0.5, 0.9, 1.2, 1.4, 1.6, 1.8, 2.1, 2.5),
)  # fmt: skip
#: PDG number, least pT [GeV], standard deviations kept
KINDS = {"electrons": (11, 3.0, 4.0), "photons": (22, 8.0, 2.5)}
PARTICLES, CHUNK, PT_MAX = 12000, 400, 300.0
#: share of the energy without which a particle was not found
FOUND = 0.5
#: share of a half Gaussian below one standard deviation
ONE_SIGMA = 0.683
#: weight of the right mean, see `derive`
MEAN = 1e3


def shot(kind: str, rng: np.random.Generator) -> Particles:
    """A portion of particles."""
    number, low, _ = KINDS[kind]
    pt = np.exp(rng.uniform(np.log(low), np.log(PT_MAX), CHUNK))
    return packed(shoot(number, pt, rng.uniform(-2.5, 2.5, CHUNK), rng))


def sample(kind: str, preset: Detector, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """True energies and directions (CHUNK,), measured energy, share of the largest cluster and
    direction (CHUNK,); energy 0: not found."""
    truth = as_truth(shot(kind, rng))
    left = transport(stable(truth), len(truth), preset, rng)
    signals = {"truth": truth, **measure(left, len(truth), preset, rng)}
    make = of_electrons if kind == "electrons" else of_photons
    flat = ak.flatten(truth)
    energy, eta = (ak.to_numpy(column) for column in (flat.pt * np.cosh(flat.eta), flat.eta))
    return energy, eta, *make(signals, preset, rng)


def of_electrons(
    signals: dict[str, ak.Array], preset: Detector, rng: np.random.Generator
) -> np.ndarray:
    """Superclusters of the electrons' tracks (3, CHUNK)."""
    tracks = reconstruct_tracks(signals["truth"], signals["hits"], preset.layers, rng)
    found = calibrate(clusters(signals["cells"], preset.cells), preset.cells)
    calo = deposits(found, signals["cells"], preset.cells)
    table = track_table(tracks, preset.cells)
    photon = photon_like(calo, preset.cells)
    made, _ = superclusters(table, calo, photon, np.ones(table.p.size, bool))
    event = np.repeat(np.arange(len(tracks)), ak.to_numpy(ak.num(tracks)))
    out = np.zeros((3, CHUNK))
    out[:, event * 4 + ak.to_numpy(ak.flatten(tracks.truth))] = made[:3]
    return out


def of_photons(
    signals: dict[str, ak.Array], preset: Detector, rng: np.random.Generator
) -> np.ndarray:
    """The hardest photon near each one (3, CHUNK)."""
    made = merged_photons(reconstruct_signals(signals, preset, rng)["particles"], 3.0)
    flat = ak.flatten(signals["truth"])
    eta, phi = ak.to_numpy(flat.eta), ak.to_numpy(flat.phi)
    out = np.zeros((3, CHUNK))
    for event, pt, eta_found, phi_found, _, _, share in made[np.argsort(made[:, 1])]:
        rows = np.arange(4) + 4 * int(event)
        turn = (phi[rows] - phi_found + np.pi) % (2 * np.pi) - np.pi
        near = rows[(np.abs(eta[rows] - eta_found) < 0.05) & (np.abs(turn) < 0.2)]
        out[:, near] = np.array([pt * np.cosh(eta_found), share, eta_found])[:, None]
    return out


def core_table(preset: Detector, core: float, *columns: np.ndarray) -> Calibration:
    """Factors of those that are found, departures by more than so many standard deviations left
    out.

    The width of the core is that of the upper half: tails lie below.
    """
    energy, eta, measured, share, direction = columns
    found, table = measured > FOUND * energy, NODES
    sigma, kept = preset.cells.ecal.sigma(energy, eta) + 0.01 * energy, found
    region = np.digitize(np.abs(eta), NODES.eta[1:-1])
    for _ in range(10):
        one = np.flatnonzero(kept)
        table = derive(table, np.arange(one.size), measured[one], share[one], direction[one],
                       energy[one], eta[one], sigma[one], mean=MEAN)  # fmt: skip
        pull = (measured * table.factor(measured, share, direction) - energy) / sigma
        width = np.array([
            np.quantile(pull[(region == k) & found & (pull > 0)], ONE_SIGMA)
            for k in range(len(NODES.eta) - 1)
        ])  # fmt: skip
        kept = found & (np.abs(pull) < core * width[region])
    return table


def main() -> None:
    """Add the tables to the file of each preset."""
    folder = Path(fivesigma.reconstruction.__file__).parent / "calibrations"
    for name in sys.argv[1:2] or ("atlas", "cms"):
        preset = detector_named(name)
        for kind in sys.argv[2:] or KINDS:
            rng = np.random.default_rng([1, len(kind)])
            parts = [sample(kind, preset, rng) for _ in range(PARTICLES // CHUNK)]
            columns = [np.concatenate(part) for part in zip(*parts, strict=True)]
            save(folder / f"{name}.json", {kind: core_table(preset, KINDS[kind][2], *columns)})
            print(f"{name}, {kind}: {folder / name}.json")


if __name__ == "__main__":
    main()
