"""A checked workspace into the flat arrays of the compiled likelihood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fivesigma.statistics.interpolation import (
    ADDED_CODES,
    FACTOR_CODES,
    LINEAR,
    N_COEFFICIENTS,
    factor_coefficients,
)
from fivesigma.statistics.kernels import Templates
from fivesigma.statistics.parameters import Parameters

__all__ = ["compile_templates"]


class _Lists:
    """The arrays of `Templates` while they grow."""

    def __init__(self) -> None:
        self.first_bin: list[int] = []
        self.nominal: list[float] = []
        self.factors: list[tuple[int, int, np.ndarray]] = []
        self.added: list[tuple[int, int, int]] = []
        self.up: list[float] = []
        self.down: list[float] = []
        self.gammas: list[int] = []
        self.ends: list[tuple[int, int, int, int]] = [(0, 0, 0, 0)]

    def end_template(self) -> None:
        lengths = (self.nominal, self.factors, self.added, self.gammas)
        self.ends.append(tuple(len(each) for each in lengths))  # type: ignore[arg-type]


def compile_templates(
    channels: Mapping[str, Mapping[str, Any]],
    parameters: Parameters,
    factor_code: str,
    added_code: str,
) -> Templates:
    """Flatten channels whose modifiers belong to these parameters.

    Args:
        channels: channel -> sample -> sample of the workspace, both sorted by name.
        parameters: of `parameters_of` for the same channels.
        factor_code: interpolation of normsys, "1" or "4".
        added_code: interpolation of histosys, "0", "2" or "4p".
    """
    lists, first = _Lists(), 0
    # a staterror shared by channels has its parameters channel after channel
    used: dict[str, int] = {}
    for samples in channels.values():
        n = len(next(iter(samples.values()))["data"])
        shared: dict[str, int] = {}
        for sample in samples.values():
            lists.first_bin.append(first)
            lists.nominal += sample["data"]
            for modifier in sample["modifiers"]:
                place = parameters.slices[modifier["name"]].start
                if modifier["type"] == "staterror":
                    place += used.get(modifier["name"], 0)
                    shared[modifier["name"]] = n
                _append(lists, modifier, place, sample["data"], factor_code, added_code)
            lists.end_template()
        for name, count in shared.items():
            used[name] = used.get(name, 0) + count
        first += n
    return _arrays(lists, parameters, first)


def _append(
    lists: _Lists,
    modifier: Mapping[str, Any],
    place: int,
    nominal: list[float],
    factor_code: str,
    added_code: str,
) -> None:
    kind, data = modifier["type"], modifier.get("data")
    if kind in ("normfactor", "lumi"):
        lists.factors.append((place, LINEAR, np.zeros(N_COEFFICIENTS)))
    elif kind == "normsys" and data is not None:
        constants = factor_coefficients(data["hi"], data["lo"])
        lists.factors.append((place, FACTOR_CODES[factor_code], constants))
    elif kind == "histosys" and data is not None:
        lists.added.append((place, ADDED_CODES[added_code], len(lists.up)))
        lists.up += np.subtract(data["hi_data"], nominal).tolist()
        lists.down += np.subtract(nominal, data["lo_data"]).tolist()
    else:  # shapefactor, shapesys, staterror: one parameter a bin
        lists.gammas.append(place)


def _arrays(lists: _Lists, parameters: Parameters, n_bins: int) -> Templates:
    ends = np.array(lists.ends, np.int64)
    added = np.array(lists.added, np.int64).reshape(-1, 3)
    return Templates(
        first_bin=np.array(lists.first_bin, np.int64),
        start=ends[:, 0].copy(),
        nominal=np.array(lists.nominal, float),
        factor_start=ends[:, 1].copy(),
        factor_parameter=np.array([each[0] for each in lists.factors], np.int64),
        factor_kind=np.array([each[1] for each in lists.factors], np.int64),
        factor_constants=np.array([each[2] for each in lists.factors], float).reshape(
            -1, N_COEFFICIENTS
        ),
        added_start=ends[:, 2].copy(),
        added_parameter=added[:, 0].copy(),
        added_kind=added[:, 1].copy(),
        added_bin=added[:, 2].copy(),
        up=np.array(lists.up, float),
        down=np.array(lists.down, float),
        gamma_start=ends[:, 3].copy(),
        gamma_parameter=np.array(lists.gammas, np.int64),
        aux_parameter=parameters.aux_parameter,
        aux_kind=parameters.constraint[parameters.aux_parameter],
        aux_scale=parameters.aux_scale,
        n_bins=n_bins,
    )
