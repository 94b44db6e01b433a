"""The usual network inputs of flat constituents, computed by compiled loops.

They are those of `features`, a formula each, which tests hold them to. Here one pass over the
constituents gives several of them, without copies of what belongs to the jets and without
Python's lock, so that threads do not wait for each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import njit

__all__ = ["derived"]

#: the bits of sqrt(1/2), and how many follow the exponent
_ROOT_HALF, _MANTISSA = np.int32(0x3F3504F3), np.int32(23)
#: normal numbers
_LEAST, _MOST = np.finfo(np.float32).smallest_normal, np.finfo(np.float32).max
#: log 2 in two parts, the first of few bits; atanh(z) / z in powers of z^2, without the first
_LOG_2 = (np.float32(0.693359375), np.float32(math.log(2) - 0.693359375))
_SERIES = tuple(np.float32(1 / k) for k in (9, 7, 5, 3))
#: what `derived` gives, in the order of the rows that the loops fill
_NAMES = ("energy", "deta", "dphi", "dr", "log_pt", "log_energy", "log_pt_rel", "log_energy_rel")


def derived(
    constituents: Mapping[str, np.ndarray], jets: Mapping[str, np.ndarray], counts: np.ndarray
) -> dict[str, np.ndarray]:
    """What `features.derive` adds to constituents, and logarithms of pT and energy.

    Args:
        constituents: (T,) float32 `pt eta phi mass` [GeV, rad], jet after jet.
        jets: (N,) float32 `pt eta phi energy`.
        counts: (N,) constituents of each jet.

    Returns:
        (T,) float32 by name: energy [GeV], deta, dphi, dr, log_pt, log_energy, log_pt_rel and
        log_energy_rel.
    """
    table = np.empty((len(_NAMES), len(constituents["pt"])), np.float32)
    made = dict(zip(_NAMES, table, strict=True))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        grown = np.exp(constituents["eta"], out=made["dr"])  # NumPy's is fast, unlike its cosh
        _energy(constituents["pt"], grown, constituents["mass"], made["energy"])
        _log(constituents["pt"], made["log_pt"])
        _log(made["energy"], made["log_energy"])
        of_jets = (jets["eta"], jets["phi"], np.log(jets["pt"]), np.log(jets["energy"]))
    _from_jets(
        *(constituents["eta"], constituents["phi"], made["log_pt"], made["log_energy"]),
        *of_jets,
        counts,
        *(made[name] for name in ("deta", "dphi", "dr", "log_pt_rel", "log_energy_rel")),
    )
    return made


def _log(values: np.ndarray, out: np.ndarray) -> None:
    """Natural logarithms of float32, to 3e-7 of 1; a third of the time that NumPy's take."""
    part, power = np.empty_like(values), np.empty(len(values), np.int32)
    values = np.ascontiguousarray(values)
    _compiled_log(values, values.view(np.int32), part, part.view(np.int32), power, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _compiled_log(
    values: np.ndarray, bits: np.ndarray, part: np.ndarray, part_bits: np.ndarray,
    power: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """Values are 2^power times a part, 0.7 < part < 1.42; `bits` are those of others."""
    for i in range(len(bits)):
        power[i] = np.int32((bits[i] - _ROOT_HALF) >> _MANTISSA)
        part_bits[i] = np.int32(bits[i] - np.int32(power[i] << _MANTISSA))
    one, two = np.float32(1), np.float32(2)
    for i in range(len(out)):
        small = (part[i] - one) / (part[i] + one)
        square, doubled, n = small * small, two * small, np.float32(power[i])
        series = ((_SERIES[0] * square + _SERIES[1]) * square + _SERIES[2]) * square + _SERIES[3]
        out[i] = n * _LOG_2[0] + (doubled + (doubled * square * series + n * _LOG_2[1]))
    odd = 0
    for i in range(len(out)):
        odd += (values[i] < _LEAST) | (values[i] - values[i] != 0)
    if odd:  # 0, negative, tiny, infinite, no number
        for i in range(len(out)):
            if not _LEAST <= values[i] <= _MOST:
                out[i] = np.log(values[i])


@njit(cache=True, nogil=True, error_model="numpy")
def _energy(pt: np.ndarray, grown: np.ndarray, mass: np.ndarray, out: np.ndarray) -> None:
    """From exp(eta) in the place of eta."""
    for i in range(len(pt)):
        p = np.float32(0.5) * pt[i] * (grown[i] + np.float32(1) / grown[i])
        out[i] = math.sqrt(p * p + mass[i] * mass[i])


@njit(cache=True, nogil=True)
def _difference(values: np.ndarray, one: Any, sign: Any, out: np.ndarray) -> None:
    for i in range(len(values)):  # of two arrays only: becomes vector instructions
        out[i] = (values[i] - one) * sign


@njit(cache=True, nogil=True, error_model="numpy")
def _from_jets(
    eta: np.ndarray, phi: np.ndarray, log_pt: np.ndarray, log_energy: np.ndarray,
    jet_eta: np.ndarray, jet_phi: np.ndarray, jet_log_pt: np.ndarray, jet_log_energy: np.ndarray,
    counts: np.ndarray, deta: np.ndarray, dphi: np.ndarray, dr: np.ndarray,
    log_pt_rel: np.ndarray, log_energy_rel: np.ndarray,
) -> None:  # fmt: skip
    begin = 0
    for jet in range(len(counts)):
        own = slice(begin, begin + counts[jet])
        side = np.float32(-1 if jet_eta[jet] < 0 else 1)
        _difference(eta[own], jet_eta[jet], side, deta[own])
        _difference(phi[own], jet_phi[jet], np.float32(1), dphi[own])
        _difference(log_pt[own], jet_log_pt[jet], np.float32(1), log_pt_rel[own])
        _difference(log_energy[own], jet_log_energy[jet], np.float32(1), log_energy_rel[own])
        begin += counts[jet]
    turn = np.float32(2 * math.pi)
    for i in range(len(dr)):
        dphi[i] -= turn * np.floor(dphi[i] / turn + np.float32(0.5))
        dr[i] = math.sqrt(deta[i] * deta[i] + dphi[i] * dphi[i])
