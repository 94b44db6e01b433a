"""Taggers for use without this package: one ONNX file from four-momenta to probabilities."""

from fivesigma.export.onnxfile import to_onnx
from fivesigma.export.quantisation import to_int8
from fivesigma.export.tagger import Agreement, OnnxTagger, agreement, torch_scores

__all__ = ["Agreement", "OnnxTagger", "agreement", "to_int8", "to_onnx", "torch_scores"]
