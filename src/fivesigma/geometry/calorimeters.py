"""Calorimeter presets: ATLAS-like, CMS-like, and the W/Si calorimeter of CaloChallenge data set 2.

Depths and cells follow the ATLAS and CMS detector papers (JINST 3 S08003 and S08004), resolutions
the published formulae in `geometry/response.py`. The three depths of the CMS-like ECAL, whose
crystals are not divided, are our own choice. Lengths in mm, energies in GeV.
"""

from __future__ import annotations

from fivesigma.geometry import response
from fivesigma.geometry.cells import Cells, Depth, GranularityRow, Section, Tuning
from fivesigma.geometry.materials import (
    ARGON,
    IRON,
    LEAD,
    SILICON,
    TUNGSTEN,
    Layer,
    Material,
    mix,
)

__all__ = ["ATLAS", "CMS", "WSI"]


def _rows(
    fine: float, in_phi: int, noise: float, forward: float, end: float
) -> tuple[GranularityRow, ...]:
    """Fine cells to |eta| 2.5, then the same coarser ones in every depth."""
    return (
        (2.5, fine, in_phi, noise),
        (end, 0.1, 64, 2 * noise),
        (4.9, 0.2, 32, forward),
    )


_ATLAS_LEAD = (Layer(LEAD, 1.53), Layer(IRON, 0.4), Layer(ARGON, 4.2))
_LEAD_ARGON = mix(_ATLAS_LEAD, gap=0.5)
_TILE = Material(22.4, 0.0217, 20.5, 26.0, 207.0, 0.00100)
_CRYSTAL = Material(8.9, 0.00964, 21.9, 68.4, 202.7, 0.00101)
_BRASS = Material(16.4, 0.0205, 18.5, 29.0, 178.0, 0.00110)
_TUNGSTEN_SILICON = mix((Layer(TUNGSTEN, 1.4), Layer(SILICON, 0.3)))

# e/h: tiles 1.362 +- 0.006 (JINR E1-2002-13), lead and argon 1.74 +- 0.04 (hep-ex/9911033). Ours:
# cells with less noise than the detector has in the ECAL, as the published formula there has no
# noise term, and more in the HCAL: all cells within a radius of 0.4 add up to the 1.59 GeV of the
# published formula, of which topological clusters leave out a part: larger fluctuations of the
# hadronic energy take its place at 10 and 20 GeV.
# The sampling term of the ECAL is 13 % less than the published one and constant terms are left
# out: thresholds, what clusters leave out and non-compensation add what is missing. 2 to 3
# radiation lengths of the last depth stand for the matter ahead of the detector's 24. The HCAL's
# 9.2 interaction lengths along the path lie between the detector's 7.4 at eta = 0 and 11.4 at
# |eta| = 1.
ATLAS = Cells(
    "atlas",
    radius=1150.0,
    half_length=3510.0,
    depths=(
        Depth("ecal", 4.3, _rows(0.003125, 64, 0.006, 0.10, 3.2)),
        Depth("ecal", 16.0, _rows(0.025, 256, 0.012, 0.15, 3.2)),
        Depth("ecal", 6.5, _rows(0.05, 256, 0.010, 0.15, 3.2)),
        Depth("hcal", 1.5, _rows(0.1, 64, 0.172, 0.40, 3.2)),
        Depth("hcal", 4.1, _rows(0.1, 64, 0.140, 0.40, 3.2)),
        Depth("hcal", 3.6, _rows(0.2, 64, 0.075, 0.40, 3.2)),
    ),
    ecal=Section(
        _LEAD_ARGON, response.ATLAS.ecal.resolution, e_over_h=1.74, sampling=0.87, intrinsic=1.0,
        constant=0.0, cross_talk=0.01, zero_suppression=3.0,
        sampling_fraction=(_LEAD_ARGON.x0 / 6.63, 1 / (1 + 0.007 * (82 - 18))),
    ),
    hcal=Section(
        _TILE, response.ATLAS.hcal.resolution, e_over_h=1.36, sampling=0.55, intrinsic=2.0,
        constant=0.0, zero_suppression=2.0,
    ),
)  # fmt: skip


def _crystals(width: float, in_phi: int, noise: float) -> tuple[GranularityRow, ...]:
    """Cells whose noise grows with |eta| as the published resolution does, 1 + 0.64 eta^2."""
    return (
        (0.5, width, in_phi, noise),
        (1.0, width, in_phi, 1.36 * noise),
        (3.0, width, in_phi, 2.0 * noise),
        (4.9, 0.175, 36, 0.20),
    )


_CMS_TOWERS = ((1.74, 0.087, 72, 0.03), (3.0, 0.126, 36, 0.05), (4.9, 0.175, 36, 0.18))
# Ours: e/h; the split of crystals and towers in depth; a radiation length of the last depth of the
# ECAL for the tracker ahead of the crystals' 25.8; the noise of crystals, such that an electron's
# cluster has the published 0.40 GeV, and of towers; the shares of sampling and other hadronic
# fluctuations in the published term of 1.5; constant terms, less than published where clusters
# add to them (ECAL) and more where part of the shower does not have them (HCAL).
CMS = Cells(
    "cms",
    radius=1290.0,
    half_length=3000.0,
    depths=(
        Depth("ecal", 4.0, _crystals(0.0174, 360, 0.064)),
        Depth("ecal", 16.0, _crystals(0.0174, 360, 0.086)),
        Depth("ecal", 6.8, _crystals(0.0348, 180, 0.064)),
        Depth("hcal", 1.5, _CMS_TOWERS),
        Depth("hcal", 4.3, _CMS_TOWERS),
        Depth("hcal", 3.2, _CMS_TOWERS),
    ),
    ecal=Section(
        _CRYSTAL, response.CMS.ecal.resolution, e_over_h=1.6, sampling=0.96, intrinsic=0.4,
        constant=0.65, zero_suppression=2.5,
    ),
    hcal=Section(
        _BRASS, response.CMS.hcal.resolution, e_over_h=1.4, sampling=0.97, intrinsic=0.4,
        constant=1.4, zero_suppression=2.0,
    ),
)  # fmt: skip

#: 90 x (1.4 mm W + 0.3 mm Si) read as 45 layers of 16 x 9 cells about the shower's axis, rings of
#: 4.65 mm (CaloChallenge data set 2, arXiv:2410.21611); energies divided by 0.033, cells from
#: 15.15 keV. Tuning, scale and sampling term are those of `benchmarks/wsi_fit.py`, from one half
#: of the Geant4 sample.
_SILICON = Section(
    _TUNGSTEN_SILICON,
    ((99.0, 0.0, 0.1280, 0.0, 1.0, 0.0, 0.0),),
    sampling_fraction=(_TUNGSTEN_SILICON.x0 / 1.7, 1 / (1 + 0.007 * (74 - 14))),
    spots=400.0,
    independent=0.72,
    scale=0.985,
    tuning=Tuning((-0.130, 0.0236), (-0.306, 0.0349), (1.01, 0.79), 0.19, 0.0273, 0.140, 0.947),
)
WSI = Cells(
    "wsi",
    radius=1000.0,
    half_length=1000.0,
    depths=(Depth("ecal", 3.4 / _TUNGSTEN_SILICON.x0, ((9.0, 1.0, 16, 0.0),)),) * 45,
    ecal=_SILICON,
    hcal=_SILICON,
    ring=4.65,
)
