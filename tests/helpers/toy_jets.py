"""Particles and jets made by hand: sprays of given directions, with every field of `particles`."""

import awkward as ak
import numpy as np


def records(pt, eta, phi, mass=0.0, **more):
    """Flat particle records of float64 momenta."""
    pt = np.asarray(pt, np.float64)
    columns = {"pt": pt, "eta": eta, "phi": phi, "mass": mass} | more
    return ak.zip({name: np.broadcast_to(values, pt.shape) for name, values in columns.items()})


def one_jet(pt, eta, phi, mass=0.0):
    """A sample of one jet of these constituents, its axis at (0, 0)."""
    constituents = records(pt, eta, phi, mass)
    lists = ak.unflatten(constituents, [len(constituents)])
    return ak.zip({"eta": [0.0], "phi": [0.0], "constituents": lists}, depth_limit=1)


def sprays(rng, n_events, n_sprays=3, size=25, spread=0.25, n_soft=60):
    """Events of a few collimated sprays over soft particles everywhere; masses are not zero."""
    n = n_sprays * size
    shape = (n_events, n_sprays, 1)
    eta = rng.uniform(-2, 2, shape) + rng.laplace(0, spread / 2, (n_events, n_sprays, size))
    phi = rng.uniform(-4, 4, shape) + rng.laplace(0, spread / 2, (n_events, n_sprays, size))
    pt = rng.exponential(12, (n_events, n_sprays, size)) + 0.5
    soft = (n_events, n_soft)
    columns = {
        "pt": np.concatenate([pt.reshape(-1, n), rng.exponential(1, soft) + 0.1], axis=1),
        "eta": np.concatenate([eta.reshape(-1, n), rng.uniform(-5, 5, soft)], axis=1),
        "phi": np.concatenate([phi.reshape(-1, n), rng.uniform(-np.pi, np.pi, soft)], axis=1),
    }
    order = rng.permuted(np.tile(np.arange(n + n_soft), (n_events, 1)), axis=1)
    columns = {name: np.take_along_axis(v, order, axis=1) for name, v in columns.items()}
    columns["mass"] = rng.choice([0.0, 0.13957, 0.93827], columns["pt"].shape)
    columns["charge"] = rng.integers(-1, 2, columns["pt"].shape).astype(np.int8)
    columns["tag"] = np.arange(columns["pt"].size).reshape(columns["pt"].shape)
    counts = np.full(n_events, n + n_soft)
    return ak.unflatten(ak.zip({k: v.ravel() for k, v in columns.items()}), counts)


def four_momenta(particles):
    """px, py, pz, E of flat records."""
    pt, eta, phi, mass = (
        np.asarray(particles[k], np.float64) for k in ("pt", "eta", "phi", "mass")
    )
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    return px, py, pz, np.sqrt(px**2 + py**2 + pz**2 + mass**2)
