"""What the workspace of an analysis says: fit, significance, limit, each a step that is kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from fivesigma.results import Number, Result
from fivesigma.search.description import Analysis
from fivesigma.storage import read_json
from fivesigma.workflows import inference
from fivesigma.workflows.findings import after_fit, drawn_with
from fivesigma.workflows.steps import finished, key_of
from fivesigma.workflows.templating import UNPRUNED, WORKSPACE

__all__ = ["effect_of_pruning", "inferred"]


def inferred(
    analysis: Analysis,
    out: Path,
    tell: Callable[[str], None],
    *,
    observed: bool,
    impacts: bool = False,
    toys: int = 0,
) -> list[Result]:
    """Fit, significance and limit of the workspace.

    Args:
        analysis: the description.
        out: folder of the analysis.
        tell: called with a line where something is done.
        observed: look at the data.
        impacts: rank the nuisance parameters.
        toys: pseudo-experiments for the significance.
    """
    workspace = out / "templates" / WORKSPACE
    options: dict[str, Any] = {"observed": observed, "overwrite": True}

    def fit(*given: Path, **chosen: Any) -> Result:
        found = inference.fit(*given, **chosen)
        return after_fit(analysis, out, found, observed=observed)

    steps: dict[str, tuple[Callable[..., Result], dict[str, Any]]] = {
        "fit": (fit, options | {"impacts": impacts}),
        "significance": (inference.significance, options | {"toys": toys}),
        "limit": (inference.limit, options),
    }
    drawn = {"fit": drawn_with(analysis)}
    return [
        _step(workspace, out / name, verb, chosen, tell, drawn.get(name))
        for name, (verb, chosen) in steps.items()
    ]


def _step(
    workspace: Path,
    folder: Path,
    verb: Callable[..., Result],
    options: dict[str, Any],
    tell: Callable[[str], None],
    drawn: dict[str, Any] | None = None,
) -> Result:
    key = key_of({"workspace": read_json(workspace), "options": options, "drawn": drawn})
    return finished(folder, key, partial(verb, workspace, folder, **options), tell)


def effect_of_pruning(out: Path, tell: Callable[[str], None]) -> dict[str, Number]:
    """The expected significance without and with what was left out, data closed.

    Args:
        out: folder of the analysis.
        tell: called with a line where something is done.

    Returns:
        `z_expected_pruned` and `z_expected_unpruned`; nothing where nothing was left out.
    """
    if not (out / "templates" / UNPRUNED).is_file():
        return {}
    options = {"observed": False, "toys": 0, "overwrite": True}
    numbers = {}
    for name, file in (("pruned", WORKSPACE), ("unpruned", UNPRUNED)):
        path, folder = out / "templates" / file, out / f"significance-{name}"
        found = _step(path, folder, inference.significance, options, tell)
        if "z_expected" in found.numbers:  # else its fit failed, and the significance tells why
            numbers[f"z_expected_{name}"] = found.numbers["z_expected"]
    return numbers
