"""Tracker presets: the open TrackML geometry, and trackers like those of ATLAS and CMS, Run 1.

Tracks from these layers are those of isolated particles. The object-level response (`response.py`)
has the same constants for ATLAS and CMS. At 10 GeV its hadrons (6, 10 and 25 %) are worse than
these layers by a factor of 3 to 6 (ATLAS) and 7 to 11 (CMS); its muons (1, 1.5 and 2.5 %) are
better than ATLAS' layers by 40 to 45 % and as CMS' within 10 %, at 100 GeV better by a factor of 2
to 3 and by 25 to 40 %.
"""

from __future__ import annotations

import math
from math import cos

from fivesigma.geometry.layers import (
    Barrel,
    Layer,
    Layout,
    Published,
    Ring,
    Sensor,
    Thickness,
    barrels,
    discs,
    evenly,
)

__all__ = ["ATLAS", "CMS", "LAYOUTS", "TRACKML"]

_mix = Thickness.mixture


# The generic detector of ACTS, used for the TrackML challenge (arXiv:1904.06778): radii, z, sizes
# and counts as in its detectors.csv; thicknesses as in ACTS, once a layer though modules overlap.
# Modules are tilted by 0.14 (pixels) and 0.15, which makes them narrower seen from the beam.
# Resolutions are the spread of true minus measured positions in TrackML's own events, better than
# pitch / sqrt(12) where clusters have several channels: pixels 7.7 x 12 um (pitch 50 x 56.25),
# discs 11 um, short strips 15 um x 0.26 mm (80 um x 1.2 mm), long strips 20 um x 3.06 mm (120 um x
# 10.8 mm). One noise hit a module makes the 15 % of TrackML's events with 200 collisions. Modules
# are efficient, as in ACTS.
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
        *barrels(
            "pixel barrel ",
            (32.0, 72.0, 116.0, 172.0),
            491.0,
            Thickness.silicon(1.5),
            _PIXEL,
            (16, 32, 52, 78),
            14,
        ),
        *discs(
            "pixel disc ",
            (600.0, 700.0, 820.0, 960.0, 1100.0, 1300.0, 1500.0),
            (30.0, 176.0),
            Thickness.silicon(1.5),
            _PIXEL_DISC,
            (Ring(66.0, 8.4, 8.4, 36.0, 40), Ring(140.0, 8.4, 8.4, 36.0, 68)),
        ),
        Barrel("support tube", 200.0, 3000.0, Thickness.beryllium(1.8)),
        *barrels(
            "short strip barrel ",
            (260.0, 360.0, 500.0, 660.0),
            1084.0,
            Thickness.silicon(2.0),
            _SHORT,
            (40, 56, 78, 102),
            21,
        ),
        *discs(
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
        *barrels(
            "long strip barrel ",
            (820.0, 1020.0),
            1084.0,
            Thickness.silicon(2.5),
            _LONG,
            (120, 152),
            21,
        ),
        *discs(
            "long strip disc ",
            _FAR,
            (750.0, 1020.0),
            Thickness.silicon(3.5),
            _LONG_DISC,
            (Ring(828.0, 54.0, 64.2, 78.0, 48), Ring(942.0, 66.0, 72.0, 78.0, 50)),
        ),
    ),
)


def _two_terms(sigma: float, momentum: float) -> tuple[tuple[float, float], ...]:
    """sigma (1 (+) momentum / pT), which its authors call right at low and at high pT."""
    points = (0.5, 1.0, 2.0, 100.0, 1000.0)
    return tuple((pt, sigma * math.hypot(1, momentum / pt)) for pt in points)


