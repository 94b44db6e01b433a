"""A mass spectrum, described: files, selection, quantity, peaks and backgrounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from fivesigma import expressions
from fivesigma.formats.mappings.yamlfile import read_yaml
from fivesigma.search.samples import Input
from fivesigma.search.typed import build, nearest
from fivesigma.statistics.spectra import (
    SHAPES,
    Component,
    Model,
    family_named,
    shape_named,
)
from fivesigma.units import mass, width

__all__ = ["RESONANCES", "Overview", "Peak", "Resonance", "Sidebands", "Spectrum", "SpectrumFit"]


class Resonance(NamedTuple):
    """A PDG number, and the name on figures."""

    pdg: int
    label: str


#: what decays into two leptons
RESONANCES: dict[str, Resonance] = {
    "eta": Resonance(221, r"$\eta$"),
    "omega": Resonance(223, r"$\rho,\omega$"),
    "phi": Resonance(333, r"$\phi$"),
    "jpsi": Resonance(443, r"J/$\psi$"),
    "psi2s": Resonance(100443, r"$\psi$(2S)"),
    "upsilon1s": Resonance(553, r"$\Upsilon$(1S)"),
    "upsilon2s": Resonance(100553, r"$\Upsilon$(2S)"),
    "upsilon3s": Resonance(200553, r"$\Upsilon$(3S)"),
    "z": Resonance(23, "Z"),
}


def _check_range(range: tuple[float, ...], what: str = "range") -> tuple[float, float]:
    if len(range) != 2 or not range[0] < range[1]:
        message = f"{what}: got {list(range)}, expected a lower and an upper end, e.g. [2.8, 3.4]"
        raise ValueError(message)
    return range[0], range[1]


def _check_bins(bins: int, least: int) -> None:
    if bins < least:
        message = f"bins: got {bins}, expected at least {least}"
        raise ValueError(message)


@dataclass(frozen=True, kw_only=True)
class Peak:
    """A resonance.

    Attributes:
        shape: a peak of `SHAPES`.
        pdg: PDG number, for starting values and the comparison of the mass; known for the names
            of `RESONANCES`. The natural width of a shape with `gamma` is fixed to the PDG value.
        label: on figures; default: that of `RESONANCES`, or the name.
        like: another peak of the same shape and fit: all parameters but the yield are tied to
            its, position and widths in the ratio of the PDG masses.
        start: parameter -> starting value; found from the data by default.
        fixed: parameter -> value.
    """

    shape: str = "gaussian"
    pdg: int | None = None
    label: str = ""
    like: str = ""
    start: Mapping[str, float] = field(default_factory=dict)
    fixed: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not shape_named(self.shape).peak:
            peaks = ", ".join(name for name, shape in SHAPES.items() if shape.peak)
            message = f"shape {self.shape!r} is a background; choose from {peaks}"
            raise ValueError(message)


@dataclass(frozen=True, kw_only=True)
class SpectrumFit:
    """A fit of peaks over a background.

    Attributes:
        range: lower and upper end.
        peaks: name -> peak; the names begin those of the results, e.g. `jpsi/mass`.
        background: a name in `SHAPES`; none: no background.
        bins: number of bins of the fit, of an unbinned one for the goodness of fit.
        unbinned: fit event by event.
        start: parameter of the background -> starting value.
        fixed: parameter of the background -> value.
        label: on figures; the spectrum's if none.
    """

    range: tuple[float, ...]
    peaks: Mapping[str, Peak]
    background: str | None = "exponential"
    bins: int = 60
    unbinned: bool = False
    start: Mapping[str, float] = field(default_factory=dict)
    fixed: Mapping[str, float] = field(default_factory=dict)
    label: str = ""

    def __post_init__(self) -> None:
        _check_range(self.range)
        if self.background is not None and shape_named(self.background).peak:
            message = f"background {self.background!r} is a peak; choose e.g. exponential"
            raise ValueError(message)
        _check_bins(self.bins, 2)
        for name, peak in self.peaks.items():
            other = self.peaks.get(peak.like)
            if peak.like and (other is None or other.like or other.shape != peak.shape):
                message = (
                    f"peaks.{name}: like {peak.like!r}, expected a peak of this fit of the same "
                    f"shape that is not like another; {nearest(peak.like, self.peaks)}"
                )
                raise ValueError(message)
        self._check_masses()
        self.model()

    def _check_masses(self) -> None:
        low, high = self.range
        for name in self.peaks:
            number = self.pdg(name)
            if number is not None and not low < mass(number) < high:
                message = (
                    f"peaks.{name}: its mass {mass(number):.4g} GeV is outside of the range "
                    f"{low:g} to {high:g}; give the range in GeV, or another name or pdg"
                )
                raise ValueError(message)

    def pdg(self, name: str) -> int | None:
        """PDG number of a peak, None where it is not known."""
        known = RESONANCES.get(name)
        return self.peaks[name].pdg or (known.pdg if known else None)

    def labels(self) -> dict[str, str]:
        """Names of the peaks on figures."""
        return {
            name: peak.label or (RESONANCES[name].label if name in RESONANCES else name)
            for name, peak in self.peaks.items()
        }

    def model(self) -> Model:
        """What is fitted."""
        parts = [self._component(name, peak) for name, peak in self.peaks.items()]
        if self.background is not None:
            shape = shape_named(self.background)
            parts.append(Component("background", shape, self.start, self.fixed))
        return Model(tuple(parts), _check_range(self.range))

    def _component(self, name: str, peak: Peak) -> Component:
        shape, number = shape_named(peak.shape), self.pdg(name)
        if peak.like:
            return self._alike(name, peak)
        start, fixed = dict(peak.start), dict(peak.fixed)
        if number is not None:
            natural = {"gamma": width(number)} if width(number) > 0 else {}
            known = {parameter.name for parameter in shape.parameters} - start.keys()
            fixed = {key: value for key, value in natural.items() if key in known} | fixed
            if "mass" not in fixed:
                start = {"mass": mass(number)} | start
        return Component(name, shape, start, fixed)

    def _alike(self, name: str, peak: Peak) -> Component:
        """All but the yield as those of another peak, lengths in the ratio of the masses."""
        number, first = self.pdg(name), self.pdg(peak.like)
        if number is None or first is None:
            message = f"peaks.{name}: like {peak.like!r} needs the PDG numbers of both; give pdg"
            raise ValueError(message)
        other = self._component(peak.like, self.peaks[peak.like])
        ratio = mass(number) / mass(first)
        factor = {p.name: 1.0 if p.kind == "number" else ratio for p in other.shape.parameters}
        fixed = {key: factor[key] * value for key, value in other.fixed.items()}
        fixed |= peak.fixed
        tied = {key: (f"{peak.like}/{key}", factor[key]) for key in factor if key not in fixed}
        return Component(name, other.shape, peak.start, fixed, tied)


@dataclass(frozen=True, kw_only=True)
class Sidebands:
    """A window whose background is predicted from what is around it.

    Attributes:
        range: lower and upper end, window included.
        window: lower and upper end, at edges of bins; its data stay closed until `--unblind`.
        bins: number of bins in the range.
        families: names in `FAMILIES`.
        threshold: of the F-test.
        label: on figures; the spectrum's if none.
    """

    range: tuple[float, ...]
    window: tuple[float, ...]
    bins: int = 60
    families: tuple[str, ...] = ("exponential", "bernstein")
    threshold: float = 0.05
    label: str = ""

    def __post_init__(self) -> None:
        _check_range(self.range)
        _check_range(self.window, "window")
        _check_bins(self.bins, 3)  # the window and a bin on each side of it
        if not 0 < self.threshold < 1:
            message = f"threshold: got {self.threshold:g}, expected a probability, e.g. 0.05"
            raise ValueError(message)
        if not self.families:
            message = "families: got none, expected e.g. [exponential, bernstein]"
            raise ValueError(message)
        for name in self.families:
            family_named(name)


@dataclass(frozen=True, kw_only=True)
class Overview:
    """The whole spectrum, both axes logarithmic.

    Attributes:
        range: lower and upper end; default: all of it.
        bins: of equal width in the logarithm.
        resonances: those that are named; default: all of `RESONANCES`.
    """

    range: tuple[float, ...] = ()
    bins: int = 300
    resonances: tuple[str, ...] = tuple(RESONANCES)

    def __post_init__(self) -> None:
        _check_bins(self.bins, 1)
        if self.range and _check_range(self.range)[0] <= 0:
            message = f"range: got {list(self.range)}, expected one above 0: it is logarithmic"
            raise ValueError(message)
        for name in self.resonances:
            if name not in RESONANCES:
                message = f"resonances: unknown {name!r}; {nearest(name, RESONANCES)}"
                raise ValueError(message)

    def marks(self) -> dict[str, float]:
        """Label -> mass [GeV] of those that are named."""
        return {RESONANCES[n].label: mass(RESONANCES[n].pdg) for n in self.resonances}


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """A spectrum of one quantity and what is measured in it.

    Attributes:
        files: of events, names or patterns within the folder.
        quantity: expression, one number an event.
        where: cut on events; none: all.
        folder: that the files are in; `${NAME:-default}` is taken from the environment.
        tree: which tree, where files have several.
        format: of the files; recognised if none.
        title: of the report.
        label: of the quantity on figures.
        unit: of the quantity.
        experiment: label on figures, e.g. "CMS Open Data".
        collisions: luminosity and energy on figures, e.g. "8 TeV".
        overview: the whole spectrum; none: no such figure.
        fits: name -> fit.
        sidebands: name -> window to predict.
    """

    files: tuple[str, ...]
    quantity: str
    where: str = ""
    folder: str = "."
    tree: str | None = None
    format: str | None = None
    title: str = "Mass spectrum"
    label: str = "Mass"
    unit: str = "GeV"
    experiment: str = ""
    collisions: str = ""
    overview: Overview | None = None
    fits: Mapping[str, SpectrumFit] = field(default_factory=dict)
    sidebands: Mapping[str, Sidebands] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expressions.parse(self.quantity)
        if not (self.overview or self.fits or self.sidebands):
            message = "nothing to do: describe fits, sidebands or an overview"
            raise ValueError(message)
        seen: dict[str, str] = {}
        for name, each in self.fits.items():
            for peak in each.peaks:
                if peak in seen:
                    message = f"fits.{name}: peak {peak!r} is in {seen[peak]} already; rename it"
                    raise ValueError(message)
                seen[peak] = name

    @property
    def input(self) -> Input:
        """Files and cut."""
        return Input(files=self.files, where=self.where, tree=self.tree, format=self.format)

    @classmethod
    def read(cls, path: str | Path) -> Spectrum:
        """Read the YAML of a spectrum; unknown keys are answered with the nearest valid one.

        Raises:
            FileNotFoundError: no such file.
            ValueError: no YAML, or something in it that is wrong; says where.
        """
        try:
            found: Spectrum = build(cls, read_yaml(str(path)))
        except ValueError as error:
            message = f"{path}: {error}"
            raise ValueError(message) from None
        return found
