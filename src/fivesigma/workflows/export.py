"""`fivesigma export`: a tagger as one file that runs without this package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import awkward as ak
import numpy as np

from fivesigma import metrics
from fivesigma.datasets import Dataset
from fivesigma.export import Agreement, OnnxTagger, agreement, to_int8, to_onnx
from fivesigma.export.arrays import padded_batches, random_jets
from fivesigma.results import Number, Result
from fivesigma.runs import Run, load_run
from fivesigma.storage import temporary_of, write_file
from fivesigma.workflows.caches import jets_of, open_jets, require_classes

__all__ = ["export"]

TARGETS = ("onnx",)
#: jets of the comparison with torch; of these one in four has more particles than a run uses
_RANDOM_JETS = 512
_REAL_JETS = 1000
#: jets that set the ranges of activations, and jets at a time
_CALIBRATION_JETS = 2000
_BATCH = 128
#: part of the rejection that int8 may cost without a warning
_LARGE_LOSS = 0.05


def export(
    run: Path,
    out: Path,
    *,
    to: str = "onnx",
    int8: bool = False,
    data: Path | None = None,
    trust: bool = False,
    overwrite: bool = False,
) -> Result:
    """Export a tagger to one file that takes four-momenta and gives probabilities.

    Features, scaling and softmax are in the file: onnxruntime alone runs it, from Python, C++ or
    Java. It is compared with the run before it gets its name.

    Examples:
        fivesigma export runs/pfn --out pfn.onnx
        fivesigma export runs/pfn --out pfn-int8.onnx --int8 --data data/top

    Args:
        run: folder of the run, a network of constituents or images.
        out: file to write.
        to: "onnx".
        int8: linear layers and convolutions in 8-bit integers; needs `data`.
        data: dataset of labelled jets: some test jets are compared, too; for int8 its validation
            jets calibrate and its test jets tell what it costs.
        trust: let a run import the Python module that it names.
        overwrite: replace a file that is there.

    Returns:
        What was compared and, of int8, how much worse it is.

    Raises:
        ValueError: no run, trees, a network that cannot be exported, scores that differ, int8
            without data, or output that exists.
        ModuleNotFoundError: the packages for ONNX are not installed.
    """
    _check_request(out, to, int8, data, overwrite)
    tagger = load_run(run, device="cpu", trust=trust)
    dataset = None if data is None else open_jets(str(data))
    if dataset is not None:
        require_classes(tagger, dataset)
    model = to_onnx(tagger)
    plain = OnnxTagger(model.SerializeToString())
    numbers = _compared(tagger, plain, dataset)
    title, note = f"{tagger.name} as ONNX in {out}", ""
    if int8 and dataset is not None:
        model = to_int8(model, _calibration(plain, dataset))
        told, note = _cost(tagger.name, plain, OnnxTagger(model.SerializeToString()), dataset)
        numbers |= told
        title = f"{tagger.name} as ONNX in int8 in {out}"
    content = model.SerializeToString()
    write_file(out, content)
    numbers[f"{tagger.name}/file_size"] = Number(len(content) / 1e6, unit="MB")
    takes = ", ".join(["momenta", "mask", *plain.fields])
    classes = ", ".join(plain.classes)
    return Result(title, numbers, note=f"takes {takes}; gives probabilities of {classes}. {note}")


def _check_request(out: Path, to: str, int8: bool, data: Path | None, overwrite: bool) -> None:
    """Raise an error before anything is computed."""
    if to not in TARGETS:
        message = f"unknown format {to!r}; choose from {', '.join(TARGETS)}"
        raise ValueError(message)
    if out.is_dir():
        message = f"{out} is a folder; give a file, e.g. --out {out / 'tagger.onnx'}"
        raise ValueError(message)
    if out.exists() and not overwrite:
        message = f"{out} is there; replace it with --overwrite, or choose another --out"
        raise FileExistsError(message)
    temporary_of(out)  # refuses symbolic links
    if int8 and data is None:
        message = "int8 needs --data DATASET, whose jets set the ranges of the integers"
        raise ValueError(message)
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        message = f"no package {error.name!r}; install: pip install 'fivesigma[onnx]'"
        raise ModuleNotFoundError(message, name=error.name) from None


def _compared(run: Run, tagger: OnnxTagger, dataset: Dataset | None) -> dict[str, Number]:
    """Agreement on random jets and, where there are some, on real ones."""
    most = run.inputs.max_constituents * 4 // 3 + 1
    found = {"random_jets": agreement(run, tagger, random_jets(_RANDOM_JETS, most))}
    numbers: dict[str, Number] = {}
    if dataset is not None:
        real = _some(dataset, "test", _REAL_JETS)
        found["test_jets"] = agreement(run, tagger, real)
        change = np.abs(run.predict(real) - tagger.predict(real)).max(axis=1)
        numbers["change_by_axis"] = Number(float(np.quantile(change, 0.99)), note=(
            "99 % of test jets change less where the dataset's axis gives way to the summed one"
        ))  # fmt: skip
    numbers = {f"difference_{name}": _number(one) for name, one in found.items()} | numbers
    return {f"{run.name}/{name}": number for name, number in numbers.items()}


def _number(found: Agreement) -> Number:
    note = f"the largest in {found.jets - found.wavering} jets"
    if found.wavering:
        note += (
            f"; {found.wavering} more differ by up to {found.by_rounding:.1g}, which rounding of "
            "momenta does to the run itself"
        )
    return Number(found.largest, note=note)


def _some(dataset: Dataset, split: str, most: int) -> ak.Array:
    """About `most` jets of a split, evenly from all shards.

    Raises:
        ValueError: there is none.
    """
    share = -(-most // max(len(dataset.shards), 1))
    parts = [jets[:share] for jets in jets_of(dataset, split)]
    jets = ak.concatenate(parts) if parts else []
    if not len(jets):
        message = f"{dataset.path} has no {split} jets; generate more"
        raise ValueError(message)
    return jets


def _calibration(tagger: OnnxTagger, dataset: Dataset) -> Iterator[dict[str, np.ndarray]]:
    jets = _some(dataset, "validation", _CALIBRATION_JETS)
    return (arrays for _, arrays in padded_batches(jets, tagger.fields, _BATCH))


def _cost(
    name: str, plain: OnnxTagger, small: OnnxTagger, dataset: Dataset
) -> tuple[dict[str, Number], str]:
    """Figures of merit in float32 and int8 on the same test jets, and what to say of them."""
    y, scores, rates = _scored({"float32": plain, "int8": small}, dataset)
    binary = len(dataset.classes) == 2
    numbers, ratios = dict(rates), []
    for index, label in enumerate(dataset.classes[: 1 if binary else None]):
        of_class = {kind: table[:, index] for kind, table in scores.items()}
        found = _figures((y == index).astype(np.int64), of_class)
        ratios.append(found["int8-vs-float32/rejection_ratio_at_50"])
        numbers |= {key if binary else f"{label}/{key}": value for key, value in found.items()}
    worst = min(ratios, key=lambda ratio: ratio.value)
    return {f"{name}/{key}": value for key, value in numbers.items()}, _verdict(worst)


def _scored(
    taggers: dict[str, OnnxTagger], dataset: Dataset
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, Number]]:
    """Labels (N,) of the test jets, scores (N, C) of each tagger, and its jets in a second."""
    labels: list[np.ndarray] = []
    scores: dict[str, list[np.ndarray]] = {kind: [] for kind in taggers}
    seconds = dict.fromkeys(taggers, 0.0)
    for jets in jets_of(dataset, "test"):
        labels.append(ak.to_numpy(jets.label).astype(np.int64))
        for kind, tagger in taggers.items():
            scores[kind].append(tagger.predict(jets))
            seconds[kind] += len(jets) / (tagger.jets_per_second or np.inf)
    y = np.concatenate(labels)
    rates = {
        f"{kind}/jets_per_second": Number(len(y) / max(seconds[kind], 1e-9), unit="1/s")
        for kind in taggers
    }
    return y, {kind: np.concatenate(parts) for kind, parts in scores.items()}, rates


def _figures(y: np.ndarray, scores: dict[str, np.ndarray]) -> dict[str, Number]:
    """AUC and rejection of both, and their paired differences."""
    numbers: dict[str, Number] = {}
    for kind, score in scores.items():
        numbers[f"{kind}/auc"] = metrics.auc(y, score)
        numbers[f"{kind}/rejection_at_50"] = metrics.rejection(y, score, 0.5)
    paired = metrics.compare(y, scores["int8"], scores["float32"], (0.5,))
    return numbers | {f"int8-vs-float32/{key}": number for key, number in paired.items()}


def _verdict(ratio: Number) -> str:
    """What a user must know of int8, from the ratio of rejections."""
    told = f"{100 * (1 - ratio.value):.1f} +- {100 * ratio.uncertainty:.1f} %"
    if 1 - ratio.value <= _LARGE_LOSS:
        return f"int8 costs {told} of the rejection at 50 %."
    return (
        f"WARNING: int8 costs {told} of the rejection at 50 %, which is much; "
        "export without --int8, or train a network for the trigger"
    )
