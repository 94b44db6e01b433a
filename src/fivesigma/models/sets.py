"""Networks of jets as sets: F(sum of Phi(constituent)), or the maximum in the sum's place."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from fivesigma.models.blocks import NetworkInputs, dense, masked_max, masked_sum

__all__ = ["EFN", "PFN", "DeepSetsMax"]


class PFN(nn.Module):
    r"""Particle Flow Network, arXiv:1810.05165.

    $$\text{logits} = F\Big(\sum_i \Phi(p_i)\Big)$$

    By default on kinematic features in the jet's own frame, which need far fewer jets to learn
    from. The network of the top-tagging comparison arXiv:1902.09914 (82k parameters) is
    `phi=(100, 100, 256)` on the features `z deta_c dphi_c`: 82 458 parameters.

    Args:
        n_classes: number of classes.
        inputs: kind "constituents".
        phi: widths of Phi; the last is the size of the jet's representation.
        f: hidden widths of F.
        dropout: in F, in training.
    """

    kind = "constituents"
    features = (
        *("log_pt", "log_energy", "log_pt_rel", "log_energy_rel", "dr"),
        *("deta_rot", "dphi_rot"),
    )
    max_constituents = 128

    def __init__(
        self,
        n_classes: int,
        inputs: NetworkInputs,
        *,
        phi: Sequence[int] = (100, 100, 128),
        f: Sequence[int] = (100, 100, 100),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.phi = dense((len(inputs.features), *phi), last=True)
        # a sum over some 50 constituents is no longer of order one
        self.f = dense((phi[-1], *f, n_classes), dropout=dropout, gain=0.1)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Constituents (B, N, F) and their mask (B, N) to logits (B, n_classes)."""
        h = self.phi(x)  # (B, N, L)
        h = masked_sum(h, mask)  # (B, L)
        return self.f(h)


class EFN(nn.Module):
    r"""Energy Flow Network, arXiv:1810.05165: safe under soft and collinear emissions.

    $$\text{logits} = F\Big(\sum_i z_i\, \Phi(\eta_i, \phi_i)\Big)$$

    Args:
        n_classes: number of classes.
        inputs: kind "constituents"; the first feature is `z`, the others depend on directions.
        phi: widths of Phi.
        f: hidden widths of F.
        dropout: in F, in training.

    Raises:
        ValueError: the first feature is not `z`, or others are not purely angular.
    """

    kind = "constituents"
    features = ("z", "deta_rot", "dphi_rot")
    max_constituents = 200
    angular = ("deta_rot", "dphi_rot", "deta_c", "dphi_c", "deta", "dphi", "dr")

    def __init__(
        self,
        n_classes: int,
        inputs: NetworkInputs,
        *,
        phi: Sequence[int] = (100, 100, 128),
        f: Sequence[int] = (100, 100, 100),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if inputs.features[0] != "z" or not set(inputs.features[1:]) <= set(self.angular):
            message = (
                f"an EFN needs the features z and then some of {', '.join(self.angular)}; "
                f"got {', '.join(inputs.features)}"
            )
            raise ValueError(message)
        self.phi = dense((len(inputs.features) - 1, *phi), last=True)
        self.f = dense((phi[-1], *f, n_classes), dropout=dropout)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Constituents (B, N, 1 + A) and their mask (B, N) to logits (B, n_classes)."""
        h = x[..., :1] * self.phi(x[..., 1:])  # (B, N, L)
        h = masked_sum(h, mask)  # (B, L)
        return self.f(h)


class DeepSetsMax(nn.Module):
    r"""Small deep set with max-pooling, the size that fits trigger firmware.

    $$\text{logits} = F\Big(\max_i \Phi(p_i)\Big)$$

    Layers as the deep sets of arXiv:2402.01876 (3461 parameters on three features, five classes),
    here on 30 constituents with nine features: 3653 parameters.

    Args:
        n_classes: number of classes.
        inputs: kind "constituents".
        phi: widths of Phi.
        f: hidden widths of F.
    """

    kind = "constituents"
    features = (
        *("log_pt", "log_energy", "log_pt_rel", "z", "deta", "dphi", "dr"),
        *("charge", "tanh_d0"),
    )
    max_constituents = 30

    def __init__(
        self,
        n_classes: int,
        inputs: NetworkInputs,
        *,
        phi: Sequence[int] = (32, 32, 32),
        f: Sequence[int] = (32,),
    ) -> None:
        super().__init__()
        self.phi = dense((len(inputs.features), *phi), last=True)
        self.f = dense((phi[-1], *f, n_classes))

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Constituents (B, N, F) and their mask (B, N) to logits (B, n_classes)."""
        h = self.phi(x)  # (B, N, L), >= 0
        h = masked_max(h, mask)  # (B, L)
        return self.f(h)
