"""From the events of any file to the jets that a run expects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.events import momenta
from fivesigma.features import FEATURES, OBSERVABLES
from fivesigma.formats import Source
from fivesigma.reconstruction.jets import JetOptions, cluster
from fivesigma.reconstruction.substructure import substructure
from fivesigma.runs import Run

__all__ = ["RawJets"]

_MOMENTUM = ("pt", "eta", "phi", "mass")
#: of the jets that a run was trained on, where the run does not tell
_RADIUS = 0.8
#: jets at least this wide are looked for among the fat jets first
_FAT = 0.6
#: what `features.derive` and its kin add
_DERIVED = frozenset(
    (
        *("energy", "deta", "dphi", "dr", "sum_pt", "eta_centred", "phi_centred"),
        *("eta_oriented", "phi_oriented"),
    )
)
#: what `reconstruction.substructure` computes
_SUBSTRUCTURE = frozenset(
    (
        *("softdrop_mass", "tau1", "tau2", "tau3", "tau4", "tau21", "tau32", "tau43"),
        *("c2", "d2", "n2", "ptd", "width", "multiplicity"),
    )
)


@dataclass(frozen=True)
class RawJets:
    """How the jets of a file are found for a run.

    Attributes:
        collection: of the events, "" where the entries are the jets.
        columns: fields of the file that are read.
        cluster: how particles are clustered; None: the file has the jets.
        radius: of the jets.
        observed: whether substructure is computed from the constituents.
    """

    collection: str
    columns: tuple[str, ...]
    cluster: JetOptions | None
    radius: float
    observed: bool

    @classmethod
    def of(cls, run: Run, source: Source, collection: str | None = None) -> RawJets:
        """Choose the jets of a file.

        Fat jets are preferred by runs of wide jets; where no jets have constituents and the run
        needs them, the particles are clustered with the radius of the run's own jets.

        Args:
            run: what will score the jets.
            source: the file.
            collection: the jets to take, or "particles" to cluster them; chosen if None.

        Raises:
            ValueError: what the run needs and the file lacks, by name.
        """
        of_jets, of_constituents = _needs(run)
        radius = float(_trained_on(run).get("radius", _RADIUS))
        observed = bool(of_jets & _SUBSTRUCTURE)
        needed = {*_MOMENTUM, *(of_jets - _SUBSTRUCTURE)}
        inner = of_constituents | (set(_MOMENTUM) if observed else set())
        if source.kind == "jets":
            chosen, options = "", None
        elif source.kind == "events":
            chosen, options = _chosen(source, collection, bool(inner), radius)
        else:
            message = f"{source.path} holds {source.kind}; a tagger needs events or jets"
            raise ValueError(message)
        if options is not None:
            columns = [f"particles.{name}" for name in sorted(inner)]
            needed -= set(_MOMENTUM)
            missing = sorted(needed)
        else:
            prefix = f"{chosen}." if chosen else ""
            columns = [f"{prefix}{name}" for name in sorted(needed)]
            columns += [f"{prefix}constituents.{name}" for name in sorted(inner)]
            missing = []
        missing += [name for name in columns if name not in source.fields]
        if missing:
            message = (
                f"{source.path}: {run.path} needs {', '.join(missing)}, which this "
                f"{source.format} file lacks; choose other jets (--jets) or another run"
            )
            raise ValueError(message)
        return cls(chosen, tuple(columns), options, radius, observed)

    def __call__(self, events: ak.Array) -> ak.Array:
        """The jets: a list of them for each event, or flat where the entries are jets."""
        if self.cluster is not None:
            jets = cluster(events.particles, self.cluster)
        else:
            jets = events[self.collection] if self.collection else events
        if not self.observed:
            return jets
        flat = ak.flatten(jets, axis=1) if jets.ndim == 2 and self.collection else jets
        found = substructure(flat, self.radius)
        parts = dict(zip(ak.fields(flat), ak.unzip(flat), strict=True))
        parts |= {name: found[name] for name in found.fields}
        flat = momenta(ak.zip(parts, depth_limit=1))
        return ak.unflatten(flat, ak.num(jets, axis=1)) if self.collection else flat


def _chosen(
    source: Source, collection: str | None, inner: bool, radius: float
) -> tuple[str, JetOptions | None]:
    """The collection to take, and how to cluster it where it is new."""
    fields = source.fields
    has = {name.split(".")[0] for name in fields}
    clustered = JetOptions(radius=radius)
    if collection is not None:
        if collection == "particles" and collection in has:
            return "particle_jets", clustered
        if collection not in has:
            message = (
                f"{source.path}: no jets {collection!r}; choose from {', '.join(sorted(has))}"
            )
            raise ValueError(message)
        return collection, None
    ordered = ("fatjets", "jets") if radius > _FAT else ("jets", "fatjets")
    for name in ordered:
        if (f"{name}.constituents.pt" if inner else f"{name}.pt") in fields:
            return name, None
    if "particles.pt" in fields:
        return "particle_jets", clustered
    message = (
        f"{source.path}: a {source.format} file without "
        + ("constituents of jets, and without particles to cluster" if inner else "jets")
        + f"; it has {', '.join(sorted(has))}"
    )
    raise ValueError(message)


class _Asked:
    """Stands for columns; notes which are asked for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getattr__(self, name: str) -> np.ndarray:
        self.names.add(name)
        return np.ones(1)


def _needs(run: Run) -> tuple[set[str], set[str]]:
    """Fields of jets and of constituents that a run's inputs are made of."""
    jets, constituents = _Asked(), _Asked()
    if run.inputs.kind == "image":
        charge = {"charge"} if "charged_pt" in run.inputs.channels else set()
        return set(), {*_MOMENTUM, *charge}
    observables = run.inputs.kind == "observables"
    for name in run.inputs.features:
        if observables and name not in OBSERVABLES:
            jets.names.add(name)
        else:
            table = OBSERVABLES if observables else FEATURES
            table[name].formula(np, constituents, jets)
    inner = set() if observables else {*_MOMENTUM, *(constituents.names - _DERIVED)}
    return jets.names - {*_MOMENTUM, *_DERIVED}, inner


def _trained_on(run: Run) -> dict[str, Any]:
    """Options of the jets that a run was trained on."""
    found = run.model_yaml.get("provenance", {}).get("jets")
    return found if isinstance(found, dict) else {}
