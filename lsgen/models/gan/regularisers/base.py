"""What penalties in the losses of a GAN's players have in common.

A regulariser enters the loss of its player with `weight`. Lazy regularisation evaluates it in every `every`-th
update only, there with `every * weight`, so that its average strength is unchanged; it shares the update with
the adversarial loss, so no learning rate has to be corrected for extra updates.

    CriticRegulariser      what the critic, as a function, does at real and at generated observations
    ScoreRegulariser       the scores of the update, which are there already
    GeneratorRegulariser   what the generator does at the codes of the update
    JointRegulariser       one term in the loss of either player, each with a weight of its own
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from lsgen.latent import LatentSpace, Manifold, Prior

__all__ = [
    "CriticRegulariser",
    "GeneratorRegulariser",
    "JointRegulariser",
    "Play",
    "Regulariser",
    "ScoreRegulariser",
    "Scores",
]

Scores = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Play:
    """What one update of either player has at hand.

    Attributes:
        critic: observations (N, *shape) -> scores (N,), augmented as in the update.
        network: the critic's network, without augmentation.
        augment: what observations undergo before the critic sees them.
        generate: codes (N, d) -> observations as the critic sees them.
        z: codes (N, d).
        real: real observations.
        fake: generated observations, with their graph in the generator's update.
        scores: scores of the generated observations.

    """

    critic: Scores
    network: nn.Module
    augment: Callable[[Tensor], Tensor]
    generate: Callable[[Tensor], Tensor]
    z: Tensor
    real: Tensor
    fake: Tensor
    scores: Tensor


class Regulariser(nn.Module, ABC):
    """Abstract penalty with a weight and a cadence in updates of its player.

    Args:
        weight: factor in front of the penalty.
        every: the penalty is evaluated in every `every`-th update, there with `every * weight`.

    Raises:
        ValueError: the weight is negative or the cadence is not positive.

    """

    def __init__(self, weight: float, every: int = 1) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(f"expected a weight of at least 0, got {weight}")
        if every < 1:
            raise ValueError(f"expected a regulariser in every 1st or later update, got every = {every}")
        self.weight, self.every = float(weight), int(every)

    @property
    def name(self) -> str:
        """The name of the penalty in logs: the class name in snake case."""
        letters = [f"_{c.lower()}" if c.isupper() else c for c in type(self).__name__]
        return "".join(letters).removeprefix("_")

    def factor(self, updates: int) -> float:
        """Return the factor of the penalty in the update that follows `updates` others; 0 if it is skipped."""
        return self.weight * self.every if updates % self.every == 0 else 0.0


class CriticRegulariser(Regulariser):
    """Abstract penalty in the critic's loss.

    Attributes:
        pack: observations in one input of the critic; the model sets it to that of a `PackedCritic`.

    """

    pack: int = 1

    @abstractmethod
    def forward(self, critic: Scores, real: Tensor, fake: Tensor) -> Tensor:
        """Return the unweighted penalty, a scalar.

        Args:
            critic: observations (N, *shape) -> scores (N,).
            real: observations (N, *shape).
            fake: generated observations (N, *shape), without a graph.

        """


class ScoreRegulariser(Regulariser):
    """Abstract penalty in the critic's loss that depends on its scores alone."""

    @abstractmethod
    def forward(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the unweighted penalty, a scalar, from scores (N,) of real and of generated observations."""


class GeneratorRegulariser(Regulariser):
    """Abstract penalty in the generator's loss; its own parameters, if any, are trained with the generator's."""

    def check(self, prior: Prior) -> None:
        """Refuse a prior whose codes the penalty cannot use, before any step is taken; by default none is refused."""

    def bind(self, manifold: Manifold) -> None:
        """Store the manifold on which codes of the prior lie, if the penalty moves codes."""

    @abstractmethod
    def forward(self, generator: nn.Module, z: Tensor, fake: Tensor) -> Tensor:
        """Return the unweighted penalty, a scalar.

        Args:
            generator: codes (N, d) -> observations (N, *shape).
            z: codes (N, d).
            fake: generator(z), with its graph.

        """


class JointRegulariser(Regulariser):
    """Abstract penalty in the losses of both players; its own parameters, if any, are trained with the critic's.

    Args:
        weight: factor in the critic's loss.
        generator_weight: factor in the generator's loss.
        every: see `Regulariser`.

    Raises:
        ValueError: a weight is negative or the cadence is not positive.

    """

    def __init__(self, weight: float, generator_weight: float, every: int = 1) -> None:
        super().__init__(weight, every)
        if generator_weight < 0:
            raise ValueError(f"expected a generator_weight of at least 0, got {generator_weight}")
        self.generator_weight = float(generator_weight)

    def bind(self, critic: nn.Module, space: LatentSpace) -> None:
        """Prepare for a critic and a latent space, or refuse them, before any step is taken.

        Args:
            critic: the critic's network.
            space: the latent space, with prior and likelihood.

        """

    @abstractmethod
    def critic_penalty(self, play: Play) -> Tensor:
        """Return the unweighted term of the critic's loss, a scalar."""

    @abstractmethod
    def generator_penalty(self, play: Play) -> Tensor:
        """Return the unweighted term of the generator's loss, a scalar."""

    def terms(self, play: Play, updates: int, generator: bool) -> dict[str, Tensor]:
        """Return the weighted term of one player by its name; none where its weight is 0 or it is skipped."""
        weight = self.generator_weight if generator else self.weight
        if updates % self.every or not weight:
            return {}
        penalty = self.generator_penalty(play) if generator else self.critic_penalty(play)
        return {self.name: weight * self.every * penalty}
