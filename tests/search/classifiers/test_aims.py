"""What networks are trained for besides the classes: it is reached, and the price is known."""

from __future__ import annotations

from dataclasses import replace

import awkward as ak
import numpy as np
import pytest
import torch
from helpers.toy_events import make_events

from fivesigma import metrics
from fivesigma.batches import build_cache
from fivesigma.lessons import Answers
from fivesigma.losses import distance_correlation, signal_strength_variance
from fivesigma.search.classifiers import (
    Aim,
    Classifier,
    Folds,
    aims_of,
    draw_parameter,
    fit_folds,
    hypotheses,
    inputs_of,
    with_parameter,
)
from fivesigma.training import Training

EVENTS = make_events(3000)
QUICK = Training(
    epochs=8, batch_size=250, learning_rate=5e-3, threads=1, checkpoint_every_epochs=50
)
MLP = Classifier("mlp", QUICK, options={"hidden": [32], "dropout": 0.0})


def signal(events: ak.Array) -> np.ndarray:
    return (ak.to_numpy(events.label) == 0).astype(int)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    out = tmp_path_factory.mktemp("aims") / "plain"
    return fit_folds(MLP, EVENTS, ("x", "y"), out, Folds(2))


def test_decorrelation_takes_the_mass_out(plain, tmp_path):
    aim = Aim(decorrelate=10.0)
    aims = aims_of(aim, EVENTS, {}, "mass")
    classifier = replace(MLP, aim=aim, training=replace(QUICK, epochs=20))
    free = fit_folds(classifier, EVENTS, ("x", "y"), tmp_path, Folds(2), aims=aims)
    y, mass = signal(EVENTS), ak.to_numpy(EVENTS.mass)
    background, scores = y == 0, [each.held_out(EVENTS) for each in (plain, free)]
    sculpting = [metrics.mass_sculpting(y, score, mass, bins=6).value for score in scores]
    known = [
        distance_correlation(*(torch.tensor(v[background]).double() for v in (score, mass)))
        for score in scores
    ]
    assert known[1] < 0.2 * known[0]
    assert sculpting[1] < 0.7 * sculpting[0]
    assert metrics.auc(y, scores[1]).value > 0.7  # x is independent of the mass


@pytest.mark.parametrize("loss", ["simple", "asimov"])
def test_significance_is_a_loss_that_teaches(loss, tmp_path):
    aim = Aim(loss, background_uncertainty=0.1)
    aims = aims_of(aim, EVENTS, {}, expected=(50, 500))
    found = fit_folds(replace(MLP, aim=aim), EVENTS, ("x", "y"), tmp_path, Folds(2), aims=aims)
    assert metrics.auc(signal(EVENTS), found.held_out(EVENTS)).value > 0.75
    history = found.members[0].history()
    assert history[-1]["validation_loss"] < history[0]["validation_loss"] < 0


def varied(size: float) -> dict[str, ak.Array]:
    """A nuisance parameter that moves the background's y, as much as signal is away from it."""
    return {
        f"scale_{side}": ak.with_field(EVENTS, EVENTS.y + step * size * EVENTS.label, "y")
        for side, step in (("up", 1), ("down", -1))
    }


def aware_answers(events: ak.Array) -> tuple[Answers, torch.Tensor]:
    cache = build_cache(events, inputs_of(MLP, ("x", "y")))
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(2, 2, generator=generator, dtype=torch.float64, requires_grad=True)

    def of(other):
        return torch.from_numpy(other.values).double() @ weights

    y = torch.from_numpy(cache.label)
    rows = torch.arange(len(y))
    w = torch.ones(len(y), dtype=torch.float64)
    return Answers(torch.zeros(()), of(cache), y, w, rows, of), weights


def test_the_aware_loss_is_the_uncertainty_of_a_fit():
    """With one bin edge that is sharp it is that of two bins, counted by hand."""
    events, moved = EVENTS, varied(0.5)
    aim = Aim("signal-strength", bins=2, softness=1e-6)
    cache = build_cache(events, inputs_of(MLP, ("x", "y")))
    rows = np.arange(len(events))
    objective = aims_of(aim, events, moved, expected=(100, 1000))(cache, rows, rows)[0]
    answers, _ = aware_answers(events)
    label = ak.to_numpy(events.label)
    count = [(label == k).sum() for k in (0, 1)]

    def bins(logits):
        above = (logits[:, 0] > logits[:, 1]).numpy()
        return np.array([
            [total / n * np.count_nonzero((label == k) & (above == side)) for side in (0, 1)]
            for k, total, n in ((0, 100, count[0]), (1, 1000, count[1]))
        ])  # fmt: skip

    s, b = bins(answers.logits)
    up, down = (
        bins(answers.elsewhere(build_cache(moved[f"scale_{k}"], cache.inputs))).sum(0)
        for k in ("up", "down")
    )
    by_hand = signal_strength_variance(
        torch.tensor(s), torch.tensor(b + 0.5), torch.tensor((up - down) / 2)[None]
    )
    assert objective(answers).item() == pytest.approx(by_hand.sqrt().item(), rel=1e-5)
    assert objective.frozen


