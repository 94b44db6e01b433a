"""What a network can be trained for besides the classes, as `lessons.Objective`s of batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import awkward as ak
import numpy as np
import torch

from fivesigma.batches import Cache, Inputs, build_cache
from fivesigma.lessons import Answers, Objective, Objectives, fingerprint, hash_of
from fivesigma.losses import (
    asimov_significance,
    distance_correlation,
    signal_strength_variance,
    simple_significance,
    soft_histogram,
)
from fivesigma.search.classifiers.folds import Rows
from fivesigma.search.classifiers.options import Aim
from fivesigma.search.classifiers.stability import pairs_of
from fivesigma.search.classifiers.weights import BACKGROUND, SIGNAL, yields_of

__all__ = ["Decorrelation", "SignalStrength", "Significance", "Variation", "aims_of"]

#: events between which distances are computed at a time
_BLOCK = 1024


@dataclass(frozen=True, eq=False)
class Variation:
    """Events as they are when a nuisance parameter is moved by one standard deviation.

    Attributes:
        caches: inputs of the same N events, moved up and, where known, down.
        ratios: (N,) weights of each, over the nominal ones.
    """

    caches: tuple[Cache, ...]
    ratios: tuple[np.ndarray, ...]

    def take(self, rows: np.ndarray) -> Variation:
        """Some of the events."""
        caches = tuple(cache.take(rows) for cache in self.caches)
        return Variation(caches, tuple(ratio[rows] for ratio in self.ratios))


@dataclass(frozen=True, eq=False)
class Decorrelation:
    """Another objective plus a penalty on what background scores know of a quantity (DisCo).

    Attributes:
        quantity: (N,) e.g. the mass of each event.
        strength: of the penalty.
        base: what the penalty is added to; None: the usual loss.
    """

    quantity: np.ndarray
    strength: float
    base: Objective | None = None

    @property
    def frozen(self) -> bool:
        """That of what the penalty is added to."""
        return self.base is not None and self.base.frozen

    def settings(self) -> dict[str, Any]:
        """Plain types, for `model.yaml`."""
        base = {} if self.base is None else dict(self.base.settings())
        own = {"decorrelate": self.strength, "quantity": hash_of({"quantity": self.quantity})}
        return base | own

    def __call__(self, answers: Answers) -> torch.Tensor:
        """See `Objective`; the distance correlation is the mean over blocks of events."""
        loss = answers.loss if self.base is None else self.base(answers)
        own = torch.nonzero(answers.y == BACKGROUND).flatten()
        values = torch.from_numpy(self.quantity[answers.rows.numpy()]).to(answers.logits)
        score = answers.logits.softmax(1)[:, SIGNAL]
        weight = answers.w.clamp(min=0)
        parts = [
            distance_correlation(score[rows], values[rows], weight[rows])
            for rows in own.split(_BLOCK)
            if len(rows) > 2 and weight[rows].sum() > 0
        ]
        return loss + self.strength * torch.stack(parts).mean() if parts else loss


@dataclass(frozen=True, eq=False)
class Significance:
    """The negative expected significance, where an event counts as its score says.

    Efficiencies are those of the batch, yields those of all events.

    Attributes:
        signal: expected signal events.
        background: expected background events.
        aim: which significance, with which uncertainty of the background.
    """

    signal: float
    background: float
    aim: Aim
    frozen = False

    def settings(self) -> dict[str, Any]:
        """Plain types, for `model.yaml`."""
        return {"signal": self.signal, "background": self.background} | asdict(self.aim)

    def __call__(self, answers: Answers) -> torch.Tensor:
        """See `Objective`."""
        score = answers.logits.softmax(1)[:, SIGNAL]
        s = self.signal * _efficiency(score, answers, SIGNAL)
        b = self.background * _efficiency(score, answers, BACKGROUND)
        b = b.clamp(min=1e-6 * self.background)
        if self.aim.loss == "simple":
            return -simple_significance(s, b)
        return -asimov_significance(s, b, self.aim.background_uncertainty)


def _efficiency(score: torch.Tensor, answers: Answers, label: int) -> torch.Tensor:
    w = torch.where(answers.y == label, answers.w, 0.0)
    return (w * score).sum() / w.sum().clamp(min=1e-12)


@dataclass(frozen=True, eq=False)
class SignalStrength:
    """Expected uncertainty of the signal strength in a binned fit of the score.

    Every variation is a nuisance parameter of the fit (arXiv:1806.04743, arXiv:2203.05570).
    Dropout is off and normalisations keep their statistics, so that nominal and varied events
    pass the very same network: start from a trained one.

    Attributes:
        signal: expected signal events.
        background: expected background events.
        variations: of the N events.
        aim: bins, their softness, and the uncertainty of the background's normalisation.
    """

    signal: float
    background: float
    variations: Sequence[Variation]
    aim: Aim
    frozen = True

    def settings(self) -> dict[str, Any]:
        """Plain types, for `model.yaml`."""
        varied = [
            [fingerprint(cache), hash_of({"ratio": ratio})]
            for each in self.variations
            for cache, ratio in zip(each.caches, each.ratios, strict=True)
        ]
        yields = {"signal": self.signal, "background": self.background}
        return yields | asdict(self.aim) | {"variations": varied}

    def __call__(self, answers: Answers) -> torch.Tensor:
        """See `Objective`."""
        scale = self._scale(answers)
        nominal = self._templates(answers.logits, answers, scale)  # (2, bins)
        shifts = [self._shift(each, nominal, answers, scale) for each in self.variations]
        if self.aim.background_uncertainty:
            shifts.append(self.aim.background_uncertainty * nominal[BACKGROUND])
        empty = nominal.new_zeros(0, self.aim.bins)
        signal, background = nominal.clamp(min=0)
        # a bin that a batch leaves empty must not be worth more than all others
        background = background + 1e-3 * self.background / self.aim.bins
        moved = torch.stack(shifts) if shifts else empty
        return signal_strength_variance(signal, background, moved).sqrt()

    def _scale(self, answers: Answers) -> torch.Tensor:
        """(B,) expected events that each event of the batch stands for."""
        scale = torch.zeros_like(answers.w)
        for label, total in ((SIGNAL, self.signal), (BACKGROUND, self.background)):
            own = torch.where(answers.y == label, answers.w, 0.0)
            scale = scale + own * total / own.sum().clamp(min=1e-12)
        return scale

    def _templates(
        self, logits: torch.Tensor, answers: Answers, scale: torch.Tensor
    ) -> torch.Tensor:
        """(2, bins) expected signal and background."""
        score = logits.softmax(1)[:, SIGNAL]
        return torch.stack(
            [
                soft_histogram(
                    score,
                    torch.where(answers.y == label, scale, 0.0),
                    self.aim.bins,
                    self.aim.softness,
                )
                for label in (SIGNAL, BACKGROUND)
            ]
        )

    def _shift(
        self,
        variation: Variation,
        nominal: torch.Tensor,
        answers: Answers,
        scale: torch.Tensor,
    ) -> torch.Tensor:
        """(bins,) change of the expectation by one sigma; half of up less down, where known."""
        rows = answers.rows.numpy()
        found = []
        for cache, ratio in zip(variation.caches, variation.ratios, strict=True):
            factor = torch.from_numpy(ratio[rows]).to(scale)
            found.append(self._templates(answers.elsewhere(cache), answers, scale * factor).sum(0))
        return (found[0] - found[1]) / 2 if len(found) > 1 else found[0] - nominal.sum(0)


def aims_of(
    aim: Aim,
    events: ak.Array,
    varied: Mapping[str, ak.Array],
    quantity: str = "",
    expected: Sequence[float] = (),
) -> Rows | None:
    """What `fit_folds` minimises for an aim; None where the usual loss is all.

    Args:
        aim: what the network is trained for.
        events: (N,) labelled events.
        varied: variation -> the same events under it, in their order; `jes_up` and `jes_down` are
            one nuisance parameter.
        quantity: from which scores are decorrelated, e.g. the mass.
        expected: events of signal and background; the sums of their weights if empty.

    Raises:
        ValueError: no quantity to decorrelate from, or nothing that a fit does not know.
    """
    if aim.plain:
        return None
    if aim.decorrelate and not quantity:
        message = "aim.decorrelate: name the quantity to be independent of, e.g. --mass m_jj"
        raise ValueError(message)
    if aim.loss == "signal-strength" and not varied and not aim.background_uncertainty:
        message = (
            "aim.loss signal-strength: there are no variations and no background_uncertainty; "
            "without any, cross-entropy is the better loss"
        )
        raise ValueError(message)
    label, weight = ak.to_numpy(events["label"]), yields_of(events)
    totals = tuple(expected or (weight[label == k].sum() for k in (SIGNAL, BACKGROUND)))
    values = ak.to_numpy(events[quantity if aim.decorrelate else "label"]).astype(np.float32)
    made: list[Variation] = []

    def aims(cache: Cache, *parts: np.ndarray) -> Objectives:
        if aim.loss == "signal-strength" and not made:
            made.extend(_variations(cache.inputs, varied, weight))
        train, validation = (_objective(aim, totals, values, made, rows) for rows in parts)
        return train, validation

    return aims


def _variations(
    inputs: Inputs, varied: Mapping[str, ak.Array], weight: np.ndarray
) -> list[Variation]:
    """One for each nuisance parameter."""
    found = []
    for names in pairs_of(list(varied)).values():
        caches = tuple(build_cache(varied[name], inputs) for name in names)
        moved = [yields_of(varied[name]) for name in names]
        one = np.ones_like(weight)
        ratios = tuple(np.divide(w, weight, out=one.copy(), where=weight != 0) for w in moved)
        found.append(Variation(caches, ratios))
    return found


def _objective(
    aim: Aim,
    expected: tuple[float, ...],
    quantity: np.ndarray,
    variations: Sequence[Variation],
    rows: np.ndarray,
) -> Objective:
    base: Objective | None = None
    if aim.loss in ("simple", "asimov"):
        base = Significance(expected[0], expected[1], aim)
    if aim.loss == "signal-strength":
        some = [variation.take(rows) for variation in variations]
        base = SignalStrength(expected[0], expected[1], some, aim)
    if base is not None and not aim.decorrelate:
        return base
    return Decorrelation(quantity[rows], aim.decorrelate, base)
