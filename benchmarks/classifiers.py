"""Classifiers of events: own trees against plain LightGBM; what training on systematics gains.

    python benchmarks/classifiers.py

- uci_higgs_trees_auc, uci_higgs_lightgbm_auc: 7000 rows of UCI HIGGS in 4 folds, each row scored
  by a training that did not see it; both sides with the same settings, folds and rows, LightGBM by
  its own interface from the file's columns as they are.
- uci_higgs_mlp_auc: the network of configs/uci-higgs.yaml on the same folds.
- uci_higgs_auc_difference: trees less plain LightGBM, paired on the rows.
- aware_gain: two Gaussian quantities tell signal from background, 300 signal on 3000 background
  events; a nuisance parameter moves one of them in the background by as much as it separates.
  1 - (expected uncertainty of the signal strength with the loss signal-strength) / (with
  cross-entropy), in a fit of the score's histogram to held-out events.

Low and high are one standard deviation of the finite samples.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import awkward as ak
import lightgbm
import numpy as np
import yaml

from fivesigma import metrics
from fivesigma.results import Number
from fivesigma.search.classifiers import (
    SIGNAL,
    Aim,
    Classifier,
    Folds,
    Spectrum,
    aims_of,
    fit_folds,
    shares_of,
    strength_gain,
)
from fivesigma.training import Training
from fivesigma.trees import Trees
from fivesigma.workflows.labelled import read_labelled

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("FIVESIGMA_REAL_DATA", ROOT.parent / "shared" / "data"))
FOLDS = Folds(4)
TREES = Trees(rounds=150, early_stopping=0, threads=1)
Figures = dict[str, tuple[Number, str]]


def plain_lightgbm(x: np.ndarray, y: np.ndarray, events: ak.Array) -> np.ndarray:
    """(N,) scores of the rows that each training did not see."""
    settings = {
        "objective": "binary", "learning_rate": TREES.learning_rate, "num_leaves": TREES.leaves,
        "min_data_in_leaf": TREES.least_jets, "feature_fraction": TREES.feature_fraction,
        "lambda_l2": TREES.l2, "num_threads": 1, "verbose": -1,
    }  # fmt: skip
    shares, score = shares_of(events, FOLDS), np.empty(len(y))
    for number in range(FOLDS.number):
        rows, test = shares.train(number), shares.test(number)
        booster = lightgbm.train(settings, lightgbm.Dataset(x[rows], y[rows]), TREES.rounds)
        score[test] = booster.predict(x[test])
    return score


def uci_higgs(folder: Path) -> Figures:
    """Trees, network and plain LightGBM on UCI HIGGS."""
    mapping = ROOT / "configs" / "formats" / "uci_higgs.yaml"
    events = read_labelled([str(DATA / "uci_higgs" / "binary.train")], mapping=mapping)
    names = tuple(name for name in events.fields if name != "label")
    y = (ak.to_numpy(events.label) == SIGNAL).astype(int)
    mlp = yaml.safe_load((ROOT / "configs" / "uci-higgs.yaml").read_text())["classifiers"]["mlp"]
    network = Classifier("mlp", Training(**mlp["training"]), options=mlp["options"])
    trees = fit_folds(Classifier("trees", trees=TREES), events, names, folder / "trees", FOLDS)
    found = fit_folds(network, events, names, folder / "mlp", FOLDS)
    x = np.stack([ak.to_numpy(events[name]) for name in names], axis=1)
    theirs, own = plain_lightgbm(x, y, events), trees.held_out(events)
    difference = metrics.compare(y, own, theirs, (0.5,))["auc_difference"]
    return {
        "uci_higgs_trees_auc": (metrics.auc(y, own), "plain LightGBM"),
        "uci_higgs_lightgbm_auc": (metrics.auc(y, theirs), "-"),
        "uci_higgs_mlp_auc": (metrics.auc(y, found.held_out(events)), "plain LightGBM"),
        "uci_higgs_auc_difference": (difference, "plain LightGBM, same settings"),
    }


def toy(n: int, seed: int) -> ak.Array:
    """Events with two quantities, either a standard deviation apart in signal."""
    rng = np.random.default_rng(seed)
    label = rng.integers(2, size=n)
    shift = (label == SIGNAL).astype(float)
    return ak.Array({"x": rng.normal(shift, 1), "y": rng.normal(shift, 1), "label": label})


def aware(folder: Path) -> Figures:
    """Plain training against one that knows of the nuisance parameter."""
    events, expected = toy(10_000, 1), (300.0, 3000.0)
    moved = {
        f"y_{side}": ak.with_field(events, events.y + step * events.label, "y")
        for side, step in (("up", 1.0), ("down", -1.0))
    }
    training = Training(epochs=20, learning_rate=5e-3, threads=1, checkpoint_every_epochs=20)
    plain = Classifier("mlp", training, options={"hidden": [32, 32], "dropout": 0.0})
    aim = Aim("signal-strength")
    other = replace(plain, aim=aim, training=replace(training, batch_size=1024), start="plain")
    first = fit_folds(plain, events, ("x", "y"), folder / "plain", FOLDS)
    aims = aims_of(aim, events, moved, expected=expected)
    second = fit_folds(other, events, ("x", "y"), folder / "aware", FOLDS, aims=aims, start=first)
    y = (ak.to_numpy(events.label) == SIGNAL).astype(int)
    weight = np.where(y == 1, expected[0] / y.sum(), expected[1] / (1 - y).sum())
    spectra = [
        Spectrum(y, (one.held_out(events), weight),
                 {"y": [(one.held_out(each), weight) for each in moved.values()]})
        for one in (first, second)
    ]  # fmt: skip
    return {"aware_gain": (strength_gain(*spectra), "cross-entropy, same network and folds")}


def main() -> None:
    """Measure, and print one JSON object."""
    with tempfile.TemporaryDirectory() as folder:
        found = uci_higgs(Path(folder)) | aware(Path(folder))
    figures = {
        name: {
            "value": number.value,
            "low": number.value - number.uncertainty,
            "high": number.value + number.uncertainty,
            "unit": "",
            "reference": reference,
        }
        for name, (number, reference) in found.items()
    }
    print(json.dumps({"benchmark": "classifiers", "figures": figures}))


if __name__ == "__main__":
    main()
