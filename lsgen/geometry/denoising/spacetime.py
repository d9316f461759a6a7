r"""The Fisher-Rao metric of p(x_0 | x_t) over space-time, the points (x_t, l) of all noise levels.

Whatever the data are, what is known of x_0 when x_t is seen is an exponential family,

    p(x_0 | x_t) ~ p(x_0) exp(<eta, T(x_0)>),    T = (x_0, |x_0|^2),    eta = (e^l x_t / alpha, -e^l / 2)
    mu = E[T | x_t] = (D, |D|^2 + alpha e^-l div D)    by the second-order formula of Tweedie,
    g = (d eta)^T d mu = Hess phi in the coordinates eta,    phi = log of the integral of p(x_0) exp(<eta, T>).

Coordinates do not matter: (x_t, l) -> (eta, mu) is an immersion into R^{2(d+1)} with the inner product of dual
coordinates, <(a, b), (c, e)> = (a . e + b . c) / 2, which induces g; the squared chord of a segment is
(delta eta) . (delta mu), Jeffreys' divergence of its ends. With c > 0 the coordinates

    (c eta + mu / c) / 2    and    (c eta - mu / c) / 2,    signs + and -

have the same inner product; c = e^-l makes both halves of equal size at l, which keeps rounding small. Curvature takes
three derivatives of D. Where the density of x_t is known, phi is known too, and g is a `HessianMetric`.

For data from N(0, s^2 I) space-time is part of the half-space of isotropic Gaussians N(m, v), v = 1 / (1/s^2 + e^l),
m = v e^l x_t / alpha:  ds^2 = |dm|^2 / v + d dv^2 / (2 v^2), of sectional curvature -1/(2d).

Reference: Karczewski, Heinonen, Pouplin, Hauberg & Garg, "Spacetime geometry of denoising in diffusion models" (2025),
https://arxiv.org/abs/2505.17517; Amari, "Information Geometry and Its Applications" (2016), chapter 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, log, pi, prod

import torch
from torch import Tensor

from lsgen.geometry.denoising.posterior import Denoise, DenoisedPoints, Scale, variance_preserving
from lsgen.geometry.hessian_metric import HessianMetric
from lsgen.geometry.immersion import Immersion

__all__ = ["log_partition_metric", "natural_coordinates", "spacetime_metric"]


def natural_coordinates(z: Tensor, alpha: Scale = variance_preserving) -> Tensor:
    """Return eta = (e^l x_t / alpha, -e^l / 2) (..., d + 1) of space-time points (x_t, l) (..., d + 1).

    Args:
        z: points, the last coordinate l.
        alpha: the factor of x_0 in x_t as a function of l.

    """
    x, log_snr = z[..., :-1], z[..., -1:]
    precision = log_snr.exp()
    return torch.cat([precision * x / alpha(log_snr), -precision / 2], -1)


class _DualMap:
    """z = (x_t, l) -> ((c eta + mu / c) / 2, (c eta - mu / c) / 2), (N, d + 1) -> (N, 2 (d + 1))."""

    def __init__(
        self, denoise: Denoise, shape: Sequence[int], alpha: Scale, balance: float, probes: Tensor | None
    ) -> None:
        self.points, self.alpha, self.balance, self.probes = DenoisedPoints(denoise, shape), alpha, balance, probes

    def __call__(self, z: Tensor) -> Tensor:
        """Return the coordinates of flat space."""
        mean, slopes = self.points.expanded(z, self.probes)
        log_snr = z[:, -1]
        if self.probes is None:
            divergence = torch.einsum("ini->n", slopes)
        else:
            divergence = torch.einsum("kni,ki->n", slopes, self.probes.to(z)) / len(self.probes)
        spread = self.alpha(log_snr) * (-log_snr).exp() * divergence
        mu = torch.cat([mean, (mean.square().sum(1) + spread)[:, None]], 1) / self.balance
        eta = natural_coordinates(z, self.alpha) * self.balance
        return torch.cat([eta + mu, eta - mu], 1) / 2


def spacetime_metric(
    denoise: Denoise,
    shape: Sequence[int],
    alpha: Scale = variance_preserving,
    around: float = 0.0,
    probes: Tensor | None = None,
) -> Immersion:
    """Return the Fisher-Rao metric of p(x_0 | x_t) over space-time, of points z = (x_t, l) (B, d + 1).

    Args:
        denoise: `denoise(x, log_snr)` -> (N, *shape), exact or a network; smooth, since it is differentiated.
        shape: shape of one observation, of d numbers.
        alpha: the factor of x_0 in x_t as a function of l; that of variance-preserving paths where it is not given.
        around: the l near which points lie, where rounding is smallest; the metric does not depend on it.
        probes: vectors (k, d) of random signs with which the divergence is estimated instead of summed over all d
            directions; held fixed, so that the metric is one, of which the variance of the estimate is a part.

    Raises:
        TypeError: the denoiser cannot be called.
        ValueError: probes have another shape than (k, d).

    """
    if not callable(denoise):
        raise TypeError(f"expected a denoiser (x, log_snr) -> E[x_0 | x_t], got {type(denoise).__name__}")
    d = prod(shape)
    if probes is not None and (probes.ndim != 2 or probes.shape[1] != d or not len(probes)):
        raise ValueError(f"expected probes (k, {d}), got {tuple(probes.shape)}")
    signature = torch.ones(2 * (d + 1))
    signature[d + 1 :] = -1
    return Immersion(_DualMap(denoise, shape, alpha, exp(-around), probes), d + 1, signature)


class _LogPartition:
    """eta -> phi, (N, d + 1) -> (N,), from the density of x_t."""

    def __init__(self, log_density: Callable[[Tensor, Tensor], Tensor], shape: Sequence[int], alpha: Scale) -> None:
        self.log_density, self.shape, self.alpha = log_density, tuple(shape), alpha

    def __call__(self, eta: Tensor) -> Tensor:
        """Return the potential."""
        precision = -2 * eta[:, -1]
        log_snr, clean = precision.log(), eta[:, :-1] / precision[:, None]
        scale, d = self.alpha(log_snr), eta.shape[1] - 1
        density = self.log_density((scale[:, None] * clean).unflatten(1, self.shape), log_snr)
        volume = d / 2 * (log(2 * pi) + 2 * scale.log() - log_snr)
        return density + precision * clean.square().sum(1) / 2 + volume


def log_partition_metric(
    log_density: Callable[[Tensor, Tensor], Tensor], shape: Sequence[int], alpha: Scale = variance_preserving
) -> HessianMetric:
    """Return the same metric in natural coordinates eta (B, d + 1), as the Hessian of the log-partition function.

    `natural_coordinates` are those of points (x_t, l); `dual` of the metric returns mu = (E x_0, E |x_0|^2).

    Args:
        log_density: `log_density(x, log_snr)` -> log p(x_t) (N,), as exact denoisers have it.
        shape: shape of one observation, of d numbers.
        alpha: the factor of x_0 in x_t as a function of l.

    Raises:
        TypeError: the density cannot be called.

    """
    if not callable(log_density):
        raise TypeError(f"expected a log density (x, log_snr) -> log p(x_t), got {type(log_density).__name__}")
    return HessianMetric(_LogPartition(log_density, shape, alpha), prod(shape) + 1, definite=True)
