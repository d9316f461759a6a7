r"""The variational bound of a diffusion model in continuous time.

    -log p(x_0)  <=  E[-log p(x_0 | x_max)] + 1/2 int_(l_min)^(l_max) E |eps - eps_hat|^2 dl + KL(q(x_min | x_0) || p)

x_max and x_min are the states at the ends l_max and l_min of the path, and s = e^(-l_max/2). The first term, of n
values and p(x_0 | x_max) = N(x_max / alpha, s^2 I), and the last one, of p = N(0, sigma^2 I), are closed forms,

    n/2 (1 + log(2 pi) - l_max),    1/2 e^(l_min) |x_0|^2.

The middle term is an average over levels, of as few as one for each observation.

Reference: Kingma et al., "Variational diffusion models" (2021), https://arxiv.org/abs/2107.00630.
"""

from __future__ import annotations

from math import exp, log, pi

import torch
from torch import Tensor

from lsgen.models.diffusion.denoising import Denoise
from lsgen.models.diffusion.paths import ProbabilityPath

__all__ = ["noise_error", "prior_term", "reconstruction_term"]


def reconstruction_term(path: ProbabilityPath, x: Tensor) -> Tensor:
    """Return E[-log p(x_0 | x_max)] in nats, (B,), of observations (B, *shape)."""
    n = x[0].numel()
    return torch.full_like(x.flatten(1)[:, 0], n / 2 * (1 + log(2 * pi) - path.log_snr_max))


def prior_term(path: ProbabilityPath, x: Tensor) -> Tensor:
    """Return KL(q(x_min | x_0) || p) in nats, (B,), of observations (B, *shape)."""
    return torch.linalg.vector_norm(x.flatten(1), dim=1).square() * (exp(path.log_snr_min) / 2)


def noise_error(denoise: Denoise, path: ProbabilityPath, x: Tensor, noise: Tensor, log_snr: Tensor) -> Tensor:
    """Return 1/2 |eps - eps_hat|^2, (B,), the middle term for each unit of l.

    Args:
        denoise: x_t, l -> D.
        path: the path that D belongs to.
        x: observations x_0, (B, *shape).
        noise: eps, (B, *shape).
        log_snr: levels l, (B,).

    """
    place = (-1, *[1] * (x.ndim - 1))
    alpha, sigma = (part.reshape(place) for part in path.scales(log_snr))
    error = x - denoise(alpha * x + sigma * noise, log_snr)
    return error.flatten(1).square().sum(1) * (log_snr.exp() / 2)
