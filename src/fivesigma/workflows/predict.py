"""`fivesigma predict`: a tagger's scores, for a dataset or for files of any format."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.datasets import Dataset
from fivesigma.events import momenta
from fivesigma.formats import Source, expand
from fivesigma.formats.containers.root import RootTable
from fivesigma.formats.layout import Field
from fivesigma.formats.writers import open_writer
from fivesigma.formats.writers.passthrough import COPIED, Copy
from fivesigma.manifests import is_dataset
from fivesigma.progress import Progress
from fivesigma.runs import PASSES, Run
from fivesigma.workflows.pieces import Opening
from fivesigma.workflows.rawjets import RawJets
from fivesigma.workflows.scoring import load_runs

__all__ = ["Scores", "predict"]

#: memory of the columns of one step
_STEP = "100 MB"
#: containers that are written again as what they were; others become Parquet
_SUFFIXES = {"RootTable": ".root", "HdfTable": ".h5", "NpzTable": ".npz"}


@dataclass(frozen=True)
class Scores:
    """Scores that were written.

    Attributes:
        path: dataset or file.
        jets: how many jets have scores.
        fields: names of the scores.
        left_out: columns of the file that could not be copied.
    """

    path: Path
    jets: int
    fields: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def predict(
    run: Path,
    data: Sequence[str],
    *,
    out: Path | None = None,
    jets: str | None = None,
    format: str | None = None,
    tree: str | None = None,
    mapping: Path | None = None,
    unit: str | None = None,
    name: str | None = None,
    spread: bool = False,
    passes: int | None = None,
    trust: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
) -> list[Scores]:
    """Score jets: of a dataset, or of files of any format.

    A dataset gains a collection of one probability a class. For a file, a copy with the scores is
    written: in the file's own format where that can be written, else Parquet; jets that are not
    in the file are clustered from its particles.

    Examples:
        fivesigma predict runs/pfn data/top
        fivesigma predict runs/pfn pfnano.root --out scored.root
        fivesigma predict runs/pfn delphes.root --jets particles
        fivesigma predict runs/ensemble data/top --spread

    Args:
        run: folder of the run.
        data: dataset with jets, or files, patterns, addresses; labels are not needed.
        out: file to write; of several files the folder; default NAME-RUN beside you.
        jets: which jets of the events: a collection, or "particles" to cluster those; chosen by
            the radius of the run's own jets if none.
        format: of the files; recognised by content if none.
        tree: which tree or group, where a file has several.
        mapping: YAML that names the columns of each field.
        unit: "GeV" or "MeV" of energies in the files; known or guessed if none.
        name: of a dataset's new collection; default `scores-<run>`.
        spread: add `<class>_spread`, the standard deviation of the probabilities of an ensemble's
            members, or of one network under other draws of its dropout.
        passes: draws of dropout for the spread, default 30; implies `spread`.
        trust: let a run import the Python module that it names.
        overwrite: replace scores that are there.
        quiet: show no progress.

    Returns:
        What was written, for each dataset or file.

    Raises:
        ValueError: no run, no data, jets that lack what the run needs, a run without a spread, or
            output that exists.
    """
    score = _Scorer(spread or passes is not None, PASSES if passes is None else passes)
    (tagger,) = load_runs([run], trust).values()
    names, opening = expand(data), Opening(format, tree, mapping, unit)
    if out is not None and len(names) > 1 and out.suffix:
        message = f"{len(names)} files and one output {out}; give a folder"
        raise ValueError(message)
    return [
        _score_dataset(tagger, score, each, name, overwrite)
        if out is None and is_dataset(Path(each))
        else _score_file(tagger, score, each, out, jets, opening, overwrite, quiet)
        for each in names
    ]


@dataclass(frozen=True)
class _Scorer:
    """What is told of each jet."""

    spread: bool
    passes: int

    def names(self, run: Run) -> list[str]:
        """Classes, and each with the suffix of its spread."""
        return run.classes + [f"{label}_spread" for label in run.classes if self.spread]

    def __call__(self, run: Run, jets: ak.Array) -> np.ndarray:
        """(N, C) or, with the spread, (N, 2 C)."""
        scores = run.predict(jets)
        if not self.spread:
            return scores
        return np.concatenate([scores, run.spread(jets, self.passes)], axis=1)


def _score_dataset(
    run: Run, score: _Scorer, path: str, name: str | None, overwrite: bool
) -> Scores:
    dataset = Dataset.open(path)
    collection, count, names = name or f"scores-{run.name}", 0, score.names(run)
    for shard, jets in zip(dataset.shards, dataset.iterate("jets"), strict=True):
        scores = score(run, jets)
        table = ak.zip({label: scores[:, i] for i, label in enumerate(names)})
        dataset.write(collection, shard["index"], table, overwrite=overwrite)
        count += len(scores)
    return Scores(Path(path), count, tuple(f"{collection}.{label}" for label in names))


def _score_file(
    run: Run,
    score: _Scorer,
    path: str,
    out: Path | None,
    collection: str | None,
    opening: Opening,
    overwrite: bool,
    quiet: bool,
) -> Scores:
    """One file, step by step."""
    with opening(path) as source:
        raw = RawJets.of(run, source, collection)
        sink = _Sink(source, _target(source, path, out, run.name), overwrite)
        count, names = 0, [_score_name(run.name, each) for each in score.names(run)]
        step = source.step_entries(None, _STEP)
        with Progress(f"scoring {path}", source.entries, "entries", quiet=quiet) as bar, sink:
            for start in range(0, source.entries, step):
                stop = min(start + step, source.entries)
                jets = raw(source.read(raw.columns, start, stop))
                flat = ak.flatten(jets, axis=1) if raw.collection else jets
                table = score(run, flat)
                scores = {name: table[:, i] for i, name in enumerate(names)}
                sink.extend(start, stop, raw, jets, scores)
                count += len(table)
                bar(stop)
        return Scores(sink.path, count, tuple(names), sink.left_out)


def _score_name(run: str, label: str) -> str:
    """Name of a score, good for branches and expressions: "pfn_top"."""
    return re.sub(r"\W+", "_", f"{run}_{label}")


def _copied(source: Source) -> bool:
    """Whether the file is a tree that can be copied branch by branch."""
    table = source.table
    return source.format in COPIED and isinstance(table, RootTable) and not table.is_ntuple


def _target(source: Source, path: str, out: Path | None, run: str) -> Path:
    """The file to write: the given one, or one named after file and run."""
    stem = Path(path.rsplit("/", 1)[-1]).name.split(".")[0]
    suffix = ".root" if _copied(source) else _SUFFIXES.get(type(source.table).__name__, ".parquet")
    if out is not None and out.suffix:
        return out
    return (out or Path()) / f"{stem}-{run}{suffix}"


class _Sink:
    """Where scored entries go: a copy of the tree, or a file in the schema's names."""

    def __init__(self, source: Source, path: Path, overwrite: bool) -> None:
        if path.exists() and not overwrite:
            message = f"{path} is there; replace it with --overwrite, or choose another --out"
            raise FileExistsError(message)
        self.path, self._source = path, source
        self.left_out: tuple[str, ...] = ()
        self._copy: Copy | None = None
        if _copied(source) and path.suffix == ".root" and isinstance(source.table, RootTable):
            self._copy = Copy(path, source.table)
            self.left_out = self._copy.left_out
        self._stack = ExitStack()

    def __enter__(self) -> _Sink:
        if self._copy is not None:
            self._stack.enter_context(self._copy)
        else:
            options: dict[str, Any] = {"kind": self._source.kind, "overwrite": True}
            made = open_writer(self.path, classes=tuple(self._source.classes), **options)
            self._writer = self._stack.enter_context(made)
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def extend(
        self, start: int, stop: int, raw: RawJets, jets: ak.Array, scores: Mapping[str, np.ndarray]
    ) -> None:
        """Write some entries with the scores of their jets."""
        if not raw.collection:
            self._extend_jets(start, stop, scores)
            return
        counts = ak.num(jets, axis=1)
        lists = {name: ak.unflatten(each, counts) for name, each in scores.items()}
        if raw.cluster is not None:
            lists = {name: jets[name] for name in ("pt", "eta", "phi", "mass")} | lists
        if self._copy is not None:
            self._copy.extend(start, stop, {}, {self._prefix(raw): lists})
            return
        events = self._source.read(None, start, stop)
        if raw.cluster is not None:
            made = momenta(ak.zip(lists))
        else:
            old = events[raw.collection]
            parts = dict(zip(ak.fields(old), ak.unzip(old), strict=True)) | lists
            made = momenta(ak.zip(parts, depth_limit=2))
        self._writer.extend(ak.with_field(events, made, raw.collection))

    def _extend_jets(self, start: int, stop: int, scores: Mapping[str, np.ndarray]) -> None:
        if self._copy is not None:
            self._copy.extend(start, stop, scores, {})
            return
        jets = self._source.read(None, start, stop)
        parts = dict(zip(ak.fields(jets), ak.unzip(jets), strict=True)) | dict(scores)
        self._writer.extend(momenta(ak.zip(parts, depth_limit=1)))

    def _prefix(self, raw: RawJets) -> str:
        """The file's own name of a collection: "FatJet" of "fatjets"."""
        if raw.cluster is not None:
            return "ParticleJet"
        pt = self._source.layout.groups[raw.collection].fields["pt"]
        return next(iter(pt.columns)).partition("_")[0] if isinstance(pt, Field) else ""
