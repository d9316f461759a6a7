r"""InfoGAN: a bound on the mutual information between some coordinates of the code and the generated observation.

    I(c; G(z)) >= H(c) + E[ log Q(c | G(z)) ],    penalty = -E[ log Q(c | G(z)) ]   in nats,

with Q categorical for classes and normal with unit variance for continuous codes. In the paper Q is the critic with
another last part, and both players minimise the penalty: `SharedMutualInformation`. In `MutualInformation` Q is a
network of its own, trained with the generator. Either way Q reads the codes of generated images exactly, but what they
mean differs: a network of its own can read them from any trace, the critic's features from what tells images apart.

Reference: Chen et al., "InfoGAN" (2016), https://arxiv.org/abs/1606.03657, equations 4-6 and appendix C.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from math import log, pi

import torch
from torch import Tensor, nn

from lsgen.latent import LatentSpace, OneHot, Prior, Product
from lsgen.models.gan.regularisers.base import GeneratorRegulariser, JointRegulariser, Play

__all__ = ["MutualInformation", "SharedMutualInformation"]


@dataclass(frozen=True)
class _Codes:
    """What is recognised: the last coordinates of the code, `classes` one-hot ones and then `continuous` ones."""

    classes: int
    continuous: int

    def __post_init__(self) -> None:
        if self.classes < 0 or self.continuous < 0 or self.dim < 1:
            raise ValueError(f"expected classes or continuous codes, got {self.classes} and {self.continuous}")

    @property
    def dim(self) -> int:
        return self.classes + self.continuous

    def check(self, owner: str, prior: Prior) -> None:
        start = prior.dim - self.dim
        parts = list(prior.parts) if isinstance(prior, Product) else [prior]
        places = zip(accumulate((part.dim for part in parts[:-1]), initial=0), parts, strict=True)
        classes = [at for at, part in places if isinstance(part, OneHot) and part.dim == self.classes]
        if start < 0 or (self.classes and start not in classes):
            raise TypeError(
                f"{owner} expected a prior whose codes end in a OneHot of {self.classes} and "
                f"{self.continuous} more, got {type(prior).__name__} of {prior.dim} dimensions"
            )

    def loss(self, guess: Tensor, z: Tensor) -> Tensor:
        """Return -E[ log Q(c | x) ] of what Q says (N, classes + continuous) about codes (N, d)."""
        wanted = z[:, z.shape[1] - self.dim :]
        entropy = -(wanted[:, : self.classes] * torch.log_softmax(guess[:, : self.classes], 1)).sum(1)
        error = guess[:, self.classes :] - wanted[:, self.classes :]
        return (entropy + (error.square() + log(2 * pi)).sum(1) / 2).mean()


class MutualInformation(GeneratorRegulariser):
    """The cross-entropy of recognising the last coordinates of the code in generated observations.

    The code ends in `classes` one-hot coordinates and, after them, `continuous` ones.

    Args:
        recogniser: observations (N, *shape) -> logits of the classes and means of the continuous codes,
            (N, classes + continuous).
        classes: number of classes; 0 for none.
        continuous: number of continuous codes.
        weight: lambda of the paper, 1 there.

    Raises:
        ValueError: there is nothing to recognise.

    """

    def __init__(self, recogniser: nn.Module, classes: int = 10, continuous: int = 0, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.recognised, self.recogniser = _Codes(classes, continuous), recogniser

    @property
    def classes(self) -> int:
        """The number of classes that are recognised."""
        return self.recognised.classes

    def check(self, prior: Prior) -> None:
        """Refuse a prior whose codes do not end in the classes and continuous coordinates that are recognised.

        Raises:
            TypeError: they do not.

        """
        self.recognised.check(type(self).__name__, prior)

    def guess(self, critic: nn.Module, x: Tensor) -> Tensor:
        """Return logits of the classes and means of the continuous codes, (N, classes + continuous).

        Args:
            critic: the critic's network, which this recogniser does without.
            x: observations (N, *shape), as the critic sees them.

        """
        found: Tensor = self.recogniser(x)
        return found

    def forward(self, generator: nn.Module, z: Tensor, fake: Tensor) -> Tensor:
        """Return -E[ log Q(c | G(z)) ]."""
        return self.recognised.loss(self.recogniser(fake), z)


class SharedMutualInformation(JointRegulariser):
    """The same cross-entropy of a recogniser that reads the critic's features, in the losses of both players.

    The recogniser, a perceptron with one hidden layer and batch normalisation, is trained with the critic.

    Args:
        classes: number of classes; 0 for none.
        continuous: number of continuous codes.
        hidden: units of the hidden layer, 128 in the paper.
        weight: lambda of the paper in the critic's loss, 1 there.
        generator_weight: lambda in the generator's loss, 1 in the paper.

    Raises:
        ValueError: there is nothing to recognise, or no hidden unit; see `JointRegulariser`.

    """

    recogniser: nn.Module

    def __init__(
        self,
        classes: int = 10,
        continuous: int = 0,
        hidden: int = 128,
        weight: float = 1.0,
        generator_weight: float = 1.0,
    ) -> None:
        super().__init__(weight, generator_weight)
        if hidden < 1:
            raise ValueError(f"expected a hidden layer of at least 1 unit, got {hidden}")
        self.recognised, self.hidden = _Codes(classes, continuous), int(hidden)

    @property
    def classes(self) -> int:
        """The number of classes that are recognised."""
        return self.recognised.classes

    def bind(self, critic: nn.Module, space: LatentSpace) -> None:
        """Make the recogniser.

        Raises:
            TypeError: the critic gives no features; or the prior's codes do not end in the classes and
                continuous coordinates that are recognised.

        """
        score = getattr(critic, "score", None)
        if not isinstance(score, nn.Linear) or not isinstance(getattr(critic, "features", None), nn.Module):
            raise TypeError(
                f"SharedMutualInformation expected a critic with features and a score, such as DCGANCritic, "
                f"got {type(critic).__name__}"
            )
        self.recognised.check(type(self).__name__, space.prior)
        first = nn.Linear(score.in_features, self.hidden, bias=False)
        last = nn.Linear(self.hidden, self.recognised.dim)
        for layer in (first, last):
            nn.init.normal_(layer.weight, 0.0, 0.02)
        nn.init.zeros_(last.bias)
        self.recogniser = nn.Sequential(first, nn.BatchNorm1d(self.hidden), nn.LeakyReLU(0.1), last)

    def guess(self, critic: nn.Module, x: Tensor) -> Tensor:
        """Return logits of the classes and means of the continuous codes, (N, classes + continuous).

        Args:
            critic: the critic's network.
            x: observations (N, *shape), as the critic sees them.

        """
        found: Tensor = self.recogniser(critic.features(x))  # type: ignore[operator]
        return found

    def critic_penalty(self, play: Play) -> Tensor:
        """Return -E[ log Q(c | G(z)) ]."""
        return self._loss(play)

    def generator_penalty(self, play: Play) -> Tensor:
        """Return -E[ log Q(c | G(z)) ]."""
        return self._loss(play)

    def _loss(self, play: Play) -> Tensor:
        return self.recognised.loss(self.guess(play.network, play.augment(play.fake)), play.z)
