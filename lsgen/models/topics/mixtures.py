r"""Distributions of the mixtures theta of topics: Dirichlet, and logistic-normal.

Both have densities with respect to the first K - 1 weights.

    Dirichlet:          p(theta) = Gamma(sum a) / prod Gamma(a_k) prod theta_k^{a_k - 1}
    logistic-normal:    theta = softmax(y),    y ~ N(mu, diag(sigma^2)) in R^K

Two vectors y that differ by a number give one theta, so that with r = log theta - mu

    log p(theta) = -1/2 ( sum r_k^2/sigma_k^2 - (sum r_k/sigma_k^2)^2 / sum 1/sigma_k^2
                          + sum log sigma_k^2 + log sum 1/sigma_k^2 + (K - 1) log 2 pi ) - sum log theta_k .

The divergence of two logistic-normals is taken of y, in R^K, as the papers do: it is closed, and not below that of
theta.

The Dirichlet with concentrations a looks in the coordinates y like the normal of

    mu_k = log a_k - 1/K sum log a_i,    sigma_k^2 = 1/a_k (1 - 2/K) + 1/K^2 sum 1/a_i ,

its Laplace approximation; for equal a, mu = 0 and sigma^2 = (1 - 1/K)/a.

Reference: Aitchison & Shen, "Logistic-normal distributions" (1980); Srivastava & Sutton, "Autoencoding variational
inference for topic models" (2017), equation 3, https://arxiv.org/abs/1703.01488.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Dirichlet, Distribution, constraints, register_kl

from lsgen.latent import Manifold, Posterior, Prior, Simplex

__all__ = ["DirichletPosterior", "DirichletPrior", "LogisticNormal", "LogisticNormalPosterior", "LogisticNormalPrior"]


class LogisticNormal(Distribution):
    """The distribution of softmax(y) for y ~ N(mu, diag(sigma^2)).

    Args:
        mu: means of y, (B, K).
        log_variance: log sigma^2, (B, K).

    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.simplex
    has_rsample = True

    def __init__(self, mu: Tensor, log_variance: Tensor) -> None:
        self.mu, self.log_variance = mu, log_variance
        super().__init__(mu.shape[:-1], mu.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The mixture softmax(mu), the code of the middle; the expectation has no closed form."""
        return torch.softmax(self.mu, -1)

    @property
    def variance(self) -> Tensor:
        """The variances of the weights to first order in those of y."""
        middle, variance = self.mean, self.log_variance.exp()
        common = (middle.square() * variance).sum(-1, keepdim=True)
        return middle.square() * (variance * (1 - 2 * middle) + common)

    def expand(self, batch_shape: Any, _instance: Any = None) -> LogisticNormal:
        """Return the distribution with a larger batch shape."""
        return LogisticNormal(*(part.expand(*batch_shape, -1) for part in (self.mu, self.log_variance)))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draw mixtures, (*sample_shape, B, K), with the gradient of the parameters."""
        noise = torch.randn(*Size(sample_shape), *self.mu.shape, dtype=self.mu.dtype, device=self.mu.device)
        return torch.softmax(self.mu + (self.log_variance / 2).exp() * noise, -1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log density in nats, (B,)."""
        log_theta = value.clamp(min=torch.finfo(value.dtype).tiny).log()
        precision, r = (-self.log_variance).exp(), log_theta - self.mu
        total = precision.sum(-1)
        square = (precision * r.square()).sum(-1) - (precision * r).sum(-1).square() / total
        scale = self.log_variance.sum(-1) + total.log() + (value.shape[-1] - 1) * math.log(2 * math.pi)
        return -(square + scale) / 2 - log_theta.sum(-1)


@register_kl(LogisticNormal, LogisticNormal)
def _kl(q: LogisticNormal, p: LogisticNormal) -> Tensor:
    """Return the divergence of the normals of y."""
    ratio = q.log_variance - p.log_variance
    square = (q.mu - p.mu).square() * (-p.log_variance).exp()
    return ((ratio.exp() - ratio + square - 1) / 2).sum(-1)


class _OnSimplex:
    """Mixtures of `dim` topics."""

    dim: int

    @property
    def manifold(self) -> Manifold:
        """The simplex with its mixtures."""
        return Simplex(self.dim, mixtures=True)


class _MixturePrior(_OnSimplex, Prior):
    """A prior of mixtures."""

    def levels(self, t: Tensor) -> Tensor:
        """Return weights Phi(t) of a topic, between 0 and 1, (N, d): a traversal moves towards a corner."""
        return torch.special.ndtr(t.to(self().mean))[:, None].expand(-1, self.dim)


class _MixturePosterior(_OnSimplex, Posterior):
    """A family of posteriors of mixtures.

    Args:
        dim: number K of topics.

    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = int(dim)


class LogisticNormalPrior(_MixturePrior):
    """The logistic-normal prior of mixtures: the Laplace approximation of a Dirichlet, or of a given variance.

    Args:
        dim: number K of topics.
        alpha: concentration of the Dirichlet, the same for every topic.
        variance: of y instead, with mean 0; 1 for the embedded topic model.

    Raises:
        ValueError: there is one topic alone, whose weight is always 1, or a number is not positive.

    """

    log_variance: Tensor

    def __init__(self, dim: int, alpha: float = 1.0, variance: float | None = None) -> None:
        super().__init__(dim)
        if dim < 2:
            raise ValueError(f"expected at least 2 topics for logistic-normal mixtures, got {dim}")
        value = (1 - 1 / dim) / alpha if variance is None and alpha > 0 else variance
        if value is None or not value > 0:
            raise ValueError(f"expected alpha and variance above 0, got {alpha} and {variance}")
        self.register_buffer("log_variance", torch.full((dim,), math.log(value)), persistent=False)

    def forward(self) -> LogisticNormal:
        """Return the distribution of mixtures."""
        return LogisticNormal(torch.zeros_like(self.log_variance), self.log_variance)


class LogisticNormalPosterior(_MixturePosterior):
    """Logistic-normal mixtures; the heads are mu and log sigma^2."""

    heads: ClassVar[int] = 2

    def forward(self, raw: Tensor) -> LogisticNormal:
        """Return the distribution of raw outputs (B, 2 K)."""
        return LogisticNormal(*raw.chunk(2, -1))


class DirichletPrior(_MixturePrior):
    """The Dirichlet prior of mixtures with one concentration for all topics.

    Args:
        dim: number K of topics.
        alpha: concentration; 1 is uniform.

    Raises:
        ValueError: alpha is not positive.

    """

    concentration: Tensor

    def __init__(self, dim: int, alpha: float = 1.0) -> None:
        super().__init__(dim)
        if not alpha > 0:
            raise ValueError(f"expected a concentration alpha above 0, got {alpha}")
        self.register_buffer("concentration", torch.full((dim,), float(alpha)), persistent=False)

    def forward(self) -> Dirichlet:
        """Return the distribution of mixtures."""
        return Dirichlet(self.concentration, validate_args=False)


class DirichletPosterior(_MixturePosterior):
    """Dirichlet mixtures; the head is the log of the concentrations."""

    heads: ClassVar[int] = 1

    def forward(self, raw: Tensor) -> Dirichlet:
        """Return the distribution of raw outputs (B, K)."""
        return Dirichlet(raw.exp(), validate_args=False)
