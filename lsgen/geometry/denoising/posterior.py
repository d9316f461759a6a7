r"""The covariance of clean observations given a noisy one, by the second-order formula of Tweedie.

    x_t = alpha x_0 + sigma eps,    D(x_t, l) = E[x_0 | x_t],    l = log(alpha^2 / sigma^2)
    Cov[x_0 | x_t] = (sigma^2 / alpha) dD/dx_t = alpha e^-l dD/dx_t

since p(x_0 | x_t) is an exponential family in x_t alpha / sigma^2 with statistic x_0, whose mean has the covariance as
derivative. Of a network the right-hand side is symmetric only as far as it is an exact denoiser.

Reference: Efron, "Tweedie's formula and selection bias" (2011); Meng, Song, Li & Ermon, "Estimating high order
gradients of the data distribution by denoising" (2021), https://arxiv.org/abs/2111.04726, theorem 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lsgen.geometry.jets import propagate

__all__ = ["Denoise", "DenoisedPoints", "Scale", "posterior_covariance", "variance_preserving"]

Denoise = Callable[[Tensor, Tensor], Tensor]
Scale = Callable[[Tensor], Tensor]


def variance_preserving(log_snr: Tensor) -> Tensor:
    """Return alpha = sqrt(sigmoid(l)) of paths with alpha^2 + sigma^2 = 1, in the shape of l."""
    return torch.nn.functional.logsigmoid(log_snr).mul(0.5).exp()


class DenoisedPoints:
    """The map (x_t, l) -> D(x_t, l) of space-time points (N, d + 1) to clean observations (N, d).

    Args:
        denoise: `denoise(x, log_snr)` -> (N, *shape).
        shape: shape of one observation, of d numbers.

    """

    def __init__(self, denoise: Denoise, shape: Sequence[int]) -> None:
        self.denoise, self.shape = denoise, tuple(shape)

    def __call__(self, z: Tensor) -> Tensor:
        """Return the clean observations, flattened."""
        return self.denoise(z[:, :-1].unflatten(1, self.shape), z[:, -1]).flatten(1)

    def expanded(self, z: Tensor, directions: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return D (N, d) and its derivatives (k, N, d) along directions (k, d) of x_t, the coordinates' if not given.

        Raises:
            ValueError: the denoiser returns something else than one clean observation for each noisy one.

        """
        d = z.shape[1] - 1
        along = torch.eye(d, dtype=z.dtype, device=z.device) if directions is None else directions.to(z)
        x = propagate(self, z, torch.cat([along, torch.zeros_like(along[:, :1])], 1), 1)
        if tuple(x.v.shape) != (len(z), d):
            raise ValueError(f"expected a denoiser that returns ({len(z)}, {d}) numbers, got {tuple(x.v.shape)}")
        return x.v, x.j


def posterior_covariance(
    denoise: Denoise, x: Tensor, log_snr: Tensor, alpha: Scale = variance_preserving
) -> tuple[Tensor, Tensor]:
    """Return the mean (N, *shape) and the covariance (N, d, d) of clean observations given noisy ones.

    Args:
        denoise: `denoise(x, log_snr)` -> (N, *shape).
        x: noisy observations x_t (N, *shape) of d numbers each.
        log_snr: l, () or (N,).
        alpha: the factor of x_0 in x_t as a function of l; that of variance-preserving paths where it is not given.

    Raises:
        ValueError: there is no observation in x, or l has another shape.

    """
    if x.ndim < 2 or log_snr.shape not in ((), x.shape[:1]):
        raise ValueError(
            f"expected x (N, *shape) and log_snr () or (N,), got {tuple(x.shape)} and {tuple(log_snr.shape)}"
        )
    log_snr = log_snr.to(x).expand(len(x))
    mean, slopes = DenoisedPoints(denoise, x.shape[1:]).expanded(torch.cat([x.flatten(1), log_snr[:, None]], 1))
    factor = alpha(log_snr) * (-log_snr).exp()
    return mean.unflatten(1, x.shape[1:]), factor[:, None, None] * slopes.permute(1, 2, 0)
