"""The ONNX file of a run: traced, described, freed of what tells the machine it came from."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import torch

from fivesigma.events import FIELDS, Field
from fivesigma.export.scorer import Scorer
from fivesigma.features import FEATURES
from fivesigma.runs import Run

__all__ = ["OUTPUT", "quietly", "reason", "to_onnx"]

#: name of the probabilities
OUTPUT = "scores"
#: example that the network is traced with: jets, constituents
_TRACED = (3, 5)


@contextmanager
def quietly() -> Iterator[None]:
    """Keep back what the exporters say: nothing that a user could act on."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def to_onnx(run: Run) -> Any:
    """The ONNX model of a network, from four-momenta to probabilities.

    Inputs `momenta` (B, N, 4) px, py, pz, E [GeV] and `mask` (B, N), one (B, N) input for each
    further field that the features need, output `scores` (B, C); B and N are free. What the file
    is for stands in its `metadata_props`.

    Args:
        run: a trained network; its device must be the CPU.

    Returns:
        An `onnx.ModelProto`.

    Raises:
        ValueError: trees, inputs that are no function of the constituents, or a network that torch
            cannot export.
    """
    if not isinstance(run.model, torch.nn.Module):
        message = (
            f"{run.path} holds trees ({run.architecture}), which need observables such as tau21; "
            "only networks of constituents or images become ONNX files. LightGBM itself reads "
            f"{run.path}/weights.txt"
        )
        raise ValueError(message)
    try:
        scorer = Scorer(run.model, run.inputs).eval()
    except ValueError as error:
        message = f"{run.path}: {error}"
        raise ValueError(message) from None
    model = _traced(run, scorer)
    _strip(model)
    _describe(model, run, scorer.fields)
    return model


def _traced(run: Run, scorer: Scorer) -> Any:
    jets, particles = torch.export.Dim("jets"), torch.export.Dim("particles")
    axes = {0: jets, 1: particles}
    example = torch.rand(*_TRACED, 4) + torch.tensor([1.0, 1.0, 1.0, 3.0])
    mask = torch.ones(_TRACED, dtype=torch.bool)
    fields = [torch.ones(_TRACED) for _ in scorer.fields]
    try:
        with quietly(), torch.inference_mode():
            program = torch.onnx.export(
                *(scorer, (example, mask, fields)),
                dynamo=True,
                dynamic_shapes=(axes, axes, [axes for _ in fields]),
                input_names=["momenta", "mask", *scorer.fields],
                output_names=[OUTPUT],
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        message = f"{run.path}: torch cannot export {run.architecture!r}: {reason(error)}"
        raise ValueError(message) from error
    if program is None:
        message = f"{run.path}: torch made no ONNX program of {run.architecture!r}"
        raise ValueError(message)
    shape = program.model_proto.graph.input[0].type.tensor_type.shape
    if not all(axis.dim_param for axis in shape.dim[:2]):
        message = (
            f"{run.path}: {run.architecture!r} works for {_TRACED[0]} jets of {_TRACED[1]} "
            "particles only once exported; it must not turn shapes into numbers (`len`, `int`)"
        )
        raise ValueError(message)
    return program.model_proto


def reason(error: BaseException) -> str:
    """The first line of the innermost error."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip() or repr(error)).splitlines()[0]


def _strip(model: Any) -> None:
    """Remove the exporter's notes: paths and lines of the machine that it ran on."""
    model.graph.ClearField("metadata_props")
    model.graph.ClearField("doc_string")
    values = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    for each in (*model.graph.node, *values, *model.graph.initializer):
        each.ClearField("metadata_props")
        each.ClearField("doc_string")
    for function in model.functions:
        function.ClearField("metadata_props")
        for node in function.node:
            node.ClearField("metadata_props")


def _describe(model: Any, run: Run, fields: tuple[str, ...]) -> None:
    import onnx

    # others than constituents of jets: objects of events
    table = {name: Field("f4", "", FEATURES[name].meaning) for name in fields if name in FEATURES}
    table |= FIELDS["constituents"]
    inputs = {
        "momenta": "(jets, particles, 4) float32: px, py, pz, E of the constituents [GeV]",
        "mask": "(jets, particles) bool: true for real constituents, false for padding",
    } | {name: f"(jets, particles) float32: {_told(table[name])}" for name in fields}
    units = {"momenta": "GeV"} | {name: table[name].unit for name in fields}
    properties = {
        "classes": json.dumps(run.classes),
        "inputs": json.dumps(inputs),
        "fields": json.dumps(fields),
        "units": json.dumps(units),
        "output": f"{OUTPUT} (jets, classes) float32: probabilities",
        "run": run.name,
        "model": run.architecture,
        "features": json.dumps(run.inputs.to_dict()),
        "fivesigma": version("fivesigma"),
    }
    onnx.helper.set_model_props(model, properties)
    model.producer_name, model.producer_version = "fivesigma", version("fivesigma")
    model.doc_string = f"jet tagger {run.name}: probabilities of {', '.join(run.classes)}"


def _told(field: Field) -> str:
    return f"{field.meaning} [{field.unit}]" if field.unit else field.meaning
