"""An analysis, described: samples, selection, regions, systematics, what is measured.

    analysis = read_analysis("configs/cms-higgs-4l.yaml")

The YAML has the keys of `Analysis` and of what is in it; a wrong one is answered with its place
and the nearest valid one. In Python the same is built from the same dataclasses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from fivesigma import expressions
from fivesigma.search.measurement import Measurement, Pruning, Templating
from fivesigma.search.regions import Binning, Region
from fivesigma.search.samples import Input, Sample
from fivesigma.search.scores import Score
from fivesigma.search.systematics import (
    InputVariation,
    Luminosity,
    ShapeSystematic,
    Systematic,
)
from fivesigma.search.typed import build, nearest
from fivesigma.search.variants import read_variant

__all__ = [
    "Analysis",
    "Binning",
    "Measurement",
    "Pruning",
    "Region",
    "Templating",
    "described",
    "read_analysis",
]


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """The description of an analysis.

    Attributes:
        title: of the report.
        samples: name -> data, signal or background.
        regions: name -> region.
        folder: that the samples' files are in; `${NAME:-default}` is taken from the environment.
        luminosity: [1/pb], of inputs that name none.
        experiment: label on figures, e.g. "CMS Open Data".
        collisions: text on figures, e.g. "11.6 fb$^{-1}$ (8 TeV)"; made of the luminosity if none.
        unblinded: data in signal regions are open from the beginning, as where they are published;
            else they stay closed until it is asked for (`--unblind`).
        objects: collection -> cut on its objects, an expression over their fields.
        define: new quantities, expressions over the event with the objects that are left; later
            ones may use earlier ones.
        scores: new quantity -> score of a trained run, made of these.
        selection: name -> cut on events, in the order of the cut-flow.
        discriminant: expression that is histogrammed.
        axis: its label, with its unit in brackets.
        binning: of the discriminant.
        systematics: name -> systematic uncertainty.
        templates: how templates become a model.
        measurement: what is measured.
    """

    title: str
    samples: Mapping[str, Sample]
    regions: Mapping[str, Region]
    folder: str = "."
    luminosity: float | None = None
    experiment: str = ""
    collisions: str = ""
    unblinded: bool = False
    objects: Mapping[str, str] = field(default_factory=dict)
    define: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, Score] = field(default_factory=dict)
    selection: Mapping[str, str] = field(default_factory=dict)
    discriminant: str = ""
    axis: str = ""
    binning: Binning = field(default_factory=Binning)
    systematics: Mapping[str, Systematic] = field(default_factory=dict)
    templates: Templating = field(default_factory=Templating)
    measurement: Measurement = field(default_factory=Measurement)

    def __post_init__(self) -> None:
        _check_names(self)
        _check_regions(self)
        _check_inputs(self)
        for what in ("objects", "define", "selection"):
            for name, text in getattr(self, what).items():
                _parsed(text, f"{what}.{name}")
        _check_order(self.define, set(self.scores))

    @property
    def simulated(self) -> list[str]:
        """Names of the samples that are predictions, signal last."""
        kinds = {name: each.kind for name, each in self.samples.items() if each.kind != "data"}
        return sorted(kinds, key=lambda name: kinds[name] == "signal")

    @property
    def data(self) -> list[str]:
        """Names of the samples of data."""
        return [name for name, each in self.samples.items() if each.kind == "data"]

    @property
    def signal(self) -> tuple[str, ...]:
        """Names of the samples that the parameter of interest scales."""
        kinds = tuple(name for name, each in self.samples.items() if each.kind == "signal")
        return self.measurement.samples or kinds

    def region(self, name: str) -> Region:
        """A region with the analysis' own discriminant, axis and binning where it has none."""
        found = self.regions[name]
        own = {each.name: getattr(found, each.name) for each in fields(found)}
        own["discriminant"] = found.discriminant or self.discriminant
        own["axis"] = found.axis or self.axis or own["discriminant"]
        own["binning"] = found.binning if found.binning.given else self.binning
        own["label"] = found.label or name
        return Region(**own)

    def shapes(self, sample: str, region: str) -> Iterator[tuple[str, ShapeSystematic]]:
        """The systematics that change the template of a sample in a region."""
        for name, each in self.acting(sample, region):
            if isinstance(each, ShapeSystematic):
                yield name, each

    def acting(self, sample: str, region: str) -> Iterator[tuple[str, Systematic]]:
        """The systematics that act on a sample in a region."""
        for name, each in self.systematics.items():
            in_sample = sample in (each.samples or self.simulated)
            if in_sample and region in (each.regions or self.regions):
                yield name, each


def _parsed(text: str, place: str) -> None:
    try:
        expressions.parse(text)
    except ValueError as error:
        message = f"{place}: {error}"
        raise ValueError(message) from None


def _check_order(define: Mapping[str, str], scores: set[str]) -> None:
    """Quantities are made of earlier ones, and scores of quantities."""
    names = list(define)
    for index, (name, text) in enumerate(define.items()):
        used = {each.split(".")[0] for each in expressions.parse(text).names}
        if later := used & ({*names[index:]} | scores):
            message = (
                f"define.{name}: uses {', '.join(sorted(later))}, which is not defined before"
            )
            raise ValueError(message)


