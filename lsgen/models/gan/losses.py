r"""Adversarial losses as functions of the critic's scores r = C(x) of real and f = C(G(z)) of generated observations.

    name             the critic minimises                             the generator minimises
    NonSaturating    E softplus(-r) + E softplus(f)                   E softplus(-f)
    LeastSquares     1/2 E (r - b)^2 + 1/2 E (f - a)^2                1/2 E (f - c)^2
    Hinge            E max(0, 1 - r) + E max(0, 1 + f)                -E f
    Wasserstein      E f - E r                                        -E f
    Relativistic     E softplus(f - r)                                E softplus(r - f)

A score is a logit for the first: D = sigmoid(C), softplus(-r) = -log D(x), softplus(f) = -log(1 - D(G(z))).
For densities p of the data and q of the generator the optimal critics are C* = log p/q for the first, with
the value 2 log 2 - 2 JSD(p, q); C* = (b p + a q)/(p + q) for least squares; C* = sign(p - q) for the hinge, with
the value 2 int min(p, q).

Reference: Goodfellow et al. (2014), https://arxiv.org/abs/1406.2661; Mao et al. (2017), https://arxiv.org/abs/1611.04076;
Lim & Ye (2017), https://arxiv.org/abs/1705.02894; Arjovsky et al. (2017), https://arxiv.org/abs/1701.07875;
Jolicoeur-Martineau (2019), https://arxiv.org/abs/1807.00734.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

__all__ = [
    "AdversarialLoss",
    "Hinge",
    "LeastSquares",
    "NonSaturating",
    "Relativistic",
    "Wasserstein",
]


class AdversarialLoss(nn.Module, ABC):
    """Abstract pair of losses, one for either player.

    Attributes:
        relative: whether the generator's loss depends on the scores of real observations too.
        symmetric: whether the two kinds exchange their roles with the sign of the scores, which joint critics of
            (x, z) ask for: there the encoder wants real pairs to score low.

    """

    relative: ClassVar[bool] = False
    symmetric: ClassVar[bool] = True

    @abstractmethod
    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the critic's loss, a scalar, from scores (N,) of real and of generated observations."""

    @abstractmethod
    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the generator's loss, a scalar; `real` is read only where the loss is `relative`."""


class NonSaturating(AdversarialLoss):
    """Logistic critic; the generator maximises E log D(G(z)), whose gradient does not vanish where it loses."""

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return E softplus(-r) + E softplus(f)."""
        return softplus(-real).mean() + softplus(fake).mean()

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return E softplus(-f)."""
        return softplus(-fake).mean()


class LeastSquares(AdversarialLoss):
    """Least squares towards the targets a (generated), b (real) and c (the generator's goal).

    With b - c = 1 and b - a = 2 the generator minimises the Pearson chi-squared divergence between p + q and 2 q.

    Args:
        a: the critic's target for generated observations.
        b: the critic's target for real observations.
        c: the generator's target for generated observations.

    """

    symmetric: ClassVar[bool] = False

    def __init__(self, a: float = 0.0, b: float = 1.0, c: float = 1.0) -> None:
        super().__init__()
        if a == b:
            raise ValueError(f"expected different targets for real and generated observations, got a = b = {a}")
        self.a, self.b, self.c = float(a), float(b), float(c)

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return 1/2 E (r - b)^2 + 1/2 E (f - a)^2."""
        return ((real - self.b).square().mean() + (fake - self.a).square().mean()) / 2

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return 1/2 E (f - c)^2."""
        return (fake - self.c).square().mean() / 2


class Hinge(AdversarialLoss):
    """The geometric GAN, as used by SNGAN and its successors."""

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return E max(0, 1 - r) + E max(0, 1 + f)."""
        return torch.relu(1 - real).mean() + torch.relu(1 + fake).mean()

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return -E f."""
        return -fake.mean()


class Wasserstein(AdversarialLoss):
    """The dual of the 1-Wasserstein distance; the critic has to be kept 1-Lipschitz by a regulariser or its layers."""

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return E f - E r."""
        return fake.mean() - real.mean()

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return -E f."""
        return -fake.mean()


class Relativistic(AdversarialLoss):
    """The relativistic loss: score differences of real and generated observations, in pairs or to batch averages.

        average:  E softplus(E f - r) + E softplus(f - E r)    and, for the generator, the two exchanged.

    Args:
        average: compare with the mean score of the other kind (RaSGAN) instead of pairwise (RSGAN).

    """

    relative: ClassVar[bool] = True
    symmetric: ClassVar[bool] = False

    def __init__(self, average: bool = False) -> None:
        super().__init__()
        self.average = bool(average)

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return E softplus(f - r), or its average form."""
        if not self.average:
            return softplus(fake - real).mean()
        return softplus(fake.mean() - real).mean() + softplus(fake - real.mean()).mean()

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the critic's loss with the two kinds exchanged."""
        return self.critic(fake, real)
