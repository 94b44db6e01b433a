"""Small files of events, and the description of an analysis of them.

As a script it makes the templates, with a pause before each piece: the folder of the files, that
of the analysis.
"""

import sys
from pathlib import Path

import awkward as ak
import numpy as np
import uproot

#: name -> (events, mean of the discriminant, its width)
PROCESSES = {"signal": (2000, 0.7, 0.15), "top": (4000, 0.4, 0.2), "qcd": (3000, 0.2, 0.2)}


def events(n, seed, mean=0.4, width=0.2):
    """A tree like NanoAOD: jets, a muon or two, weights, and `score`."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 8, n)
    total = counts.sum()
    jets = {
        "pt": 20 + rng.exponential(30, total),
        "eta": rng.normal(0, 1.5, total),
        "phi": rng.uniform(-3.1, 3.1, total),
        "mass": rng.uniform(3, 12, total),
        "btag": rng.random(total),
        "unused": rng.random(total),
    }
    muons = rng.integers(1, 3, n)
    lepton = {
        "pt": 15 + rng.exponential(30, muons.sum()),
        "eta": rng.normal(0, 1, muons.sum()),
        "phi": rng.uniform(-3.1, 3.1, muons.sum()),
        "mass": np.full(muons.sum(), 0.1057),
        "charge": rng.choice([-1, 1], muons.sum()),
    }
    return {
        "Jet": ak.unflatten(ak.zip({k: v.astype("f4") for k, v in jets.items()}), counts),
        "Muon": ak.unflatten(ak.zip({k: v.astype("f4") for k, v in lepton.items()}), muons),
        "event": np.arange(n, dtype="u8"),
        "genWeight": rng.normal(1, 0.1, n),
        "score": np.clip(rng.normal(mean, width, n), 0, 1).astype("f4"),
        "pileup": rng.uniform(0.9, 1.1, n),
    }


def write_events(path, tree):
    """One ROOT file."""
    with uproot.recreate(path) as file:
        file.mktree("Events", tree)


def write_samples(folder: Path):
    """A file for each process, and one of data: a mixture of them."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for seed, (name, (n, mean, width)) in enumerate(PROCESSES.items()):
        write_events(folder / f"{name}.root", events(n, seed, mean, width))
        parts.append(events(n // 10, 100 + seed, mean, width))
    whole = {name: ak.concatenate([part[name] for part in parts]) for name in parts[0]}
    write_events(folder / "data.root", whole)


def described(folder):
    """The content of a YAML."""
    return {
        "title": "Toy",
        "folder": str(folder),
        "luminosity": 1000,
        "samples": {
            "data": {"kind": "data", "files": "data.root"},
            "qcd": {"files": "qcd.root", "cross_section": 0.3, "weight": "event.weight"},
            "top": {"files": "top.root", "cross_section": 0.4, "weight": "event.weight"},
            "signal": {
                "kind": "signal",
                "files": "signal.root",
                "cross_section": 0.2,
                "weight": "event.weight",
            },
        },
        "objects": {"jets": "pt > 25 and abs(eta) < 2.4"},
        "define": {"ht": "sum(jets.pt)", "bjets": "jets[jets.btag > 0.7]"},
        "selection": {
            "one muon": "count(muons.pt > 25) == 1",
            "two jets": "len(jets) >= 2",
        },
        "discriminant": "event.score",
        "axis": "Score",
        "binning": {"bins": 8, "range": [0, 1]},
        "regions": {
            "SR": {"selection": "len(bjets) >= 1"},
            "CR": {
                "kind": "control",
                "selection": "len(bjets) == 0",
                "discriminant": "ht",
                "binning": {"edges": [50, 100, 150, 250, 1000]},
            },
        },
        "systematics": {
            "lumi": {"kind": "luminosity", "size": 0.02},
            "qcd_norm": {"kind": "normalisation", "samples": "qcd", "size": 0.2},
            "pileup": {"kind": "weight", "up": "event.pileup", "down": "2 - event.pileup"},
            "jes": {
                "kind": "object",
                "up": {"jets.pt": "jets.pt * 1.03"},
                "down": {"jets.pt": "jets.pt * 0.97"},
            },
            "jer": {"kind": "object", "smear": {"jets.pt": "0.1"}, "smooth": True},
        },
    }


if __name__ == "__main__":
    import time

    import yaml

    from fivesigma.workflows import selecting
    from fivesigma.workflows.analyse import templates

    one_piece = selecting._one_piece

    def slow_piece(piece):
        time.sleep(0.3)
        return one_piece(piece)

    selecting._one_piece = slow_piece
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    config = source / "toy.yaml"
    config.write_text(yaml.safe_dump(described(source)))
    templates(config, out=out, quiet=True)
