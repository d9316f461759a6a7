r"""Contrastive losses of two views: codes of one observation attract, those of different observations repel.

Of a batch of B observations the unit codes x_i of one view and y_j of the other have the logits

    l_ij = s <x_i, y_j>,    s = 1/tau                                     InfoNCE
    l_ij = t <x_i, y_j> + b                                               SigLIP

and P_ij = 1 where j is a partner of i, else 0: j = i, and with `identical_positives` whatever is identical to i in one
of the two views, since no network could tell it from i.

    InfoNCE   -1/2B sum_i sum_j (P_ij / sum_k P_ik log softmax_j(l_i.) + P_ij / sum_k P_kj log softmax_i(l_.j))
    SigLIP    -1/B sum_ij log sigmoid((2 P_ij - 1) l_ij)

At chance, with all logits equal, InfoNCE is log B whatever the partners are. A temperature tau, or t and b, is learned
with the encoders. The scale s is at most 100: `project` puts it back there after a step, as Radford et al. do, so that
at the limit its gradient is that of the loss, and one that points inwards is followed.

Reference: Radford et al., "Learning transferable visual models from natural language supervision" (2021),
https://arxiv.org/abs/2103.00020, figure 3 and section 2.5; Zhai et al., "Sigmoid loss for language image pre-training"
(2023), https://arxiv.org/abs/2303.15343, algorithm 1; Yang et al., "Unified contrastive learning in image-text-label
space" (2022), https://arxiv.org/abs/2204.03610, equations 3 and 4, for several partners in InfoNCE.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import log
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ContrastiveLoss", "InfoNCE", "SigLIP", "identical_rows"]

_MIX = (-7046029254386353131, -4658895280553007687, -7723592293110705685)  # odd constants of splitmix64, signed


class ContrastiveLoss(nn.Module, ABC):
    """Abstract loss of two views of the same observations.

    Args:
        identical_positives: whether observations that are identical in a view are partners; else, as in the papers,
            they repel one another as all others do.

    """

    least_observations: ClassVar[int] = 1

    def __init__(self, identical_positives: bool = False) -> None:
        super().__init__()
        self.identical_positives = bool(identical_positives)

    @abstractmethod
    def logits(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the logits l (B, B') of unit codes (B, d) and (B', d), in single precision at least."""

    @abstractmethod
    def of_logits(self, logits: Tensor, partners: Tensor) -> Tensor:
        """Return the loss, a scalar, of logits (B, B) with partners, bool (B, B)."""

    @abstractmethod
    def scalars(self) -> dict[str, Tensor]:
        """Return what is learned of the logits, 0-d tensors without a graph."""

    def project(self) -> None:
        """Put what is learned back into its range, after a step of the optimiser."""

    def forward(self, x: Tensor, y: Tensor, identical: Tensor | None = None) -> Tensor:
        """Return the loss, a scalar.

        Args:
            x: unit codes of one view, (B, d).
            y: unit codes of the other view of the same observations, (B, d).
            identical: which observations are identical in a view, bool (B, B); see `identical_positives`.

        Raises:
            ValueError: the views are of different numbers of observations, or of dimensions.

        """
        if x.ndim != 2 or x.shape != y.shape:
            raise ValueError(f"expected two views of codes (B, d), got {tuple(x.shape)} and {tuple(y.shape)}")
        partners = torch.eye(len(x), dtype=torch.bool, device=x.device)
        if self.identical_positives and identical is not None:
            partners = partners | identical
        return self.of_logits(self.logits(x, y), partners)


