"""Recipes: which collisions, which detector and which jets make a tagging sample."""

from __future__ import annotations

from dataclasses import dataclass, field

from fivesigma.generation.pythia import Generation
from fivesigma.reconstruction.jets import JetOptions

__all__ = ["RECIPES", "Recipe", "Sample", "recipe_named"]

#: PYTHIA's own lifetimes: K0S and Lambda decay, as in samples made with its default settings
_DEFAULT_LIFETIMES = ("ParticleDecays:limitTau0 = off",)


@dataclass(frozen=True)
class Sample:
    """The jets of one class.

    Attributes:
        label: name of the class.
        process: a name in `PROCESSES`, or the path of a `.cmnd` or `.lhe` file.
        keep: truth labels (`reconstruction.labels`) of the jets that are kept; none: all jets.
    """

    label: str
    process: str
    keep: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """All that defines a sample of labelled jets.

    Attributes:
        samples: the classes, in the order of their labels; of two classes the first is the signal.
        generation: settings of PYTHIA common to all samples; `process` is set by each sample.
        detector: preset of `geometry.DETECTORS`; none: jets of stable particles, no response.
        jets: how jets are found and which are kept.
        reference: where the recipe is from.
    """

    samples: tuple[Sample, ...]
    generation: Generation = field(default_factory=Generation)
    detector: str | None = "atlas"
    jets: JetOptions = field(default_factory=JetOptions)
    reference: str = ""

    def __post_init__(self) -> None:
        labels = [sample.label for sample in self.samples]
        if len(labels) < 2 or len(set(labels)) < len(labels):
            message = f"a recipe needs two or more classes of different names, got {labels}"
            raise ValueError(message)


_BOOSTED = Generation(energy=14000.0, pt_hat=(480.0, 900.0))
#: hard scatterings with boosted jets; a resonance has no pT-hat and passes these lines over
_HARD = ("PhaseSpace:pTHatMin = 450.", "PhaseSpace:pTHatMax = 1200.")
_ALL_HADRONIC = ("24:onMode = off", "24:onIfAny = 1 2 3 4 5")
_AK4 = JetOptions(radius=0.4, pt_min=50.0, pt_max=200.0, eta_max=2.5, leading=2)

RECIPES: dict[str, Recipe] = {
    "top-tagging": Recipe(
        samples=(Sample("top", "ttbar-hadronic", ("top",)), Sample("qcd", "qcd")),
        generation=Generation(
            energy=14000.0, pt_hat=(500.0, 750.0), mpi=False, extra=_DEFAULT_LIFETIMES
        ),
        detector="atlas-coarse",
        jets=JetOptions(radius=0.8, pt_min=550.0, pt_max=650.0, eta_max=2.0),
        reference="Top Quark Tagging Reference Dataset, Zenodo 2603256, arXiv:1902.09914",
    ),
    # both jets of a Z' of 1.3 TeV have the momenta of the jets above
    "dijet-resonance": Recipe(
        samples=(
            Sample("zprime", "zprime-ttbar"),
            Sample("ttbar", "ttbar-hadronic"),
            Sample("qcd", "qcd"),
        ),
        generation=Generation(
            energy=14000.0,
            mpi=False,
            extra=(*_DEFAULT_LIFETIMES, *_HARD, *_ALL_HADRONIC, "32:m0 = 1300."),
        ),
        detector="atlas-coarse",
        jets=JetOptions(radius=0.8, pt_min=480.0, eta_max=2.0, leading=2),
    ),
    "five-class": Recipe(
        samples=(
            Sample("gluon", "gluons", ("g",)),
            Sample("quark", "light-quarks", ("q",)),
            Sample("w", "w-qq", ("w",)),
            Sample("z", "z-qq", ("z",)),
            Sample("top", "ttbar-hadronic", ("top",)),
        ),
        generation=_BOOSTED,
        jets=JetOptions(radius=0.8, pt_min=500.0, pt_max=800.0, eta_max=2.0),
        reference="classes of the jet samples of arXiv:1804.06913, jets of radius 0.8",
    ),
    "quark-gluon": Recipe(
        samples=(Sample("quark", "light-quarks", ("q",)), Sample("gluon", "gluons", ("g",))),
        generation=Generation(energy=14000.0, pt_hat=(450.0, 700.0)),
        jets=JetOptions(radius=0.4, pt_min=500.0, pt_max=550.0, eta_max=1.7),
        reference="kinematics of arXiv:1810.05165, from dijets rather than Z + jet",
    ),
    "flavour": Recipe(
        samples=(
            Sample("b", "bottom", ("b",)),
            Sample("c", "charm", ("c",)),
            Sample("light", "light-quarks", ("q",)),
        ),
        generation=Generation(energy=14000.0, pt_hat=(50.0, 200.0)),
        detector="cms",
        jets=_AK4,
    ),
    "w-tagging": Recipe(
        samples=(Sample("w", "w-qq", ("w",)), Sample("qcd", "qcd")),
        generation=_BOOSTED,
        jets=JetOptions(radius=0.8, pt_min=500.0, pt_max=600.0, eta_max=2.0),
    ),
    "higgs-tagging": Recipe(
        samples=(Sample("h-bb", "h-bb", ("h",)), Sample("qcd", "qcd")),
        generation=_BOOSTED,
        detector="cms",
        jets=JetOptions(radius=0.8, pt_min=500.0, pt_max=700.0, eta_max=2.0),
    ),
}


def recipe_named(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        ValueError: no such recipe.
    """
    if name not in RECIPES:
        message = f"unknown recipe {name!r}; choose from {', '.join(RECIPES)}"
        raise ValueError(message)
    return RECIPES[name]
