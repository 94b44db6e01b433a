"""All shapes by name, and the families of backgrounds among which an F-test chooses."""

from __future__ import annotations

import difflib

from fivesigma.statistics.spectra.backgrounds import (
    POWER_LAW,
    bernstein,
    chebyshev,
    dijet,
    exponential,
)
from fivesigma.statistics.spectra.peaks import (
    BREIT_WIGNER,
    BREIT_WIGNER_CRYSTAL_BALL,
    BREIT_WIGNER_GAUSSIAN,
    CRYSTAL_BALL,
    DOUBLE_CRYSTAL_BALL,
    DOUBLE_GAUSSIAN,
    GAUSSIAN,
    VOIGTIAN,
)
from fivesigma.statistics.spectra.shapes import Shape

__all__ = ["FAMILIES", "SHAPES", "family_named", "shape_named"]

SHAPES: dict[str, Shape] = {
    "gaussian": GAUSSIAN,
    "double-gaussian": DOUBLE_GAUSSIAN,
    "crystal-ball": CRYSTAL_BALL,
    "double-crystal-ball": DOUBLE_CRYSTAL_BALL,
    "breit-wigner": BREIT_WIGNER,
    "voigtian": VOIGTIAN,
    "breit-wigner-gaussian": BREIT_WIGNER_GAUSSIAN,
    "breit-wigner-crystal-ball": BREIT_WIGNER_CRYSTAL_BALL,
    "exponential": exponential(1),
    "exponential2": exponential(2),
    "exponential3": exponential(3),
    "bernstein1": bernstein(1),
    "bernstein2": bernstein(2),
    "bernstein3": bernstein(3),
    "bernstein4": bernstein(4),
    "bernstein5": bernstein(5),
    "bernstein6": bernstein(6),
    "chebyshev1": chebyshev(1),
    "chebyshev2": chebyshev(2),
    "chebyshev3": chebyshev(3),
    "chebyshev4": chebyshev(4),
    "chebyshev5": chebyshev(5),
    "chebyshev6": chebyshev(6),
    "dijet2": dijet(2),
    "dijet3": dijet(3),
    "dijet4": dijet(4),
    "dijet5": dijet(5),
    "power-law": POWER_LAW,
}
#: nested backgrounds, in rising order
FAMILIES: dict[str, tuple[str, ...]] = {
    "exponential": ("exponential", "exponential2", "exponential3"),
    "bernstein": tuple(f"bernstein{n}" for n in range(1, 7)),
    "chebyshev": tuple(f"chebyshev{n}" for n in range(1, 7)),
    "dijet": ("dijet2", "dijet3", "dijet4", "dijet5"),
}


def shape_named(name: str) -> Shape:
    """The shape of that name.

    Raises:
        ValueError: no such shape; says the closest ones.
    """
    if name not in SHAPES:
        raise _unknown("shape", name, tuple(SHAPES))
    return SHAPES[name]


def family_named(name: str) -> tuple[Shape, ...]:
    """The shapes of a family, in rising order.

    Raises:
        ValueError: no such family; says the closest ones.
    """
    if name not in FAMILIES:
        raise _unknown("family of backgrounds", name, tuple(FAMILIES))
    return tuple(SHAPES[each] for each in FAMILIES[name])


def _unknown(what: str, name: str, known: tuple[str, ...]) -> ValueError:
    close = difflib.get_close_matches(str(name), known, 3)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return ValueError(f"unknown {what} {name!r}; {hint}choose from {', '.join(known)}")
