"""The training of the small networks that learn what samples say of their parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

__all__ = ["minimise"]


def minimise(parameters: Iterable[nn.Parameter], loss: Callable[[], Tensor], steps: int, rate: float) -> None:
    """Minimise a loss by Adam, at a rate that rises over a tenth of the steps and falls to zero by a cosine.

    Args:
        parameters: what is trained.
        loss: the loss of another batch at every call.
        steps: how many.
        rate: the highest rate.

    Raises:
        ValueError: the last loss is not finite.

    """
    adam = torch.optim.Adam(parameters, rate, betas=(0.9, 0.99))
    plan = torch.optim.lr_scheduler.OneCycleLR(adam, rate, total_steps=steps, pct_start=0.1)
    for _ in range(steps):
        value = loss()
        adam.zero_grad()
        value.backward()
        adam.step()
        plan.step()
    if not bool(value.detach().isfinite()):
        raise ValueError("expected training to converge, got a loss that is not finite: lower the rate of learning")
