"""How a nuisance parameter moves between the variations of one standard deviation.

The codes are those of HistFactory (CERN-OPEN-2012-016, section 4.1) in pyhf's numbering. Codes 1
and 4 multiply yields (`normsys`), codes 0, 2 and 4p add to them (`histosys`). Code `combine`
multiplies as the lnN of the CMS tool Combine does (arXiv:2404.06614): by kappa^x, and between
+-1/2 from one kappa to the other where up and down differ. Each function gives the value with its
first and second derivative, so that fits have an exact gradient and Hessian.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = [
    "ADDED_CODES",
    "FACTOR_CODES",
    "LINEAR",
    "N_COEFFICIENTS",
    "added_weights",
    "factor",
    "factor_coefficients",
    "kernel",
]

#: fits run in threads, and a division by 0 is answered by infinity, which no fit accepts
kernel = njit(cache=True, nogil=True, error_model="numpy")

#: kinds of factors: the parameter itself, code 1, code 4, that of Combine
LINEAR, CODE1, CODE4, COMBINE = 0, 1, 4, 6
#: kinds of added variations: code 0, code 2, code 4p
CODE0, CODE2, CODE4P = 0, 2, 5
FACTOR_CODES = {"1": CODE1, "4": CODE4, "combine": COMBINE}
ADDED_CODES = {"0": CODE0, "2": CODE2, "4p": CODE4P}
#: ln(up), ln(down) and the polynomial a1 ... a6 of code 4
N_COEFFICIENTS = 8


def factor_coefficients(up: float, down: float) -> np.ndarray:
    """The constants of codes 1 and 4 for factors above 0 at +1 and -1 standard deviation.

    The polynomial of code 4 meets the exponentials at +-1 with equal value, slope and curvature:
    six conditions for its six coefficients.

    Returns:
        (8,) ln(up), ln(down), a1 ... a6.
    """
    log_up, log_down = np.log(up), np.log(down)
    power = np.arange(1, 7)
    sign = (-1.0) ** power
    conditions = np.stack(
        [
            np.ones(6),
            sign,
            power,
            -power * sign,
            power * (power - 1),
            power * (power - 1) * sign,
        ]
    )
    values = [
        *(up - 1, down - 1),
        *(log_up * up, -log_down * down),
        *(log_up**2 * up, log_down**2 * down),
    ]
    return np.array([log_up, log_down, *np.linalg.solve(conditions, values)])


@kernel
def factor(kind: int, x: float, c: np.ndarray) -> tuple[float, float, float]:
    """Value, slope and curvature of a factor at x standard deviations.

    Args:
        kind: `LINEAR`, `CODE1`, `CODE4` or `COMBINE`.
        x: the parameter.
        c: (8,) of `factor_coefficients`.
    """
    if kind == LINEAR:
        return x, 1.0, 0.0
    if kind == CODE4 and -1.0 < x < 1.0:
        value, slope, curvature = 0.0, 0.0, 0.0
        for power in range(6, 0, -1):
            curvature = curvature * x + 2.0 * slope
            slope = slope * x + value
            value = value * x + c[power + 1]
        # Horner's scheme above leaves one factor x to the constant term 1
        return 1.0 + value * x, slope * x + value, curvature * x + 2.0 * slope
    if kind == COMBINE and -0.5 < x < 0.5:
        # ln of the factor is x (mean + half s(2x)), s a smooth step from -1 to 1
        mean, half, square = 0.5 * (c[0] - c[1]), 0.5 * (c[0] + c[1]), 4.0 * x * x
        step = 0.25 * x * (15.0 + square * (3.0 * square - 10.0))
        slope = 3.75 * (1.0 - square) ** 2
        curvature = -60.0 * x * (1.0 - square)
        value = np.exp(x * (mean + half * step))
        first = mean + half * (step + x * slope)
        second = half * (2.0 * slope + x * curvature)
        return value, first * value, (first * first + second) * value
    rate = c[0] if x >= 0.0 else -c[1]
    value = np.exp(rate * x)
    return value, rate * value, rate * rate * value


@kernel
def added_weights(kind: int, x: float) -> tuple[float, float, float, float, float, float]:
    """What is added is `u (up - nominal) + d (nominal - down)`: u, d, their slopes and curvatures.

    Code 2 beyond one standard deviation is as pyhf has it, which jumps there.

    Args:
        kind: `CODE0`, `CODE2` or `CODE4P`.
        x: the parameter.
    """
    if kind == CODE2:
        if x > 1.0:
            return 1.5 * (x - 1.0), -0.5 * (x - 1.0), 1.5, -0.5, 0.0, 0.0
        if x < -1.0:
            return -0.5 * x, 1.5 * x, -0.5, 1.5, 0.0, 0.0
        return 0.5 * x * (x + 1), 0.5 * x * (1 - x), x + 0.5, 0.5 - x, 1.0, -1.0
    if kind == CODE4P and -1.0 <= x <= 1.0:
        square = x * x
        even = square * (15.0 + square * (-10.0 + 3.0 * square)) / 16.0
        slope = x * (30.0 + square * (-40.0 + 18.0 * square)) / 16.0
        curvature = (30.0 + square * (-120.0 + 90.0 * square)) / 16.0
        return 0.5 * x + even, 0.5 * x - even, 0.5 + slope, 0.5 - slope, curvature, -curvature
    if x >= 0.0:
        return x, 0.0, 1.0, 0.0, 0.0, 0.0
    return 0.0, x, 0.0, 1.0, 0.0, 0.0
