"""`fivesigma demo discovery`: a resonance in dijets, found with a tagger and lost without."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from fivesigma import metrics
from fivesigma.datasets import Dataset
from fivesigma.report import write_report, write_results
from fivesigma.results import Number, Result
from fivesigma.runs import Run
from fivesigma.workflows.caches import open_jets
from fivesigma.workflows.cite import cite
from fivesigma.workflows.demo import demo
from fivesigma.workflows.dijets import Search, read_dijets
from fivesigma.workflows.discovered import sections
from fivesigma.workflows.generate import generate
from fivesigma.workflows.scoring import load_runs, score_runs

__all__ = ["Search", "discovery"]

#: the network that is always shown
_ALWAYS = "cnn"


def discovery(
    out: Path = Path("runs/discovery"),
    *,
    taggers: Path = Path("runs/demo"),
    jets: int = 12_000,
    search: Search = Search(),  # noqa: B008 (frozen)
    seed: int = 2,
    workers: int = 0,
    overwrite: bool = False,
    quiet: bool = False,
) -> list[Result]:
    """Search for a Z' of 1.3 TeV that decays to top quarks, in dijets of QCD.

    The dijet mass is fitted several times: of all pairs, and of pairs whose jets are both tagged
    by the CNN of `fivesigma demo`, by its best other network, and by its trees. Jets that trained
    the taggers take no part; the background behind the tags follows from mistag rates of single
    jets.

    Examples:
        fivesigma demo discovery
        fivesigma demo discovery --search.luminosity 30 --out runs/early

    Args:
        out: folder for the collisions, the workspaces and the report.
        taggers: folder of `fivesigma demo`; made if it is not there.
        jets: of each process.
        search: what is searched for, and where.
        seed: of all randomness; not that of the taggers' jets.
        workers: processes for the generation; 0: one for each core.
        overwrite: begin anew where other collisions are in the folder.
        quiet: show no progress.

    Returns:
        The sections of the report.

    Raises:
        ValueError: settings that cannot work, or collisions that the taggers were trained on.
    """
    if not (taggers / "results.json").exists():
        demo(taggers, workers=workers, quiet=quiet)
    runs, cuts = _working_points(taggers, search.efficiency)
    generate(
        out / "data", recipe="dijet-resonance", jets=jets, seed=seed, workers=workers,
        overwrite=overwrite, quiet=quiet,
    )  # fmt: skip
    data = open_jets(str(out / "data"))
    _refuse_trained_on(open_jets(str(taggers / "data")), data)
    samples = read_dijets(data, runs, search)
    trees = {name: "no network" for name in cuts if runs[name].architecture == "trees"}
    found = sections(samples, cuts, search, seed, out, trees)
    write_report(
        out / "report.html",
        "A resonance that a tagger finds, and the dijet mass alone does not",
        found,
        _facts(data, search),
        [f"fivesigma demo --out {taggers}", f"fivesigma demo discovery --out {out}"],
        headline=_headline(found),
        summary="The same collisions, fitted with and without taggers: all pairs of jets, and "
        "pairs of two tagged jets.",
        references=cite(
            [
                *(taggers / name for name in cuts),
                out / "data",
                out / "workspaces" / "pseudo-data.json",
            ]
        ),
        overwrite=True,
    )
    write_results(out / "results.json", found, overwrite=True)
    return found


def _headline(found: list[Result]) -> dict[str, Number]:
    significances = {
        f"expected, {name.removesuffix('/z_expected').replace('_', ' ')}": number
        for name, number in found[0].numbers.items()
        if name.endswith("/z_expected")
    }
    return significances | {"observed in pseudo-data": found[-1].numbers["z_observed"]}


def _working_points(folder: Path, efficiency: float) -> tuple[dict[str, Run], dict[str, float]]:
    """The CNN, the best other network and the best trees of a demo, and where each is cut.

    All follow from validation jets: the demo's test jets judge the taggers, no more.
    """
    dataset = open_jets(str(folder / "data"))
    found = load_runs([path.parent for path in sorted(folder.glob("*/model.yaml"))])
    scored = score_runs(found, dataset, "validation")
    areas = {name: metrics.auc(scored.signal, scored.score(name)).value for name in found}
    ranked = sorted(areas, key=lambda name: -areas[name])
    trees = [name for name in ranked if found[name].architecture == "trees"]
    networks = [name for name in ranked if name not in (_ALWAYS, *trees)]
    if _ALWAYS not in areas or len(areas) < 2:
        message = f"{folder} has the taggers {', '.join(areas)}; need {_ALWAYS} and another one"
        raise ValueError(message)
    cuts = {
        name: float(np.quantile(scored.score(name)[scored.signal == 1], 1 - efficiency))
        for name in (_ALWAYS, *networks[:1], *trees[:1])
    }
    return {name: found[name] for name in cuts}, cuts


def _refuse_trained_on(trained: Dataset, mine: Dataset) -> None:
    """Raise an error if both datasets come from the same random numbers."""
    one, other = (each.manifest["settings"].get("seed") for each in (trained, mine))
    if one is not None and one == other:
        message = f"both {trained.path} and {mine.path} have the seed {one}; choose another --seed"
        raise ValueError(message)


def _facts(data: Dataset, search: Search) -> dict[str, str]:
    processes = data.manifest["processes"]
    facts = {
        name: f"{each['cross_section_pb']:.4g} pb, {each['n_generated']} events"
        for name, each in processes.items()
    }
    window = search.window
    facts["Pairs"] = (
        f"two leading jets, pT > {window.pt_min:g} GeV, |eta| < 2, "
        f"|delta eta| < {window.deta_max:g}"
    )
    facts["Uncertainties"] = ", ".join(
        f"{name.replace('_', ' ')} {100 * value:g} %"
        for name, value in asdict(search.uncertainties).items()
    )
    return facts
