"""Exported networks with linear layers and convolutions in 8-bit integers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fivesigma.export.onnxfile import quietly

__all__ = ["to_int8"]

_LINEAR = ("MatMul", "Gemm", "Conv")

Feed = Mapping[str, np.ndarray]


def to_int8(model: Any, calibration: Iterable[Feed]) -> Any:
    """Quantise what multiplies by weights; all else, the features above all, stays in float32.

    Weights get one scale for each output channel, activations one for each tensor, from the
    smallest and largest values that calibration jets give (arXiv:1712.05877).

    Args:
        model: an `onnx.ModelProto` from `to_onnx`; it is not changed.
        calibration: its inputs for some hundred jets, batch by batch.

    Returns:
        An `onnx.ModelProto` with QuantizeLinear and DequantizeLinear about such layers, which
        onnxruntime fuses.

    Raises:
        ValueError: no layer to quantise, or no calibration jets.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    feeds = list(calibration)
    layers = _layers(model)
    if not layers or not feeds:
        what = "no calibration jets" if layers else "no linear layer or convolution with weights"
        message = f"nothing to quantise: {what}"
        raise ValueError(message)
    with tempfile.TemporaryDirectory() as folder, quietly():
        path = Path(folder) / "int8.onnx"
        quantize_static(
            _copy(model),
            path,
            _reader(feeds),
            quant_format=QuantFormat.QDQ,
            nodes_to_quantize=layers,
            op_types_to_quantize=list(_LINEAR),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            # 7 bits: with 8, sums of pairs overflow on processors without VNNI, and nobody is told
            reduce_range=True,
            # sums over weights stay in float32, but those of a Conv are fused as a whole
            extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"]},
        )
        made = onnx.load(path)
    properties = {p.key: p.value for p in model.metadata_props} | {"precision": "int8"}
    onnx.helper.set_model_props(made, properties)
    made.producer_name, made.producer_version = model.producer_name, model.producer_version
    made.doc_string = model.doc_string
    return made


def _copy(model: Any) -> Any:
    return type(model).FromString(model.SerializeToString())


def _layers(model: Any) -> list[str]:
    """Names of the nodes that multiply by weights, unlike products of two activations."""
    weights = {each.name for each in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type in _LINEAR and node.input[1] in weights
    ]


def _reader(feeds: list[Feed]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        """Hands out the batches, again after each rewind."""

        def __init__(self) -> None:
            self.rewind()

        def rewind(self) -> None:
            self._feeds: Iterator[Feed] = iter(feeds)

        def get_next(self) -> Feed | None:
            return next(self._feeds, None)

    return Reader()
