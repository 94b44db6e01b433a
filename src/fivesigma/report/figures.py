"""Figures as files of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib import rc_context

from fivesigma.plots.style import STYLE

__all__ = ["write_figures"]


def write_figures(folder: Path, figures: Mapping[str, Any]) -> list[Path]:
    """Write figures as SVG for documents on white, replacing those of the same names.

    Args:
        folder: where to; made if it is not there.
        figures: title -> Figure; the titles become the file names.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for title, figure in figures.items():
        path = folder / (re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") + ".svg")
        with rc_context(STYLE):
            figure.savefig(path, facecolor="white")
        paths.append(path)
    return paths
