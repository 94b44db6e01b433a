"""Mass sculpting: how far a cut on the score bends the background's jet mass."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fivesigma.metrics.counting import binary_inputs
from fivesigma.metrics.curves import roc
from fivesigma.results import Number

__all__ = ["jensen_shannon_distance", "mass_sculpting"]


def jensen_shannon_distance(p: ArrayLike, q: ArrayLike) -> NDArray[np.float64]:
    """Jensen-Shannon distance of two histograms in base 2: 0 for equal shapes, 1 for no overlap.

    It is the square root of the divergence, [KL(p | m) + KL(q | m)] / 2 with m = (p + q) / 2 (Lin,
    IEEE TIT 37 (1991) 145), so what the literature calls 1/JSD is one over its square.

    Args:
        p: (..., K) contents >= 0, normalised here.
        q: (..., K) contents >= 0, normalised here.

    Returns:
        (...) distances.

    Raises:
        ValueError: negative or empty histograms.
    """
    first, second = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    for histogram in (first, second):
        if (histogram < 0).any() or not (histogram.sum(axis=-1) > 0).all():
            message = "histograms must have contents >= 0 and at least one above 0"
            raise ValueError(message)
    first = first / first.sum(axis=-1, keepdims=True)
    second = second / second.sum(axis=-1, keepdims=True)
    middle = (first + second) / 2
    divergence = np.zeros(np.broadcast_shapes(first.shape[:-1], second.shape[:-1]))
    for histogram in (first, second):
        ratio = np.divide(histogram, middle, out=np.ones_like(middle), where=histogram > 0)
        divergence = divergence + (histogram * np.log2(ratio)).sum(axis=-1) / 2
    return np.sqrt(np.clip(divergence, 0.0, 1.0))


def _bin_index(mass: NDArray[np.float64], weight: NDArray[np.float64], bins: ArrayLike) -> NDArray:
    """Bin of each jet: given edges with under- and overflow, or bins of equal population."""
    edges = np.asarray(bins, dtype=np.float64)
    if edges.ndim == 0:
        order = np.argsort(mass, kind="stable")
        shares = np.cumsum(weight[order]) / weight.sum()
        inner = np.searchsorted(shares, np.arange(1, int(edges)) / int(edges))
        edges = np.unique(mass[order][np.minimum(inner, mass.size - 1)])
    return np.searchsorted(edges, mass, side="right")


def _cells(
    index: NDArray[np.intp], passing: NDArray[np.bool_], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(2, K) sums of weights of the jets that fail and that pass, per mass bin."""
    size = int(index.max()) + 1
    flat = np.bincount(passing * size + index, weight, 2 * size)
    return flat.astype(np.float64).reshape(2, size)


def _distances(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance between all jets and those that pass, (..., 2, K) -> (...); no jet passes: 1."""
    passing, everything = cells[..., 1, :], cells.sum(axis=-2)
    kept = passing.sum(axis=-1) > 0
    distances = np.ones(cells.shape[:-2])
    distances[kept] = jensen_shannon_distance(everything[kept], passing[kept])
    return distances


def mass_sculpting(
    y: ArrayLike,
    score: ArrayLike,
    mass: ArrayLike,
    efficiency: float = 0.5,
    weight: ArrayLike | None = None,
    bins: ArrayLike = 20,
    replicas: int = 500,
    seed: int = 0,
) -> Number:
    """Jensen-Shannon distance (base 2) of the background mass before and after the cut.

    The mass is binned so that every bin holds the same part of the background before the cut. The
    uncertainty is the spread over Poisson bootstrap replicas of the background jets at a fixed
    cut; weighted bins fluctuate like their effective number of jets. A cut that knows nothing of
    the mass does not give 0 either: the note states the mean of random cuts that keep as many
    jets.

    Args:
        y: (N,) 1 for signal, 0 for background.
        score: (N,) higher means more signal-like.
        mass: (N,) jet mass [GeV], or any quantity that should not be sculpted.
        efficiency: signal efficiency of the cut.
        weight: (N,) weights >= 0, or None.
        bins: number of bins of equal population, or their edges [GeV].
        replicas: number of bootstrap replicas.
        seed: of the bootstrap.

    Raises:
        ValueError: bad inputs, or no background jet survives.
    """
    signal, scores, weights = binary_inputs(y, score, weight)
    masses = np.asarray(mass, dtype=np.float64)
    if masses.shape != scores.shape or not np.isfinite(masses).all():
        message = (
            f"mass of shape {masses.shape} for {scores.size} jets; give one finite mass per jet"
        )
        raise ValueError(message)
    passing = (scores >= roc(y, score, weight).threshold_at(efficiency))[~signal]
    own = weights[~signal]
    if not own[passing].sum() > 0:
        message = f"no background jet survives at signal efficiency {efficiency:g}: no mass shape"
        raise ValueError(message)
    index = _bin_index(masses[~signal], own, bins)
    cells, squares = _cells(index, passing, own), _cells(index, passing, own**2)
    rng = np.random.default_rng(seed)
    # a bin of weights w fluctuates like scale * Poisson(n), n = (sum w)^2 / sum w^2
    scale = np.divide(squares, cells, out=np.ones_like(cells), where=cells > 0)
    spread = _distances(scale * rng.poisson(cells / scale, (replicas, *cells.shape)))
    numbers = np.rint(cells.sum(0) ** 2 / np.maximum(squares.sum(0), 1e-300)).astype(np.int64)
    kept = rng.binomial(numbers, own[passing].sum() / own.sum(), (replicas, numbers.size))
    weight_each = cells.sum(0) / np.maximum(numbers, 1)
    chance = _distances(np.stack([numbers - kept, kept], axis=1) * weight_each)
    note = f"a cut that ignores the mass would show {chance.mean():.2g}"
    return Number(float(_distances(cells)), float(spread.std()), note=note)
