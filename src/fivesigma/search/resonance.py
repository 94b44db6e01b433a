"""The HistFactory model of a resonance in the mass of pairs, tagged or not.

The errors of what the simulation does not tell, of the rates at which jets are tagged, and of the
simulated spectra are nuisance parameters of the fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fivesigma.search.doubletag import Process, Window, counted, smooth

__all__ = ["OTHER", "Uncertainties", "expected", "workspace"]

Array = NDArray[np.float64]

#: what bends the QCD spectrum, and the change of its logarithm at the upper end by one standard
#: deviation of each: so much that the data decide, so little that it is a change in proportion
_BENDS = {"qcd_slope": 1, "qcd_curvature": 2, "qcd_third_order": 3}
_FREEDOM = 0.3
#: function whose difference from the one that describes QCD is one standard deviation
OTHER = "dijet"
#: process -> what the rate of its tagged jets is called
_RATES = {"qcd": "mistag_rate", "ttbar": "top_tagging_rate", "signal": "signal_tagging_rate"}


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


def workspace(
    processes: Mapping[str, Process],
    window: Window,
    uncertainties: Uncertainties,
    data: Array | None = None,
) -> dict[str, Any]:
    """A HistFactory workspace of one spectrum, in pyhf's JSON form.

    Signal strength `mu` scales the signal. QCD's normalisation and the bends of its spectrum are
    left to the data; what another smooth function would change is one nuisance parameter. The jet
    energy scale and the statistical errors of all tagging rates bend the spectra of their
    processes.

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


def expected(
    processes: Mapping[str, Process], window: Window, function: str = "polynomial"
) -> Array:
    """(B,) events of all processes, backgrounds smoothed by one of `doubletag.FUNCTIONS`.

    Raises:
        ValueError: a process has no pairs in some bin and cannot be smoothed.
    """
    found = [_template(name, each, window, function=function) for name, each in processes.items()]
    return np.sum(found, axis=0)


def _template(
    name: str,
    process: Process,
    window: Window,
    scale: float = 1.0,
    rates: Array | None = None,
    function: str = "polynomial",
) -> Array:
    """(B,) the nominal or a varied template; those of backgrounds are smooth."""
    content, variance = counted(process, window, scale, rates)
    if name == "signal":
        return content
    return smooth(name, content, variance, window, function)[0]


def _modifiers(
    name: str, process: Process, nominal: Array, window: Window, unsure: Uncertainties
) -> list[dict[str, Any]]:
    """What changes a template."""
    sides = [_template(name, process, window, 1 + s * unsure.energy_scale) for s in (1, -1)]
    made = [_shape("jet_energy_scale", *sides), *_of_rates(name, process, window)]
    if name == "qcd":
        other = _template(name, process, window, function=OTHER)
        return made + _of_qcd(nominal, other, window)
    made.append(_factor("luminosity", unsure.luminosity))
    if process.rates is not None:
        made.append(_factor("tagging_efficiency", (1 + unsure.tagging) ** 2 - 1))
    content, variance = counted(process, window)
    if name == "signal":
        error = np.sqrt(variance).tolist()
        made.append({"name": "staterror_dijets", "type": "staterror", "data": error})
        return [{"name": "mu", "type": "normfactor", "data": None}, *made]
    made.append(_factor(f"{name}_cross_section", unsure.ttbar))
    moves = smooth(name, content, variance, window)[1]
    return made + [_bend(f"{name}_simulated_{i}", nominal, move) for i, move in enumerate(moves)]


def _shape(parameter: str, up: Array, down: Array) -> dict[str, Any]:
    sides = {"hi_data": up.tolist(), "lo_data": down.tolist()}
    return {"name": parameter, "type": "histosys", "data": sides}


def _bend(parameter: str, nominal: Array, move: Array) -> dict[str, Any]:
    """A change of the logarithm of a spectrum."""
    return _shape(parameter, nominal * np.exp(move), nominal * np.exp(-move))


def _factor(parameter: str, relative: float) -> dict[str, Any]:
    sides = {"hi": 1 + relative, "lo": 1 / (1 + relative)}
    return {"name": parameter, "type": "normsys", "data": sides}


def _of_qcd(nominal: Array, other: Array, window: Window) -> list[dict[str, Any]]:
    """What the data decide: normalisation and bends; and the choice of the smooth function."""
    moves = {parameter: _FREEDOM * window.coordinate**power for parameter, power in _BENDS.items()}
    moves["qcd_function"] = np.log(other / nominal)
    bends = [_bend(parameter, nominal, move) for parameter, move in moves.items()]
    return [{"name": "qcd_normalisation", "type": "normfactor", "data": None}, *bends]


def _of_rates(name: str, process: Process, window: Window) -> list[dict[str, Any]]:
    """One nuisance parameter for each bin of pT: the statistical error of the rate there."""
    rates = process.rates
    if rates is None:
        return []
    made = []
    for k, error in enumerate(rates.error):
        # a rate of few jets has a log-normal error: it stays positive
        step = np.exp(np.where(np.arange(len(rates.value)) == k, error / rates.value, 0.0))
        sides = [
            _template(name, process, window, rates=rates.value * factor)
            for factor in (step, 1 / step)
        ]
        made.append(_shape(f"{_RATES[name]}_{k}", *sides))
    return made
