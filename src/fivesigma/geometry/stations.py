"""The muon system: four stations behind the calorimeters, its field and its material; presets.

Stations are cylinders around the beam (barrel) or discs across it (end caps). Between one station
and the next lie a share of the bending power and so many mm of iron, or what amounts to it.
Lengths in mm, fields in T.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

__all__ = ["ATLAS", "CMS", "Absorber", "MuonSystem", "Stations", "Tables"]


@dataclass(frozen=True)
class Stations:
    """The stations of the barrel, or of both end caps, from the inside outwards.

    Attributes:
        positions: radii (barrel) or |z| (end caps) [mm].
        low, high: extent: |z| in the barrel, radius in the end caps [mm].
        iron: between each station and the next [mm].
        shares: of the bending power between each station and the next.
        position_error: of a segment in the bending direction [mm].
        angle_error: of its angle in the bending plane [rad].
        across_error: of its position in the other direction [mm].
        across_angle_error: of its angle in the other plane [rad].
    """

    positions: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    iron: tuple[float, ...]
    shares: tuple[float, ...]
    position_error: float
    angle_error: float
    across_error: float
    across_angle_error: float


@dataclass(frozen=True)
class Absorber:
    """What lies between the beam line and the first station: tracker and calorimeters.

    Attributes:
        front_radius, front_half_length: the tracker's cylinder [mm].
        field: of the solenoid in that cylinder [T].
        back_radius, back_half_length: cylinder behind the calorimeters and the coil [mm].
        back_field: along z between both cylinders [T].
        iron: whose energy loss equals that of the calorimeters, along the path as theirs [mm].
        radiation_lengths: up to the back cylinder, along the path, barrel and end caps.
        behind: radiation lengths between the back cylinder and the first station, alike.
        straggling: half the central 68 % of the energy lost to ionisation in them [GeV].
        tracker: iron whose energy loss equals that of the tracker, barrel and end caps [mm].
    """

    front_radius: float
    front_half_length: float
    field: float
    back_radius: float
    back_half_length: float
    back_field: float
    iron: float
    radiation_lengths: tuple[float, float]
    behind: tuple[float, float]
    straggling: float
    tracker: tuple[float, float]


class Tables(NamedTuple):
    """A muon system as arrays for compiled loops; first index 0 the barrel, 1 the end caps.

    Attributes:
        toroid: whether the field bends the polar angle, not the azimuth.
        positions, low, high: (2, S) [mm].
        iron, shares: (2, S - 1).
        errors: (2, 4): position, angle, position across, angle across.
        power: (K, 2) rows |eta| max, bending power [T mm].
        absorber: (14,) in the order of `Absorber`.
    """

    toroid: bool
    positions: np.ndarray
    low: np.ndarray
    high: np.ndarray
    iron: np.ndarray
    shares: np.ndarray
    errors: np.ndarray
    power: np.ndarray
    absorber: np.ndarray


@dataclass(frozen=True)
class MuonSystem:
    """A muon system.

    Attributes:
        field: "toroid" bends the polar angle by 0.3 q BL / p, "solenoid" (the return yoke) the
            azimuth by 0.3 q BL / pT.
        barrel, endcaps: the stations.
        bending_power: rows (|eta| max, BL between the first and the last station [T m]).
        absorber: what lies inside.
        eta_max: of the acceptance.
        efficiency: for a segment of a charged particle within a station: gaps, dead channels.
        alignment: standard deviation of a sector's position in the bending direction [mm].
        sectors: of a station, in azimuth.
        standalone: rows (|eta| max, p0 [GeV], p1, p2 [1/GeV]): the published resolution
            sigma(pT)/pT = p0/pT (+) p1 (+) p2 pT of the muon system alone.
        combined: rows (|eta| max, pT [GeV], sigma(pT)/pT): published figures of tracker and muon
            system together.
    """

    field: Literal["toroid", "solenoid"]
    barrel: Stations
    endcaps: Stations
    bending_power: tuple[tuple[float, float], ...]
    absorber: Absorber
    eta_max: float
    efficiency: float
    alignment: float
    sectors: int
    standalone: tuple[tuple[float, float, float, float], ...]
    combined: tuple[tuple[float, float, float], ...] = ()

    @property
    def stations(self) -> int:
        """How many stations a muon meets."""
        return len(self.barrel.positions)

    @cached_property
    def tables(self) -> Tables:
        """All of it for compiled loops."""
        parts = (self.barrel, self.endcaps)
        rows = {
            name: np.array([getattr(part, name) for part in parts], dtype=np.float64)
            for name in ("positions", "low", "high", "iron", "shares")
        }
        errors = [
            (p.position_error, p.angle_error, p.across_error, p.across_angle_error) for p in parts
        ]
        a = self.absorber
        absorber = [a.front_radius, a.front_half_length, a.field]
        absorber += [a.back_radius, a.back_half_length, a.back_field]
        absorber += [a.iron, *a.radiation_lengths, *a.behind, a.straggling, *a.tracker]
        power = np.array(self.bending_power) * (1.0, 1e3)
        return Tables(
            self.field == "toroid",
            **rows,
            errors=np.array(errors),
            power=power,
            absorber=np.array(absorber),
        )

    def resolution(self, pt: float, eta: float) -> float:
        """The published sigma(pT)/pT of the muon system alone; infinite outside its acceptance."""
        for eta_max, p0, p1, p2 in self.standalone:
            if abs(eta) <= eta_max:
                return math.sqrt((p0 / pt) ** 2 + p1**2 + (p2 * pt) ** 2)
        return math.inf


#: Air-core toroids. Published: 4 % at 100 GeV and 10 % at 1 TeV over the acceptance, tubes of
#: 82 um, optical alignment to 40 um, 2-6 T m (arXiv:1109.6933); chambers at radii of 5 to 10 m and
#: |z| of 7 to 22 m (JINST 3 S08003). p1 and p2 follow from the two figures; no figure for p0 is
#: confirmed. Ours: the barrel's three stations are described as four at even distances; segments
#: of six tubes (82 um / sqrt(6)) in two layers 0.3 m apart; one bending power for each range of
#: |eta|, within the published range, and iron for coils, supports and chambers, both such that the
#: published figures come out up to |eta| = 2; an absorber that is the calorimeters of
#: `calorimeters.ATLAS` and the tracker of `trackers.ATLAS`, from the energy that muons lose in
#: both; the terms beyond, where the same iron scatters less than the field of the end caps bends.
ATLAS = MuonSystem(
    field="toroid",
    barrel=Stations(
        positions=(5000.0, 6700.0, 8300.0, 10000.0),
        low=(0.0, 0.0, 0.0, 0.0),
        high=(6800.0, 8700.0, 10500.0, 12500.0),
        iron=(38.0, 38.0, 38.0),
        shares=(0.34, 0.32, 0.34),
        position_error=0.0335,
        angle_error=0.22e-3,
        across_error=5.0,
        across_angle_error=0.02,
    ),
    endcaps=Stations(
        positions=(7400.0, 10800.0, 14000.0, 21500.0),
        low=(900.0, 1300.0, 1700.0, 2600.0),
        high=(6000.0, 8700.0, 11500.0, 12500.0),
        iron=(36.0, 36.0, 5.0),
        shares=(0.5, 0.5, 0.0),
        position_error=0.0335,
        angle_error=0.22e-3,
        across_error=5.0,
        across_angle_error=0.02,
    ),
    bending_power=((0.5, 3.35), (1.05, 3.6), (2.0, 2.85), (2.7, 5.6)),
    absorber=Absorber(
        front_radius=1150.0,
        front_half_length=3510.0,
        field=2.0,
        back_radius=4250.0,
        back_half_length=6200.0,
        back_field=0.0,
        iron=1890.0,
        radiation_lengths=(109.0, 109.0),
        behind=(0.0, 0.0),
        straggling=0.2,
        tracker=(29.0, 63.0),
    ),
    eta_max=2.7,
    efficiency=0.98,
    alignment=0.04,
    sectors=16,
    standalone=((2.0, 0.0, 0.0389, 9.2e-5), (2.7, 0.0, 0.022, 10.2e-5)),
)

#: Chambers in the iron return yoke: multiple scattering dominates. Published: 9 % for small |eta|
#: up to 200 GeV, 15-40 % at 1 TeV depending on |eta|, the beam spot included (JINST 3 S08004,
#: section 1.3); drift tubes 80-120 um and cathode strips 40-150 um a chamber, efficiency 95-98 %
#: (arXiv:1306.6905); drift tubes 1.8 mrad (arXiv:0911.4855). With the tracker: 5 % at 1 TeV in
#: the centre (arXiv:1007.1988). Below 200 GeV what counts is scattering ahead of the first
#: station. In the barrel it is that of |eta| < 0.5: crystals of 25.8 radiation lengths and 5.82
#: interaction lengths of brass (JINST 3 S08004, sections 4 and 5), 92 radiation lengths in all
#: along the path (the HCAL of `calorimeters.CMS` has 9 interaction lengths at every |eta|).
#: Further out in the barrel there are more. In the end caps 25 radiation lengths of supports add
#: to those of `calorimeters.CMS`. Ours: these 25; 16 behind the field for the coil, its tank and
#: the outer part of the HCAL; one angle for both kinds of chambers; bending powers of the yoke
#: and alignment such that 9 % at 10 and 100 GeV and 15 % at 1 TeV come out in the barrel, 40 % at
#: the largest |eta|; p1 of the end caps.
CMS = MuonSystem(
    field="solenoid",
    barrel=Stations(
        positions=(4200.0, 5000.0, 6100.0, 7200.0),
        low=(0.0, 0.0, 0.0, 0.0),
        high=(6500.0, 6500.0, 6500.0, 6500.0),
        iron=(300.0, 630.0, 630.0),
        shares=(0.2, 0.4, 0.4),
        position_error=0.1,
        angle_error=1.8e-3,
        across_error=1.0,
        across_angle_error=0.005,
    ),
    endcaps=Stations(
        positions=(6800.0, 8300.0, 9350.0, 10200.0),
        low=(1200.0, 1400.0, 1600.0, 1800.0),
        high=(7000.0, 7000.0, 7000.0, 7000.0),
        iron=(600.0, 600.0, 250.0),
        shares=(0.42, 0.42, 0.16),
        position_error=0.075,
        angle_error=1.8e-3,
        across_error=3.0,
        across_angle_error=0.01,
    ),
    bending_power=((1.2, -1.1), (2.4, -1.0)),
    absorber=Absorber(
        front_radius=1290.0,
        front_half_length=3000.0,
        field=3.8,
        back_radius=2950.0,
        back_half_length=6200.0,
        back_field=3.8,
        iron=1740.0,
        radiation_lengths=(92.0, 150.0),
        behind=(16.0, 0.0),
        straggling=0.2,
        tracker=(27.0, 64.0),
    ),
    eta_max=2.4,
    efficiency=0.97,
    alignment=0.05,
    sectors=12,
    standalone=((0.9, 0.0, 0.09, 1.2e-4), (1.8, 0.0, 0.11, 1.25e-4), (2.4, 0.0, 0.19, 3.5e-4)),
    combined=((0.9, 1000.0, 0.05),),
)
