"""A tagger from four-momenta to probabilities in one torch module, as it is exported.

The formulas are those of `features`, the steps those of `preparation` and `images`, on padded
arrays in place of ragged ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from fivesigma.events import FIELDS
from fivesigma.features import FEATURES, shared
from fivesigma.inputs import Inputs

__all__ = ["Scorer", "needed_fields"]

#: what a formula finds without being given it, of constituents and of jets
_OF_CONSTITUENTS = ("pt", "eta", "phi")
_DERIVED = ("energy", "deta", "dphi", "dr")
_OF_JETS = ("pt", "eta", "phi", "mass", "energy")
#: features that are the four-momentum: what is given has less rounding than what is recomputed
_GIVEN = ("px", "py", "pz", "energy")
#: least pT [GeV] in the quotient pz / pT, so that pseudorapidities stay finite
_LEAST_PT = 1e-9

Columns = dict[str, torch.Tensor]
Total = Callable[[torch.Tensor], torch.Tensor]


def needed_fields(inputs: Inputs) -> tuple[str, ...]:
    """Fields of constituents, besides the four-momentum, from which these inputs are computed.

    `mass` is among them where a feature is made of it: four-momenta in single precision do not
    hold that of a light constituent.

    Returns:
        Names in the order of `events.FIELDS["constituents"]`, then others by name.

    Example:
        >>> needed_fields(Inputs(features=("log_pt", "tanh_d0", "charge")))
        ('charge', 'd0')

    Raises:
        ValueError: inputs that are no function of the constituents.
    """
    if inputs.kind == "image":
        return ("charge",) if "charged_pt" in inputs.channels else ()
    if inputs.kind != "constituents":
        message = (
            f"inputs of kind {inputs.kind!r} ({', '.join(inputs.features[:3])} ...) come from "
            "outside the network; only constituents and images are computed in the exported file"
        )
        raise ValueError(message)
    needed = set().union(*(_asked_for(name) for name in inputs.features))
    known = [name for name in FIELDS["constituents"] if name in needed]
    return (*known, *sorted(needed - set(known)))


def _asked_for(feature: str) -> set[str]:
    """Fields that a formula misses among what it finds: it says so, one after the other."""
    one = np.ones(1)
    missed: set[str] = set()
    while True:
        columns = dict.fromkeys((*_OF_CONSTITUENTS, *missed), one)
        derived, jets = dict.fromkeys(_DERIVED, one), dict.fromkeys(_OF_JETS, one)
        c, j = shared(np, columns, jets, lambda values: values, derived)
        try:
            FEATURES[feature].formula(np, c, j)
        except AttributeError as error:
            if error.obj is not c or error.name is None:
                raise
            missed.add(error.name)
        else:
            return missed


class Scorer(nn.Module):
    """A network with the making of its inputs before it and a softmax behind it.

    The jet's axis, momentum and energy are those of the sum of its constituents.

    Args:
        network: with `forward(x, mask)` or, of images, `forward(x)`.
        inputs: what it sees, complete with mean and scale.

    Raises:
        ValueError: inputs that are no function of the constituents.
    """

    def __init__(self, network: nn.Module, inputs: Inputs) -> None:
        super().__init__()
        self.network, self.inputs = network, inputs
        self.fields = needed_fields(inputs)
        clip = [FEATURES[name].clip for name in inputs.features]
        self.mean: torch.Tensor
        self.scale: torch.Tensor
        self.clip: torch.Tensor
        for name, constants in (("mean", inputs.mean), ("scale", inputs.scale), ("clip", clip)):
            self.register_buffer(name, torch.tensor(constants, dtype=torch.float32), False)

    def forward(
        self, momenta: torch.Tensor, mask: torch.Tensor, fields: Sequence[torch.Tensor] = ()
    ) -> torch.Tensor:
        """Probabilities (B, C) of the classes; NaN where a momentum is NaN or infinite.

        Args:
            momenta: (B, N, 4) px, py, pz, E of the constituents [GeV], in any order.
            mask: (B, N) bool, true for real constituents; what stands elsewhere does not matter.
            fields: (B, N) each, in the order of `self.fields` [GeV, e, mm].
        """
        momenta = torch.where(mask[..., None], momenta, 0.0)
        # in double precision, because a network sees differences to the axis
        total = momenta.double().sum(1, keepdim=True)  # (B, 1, 4)
        jets = _kinematics(total.float())  # (B, 1) each
        columns = _kinematics(momenta) | dict(zip(self.fields, fields, strict=True))
        columns, mask = _leading(columns, mask, self.inputs.max_constituents)
        c, j = shared(torch, columns, jets, _total(mask))
        # the stage that gives `dr` puts energies of pT, eta and mass there: those given are better
        c.dr, c.energy = c.dr, columns["energy"]
        given = {name: columns[name] for name in _GIVEN}
        if self.inputs.kind == "image":
            logits = self._image_logits(c, mask)
        else:
            logits = self._set_logits(c, j, mask, given)
        # features that are no number become their mean, behind which nobody would notice
        sound = torch.isfinite(total.sum(2))  # (B, 1)
        return torch.where(sound, torch.softmax(logits, 1), torch.nan)

    def _set_logits(
        self, c: SimpleNamespace, j: SimpleNamespace, mask: torch.Tensor, given: Columns
    ) -> torch.Tensor:
        values = [
            given[name] if name in given else FEATURES[name].formula(torch, c, j)
            for name in self.inputs.features
        ]
        x = torch.stack([value.float() for value in values], -1)  # (B, N, F)
        x = (x - self.mean) * self.scale
        x = torch.where(torch.isnan(x), 0.0, x)  # 0 / 0 in a ratio: the mean
        x = torch.minimum(torch.maximum(x, -self.clip), self.clip)
        return self.network(torch.where(mask[..., None], x, 0.0), mask)

    def _image_logits(self, c: SimpleNamespace, mask: torch.Tensor) -> torch.Tensor:
        pixels = self.inputs.pixels
        column, row = (self._pixel(x) for x in (c.eta_oriented, c.phi_oriented))  # (B, N)
        inside = mask & (column >= 0) & (column < pixels) & (row >= 0) & (row < pixels)
        # one pixel more takes what falls outside
        cell = torch.where(inside, row * pixels + column, pixels * pixels).long()
        image = torch.stack([_image(v, cell, pixels) for v in self._channels(c, inside)], 1)
        return self.network(image)

    def _pixel(self, x: torch.Tensor) -> torch.Tensor:
        # in double precision as in `images`, so that the same values fall into the same pixels
        scale = self.inputs.pixels / (2 * self.inputs.half_width)
        return torch.floor((x.double() + self.inputs.half_width) * scale)

    def _channels(self, c: SimpleNamespace, inside: torch.Tensor) -> list[torch.Tensor]:
        """(B, N) what each constituent adds to its pixel, channel by channel."""
        seen = torch.where(inside, c.pt, 0.0)
        total = seen.sum(1, keepdim=True)  # (B, 1)
        share = seen / torch.where(total > 0, total, 1.0)
        made: dict[str, Callable[[], torch.Tensor]] = {
            "pt": lambda: share,
            "charged_pt": lambda: share * (c.charge != 0),
            "count": lambda: inside.float(),
        }
        return [made[name]() for name in self.inputs.channels]


def _kinematics(momenta: torch.Tensor) -> Columns:
    """`px py pz energy pt eta phi mass` of (..., 4) px, py, pz, E [GeV, rad]."""
    px, py, pz, energy = momenta.unbind(-1)
    pt = torch.sqrt(px**2 + py**2)
    p = torch.sqrt(pt**2 + pz**2)
    return {
        **{"px": px, "py": py, "pz": pz, "energy": energy},
        "pt": pt,
        "eta": torch.asinh(pz / pt.clamp(min=_LEAST_PT)),
        "phi": torch.arctan2(py, px),
        "mass": torch.sqrt(((energy - p) * (energy + p)).clamp(min=0.0)),
    }


def _leading(columns: Columns, mask: torch.Tensor, most: int) -> tuple[Columns, torch.Tensor]:
    """Columns (B, N) and mask of the `most` leading constituents by falling pT, padding last."""
    key = torch.where(mask, columns["pt"], -1.0)
    count = torch.sym_min(mask.shape[1], most)
    if torch.compiler.is_exporting():
        order = torch.topk(key, count, dim=1).indices  # ONNX: of equals the first comes first
    else:
        order = torch.sort(key, dim=1, descending=True, stable=True).indices[:, :count]
    return {k: v.gather(1, order) for k, v in columns.items()}, mask.gather(1, order)


def _total(mask: torch.Tensor) -> Total:
    """Sums (B, N) over the real constituents: (B, 1), in double precision inside."""
    return lambda v: torch.where(mask, v, 0.0).double().sum(1, keepdim=True).float()


def _image(values: torch.Tensor, cell: torch.Tensor, pixels: int) -> torch.Tensor:
    """(B, H, W) values (B, N) summed in their pixels."""
    empty = values.new_zeros(values.shape[0], pixels * pixels + 1)  # `len` would fix the number
    image = empty.scatter_add(1, cell, values)
    return image[:, :-1].unflatten(1, (pixels, pixels))
