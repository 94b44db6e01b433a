"""How sure a network is of its scores: Monte-Carlo dropout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from fivesigma.batches import Batches, Cache

__all__ = ["mc_dropout", "mc_dropout_logits"]

_DROPOUTS = (
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
    *(nn.AlphaDropout, nn.FeatureAlphaDropout),
)


def mc_dropout(
    network: nn.Module,
    cache: Cache,
    n_classes: int,
    passes: int,
    *,
    batch_size: int = 1024,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread of a network's probabilities while its dropout is on, arXiv:1506.02142.

    Args:
        network: the network, on the device.
        cache: N jets.
        n_classes: C outputs of the network.
        passes: number of draws, at least 2.
        batch_size: jets at a time.
        device: where the network is.
        seed: of the draws; they are the same for the same seed, jets and batch size.

    Returns:
        (N, C) float32 mean and (N, C) float32 standard deviation over the passes.

    Raises:
        ValueError: fewer than 2 passes, or a network without dropout.
    """
    mean, squares = np.zeros((2, len(cache), n_classes))
    arguments = (network, cache, n_classes, passes, batch_size, device, seed)
    for number, logits in enumerate(mc_dropout_logits(*arguments), 1):
        scores = torch.softmax(logits, dim=1).numpy()
        shift = scores - mean  # Welford's recursion: no pass needs to be kept
        mean += shift / number
        squares += shift * (scores - mean)
    return mean.astype(np.float32), np.sqrt(squares / (passes - 1)).astype(np.float32)


def mc_dropout_logits(
    network: nn.Module,
    cache: Cache,
    n_classes: int,
    passes: int,
    batch_size: int = 1024,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> Iterator[torch.Tensor]:
    """A network's outputs while its dropout is on, pass by pass; arguments as of `mc_dropout`.

    Dropout layers alone are as in training; normalisations keep their statistics.

    Returns:
        Of each pass (N, C) float32 on the CPU, in the order of the cache.

    Raises:
        ValueError: fewer than 2 passes, or a network without dropout.
    """
    if passes < 2:
        message = f"got {passes} passes; a spread needs at least 2"
        raise ValueError(message)
    layers: list[nn.Module] = [
        layer for layer in network.modules() if isinstance(layer, _DROPOUTS) and layer.p
    ]
    if not layers:
        message = (
            "this network has no dropout, so all passes would be the same; "
            "train it with dropout, or train an ensemble: --members 5"
        )
        raise ValueError(message)
    arguments = (network, layers, cache, n_classes, batch_size, device, seed)
    return (_pass(*arguments, number) for number in range(passes))


def _pass(
    network: nn.Module,
    layers: list[nn.Module],
    cache: Cache,
    n_classes: int,
    batch_size: int,
    device: torch.device | str,
    seed: int,
    number: int,
) -> torch.Tensor:
    logits = torch.zeros(len(cache), n_classes)
    with _dropping(network, layers), torch.random.fork_rng(), torch.inference_mode():
        mixed = np.random.SeedSequence((seed, number)).generate_state(1, np.uint64)
        torch.manual_seed(int(mixed[0] >> np.uint64(1)))
        for batch in Batches(cache, batch_size, shuffle=False).epoch():
            mask = None if batch.mask is None else batch.mask.to(device)
            logits[batch.index] = network(batch.x.to(device), mask).float().cpu()
    return logits


@contextmanager
def _dropping(network: nn.Module, layers: list[nn.Module]) -> Iterator[None]:
    """The network in evaluation mode but for these layers; then as it was."""
    before = [(module, module.training) for module in network.modules()]
    network.eval()
    for layer in layers:
        layer.train()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
