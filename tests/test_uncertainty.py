"""Monte-Carlo dropout: what it draws, and that nothing else changes; the spread of runs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.synthetic_jets import make_jets
from helpers.training_job import CLASSES, OPTIONS, SMALL, TRAIN, VALIDATION, run_fit
from torch import nn

from fivesigma import runs
from fivesigma.models import build
from fivesigma.runs import load_run, logits_of
from fivesigma.training import fit_members
from fivesigma.uncertainty import mc_dropout, mc_dropout_logits


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build("pfn", 2, VALIDATION.inputs, SMALL | {"dropout": 0.3}).eval()


def test_mean_and_spread_are_those_of_the_passes(network):
    passes = mc_dropout_logits(network, VALIDATION, 2, 20, seed=3)
    scores = np.stack([logits.softmax(1).numpy() for logits in passes])
    mean, spread = mc_dropout(network, VALIDATION, 2, 20, seed=3)
    assert mean.shape == spread.shape == (len(VALIDATION), 2)
    np.testing.assert_allclose(mean, scores.mean(0), atol=1e-6)
    np.testing.assert_allclose(spread, scores.std(0, ddof=1), atol=1e-6)
    np.testing.assert_allclose(mean.sum(1), 1, atol=1e-5)
    assert (spread > 0).all()


def test_the_seed_decides_and_the_callers_numbers_stay(network):
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    one, again, other = (mc_dropout(network, VALIDATION, 2, 4, seed=s)[0] for s in (1, 1, 2))
    assert torch.equal(torch.rand(2), expected)
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_linear_dropout_has_the_known_spread():
    """One jet feature, dropped with p = 0.5: logits are 0 or 2 x."""

    class Net(nn.Sequential):
        def forward(self, x, mask=None):
            return super().forward(torch.ones(len(x), 1))

    linear = nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[0.0], [1.0]]))
    found = torch.stack(list(mc_dropout_logits(Net(nn.Dropout(0.5), linear), VALIDATION, 2, 50)))[
        ..., 1
    ]
    assert set(found.unique().tolist()) == {0.0, 2.0}
    assert found.mean().item() == pytest.approx(1.0, abs=0.05)
    assert found.std().item() == pytest.approx(1.0, abs=0.02)


def test_normalisations_keep_their_statistics_and_modes_come_back():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.drop = nn.BatchNorm1d(4), nn.Dropout(0.5)
            self.out = nn.Linear(4, 2)

        def forward(self, x, mask):
            return self.out(self.drop(self.norm(torch.where(mask[..., None], x, 0.0).sum(1))))

    network = Net()
    network.norm.eval()
    before = network.norm.running_mean.clone()
    passes = mc_dropout_logits(network, VALIDATION, 2, 3)
    for logits in passes:
        # between passes, too
        modes = (network.training, network.norm.training, network.drop.training)
        assert modes == (True, False, True)
        assert not logits.requires_grad
        assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    assert torch.equal(network.norm.running_mean, before)
    plain = logits_of(network.eval(), VALIDATION, 2, 64, torch.device("cpu"))
    assert not torch.allclose(logits, plain)


def test_networks_without_dropout_are_refused(network):
    with pytest.raises(ValueError, match="no dropout"):
        mc_dropout(build("pfn", 2, VALIDATION.inputs, {}), VALIDATION, 2, 5)
    with pytest.raises(ValueError, match="at least 2"):
        mc_dropout(network, VALIDATION, 2, 1)


# --- runs ---------------------------------------------------------------------------------------

QUICK = replace(OPTIONS, epochs=1)


@pytest.mark.parametrize("chunk", [50_000, 30])
def test_an_ensemble_spreads_as_its_members_do(tmp_path, monkeypatch, chunk):
    run = fit_members(
        3, "pfn", TRAIN, VALIDATION, CLASSES, tmp_path, QUICK, model_options=SMALL
    )  # fmt: skip
    jets = make_jets(70, seed=3)
    each = [load_run(tmp_path / "members" / str(i)).predict(jets) for i in range(3)]
    monkeypatch.setattr(runs, "CHUNK", chunk)
    spread = run.spread(jets)
    assert spread.dtype == np.float32
    np.testing.assert_allclose(spread, np.std(each, axis=0, ddof=1), atol=1e-6)
    assert run.spread(jets[:0]).shape == (0, 2)


def test_one_network_spreads_as_its_dropout_does(tmp_path):
    run = run_fit(tmp_path / "run", QUICK)
    jets = make_jets(200, seed=100)  # those of VALIDATION
    expected = mc_dropout(run.model, VALIDATION, 2, 5)[1]
    np.testing.assert_allclose(run.spread(jets, passes=5), expected, atol=1e-6)
    before = run.predict(jets)
    assert (run.spread(jets) > 0).all()
    np.testing.assert_array_equal(run.predict(jets), before)
    with pytest.raises(ValueError, match="at least 2"):
        run.spread(jets, passes=1)
    plain = run_fit(tmp_path / "plain", QUICK, model_options=SMALL | {"dropout": 0.0})
    with pytest.raises(ValueError, match="no dropout"):
        plain.spread(jets)