def test_gradient_of_the_aware_loss_is_that_of_finite_differences():
    events = EVENTS[:300]
    moved = {name: each[:300] for name, each in varied(0.5).items()}
    aim = Aim("signal-strength", bins=5, softness=0.5, background_uncertainty=0.1)
    cache = build_cache(events, inputs_of(MLP, ("x", "y")))
    rows = np.arange(300)
    objective = aims_of(aim, events, moved, expected=(30, 300))(cache, rows, rows)[0]
    answers, weights = aware_answers(events)
    (gradient,) = torch.autograd.grad(objective(answers), weights)
    step = 1e-5
    for place in ((0, 0), (1, 0), (1, 1)):
        sides = []
        for sign in (1, -1):
            other, moved_weights = aware_answers(events)
            with torch.no_grad():
                moved_weights[place] += sign * step
            fresh = other._replace(logits=other.elsewhere(cache))
            sides.append(objective(fresh).item())
        assert gradient[place].item() == pytest.approx(
            (sides[0] - sides[1]) / (2 * step), rel=1e-4
        )


def test_training_against_systematics_gains_where_it_can(plain, tmp_path):
    """y is moved by its whole separation: a network that knows leans on x."""
    from fivesigma.search.classifiers import Spectrum, strength_gain

    aim, moved = Aim("signal-strength"), varied(1.0)
    options = replace(QUICK, epochs=12, batch_size=750)
    aware = fit_folds(
        replace(MLP, aim=aim, training=options), EVENTS, ("x", "y"), tmp_path, Folds(2),
        aims=aims_of(aim, EVENTS, moved, expected=(300, 3000)), start=plain,
    )  # fmt: skip
    y = signal(EVENTS)
    weight = np.where(y == 1, 300 / y.sum(), 3000 / (1 - y).sum())
    spectra = [
        Spectrum(y, (t.held_out(EVENTS), weight),
                 {"scale": [(t.held_out(moved[f"scale_{k}"]), weight) for k in ("up", "down")]})
        for t in (plain, aware)
    ]  # fmt: skip
    gain = strength_gain(*spectra)
    assert gain.value > 3 * gain.uncertainty
    assert (
        metrics.auc(y, aware.held_out(EVENTS)).value < metrics.auc(y, plain.held_out(EVENTS)).value
    )


@pytest.mark.parametrize(
    ("aim", "text"),
    [
        (Aim(decorrelate=1.0), "name the quantity to be independent of"),
        (Aim("signal-strength"), "no variations and no background_uncertainty"),
    ],
)
def test_aims_that_lack_something(aim, text):
    with pytest.raises(ValueError, match=text):
        aims_of(aim, EVENTS, {})
    assert aims_of(Aim(), EVENTS, {}) is None


# --- parametrised -------------------------------------------------------------------------------


def resonances(n: int, masses: tuple[float, ...], seed: int) -> ak.Array:
    """Signal peaks in `m` at its mass over flat background from 0 to 10."""
    rng = np.random.default_rng(seed)
    label = rng.integers(2, size=n)
    true = rng.choice(masses, n)
    m = np.where(label == 0, rng.normal(true, 0.7), rng.uniform(0, 10, n))
    return ak.Array({"m": m, "mass": np.where(label == 0, true, np.nan), "label": label})


def test_background_gets_masses_of_the_signal():
    events = draw_parameter(resonances(4000, (3.0, 7.0), 1), "mass")
    for label in (0, 1):
        own = ak.to_numpy(events.mass)[ak.to_numpy(events.label) == label]
        assert set(np.unique(own)) == {3.0, 7.0}
        assert np.mean(own == 3.0) == pytest.approx(0.5, abs=0.05)
    assert hypotheses(events, "mass") == [3.0, 7.0]
    again = draw_parameter(resonances(4000, (3.0, 7.0), 1), "mass")
    assert np.array_equal(again.mass, events.mass)
    with pytest.raises(ValueError, match="signal events need finite values"):
        draw_parameter(ak.with_field(events, np.full(4000, np.nan), "mass"), "mass")


def test_a_parametrised_network_knows_masses_between_those_it_learned(tmp_path):
    """Trained at 2, 4, 6, 8 it does at 5 nearly as well as one that was trained there."""
    training = replace(QUICK, epochs=25)
    classifier = replace(MLP, parameter="mass", training=training,
                         options={"hidden": [32, 32], "dropout": 0.0})  # fmt: skip
    events = draw_parameter(resonances(4000, (2.0, 4.0, 6.0, 8.0), 2), "mass")
    network = fit_folds(classifier, events, ("m",), tmp_path / "all", Folds(2)).run
    between = resonances(4000, (5.0,), 3)
    asked = network.predict(with_parameter(between, "mass", 5.0))[:, 0]
    astray = network.predict(with_parameter(between, "mass", 2.0))[:, 0]
    best = -np.abs(ak.to_numpy(between.m) - 5)  # the likelihood ratio's order
    areas = [metrics.auc(signal(between), score).value for score in (asked, astray, best)]
    assert areas[0] > areas[2] - 0.02
    assert areas[1] < areas[0] - 0.2
