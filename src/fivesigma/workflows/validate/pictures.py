"""A ttbar event in the detector, alone and with pile-up: what all parts leave and make of it."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np

from fivesigma.generation.options import Generation
from fivesigma.plots.event_display import event_display
from fivesigma.results import Number, Result
from fivesigma.workflows.validate.objects import reconstructed
from fivesigma.workflows.validate.setting import Setting

__all__ = ["pictures"]

_EVENTS, _POOL = 20, 100
_SHOWN = ("tracks", "cells", "segments", "muons", "jets", "met")
#: mean pile-up -> pT from which tracks are drawn, energy of cells, pT of jets [GeV]
_DRAWN = {0: (1.0, 0.3, 20.0), 40: (2.0, 1.0, 30.0)}
#: pT of the muon that an event is chosen for [GeV]
_MUON = 20.0


def pictures(setting: Setting) -> Result:
    """The first of some events with a muon, at 0 and 40 collisions of pile-up."""
    figures: dict[str, Any] = {}
    numbers: dict[str, Number] = {}
    for pileup, (track, cell, jet) in _DRAWN.items():
        event = _with_muon(setting, pileup)
        event["jets"] = event["jets"][event["jets"].pt > jet]
        figures[f"A ttbar event in {setting.detector.name}, pile-up {pileup}"] = event_display(
            event, setting.detector, "fivesigma simulation", track, cell
        )
        numbers |= {
            f"pictures/pileup_{pileup}/{name}": Number(len(event[name]))
            for name in ("tracks", "cells", "segments", "jets")
        }
    return Result(
        f"Events in {setting.detector.name}", numbers, figures, {},
        "Tracks, cells as towers, muon segments, jets and missing momentum, across and along the "
        "beam. Tracks from 1 GeV, cells from 0.3 GeV and jets from 20 GeV, with pile-up from 2, 1 "
        "and 30 GeV.",
    )  # fmt: skip


def _with_muon(setting: Setting, pileup: int) -> dict[str, Any]:
    """The collections of one event: the first with a hard muon, else the first."""
    parts = reconstructed(
        Generation("ttbar"), _EVENTS, setting.detector, setting.seed, pileup, _POOL
    )
    first: dict[str, Any] = {}
    for _, found in parts:
        rows = np.flatnonzero(ak.any(found["muons"].pt > _MUON, axis=1))
        event = {name: found[name][int(rows[0]) if len(rows) else 0] for name in _SHOWN}
        first = first or event
        if len(rows):
            return event
    return first
