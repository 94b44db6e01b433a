"""`fivesigma report`: one page of what was generated, trained and found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from fivesigma import plots
from fivesigma.batches import Inputs, jet_images
from fivesigma.datasets import Dataset
from fivesigma.report import collect, tagger_table, write_report, write_results
from fivesigma.results import Number, Result, Table
from fivesigma.runs import Run
from fivesigma.workflows.caches import open_jets
from fivesigma.workflows.cite import cite
from fivesigma.workflows.scoring import Scored, load_runs, performance, score_runs

__all__ = ["report"]

_OBSERVABLES = ("pt", "eta", "mass", "softdrop_mass", "tau32", "tau21", "multiplicity", "width")
_ALGORITHMS = {"antikt": "anti-kT", "ca": "Cambridge/Aachen", "kt": "kT"}
#: jets for images and pictures of single jets: those of the first shards
_PICTURED_SHARDS = 4


def report(
    runs: Sequence[Path],
    *,
    data: Path,
    out: Path = Path("runs/report"),
    title: str = "Jet tagging",
    commands: Sequence[str] = (),
    trust: bool = False,
    overwrite: bool = False,
) -> list[Result]:
    """Write a report on runs trained on one dataset: `report.html` and `results.json`.

    Examples:
        fivesigma report runs/cnn runs/pfn --data data/top --out runs/top

    Args:
        runs: folders of runs.
        data: the dataset of labelled jets.
        out: folder for the two files.
        title: of the page.
        commands: what was typed to get here, for the page.
        trust: let runs import the Python modules that they name.
        overwrite: replace a report that is there.

    Returns:
        The sections.

    Raises:
        ValueError: no runs, no dataset, classes that differ, or a report that exists.
    """
    if not runs:
        message = "name at least one run; `fivesigma train` makes one"
        raise ValueError(message)
    loaded, dataset = load_runs(runs, trust), open_jets(str(data))
    scored = score_runs(loaded, dataset)
    found = performance(scored)
    numbers = collect(found)
    taggers = Result("Taggers", tables={"": tagger_table(numbers)}, note=_best(scored, numbers))
    sections = [
        taggers,
        _generated(dataset),
        _physics(scored),
        _pictures(dataset),
        *found,
        _trained(loaded),
    ]
    sections = [section for section in sections if section is not None]
    write_report(
        out / "report.html",
        title,
        sections,
        _facts(dataset),
        list(commands) or [_command(runs, data, out)],
        summary=_summary(dataset, scored),
        references=cite([*runs, dataset.path]),
        overwrite=overwrite,
    )
    write_results(out / "results.json", sections, overwrite=True)
    return sections


def _command(runs: Sequence[Path], data: Path, out: Path) -> str:
    return f"fivesigma report {' '.join(map(str, runs))} --data {data} --out {out}"


def _best(scored: Scored, numbers: dict[str, Number]) -> str:
    areas = {name: numbers[f"{name}/auc"].value for name in scored.scores}
    best = max(areas, key=lambda name: areas[name])
    return (
        f"Best area under the curve: {best}. All taggers scored the same {len(scored.label)} jets."
    )


def _summary(dataset: Dataset, scored: Scored) -> str:
    classes = dataset.classes
    task = f"{classes[0]} against {classes[1]}" if len(classes) == 2 else ", ".join(classes)
    total, kept = (
        f"{n:,}".replace(",", "\u202f") for n in (dataset.counts["jets"], len(scored.label))
    )
    return f"{total} simulated jets, {task}; {kept} of them were kept aside to judge the taggers."


def _facts(dataset: Dataset) -> dict[str, str]:
    recipe = dataset.manifest["settings"].get("recipe", {})
    jets, generation = recipe.get("jets", {}), recipe.get("generation", {})
    facts = {"Classes": ", ".join(dataset.classes)}
    if generation:
        low, high = generation.get("pt_hat") or (0, float("inf"))
        facts["Collisions"] = (
            f"pp at {generation['energy'] / 1000:g} TeV, PYTHIA 8, pT-hat {low:g}-{high:g} GeV, "
            f"multiparton interactions {'on' if generation['mpi'] else 'off'}"
        )
        facts["Detector"] = recipe.get("detector") or "none: stable particles"
    if jets:
        facts["Jets"] = (
            f"{_ALGORITHMS[jets['algorithm']]}, R = {jets['radius']:g}, pT {jets['pt_min']:g}-"
            f"{jets['pt_max']:g} GeV, |eta| < {jets['eta_max']:g}"
        )
    pileup = dataset.manifest["settings"].get("pileup")
    facts["Pile-up"] = f"{pileup['mean']:g} collisions on average" if pileup else "none"
    if recipe.get("reference"):
        facts["Recipe after"] = recipe["reference"]
    facts["Split"] = "70 % training, 10 % validation, 20 % test, by event"
    return facts


def _generated(dataset: Dataset) -> Result:
    rows = []
    counts = np.zeros(len(dataset.classes), np.int64)
    for jets in dataset.iterate("jets", ["label"]):
        counts += np.bincount(ak.to_numpy(jets.label), minlength=len(counts))
    processes = dataset.manifest["processes"]
    names = [
        s["process"] for s in dataset.manifest["settings"].get("recipe", {}).get("samples", [])
    ]
    numbers: dict[str, Number] = {}
    for index, (label, process) in enumerate(zip(dataset.classes, names, strict=False)):
        entry = processes[process]
        cross_section = Number(
            entry["cross_section_pb"], entry["cross_section_error_pb"], unit="pb"
        )
        numbers[f"data/{label}/cross_section"] = cross_section
        rows.append(
            (
                label,
                process,
                Number(int(counts[index])),
                Number(entry["n_generated"]),
                cross_section,
            )
        )
    table = Table(
        ("Class", "Process", "Jets", "Events", "Cross-section"),
        tuple(rows),
        note="Cross-sections are PYTHIA's own, leading order, within the pT-hat range.",
    )
    return Result("What was generated", numbers, tables={"": table})


def _by_class(jets: ak.Array, classes: Sequence[str]) -> dict[str, ak.Array]:
    label = ak.to_numpy(jets.label)
    return {name: jets[label == index] for index, name in enumerate(classes)}


def _physics(scored: Scored) -> Result:
    by_class = _by_class(scored.jets, scored.classes)
    present = [name for name in _OBSERVABLES if name in scored.jets.fields]
    figure = plots.observable_grid(by_class, present)
    return Result(
        "Physics validation",
        figures={"Test jets of each class, normalised to one": figure},
        note="pT and pseudorapidity should look alike in all classes, or a network learns them "
        "instead of the jets' substructure.",
    )


def _pictures(dataset: Dataset) -> Result:
    shards = [shard["index"] for shard in dataset.shards][
        : _PICTURED_SHARDS * len(dataset.classes)
    ]
    by_class = _by_class(dataset.read("jets", shards=shards), dataset.classes)
    inputs = Inputs(kind="image", features=(), max_constituents=200)
    figures: dict[str, Any] = {}
    means = {
        name: jet_images(jets, inputs)[:, 0].mean(axis=0)
        for name, jets in by_class.items()
        if len(jets)
    }
    figures["Mean jet images, centred, rotated and flipped"] = plots.jet_images(
        means, inputs.half_width
    )
    singles = {
        f"{name} {k + 1}": jets[k] for name, jets in by_class.items() for k in range(len(jets[:2]))
    }
    figures["Single jets: each dot a constituent"] = plots.single_jets(singles)
    return Result("What the jets look like", figures=figures)


def _trained(runs: dict[str, Run]) -> Result:
    figures: dict[str, Any] = {}
    for name, run in runs.items():
        if history := run.history():
            figures[f"Training of {name}"] = plots.training_curves(history)
    return Result("Training", figures=figures)
