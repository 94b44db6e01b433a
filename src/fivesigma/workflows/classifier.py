"""`fivesigma train classifier`: signal and background of whole events told apart, in folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import awkward as ak

from fivesigma.progress import Progress
from fivesigma.report import write_report, write_results
from fivesigma.report.figures import write_figures
from fivesigma.results import Result
from fivesigma.search.classifiers import (
    CLASSES,
    Classifier,
    Folded,
    Folds,
    aims_of,
    draw_parameter,
    fit_folds,
    inputs_of,
)
from fivesigma.workflows.cite import cite
from fivesigma.workflows.classified import Sample, sections
from fivesigma.workflows.labelled import (
    Columns,
    quantities_of,
    read_labelled,
    varied_events,
    with_objects,
)
from fivesigma.workflows.train import Shown

__all__ = ["classifier"]

_CLASSIFIERS = {"trees": Classifier("trees"), "mlp": Classifier("mlp")}


def classifier(
    files: Sequence[str],
    *,
    out: Path,
    signal_files: Sequence[str] = (),
    columns: Columns = Columns(),  # noqa: B008 (frozen)
    features: Sequence[str] = (),
    classifiers: dict[str, Classifier] = _CLASSIFIERS,  # noqa: B006 (never changed)
    folds: Folds = Folds(),  # noqa: B008 (frozen)
    mass: str = "",
    variations: dict[str, dict[str, str]] | None = None,
    expected: tuple[float, float] | None = None,
    background_uncertainty: float = 0.0,
    mapping: Path | None = None,
    tree: str | None = None,
    title: str = "Signal and background",
    overwrite: bool = False,
    quiet: bool = False,
) -> list[Result]:
    """Train classifiers of events in folds, and tell how good, how stable and how honest they are.

    Every event is scored by a training that never saw it. Repeating an interrupted command goes
    on where it stopped. Writes a run for each classifier, `results.json`, `figures/*.svg` and
    `report.html`.

    Examples:
        fivesigma train classifier events.root --out runs/mine --columns.weight w --mass m_jj
        fivesigma train classifier background_*.csv --signal_files signal.csv --out runs/mine
        fivesigma train classifier --config configs/uci-higgs.yaml

    Args:
        files: files, patterns, addresses or datasets of labelled events; of background alone if
            there are `signal_files`; ${NAME:-default} is taken from the environment.
        out: folder to write into.
        signal_files: files of signal alone.
        columns: what is where in the events, new quantities, and a cut.
        features: quantities that classifiers see; none: all that there are, but for `mass`.
        classifiers: name -> model and its options.
        folds: parts of the events and trainings.
        mass: quantity that a cut on the score should not shape in the background.
        variations: name -> column -> expression of its varied values, e.g. {jes_up: {m_jj: 1.03 *
            m_jj}, jes_down: {m_jj: 0.97 * m_jj}}: what they do to each classifier, and the
            nuisance parameters of the aim signal-strength.
        expected: events of signal and of background; none: the sums of their weights.
        background_uncertainty: relative, of the background, in the expected significance.
        mapping: YAML that names the columns of a table.
        tree: which tree or group, where a file has several.
        title: of the report.
        overwrite: replace runs and results that are there.
        quiet: show no progress.

    Returns:
        The sections of the report.

    Raises:
        ValueError: files, columns, weights or options that cannot work, or results that exist.
    """
    config = {k: _plain(v) for k, v in locals().items() if k not in ("quiet", "overwrite")}
    _check(out, classifiers, expected, overwrite)
    events = read_labelled(files, signal_files, columns, mapping, tree)
    parameters = {each.parameter for each in classifiers.values() if each.parameter}
    quantities = tuple(quantities_of(events, features, (mass, *parameters)))
    if any(_sees_objects(each) for each in classifiers.values()):
        events = with_objects(events)
    for name in sorted(parameters):
        events = draw_parameter(events, name, folds.seed)
    varied = varied_events(events, variations or {})
    totals = tuple(expected) if expected else ()
    trained: dict[str, Folded] = {}
    for name in _in_order(classifiers):
        each = classifiers[name]
        steps = each.trees.rounds if each.model == "trees" else each.training.epochs
        with Progress(f"training {name}", steps * folds.number, "epochs", quiet=quiet) as bar:
            trained[name] = fit_folds(
                *(each, events, quantities, out / name, folds),
                aims=aims_of(each.aim, events, varied, mass, totals),
                start=trained[each.start] if each.start else None,
                config=config,
                provenance={"files": [*files, *signal_files]},
                overwrite=overwrite,
                progress=Shown(bar, steps),
            )
    sample = Sample(
        events, varied, quantities, mass, totals, background_uncertainty,
        {name: trained[name] for name in classifiers},
        {name: each.start for name, each in classifiers.items() if not each.aim.plain},
    )  # fmt: skip
    found = sections(sample)
    _write(out, found, title, sample, folds, overwrite)
    return found


def _check(
    out: Path,
    classifiers: Mapping[str, Classifier],
    expected: Sequence[float] | None,
    overwrite: bool,
) -> None:
    if (out / "results.json").exists() and not overwrite:
        message = f"{out}/results.json exists; choose another folder, or --overwrite"
        raise ValueError(message)
    if not classifiers:
        message = "no classifiers; name at least one, e.g. --classifiers '{mlp: {model: mlp}}'"
        raise ValueError(message)
    if expected and not min(expected) > 0:
        message = f"expected: got {tuple(expected)}, need events of {' and '.join(CLASSES)} > 0"
        raise ValueError(message)
    for name, each in classifiers.items():
        if not each.start:
            continue
        begun = classifiers.get(each.start)
        if begun is None or begun.model != each.model or each.start == name:
            message = (
                f"classifier {name!r} starts from {each.start!r}, which is no other {each.model}; "
                f"there are {', '.join(classifiers)}"
            )
            raise ValueError(message)


def _sees_objects(classifier: Classifier) -> bool:
    return inputs_of(classifier, ("any",)).kind == "constituents"


def _in_order(classifiers: Mapping[str, Classifier]) -> list[str]:
    """Names so that each comes behind the one that it starts from.

    Raises:
        ValueError: some start from each other.
    """
    order: list[str] = []
    while len(order) < len(classifiers):
        ready = [n for n, c in classifiers.items() if n not in order and c.start in (*order, "")]
        if not ready:
            rest = ", ".join(name for name in classifiers if name not in order)
            message = f"classifiers {rest} start from each other; one must start afresh"
            raise ValueError(message)
        order += ready
    return order


def _plain(value: Any) -> Any:
    """Options as `config.yaml` keeps them."""
    if isinstance(value, Columns | Folds | Classifier):
        return asdict(value)
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return value


def _write(
    out: Path,
    found: Sequence[Result],
    title: str,
    sample: Sample,
    folds: Folds,
    overwrite: bool,
) -> None:
    write_results(out / "results.json", found, overwrite)
    figures = {name: each for result in found for name, each in result.figures.items()}
    write_figures(out / "figures", figures)
    counts = ", ".join(
        f"{int(ak.sum(sample.events['label'] == index))} {name}"
        for index, name in enumerate(CLASSES)
    )
    write_report(
        out / "report.html",
        title,
        found,
        {"Events": counts, "Folds": str(folds.number), "Quantities": str(len(sample.quantities))},
        [f"fivesigma train classifier --config {out / next(iter(sample.trained))}/config.yaml"],
        references=cite([out / name for name in sample.trained]),
        overwrite=overwrite,
    )
