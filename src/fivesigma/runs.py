"""Trained models, ready to score jets; `runfolder` says what lies in their folders.

Everything read here is data: safetensors, text and plain YAML, never pickled objects. The one
exception is a model that a user wrote, `my_module:MyNet`: scoring with it runs that module's code.
A run from elsewhere can name any module that Python finds, so loading one takes `trust=True`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import torch

from fivesigma.batches import Batches, Cache, build_cache
from fivesigma.inputs import Inputs
from fivesigma.loading import LOADERS
from fivesigma.models.ensemble import Ensemble
from fivesigma.results import Number, Table
from fivesigma.runfolder import METRICS, read_model_yaml
from fivesigma.uncertainty import mc_dropout

__all__ = ["PASSES", "Run", "load_run", "logits_of", "pick_device"]

#: jets that `predict` holds as network inputs at a time
CHUNK = 50_000
#: draws of dropout from which `spread` is computed
PASSES = 30


class Run:
    """A trained model, ready to score jets; `load_run` makes one.

    Attributes:
        path: its folder.
        model_yaml: what `model.yaml` says.
        model: the network in evaluation mode, or LightGBM's Booster.
        device: where the network is.
        jets_per_second: measured by the latest `predict`, inputs included; None before.

    Example:
        >>> run = load_run("runs/demo/pfn")
        >>> score = run.predict(jets)[:, run.classes.index("top")]
    """

    def __init__(
        self, path: Path, model_yaml: dict[str, Any], model: Any, device: torch.device
    ) -> None:
        self.path, self.model_yaml, self.model, self.device = path, model_yaml, model, device
        self.inputs = Inputs.from_dict(model_yaml["inputs"])
        self.jets_per_second: float | None = None

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {self.architecture}, {', '.join(self.classes)})"

    @property
    def name(self) -> str:
        """The folder's name, under which reports list the run."""
        return self.path.resolve().name

    @property
    def architecture(self) -> str:
        """The model's name, e.g. `pfn`."""
        return self.model_yaml["model"]

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of `predict`'s columns."""
        return self.model_yaml["classes"]

    @property
    def finished(self) -> bool:
        """Whether the training came to its end; if not, the weights are the best so far."""
        return bool(self.model_yaml["summary"].get("finished"))

    @property
    def n_parameters(self) -> int:
        """Trainable parameters; of trees, leaf values and thresholds."""
        if isinstance(self.model, torch.nn.Module):
            return sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        leaves = [tree["num_leaves"] for tree in self.model.dump_model()["tree_info"]]
        return sum(2 * n - 1 for n in leaves)

    def predict(self, jets: ak.Array, batch_size: int = 1024) -> np.ndarray:
        """Probabilities of the classes for each jet.

        A jet's score depends neither on the other jets nor on their order.

        Args:
            jets: N records of the collection `jets`, with the fields that the model's inputs need
                [GeV, rad, mm].
            batch_size: jets that the network sees at a time.

        Returns:
            (N, C) float32, in the order of the jets; rows sum to 1.

        Raises:
            ValueError: a missing field, NaN or infinite momenta, or scores that are not finite.
        """
        started = time.perf_counter()
        scores = self._by_chunks(jets, lambda cache: self.scores(cache, batch_size))
        if len(jets):
            self.jets_per_second = len(jets) / (time.perf_counter() - started)
        return scores

    def scores(self, cache: Cache, batch_size: int = 1024) -> np.ndarray:
        """Probabilities (N, C) float32 of the classes, where the inputs are computed already.

        Args:
            cache: N jets, built with this run's `inputs`.
            batch_size: jets that the network sees at a time.
        """
        if isinstance(self.model, torch.nn.Module):
            logits = logits_of(self.model, cache, len(self.classes), batch_size, self.device)
            return torch.softmax(logits, dim=1).numpy()
        scores = np.asarray(self.model.predict(cache.values), np.float32)
        return np.stack([1 - scores, scores], axis=1) if scores.ndim == 1 else scores

    def spread(self, jets: ak.Array, passes: int = PASSES, batch_size: int = 1024) -> np.ndarray:
        """How much the probabilities of the classes vary for each jet.

        Of an ensemble the standard deviation of its members' probabilities (arXiv:1612.01474); of
        one network, which must have dropout, that of passes with other draws of it
        (arXiv:1506.02142).

        Args:
            jets: as for `predict`.
            passes: of one network, at least 2; an ensemble is asked once.
            batch_size: jets that the network sees at a time.

        Returns:
            (N, C) float32, in the order of the jets.

        Raises:
            ValueError: trees, or a network without dropout, and as `predict` does.
        """
        if not isinstance(self.model, torch.nn.Module):
            message = f"{self.path} are trees, which have no spread; networks and ensembles do"
            raise ValueError(message)
        return self._by_chunks(jets, lambda cache: self._deviation(cache, batch_size, passes))

    def history(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`: losses, accuracies, rates and time of each epoch."""
        path = self.path / METRICS
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines()]

    def importance(self) -> Table:
        """What each observable contributes to the trees, the largest first.

        Returns:
            A table of each observable's share of the total gain and of the splits that use it.

        Raises:
            ValueError: the run is a network.
        """
        if isinstance(self.model, torch.nn.Module):
            message = (
                f"{self.path} is a network ({self.architecture}); only trees tell what they use"
            )
            raise ValueError(message)
        gain = self.model.feature_importance("gain")
        share = gain / max(gain.sum(), 1e-30)
        splits = self.model.feature_importance("split")
        rows = tuple(
            (self.inputs.features[i], Number(float(share[i])), Number(int(splits[i])))
            for i in np.argsort(-gain, kind="stable")
        )
        return Table(("observable", "share of gain", "splits"), rows)

    def _by_chunks(self, jets: ak.Array, compute: Callable[[Cache], np.ndarray]) -> np.ndarray:
        """(N, C) of all jets, whose inputs are in memory piece by piece."""
        if not len(jets):
            return np.zeros((0, len(self.classes)), np.float32)
        scores = np.concatenate(
            [
                compute(build_cache(jets[begin : begin + CHUNK], self.inputs))
                for begin in range(0, len(jets), CHUNK)
            ]
        )
        bad = np.flatnonzero(~np.isfinite(scores).all(axis=1))
        if bad.size:
            message = (
                f"{self.path}: scores of {bad.size} of {len(jets)} jets are not finite, the first "
                f"that of jet {bad[0]}; look for extreme values in these jets"
            )
            raise ValueError(message)
        return scores

    def _deviation(self, cache: Cache, batch_size: int, passes: int) -> np.ndarray:
        n_classes, device = len(self.classes), self.device
        if isinstance(self.model, Ensemble):
            members = self.model.members
            each = [logits_of(one, cache, n_classes, batch_size, device) for one in members]
            return torch.stack(each).softmax(dim=2).std(dim=0).numpy()
        options: dict[str, Any] = {"batch_size": batch_size, "device": device}
        return mc_dropout(self.model, cache, n_classes, passes, **options)[1]


def load_run(path: str | Path, *, device: str = "auto", trust: bool = False) -> Run:
    """Load a trained model.

    Args:
        path: the folder of a run.
        device: where to put a network: "auto", "cpu", "cuda", "cuda:1", "mps".
        trust: allow a model from a user's own module, `my_module:MyNet`, and run its code.

    Returns:
        The run.

    Raises:
        ValueError: no run there, no epoch finished, an unknown schema, damaged files, or a user's
            module without `trust`.
    """
    folder = Path(path)
    model_yaml = read_model_yaml(folder)
    if ":" in model_yaml["model"] and not trust:
        message = (
            f"{folder}: loading it runs code of the module named in {model_yaml['model']!r}; "
            "if you know what that is, load with trust=True (--trust)"
        )
        raise ValueError(message)
    place = pick_device(device)
    model = LOADERS[model_yaml["kind"]](folder, model_yaml, place)
    return Run(folder, model_yaml, model, place)


def logits_of(
    network: torch.nn.Module,
    cache: Cache,
    n_classes: int,
    batch_size: int,
    device: torch.device,
    *,
    rank: int = 0,
    world: int = 1,
) -> torch.Tensor:
    """A network's outputs for all jets of a cache, in evaluation mode and float32.

    Args:
        network: the network.
        cache: N jets.
        n_classes: C outputs of the network.
        batch_size: jets at a time.
        device: where the network is.
        rank: of `world` processes that share the jets; rows of the others stay 0.
        world: processes.

    Returns:
        (N, C) float32 on the CPU, in the order of the cache.
    """
    logits = torch.zeros(len(cache), n_classes)
    training = network.training
    network.eval()
    with torch.inference_mode():
        for number, batch in enumerate(Batches(cache, batch_size, shuffle=False).epoch()):
            if number % world == rank:
                mask = None if batch.mask is None else batch.mask.to(device)
                logits[batch.index] = network(batch.x.to(device), mask).float().cpu()
    network.train(training)
    return logits


def pick_device(name: str = "auto") -> torch.device:
    """The device of that name; "auto" is an accelerator if there is one.

    Under torchrun, "auto" and "cuda" mean the GPU of this process.

    Raises:
        ValueError: there is no such device here.
    """
    local = int(os.environ.get("LOCAL_RANK", 0))
    here = {f"cuda:{i}" for i in range(torch.cuda.device_count())} | {"cpu"}
    here |= {"mps"} if torch.backends.mps.is_available() else set()
    if name == "auto":
        name = f"cuda:{local}" if f"cuda:{local}" in here else "mps" if "mps" in here else "cpu"
    name = f"cuda:{local}" if name == "cuda" else name
    if name not in here:
        message = f"no device {name!r} here; choose from auto, {', '.join(sorted(here))}"
        raise ValueError(message)
    return torch.device(name)
