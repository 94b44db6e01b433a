"""Which classifier is trained, on what, with which weights and for what aim."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from fivesigma.features import FEATURE_SETS
from fivesigma.inputs import Inputs
from fivesigma.models import find
from fivesigma.training import Training
from fivesigma.trees import Trees

__all__ = ["Aim", "Classifier", "Folds", "inputs_of", "training_of", "trees_of"]

#: objects of an event that a network of sets sees at most
_MOST_OBJECTS = 32


@dataclass(frozen=True)
class Folds:
    """How events are shared between training and testing."""

    number: int = 4
    """Parts of the events; as many trainings, of which each is tested on its own part."""
    validation: float = 0.2
    """Share of the events of a training that decide when it stops."""
    seed: int = 0
    """Of the hash of the event numbers."""

    def __post_init__(self) -> None:
        rules = {
            "number": (self.number >= 2, ">= 2"),
            "validation": (0 < self.validation < 1, "> 0 and < 1"),
            "seed": (0 <= self.seed < 2**31, ">= 0 and < 2^31"),
        }
        _check("folds", self, rules)


@dataclass(frozen=True)
class Aim:
    """What a network is trained for, besides telling signal from background."""

    loss: Literal["cross-entropy", "simple", "asimov", "signal-strength"] = "cross-entropy"
    """simple: s / sqrt(s + b); asimov: the expected significance of a counting experiment;
    signal-strength: the expected uncertainty of the signal strength in a binned fit of the score
    with all variations as nuisance parameters."""
    decorrelate: float = 0.0
    """Strength of the penalty on the distance correlation of score and mass in the background."""
    background_uncertainty: float = 0.0
    """Relative, of the background's normalisation, in the losses asimov and signal-strength."""
    bins: int = 10
    """Of the score in the loss signal-strength."""
    softness: float = 0.3
    """Width of the edges of these bins, in bins."""

    def __post_init__(self) -> None:
        losses = ("cross-entropy", "simple", "asimov", "signal-strength")
        rules = {
            "loss": (self.loss in losses, " or ".join(losses)),
            "decorrelate": (0 <= self.decorrelate < math.inf, ">= 0"),
            "background_uncertainty": (0 <= self.background_uncertainty < math.inf, ">= 0"),
            "bins": (self.bins >= 2, ">= 2"),
            "softness": (0 < self.softness < math.inf, "> 0"),
        }
        _check("aim", self, rules)

    @property
    def plain(self) -> bool:
        """Whether there is nothing but the classes to learn."""
        return self.loss == "cross-entropy" and self.decorrelate == 0


def _network_training() -> Training:
    return Training(epochs=60, learning_rate=3e-3, early_stopping=20, checkpoint_every_epochs=10)


@dataclass(frozen=True)
class Classifier:
    """One classifier of events into signal and background."""

    model: str = "mlp"
    """mlp, trees, event-transformer, pfn ..., or a network of one's own as my_module:MyNet."""
    training: Training = field(default_factory=_network_training)
    """Options of the training of a network."""
    trees: Trees = field(default_factory=Trees)
    """Options of the training of trees."""
    options: dict[str, Any] | None = None
    """Of the architecture, e.g. {hidden: [128, 128]}."""
    features: tuple[str, ...] = ()
    """What it sees; none: all quantities of the events, or the usual features of their objects."""
    weighting: Literal["absolute", "signed", "none"] = "absolute"
    """How event weights enter the training; yields always keep their sign."""
    balance: Literal["weights", "oversampling", "none"] = "weights"
    """How both classes come to weigh the same in the training."""
    parameter: str = ""
    """Quantity of the signal, such as its mass, that the classifier is told (parametrised)."""
    aim: Aim = field(default_factory=Aim)
    """What it is trained for."""
    start: str = ""
    """Name of another classifier of the same architecture whose weights it starts from."""

    def __post_init__(self) -> None:
        rules = {
            "weighting": (
                self.weighting in ("absolute", "signed", "none"),
                "absolute or signed or none",
            ),
            "balance": (
                self.balance in ("weights", "oversampling", "none"),
                "weights or oversampling or none",
            ),
        }
        _check("classifier", self, rules)
        if self.model == "trees" and (self.start or not self.aim.plain):
            name = "start" if self.start else "aim"
            message = f"classifier.{name} is for networks; trees learn the classes alone"
            raise ValueError(message)
        if self.model == "trees" and self.weighting == "signed":
            message = "classifier.weighting: trees take no negative weights, got 'signed'; "
            raise ValueError(message + "use absolute")


def inputs_of(classifier: Classifier, quantities: tuple[str, ...]) -> Inputs:
    """What a classifier sees.

    Args:
        classifier: which one.
        quantities: names of the events' own quantities, the default of those that see these.

    Raises:
        ValueError: a network that sees something else than quantities or objects of events, or
            one of objects that is to be told a parameter.
    """
    network: Any = None if classifier.model == "trees" else find(classifier.model)
    kind = network.kind if network else "observables"
    if kind == "observables":
        parameter = (classifier.parameter,) if classifier.parameter else ()
        features = tuple(n for n in classifier.features or quantities if n not in parameter)
        return Inputs(kind="observables", features=(*features, *parameter))
    if kind != "constituents" or classifier.parameter:
        what = "a parameter" if kind == "constituents" else f"inputs of kind {kind!r}"
        message = f"{classifier.model!r} cannot classify events with {what}; use mlp or trees"
        raise ValueError(message)
    features = classifier.features or FEATURE_SETS["objects"]
    return Inputs(features=features, max_constituents=_MOST_OBJECTS)


def training_of(classifier: Classifier, fold: int) -> Training:
    """Options of the training of one fold's network; the weights come with its events."""
    return replace(
        classifier.training,
        seed=classifier.training.seed + fold,
        class_weights=False,
        use_event_weights=True,
        oversample=classifier.balance == "oversampling",
    )


def trees_of(classifier: Classifier) -> Trees:
    """Options of the training of one fold's trees."""
    return replace(classifier.trees, class_weights=False, use_event_weights=True)


def _check(what: str, options: Any, rules: dict[str, tuple[bool, str]]) -> None:
    for name, (valid, want) in rules.items():
        if not valid:
            message = f"{what}.{name}: got {getattr(options, name)!r}, need {want}"
            raise ValueError(message)
