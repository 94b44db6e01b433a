"""`fivesigma select`, `templates` and `analyse`: from files to a significance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from fivesigma.progress import Progress
from fivesigma.report import collect, write_report, write_results
from fivesigma.report.figures import write_figures
from fivesigma.results import Number, Result
from fivesigma.search.description import Analysis, described, read_analysis
from fivesigma.storage import locked, write_file
from fivesigma.workflows.cite import cite
from fivesigma.workflows.findings import cutflow
from fivesigma.workflows.inferring import effect_of_pruning, inferred
from fivesigma.workflows.selecting import Chosen, select_all
from fivesigma.workflows.templating import templated

__all__ = ["Running", "analyse", "run_analysis", "select", "templates"]

#: file by which a folder is known as that of an analysis
_MARK = "analysis.yaml"


@dataclass(frozen=True)
class Running:
    """How an analysis is run; nothing of it changes the result.

    Attributes:
        memory: most memory to use, of all processes together.
        workers: processes; 0: one for each core.
        quiet: show no progress.
    """

    memory: str = "2 GB"
    workers: int = 1
    quiet: bool = False


def select(
    analysis: Path,
    *,
    out: Path | None = None,
    unblind: bool = False,
    memory: str = "2 GB",
    workers: int = 1,
    quiet: bool = False,
) -> Result:
    """Select the events of an analysis: the cut-flow of all samples, with statistical errors.

    What was selected before in the same way, from the same files, is not selected again.

    Examples:
        fivesigma select my-analysis.yaml --workers 4

    Args:
        analysis: YAML that describes it; docs/analysis.md tells how.
        out: folder of the analysis; runs/<name of the YAML> if none.
        unblind: look at data in signal regions.
        memory: most memory to use, of all processes together.
        workers: processes; 0: one for each core.
        quiet: show no progress.

    Returns:
        The cut-flow.

    Raises:
        FileNotFoundError: no such file.
        ValueError: what is wrong with the description or the files; says where.
    """
    read, folder = read_analysis(analysis), _folder(analysis, out)
    with _prepared(read, folder):
        chosen = _selected(read, folder, unblind, Running(memory, workers, quiet))
        result = cutflow(read, chosen)
        write_results(folder / "select" / "results.json", [result], overwrite=True)
    return result


def templates(
    analysis: Path,
    *,
    out: Path | None = None,
    unblind: bool = False,
    memory: str = "2 GB",
    workers: int = 1,
    quiet: bool = False,
) -> Result:
    """Make the templates of an analysis and its workspace in pyhf's JSON.

    Writes `templates/templates.root` (region/sample/variation) and `templates/workspace.json`
    into the folder of the analysis; selects before what is not selected yet.

    Examples:
        fivesigma templates my-analysis.yaml

    Args:
        analysis: YAML that describes it; docs/analysis.md tells how.
        out: folder of the analysis; runs/<name of the YAML> if none.
        unblind: look at data in signal regions.
        memory: most memory to use, of all processes together.
        workers: processes; 0: one for each core.
        quiet: show no progress.

    Returns:
        Expected events of all regions, and their figures.

    Raises:
        FileNotFoundError: no such file.
        ValueError: what is wrong with the description, the files or a template; says where.
    """
    read, folder = read_analysis(analysis), _folder(analysis, out)
    with _prepared(read, folder):
        chosen = _selected(read, folder, unblind, Running(memory, workers, quiet))
        return templated(read, folder, chosen, _telling(quiet))


def analyse(
    analysis: Path,
    *,
    out: Path | None = None,
    unblind: bool = False,
    impacts: bool = False,
    toys: int = 0,
    memory: str = "2 GB",
    workers: int = 1,
    quiet: bool = False,
) -> list[Result]:
    """Carry an analysis to its end: selection, templates, fit, significance, limit, report.

    Each step is kept, and done again only where what it depends on has changed; a command that
    was interrupted goes on where it stopped. Data in signal regions stay closed, and then only
    what is expected is told, until `--unblind`.

    Examples:
        fivesigma analyse configs/cms-higgs-4l.yaml
        fivesigma analyse my-analysis.yaml --workers 4 --unblind

    Args:
        analysis: YAML that describes it; docs/analysis.md tells how.
        out: folder of the analysis; runs/<name of the YAML> if none.
        unblind: look at data in signal regions.
        impacts: rank the nuisance parameters by their impact.
        toys: pseudo-experiments for the significance; 0: asymptotic formulas alone.
        memory: most memory to use, of all processes together.
        workers: processes; 0: one for each core.
        quiet: show no progress.

    Returns:
        The sections of the report.

    Raises:
        FileNotFoundError: no such file.
        ValueError: what is wrong with the description, the files or a template; says where.
    """
    read, folder = read_analysis(analysis), _folder(analysis, out)
    command = f"fivesigma analyse {analysis}"
    command += f" --out {out}" if out else ""
    command += " --unblind" * unblind + " --impacts" * impacts
    command += f" --toys {toys}" if toys else ""
    return run_analysis(
        read,
        folder,
        unblind=unblind,
        impacts=impacts,
        toys=toys,
        running=Running(memory, workers, quiet),
        command=command,
    )


def run_analysis(
    analysis: Analysis,
    out: Path,
    *,
    unblind: bool = False,
    impacts: bool = False,
    toys: int = 0,
    running: Running | None = None,
    command: str = "",
) -> list[Result]:
    """The same as `analyse`, of an analysis that is described in Python.

    Args:
        analysis: the description.
        out: folder of the analysis.
        unblind: look at data in signal regions.
        impacts: rank the nuisance parameters.
        toys: pseudo-experiments for the significance.
        running: memory and workers.
        command: what was typed, for the report.

    Returns:
        The sections of the report.

    Raises:
        ValueError: as `analyse`.
    """
    running = running or Running()
    with _prepared(analysis, out):
        chosen = _selected(analysis, out, unblind, running)
        tell = _telling(running.quiet)
        predicted = templated(analysis, out, chosen, tell)
        observed = bool(analysis.data) and (unblind or analysis.unblinded)
        options: dict[str, Any] = {"observed": observed, "impacts": impacts, "toys": toys}
        found = inferred(analysis, out, tell, **options)
        effect = effect_of_pruning(out, tell)
        predicted = replace(predicted, numbers={**predicted.numbers, **effect})
        sections = [cutflow(analysis, chosen), predicted, *found]
        _report(analysis, out, sections, observed, command)
    return sections


def _telling(quiet: bool) -> Callable[[str], None]:
    return lambda step: Progress.tell(f"{step} ...", quiet=quiet)


def _folder(analysis: Path, out: Path | None) -> Path:
    return Path("runs") / analysis.stem if out is None else out


@contextmanager
def _prepared(analysis: Analysis, out: Path) -> Iterator[None]:
    """Hold the lock of a folder that is new or an analysis', and note in it what is done.

    Raises:
        ValueError: the folder holds something else, or another process works in it.
    """
    taken = out.exists() and (not out.is_dir() or any(p.name[0] != "." for p in out.iterdir()))
    if taken and not (out / _MARK).is_file():
        message = f"{out} exists and is no analysis; choose another folder with --out"
        raise ValueError(message)
    with locked(out):
        text = yaml.safe_dump(described(analysis), sort_keys=False, allow_unicode=True)
        write_file(out / _MARK, text.encode())
        yield


def _selected(analysis: Analysis, out: Path, unblind: bool, running: Running) -> list[Chosen]:
    return select_all(analysis, out / "select", unblind=unblind, **asdict(running))


def _report(
    analysis: Analysis, out: Path, sections: list[Result], observed: bool, command: str
) -> None:
    """`report.html`, `results.json` and the figures as files."""
    numbers = collect(sections)
    write_results(out / "results.json", sections, overwrite=True)
    write_figures(out / "figures", {k: f for each in sections for k, f in each.figures.items()})
    write_report(
        out / "report.html",
        analysis.title,
        sections,
        _facts(analysis),
        [command] if command else [],
        summary=_summary(numbers, observed),
        references=cite([out / _MARK]),
        headline={text: numbers[name] for name, text in _HEADLINE.items() if name in numbers},
        overwrite=True,
    )


_HEADLINE = {
    "z_observed": "observed significance",
    "z_expected": "expected significance",
    "mu": "signal strength",
    "mu_limit_observed": "observed upper limit on the signal strength, 95 % CL",
    "mu_limit_expected": "expected upper limit",
}


def _facts(analysis: Analysis) -> dict[str, str]:
    statistical = "in the fit" if analysis.templates.mc_statistics else "not in the fit"
    facts = {
        "Experiment": analysis.experiment,
        "Samples": ", ".join(analysis.samples),
        "Regions": ", ".join(f"{name} ({each.kind})" for name, each in analysis.regions.items()),
        "Systematics": ", ".join(analysis.systematics) or "none",
        "Statistics of the simulation": statistical,
    }
    return {name: each for name, each in facts.items() if each}


def _summary(numbers: Mapping[str, Number], observed: bool) -> str:
    if not observed:
        return "Data in signal regions are closed: what is told is expected, not observed."
    if "z_observed" not in numbers:
        return ""
    z = numbers["z_observed"].value
    return f"The data lie {z:.2f} standard deviations above what background alone would give."