def _known(names: tuple[str, ...], known: Any, place: str, what: str) -> None:
    for name in names:
        if name not in known:
            message = f"{place}: no {what} {name!r}; {nearest(name, known)}"
            raise ValueError(message)


def _check_names(analysis: Analysis) -> None:
    """Every name that is used is the name of something, and can be that of a file."""
    for what in ("samples", "regions", "systematics"):
        for name in getattr(analysis, what):
            if not re.fullmatch(r"[\w-]+", name, re.ASCII):
                message = f"{what}: the name {name!r}; use letters, digits, _ and -, and a label"
                raise ValueError(message)
    if not analysis.signal:
        message = "samples: none is a signal; give the one that is searched for kind: signal"
        raise ValueError(message)
    _known(analysis.measurement.samples, analysis.simulated, "measurement.samples", "sample")
    for name, each in analysis.systematics.items():
        place = f"systematics.{name}"
        _known(each.samples, analysis.simulated, f"{place}.samples", "simulated sample")
        _known(each.regions, analysis.regions, f"{place}.regions", "region")
        parameter = each.parameter or name
        taken = parameter == analysis.measurement.poi or parameter.startswith("staterror_")
        if taken or (parameter == "lumi" and not isinstance(each, Luminosity)):
            message = (
                f"{place}: the parameter {parameter!r} has another meaning; name it otherwise"
            )
            raise ValueError(message)
    if sum(isinstance(each, Luminosity) for each in analysis.systematics.values()) > 1:
        message = "systematics: two of kind luminosity; HistFactory has one parameter for it"
        raise ValueError(message)


def _check_regions(analysis: Analysis) -> None:
    """Each region can be filled, and one is fitted."""
    if all(each.kind == "validation" for each in analysis.regions.values()):
        message = "regions: none is fitted; describe at least one of kind signal or control"
        raise ValueError(message)
    for name in analysis.regions:
        region = analysis.region(name)
        if not region.histogram and not (region.discriminant and region.binning.given):
            message = (
                f"regions.{name}: nothing to fill; give a discriminant with its binning, or the "
                "name of a histogram in the samples' files"
            )
            raise ValueError(message)
        if region.histogram and (region.binning.chosen or region.binning.bins):
            message = (
                f"regions.{name}.binning: histograms have no events to choose bins from; give "
                "edges that the histograms have, or none to keep theirs"
            )
            raise ValueError(message)


def _inputs(analysis: Analysis) -> Iterator[tuple[str, Input]]:
    """All inputs with their places, those of variations too."""
    for name, sample in analysis.samples.items():
        for index, each in enumerate(sample.inputs):
            yield f"samples.{name}.inputs[{index}]", each
    for name, systematic in analysis.systematics.items():
        for side in systematic.sides if isinstance(systematic, InputVariation) else ():
            for index, each in enumerate(getattr(systematic, side)):
                yield f"systematics.{name}.{side}[{index}]", each


def _check_inputs(analysis: Analysis) -> None:
    """Every sample is for some region, and every region has data where there are data."""
    if analysis.luminosity is not None and not 0 < analysis.luminosity < float("inf"):
        message = f"luminosity: got {analysis.luminosity}, expected a number above 0, in 1/pb"
        raise ValueError(message)
    for place, each in _inputs(analysis):
        _known(each.regions, analysis.regions, f"{place}.regions", "region")
        if each.cross_section and not (each.luminosity or analysis.luminosity):
            message = f"{place}: a cross-section needs a luminosity; give it in 1/pb"
            raise ValueError(message)
    for region in analysis.regions if analysis.data else ():
        inputs = [each for name in analysis.data for each in analysis.samples[name].inputs]
        if not any(region in (each.regions or analysis.regions) for each in inputs):
            message = (
                f"regions.{region}: no data; no input of {', '.join(analysis.data)} is for it"
            )
            raise ValueError(message)


def read_analysis(path: str | Path) -> Analysis:
    """Read the YAML of an analysis, and that of which it is a variant (`base`), if any.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no YAML, or something in it that is wrong; says where.
    """
    content = read_variant(Path(path))
    try:
        analysis: Analysis = build(Analysis, _with_inputs(content))
    except ValueError as error:
        message = f"{path}: {error}"
        raise ValueError(message) from None
    return analysis


def described(analysis: Analysis) -> dict[str, Any]:
    """The content of a YAML that `read_analysis` makes the same analysis of."""
    content: dict[str, Any] = json.loads(json.dumps(asdict(analysis)))
    kinds = {each: name for name, each in Systematic.KINDS.items()}
    for name, each in analysis.systematics.items():
        content["systematics"][name] = {"kind": kinds[type(each)], **content["systematics"][name]}
    return content


def _with_inputs(content: dict[str, Any]) -> dict[str, Any]:
    """Samples of one input may have its keys as their own."""
    keys = {each.name for each in fields(Sample)}
    samples = content.get("samples")
    if not isinstance(samples, dict):
        return content
    made = {}
    for name, sample in samples.items():
        if isinstance(sample, dict) and "inputs" not in sample:
            own = {key: each for key, each in sample.items() if key in keys}
            rest = {key: each for key, each in sample.items() if key not in keys}
            made[name] = {**own, "inputs": [rest]}
        else:
            made[name] = sample
    return {**content, "samples": made}
