"""What a teacher thinks of the jets that its student learns from."""

from __future__ import annotations

import hashlib
from pathlib import Path

import awkward as ak
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from fivesigma.datasets import SPLITS, Dataset, split_of
from fivesigma.progress import Progress
from fivesigma.runs import Run
from fivesigma.storage import canonical, write_file
from fivesigma.workflows.caches import jets_of, require_classes

__all__ = ["teacher_logits"]

_SPLITS = ("train", "validation")


def teacher_logits(
    teacher: Run, dataset: Dataset, out: Path, *, write: bool = True, quiet: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of a teacher's probabilities for training and validation jets.

    They are computed from the jets themselves, by the teacher's own inputs, whatever it is: a
    network, an ensemble, trees. They are kept in the student's folder, as `teacher-<hash>`, so
    that a training that is resumed does not ask again.

    Args:
        teacher: a run with the dataset's classes.
        dataset: of labelled jets.
        out: folder of the student.
        write: keep them there.
        quiet: show no progress.

    Returns:
        (N, C) and (M, C) float32, in the order of the dataset's jets of each split.

    Raises:
        ValueError: a teacher of other classes, or jets that lack what it needs.
    """
    require_classes(teacher, dataset)
    key = _key(teacher, dataset)
    path = out / f"teacher-{key[:12]}.safetensors"
    found = _kept(path, key)
    if found is None:
        found = _computed(teacher, dataset, quiet)
        if write:
            tensors = {k: torch.from_numpy(v) for k, v in zip(_SPLITS, found, strict=True)}
            write_file(path, save(tensors, {"key": key}))
    return found


def _key(teacher: Run, dataset: Dataset) -> str:
    """A hash of teacher and jets."""
    digest = hashlib.sha256(canonical(teacher.model_yaml["inputs"]).encode())
    for pattern in ("weights.*", "members/*/weights.*"):
        for path in sorted(teacher.path.glob(pattern)):
            digest.update(path.read_bytes())
    digest.update(canonical(dataset.checksums("jets")).encode())
    return digest.hexdigest()


def _kept(path: Path, key: str) -> tuple[np.ndarray, np.ndarray] | None:
    """What an earlier call wrote, if it was for the same teacher and jets."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, "np") as file:
            if (file.metadata() or {}).get("key") != key:
                return None
            return file.get_tensor("train"), file.get_tensor("validation")
    except (SafetensorError, OSError):  # damaged: computed anew
        return None


def _computed(teacher: Run, dataset: Dataset, quiet: bool) -> tuple[np.ndarray, np.ndarray]:
    parts: dict[str, list[np.ndarray]] = {name: [] for name in _SPLITS}
    with Progress("asking the teacher", len(dataset.shards), "shards", quiet=quiet) as bar:
        for done, jets in enumerate(jets_of(dataset, "all"), 1):
            split = split_of(ak.to_numpy(jets.event))
            for name, found in parts.items():
                mine = jets[split == SPLITS.index(name)]
                found.append(_logarithm(teacher.predict(mine)))
            bar(done)
    return np.concatenate(parts["train"]), np.concatenate(parts["validation"])


def _logarithm(probabilities: np.ndarray) -> np.ndarray:
    tiny = np.finfo(np.float32).tiny  # a probability of 0 has no logarithm
    return np.log(np.maximum(probabilities, tiny)).astype(np.float32)
