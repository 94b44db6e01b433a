"""Noise hits: places at random on the modules."""

from __future__ import annotations

import numpy as np

from fivesigma.geometry.layers import Barrel, Layer, Layout, Sensor

__all__ = ["noise_hits"]


def noise_hits(
    layout: Layout, n_events: int, rng: np.random.Generator, scale: float = 1.0
) -> dict[str, np.ndarray]:
    """Noise hits of some events, as columns of `hits` with `event` and `secondary` (False).

    Their number in a layer is Poisson with mean `scale` x noise x modules, their places are even
    over its modules, their energy is exponential around 0.1 MeV (our choice: a threshold's tail).

    Args:
        layout: the tracker.
        n_events: events 0 to n_events - 1.
        rng: source of randomness.
        scale: factor on the rate.
    """
    parts = [
        _layer(
            k,
            layer,
            layer.sensor,
            rng.poisson(scale * layer.sensor.noise * layer.modules, n_events),
            rng,
        )
        for k, layer in enumerate(layout.layers)
        if layer.sensor is not None and scale * layer.sensor.noise > 0
    ]
    if not parts:
        parts = [_columns(np.zeros(0, int), 0, np.zeros(0, int), np.zeros((3, 0)), None)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _layer(
    number: int, layer: Layer, sensor: Sensor, counts: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    event = np.repeat(np.arange(counts.size), counts)
    module = rng.integers(layer.modules, size=event.size)
    u, v = rng.random(event.size), rng.random(event.size) - 0.5
    if isinstance(layer, Barrel):
        phi = 2 * np.pi * (module % layer.n_phi + u) / layer.n_phi
        r = np.full(event.size, layer.radius)
        z = (2 * (module // layer.n_phi + 0.5 + v) / layer.n_z - 1) * layer.half_length
    else:
        first = np.cumsum([0, *(ring.n_phi for ring in layer.rings)])
        ring = np.searchsorted(first, module, side="right") - 1
        n_phi = np.diff(first)[ring]
        phi = 2 * np.pi * (module - first[ring] + u) / n_phi
        r = np.array([each.radius for each in layer.rings])[ring]
        r = r + 2 * v * np.array([each.half_v for each in layer.rings])[ring]
        z = np.full(event.size, layer.z)
    place = np.stack([r * np.cos(phi), r * np.sin(phi), z])
    columns = _columns(event, number, module, place, sensor)
    return {**columns, "energy": 1e-4 * rng.standard_exponential(event.size)}


def _columns(
    event: np.ndarray, layer: int, module: np.ndarray, place: np.ndarray, sensor: Sensor | None
) -> dict[str, np.ndarray]:
    n = event.size
    x, y, z = place
    return {
        **{"x": x, "y": y, "z": z, "tx": x, "ty": y, "tz": z},
        "u_error": np.full(n, sensor.sigma_u if sensor else 0.0),
        "v_error": np.full(n, sensor.sigma_v if sensor else 0.0),
        "energy": np.zeros(n),
        "layer": np.full(n, layer),
        "module": module,
        "event": event,
        "truth": np.full(n, -1),
        "secondary": np.zeros(n, bool),
    }
