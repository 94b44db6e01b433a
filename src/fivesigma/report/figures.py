"""Figures as files of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib import rc_context

from fivesigma.plots.style import STYLE

__all__ = ["write_figures"]

_WRITTEN = ".written"


def write_figures(folder: Path, figures: Mapping[str, Any]) -> list[Path]:
    """Write figures as SVG for documents on white, replacing those of an earlier call.

    Figures of that call which are not made now are removed: those of data that are blinded again,
    for one. Other files are left alone.

    Args:
        folder: where to; made if it is not there.
        figures: title -> Figure; the titles become the file names.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index, paths = folder / _WRITTEN, []
    for title, figure in figures.items():
        path = folder / (re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") + ".svg")
        with rc_context(STYLE):
            figure.savefig(path, facecolor="white")
        paths.append(path)
    names = [path.name for path in paths]
    for name in index.read_text().split() if index.is_file() else []:
        if name not in names:
            (folder / name).unlink(missing_ok=True)
    index.write_text("".join(f"{name}\n" for name in names))
    return paths
