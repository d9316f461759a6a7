"""Checks on values of tensors that do not make a training step wait for an accelerator."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["known_to_hold"]


def known_to_hold(condition: Tensor) -> bool:
    """Return whether a condition holds for any element, without making a training step wait for an accelerator.

    There, while gradients are recorded, the answer is False: what the condition speaks of then becomes NaN, which ends
    in the loss.
    """
    if condition.device.type != "cpu" and torch.is_grad_enabled():
        return False
    return bool(condition.any())
