r"""InfoMax-GAN: the critic's features of an image tell its places from those of other images.

    L = -E_{n, a} log  exp s_nna / ( exp s_nna + sum_{j != n} sum_b exp s_njb ),    s_njb = <f(l_jb), h(g_n)>,

with l_jb the local features of image j at place b, those of the critic's last block but one, and g_n the
global features of image n. f and h are perceptrons with one hidden layer and a linear shortcut, spectrally normalised.
-L + log(1 + (N - 1) A), for N images and A places, is a lower bound of the mutual information between local
and global features, at most log(1 + (N - 1) A). The critic minimises it on real images, the generator on its own.

In mimicry, from the same authors, the places of the image itself, which are no negatives, enter the sum as exp(-10)
each; here they are left out.

Reference: Lee et al., "InfoMax-GAN: improved adversarial image generation via information maximization and contrastive
learning" (2021), https://arxiv.org/abs/2007.04589, equations 4-7.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from lsgen.latent import LatentSpace
from lsgen.models.gan.regularisers.base import JointRegulariser, Play
from lsgen.nn.adversarial.critics import spectrally_normalised

__all__ = ["ContrastiveTask", "contrastive_loss"]


def contrastive_loss(local: Tensor, whole: Tensor) -> Tensor:
    """Return L of projected local features (N, A, k) and global features (N, k), a scalar in nats; 0 if N = 1."""
    scores = torch.einsum("jbk,nk->njb", local, whole)
    own = torch.eye(len(whole), dtype=torch.bool, device=whole.device)
    positive = scores.diagonal().T
    others = scores.masked_fill(own[:, :, None], torch.finfo(scores.dtype).min).flatten(1).logsumexp(1)
    return softplus(others[:, None] - positive).mean()


class _Projection(nn.Module):
    """Features (..., width) -> (..., k)."""

    def __init__(self, width: int, k: int) -> None:
        super().__init__()
        self.hidden, self.out, self.shortcut = nn.Linear(width, width), nn.Linear(width, k), nn.Linear(width, k)
        for layer in (self.hidden, self.out, self.shortcut):
            nn.init.xavier_uniform_(layer.weight)
        spectrally_normalised(self)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(torch.relu(self.hidden(x))) + self.shortcut(x)
        return out


class ContrastiveTask(JointRegulariser):
    """The contrastive loss between local and global features of the critic, in the losses of both players.

    Args:
        weight: factor in the critic's loss, beta = 0.2 in the paper.
        generator_weight: factor in the generator's loss, alpha = 0.2 in the paper.
        width: dimension k that features are projected to, 1024 in the paper.
        every: see `Regulariser`.

    Raises:
        ValueError: see `JointRegulariser`; the width is not positive.

    """

    local: nn.Module
    whole: nn.Module

    def __init__(self, weight: float = 0.2, generator_weight: float = 0.2, width: int = 1024, every: int = 1) -> None:
        super().__init__(weight, generator_weight, every)
        if width < 1:
            raise ValueError(f"expected a width of at least 1, got {width}")
        self.width = int(width)

    def bind(self, critic: nn.Module, space: LatentSpace) -> None:
        """Make the projections.

        Raises:
            TypeError: the critic gives no local features.

        """
        score, channels = getattr(critic, "score", None), getattr(critic, "local_channels", None)
        if not isinstance(score, nn.Linear) or not isinstance(channels, int):
            raise TypeError(
                "ContrastiveTask expected a critic with local features, such as ResNetCritic of at least two blocks, "
                f"got {type(critic).__name__}"
            )
        self.local, self.whole = _Projection(channels, self.width), _Projection(score.in_features, self.width)

    def critic_penalty(self, play: Play) -> Tensor:
        """Return L of real images."""
        return self._loss(play, play.real)

    def generator_penalty(self, play: Play) -> Tensor:
        """Return L of generated images."""
        return self._loss(play, play.fake)

    def _loss(self, play: Play, x: Tensor) -> Tensor:
        local, whole = play.network.local_features(play.augment(x))  # type: ignore[operator]
        return contrastive_loss(self.local(local.flatten(2).mT), self.whole(whole))
