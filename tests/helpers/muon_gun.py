"""Muons as tracker and calorimeters hand them on, and tracks with a parametrised resolution."""

import awkward as ak
import numpy as np

from fivesigma.detector.flow import Particles
from fivesigma.detector.iron import lost_energy
from fivesigma.geometry import response
from fivesigma.geometry.passage import leave_absorber
from fivesigma.units import CURVATURE, mass

N_LOWER = 15


def behind_calorimeters(pt, eta, system, rng):
    """One muon per event: helix to the calorimeters, then straight through, with energy loss.

    Returns:
        The particles, their azimuths, charges and z at the beam line.
    """
    pt, eta = np.broadcast_arrays(np.asarray(pt, float), eta)
    n, absorber = pt.size, system.absorber
    charge, z = rng.choice((-1.0, 1.0), n), rng.normal(0, 50, n)
    phi, cot = rng.uniform(-np.pi, np.pi, n), np.sinh(eta) + 1e-12
    curl = pt / (CURVATURE * absorber.field)
    turned = 2 * np.arcsin(np.minimum(absorber.front_radius / (2 * curl), 1))
    ends = (np.copysign(absorber.front_half_length, cot) - z) / (curl * cot)
    turned = np.minimum(turned, ends)
    middle, there = phi - charge * turned / 2, phi - charge * turned
    chord, sine = 2 * curl * np.sin(turned / 2), 1 / np.cosh(eta)
    states = np.stack([
        chord * np.cos(middle), chord * np.sin(middle), z + curl * turned * cot,
        sine * np.cos(there), sine * np.sin(there), np.tanh(eta),
    ], axis=1)  # fmt: skip
    energy = np.hypot(pt * np.cosh(eta), mass(13))
    for i, state in enumerate(states):
        leave_absorber(state, system.tables.absorber)
        energy[i] -= lost_energy(energy[i], absorber.iron, rng)
    momentum = np.sqrt(np.maximum(energy**2 - mass(13) ** 2, 0))[:, None] * states[:, 3:]
    particles = Particles(
        np.arange(n), np.zeros(n, int), (-13 * charge).astype(int), charge, np.full(n, mass(13)),
        *momentum.T, *states[:, :3].T,
    )  # fmt: skip
    return particles, phi, charge, z


def measured_tracks(pt, eta, phi, charge, z, rng):
    """One track per event with the published resolution of the tracker for muons."""
    pt, eta = np.broadcast_arrays(np.asarray(pt, float), eta)
    n, theta = pt.size, 2 * np.arctan(np.exp(-eta))
    rows = response.ATLAS.tracker.resolution["muon"]
    a, b = np.array([next(row[1:] for row in rows if abs(e) <= row[0]) for e in eta]).T
    relative = np.hypot(a, b * pt)
    errors = np.stack([np.full(n, 0.02), np.full(n, 0.1), np.full(n, 2e-4), np.full(n, 5e-4),
                       relative * np.sin(theta) / pt], axis=1)  # fmt: skip
    true = np.stack([np.zeros(n), z, phi, theta, charge * np.sin(theta) / pt], axis=1)
    d0, dz, phi, theta, qoverp = (true + errors * rng.standard_normal((n, 5))).T
    lower = np.zeros((n, N_LOWER))
    lower[:, [0, 2, 5, 9, 14]] = errors**2
    columns = {
        "pt": np.sin(theta) / np.abs(qoverp), "eta": -np.log(np.tan(theta / 2)), "phi": phi,
        "mass": np.full(n, mass(13)), "charge": np.sign(qoverp), "d0": d0, "dz": dz,
        "covariance": ak.from_regular(ak.Array(lower)), "truth": np.zeros(n, int),
    }  # fmt: skip
    return ak.unflatten(ak.zip(columns, depth_limit=1), np.ones(n, int)), relative
