"""What systematics do to templates in the model, once what is too small is left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fivesigma.search.measurement import Pruning
from fivesigma.search.selected import contents
from fivesigma.search.shapes import Shape, prune, shape_of
from fivesigma.search.systematics import ShapeSystematic
from fivesigma.search.templates import Templates

__all__ = ["Pruned", "effect_of"]


@dataclass(frozen=True)
class Pruned:
    """A systematic that was left out of a template, whole or in part.

    Attributes:
        region: where.
        sample: of which template.
        systematic: its name.
        part: "normalisation", "shape", or both.
    """

    region: str
    sample: str
    systematic: str
    part: str


def effect_of(
    templates: Templates, key: tuple[str, str, str], systematic: ShapeSystematic, limits: Pruning
) -> tuple[Shape, str]:
    """The variation of a template as it enters the model, and what was pruned of it: "" or parts.

    Args:
        templates: that hold both of its sides.
        key: region, sample, and the systematic's name.
        systematic: says how it is used.
        limits: what is too small.

    Raises:
        ValueError: a variation without events, where its yield is needed; says where.
    """
    region, sample, name = key
    nominal, _ = contents(templates.nominal(region, sample))
    if not nominal.any():
        return Shape(None, None), ""
    sides = (templates.predicted[region, sample, f"{name}/{side}"] for side in ("up", "down"))
    try:
        shape = shape_of(nominal, np.stack([contents(each)[0] for each in sides]), systematic)
    except ValueError as error:
        message = (
            f"region {region}, sample {sample}, systematic {name}: {error}; its selection leaves "
            "nothing: name in its `regions` and `samples` where it acts"
        )
        raise ValueError(message) from None
    return prune(nominal, shape, limits)
