"""How the functions of compiled loops are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

__all__ = ["kernel"]

#: Decorator of functions that make no arrays: without numba's counting of references. A function
#: that is given a tuple of arrays would count one to each of them at every call, atomically, which
#: takes longer than the few operations that such a function is for.
kernel: Callable[..., Any] = njit(cache=True, _nrt=False)  # type: ignore[call-overload]
