"""The kinds of systematic uncertainties that an analysis may describe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from fivesigma import expressions
from fivesigma.search.samples import Input

__all__ = [
    "FreeNormalisation",
    "HistogramVariation",
    "InputVariation",
    "Luminosity",
    "Normalisation",
    "ObjectVariation",
    "ShapeSystematic",
    "Systematic",
    "WeightVariation",
]


@dataclass(frozen=True, kw_only=True)
class Systematic:
    """What all have in common.

    Attributes:
        samples: that it acts on; none: all simulated ones.
        regions: where it acts; none: everywhere.
        parameter: the nuisance parameter; its own name if none. Entries that name the same one
            are fully correlated.
    """

    KINDS: ClassVar[Mapping[str, type[Systematic]]] = {}

    samples: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    parameter: str = ""


@dataclass(frozen=True, kw_only=True)
class Normalisation(Systematic):
    """A log-normal uncertainty of the yield: HistFactory's normsys.

    Attributes:
        size: relative, e.g. 0.1: factors 1 + size and 1 - size.
        up: factor at +1 sigma, where the two sides differ.
        down: factor at -1 sigma.
    """

    size: float = 0.0
    up: float = 0.0
    down: float = 0.0

    def __post_init__(self) -> None:
        if (0 < self.size < 1) != (self.up == 0 == self.down) or min(self.factors) <= 0:
            message = (
                f"size {self.size}, up {self.up}, down {self.down}: expected a size between 0 and "
                "1, or two factors above 0, e.g. up: 1.1, down: 0.9"
            )
            raise ValueError(message)

    @property
    def factors(self) -> tuple[float, float]:
        """Factors of the yield at +1 and -1 sigma."""
        return (1 + self.size, 1 - self.size) if self.size else (self.up, self.down)


@dataclass(frozen=True, kw_only=True)
class Luminosity(Systematic):
    """The uncertainty of the luminosity: HistFactory's lumi, a Gaussian factor.

    Attributes:
        size: relative.
    """

    size: float

    def __post_init__(self) -> None:
        if not 0 < self.size < 1:
            message = f"size: got {self.size}, expected a relative uncertainty between 0 and 1"
            raise ValueError(message)


@dataclass(frozen=True, kw_only=True)
class FreeNormalisation(Systematic):
    """A yield that the data decide: HistFactory's normfactor.

    Attributes:
        range: of the factor.
    """

    range: tuple[float, ...] = (0.0, 10.0)

    def __post_init__(self) -> None:
        if len(self.range) != 2 or not self.range[0] < 1 < self.range[1]:
            message = f"range: got {self.range}, expected two bounds around 1"
            raise ValueError(message)


@dataclass(frozen=True, kw_only=True)
class ShapeSystematic(Systematic):
    """One that changes templates bin by bin: HistFactory's histosys.

    Attributes:
        smooth: take statistical fluctuations out of the ratio to the nominal template.
        symmetrise: mirror the half difference of up and down; where only one side is given, it
            is mirrored in any case.
        split: one normsys and one histosys of the nominal yield, with a common parameter.
        use: "both", or only the change of "shape" or of "normalisation".
    """

    smooth: bool = False
    symmetrise: bool = False
    split: bool = False
    use: Literal["both", "shape", "normalisation"] = "both"

    @property
    def sides(self) -> tuple[str, ...]:
        """The sides that are computed: ("up", "down"), or the one that is given."""
        given = tuple(side for side in ("up", "down") if getattr(self, side, None))
        if not given:
            message = "neither up nor down is given; one is enough, the other is mirrored"
            raise ValueError(message)
        return given


@dataclass(frozen=True, kw_only=True)
class WeightVariation(ShapeSystematic):
    """Other event weights.

    Attributes:
        up: expression of the factor on the nominal weight at +1 sigma.
        down: the same at -1 sigma.
        normalise: keep the sum of the (generator) weights of all events of each input, before any
            selection, as it is without: of scales and parton densities only the acceptance and
            the shape then vary, and not the cross-section, which has an uncertainty of its own.
            Inputs must hold all generated events, and the factors be defined for each.
    """

    up: str = ""
    down: str = ""
    normalise: bool = False

    def __post_init__(self) -> None:
        for side in self.sides:
            expressions.parse(getattr(self, side))


@dataclass(frozen=True, kw_only=True)
class ObjectVariation(ShapeSystematic):
    """Scales and resolutions of objects, with which the whole selection is run again.

    Attributes:
        up: field -> its new value, an expression over the event, e.g.
            {"jets.pt": "jets.pt * 1.03"}; all are computed from the nominal values.
        down: the same at -1 sigma.
        smear: field -> relative width of a Gaussian that is multiplied on it, an expression; one
            side, the other is mirrored. The same events get the same numbers, always.
        sort: put objects whose pt changes in its order again, the largest first.
        propagate: let `met` lose what the objects gain; all of the events' objects count, before
            any cut on them. Without it `met` stays, or changes by an expression of its own.
    """

    up: Mapping[str, str] = field(default_factory=dict)
    down: Mapping[str, str] = field(default_factory=dict)
    smear: Mapping[str, str] = field(default_factory=dict)
    sort: bool = False
    propagate: bool = False

    def __post_init__(self) -> None:
        if self.smear and (self.up or self.down):
            message = "smear stands alone: its other side is mirrored; leave out up and down"
            raise ValueError(message)
        for side in self.sides:
            for text in self.change(side).values():
                expressions.parse(text)
            self._check_propagation(list(self.change(side)))

    def _check_propagation(self, names: list[str]) -> None:
        """What is propagated are momenta, and not the missing one twice."""
        momenta = [name for name in names if name.endswith((".pt", ".phi"))]
        if self.propagate and (not momenta or any(name.startswith("met.") for name in names)):
            message = (
                f"propagate: got changes of {', '.join(names)}, expected the pt or phi of "
                "objects, and none of met, which follows from them"
            )
            raise ValueError(message)

    @property
    def sides(self) -> tuple[str, ...]:
        """See `ShapeSystematic`."""
        return ("up",) if self.smear else super().sides

    def change(self, side: str) -> Mapping[str, str]:
        """Field -> expression of its new value, or of its width where it is smeared."""
        return self.smear or getattr(self, side)


@dataclass(frozen=True, kw_only=True)
class HistogramVariation(ShapeSystematic):
    """Histograms that stand beside the nominal ones in the same files.

    Attributes:
        up: name at +1 sigma, where {} stands for the nominal name, e.g. "{}_JES_up".
        down: the same at -1 sigma.
    """

    up: str = ""
    down: str = ""

    def __post_init__(self) -> None:
        for side in self.sides:
            if "{}" not in getattr(self, side):
                message = f"{side}: got {getattr(self, side)!r}, expected {{}} in it for the name"
                raise ValueError(message)


@dataclass(frozen=True, kw_only=True)
class InputVariation(ShapeSystematic):
    """Other files in the place of the sample's own, e.g. of another generator.

    Attributes:
        up: inputs at +1 sigma.
        down: inputs at -1 sigma.
    """

    up: tuple[Input, ...] = ()
    down: tuple[Input, ...] = ()

    def __post_init__(self) -> None:
        if len(self.samples) != 1:
            message = f"samples: got {list(self.samples)}, expected the one that the inputs are of"
            raise ValueError(message)
        _ = self.sides


Systematic.KINDS = {
    "normalisation": Normalisation,
    "luminosity": Luminosity,
    "free": FreeNormalisation,
    "weight": WeightVariation,
    "object": ObjectVariation,
    "histograms": HistogramVariation,
    "inputs": InputVariation,
}
