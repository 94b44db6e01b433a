"""`fivesigma prune`: a tagger with fewer weights."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from fivesigma.datasets import Dataset
from fivesigma.finetuning import check_start
from fivesigma.progress import Progress
from fivesigma.pruning import magnitude_masks, prunable, shares, zero_share
from fivesigma.report import write_results
from fivesigma.results import Number, Result, Table
from fivesigma.runfolder import MODEL, discard, read_model_yaml, writing
from fivesigma.runs import Run, load_run
from fivesigma.training import Training, fit
from fivesigma.workflows.caches import open_jets, require_classes, split_caches
from fivesigma.workflows.evaluate import paired
from fivesigma.workflows.scoring import figures_of_merit, score_runs
from fivesigma.workflows.train import Shown, spectra_factors

__all__ = ["prune"]

_STEPS = "steps"


def prune(
    run: Path,
    out: Path,
    *,
    data: Path,
    share: float = 0.5,
    steps: int = 4,
    training: Training = Training(epochs=5, learning_rate=3e-4),  # noqa: B008 (frozen)
    trust: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
) -> Result:
    """Set a network's smallest weights to zero, in steps, with training in between.

    In each step the weights of all linear layers and convolutions that are small beside others of
    their layer (arXiv:2010.07611) become zero and stay so; the others are trained on
    (arXiv:1710.01878). `out` is an ordinary run. Repeating the command goes on where it stopped.

    Examples:
        fivesigma prune runs/pfn runs/pfn-pruned --data data/top --share 0.8
        fivesigma prune runs/pfn runs/pfn-pruned --data data/top --share 0.95 --steps 8 \\
            --training.epochs 10

    Args:
        run: folder of the run, one network.
        out: folder of the pruned run; what each step but the last gives is in `out`/steps.
        data: dataset of labelled jets that the run was trained on.
        share: of these weights that are zero in the end; biases and norms do not count.
        steps: many weights go in the first, few in the last.
        training: options of the training after each step; those of the run are not taken over.
        trust: let a run import the Python module that it names.
        overwrite: discard a run in this folder.
        quiet: show no progress.

    Returns:
        Figures of merit of both runs on the test jets, their paired differences, the share of
        zeros and the number of other parameters, and what stays of each layer.

    Raises:
        ValueError: a share out of range, a run that is not one network or has as many zeros
            already, unfit data, or a folder with another run.
    """
    start, dataset = load_run(run, device=training.device, trust=trust), open_jets(str(data))
    wanted = _wanted(start, dataset, out, share, steps, overwrite)
    if overwrite:
        _discard(out)
    pruned = _pruned(start, dataset, out, wanted, training, quiet)
    scored = score_runs({"pruned": pruned, "unpruned": start}, dataset)
    numbers = {k: v for each in scored.scores for k, v in figures_of_merit(scored, each).items()}
    ratios = paired(scored)
    numbers |= {f"pruned-vs-unpruned/{key}": number for key, number in ratios.items()}
    numbers |= {
        "zeros": Number(zero_share(pruned.model)),
        "nonzero_parameters": Number(
            sum(int(each.count_nonzero()) for each in pruned.model.parameters())
        ),
    }
    result = Result(
        f"{start.name} with {100 * numbers['zeros'].value:.4g} % of its weights zero",
        {f"{pruned.name}/{key}": number for key, number in numbers.items()},
        tables={"layers": _layers(pruned)},
        note=_verdict(ratios),
    )
    write_results(out / "results.json", [result], overwrite=True)
    return result


def _wanted(
    start: Run, dataset: Dataset, out: Path, share: float, steps: int, overwrite: bool
) -> list[float]:
    """The share of zeros after each step; raises an error before anything is computed."""
    if not 0 < share < 1 or steps < 1:
        message = (
            f"got share {share:g} and {steps} steps; need 0 < share < 1 and at least one step"
        )
        raise ValueError(message)
    form = start.model_yaml
    check_start(start, form["model"], start.inputs, form["options"])
    require_classes(start, dataset)
    before = zero_share(start.model)
    if before >= share:
        message = f"{start.path} has {before:.1%} zeros already; give a share above {before:.3g}"
        raise ValueError(message)
    there = (out / MODEL).exists() and (
        out.resolve() == start.path.resolve()
        or ("masks" not in read_model_yaml(out)["settings"] and not overwrite)
    )
    if there:
        message = f"{out} holds a run that is not pruned; choose another folder"
        raise ValueError(message)
    return shares(before, share, steps)


def _discard(out: Path) -> None:
    """Remove the run and its steps: what is interrupted after that is gone on with."""
    for folder in (*sorted((out / _STEPS).glob("[0-9]*")), out):
        with writing(folder):
            discard(folder)


def _pruned(
    start: Run, dataset: Dataset, out: Path, wanted: list[float], training: Training, quiet: bool
) -> Run:
    """Step by step a run with more zeros; the last one is in `out`.

    Each is what `prune` makes of the one before in a single step, and its `config.yaml` says so.
    """
    caches = split_caches(dataset, start.inputs, "train", "validation")
    form = start.model_yaml
    common: dict[str, Any] = {
        "model_options": form["options"],
        "weights": spectra_factors(dataset, training, caches),
    }
    found = start
    total = len(wanted) * training.epochs
    with Progress(f"pruning {start.name}", total, "epochs", quiet=quiet) as bar:
        shown = Shown(bar, training.epochs)
        for number, share in enumerate(wanted):
            last = number == len(wanted) - 1
            folder = out if last else out / _STEPS / str(number)
            found = fit(
                *(form["model"], *caches, start.classes, folder, training),
                init=found,
                masks=magnitude_masks(found.model, share),
                config={
                    "run": str(found.path), "out": str(folder), "data": str(dataset.path),
                    "share": share, "steps": 1, "training": asdict(training),
                },
                provenance={
                    "dataset": str(dataset.path),
                    "settings_hash": dataset.manifest["settings_hash"],
                    "training_jets": len(caches[0]),
                    "validation_jets": len(caches[1]),
                    "init": str(found.path),
                    "pruned": str(start.path),
                },
                progress=partial(_show, shown, number),
                **common,
            )  # fmt: skip
    return found


def _show(shown: Shown, number: int, line: dict[str, Any]) -> None:
    shown(line | {"member": number})


def _layers(run: Run) -> Table:
    """What stays of each layer."""
    rows = tuple(
        (name, Number(int(weight.count_nonzero())), Number(weight.numel()))
        for name, weight in prunable(run.model).items()
    )
    return Table(("weights", "not zero", "of"), rows)


def _verdict(ratios: dict[str, Number]) -> str:
    """What it costs, of several classes the one that suffers most."""
    found = [number for key, number in ratios.items() if key.endswith("rejection_ratio_at_50")]
    worst = min(found, key=lambda number: number.value)
    return (
        f"Pruning costs {100 * (1 - worst.value):.1f} +- {100 * worst.uncertainty:.1f} % of the "
        "rejection at 50 %. Zeros save work only where they are left out, as in firmware."
    )
