"""What showers need to know of matter: radiation length, critical energy, Moliere radius.

Mixtures by mass after Grindhammer and Peters (hep-ex/0001020, section 3), with radiation lengths
in g/cm^2 throughout; elements from the tables of the Particle Data Group.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ARGON", "IRON", "LEAD", "SILICON", "TUNGSTEN", "Element", "Layer", "Material", "mix"]


@dataclass(frozen=True)
class Element:
    """An absorber or active medium.

    Attributes:
        z, a: atomic number and weight.
        density: [g/cm^3].
        x0: radiation length [g/cm^2].
        interaction: nuclear interaction length [g/cm^2].
        stopping: dE/dx of a minimum ionising particle [MeV cm^2/g].
    """

    z: float
    a: float
    density: float
    x0: float
    interaction: float
    stopping: float

    @property
    def critical(self) -> float:
        """Critical energy [GeV]: 2.66 MeV (X0 Z / A)^1.1."""
        return 2.66e-3 * (self.x0 * self.z / self.a) ** 1.1


@dataclass(frozen=True)
class Layer:
    """A sheet of an element in the repeated stack; thickness in mm."""

    element: Element
    thickness: float


@dataclass(frozen=True)
class Material:
    """A calorimeter as showers see it, as if homogeneous.

    Attributes:
        x0: radiation length [mm].
        critical: critical energy [GeV].
        moliere: Moliere radius [mm].
        z: effective atomic number.
        interaction: nuclear interaction length [mm].
        stopping: energy loss of a minimum ionising particle [GeV/mm].
    """

    x0: float
    critical: float
    moliere: float
    z: float
    interaction: float
    stopping: float


LEAD = Element(82, 207.2, 11.35, 6.37, 199.6, 1.122)
IRON = Element(26, 55.845, 7.874, 13.84, 132.1, 1.451)
TUNGSTEN = Element(74, 183.84, 19.30, 6.76, 191.9, 1.145)
SILICON = Element(14, 28.0855, 2.329, 21.82, 108.4, 1.664)
ARGON = Element(18, 39.948, 1.396, 19.55, 119.7, 1.508)


def mix(layers: tuple[Layer, ...], gap: float = 0.0) -> Material:
    """The effective constants of a stack of layers.

    1 / X0 = sum w_i / X_i, R_M = 21.2 MeV / sum(w_i E_c,i / X_i), E_c = X0 sum(w_i E_c,i / X_i),
    w_i the shares of mass.

    Args:
        layers: one period of the stack.
        gap: thickness of a period that carries hardly any mass (glue, boards) [mm].
    """
    mass = [layer.thickness / 10 * layer.element.density for layer in layers]  # g/cm^2
    share = [(m / sum(mass), layer.element) for m, layer in zip(mass, layers, strict=True)]
    x0 = 1 / sum(w / e.x0 for w, e in share)
    scale = sum(w * e.critical / e.x0 for w, e in share)  # GeV cm^2/g
    depth = sum(layer.thickness for layer in layers) + gap
    mm = depth / sum(mass)  # mm per g/cm^2
    return Material(
        x0=x0 * mm,
        critical=x0 * scale,
        moliere=21.2e-3 / scale * mm,
        z=sum(w * e.z for w, e in share),
        interaction=mm / sum(w / e.interaction for w, e in share),
        stopping=1e-3 * sum(w * e.stopping for w, e in share) / mm,
    )