def _relative(rows: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    return tuple((pt, pt * sigma) for pt, sigma in rows)


# Like ATLAS in Run 1: positions after JINST 3 S08003; the straw tubes are layers of four straws
# each (r-phi only). Published: the same paper's two-term formulae. |eta| = 0.25-0.5: q/pT 0.34/TeV
# and 44 GeV (second source: physicsforums.com, thread 866588), d0 10 um and 14 GeV; 1.5-1.75:
# 0.41/TeV and 80 GeV, 12 um and 20 GeV (quoted from memory, no second source found); |eta| = 1 is
# our interpolation. Resolutions and material of the parts are fitted to them, near what the parts
# have: silicon strips 33 um and straws 52 um stand for the intrinsic 17 and 130 / sqrt(4) um with
# alignment; the budget is 0.65 X0 at eta = 0, 1.3 at 1, 2.4 at 1.65. Highland's formula, applied
# layer by layer, makes 10 % less scattering than for all of them at once: material for 1.25 times
# the budget scatters like it. Ratio of layers to formula at 0.5, 1, 2, 100, 1000 GeV:
#   sigma(pT)  0.25-0.5 : 0.97 0.98 1.00 1.02 0.95
#              0.9-1.1  : 1.06 0.99 0.97 1.02 0.97
#              1.5-1.75 : 0.99 0.94 0.94 1.08 0.96
#   d0         0.25-0.5 : 1.03 1.02 1.06 1.05 1.00
#              0.9-1.1  : 0.93 0.93 0.96 1.01 0.95
#              1.5-1.75 : 0.97 0.97 0.98 1.00 0.92
# Between 5 and 20 GeV, where both terms count, layers give up to 27 % more than any two-term
# formula. Noise: our choice.
_A_PIXEL = Sensor(0.0099, 0.115, 0.25, noise=0.02)
_A_STRIP = Sensor(0.033, 0.58, 0.285, noise=0.02)
_A_STRIP_DISC = Sensor(0.0485, 0.58, 0.285, noise=0.02)
_A_STRAW = Sensor(0.0515, 205.0, 0.1, noise=0.2)
_A_STRAW_DISC = Sensor(0.048, 104.0, 0.1, noise=0.1)

ATLAS = Layout(
    "atlas",
    1150.0,
    3510.0,
    2.0,
    (
        Barrel("beam pipe", 29.0, 3500.0, _mix(0.0097)),
        *barrels("b-layer ", (50.5,), 400.5, _mix(0.046), _A_PIXEL, (22,), 13),
        *barrels("pixel barrel ", (88.5, 122.5), 400.5, _mix(0.055), _A_PIXEL, (38, 52), 13),
        *discs(
            "pixel disc ",
            (495.0, 580.0, 650.0),
            (88.8, 149.6),
            _mix(0.044),
            _A_PIXEL,
            evenly(48, (88.8, 149.6), 1),
        ),
        *discs("pixel services ", (700.0,), (60.0, 229.0), _mix(0.05)),
        Barrel("pixel support", 230.0, 3500.0, _mix(0.042)),
        *barrels(
            "strip barrel ",
            (299.0, 371.0, 443.0, 514.0),
            749.0,
            _mix(0.0305),
            _A_STRIP,
            (32, 40, 48, 56),
            12,
        ),
        *discs("strip services ", (1150.0,), (275.0, 560.0), _mix(0.235)),
        Barrel("strip support", 550.0, 3500.0, _mix(0.14)),
        *discs(
            "strip disc ",
            (853.8, 934.0, 1091.5, 1299.9, 1399.7, 1771.4, 2115.2, 2505.0, 2720.2),
            (275.0, 560.0),
            _mix(0.11),
            _A_STRIP_DISC,
            evenly(44, (275.0, 560.0), 3),
        ),
        *barrels(
            "straw barrel ",
            tuple(590.0 + 56.0 * k for k in range(9)),
            712.0,
            _mix(0.0195),
            _A_STRAW,
            (96,) * 9,
            2,
        ),
        *discs("straw services ", (780.0,), (575.0, 1080.0), _mix(0.064)),
        *discs(
            "straw disc ",
            tuple(877.0 + 57.0 * k for k in range(15))
            + tuple(1790.0 + 97.0 * k for k in range(10)),
            (644.0, 1004.0),
            _mix(0.06),
            _A_STRAW_DISC,
            evenly(192, (644.0, 1004.0), 1),
        ),
    ),
    (
        Published(0.25, 0.5, _relative(_two_terms(0.34e-3, 44.0)), _two_terms(0.010, 14.0)),
        Published(0.9, 1.1, _relative(_two_terms(0.375e-3, 62.0)), _two_terms(0.011, 17.0)),
        Published(1.5, 1.75, _relative(_two_terms(0.41e-3, 80.0)), _two_terms(0.012, 20.0)),
    ),
)


def _cms(low: float, high: float, pt: tuple[float, ...], d0: tuple[float, ...]) -> Published:
    points = (1.0, 3.3, 9.0, 30.0, 100.0)
    rows = (tuple(zip(points, sigmas, strict=True)) for sigmas in (pt, d0))
    return Published(low, high, *rows)


# Like CMS in Run 1, positions after JINST 3 S08004. Published: isolated muons in three ranges of
# |eta| (arXiv:1405.6569, figures as digitised in Delphes' table trackResolutionCMS, bins
# of pT around 1, 3.3, 9, 30 and 100 GeV), where the object-level response has its d0 from. Its two
# terms for sigma(pT)/pT, 1 (+) 0.01 % pT in the centre, are not this tracker's: at high pT they
# are twice as good as measured. Below 1 GeV the figure's sigma(pT)/pT rises, by a third at 0.55
# GeV, which scattering alone does not make. Resolutions and material are fitted to all thirty
# figures at once, as muons with 99 % of their hits have them, within bounds of our choice and with
# no more material than 0.65 X0 at eta = 0, 1.9 at 1, 2.4 at 1.45; CMS has 0.4 at 0, 1.8 at most: a
# quarter of that makes up for Highland's formula applied layer by layer. Strips of 46 and 59 um in
# the barrel stand where pitches / sqrt(12) are 23-34 and 35-53 um, 121 um in the end caps (28-53
# um). Wheels of the end caps lack inner rings the further out they stand. Ratio of layers, all of
# them hit, to published at these momenta; with 99 % of the hits 0 to 1.4 % more:
#   sigma(pT)  0-0.9    : 0.92 1.04 1.07 1.03 0.96
#              0.9-1.4  : 0.91 0.94 0.98 1.05 0.98
#              1.4-2.5  : 0.93 1.05 1.05 1.05 0.93
#   d0         0-0.9    : 1.05 0.91 0.94 0.95 0.94
#              0.9-1.4  : 1.07 0.94 1.00 1.06 1.05
#              1.4-2.5  : 0.94 0.93 0.97 1.05 1.06
_C_PIXEL = Sensor(0.0086, 0.030, 0.285, noise=0.05)
_C_PIXEL_DISC = Sensor(0.0135, 0.030, 0.285, noise=0.05)
_C_INNER_STEREO = Sensor(0.0458, 0.23, 0.32, noise=0.05)
_C_INNER = Sensor(0.0458, 30.0, 0.32, noise=0.05)
_C_INNER_DISC = Sensor(0.028, 0.5, 0.4, noise=0.05)
_C_OUTER_STEREO = Sensor(0.0587, 0.53, 0.5, noise=0.05)
_C_OUTER = Sensor(0.0587, 53.0, 0.5, noise=0.05)
_C_DISC_STEREO = Sensor(0.121, 0.5, 0.4, noise=0.05)
_C_DISC = Sensor(0.121, 30.0, 0.4, noise=0.05)


def _wheels(name: str, positions: tuple[float, ...], inner: float, sensor: Sensor) -> list[Layer]:
    span = (inner, 1130.0)
    rings = evenly(56, span, round((span[1] - span[0]) / 130.0))
    return discs(name, positions, span, _mix(0.101), sensor, rings)


CMS = Layout(
    "cms",
    1290.0,
    3000.0,
    3.8,
    (
        Barrel("beam pipe", 29.0, 2990.0, _mix(0.004)),
        *barrels("pixel barrel inner ", (44.0,), 265.0, _mix(0.0168), _C_PIXEL, (18,), 8),
        *barrels("pixel barrel ", (73.0, 102.0), 265.0, _mix(0.0585), _C_PIXEL, (30, 44), 8),
        *discs("pixel services ", (285.0,), (30.0, 150.0), _mix(0.024)),
        *discs(
            "pixel disc ",
            (345.0, 465.0),
            (60.0, 150.0),
            _mix(0.063),
            _C_PIXEL_DISC,
            evenly(24, (60.0, 150.0), 7),
        ),
        *barrels(
            "inner stereo ", (255.0, 339.0), 700.0, _mix(0.0605), _C_INNER_STEREO, (26, 36), 12
        ),
        *barrels("inner barrel ", (418.5, 498.0), 700.0, _mix(0.0605), _C_INNER, (44, 52), 12),
        *discs("inner services ", (740.0,), (230.0, 700.0), _mix(0.363)),
        *discs(
            "inner disc ",
            (800.0, 900.0, 1000.0),
            (230.0, 500.0),
            _mix(0.0535),
            _C_INNER_DISC,
            evenly(34, (230.0, 500.0), 3),
        ),
        *barrels(
            "outer stereo ", (608.0, 692.0), 1090.0, _mix(0.044), _C_OUTER_STEREO, (42, 48), 12
        ),
        *barrels(
            "outer barrel ",
            (780.0, 868.0, 965.0, 1080.0),
            1090.0,
            _mix(0.044),
            _C_OUTER,
            (54, 60, 66, 74),
            12,
        ),
        *discs("outer services ", (1150.0,), (220.0, 1130.0), _mix(0.331)),
        *_wheels("end cap stereo inner ", (1262.0, 1402.0), 220.0, _C_DISC_STEREO),
        *_wheels("end cap stereo ", (1822.0, 1984.0), 310.0, _C_DISC_STEREO),
        *_wheels("end cap 220 ", (1542.0,), 220.0, _C_DISC),
        *_wheels("end cap 310 ", (1682.0,), 310.0, _C_DISC),
        *_wheels("end cap 400 ", (2160.0, 2400.0), 400.0, _C_DISC),
        *_wheels("end cap 510 ", (2660.0,), 510.0, _C_DISC),
    ),
    (
        _cms(
            0.0, 0.9,
            (0.0092, 0.0085, 0.0088, 0.0112, 0.0236), (0.0753, 0.0350, 0.0211, 0.0130, 0.0104),
        ),
        _cms(
            0.9, 1.4,
            (0.0146, 0.0150, 0.0156, 0.0176, 0.0327), (0.0926, 0.0399, 0.0221, 0.0134, 0.0102),
        ),
        _cms(
            1.4, 2.5,
            (0.0206, 0.0192, 0.0219, 0.0312, 0.0705), (0.1557, 0.0544, 0.0278, 0.0165, 0.0130),
        ),
    ),
)  # fmt: skip

#: detector -> its tracker
LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in (ATLAS, CMS, TRACKML)}
