"""The layers of a tracker: barrels and discs with their modules and material; three presets.

A layer is a cylinder around the beam or a disc across it, with the material of its modules,
supports and cables spread evenly over it. Layers without a sensor are passive: the beam pipe,
support tubes, services. The index of a layer in `Layout.layers` is the number in `hits.layer`.
Lengths in mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

__all__ = [
    "Barrel",
    "Disc",
    "Layer",
    "Layout",
    "Published",
    "Ring",
    "Sensor",
    "Thickness",
    "barrels",
    "discs",
    "evenly",
]


@dataclass(frozen=True)
class Thickness:
    """What a particle crosses at normal incidence.

    Attributes:
        radiation: in radiation lengths.
        interaction: in nuclear interaction lengths.
        areal: mass per area [g/cm^2].
    """

    radiation: float
    interaction: float
    areal: float

    @classmethod
    def silicon(cls, thickness: float) -> Thickness:
        """Silicon of this thickness [mm] (X0 95.7 mm as in ACTS, lambda 465 mm, 2.33 g/cm^3)."""
        return cls(thickness / 95.7, thickness / 465.2, 0.2329 * thickness)

    @classmethod
    def beryllium(cls, thickness: float) -> Thickness:
        """Beryllium of this thickness [mm] (PDG: X0 352.8 mm, lambda 421 mm, 1.848 g/cm^3)."""
        return cls(thickness / 352.8, thickness / 421.0, 0.1848 * thickness)

    @classmethod
    def mixture(cls, radiation: float) -> Thickness:
        """Silicon, carbon fibre, copper and coolant of so many radiation lengths.

        Our choice: 0.3 interaction lengths and 27 g/cm^2 a radiation length, between silicon
        (0.20, 22) and carbon (0.50, 43).
        """
        return cls(radiation, 0.3 * radiation, 27.0 * radiation)


@dataclass(frozen=True)
class Sensor:
    """The modules of a layer: u is their precise direction, r-phi, v the other (z or r).

    Attributes:
        sigma_u, sigma_v: resolution of the measured position [mm].
        thickness: of the active silicon [mm].
        efficiency: for a particle that crosses the active area.
        noise: noise hits per module and event.
        half_u, half_v: half the size of a module in a barrel [mm]; 0: modules without overlaps.
        stagger: distance between neighbours along the normal [mm].
    """

    sigma_u: float
    sigma_v: float
    thickness: float = 0.3
    efficiency: float = 0.99
    noise: float = 0.0
    half_u: float = 0.0
    half_v: float = 0.0
    stagger: float = 0.0


@dataclass(frozen=True)
class Ring:
    """Modules at one radius of a disc.

    Attributes:
        radius: of their centres [mm].
        half_inner, half_outer: half their width at the inner and outer edge [mm]; 0: no overlaps.
        half_v: half their length along r [mm].
        n_phi: how many.
    """

    radius: float
    half_inner: float
    half_outer: float
    half_v: float
    n_phi: int


@dataclass(frozen=True)
class Barrel:
    """A cylinder around the beam.

    Attributes:
        name: of the layer.
        radius, half_length: [mm].
        material: spread over it.
        sensor: None for passive material.
        n_phi, n_z: modules around and along it.
    """

    name: str
    radius: float
    half_length: float
    material: Thickness
    sensor: Sensor | None = None
    n_phi: int = 1
    n_z: int = 1

    @property
    def modules(self) -> int:
        """How many modules."""
        return self.n_phi * self.n_z if self.sensor else 0


@dataclass(frozen=True)
class Disc:
    """A disc across the beam.

    Attributes:
        name: of the layer.
        z: signed [mm].
        r_min, r_max: [mm].
        material: spread over it.
        sensor: None for passive material.
        rings: of modules, from the inside.
    """

    name: str
    z: float
    r_min: float
    r_max: float
    material: Thickness
    sensor: Sensor | None = None
    rings: tuple[Ring, ...] = ()

    @property
    def modules(self) -> int:
        """How many modules."""
        return sum(ring.n_phi for ring in self.rings) if self.sensor else 0


Layer = Barrel | Disc


@dataclass(frozen=True)
class Published:
    """Published resolutions of muons in a range of pseudorapidity.

    Attributes:
        low, high: |eta|.
        momentum: rows (pT [GeV], sigma(pT)/pT).
        d0: rows (pT [GeV], resolution of the transverse impact parameter [mm]).
    """

    low: float
    high: float
    momentum: tuple[tuple[float, float], ...]
    d0: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Layout:
    """A tracker.

    Attributes:
        name: of the preset.
        radius, half_length: of the cylinder that holds it [mm].
        field: along z [T].
        layers: barrels and discs, active and passive; their order numbers them.
        published: the resolutions that it is made to reproduce.
    """

    name: str
    radius: float
    half_length: float
    field: float
    layers: tuple[Layer, ...]
    published: tuple[Published, ...] = ()

    @cached_property
    def modules(self) -> int:
        """How many modules there are."""
        return sum(layer.modules for layer in self.layers)

    def number(self, name: str) -> int:
        """Index of the layer of that name.

        Raises:
            ValueError: no layer has this name.
        """
        names = [layer.name for layer in self.layers]
        if name not in names:
            message = f"{self.name}: no layer {name!r}; choose from {', '.join(names)}"
            raise ValueError(message)
        return names.index(name)


def discs(
    name: str,
    positions: Sequence[float],
    span: tuple[float, float],
    material: Thickness,
    sensor: Sensor | None = None,
    rings: tuple[Ring, ...] = (),
) -> list[Layer]:
    """Discs at -z and +z, numbered from the centre.

    Args:
        name: of the discs, followed by their side and number.
        positions: |z| [mm].
        span: smallest and largest radius [mm].
        material: spread over each.
        sensor: None for passive material.
        rings: of modules.
    """
    return [
        Disc(f"{name}{side}{k}", sign * z, *span, material, sensor, rings)
        for side, sign in (("-", -1.0), ("+", 1.0))
        for k, z in enumerate(positions, start=1)
    ]


def barrels(
    name: str,
    radii: Sequence[float],
    half_length: float,
    material: Thickness,
    sensor: Sensor,
    n_phi: Sequence[int],
    n_z: int,
) -> list[Layer]:
    """Barrels numbered from the inside.

    Args:
        name: of the barrels, followed by their number.
        radii: [mm].
        half_length: [mm].
        material: spread over each.
        sensor: of all.
        n_phi: modules around each.
        n_z: modules along each.
    """
    return [
        Barrel(f"{name}{k}", radius, half_length, material, sensor, n, n_z)
        for k, (radius, n) in enumerate(zip(radii, n_phi, strict=True), start=1)
    ]


def evenly(n_phi: int, span: tuple[float, float], n: int) -> tuple[Ring, ...]:
    """Rings of equal width that cover a span of radii [mm] without overlap."""
    edges = [span[0] + (span[1] - span[0]) * k / n for k in range(n + 1)]
    return tuple(Ring((a + b) / 2, 0.0, 0.0, (b - a) / 2, n_phi) for a, b in pairwise(edges))
