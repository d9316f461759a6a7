r"""Penalties on the gradient of the critic C, each observation with its own norm, averaged over the batch.

    GradientPenalty        E (|grad C(x')| - k)^2,   x' = e x + (1 - e) G(z),  e ~ U(0, 1) for every observation
    LocalGradientPenalty   E (|grad C(x')| - k)^2,   x' = x + e c s u,  u ~ U(0, 1) for every dimension, e as above,
                           s the standard deviation of all dimensions of all observations x of the batch
    R1                     1/2 E |grad C(x)|^2       at real observations
    R2                     1/2 E |grad C(G(z))|^2    at generated observations

Gradients are taken in the units of the critic's input.

Reference: Gulrajani et al. (2017), https://arxiv.org/abs/1704.00028; Kodali et al. (2017),
https://arxiv.org/abs/1705.07215, algorithm 1, with the places x' of the authors' code; Mescheder et al. (2018),
https://arxiv.org/abs/1801.04406.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lsgen.models.gan.regularisers.base import CriticRegulariser, Scores

__all__ = ["R1", "R2", "GradientPenalty", "LocalGradientPenalty", "squared_gradient_norms"]


def squared_gradient_norms(critic: Scores, x: Tensor) -> Tensor:
    """Return |grad C(x)|^2 for every observation, (N,), differentiable in the critic's parameters."""
    x = x.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return gradient.flatten(1).square().sum(1)


class GradientPenalty(CriticRegulariser):
    """The penalty of WGAN-GP on the line between a real and a generated observation.

    Args:
        weight: factor, 10 in the paper.
        target: the wanted norm k; 0 gives the zero-centred penalty.
        every: see `Regulariser`.

    """

    def __init__(self, weight: float = 10.0, target: float = 1.0, every: int = 1) -> None:
        super().__init__(weight, every)
        self.target = _target(target)

    def forward(self, critic: Scores, real: Tensor, fake: Tensor) -> Tensor:
        """Return E (|grad C(x')| - k)^2."""
        return _deviation(critic, torch.lerp(fake, real, _uniform(real)), self.target)


class LocalGradientPenalty(CriticRegulariser):
    """The penalty of DRAGAN, in a neighbourhood of the data: it knows no generated observation.

    Args:
        weight: factor, 10 in the paper.
        target: the wanted norm k.
        spread: largest distance c of x' from x in one dimension, in standard deviations of the batch.
        every: see `Regulariser`.

    Raises:
        ValueError: see `Regulariser`; the target is negative or the spread is not positive.

    """

    def __init__(self, weight: float = 10.0, target: float = 1.0, spread: float = 0.5, every: int = 1) -> None:
        super().__init__(weight, every)
        if not spread > 0:
            raise ValueError(f"expected a spread above 0, got {spread}")
        self.target, self.spread = _target(target), float(spread)

    def forward(self, critic: Scores, real: Tensor, fake: Tensor) -> Tensor:
        """Return E (|grad C(x')| - k)^2."""
        noise = self.spread * real.std() * torch.rand_like(real)
        return _deviation(critic, real + _uniform(real) * noise, self.target)


class R1(CriticRegulariser):
    """Half the squared gradient norm at real observations; `weight` is the gamma of the paper."""

    def __init__(self, weight: float = 10.0, every: int = 1) -> None:
        super().__init__(weight, every)

    def forward(self, critic: Scores, real: Tensor, fake: Tensor) -> Tensor:
        """Return 1/2 E |grad C(x)|^2."""
        return squared_gradient_norms(critic, real).mean() / 2


class R2(CriticRegulariser):
    """Half the squared gradient norm at generated observations; `weight` is the gamma of the paper."""

    def __init__(self, weight: float = 10.0, every: int = 1) -> None:
        super().__init__(weight, every)

    def forward(self, critic: Scores, real: Tensor, fake: Tensor) -> Tensor:
        """Return 1/2 E |grad C(G(z))|^2."""
        return squared_gradient_norms(critic, fake).mean() / 2


def _target(target: float) -> float:
    """Return a wanted norm once it is known not to be negative."""
    if target < 0:
        raise ValueError(f"expected a target norm of at least 0, got {target}")
    return float(target)


def _uniform(x: Tensor) -> Tensor:
    """Return a number in [0, 1) for each observation, (N, 1, ...)."""
    return torch.rand(len(x), *[1] * (x.ndim - 1), dtype=x.dtype, device=x.device)


def _deviation(critic: Scores, x: Tensor, target: float) -> Tensor:
    """Return E (|grad C(x)| - k)^2."""
    squares = squared_gradient_norms(critic, x)
    if target == 0:
        return squares.mean()
    return (squares.clamp(min=torch.finfo(squares.dtype).tiny).sqrt() - target).square().mean()
