"""What the command line says at the end of a verb: what was done, where it is, what is next."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fivesigma.report.numbers import format_number
from fivesigma.workflows.doctor.text import lines

__all__ = ["SUMMARIES"]

_SHOWN = ("auc", "accuracy", "rejection_at_50", "rejection_at_30", "parameters")


def _generate(dataset: Any, options: Any) -> Iterator[str]:
    if options.dry_run:
        yield f"{options.out}: {dataset}"
        return
    counts = ", ".join(f"{count} {name}" for name, count in dataset.counts.items())
    yield f"{counts} in {dataset.path}"
    for name, entry in dataset.manifest["processes"].items():
        yield (
            f"  {name}: {entry['n_generated']} events, cross-section "
            f"{entry['cross_section_pb']:.4g} +- {entry['cross_section_error_pb']:.2g} pb"
        )
    if dataset.manifest["kind"] == "jets":
        yield f"next: fivesigma train runs/pfn --data {dataset.path} --model pfn"
    else:
        yield f"next: fivesigma info {dataset.path}"


def _simulate(dataset: Any, options: Any) -> Iterator[str]:
    if options.dry_run:
        yield f"{options.data}: {dataset} events"
        return
    library = dataset.manifest["stages"]["simulate"]["settings"]["library"]
    yield f"signals of {dataset.counts['event']} events in {dataset.path}"
    if library:
        yield f"next: fivesigma simulate DATA --pileup.library {dataset.path}"
    else:
        yield f"next: fivesigma reconstruct {dataset.path}"


def _reconstruct(dataset: Any, options: Any) -> Iterator[str]:
    yield f"objects of {dataset.counts['event']} events in {dataset.path}"
    yield f"next: fivesigma info {dataset.path}"


def _validate(sections: Any, options: Any) -> Iterator[str]:
    for section in sections:
        told = ", ".join(
            f"{section.numbers[name].value:.0f} {name.rpartition('/')[2]}"
            for name in section.numbers
            if name.rpartition("/")[2] in ("met", "open", "missed")
        )
        yield f"{section.title}: {told or section.note}"
    yield f"written: {options.out}/report.html and {options.out}/results.json"
    yield f"next: open {options.out}/report.html in a browser"


def _train(run: Any, options: Any) -> Iterator[str]:
    best = run.model_yaml["summary"].get("best") or {}
    told = ", ".join(
        f"{name.replace('_', ' ')} {best[name]:.4f}"
        for name in ("validation_loss", "validation_accuracy", "validation_auc")
        if name in best
    )
    yield f"{run.architecture} with {run.n_parameters} parameters in {run.path}"
    if told:
        yield f"  best epoch {best.get('epoch', '?')}: {told}"
    yield f"next: fivesigma evaluate {run.path} --data {options.data}"


def _evaluate(result: Any, options: Any) -> Iterator[str]:
    yield result.title
    yield from _numbers(result.numbers)
    yield f"written: {options.run}/results.json and {options.run}/figures"
    yield f"next: fivesigma report {options.run} --data {options.data} --out runs/report"


def _numbers(numbers: Any) -> Iterator[str]:
    width = max((len(name) for name in numbers), default=0)
    for name, number in numbers.items():
        note = f"  ({number.note})" if number.note else ""
        yield f"  {name:{width}s}  {format_number(number)}{note}"


def _result(result: Any, options: Any) -> Iterator[str]:
    yield result.title
    yield from _numbers(result.numbers)
    yield f"written: {options.out}/results.json"
    if result.note:
        yield result.note


def _import(run: Any, options: Any) -> Iterator[str]:
    yield f"{run.architecture} with {run.n_parameters} weights in {run.path}"
    yield f"  sees {', '.join(run.inputs.features)}; tells {', '.join(run.classes)}"
    yield f"next: fivesigma predict {run.path} FILE"


def _export(result: Any, options: Any) -> Iterator[str]:
    yield result.title
    yield from _numbers(result.numbers)
    yield result.note


def _rank(result: Any, options: Any) -> Iterator[str]:
    yield (options.out / "table.md").read_text().rstrip()
    yield f"written: {options.out}/table.md and results.json"


def _predict(made: Any, options: Any) -> Iterator[str]:
    for each in made:
        yield f"{each.jets} jets scored: {', '.join(each.fields)} in {each.path}"
        if each.left_out:
            told = ", ".join(each.left_out[:5]) + (" ..." if len(each.left_out) > 5 else "")
            yield f"  {len(each.left_out)} columns could not be copied: {told}"
    if made[-1].path.is_dir():
        yield f"next: fivesigma info {made[-1].path}"
    else:
        yield f"next: fivesigma inspect {made[-1].path}"


def _convert(made: Any, options: Any) -> Iterator[str]:
    what = "entries" if made.kind == "table" else made.kind
    origin = f" of {made.read} entries" if made.read != made.written else ""
    yield f"{made.written} {what}{origin} in {made.path}"
    if made.left_out:
        yield f"  left out, text: {', '.join(made.left_out)}"
    if made.kind == "jets" and made.classes and made.path.is_dir():
        yield f"next: fivesigma train runs/{made.model} --data {made.path} --model {made.model}"
    else:
        yield f"next: fivesigma inspect {made.path}"


def _compare(result: Any, options: Any) -> Iterator[str]:
    yield result.title
    yield from _numbers(result.numbers)


def _report(sections: Any, options: Any) -> Iterator[str]:
    numbers = {name: value for section in sections for name, value in section.numbers.items()}
    yield from _numbers({k: v for k, v in numbers.items() if k.rpartition("/")[2] in _SHOWN})
    yield f"written: {options.out}/report.html and {options.out}/results.json"


def _demo(sections: Any, options: Any) -> Iterator[str]:
    yield from _report(sections, options)
    yield f"next: open {options.out}/report.html in a browser"


def _analysis_folder(options: Any) -> Path:
    return options.out or Path("runs") / options.analysis.stem


def _select(result: Any, options: Any) -> Iterator[str]:
    yield result.title
    yield from _numbers(result.numbers)
    yield f"written: {_analysis_folder(options)}/select/results.json"
    yield f"next: fivesigma templates {options.analysis}"


def _templates(result: Any, options: Any) -> Iterator[str]:
    yield result.title
    yield from _numbers(result.numbers)
    yield f"written: workspace.json, templates.root in {_analysis_folder(options)}/templates"
    yield f"next: fivesigma analyse {options.analysis}"


def _analyse(sections: Any, options: Any) -> Iterator[str]:
    shown = ("z_observed", "z_expected", "mu", "mu_limit_observed", "mu_limit_expected")
    numbers = {name: value for section in sections for name, value in section.numbers.items()}
    yield from _numbers({name: numbers[name] for name in shown if name in numbers})
    yield f"written: {_analysis_folder(options)}/report.html and results.json"


def _classifier(sections: Any, options: Any) -> Iterator[str]:
    numbers = {name: value for section in sections for name, value in section.numbers.items()}
    shown = ("auc", "rejection_at_50", "asimov", "ams", "auc_gap", "mu_uncertainty")
    yield from _numbers({k: v for k, v in numbers.items() if k.rpartition("/")[2] in shown})
    yield f"written: {options.out}/report.html and {options.out}/results.json"
    yield f"next: open {options.out}/report.html in a browser"


def _spectrum(result: Any, options: Any) -> Iterator[str]:
    yield result.title
    shown = ("mass", "mass_deviation", "yield", "p_value", "predicted", "excess")
    yield from _numbers({k: v for k, v in result.numbers.items() if k.rpartition("/")[2] in shown})
    if result.note:
        yield result.note
    yield f"next: open {options.out}/report.html in a browser"


def _discovery(sections: Any, options: Any) -> Iterator[str]:
    for section in (sections[0], sections[-1]):
        yield section.title
        yield from _numbers(section.numbers)
    yield f"written: {options.out}/report.html and {options.out}/results.json"
    yield f"next: fivesigma fit {options.out}/workspaces/pseudo-data.json --out runs/fit"


def _inspect(found: Any, options: Any) -> Iterator[str]:
    if options.json:
        yield json.dumps(found.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        return
    yield from lines(found, terminal=sys.stdout.isatty(), every=options.all)
    if options.html:
        yield f"written: {options.html}"


def _cite(found: Any, options: Any) -> Iterator[str]:
    for each in found:
        yield each.bibtex + "\n" if options.bibtex else each.text


def _info(text: Any, options: Any) -> Iterator[str]:
    yield text


#: verb -> function of its result and options that gives lines
SUMMARIES: dict[str, Callable[[Any, Any], Iterator[str]]] = {
    "demo": _demo,
    "demo discovery": _discovery,
    "generate": _generate,
    "simulate": _simulate,
    "reconstruct": _reconstruct,
    "validate detector": _validate,
    "convert": _convert,
    "train": _train,
    "train classifier": _classifier,
    "evaluate": _evaluate,
    "predict": _predict,
    "compare": _compare,
    "rank": _rank,
    "import": _import,
    "export": _export,
    "prune": _result,
    "tune": _result,
    "efficiency": _result,
    "select": _select,
    "templates": _templates,
    "analyse": _analyse,
    "fit": _result,
    "significance": _result,
    "limit": _result,
    "spectrum": _spectrum,
    "report": _report,
    "inspect": _inspect,
    "cite": _cite,
    "info": _info,
}
