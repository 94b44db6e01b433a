"""A dense network of an event's or a jet's own quantities."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from fivesigma.models.blocks import NetworkInputs, he_uniform
from fivesigma.models.norms import RowNorm

__all__ = ["MLP"]


class MLP(nn.Module):
    r"""Multi-layer perceptron with batch normalisation and dropout.

    Each hidden layer is $\text{dropout}(\text{ReLU}(\text{norm}(W h)))$; batch normalisation as in
    arXiv:1502.03167. 8322 parameters with 28 observables and 2 classes.

    Args:
        n_classes: number of classes.
        inputs: kind "observables".
        hidden: widths of the hidden layers.
        batch_norm: normalise each layer's values over the batch in training.
        dropout: probability with which a hidden value is dropped in training.
    """

    kind = "observables"
    #: of a jet; events have names of their own
    features = (
        *("mass", "softdrop_mass", "tau1", "tau2", "tau3", "tau4", "tau21", "tau32", "tau43"),
        *("c2", "d2", "n2", "ptd", "width", "multiplicity"),
    )

    def __init__(
        self,
        n_classes: int,
        inputs: NetworkInputs,
        *,
        hidden: Sequence[int] = (64, 64, 32),
        batch_norm: bool = True,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = len(inputs.features)
        for size in hidden:
            # the normalisation's shift makes a bias idle
            layers.append(he_uniform(nn.Linear(width, size, bias=not batch_norm)))
            layers += [RowNorm(size)] if batch_norm else []
            layers += [nn.ReLU(), nn.Dropout(dropout)]
            width = size
        # so that the first scores are all about alike
        last = he_uniform(nn.Linear(width, n_classes), 0.1)
        self.layers = nn.Sequential(*layers, last)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Observables (B, F) to logits (B, n_classes); there is nothing to mask."""
        return self.layers(x)
