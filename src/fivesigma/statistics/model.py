"""A HistFactory model: expected events, data, and the likelihood of both, for many points at once.

The model of CERN-OPEN-2012-016 in the JSON of pyhf (doi:10.21105/joss.02823). Names, order, ranges
and constraint terms of the parameters, and the order of the data, are those of pyhf.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, xlogy

from fivesigma.statistics.checks import check_workspace, closest
from fivesigma.statistics.compilation import compile_templates
from fivesigma.statistics.interpolation import ADDED_CODES, FACTOR_CODES, kernel
from fivesigma.statistics.kernels import (
    GAUSSIAN,
    Templates,
    deviance,
    evaluate,
    jacobian,
    rates,
)
from fivesigma.statistics.parameters import Parameters, parameters_of

__all__ = ["Model", "build"]


@dataclass(frozen=True, eq=False)
class Model:
    """A compiled model with its observed data.

    Shapes: B parameter points of P parameters, D bins, A auxiliary measurements, N = D + A.

    Attributes:
        channels: name -> its bins among the D.
        samples: (T,) channel and sample of each template.
        parameters: names, ranges and constraint terms.
        poi: index of the parameter of interest.
        data: (N,) observed bins and auxiliary data.
        templates: the compiled form.
        workspace: what it was built from.
        note: what it leaves out of that.
    """

    channels: Mapping[str, slice]
    samples: tuple[tuple[str, str], ...]
    parameters: Parameters
    poi: int
    data: np.ndarray
    templates: Templates
    workspace: Mapping[str, Any]
    note: str = ""

    @property
    def poi_name(self) -> str:
        """Name of the parameter of interest."""
        return self.parameters.names[self.poi]

    @property
    def n_bins(self) -> int:
        """D, all channels together."""
        return self.templates.n_bins

    def index(self, name: str) -> slice:
        """The place of a parameter, or of a set such as all `gamma[...]`.

        Raises:
            ValueError: no such parameter.
        """
        if name in self.parameters.slices:
            return self.parameters.slices[name]
        if name in self.parameters.names:
            at = self.parameters.names.index(name)
            return slice(at, at + 1)
        known = dict.fromkeys([*self.parameters.slices, *self.parameters.names])
        raise ValueError(closest("parameter", name, list(known)))

    def by_sample(self, theta: ArrayLike) -> np.ndarray:
        """Expected events of each template, (B, sum of bins), at (B, P) parameters."""
        return _rates(self.templates, self._points(theta))

    def expected(self, theta: ArrayLike) -> np.ndarray:
        """Expected events in the D bins, (B, D), at (B, P) parameters."""
        each = self.by_sample(theta)
        total = np.zeros((len(each), self.n_bins))
        m = self.templates
        for t, first in enumerate(m.first_bin):
            begin, end = m.start[t], m.start[t + 1]
            total[:, first : first + end - begin] += each[:, begin:end]
        return total

    def expected_data(self, theta: ArrayLike) -> np.ndarray:
        """Expected main and auxiliary data, (B, N), at (B, P) parameters."""
        points = self._points(theta)
        return np.concatenate([self.expected(points), self._expected_aux(points)], axis=1)

    def slopes(self, theta: ArrayLike) -> np.ndarray:
        """Derivatives of the expected events, (D, P), at (P,) parameters."""
        return jacobian(self.templates, self._points(theta)[0])[1]

    def twice_nll(self, theta: ArrayLike, data: ArrayLike | None = None) -> np.ndarray:
        """-2 ln L, (B,), at (B, P) parameters for (B, N) or (N,) data; default: what was observed.

        Includes all constants, as pyhf's `-2 * logpdf`. Infinite where data cannot come from
        the expectation.
        """
        points, measured = self._points(theta), self.checked_data(data)
        points, measured = _broadcast(points, measured)
        return 2 * _deviances(self.templates, points, measured) + self.saturated(measured)

    def saturated(self, data: ArrayLike | None = None) -> np.ndarray:
        """-2 ln L, (B,), if every expectation met its measurement: the lowest that can be."""
        measured = self.checked_data(data)
        counts = np.concatenate([np.ones(self.n_bins, bool), ~self._gaussian], axis=0)
        n = measured[:, counts]
        terms = 2 * (n - xlogy(n, n) + gammaln(n + 1)).sum(axis=1)
        widths = self.parameters.aux_scale[self._gaussian]
        return terms + 2 * np.log(widths * np.sqrt(2 * np.pi)).sum()

    def gradient(self, theta: ArrayLike, data: ArrayLike | None = None) -> np.ndarray:
        """Derivatives of -2 ln L, (B, P), at (B, P) parameters."""
        return 2 * self._derivatives(theta, data, False)[0]

    def hessian(
        self, theta: ArrayLike, data: ArrayLike | None = None, *, expected: bool = False
    ) -> np.ndarray:
        """Second derivatives of -2 ln L, (B, P, P): exact ones, or those expected (Fisher)."""
        return 2 * self._derivatives(theta, data, expected)[1]

    def asimov(self, mu: float, theta: ArrayLike | None = None) -> np.ndarray:
        """The data set (N,) that equals its expectation.

        Args:
            mu: value of the parameter of interest.
            theta: (P,) other parameters; default: their initial values, which no data have
                touched.
        """
        point = np.array(self.parameters.init if theta is None else theta, float)
        point[self.poi] = mu
        return self.expected_data(point)[0]

    def sample(self, theta: ArrayLike, n: int, rng: np.random.Generator) -> np.ndarray:
        """n pseudo-experiments, (n, N): Poisson counts, and auxiliary measurements drawn anew."""
        point = self._points(theta)
        data = np.empty((n, self.data.size))
        data[:, : self.n_bins] = rng.poisson(self.expected(point)[0], (n, self.n_bins))
        centre = self._expected_aux(point)[0]
        aux, gaussian = data[:, self.n_bins :], self._gaussian
        width = self.parameters.aux_scale[gaussian]
        aux[:, gaussian] = rng.normal(centre[gaussian], width, (n, width.size))
        aux[:, ~gaussian] = rng.poisson(centre[~gaussian], (n, np.sum(~gaussian)))
        return data

    @property
    def _gaussian(self) -> np.ndarray:
        return self.templates.aux_kind == GAUSSIAN

    def _expected_aux(self, points: np.ndarray) -> np.ndarray:
        centre = points[:, self.parameters.aux_parameter]
        return np.where(self._gaussian, centre, centre * self.parameters.aux_scale)

    def _derivatives(
        self, theta: ArrayLike, data: ArrayLike | None, expected: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        points, measured = _broadcast(self._points(theta), self.checked_data(data))
        found = [
            evaluate(self.templates, p, d, expected) for p, d in zip(points, measured, strict=True)
        ]
        return np.stack([each[1] for each in found]), np.stack([each[2] for each in found])

    def _points(self, theta: ArrayLike) -> np.ndarray:
        return _rows(theta, len(self.parameters), "parameters")

    def checked_data(self, data: ArrayLike | None = None) -> np.ndarray:
        """Data as rows (B, N); default: what was observed.

        Raises:
            ValueError: rows of another length.
        """
        return _rows(self.data if data is None else data, self.data.size, "data")


def _rows(values: ArrayLike, width: int, what: str) -> np.ndarray:
    rows = np.ascontiguousarray(np.atleast_2d(np.asarray(values, np.float64)))
    if rows.ndim != 2 or rows.shape[1] != width:
        message = f"{what} of shape {np.shape(values)}; this model has {width}: give (B, {width})"
        raise ValueError(message)
    return rows


def _broadcast(points: np.ndarray, data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n = max(len(points), len(data))
    return (
        np.ascontiguousarray(np.broadcast_to(points, (n, points.shape[1]))),
        np.ascontiguousarray(np.broadcast_to(data, (n, data.shape[1]))),
    )


@kernel
def _rates(m: Templates, points: np.ndarray) -> np.ndarray:
    found = np.empty((points.shape[0], m.nominal.size))
    for i in range(points.shape[0]):
        one = rates(m, points[i])
        for k in range(one.size):
            found[i, k] = one[k]
    return found


@kernel
def _deviances(m: Templates, points: np.ndarray, data: np.ndarray) -> np.ndarray:
    found = np.empty(points.shape[0])
    for i in range(points.shape[0]):
        found[i] = deviance(m, points[i], data[i])
    return found


def build(
    workspace: Mapping[str, Any],
    measurement: str = "",
    poi: str = "",
    *,
    normsys_code: str = "4",
    histosys_code: str = "4p",
) -> Model:
    """Compile a workspace.

    Args:
        workspace: pyhf's JSON as a dictionary.
        measurement: name of a measurement; default: the first.
        poi: parameter of interest; default: that of the measurement.
        normsys_code: "1", "4" or "combine".
        histosys_code: "0", "2" or "4p".

    Raises:
        ValueError: what is wrong with the workspace, and where; an unknown measurement, parameter
            or code.
    """
    for code, known in ((normsys_code, FACTOR_CODES), (histosys_code, ADDED_CODES)):
        if code not in known:
            message = f"interpolation code {code!r} is not one of {', '.join(known)}"
            raise ValueError(message)
    check_workspace(workspace)
    chosen = _measurement(workspace, measurement)
    channels = {
        channel["name"]: {s["name"]: s for s in sorted(channel["samples"], key=_name)}
        for channel in sorted(workspace["channels"], key=_name)
    }
    parameters = parameters_of(channels, chosen["config"].get("parameters", []))
    templates = compile_templates(channels, parameters, normsys_code, histosys_code)
    slices, begin = {}, 0
    for name, samples in channels.items():
        end = begin + len(next(iter(samples.values()))["data"])
        slices[name], begin = slice(begin, end), end
    observed = {each["name"]: each["data"] for each in workspace["observations"]}
    main = [count for name in channels for count in observed[name]]
    return Model(
        channels=slices,
        samples=tuple((channel, name) for channel, each in channels.items() for name in each),
        parameters=parameters,
        poi=_poi(parameters, poi or chosen["config"]["poi"]),
        data=np.array([*main, *parameters.aux], np.float64),
        templates=templates,
        workspace=workspace,
    )


def _name(entry: Mapping[str, Any]) -> str:
    return entry["name"]


def _measurement(workspace: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    every = {each["name"]: each for each in workspace["measurements"]}
    if name and name not in every:
        raise ValueError(closest("measurement", name, list(every)))
    return every[name or next(iter(every))]


def _poi(parameters: Parameters, name: str) -> int:
    if name not in parameters.names:
        scalar = [n for n in parameters.slices if n in parameters.names]
        raise ValueError(closest("parameter of interest", name, scalar))
    return parameters.names.index(name)