class InfoNCE(ContrastiveLoss):
    """The cross entropy of finding the partner of a code among all codes of the other view, in nats, both ways.

    Args:
        temperature: tau at the start.
        learned: whether it is learned.
        most: greatest scale 1/tau.
        identical_positives: see `ContrastiveLoss`.

    Raises:
        ValueError: the temperature is not positive, or so small that the scale is beyond the greatest.

    """

    least_observations: ClassVar[int] = 2

    def __init__(
        self,
        temperature: float = 0.07,
        learned: bool = True,
        most: float = 100.0,
        identical_positives: bool = False,
    ) -> None:
        super().__init__(identical_positives)
        if not temperature > 0 or not 1 / temperature <= most * (1 + 1e-6):
            raise ValueError(f"expected a temperature of at least 1/most = {1 / most:g}, got {temperature}")
        self.most = float(most)
        self.log_scale = nn.Parameter(torch.tensor(-log(temperature)), requires_grad=learned)

    def logits(self, x: Tensor, y: Tensor) -> Tensor:
        """Return s <x_i, y_j>."""
        return self.log_scale.exp() * _cosines(x, y)

    def of_logits(self, logits: Tensor, partners: Tensor) -> Tensor:
        """Return the mean of both directions."""
        weights = partners.to(logits.dtype)
        rows = weights / weights.sum(1, keepdim=True) * logits.log_softmax(1)
        columns = weights / weights.sum(0, keepdim=True) * logits.log_softmax(0)
        return -(rows + columns).sum() / (2 * len(logits))

    def scalars(self) -> dict[str, Tensor]:
        """Return the temperature."""
        return {"temperature": self.log_scale.detach().neg().exp()}

    @torch.no_grad()
    def project(self) -> None:
        """Put a scale beyond the greatest back to it."""
        self.log_scale.clamp_(max=log(self.most))


class SigLIP(ContrastiveLoss):
    """The cross entropy of whether two codes are of one observation, in nats, summed over the pairs of an observation.

    Args:
        scale: t at the start; it is exp of what is learned.
        bias: b at the start.
        identical_positives: see `ContrastiveLoss`.

    Raises:
        ValueError: the scale is not positive.

    """

    def __init__(self, scale: float = 10.0, bias: float = -10.0, identical_positives: bool = False) -> None:
        super().__init__(identical_positives)
        if not scale > 0:
            raise ValueError(f"expected a scale above 0, got {scale}")
        self.log_scale = nn.Parameter(torch.tensor(log(scale)))
        self.bias = nn.Parameter(torch.tensor(float(bias)))

    def logits(self, x: Tensor, y: Tensor) -> Tensor:
        """Return t <x_i, y_j> + b."""
        return self.log_scale.exp() * _cosines(x, y) + self.bias

    def of_logits(self, logits: Tensor, partners: Tensor) -> Tensor:
        """Return the sum over pairs, by the number of observations."""
        return functional.softplus(torch.where(partners, -logits, logits)).sum() / len(logits)

    def scalars(self) -> dict[str, Tensor]:
        """Return the temperature 1/t and the bias."""
        return {"temperature": self.log_scale.detach().neg().exp(), "bias": self.bias.detach().clone()}


def identical_rows(*views: Tensor) -> Tensor:
    """Return which observations are identical in at least one of their views, bool (B, B).

    Rows are compared by 64-bit fingerprints, without a wait for the device; those of two different rows agree with a
    probability of about 5e-20.

    Args:
        views: observations (B, *shape) of each.

    """
    marks = torch.stack([_fingerprints(view) for view in views])
    return (marks[:, :, None] == marks[:, None]).any(0)


def _fingerprints(x: Tensor) -> Tensor:
    """Return a number for each row, int64 (B,): the wrapped sum of mixed bits of values and their places."""
    flat = (x.flatten(1).to(torch.float64) + 0.0).view(torch.int64)  # adding 0 makes -0 the same as 0
    mixed = flat + (torch.arange(flat.shape[1], device=x.device) + 1) * _MIX[0]
    for multiplier, shift in ((_MIX[1], 30), (_MIX[2], 27)):
        mixed = (mixed ^ ((mixed >> shift) & (2 ** (64 - shift) - 1))) * multiplier
    return (mixed ^ ((mixed >> 31) & (2**33 - 1))).sum(1)


def _cosines(x: Tensor, y: Tensor) -> Tensor:
    """Return the products of unit codes in single precision at least: half has no digits for a scale of 100."""
    with torch.autocast(x.device.type, enabled=False):
        kind = torch.promote_types(torch.promote_types(x.dtype, y.dtype), torch.float32)
        return x.to(kind) @ y.to(kind).T
