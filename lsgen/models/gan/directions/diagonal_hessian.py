r"""Directions with independent effects on the image: an orthonormal frame that diagonalises its Hessians.

    A* = argmin_{A^T A = I}  E_z max_i Var_v( v^T H_i v ),    H_i the Hessian of output i of  c -> G(z + A c)  at c = 0,

over frames A (d, K), by Adam on a free matrix whose QR decomposition is A; on a curved space z + A c is as far
along the geodesic in that direction. The variance over random signs v is twice the sum of the squared
off-diagonal second derivatives: see `HessianPenalty`. The generator stays as it is. With K < d a
frame may also lower the penalty by avoiding directions along which anything happens; scales tell.

Reference: Peebles et al., "The Hessian penalty: a weak prior for unsupervised disentanglement" (2020),
https://arxiv.org/abs/2008.10599, section 4.4.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lsgen.latent import LatentSpace
from lsgen.models.gan.directions.linear import Directions, count, named
from lsgen.models.gan.regularisers.hessian_penalty import hessian_variances
from lsgen.models.parts import frozen_parameters
from lsgen.nn.noise import same_noise

__all__ = ["hessian"]


def hessian(
    space: LatentSpace,
    k: int | None = None,
    steps: int = 300,
    batch_size: int = 16,
    samples: int = 2,
    eps: float = 0.1,
    lr: float = 0.05,
) -> Directions:
    """Return orthonormal directions with the least Hessian penalty, the fastest first.

    Args:
        space: in eval mode; its prior gives the codes, the means of p(x|z) are what is generated.
        k: number of directions K; 10, or as many as there can be, unless given.
        steps: steps of Adam.
        batch_size: codes of a step.
        samples: draws of v for a code.
        eps: step of the second difference.
        lr: learning rate, decayed to 0 by half a cosine.

    Returns:
        Scales are root mean square speeds of the output, |dG/dc_i|, by central differences.

    Raises:
        ValueError: k is out of range, a number is not positive, or the space is in train mode.
        TypeError: the codes cannot move continuously.

    """
    k = count(k, space.dim)
    space.manifold.check_continuous()
    if steps < 1 or batch_size < 1 or samples < 2 or not eps > 0 or not lr > 0:
        raise ValueError("expected steps and batch_size of at least 1, samples of at least 2, eps and lr above 0")
    if space.training:
        raise ValueError("expected a latent space in eval mode, got one in train mode")
    like = space.prior().mean
    free = torch.randn(space.dim, k, dtype=like.dtype, device=like.device, requires_grad=True)
    optimizer = torch.optim.Adam([free], lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    with torch.enable_grad(), frozen_parameters(space.parameters()):
        for _ in range(steps):
            loss = _penalty(space, torch.linalg.qr(free).Q, batch_size, samples, eps)
            (free.grad,) = torch.autograd.grad(loss, free)
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        frame = torch.linalg.qr(free).Q
        speeds = _speeds(space, frame, max(64, batch_size), eps)
    order = speeds.argsort(descending=True)
    return named("hessian", frame.T[order], speeds[order], space)


def _penalty(space: LatentSpace, frame: Tensor, n: int, samples: int, eps: float) -> Tensor:
    """Return the Hessian penalty of c -> G(z + A c) at c = 0, averaged over n codes."""
    z = space.manifold.inside(space.prior().sample((n,)), eps * frame.shape[1] ** 0.5)
    along = lambda c: space.decode(space.manifold.shift(z, c @ frame.T)).mean
    c = torch.zeros(n, frame.shape[1]).to(frame)
    return hessian_variances(along, c, along(c), samples, eps).amax(1).mean()


def _speeds(space: LatentSpace, frame: Tensor, n: int, eps: float) -> Tensor:
    z, shift = space.manifold.inside(space.prior().sample((n,)), eps), space.manifold.shift
    moves = [eps * a.expand_as(z) for a in frame.T]
    with same_noise(lambda z: space.decode(z).mean) as held:
        differences = [held(shift(z, move)) - held(shift(z, -move)) for move in moves]
    return torch.stack([(d.flatten(1).square().sum(1).mean()).sqrt() / (2 * eps) for d in differences])
