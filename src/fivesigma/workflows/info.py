"""`fivesigma info`: what there is to choose from, or what a dataset or run holds."""

from __future__ import annotations

from pathlib import Path

from fivesigma.datasets import Dataset
from fivesigma.generation.processes import PROCESSES
from fivesigma.geometry import DETECTORS
from fivesigma.models import MODELS
from fivesigma.report import versions
from fivesigma.runs import load_run
from fivesigma.workflows.recipes import RECIPES

__all__ = ["info"]


def info(path: Path | None = None) -> str:
    """Tell versions, processes, recipes, detectors and models; or what a folder holds.

    Examples:
        fivesigma info
        fivesigma info runs/demo/data

    Args:
        path: folder of a dataset or run.

    Returns:
        Text.

    Raises:
        ValueError: the folder holds neither.
    """
    if path is None:
        return _choices()
    if (path / "model.yaml").is_file():
        return _run(path)
    return _dataset(Dataset.open(path))


def _choices() -> str:
    lines = ["Versions"] + [f"  {name} {number}" for name, number in versions().items()]
    lines += ["", "Processes (--process)"]
    lines += [f"  {name:20s}{process.title}" for name, process in PROCESSES.items()]
    lines += ["", "Recipes (--recipe)"]
    for name, recipe in RECIPES.items():
        classes = ", ".join(sample.label for sample in recipe.samples)
        jets = recipe.jets
        lines.append(
            f"  {name:20s}{classes}; R = {jets.radius:g}, pT {jets.pt_min:g}-{jets.pt_max:g} GeV, "
            f"detector {recipe.detector}"
        )
    lines += ["", "Detectors (--detector)", "  " + ", ".join(DETECTORS)]
    lines += ["", "Models (--model)", "  " + ", ".join([*MODELS, "trees", "my_module:MyNet"])]
    lines += [
        "",
        "Formats",
        "  fivesigma datasets (Parquet); PYTHIA .cmnd and LHE files as processes",
    ]
    return "\n".join(lines)


def _dataset(dataset: Dataset) -> str:
    content = dataset.manifest
    size = sum(sum(shard["bytes"].values()) for shard in dataset.shards)
    lines = [
        f"{dataset.path}: dataset of {content['kind']}, schema {content['schema']}, "
        f"{len(dataset.shards)} shards, {size / 1e6:.1f} MB"
    ]
    lines += [f"  {name}: {count}" for name, count in dataset.counts.items()]
    if dataset.classes:
        lines.append(f"  classes: {', '.join(dataset.classes)}")
    for name, entry in content["processes"].items():
        lines.append(
            f"  {name}: {entry['n_generated']} events, cross-section "
            f"{entry.get('cross_section_pb', 0):.4g} +- "
            f"{entry.get('cross_section_error_pb', 0):.2g} pb"
        )
    return "\n".join(lines)


def _run(path: Path) -> str:
    run = load_run(path, device="cpu")
    lines = [
        f"{path}: {run.architecture} with {run.n_parameters} parameters",
        f"  classes: {', '.join(run.classes)}",
    ]
    for key, value in run.model_yaml.get("provenance", {}).items():
        lines.append(f"  {key}: {value}")
    return "\n".join(lines)
