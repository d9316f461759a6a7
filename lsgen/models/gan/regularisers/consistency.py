r"""Penalties on what should hardly change: the score under augmentations, and under small steps of the code.

    Consistency            E (C(x) - C(T(x)))^2                            for a random augmentation T         (CR)
    GeneratedConsistency   E (C(G(z)) - C(T(G(z))))^2                      the two together are bCR
    LatentConsistency      critic      E (C(G(z)) - C(G(z + s e)))^2,  e ~ N(0, I)                             (zCR)
                           generator  -1/D E |G(z) - G(z + s e)|^2         for D dimensions

bCR and zCR together are ICR. The generator of zCR gains by changing its output, which keeps it from ignoring the code;
the paper writes the squared norm of that change, here it is a mean over dimensions, which no size of images changes.

Reference: Zhang et al. (2020), https://arxiv.org/abs/1910.12027; Zhao et al. (2021), https://arxiv.org/abs/2002.04724,
algorithms 1 and 2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lsgen.latent import Euclidean, LatentSpace, Manifold
from lsgen.models.gan.regularisers.base import CriticRegulariser, JointRegulariser, Play, Scores
from lsgen.nn.adversarial.packed import augmented

__all__ = ["Consistency", "GeneratedConsistency", "LatentConsistency"]


class Consistency(CriticRegulariser):
    """The change of the score under an augmentation of real observations.

    Args:
        augment: observations (N, *shape) -> observations (N, *shape), at random.
        weight: factor, 10 in the paper.
        every: see `Regulariser`.

    """

    def __init__(self, augment: nn.Module, weight: float = 10.0, every: int = 1) -> None:
        super().__init__(weight, every)
        self.augment = augment

    def forward(self, critic: Scores, real: Tensor, fake: Tensor) -> Tensor:
        """Return E (C(x) - C(T(x)))^2."""
        return (critic(real) - critic(augmented(real, self.augment, self.pack))).square().mean()


class GeneratedConsistency(Consistency):
    """The change of the score under an augmentation of generated observations; beside `Consistency` it makes bCR.

    Args:
        augment: observations (N, *shape) -> observations (N, *shape), at random.
        weight: factor, 10 in the paper.
        every: see `Regulariser`.

    """

    def forward(self, critic: Scores, real: Tensor, fake: Tensor) -> Tensor:
        """Return E (C(G(z)) - C(T(G(z))))^2."""
        return super().forward(critic, fake, real)


class LatentConsistency(JointRegulariser):
    """The change of scores and of generated observations under a small random step of the code.

    On a curved space the step goes along a geodesic; classes stay as they are. A generator with noise of its own draws
    it anew, and what the noise changes counts as well.

    Args:
        weight: factor lambda_dis in the critic's loss.
        generator_weight: factor lambda_gen in the generator's loss; 0 leaves the generator alone.
        step: standard deviation s of the step in each coordinate.
        every: see `Regulariser`.

    Raises:
        ValueError: see `JointRegulariser`; the step is not positive.

    """

    def __init__(self, weight: float = 5.0, generator_weight: float = 0.5, step: float = 0.03, every: int = 1) -> None:
        super().__init__(weight, generator_weight, every)
        if not step > 0:
            raise ValueError(f"expected a step above 0, got {step}")
        self.step = float(step)
        self.manifold: Manifold = Euclidean()

    def bind(self, critic: nn.Module, space: LatentSpace) -> None:
        """Store the manifold on which codes lie.

        Raises:
            TypeError: the codes cannot move continuously.

        """
        space.prior.manifold.check_continuous()
        self.manifold = space.prior.manifold

    def critic_penalty(self, play: Play) -> Tensor:
        """Return E (C(G(z)) - C(G(z + s e)))^2."""
        with torch.no_grad():
            moved = play.generate(self._moved(play.z))
        return (play.scores - play.critic(moved)).square().mean()

    def generator_penalty(self, play: Play) -> Tensor:
        """Return -1/D E |G(z) - G(z + s e)|^2."""
        return -(play.fake - play.generate(self._moved(play.z))).square().mean()

    def _moved(self, z: Tensor) -> Tensor:
        return self.manifold.shift(z, self.step * torch.randn_like(z))
