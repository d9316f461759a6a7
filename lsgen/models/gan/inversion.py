r"""Inversion: codes of given observations, found by optimisation from several starts.

    z* = argmin_z  d(x, G(z)) - w log p(z)

for a distance d, by default 1/(2 D) |x - G(z)|^2, and a weight w of the prior (a density with respect to the volume of
the manifold of the codes), from `restarts` codes of the prior, and from the encoder's where there is one (hybrid
inversion). For every observation the best start is kept.

Codes stay on their manifold. Adam sees the gradient, and gives its step, in orthonormal frames of the tangent space;
the step is taken along a geodesic, and stops at a wall. After every step one group of coordinates that are one of K
values (a class, an entry of a codebook) is changed at random, and stays changed where that is nearer.

Reference: Zhu et al., "Generative visual manipulation on the natural image manifold" (2016),
https://arxiv.org/abs/1609.03552, section 3.1; Creswell & Bharath (2018), https://arxiv.org/abs/1611.05644; Becigneul &
Ganea, "Riemannian adaptive optimization methods" (2019), https://arxiv.org/abs/1810.00760, for Adam on manifolds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.latent import EncodableLatentSpace, LatentSpace, Manifold
from lsgen.latent.densities import check_density
from lsgen.latent.sampling.transitions import candidates

__all__ = ["Inversion", "invert", "mean_squared_error"]


class Inversion(NamedTuple):
    """Codes found for observations.

    Attributes:
        z: codes (N, d).
        x: what they decode to, (N, *shape).
        error: the distance d of every observation from its reconstruction, (N,).
        start: which start won, (N,); the encoder's, where there is one, is the last.

    """

    z: Tensor
    x: Tensor
    error: Tensor
    start: Tensor


def mean_squared_error(a: Tensor, b: Tensor) -> Tensor:
    """Return 1/(2 D) |a - b|^2 for every observation, (N,)."""
    return (a - b).flatten(1).square().mean(1) / 2


def invert(
    space: LatentSpace,
    x: Tensor,
    steps: int = 500,
    restarts: int = 8,
    lr: float = 0.05,
    prior_weight: float = 0.0,
    distance: Callable[[Tensor, Tensor], Tensor] = mean_squared_error,
) -> Inversion:
    """Return codes whose decoded means are nearest to given observations.

    Args:
        space: in eval mode; an `EncodableLatentSpace` adds its posterior mean to the starts.
        x: observations (N, *shape).
        steps: steps from every start; 0 compares the starts.
        restarts: codes drawn from the prior for every observation; 0 leaves the encoder's start only.
        lr: learning rate of Adam, in units of length on the manifold, decayed to 0 by half a cosine.
        prior_weight: the weight w, in units of the distance per nat.
        distance: observations (N, *shape) twice -> distances (N,), differentiable.

    Raises:
        ValueError: a count or weight is negative, there is no start, or the space is in train mode.
        TypeError: the prior has a weight, and no density.

    """
    if steps < 0 or restarts < 0 or lr <= 0 or prior_weight < 0:
        raise ValueError(
            "expected steps, restarts and prior_weight of at least 0 and lr above 0, "
            f"got {steps}, {restarts}, {prior_weight} and {lr}"
        )
    if space.training:
        raise ValueError("expected a latent space in eval mode, got one in train mode")
    if prior_weight:
        check_density(space.prior)
    z = _starts(space, x, restarts)
    target = x.expand(len(z), *x.shape).flatten(0, 1)

    def objective(z: Tensor) -> Tensor:
        return _objective(space, z, target, prior_weight, distance)

    z = _descend(space.manifold, z, objective, steps, lr)
    with torch.no_grad():
        best = objective(z).argmin(0)
        found = z[best, torch.arange(len(x), device=x.device)]
        decoded = space.decode(found).mean
        return Inversion(found, decoded, distance(decoded, x), best)


def _descend(manifold: Manifold, z: Tensor, objective: Callable[[Tensor], Tensor], steps: int, lr: float) -> Tensor:
    """Return codes (S, N, d) of a lower objective, (S, N) of them."""
    choices = manifold.choices
    step = torch.zeros_like(z, requires_grad=True)
    optimizer = torch.optim.Adam([step], lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
    for _ in range(steps):
        if manifold.continuous:
            with torch.enable_grad():
                at = z.detach().requires_grad_()
                (gradient,) = torch.autograd.grad(objective(at).sum(), at)
            step.grad = manifold.tangent(z, gradient) / manifold.conformal_factor(z)
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                moved = manifold.shift(z, step)
                z = torch.where(moved.isfinite().all(-1, keepdim=True), moved, z)
                step.zero_()
        if choices:
            with torch.no_grad():
                options = candidates(z, choices[int(torch.randint(len(choices), ()))], 1)
                best = torch.stack([objective(option) for option in options]).argmin(0)
                z = options.gather(0, best[None, ..., None].expand(1, *z.shape)).squeeze(0)
    return z


def _starts(space: LatentSpace, x: Tensor, restarts: int) -> Tensor:
    """Return starts (S, N, d)."""
    with torch.no_grad():
        starts = [space.prior().sample((restarts, len(x)))] if restarts else []
        if isinstance(space, EncodableLatentSpace):
            starts.append(space.manifold.onto(space.encode(x).mean).unsqueeze(0))
    if not starts:
        raise ValueError("expected at least one restart, as the space has no encoder to start from, got 0")
    return torch.cat(starts).detach().clone()


def _objective(
    space: LatentSpace, z: Tensor, target: Tensor, prior_weight: float, distance: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Return d(x, G(z)) - w log p(z) for all starts of all observations, (S, N)."""
    flat = z.flatten(0, 1)
    value = distance(space.decode(flat).mean, target)
    value = value - prior_weight * space.prior().log_prob(flat) if prior_weight else value
    return value.unflatten(0, z.shape[:2])
