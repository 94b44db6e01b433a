"""Detector presets: one declarative description that response, signals, reconstruction and display
share.

`response.py` has the object-level response (tracks, towers), `layers.py` and `trackers.py` the
tracker's layers and modules, `cells.py` and `calorimeters.py` the calorimeters' depths and cells,
`stations.py` the muon system, `pileup.py` the noise of pile-up in cells. Lengths in mm, energies
in GeV, fields in T.
"""

from __future__ import annotations

from dataclasses import dataclass

from fivesigma.geometry import calorimeters, response, stations, trackers
from fivesigma.geometry.cells import Cells
from fivesigma.geometry.layers import Layout
from fivesigma.geometry.response import Calorimeter, Response, Tracker
from fivesigma.geometry.stations import MuonSystem

__all__ = ["DETECTORS", "Calorimeter", "Detector", "Response", "Tracker", "detector"]


@dataclass(frozen=True)
class Detector:
    """A detector, of which each part may be absent.

    Attributes:
        name: its key in `DETECTORS`.
        radius: of the tracker's cylinder, at which the calorimeters begin [mm].
        half_length: of that cylinder [mm].
        field: of the solenoid [T].
        response: the object-level response.
        layers: the tracker's.
        cells: the calorimeters'.
        stations: the muon system.
    """

    name: str
    radius: float
    half_length: float
    field: float
    response: Response | None = None
    layers: Layout | None = None
    cells: Cells | None = None
    stations: MuonSystem | None = None


DETECTORS: dict[str, Detector] = {
    "atlas": Detector(
        "atlas", 1150.0, 3510.0, 2.0,
        response.ATLAS, trackers.ATLAS, calorimeters.ATLAS, stations.ATLAS,
    ),
    "cms": Detector(
        "cms", 1290.0, 3000.0, 3.8, response.CMS, trackers.CMS, calorimeters.CMS, stations.CMS
    ),
    "atlas-coarse": Detector("atlas-coarse", 1150.0, 3510.0, 2.0, response.ATLAS_COARSE),
    # the tracker of the TrackML challenge, the calorimeter of CaloChallenge's data sets 2 and 3
    "trackml": Detector("trackml", 1100.0, 3000.0, 2.0, layers=trackers.TRACKML),
    "wsi": Detector("wsi", 1000.0, 1000.0, 0.0, cells=calorimeters.WSI),
}  # fmt: skip


def detector(name: str) -> Detector:
    """The preset of that name.

    Raises:
        ValueError: no such preset.
    """
    if name not in DETECTORS:
        message = f"unknown detector {name!r}; choose from {', '.join(DETECTORS)}"
        raise ValueError(message)
    return DETECTORS[name]
