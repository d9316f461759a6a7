r"""Negative binomial: counts of mean mu and variance mu + mu^2/r, with r fixed, and with mu and r both decoded.

    p(x) = Gamma(x + r)/(Gamma(r) x!) (r/(r + mu))^r (mu/(r + mu))^x .

Fixed r, h = log mu:

    F(h) = mu r/(mu + r),    T(h) = mu r (2 mu + r)/(mu + r)^2,    e(h) = 2 sqrt(r) asinh sqrt(mu/r).

Decoded h = (log mu, log r): mu and r are orthogonal, F = diag(mu r/(mu + r), r^2 F_rr) with

    F_rr = psi_1(r) - E[psi_1(r + X)] - mu/(r (r + mu)).

Since psi_1(r) = int t e^{-rt}/(1 - e^{-t}) dt and E[e^{-tX}] = (1 + (mu/r)(1 - e^{-t}))^{-r} =: P(t),

    F_rr = int_0^inf e^{-rt} [ (t/(1 - e^{-t}) - 1) (1 - P) + e^{-mu t} - P ] dt,

whose integrand is evaluated with expm1. In y = log t it is analytic and decays at both ends, so that the trapezoidal
rule converges exponentially: 128 nodes give a relative error below 1e-9 for r <= 200 (the value cancels like r/mu).
There is no flat embedding of both: this geometry is intrinsic. The third moment of the score in r has no closed form.

Reference: Lawless, "Negative binomial and mixed Poisson regression" (1987), section 2; Trefethen & Weideman, "The
exponentially convergent trapezoidal rule" (2014), section 14, for the quadrature.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, sqrt
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent
from torch.distributions import NegativeBinomial as _NegativeBinomial

from lsgen.likelihoods.base import ClosedFormLikelihood, CubicLikelihood, Likelihood
from lsgen.likelihoods.poisson import are_counts, is_count

__all__ = ["FixedNegativeBinomial", "NegativeBinomial"]

NODES = 128


class FixedNegativeBinomial(ClosedFormLikelihood, CubicLikelihood):
    """Independent counts of log mean h and one fixed dispersion.

    Args:
        shape: shape of one observation.
        dispersion: r; the variance is mu + mu^2/r, and r to infinity gives Poisson counts.

    Raises:
        ValueError: the dispersion is not positive.

    """

    support: str = "whole numbers of at least 0"
    discrete: ClassVar[bool] = True

    def __init__(self, shape: Sequence[int], dispersion: float = 1.0) -> None:
        super().__init__(shape)
        if not dispersion > 0:
            raise ValueError(f"expected a dispersion r > 0, got {dispersion}")
        self.dispersion = float(dispersion)

    def forward(self, h: Tensor) -> Distribution:
        """Return NegativeBinomial(r, logits = log mu - log r)."""
        log_mean = self.split(h).squeeze(-1)
        r = torch.full((), self.dispersion, dtype=h.dtype, device=h.device)
        counts = _NegativeBinomial(r, logits=log_mean - log(self.dispersion), validate_args=False)
        return Independent(counts, len(self.shape), validate_args=False)

    def fisher(self, h: Tensor) -> Tensor:
        """Return mu r/(mu + r), of shape (B, *shape, 1, 1)."""
        return _information(self.split(h), log(self.dispersion)).unsqueeze(-1)

    def amari_chentsov(self, h: Tensor, v: Tensor) -> Tensor:
        """Return T of mu r (2 mu + r)/(mu + r)^2 = F (1 + mu/(mu + r)) for each data dimension."""
        share = torch.sigmoid(self.split(h) - log(self.dispersion))
        return self.contracted((self.fisher(h)[..., 0] * (1 + share))[..., None, None], v)

    def in_support(self, x: Tensor) -> Tensor:
        """Accept 0, 1, 2, ..."""
        return is_count(x)

    def allows(self, x: Tensor) -> Tensor:
        """Return whether every value is a count, a 0-d boolean tensor."""
        return are_counts(x)

    def embed(self, h: Tensor, at: Tensor | None = None) -> Tensor:
        """Return 2 sqrt(r) asinh sqrt(mu/r), of shape (B, D)."""
        log_mean = self.split(h).flatten(-len(self.shape) - 1)
        return 2 * sqrt(self.dispersion) * torch.asinh(torch.exp((log_mean - log(self.dispersion)) / 2))

    def distance(self, h: Tensor, other: Tensor) -> Tensor:
        """Return the norm of the difference of the embeddings.

        Evaluated as asinh a - asinh b = asinh( (a^2 - b^2) / (a sqrt(1 + b^2) + b sqrt(1 + a^2)) ), which keeps small
        distances.
        """
        r = self.dispersion
        first, second = (self.split(x).flatten(-len(self.shape) - 1) for x in (h, other))
        u, v = torch.maximum(first, second), torch.minimum(first, second)
        a, b = (torch.exp((x - log(r)) / 2) for x in (u, v))
        one, step = torch.ones_like(a), v - u
        ratio = -a * torch.expm1(step) / (torch.hypot(one, b) + torch.exp(step / 2) * torch.hypot(one, a))
        return 2 * sqrt(r) * torch.linalg.vector_norm(torch.asinh(ratio), dim=-1)


class NegativeBinomial(Likelihood):
    """Independent counts; the heads are the log mean and the log dispersion."""

    heads: int = 2
    support: str = "whole numbers of at least 0"
    discrete: ClassVar[bool] = True

    def forward(self, h: Tensor) -> Distribution:
        """Return NegativeBinomial(r, logits = log mu - log r)."""
        log_mean, log_r = self.split(h).unbind(-1)
        counts = _NegativeBinomial(log_r.exp(), logits=log_mean - log_r, validate_args=False)
        return Independent(counts, len(self.shape), validate_args=False)

    def fisher(self, h: Tensor) -> Tensor:
        """Return diag(mu r/(mu + r), r^2 F_rr), of shape (B, *shape, 2, 2)."""
        log_mean, log_r = self.split(h).unbind(-1)
        of_r = _dispersion_information(log_mean.double(), log_r.double()).to(h.dtype)
        return torch.diag_embed(torch.stack([_information(log_mean, log_r), of_r], -1))

    def in_support(self, x: Tensor) -> Tensor:
        """Accept 0, 1, 2, ..."""
        return is_count(x)

    def allows(self, x: Tensor) -> Tensor:
        """Return whether every value is a count, a 0-d boolean tensor."""
        return are_counts(x)


def _information(log_mean: Tensor, log_r: Tensor | float) -> Tensor:
    """Return mu r/(mu + r) = mu sigmoid(log r - log mu)."""
    return log_mean.exp() * torch.sigmoid(log_r - log_mean)


def _dispersion_information(log_mean: Tensor, log_r: Tensor) -> Tensor:
    """Return r^2 F_rr, by the trapezoidal rule in log t."""
    mean, r = log_mean.exp().unsqueeze(-1), log_r.exp().unsqueeze(-1)
    low = torch.minimum(-log_r, -log_mean).clamp(max=0) - 14
    width = log(60) - log_r - low
    grid = torch.arange(NODES, dtype=mean.dtype, device=mean.device) / (NODES - 1)
    t = torch.exp(low.unsqueeze(-1) + width.unsqueeze(-1) * grid)
    s = -torch.expm1(-t)
    near = t < 1e-2
    excess = torch.where(near, t / 2 + t * t / 12 - t**4 / 720, t / torch.where(near, torch.ones_like(s), s) - 1)
    log_p = -r * torch.log1p(mean * s / r)
    both = torch.exp(log_p) * torch.expm1(-mean * t - log_p) - excess * torch.expm1(log_p)
    return (r * r * torch.exp(-r * t) * t * both).sum(-1) * width / (NODES - 1)
