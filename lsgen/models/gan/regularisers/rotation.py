r"""Self-supervision by rotation: the critic's features tell by which quarter turn an image was rotated.

    critic      w_D E_x E_r H(r, P(r | x turned by 90 r degrees)),      r uniform among 0, 1, 2, 3
    generator   w_G E_z E_r H(r, P(r | G(z) turned by 90 r degrees))

with H the cross-entropy in nats: the critic learns it from real images alone, and the generator makes images that it
can tell. The n-th image of a batch is turned by n mod 4 quarters, so that all four are there equally often.

Reference: Chen et al., "Self-supervised GANs via auxiliary rotation loss" (2019), https://arxiv.org/abs/1811.11212,
equation 4, where w_G and w_D are alpha and beta.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.parametrize import is_parametrized

from lsgen.latent import LatentSpace
from lsgen.models.gan.regularisers.base import JointRegulariser, Play
from lsgen.nn.adversarial.critics import spectrally_normalised

__all__ = ["RotationTask", "rotated"]


def rotated(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return images (N, C, S, S), every fourth turned alike, and by how many quarter turns, (N,)."""
    turned = [torch.rot90(x[k::4], k, (2, 3)) for k in range(4)]
    quarters = [torch.full((len(part),), k, device=x.device) for k, part in enumerate(turned)]
    return torch.cat(turned), torch.cat(quarters)


class RotationTask(JointRegulariser):
    """The cross-entropy of recognising quarter turns, from the critic's features by a linear head.

    The head is spectrally normalised if the critic's score is.

    Args:
        weight: factor w_D in the critic's loss, 1 in the paper.
        generator_weight: factor w_G in the generator's loss, 0.2 in the paper.
        every: see `Regulariser`.

    """

    head: nn.Module

    def __init__(self, weight: float = 1.0, generator_weight: float = 0.2, every: int = 1) -> None:
        super().__init__(weight, generator_weight, every)

    def bind(self, critic: nn.Module, space: LatentSpace) -> None:
        """Make the head.

        Raises:
            TypeError: the critic has no features and score.
            ValueError: observations are no square images.

        """
        score, shape = getattr(critic, "score", None), tuple(space.likelihood.shape)
        if not isinstance(score, nn.Linear) or not callable(getattr(critic, "features", None)):
            raise TypeError(f"RotationTask expected a critic with features and score, got {type(critic).__name__}")
        if len(shape) != 3 or shape[1] != shape[2]:
            raise ValueError(f"RotationTask expected images (C, S, S), got {shape}")
        self.head = nn.Linear(score.in_features, 4)
        if is_parametrized(score):
            spectrally_normalised(self.head)

    def critic_penalty(self, play: Play) -> Tensor:
        """Return E H(r, P(r|x)) of turned real images."""
        return self._entropy(play, play.real)

    def generator_penalty(self, play: Play) -> Tensor:
        """Return E H(r, P(r|G(z))) of turned generated images."""
        return self._entropy(play, play.fake)

    def _entropy(self, play: Play, x: Tensor) -> Tensor:
        turned, quarters = rotated(x)
        features: Tensor = play.network.features(play.augment(turned))  # type: ignore[operator]
        return cross_entropy(self.head(features), quarters)
