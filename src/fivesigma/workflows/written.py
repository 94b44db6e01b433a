"""What the verbs on workspaces write: `results.json`, figures, a report page with its command."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from matplotlib import rc_context
from matplotlib.figure import Figure

from fivesigma.plots.style import STYLE
from fivesigma.report import write_report, write_results
from fivesigma.report.figures import write_figures
from fivesigma.results import Number, Result
from fivesigma.storage import write_file
from fivesigma.workflows.cite import cite
from fivesigma.workflows.steps import StoredFigure

__all__ = ["written"]

_SETTINGS = "config.yaml"
_EDGES = ("minus2", "minus1", "plus1", "plus2")


def written(
    made: Result, workspace: Path, out: Path, verb: str, asked: Mapping[str, Any], overwrite: bool
) -> Result:
    """Write a result; its figures come back as SVG.

    Args:
        made: what was found.
        workspace: in what.
        out: folder to write to.
        verb: of the command line.
        asked: options that were given, for the command that repeats the result.
        overwrite: replace earlier results.
    """
    made = replace(made, figures={name: _drawn(each) for name, each in made.figures.items()})
    write_figures(out / "figures", made.figures)
    settings = {"workspace": str(workspace), "out": str(out)} | _given(asked)
    write_file(out / _SETTINGS, yaml.safe_dump(settings, sort_keys=False).encode())
    command = shlex.join(["fivesigma", verb, str(workspace), str(out), *_words(asked)])
    write_report(
        out / "report.html",
        f"{made.title}: {workspace.name}",
        [made],
        {"Workspace": str(workspace)},
        [command],
        headline=_headline(made.numbers),
        references=cite([out / _SETTINGS, *([workspace] if workspace.is_file() else [])]),
        overwrite=True,
    )
    write_results(out / "results.json", [made], overwrite)
    return made


def _given(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Options that were given, as YAML has them."""
    plain = {k: dict(v) if isinstance(v, Mapping) else v for k, v in asked.items() if v}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in plain.items()}


def _headline(numbers: Mapping[str, Number]) -> dict[str, Number]:
    """The first four, without the edges of bands."""
    names = [name for name in numbers if not name.endswith(_EDGES)]
    return {name: numbers[name] for name in names[:4]}


def _words(asked: Mapping[str, Any]) -> Iterator[str]:
    """Options as the command line takes them; those that are empty were not given."""
    for name, value in asked.items():
        if isinstance(value, Mapping):
            yield from _words({f"{name}.{key}": each for key, each in value.items()})
        elif isinstance(value, list | tuple):
            yield from (f"--{name}+={each}" for each in value)
        elif value is True:
            yield f"--{name}"
        elif value or "." in name:  # parameters may be held at 0
            yield f"--{name}={value}"


def _drawn(figure: Figure) -> StoredFigure:
    """A figure as SVG: it is shown in several places, and drawing it is what takes the time."""
    stream = StringIO()
    with rc_context(STYLE):
        look: dict[str, Any] = {"facecolor": "none", "edgecolor": "none"}
        figure.savefig(stream, format="svg", metadata={"Date": None}, **look)
    return StoredFigure(stream.getvalue())
