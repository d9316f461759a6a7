"""All pairs of a batch, as masks of a fixed shape: nothing is read from the device."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["PairMasks", "balanced", "pair_masks"]


class PairMasks(NamedTuple):
    """Which pairs i < j of a batch are of one class, `same`, and which are not, `other`: bool (B, B)."""

    same: Tensor
    other: Tensor


def pair_masks(labels: Tensor) -> PairMasks:
    """Return the masks of labels (B,)."""
    equal = labels[:, None] == labels
    upper = torch.ones_like(equal).triu(1)
    return PairMasks(equal & upper, ~equal & upper)


def balanced(same: Tensor, other: Tensor, masks: PairMasks) -> Tensor:
    """Return half the mean of `same` over pairs of one class plus half that of `other` over the others, ().

    A kind of pairs that a batch has none of adds 0.

    Args:
        same: losses of pairs if they are of one class, (B, B).
        other: losses of pairs if they are not.
        masks: which they are.

    """
    parts = [(terms * mask).sum() / mask.sum().clamp(min=1) for terms, mask in zip((same, other), masks, strict=True)]
    return (parts[0] + parts[1]) / 2
