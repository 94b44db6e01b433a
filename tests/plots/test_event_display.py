"""The event display: what is asked for is drawn, in its place."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection

from fivesigma.geometry import DETECTORS
from fivesigma.plots import to_svg
from fivesigma.plots.event_display import event_display

TRACKS = {
    "pt": [50.0, 2.0, 0.4], "eta": [0.3, -1.0, 0.0], "phi": [0.2, 2.0, -1.0], "charge": [1, -1, 1],
    "d0": [0.0, 0.1, 0.0], "dz": [0.0, 5.0, 0.0],
}  # fmt: skip
EVENT = {
    "tracks": TRACKS,
    "hits": {"x": [50.0, 100.0], "y": [1.0, 2.0], "z": [10.0, 20.0]},
    "cells": {
        "depth": [1, 1, 4, 4], "eta": [0.3, 2.2, -1.0, 0.0], "phi": [0.2, 1.0, 2.0, 0.0],
        "energy": [30.0, 10.0, 20.0, 0.1], "noise": [0.1] * 4,
    },
    "segments": {
        "x": [5000.0], "y": [1000.0], "z": [1500.0], "ux": [0.94], "uy": [0.19], "uz": [0.28],
    },
    "muons": {"track": [0, -1]},
    "jets": {"eta": [0.3, -1.8], "phi": [0.2, 2.0]},
    "met": {"pt": 42.0, "phi": -2.0},
}  # fmt: skip


class _Records(dict):
    """As long as its columns, as an Awkward array is."""

    def __len__(self):
        return len(next(iter(self.values())))


def event(*names):
    return {name: _Records(EVENT[name]) if name != "met" else EVENT[name] for name in names}


@pytest.mark.parametrize("name", ["atlas", "cms", "trackml"])
def test_all_is_drawn(name):
    figure = event_display(event(*EVENT), DETECTORS[name], title="fivesigma simulation")
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["track", "hit", "ECAL", "HCAL", "muon, segment", "jet", "missing 42 GeV"]
    for pane in figure.axes:
        assert len([c for c in pane.collections if isinstance(c, LineCollection)]) == 3
        assert len([c for c in pane.collections if isinstance(c, PolyCollection)]) == 3
    assert to_svg(figure).startswith("<svg")


def test_tracks_bend_and_end_at_the_calorimeters():
    """In 3.8 T a positive track of 2 GeV turns clockwise; soft ones are left out."""
    tracks = _Records({**TRACKS, "pt": [2.0, 0.4, 0.4], "phi": [0.0] * 3, "eta": [0.0] * 3})
    figure = event_display({"tracks": tracks}, DETECTORS["cms"])
    lines = [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    (points,) = lines[0].get_segments()
    points = points[np.isfinite(points).all(axis=1)]
    assert len(lines[1].get_segments()) == 0
    curl = 2.0 / (0.299792458e-3 * 3.8)
    r = DETECTORS["cms"].radius
    assert np.arctan2(*points[-1][::-1]) == pytest.approx(-np.arcsin(r / (2 * curl)), abs=0.02)
    assert np.hypot(*points[-1]) == pytest.approx(0.42, abs=0.02)


def test_towers_stand_where_their_cells_are():
    figure = event_display(event("cells"), DETECTORS["atlas"])
    ecal, hcal = (c for c in figure.axes[1].collections if isinstance(c, PolyCollection))
    centres = np.array([path.vertices[:-1].mean(axis=0) for path in ecal.get_paths()])
    order = np.argsort(np.abs(centres[:, 0]))
    barrel, endcap = centres[order]
    assert barrel[1] > 0.42 and 0 < barrel[0] < 0.2  # eta 0.3: above the tracker
    assert endcap[0] > 1.6 * 0.42 and 0 < endcap[1] < 0.42  # eta 2.2: beside it
    assert len(hcal.get_paths()) == 1  # the other cell is noise


def test_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing to draw"):
        event_display({}, DETECTORS["atlas"])
