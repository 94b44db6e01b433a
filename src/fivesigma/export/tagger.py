"""An exported file at work: scores of jets by onnxruntime, and how well the run agrees."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import awkward as ak
import numpy as np
import torch

from fivesigma.export.arrays import about_their_sum, padded_batches, shaken
from fivesigma.export.onnxfile import OUTPUT, reason
from fivesigma.export.scorer import Scorer
from fivesigma.runs import Run

__all__ = ["Agreement", "OnnxTagger", "agreement", "torch_scores"]

#: how much rounding may move momenta, relative to their size, before a network sees them
_ROUNDING = 1e-6
#: times that momenta are moved by as much, to see what rounding alone does to a score
_SHAKES = 64
#: times what they do at most, which is a sample
_SLACK = 2.0


class OnnxTagger:
    """An exported file, run by onnxruntime on Awkward jets.

    Attributes:
        classes: names of the classes, in the order of the columns of scores.
        fields: fields of constituents that it needs besides the momentum.
        jets_per_second: of the latest `predict`, without the making of arrays; None before.

    Args:
        model: path of an exported file, or its bytes.
        threads: of onnxruntime; 0: as many as torch uses.

    Raises:
        ValueError: a file that onnxruntime cannot read, or that was not exported here.

    Example:
        >>> OnnxTagger(Path("pfn.onnx")).predict(jets)
    """

    def __init__(self, model: Path | bytes, threads: int = 0) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or torch.get_num_threads()
        options.log_severity_level = 3
        source = str(model) if isinstance(model, Path) else model
        try:
            self.session = onnxruntime.InferenceSession(
                source, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own errors have no common class
            name = model if isinstance(model, Path) else "this ONNX model"
            message = f"onnxruntime cannot read {name}: {reason(error)}"
            raise ValueError(message) from None
        properties: Mapping[str, str] = self.session.get_modelmeta().custom_metadata_map
        if not {"classes", "fields"} <= set(properties):
            message = "this ONNX file does not tell its classes and fields; export the run again"
            raise ValueError(message)
        self.classes: list[str] = json.loads(properties["classes"])
        self.fields: tuple[str, ...] = tuple(json.loads(properties["fields"]))
        self.jets_per_second: float | None = None

    def predict(self, jets: ak.Array, batch_size: int = 256) -> np.ndarray:
        """Probabilities (N, C) float32 of the classes for N jets with `constituents`.

        Raises:
            ValueError: constituents that are missing or lack a field, NaN or infinite momenta.
        """
        scores = np.zeros((len(jets), len(self.classes)), np.float32)
        seconds = 0.0
        for rows, arrays in padded_batches(jets, self.fields, batch_size):
            begin = time.perf_counter()
            scores[rows] = self.session.run([OUTPUT], arrays)[0]
            seconds += time.perf_counter() - begin
        self.jets_per_second = len(jets) / max(seconds, 1e-9)
        return scores


def torch_scores(run: Run, jets: ak.Array, batch_size: int = 256) -> np.ndarray:
    """Probabilities (N, C) float32 by torch of the very four-momenta that an exported file gets.

    `Run.predict` starts from pT, eta, phi and mass, and so from other roundings.

    Args:
        run: a network of constituents or images, on the CPU.
        jets: N records with `constituents`.
        batch_size: jets at a time.

    Raises:
        ValueError: inputs that are no function of the constituents, or jets that lack something.
    """
    scorer = Scorer(run.model, run.inputs).eval()
    scores = np.zeros((len(jets), len(run.classes)), np.float32)
    with torch.inference_mode():
        for rows, arrays in padded_batches(jets, scorer.fields, batch_size):
            momenta, mask, *fields = (torch.from_numpy(array) for array in arrays.values())
            scores[rows] = scorer(momenta, mask, fields).numpy()
    return scores


@dataclass(frozen=True)
class Agreement:
    """How well an exported file and its run agree.

    Some scores of a run move when momenta are rounded: where a constituent lies between two
    pixels, a jet has no upper half, neighbours are equally near, or masses come from E^2 - p^2.

    Attributes:
        jets: how many were compared.
        largest: largest difference of a probability, from the run's or from those by torch for the
            same four-momenta, among those within the tolerance.
        wavering: how many others differ by no more than rounding does to the run itself.
        by_rounding: largest difference among these.
    """

    jets: int
    largest: float
    wavering: int
    by_rounding: float


def agreement(run: Run, tagger: OnnxTagger, jets: ak.Array, tolerance: float = 1e-4) -> Agreement:
    """Compare an exported file with its run, and with torch for the same four-momenta.

    Args:
        run: the run.
        tagger: its exported file.
        jets: with `constituents`; their own momenta are replaced by the sums.
        tolerance: largest difference of a probability that is allowed.

    Raises:
        ValueError: scores differ by more, and not because of rounding.
    """
    jets = about_their_sum(jets)
    want, got = run.predict(jets), tagger.predict(jets)
    difference = np.abs(np.stack([got - want, got - torch_scores(run, jets)])).max(axis=(0, 2))
    difference = np.nan_to_num(difference, nan=np.inf)
    doubtful = np.flatnonzero(difference > tolerance)
    excess = (
        difference[doubtful] - tolerance - _SLACK * _moved(run, jets[doubtful], want[doubtful])
    )
    if (excess > 0).any():
        message = (
            f"{run.path}: the exported network differs from the run by {difference.max():.2g} "
            f"in {(excess > 0).sum()} of {len(jets)} jets, allowed are {tolerance:g}; "
            "nothing is written"
        )
        raise ValueError(message)
    sound = np.delete(difference, doubtful)
    return Agreement(
        len(jets),
        float(sound.max(initial=0)),
        len(doubtful),
        float(difference[doubtful].max(initial=0)),
    )


def _moved(run: Run, jets: ak.Array, scores: np.ndarray) -> np.ndarray:
    """(N,) how far rounding of momenta moves the run's own scores."""
    moved = np.zeros(len(jets))
    for seed in range(_SHAKES if len(jets) else 0):
        other = run.predict(shaken(jets, _ROUNDING, seed))
        moved = np.maximum(moved, np.abs(other - scores).max(axis=1))
    return moved
