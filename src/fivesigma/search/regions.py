"""Regions of an analysis: which events are looked at together, and in which bins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from fivesigma import expressions

__all__ = ["Binning", "Region"]


@dataclass(frozen=True, kw_only=True)
class Binning:
    """Bins of the discriminant.

    Attributes:
        edges: of the bins; or
        bins: so many of equal width in `range`, with method "given"; else the number of bins
            ("equal-signal"), or the most that there may be ("significance").
        range: lower and upper end.
        method: "equal-signal": the same expected signal in each bin; "significance": chosen for
            the largest expected significance, with the statistics of the simulation and the
            analysis' own systematics of the background in each bin. Both look at one half of the
            simulated events, and only the other half makes the templates.
        background_uncertainty: relative, of the background in each bin, besides these, for
            "significance".
        least_background: expected background events that a bin must have, for "significance";
            their statistical error is below 30 % in any case.
        fine: number of bins from which the edges are chosen.
        overflow: whether events outside count in the first and last bin; else they are left out.
    """

    edges: tuple[float, ...] = ()
    bins: int = 0
    range: tuple[float, ...] = ()
    method: Literal["given", "equal-signal", "significance"] = "given"
    background_uncertainty: float = 0.0
    least_background: float = 1.0
    fine: int = 200
    overflow: bool = False

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.edges, self.edges[1:], strict=False))
        if self.edges and (len(self.edges) < 2 or not rising or self.bins or self.range):
            message = (
                f"edges: got {list(self.edges)}, expected rising numbers, and no bins or range"
            )
            raise ValueError(message)
        if self.edges and self.method != "given":
            message = f"method {self.method!r} chooses the edges; give bins and range instead"
            raise ValueError(message)
        if bool(self.bins) != bool(self.range) or self.bins < 0:
            message = f"bins {self.bins}, range {list(self.range)}: give both, e.g. bins: 20"
            raise ValueError(message)
        if self.range and (len(self.range) != 2 or not self.range[0] < self.range[1]):
            message = f"range: got {list(self.range)}, expected a lower and an upper end"
            raise ValueError(message)

        if self.chosen and self.fine < max(self.bins, 1):
            message = f"fine: got {self.fine}, expected at least the {self.bins} bins"
            raise ValueError(message)

    @property
    def given(self) -> bool:
        """Whether anything is said."""
        return bool(self.edges or self.bins)

    @property
    def chosen(self) -> bool:
        """Whether the edges are chosen from half of the events."""
        return self.method != "given"


@dataclass(frozen=True, kw_only=True)
class Region:
    """Events that are looked at together.

    Attributes:
        kind: "signal" (its data stay closed until unblinded), "control" (in the fit), or
            "validation" (drawn, not fitted).
        selection: cut on events after the common selection; none: all.
        discriminant: expression; the analysis' if none.
        binning: the analysis' if none.
        histogram: names of histograms in the files, which are added, where there are no events.
        label: on figures; its name if none.
        axis: label of the discriminant; the analysis' if none.
    """

    kind: Literal["signal", "control", "validation"] = "signal"
    selection: str = ""
    discriminant: str = ""
    binning: Binning = field(default_factory=Binning)
    histogram: tuple[str, ...] = ()
    label: str = ""
    axis: str = ""

    def __post_init__(self) -> None:
        for text in (self.selection, self.discriminant):
            if text:
                expressions.parse(text)
