"""Pairs of tagged jets: tagging rates that are measured per jet, and spectra of the pairs' mass.

A tight tagger lets so few background pairs through that counting them says nothing. Each pair is
therefore weighted with the rates at which its two jets are tagged,
$$w = r(p_{T,1})\\, r(p_{T,2}),$$
where r comes from all jets of its process. This holds where the tags of the two jets are
independent at given pT.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FUNCTIONS",
    "Pairs",
    "Process",
    "Rates",
    "Window",
    "counted",
    "smooth",
    "smoothing_chi2",
    "tagging_rates",
]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Window:
    """Which pairs are looked at.

    Attributes:
        edges: (B + 1,) bins of the pair's mass [GeV].
        pt_min: of both jets [GeV].
        deta_max: largest difference of pseudorapidities; QCD is forward, a resonance is not.
        energy: of the collisions [GeV].
    """

    edges: tuple[float, ...] = tuple(np.arange(1100.0, 2001.0, 50.0).tolist())
    pt_min: float = 500.0
    deta_max: float = 1.3
    energy: float = 14_000.0

    @property
    def coordinate(self) -> Array:
        """(B,) logarithm of the mass, 0 in the first bin and 1 in the last."""
        log = np.log(self.centres)
        return (log - log[0]) / (log[-1] - log[0])

    @property
    def centres(self) -> Array:
        """(B,) masses in the middle of the bins [GeV]."""
        edges = np.asarray(self.edges)
        return (edges[1:] + edges[:-1]) / 2


@dataclass(frozen=True)
class Pairs:
    """The two leading jets of N events of one process.

    Attributes:
        mass: (N,) of the pair [GeV].
        pt: (N, 2) [GeV].
        deta: (N,) difference of pseudorapidities.
        tagged: (N, 2) whether a jet passes the tagger.
        weight: events that one pair stands for, at the luminosity of the search.
    """

    mass: Array
    pt: Array
    deta: Array
    tagged: NDArray[np.bool_]
    weight: float


@dataclass(frozen=True)
class Rates:
    """How often a process's jets are tagged.

    Attributes:
        edges: (K - 1,) inner edges of bins of pT [GeV].
        value: (K,) tagged share.
        error: (K,) its statistical error.
        tagged: number of tagged jets in all bins.
    """

    edges: Array
    value: Array
    error: Array
    tagged: int

    def weights(self, pt: Array, value: Array | None = None) -> Array:
        """(N,) products of the rates of both jets of pairs (N, 2)."""
        chosen = self.value if value is None else value
        return chosen[np.searchsorted(self.edges, pt, side="right")].prod(axis=1)


@dataclass(frozen=True)
class Process:
    """A process and the rates of its jets; no rates: nothing is tagged."""

    pairs: Pairs
    rates: Rates | None = None


def tagging_rates(pt: Array, tagged: NDArray[np.bool_], edges: Array) -> Rates:
    """Shares of tagged jets in bins of pT, by the mean and width of Jeffreys' posterior.

    Args:
        pt: (J,) of all jets [GeV].
        tagged: (J,).
        edges: (K - 1,) inner edges of the bins [GeV].

    Raises:
        ValueError: a bin without jets.
    """
    number = np.searchsorted(edges, pt, side="right")
    total = np.bincount(number, minlength=len(edges) + 1)
    if not total.all():
        message = (
            f"no jet in bin {int(np.argmin(total))} of pT, inner edges {edges}; use wider ones"
        )
        raise ValueError(message)
    passing = np.bincount(number, weights=tagged, minlength=len(edges) + 1)
    value = (passing + 0.5) / (total + 1)
    error = np.sqrt(value * (1 - value) / (total + 2))
    return Rates(np.asarray(edges, np.float64), value, error, int(tagged.sum()))


def counted(
    process: Process, window: Window, scale: float = 1.0, rates: Array | None = None
) -> tuple[Array, Array]:
    """The spectrum as simulated.

    Args:
        process: its pairs and rates.
        window: which pairs are counted, in which bins.
        scale: of the jets' momenta.
        rates: (K,) instead of the measured ones.

    Returns:
        (B,) expected events and (B,) their variance.
    """
    pairs = process.pairs
    taken = (pairs.pt.min(axis=1) * scale > window.pt_min) & (pairs.deta < window.deta_max)
    weight = np.full(len(pairs.mass), pairs.weight)
    if process.rates is not None:
        weight = weight * process.rates.weights(pairs.pt, rates)
    mass, weight = pairs.mass[taken] * scale, weight[taken]
    content, variance = (
        np.histogram(mass, window.edges, weights=weight**power)[0] for power in (1, 2)
    )
    return content, variance


def _polynomial(window: Window) -> Array:
    """(B, 4) powers of ln m."""
    return np.vander(window.coordinate, 4, increasing=True)


def _dijet(window: Window) -> Array:
    """(B, 4) terms of the logarithm of p0 (1 - x)^p1 x^(p2 + p3 ln x), x = m / energy.

    The function of searches in dijets (CMS, arXiv:1911.03947, section 5).
    """
    x = window.centres / window.energy
    return np.stack([np.ones_like(x), np.log1p(-x), np.log(x), np.log(x) ** 2], 1)


#: name -> terms (B, 4) whose sum is the logarithm of a background's spectrum
FUNCTIONS = {"polynomial": _polynomial, "dijet": _dijet}


def smooth(
    name: str, content: Array, variance: Array, window: Window, function: str = "polynomial"
) -> tuple[Array, list[Array]]:
    """A simulated spectrum, described by a function of few parameters.

    Args:
        name: of the process, for messages.
        content: (B,) expected events.
        variance: (B,) of them.
        window: the bins.
        function: a name in `FUNCTIONS`.

    Returns:
        (B,) the smooth spectrum, and its independent one-sigma variations: (B,) each, changes of
        the logarithm.

    Raises:
        ValueError: a bin without pairs.
    """
    if (content <= 0).any():
        bins = np.flatnonzero(content <= 0)
        message = (
            f"{name} has no pairs between {window.edges[bins[0]]:g} and "
            f"{window.edges[bins[0] + 1]:g} GeV; generate more jets, or use wider bins"
        )
        raise ValueError(message)
    terms = FUNCTIONS[function](window)
    precision = content / np.sqrt(variance)  # of the logarithm, one over its error
    # the columns of q are the parameters' independent combinations, of variance 1 each
    q = np.linalg.qr(precision[:, None] * terms)[0]
    found = q @ (q.T @ (precision * np.log(content)))
    return np.exp(found / precision), [*(q / precision[:, None]).T]


def smoothing_chi2(name: str, process: Process, window: Window) -> tuple[float, int]:
    """How well a background's smooth spectrum describes what was simulated.

    Returns:
        chi2 and its degrees of freedom; errors are sqrt(sum of squared weights).

    Raises:
        ValueError: a bin without pairs.
    """
    content, variance = counted(process, window)
    found, moves = smooth(name, content, variance, window)
    return float(np.sum((content - found) ** 2 / variance)), len(content) - len(moves)
