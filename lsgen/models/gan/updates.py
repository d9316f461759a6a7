"""Options of how the two players of an adversarial game are updated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lsgen.models.base import OptimizerFactory

__all__ = ["Updates"]

_ADAM = partial(Adam, lr=2e-4, betas=(0.0, 0.9))


@dataclass(frozen=True)
class Updates:
    """Optimisers of generator and critic, and how their updates alternate.

    Attributes:
        generator_optimizer: parameters -> optimiser of the generator; Adam(2e-4, betas (0, 0.9)) unless given.
        critic_optimizer: parameters -> optimiser of the critic; the same unless given.
        scheduler: optimiser -> learning-rate scheduler, one for either player, stepped once a generator step.
        n_critic: updates of the critic for one of the generator.
        accumulate: batches that one update of either player is made of.
        clip_norm: largest gradient norm of either player's update; unbounded if it is None.

    Raises:
        ValueError: a count or the norm is not positive.

    """

    generator_optimizer: OptimizerFactory = _ADAM
    critic_optimizer: OptimizerFactory = _ADAM
    scheduler: Callable[[Optimizer], LRScheduler] | None = None
    n_critic: int = 1
    accumulate: int = 1
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        for name in ("n_critic", "accumulate"):
            if (count := getattr(self, name)) < 1:
                raise ValueError(f"expected {name} of at least 1, got {count}")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(f"expected a clip_norm above 0, got {self.clip_norm}")
