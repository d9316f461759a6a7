r"""Penalties on the critic C or on the generator G, averaged over the batch, each observation with its own norm.

    GradientPenalty   E (|grad C(x')| - k)^2,   x' = e x + (1 - e) G(z),  e ~ U(0, 1) for every observation
    R1                1/2 E |grad C(x)|^2            at real observations
    R2                1/2 E |grad C(G(z))|^2         at generated observations
    Consistency       E (C(x) - C(T(x)))^2      for a random augmentation T
    PathLength        E (l - a)^2,   l^2 = 1/L sum_l |J_l^T y|^2,  y ~ N(0, I)/sqrt(pixels),  a the running mean of l,
                      J_l = dG/dw_l for the style w_l of each of L layers; without styles, L = 1 and J = dG/dz

A regulariser enters the loss of its player with `weight`. Lazy regularisation evaluates it in every `every`-th
update only, there with `every * weight`, so that its average strength is unchanged; it shares the update with
the adversarial loss, so no learning rate has to be corrected for extra updates.

Gradients are taken in the units of the critic's input.

Reference: Gulrajani et al. (2017), https://arxiv.org/abs/1704.00028; Mescheder et al. (2018),
https://arxiv.org/abs/1801.04406; Zhang et al. (2020), https://arxiv.org/abs/1910.12027; Karras et al. (2020),
https://arxiv.org/abs/1912.04958, section 3.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from math import prod, sqrt

import torch
from torch import Tensor, nn

from lsgen.latent import Manifold, Prior
from lsgen.nn.adversarial.stylegan import StyleGenerator

__all__ = [
    "R1",
    "R2",
    "Consistency",
    "CriticRegulariser",
    "GeneratorRegulariser",
    "GradientPenalty",
    "PathLength",
    "Regulariser",
    "Scores",
    "path_lengths",
    "squared_gradient_norms",
]

Scores = Callable[[Tensor], Tensor]


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
    """Abstract penalty in the critic's loss."""

    @abstractmethod
    def forward(self, critic: Scores, real: Tensor, fake: Tensor) -> Tensor:
        """Return the unweighted penalty, a scalar.

        Args:
            critic: observations (N, *shape) -> scores (N,).
            real: observations (N, *shape).
            fake: generated observations (N, *shape), without a graph.

        """


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
        if target < 0:
            raise ValueError(f"expected a target norm of at least 0, got {target}")
        self.target = float(target)

    def forward(self, critic: Scores, real: Tensor, fake: Tensor) -> Tensor:
        """Return E (|grad C(x')| - k)^2."""
        e = torch.rand(len(real), *[1] * (real.ndim - 1), dtype=real.dtype, device=real.device)
        squares = squared_gradient_norms(critic, torch.lerp(fake, real, e))
        if self.target == 0:
            return squares.mean()
        return (squares.clamp(min=torch.finfo(squares.dtype).tiny).sqrt() - self.target).square().mean()


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
        return (critic(real) - critic(self.augment(real))).square().mean()


def path_lengths(x: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """Return |J^T y| for every code, (N,), with J = dx/dz, differentiable in what x depends on.

    Args:
        x: observations (N, *shape), made from z.
        z: codes (N, d), or styles (N, L, d) of L layers, over which the root mean square is taken.
        y: directions in data space, (N, *shape).

    """
    (pulled,) = torch.autograd.grad((x * y).sum(), z, create_graph=True)
    layers = z.shape[1] if z.ndim == 3 else 1
    return torch.linalg.vector_norm(pulled.flatten(1), dim=1) / sqrt(layers)


class PathLength(GeneratorRegulariser):
    """The path-length regulariser of StyleGAN2: |J^T y| should not depend on the code.

    The codes are the styles of all L layers where the generator is a `StyleGenerator`, mixed as in training, else z.
    The root mean square over layers makes a weight of 2 the paper's gamma = ln 2 / (r^2 (ln r - ln 2)) = 2 / (r^2 L),
    for images of r x r pixels and L = 2 log2(r) - 2 layers. Unlike in the authors' code, the penalty takes the whole
    batch, not half of it.

    Args:
        weight: factor, 2 in the paper's configuration.
        decay: how fast the running mean a follows the batch mean.
        every: see `Regulariser`; 4 in the paper.

    """

    mean: Tensor

    def __init__(self, weight: float = 2.0, decay: float = 0.01, every: int = 4) -> None:
        super().__init__(weight, every)
        if not 0 < decay <= 1:
            raise ValueError(f"expected a decay in (0, 1], got {decay}")
        self.decay = float(decay)
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, generator: nn.Module, z: Tensor, fake: Tensor) -> Tensor:
        """Return E (|J^T y| - a)^2 and move the running mean a."""
        if isinstance(generator, StyleGenerator):
            code = generator.layer_styles(z)
            x = generator.synthesis(code)
        else:
            code = z.detach().requires_grad_(True)
            x = generator(code)
        lengths = path_lengths(x, code, torch.randn_like(x) / sqrt(prod(x.shape[2:])))
        self.mean.lerp_(lengths.detach().mean(), self.decay)
        return (lengths - self.mean).square().mean()
