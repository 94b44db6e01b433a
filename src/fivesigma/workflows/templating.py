"""Templates of an analysis and its workspace, as files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import uproot

from fivesigma.report import write_results
from fivesigma.report.figures import write_figures
from fivesigma.results import Result
from fivesigma.search.description import Analysis, described
from fivesigma.search.making import make_templates
from fivesigma.search.templates import Templates
from fivesigma.search.workspace import make_workspace
from fivesigma.storage import temporary_of, write_json
from fivesigma.workflows.findings import predictions
from fivesigma.workflows.selecting import Chosen
from fivesigma.workflows.steps import finished, key_of

__all__ = ["TEMPLATES", "UNPRUNED", "WORKSPACE", "templated"]

TEMPLATES, WORKSPACE, UNPRUNED = "templates.root", "workspace.json", "unpruned.json"


def templated(
    analysis: Analysis, out: Path, chosen: Sequence[Chosen], tell: Callable[[str], None]
) -> Result:
    """Templates and workspace of what was selected, and what they predict.

    Args:
        analysis: the description.
        out: folder of the analysis.
        chosen: of `select_all`.
        tell: called with a line where they are made.

    Raises:
        ValueError: what is wrong with a template; says where.
    """
    folder = out / "templates"
    key = key_of([described(analysis), [each.key for each in chosen]])

    def make() -> Result:
        made = make_templates(analysis, [(each.part, each.selected) for each in chosen])
        content, pruned = make_workspace(analysis, made)
        folder.mkdir(exist_ok=True)
        _write_templates(folder / TEMPLATES, made)
        write_json(folder / WORKSPACE, content)
        (folder / UNPRUNED).unlink(missing_ok=True)
        if pruned:
            write_json(folder / UNPRUNED, make_workspace(analysis, made, keep_all=True)[0])
        result = predictions(analysis, made, pruned)
        write_results(folder / "results.json", [result], overwrite=True)
        write_figures(folder / "figures", result.figures)
        return result

    return finished(folder, key, make, tell, (TEMPLATES, WORKSPACE))


def _write_templates(path: Path, made: Templates) -> None:
    """One ROOT histogram for each: region/sample/variation; those of data region/data."""
    temporary = temporary_of(path)
    try:
        with uproot.recreate(temporary) as file:
            for names, each in made.predicted.items():
                file["/".join(names)] = each
            for region, each in made.observed.items():
                file[f"{region}/data"] = each
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
