"""What a network sees of a jet, as plain data that a run keeps in its `model.yaml`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from fivesigma.features import FEATURE_SETS, FEATURES
from fivesigma.images import CHANNELS

__all__ = ["Inputs", "require_known"]

KINDS = ("constituents", "image", "observables")


@dataclass(frozen=True)
class Inputs:
    """What a network sees of a jet.

    Attributes:
        kind: "constituents" (B, N, F), "image" (B, C, H, W) or "observables" (B, F).
        features: names in `FEATURES` (constituents) or in `OBSERVABLES` (observables, where any
            other field of the jets serves, too); images have none.
        max_constituents: only so many leading in pT are used.
        pixels: pixels along each side of an image.
        half_width: an image reaches from -half_width to +half_width in eta and phi.
        channels: channels of an image, names in `CHANNELS`.
        mean: one constant per feature; empty until `build_cache` has completed it.
        scale: likewise; a network sees (value - mean) * scale.
    """

    kind: Literal["constituents", "image", "observables"] = "constituents"
    features: tuple[str, ...] = FEATURE_SETS["kin"]
    max_constituents: int = 128
    pixels: int = 40
    half_width: float = 0.8
    channels: tuple[str, ...] = ("pt",)
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        require_known("kind of inputs", [self.kind], KINDS)
        if self.kind == "constituents":
            require_known("feature", self.features, FEATURES)
        if self.kind == "image":
            require_known("channel", self.channels, CHANNELS)
        if not (self.channels if self.kind == "image" else self.features):
            message = f"inputs of kind {self.kind!r} with nothing in them; name at least one"
            raise ValueError(message)
        if min(self.max_constituents, self.pixels) < 1 or not self.half_width > 0:
            message = (
                f"max_constituents {self.max_constituents}, pixels {self.pixels} and "
                f"half_width {self.half_width:g} must all be positive"
            )
            raise ValueError(message)
        if self.mean and not len(self.mean) == len(self.scale) == len(self.features):
            message = (
                f"{len(self.mean)} means and {len(self.scale)} scales for {len(self.features)} "
                "features; give one of each per feature, or none"
            )
            raise ValueError(message)

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for YAML and JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> Inputs:
        """The inverse of `to_dict`.

        Raises:
            ValueError: a key that is no attribute, or a value that makes no sense.
        """
        require_known("key of inputs", form, [field.name for field in fields(cls)])
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in form.items()
        }
        return cls(**values)


def require_known(what: str, names: Iterable[str], choices: Iterable[str]) -> None:
    """Raise a ValueError that names the choices unless every name is one of them."""
    choices = list(choices)
    unknown = [name for name in names if name not in choices]
    if unknown:
        found = ", ".join(map(repr, unknown))
        message = f"unknown {what} {found}; choose from {', '.join(choices)}"
        raise ValueError(message)
