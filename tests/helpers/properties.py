"""What every network must hold to, as checks on one network and one batch."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

Mask = torch.Tensor | None


def logits(network: nn.Module, x: torch.Tensor, mask: Mask = None) -> torch.Tensor:
    with torch.inference_mode():
        return network.eval()(x, mask)


def assert_close(got: torch.Tensor, want: torch.Tensor, atol: float = 1e-5) -> None:
    torch.testing.assert_close(got, want, atol=atol, rtol=1e-5)


def assert_alone_as_together(network: nn.Module, x: torch.Tensor, mask: Mask) -> None:
    """A jet's logits do not depend on the jets beside it, nor on the padding they cause."""
    together = logits(network, x, mask)
    for i in range(len(x)):
        if mask is None:
            alone = logits(network, x[i : i + 1])
        else:
            n = max(int(mask[i].sum()), 1)
            alone = logits(network, x[i : i + 1, :n], mask[i : i + 1, :n])
        assert_close(alone[0], together[i])


def assert_padding_ignored(network: nn.Module, x: torch.Tensor, mask: torch.Tensor) -> None:
    """More padding changes nothing, whatever stands in it."""
    more = torch.full((len(x), 37, x.shape[2]), 1e3)
    padded = torch.cat([x, more], 1)
    longer = torch.cat([mask, torch.zeros(len(x), 37, dtype=torch.bool)], 1)
    assert_close(logits(network, padded, longer), logits(network, x, mask))


def assert_permutation_invariant(network: nn.Module, x: torch.Tensor, mask: torch.Tensor) -> None:
    order = torch.randperm(x.shape[1], generator=torch.Generator().manual_seed(5))
    assert_close(logits(network, x[:, order], mask[:, order]), logits(network, x, mask))


def assert_gradients_reach_all(network: nn.Module, x: torch.Tensor, mask: Mask) -> None:
    network.train().zero_grad()
    network(x, mask).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
        assert torch.isfinite(parameter.grad).all(), name


def assert_precision_agrees(network: nn.Module, x: torch.Tensor, mask: Mask) -> None:
    """Single precision is enough: double precision says the same."""
    double = copy.deepcopy(network).double()
    assert_close(logits(network, x, mask).double(), logits(double, x.double(), mask), atol=1e-4)


def assert_same_after_saving(
    network: nn.Module, fresh: nn.Module, x: torch.Tensor, mask: Mask, path: Path
) -> None:
    """Bit-equal through safetensors, which refuses tensors in an unusual memory order."""
    save_file(network.state_dict(), path)
    fresh.load_state_dict(load_file(path))
    assert torch.equal(logits(fresh, x, mask), logits(network, x, mask))


def assert_onnx_equal(network: nn.Module, x: torch.Tensor, mask: Mask, path: Path) -> None:
    """ONNX gives the same, also for other numbers of jets and constituents than exported with."""
    import onnxruntime

    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    arguments: tuple[torch.Tensor, ...] = (x[:2],) if mask is None else (x[:2], mask[:2])
    shapes = ({0: batch},) if mask is None else ({0: batch, 1: length}, {0: batch, 1: length})
    torch.onnx.export(
        *(network.eval(), arguments, path),
        dynamo=True,
        dynamic_shapes=shapes,
        input_names=["x", "mask"][: len(arguments)],
        verbose=False,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    shorter = x if mask is None else x[:, :-3]
    feed = {"x": shorter.numpy()} | ({} if mask is None else {"mask": mask[:, :-3].numpy()})
    want = logits(network, shorter, None if mask is None else mask[:, :-3])
    np.testing.assert_allclose(session.run(None, feed)[0], want.numpy(), atol=1e-5, rtol=1e-5)
