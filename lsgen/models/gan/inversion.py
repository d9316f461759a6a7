r"""Inversion: codes of given observations, found by optimisation from several starts.

    z* = argmin_z  d(x, G(z)) - w log p(z)

for a distance d, by default 1/(2 D) |x - G(z)|^2, and a weight w of the prior, by Adam from `restarts` codes of the
prior, and from the encoder's where there is one (hybrid inversion). For every observation the best start is kept.

Reference: Zhu et al., "Generative visual manipulation on the natural image manifold" (2016),
https://arxiv.org/abs/1609.03552, section 3.1; Creswell & Bharath (2018), https://arxiv.org/abs/1611.05644.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.latent import EncodableLatentSpace, LatentSpace

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
        steps: steps of Adam from every start; 0 compares the starts.
        restarts: codes drawn from the prior for every observation; 0 leaves the encoder's start only.
        lr: learning rate, decayed to 0 by half a cosine.
        prior_weight: the weight w, in units of the distance per nat.
        distance: observations (N, *shape) twice -> distances (N,), differentiable.

    Raises:
        ValueError: a count or weight is negative, there is no start, or the space is in train mode.

    """
    if steps < 0 or restarts < 0 or lr <= 0 or prior_weight < 0:
        raise ValueError(
            "expected steps, restarts and prior_weight of at least 0 and lr above 0, "
            f"got {steps}, {restarts}, {prior_weight} and {lr}"
        )
    if space.training:
        raise ValueError("expected a latent space in eval mode, got one in train mode")
    z = _starts(space, x, restarts).requires_grad_(True)
    target = x.expand(len(z), *x.shape).flatten(0, 1)
    optimizer = torch.optim.Adam([z], lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
    with torch.enable_grad():
        for _ in range(steps):
            loss = _objective(space, z, target, prior_weight, distance).sum()
            (z.grad,) = torch.autograd.grad(loss, z)
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        best = _objective(space, z, target, prior_weight, distance).unflatten(0, z.shape[:2]).argmin(0)
        found = z.detach()[best, torch.arange(len(x), device=x.device)]
        decoded = space.decode(found).mean
        return Inversion(found, decoded, distance(decoded, x), best)


def _starts(space: LatentSpace, x: Tensor, restarts: int) -> Tensor:
    """Return starts (S, N, d)."""
    with torch.no_grad():
        starts = [space.prior().sample((restarts, len(x)))] if restarts else []
        if isinstance(space, EncodableLatentSpace):
            starts.append(space.encode(x).mean.unsqueeze(0))
    if not starts:
        raise ValueError("expected at least one restart, as the space has no encoder to start from, got 0")
    return torch.cat(starts).detach().clone()


def _objective(
    space: LatentSpace, z: Tensor, target: Tensor, prior_weight: float, distance: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Return d(x, G(z)) - w log p(z) for all starts of all observations, (S * N,)."""
    flat = z.flatten(0, 1)
    value = distance(space.decode(flat).mean, target)
    return value - prior_weight * space.prior().log_prob(flat) if prior_weight else value
