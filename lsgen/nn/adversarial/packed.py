r"""PacGAN: a critic that judges packs of m observations of one kind together, so that it sees when they are too alike.

    C(x_1, ..., x_m),   the m observations beside each other along their first dimension, the channels of images

For the loss, and for every penalty on the critic, a pack is one observation. A batch that m does not divide fills its
last pack with its first observations; one smaller than a pack repeats its own.

Reference: Lin et al., "PacGAN: the power of two samples in generative adversarial networks" (2018),
https://arxiv.org/abs/1712.04086, section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

__all__ = ["PackedCritic", "augmented", "packs", "unpacked"]


def packs(x: Tensor, m: int) -> Tensor:
    """Return observations (N, C, ...) in packs (ceil(N/m), m C, ...)."""
    if m == 1:
        return x
    count = -(-len(x) // m)
    if missing := count * m - len(x):
        x = torch.cat([x, x[torch.arange(missing, device=x.device) % len(x)]])
    return x.reshape(count, m * x.shape[1], *x.shape[2:])


def unpacked(x: Tensor, m: int) -> Tensor:
    """Return the observations (M m, C, ...) of packs (M, m C, ...)."""
    return x.reshape(len(x) * m, x.shape[1] // m, *x.shape[2:])


def augmented(x: Tensor, augment: Callable[[Tensor], Tensor], m: int) -> Tensor:
    """Return packs (M, m C, ...) of observations that are augmented each by itself."""
    return packs(augment(unpacked(x, m)), m)


class PackedCritic(nn.Module):
    """Packs of observations (M, m C, ...) -> scores (M,).

    Args:
        shape: shape of one observation, (C, ...).
        critic: constructor of a critic of packs, called with their shape (m C, ...).
        pack: observations m in a pack; 2 to 4 in the paper.

    Raises:
        ValueError: there are fewer than 2 in a pack, or the critic asks for classes.

    """

    def __init__(self, shape: Sequence[int], critic: Callable[[Sequence[int]], nn.Module], pack: int = 2) -> None:
        super().__init__()
        if pack < 2:
            raise ValueError(f"expected packs of at least 2 observations, got {pack}")
        self.pack, self.width = int(pack), int(pack) * int(shape[0])
        self.critic = critic((self.width, *shape[1:]))
        if getattr(self.critic, "classes", 0):
            raise ValueError(f"expected a critic of packs without classes, got {type(self.critic).__name__} with some")

    def forward(self, packed: Tensor) -> Tensor:
        """Return scores (M,).

        Raises:
            ValueError: the observations are not in packs.

        """
        if packed.shape[1] != self.width:
            shape = tuple(packed.shape)
            raise ValueError(f"expected packs of {self.width} channels, got observations {shape}: see `packs`")
        scores: Tensor = self.critic(packed)
        return scores
