"""A resonance in pairs of tagged jets: templates from tagging rates that are measured per jet.

A tight tagger lets so few background pairs through that counting them says nothing. Each pair is
therefore weighted with the rates at which its two jets are tagged,
$$w = r(p_{T,1})\\, r(p_{T,2}),$$
where r comes from all jets of its process; the statistical errors of the background's r are
nuisance parameters of the fit. This holds where the tags of the two jets are independent at
given pT.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Pairs",
    "Process",
    "Rates",
    "Uncertainties",
    "Window",
    "smoothing_chi2",
    "tagging_rates",
    "workspace",
]

Array = NDArray[np.float64]

#: order of the polynomial in ln m that smooths the logarithm of a background's spectrum
_ORDER = 3
#: what bends the QCD spectrum, and the change of its logarithm at the upper end by one standard
#: deviation of each: so much that the data decide, so little that it is a change in proportion
_BENDS = {"qcd_slope": 1, "qcd_curvature": 2, "qcd_third_order": 3}
_FREEDOM = 0.3


@dataclass(frozen=True)
class Window:
    """Which pairs are looked at.

    Attributes:
        edges: (B + 1,) bins of the pair's mass [GeV].
        pt_min: of both jets [GeV].
        deta_max: largest difference of pseudorapidities; QCD is forward, a resonance is not.
    """

    edges: tuple[float, ...] = tuple(np.arange(1100.0, 2001.0, 50.0).tolist())
    pt_min: float = 500.0
    deta_max: float = 1.3


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
class Uncertainties:
    """Relative one-sigma uncertainties of what no simulated sample tells.

    Attributes:
        luminosity: of signal and simulated backgrounds.
        ttbar: of the cross-section of top-quark pairs.
        tagging: of the efficiency for one top-quark jet; both jets of a pair move together.
        energy_scale: of the jets' momenta.
    """

    luminosity: float = 0.02
    ttbar: float = 0.06
    tagging: float = 0.05
    energy_scale: float = 0.01


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


def workspace(
    processes: Mapping[str, Process],
    window: Window,
    uncertainties: Uncertainties,
    data: Array | None = None,
) -> dict[str, Any]:
    """A HistFactory workspace of one spectrum, in pyhf's JSON form.

    Signal strength `mu` scales the signal. QCD's normalisation and the bends of its spectrum are
    left to the data; the errors of its mistag rates and of the jet energy scale bend it.

    Args:
        processes: `signal`, `ttbar` and `qcd`.
        window: which pairs are counted, in which bins.
        uncertainties: what the simulation does not tell.
        data: (B,) observed events; none: what is expected with the signal.

    Raises:
        ValueError: a process has no pairs in some bin and cannot be smoothed.
    """
    templates = {name: _template(name, each, window) for name, each in processes.items()}
    samples = [
        {
            "name": name,
            "data": templates[name].tolist(),
            "modifiers": _modifiers(name, processes[name], templates[name], window, uncertainties),
        }
        for name in processes
    ]
    seen = np.sum(list(templates.values()), axis=0) if data is None else np.asarray(data)
    parameters = [
        {"name": "mu", "bounds": [[0.0, 20.0]], "inits": [1.0]},
        {"name": "qcd_normalisation", "bounds": [[0.0, 5.0]], "inits": [1.0]},
    ]
    return {
        "channels": [{"name": "dijets", "samples": samples}],
        "observations": [{"name": "dijets", "data": seen.tolist()}],
        "measurements": [{"name": "search", "config": {"poi": "mu", "parameters": parameters}}],
        "version": "1.0.0",
    }


def smoothing_chi2(name: str, process: Process, window: Window) -> tuple[float, int]:
    """How well a background's smooth spectrum describes what was simulated.

    Returns:
        chi2 and its degrees of freedom; errors are sqrt(sum of squared weights).

    Raises:
        ValueError: a bin without pairs.
    """
    content, variance = _counted(process, window)
    smooth = _smooth(name, content, variance, window)[0]
    return float(np.sum((content - smooth) ** 2 / variance)), len(content) - _ORDER - 1


def _counted(
    process: Process, window: Window, scale: float = 1.0, rates: Array | None = None
) -> tuple[Array, Array]:
    """(B,) expected events and their variance, for jets whose momenta are scaled."""
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


def _template(
    name: str, process: Process, window: Window, scale: float = 1.0, rates: Array | None = None
) -> Array:
    """(B,) the nominal or a varied template; those of backgrounds are smooth."""
    content, variance = _counted(process, window, scale, rates)
    return content if name == "signal" else _smooth(name, content, variance, window)[0]


def _coordinate(window: Window) -> Array:
    """(B,) logarithm of the mass, 0 in the first bin and 1 in the last."""
    edges = np.asarray(window.edges)
    log = np.log((edges[1:] + edges[:-1]) / 2)
    return (log - log[0]) / (log[-1] - log[0])


def _smooth(
    name: str, content: Array, variance: Array, window: Window
) -> tuple[Array, list[Array]]:
    """A spectrum by exp(polynomial in ln m), and its independent one-sigma variations."""
    if (content <= 0).any():
        bins = np.flatnonzero(content <= 0)
        message = (
            f"{name} has no pairs between {window.edges[bins[0]]:g} and "
            f"{window.edges[bins[0] + 1]:g} GeV; generate more jets, or use wider bins"
        )
        raise ValueError(message)
    x = np.vander(_coordinate(window), _ORDER + 1, increasing=True)  # (B, 3)
    precision = content**2 / variance  # of the logarithm
    covariance = np.linalg.inv(x.T @ (precision[:, None] * x))
    coefficients = covariance @ (x.T @ (precision * np.log(content)))
    size, vectors = np.linalg.eigh(covariance)
    moves = (x @ vectors) * np.sqrt(size)  # (B, 3)
    return np.exp(x @ coefficients), [*moves.T]


def _modifiers(
    name: str, process: Process, nominal: Array, window: Window, unsure: Uncertainties
) -> list[dict[str, Any]]:
    """What changes a template."""

    def shape(parameter: str, up: Array, down: Array) -> dict[str, Any]:
        sides = {"hi_data": up.tolist(), "lo_data": down.tolist()}
        return {"name": parameter, "type": "histosys", "data": sides}

    def factor(parameter: str, relative: float) -> dict[str, Any]:
        sides = {"hi": 1 + relative, "lo": 1 / (1 + relative)}
        return {"name": parameter, "type": "normsys", "data": sides}

    sides = [_template(name, process, window, 1 + s * unsure.energy_scale) for s in (1, -1)]
    made = [shape("jet_energy_scale", *sides)]
    content, variance = _counted(process, window)
    if name == "qcd":
        u = _coordinate(window)
        made.append({"name": "qcd_normalisation", "type": "normfactor", "data": None})
        for parameter, power in _BENDS.items():
            move = _FREEDOM * u**power
            made.append(shape(parameter, nominal * np.exp(move), nominal * np.exp(-move)))
        return made + _of_rates(process, window, shape)
    made.append(factor("luminosity", unsure.luminosity))
    if process.rates is not None:
        made.append(factor("tagging_efficiency", (1 + unsure.tagging) ** 2 - 1))
    if name == "signal":
        error = np.sqrt(variance).tolist()
        made.append({"name": "staterror_dijets", "type": "staterror", "data": error})
        return [{"name": "mu", "type": "normfactor", "data": None}, *made]
    made.append(factor(f"{name}_cross_section", unsure.ttbar))
    for i, move in enumerate(_smooth(name, content, variance, window)[1]):
        made.append(
            shape(f"{name}_simulated_{i}", nominal * np.exp(move), nominal * np.exp(-move))
        )
    return made


def _of_rates(process: Process, window: Window, shape: Any) -> list[dict[str, Any]]:
    """One nuisance parameter for each bin of pT: the statistical error of the mistag rate."""
    rates = process.rates
    if rates is None:
        return []
    made = []
    for k, error in enumerate(rates.error):
        # a rate of few jets has a log-normal error: it stays positive
        step = np.exp(np.where(np.arange(len(rates.value)) == k, error / rates.value, 0.0))
        sides = [
            _template("qcd", process, window, rates=rates.value * factor)
            for factor in (step, 1 / step)
        ]
        made.append(shape(f"mistag_rate_{k}", *sides))
    return made
