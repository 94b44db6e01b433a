"""Tracker presets: the open TrackML geometry, and trackers like those of ATLAS and CMS."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import cos

from fivesigma.geometry.layers import (
    Barrel,
    Disc,
    Layer,
    Layout,
    Ring,
    Sensor,
    Thickness,
)

__all__ = ["TRACKML"]


def _discs(
    name: str,
    positions: Sequence[float],
    span: tuple[float, float],
    material: Thickness,
    sensor: Sensor | None,
    rings: tuple[Ring, ...] = (),
) -> list[Layer]:
    """Discs at +z and -z, numbered from the centre."""
    return [
        Disc(f"{name}{side}{k}", sign * z, *span, material, sensor, rings)
        for side, sign in (("-", -1.0), ("+", 1.0))
        for k, z in enumerate(positions, start=1)
    ]


def _barrels(
    name: str,
    radii: Sequence[float],
    half_length: float,
    material: Thickness,
    sensor: Sensor,
    n_phi: Sequence[int],
    n_z: int,
) -> list[Layer]:
    return [
        Barrel(f"{name}{k}", radius, half_length, material, sensor, n, n_z)
        for k, (radius, n) in enumerate(zip(radii, n_phi, strict=True), start=1)
    ]


def _even(name: str, n_phi: int, span: tuple[float, float], n: int) -> tuple[Ring, ...]:
    """Rings of equal width that cover a span of radii without overlap."""
    edges = [span[0] + (span[1] - span[0]) * k / n for k in range(n + 1)]
    return tuple(Ring((a + b) / 2, 0.0, 0.0, (b - a) / 2, n_phi) for a, b in pairwise(edges))


# The generic detector of ACTS, used for the TrackML challenge (arXiv:1904.06778): radii, z, sizes
# and counts as in its detectors.csv; thicknesses as in ACTS. Modules are tilted by 0.14 (pixels)
# and 0.15, which makes them narrower seen from the beam. Resolutions are the spread of true minus
# measured positions in TrackML's own events, better than pitch / sqrt(12) where clusters have
# several channels: pixels 7.7 x 12 um (pitch 50 x 56.25), discs 11 um, short strips 15 um x
# 0.26 mm (80 um x 1.2 mm), long strips 20 um x 3.06 mm (120 um x 10.8 mm). One noise hit a module
# makes the 15 % of TrackML's events with 200 collisions. Modules are efficient, as in ACTS.
_PIXEL = Sensor(0.0077, 0.012, 0.15, 1.0, 1.0, 8.4 * cos(0.14), 36.0, 0.5)
_PIXEL_DISC = Sensor(0.011, 0.012, 0.15, 1.0, 1.0, stagger=4.0)
_SHORT = Sensor(0.015, 0.26, 0.25, 1.0, 1.0, 24.0 * cos(0.15), 54.0, 3.0)
_SHORT_DISC = Sensor(0.015, 0.26, 0.25, 1.0, 1.0, stagger=3.0)
_LONG = Sensor(0.020, 3.06, 0.35, 1.0, 1.0, 24.0 * cos(0.15), 54.0, 3.0)
_LONG_DISC = Sensor(0.020, 3.06, 0.35, 1.0, 1.0, stagger=3.0)
_FAR = (1220.0, 1500.0, 1800.0, 2150.0, 2550.0, 2950.0)

TRACKML = Layout(
    "trackml",
    1100.0,
    3000.0,
    2.0,
    (
        Barrel("beam pipe", 19.0, 3000.0, Thickness.beryllium(0.8)),
        *_barrels(
            "pixel barrel ",
            (32.0, 72.0, 116.0, 172.0),
            491.0,
            Thickness.silicon(1.5),
            _PIXEL,
            (16, 32, 52, 78),
            14,
        ),
        *_discs(
            "pixel disc ",
            (600.0, 700.0, 820.0, 960.0, 1100.0, 1300.0, 1500.0),
            (30.0, 176.0),
            Thickness.silicon(1.5),
            _PIXEL_DISC,
            (Ring(66.0, 8.4, 8.4, 36.0, 40), Ring(140.0, 8.4, 8.4, 36.0, 68)),
        ),
        Barrel("support tube", 200.0, 3000.0, Thickness.beryllium(1.8)),
        *_barrels(
            "short strip barrel ",
            (260.0, 360.0, 500.0, 660.0),
            1084.0,
            Thickness.silicon(2.0),
            _SHORT,
            (40, 56, 78, 102),
            21,
        ),
        *_discs(
            "short strip disc ",
            _FAR,
            (240.0, 700.0),
            Thickness.silicon(2.5),
            _SHORT_DISC,
            (
                Ring(318.0, 16.4, 24.2, 78.0, 54),
                Ring(470.0, 24.2, 32.2, 78.0, 56),
                Ring(622.0, 32.2, 40.0, 78.0, 60),
            ),
        ),
        *_barrels(
            "long strip barrel ",
            (820.0, 1020.0),
            1084.0,
            Thickness.silicon(2.5),
            _LONG,
            (120, 152),
            21,
        ),
        *_discs(
            "long strip disc ",
            _FAR,
            (750.0, 1020.0),
            Thickness.silicon(3.5),
            _LONG_DISC,
            (Ring(828.0, 54.0, 64.2, 78.0, 48), Ring(942.0, 66.0, 72.0, 78.0, 50)),
        ),
    ),
)
