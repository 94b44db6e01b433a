"""How runs trained on the recipe `top-tagging` do on published jets that nobody trained on.

    python benchmarks/published_jets.py runs/top-tagging

Reads 1000 jets of the test split of the Top Quark Tagging Reference Dataset (Zenodo 2603256,
CC BY 4.0) from $FIVESIGMA_REAL_DATA/jets/top_landscape_1000.npz and compares, with the dataset and
the runs of `fivesigma demo --config configs/top-tagging.yaml`:

- the means of five quantities per class, ours against the published ones, with statistical errors;
- the AUC on our test set with the AUC on the published jets.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import awkward as ak
import numpy as np

from fivesigma import metrics
from fivesigma.datasets import Dataset
from fivesigma.events import momenta
from fivesigma.reconstruction.substructure import substructure
from fivesigma.runs import load_run
from fivesigma.workflows.caches import jets_of

REAL_DATA = Path(os.environ.get("FIVESIGMA_REAL_DATA", "../shared/data"))
QUANTITIES = ("mass", "multiplicity", "width", "sum of squared pT fractions", "leading fraction")
CLASSES = ("top", "qcd")


def published(path: Path) -> tuple[ak.Array, np.ndarray]:
    """Jets with massless constituents, and labels in our order (0: top)."""
    with np.load(path) as file:
        px, py, pz, energy = file["pxpypzE"].astype(np.float64).T
        counts, label = file["counts"], 1 - file["label"].astype(np.int64)
    pt = np.hypot(px, py)
    zero = np.zeros(len(pt), np.float32)
    columns = {"pt": pt, "eta": np.arcsinh(pz / pt), "phi": np.arctan2(py, px), "mass": zero}
    flat = ak.zip({k: v.astype(np.float32) for k, v in columns.items()})
    constituents = ak.unflatten(flat, counts)
    constituents = constituents[ak.argsort(constituents.pt, axis=1, ascending=False)]
    jet = ak.sum(momenta(constituents), axis=1)
    table = {name: np.asarray(getattr(jet, name), np.float32) for name in ("pt", "eta", "phi")}
    table["mass"] = np.asarray(jet.mass, np.float32)
    jets = ak.zip(table | {"constituents": constituents}, depth_limit=1)
    observed = substructure(jets, 0.8)
    for name in observed.fields:
        jets[name] = observed[name]
    return jets, label


def quantities(jets: ak.Array) -> dict[str, np.ndarray]:
    """The five quantities of each jet."""
    z = jets.constituents.pt / ak.sum(jets.constituents.pt, axis=1)
    values = (jets.mass, jets.multiplicity, jets.width, ak.sum(z**2, axis=1), ak.max(z, axis=1))
    return {k: ak.to_numpy(v).astype(float) for k, v in zip(QUANTITIES, values, strict=True)}


def mean(values: np.ndarray) -> tuple[float, float]:
    """Mean and its statistical error."""
    return float(values.mean()), float(values.std() / np.sqrt(len(values)))


def main() -> None:
    """Compare means and scores."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/top-tagging")
    jets, label = published(REAL_DATA / "jets" / "top_landscape_1000.npz")
    test = ak.concatenate(list(jets_of(Dataset.open(folder / "data"), "test")))
    figures: dict[str, dict[str, object]] = {}
    ours, theirs = quantities(test), quantities(jets)
    our_label = ak.to_numpy(test.label)
    for index, name in enumerate(CLASSES):
        for quantity in QUANTITIES:
            value, error = mean(ours[quantity][our_label == index])
            reference, spread = mean(theirs[quantity][label == index])
            bound = 0.05 * reference + 2 * spread
            verdict = "agrees" if abs(value - reference) <= bound else "DIFFERS"
            print(
                f"{name:4s} {quantity:28s} ours {value:9.4f} +- {error:.4f}  published "
                f"{reference:9.4f} +- {spread:.4f}  {100 * (value / reference - 1):+5.1f} %  "
                f"{verdict}"
            )
            figures[f"{name}/{quantity.replace(' ', '_')}"] = {
                "value": value / reference,
                "low": (value - error) / (reference + spread),
                "high": (value + error) / (reference - spread),
                "unit": "",
                "reference": "mean of the published jets",
            }
    for path in sorted(each.parent for each in folder.glob("*/model.yaml")):
        run = load_run(path)
        here = metrics.auc(our_label == 0, run.predict(test)[:, 0])
        there = metrics.auc(label == 0, run.predict(jets)[:, 0])
        print(
            f"{run.name:8s} AUC ours {here.value:.4f} +- {here.uncertainty:.4f}, published jets "
            f"{there.value:.4f} +- {there.uncertainty:.4f}"
        )
        for key, number in (("auc", here), ("auc_published", there)):
            figures[f"{run.name}/{key}"] = {
                "value": number.value,
                "low": number.value - number.uncertainty,
                "high": number.value + number.uncertainty,
                "unit": "",
                "reference": "",
            }
    print(json.dumps({"benchmark": "published_jets", "figures": figures}))


if __name__ == "__main__":
    main()
