r"""A prior of a code that depends on the class: c = (z, y), y one of K classes as a one-hot vector.

    p(z, y) = p(y) p(z|y),    p(z|y) = N( m_y, diag(s_y^2) ),    p(y) = 1/K,

with a learned mean and log variance for every class: a prior network whose input is one of K vectors is a table.
Between classes, where y is a mixture of weights, mean and log variance are the weighted ones. With q(y|x) q(z|x, y) of
`ClassPosterior` the divergence is in closed form,

    KL( q(z, y|x) || p(z, y) ) = sum_y q(y|x) [ log K q(y|x) + KL( q(z|x, y) || p(z|y) ) ].

Reference: Sohn, Lee & Yan, "Learning structured output representation using deep conditional generative models" (2015),
equations 4 and 5, https://papers.nips.cc/paper/5775.
"""

from __future__ import annotations

from math import log
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, constraints
from torch.nn.functional import one_hot

from lsgen.latent.families.product import OneHot
from lsgen.latent.manifolds.manifold import Euclidean, Manifold
from lsgen.latent.manifolds.product_manifolds import side_by_side
from lsgen.latent.manifolds.supports import Simplex
from lsgen.latent.priors import Prior

__all__ = ["ClassConditionalNormal", "NormalGivenClass"]


class NormalGivenClass(Distribution):
    """The distribution p(y) p(z|y) of batch shape () and event shape (d + K,).

    Args:
        mean: m, of every class, (K, d).
        log_variance: log s^2, of every class, (K, d).

    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector
    has_rsample = False

    def __init__(self, mean: Tensor, log_variance: Tensor) -> None:
        self.loc, self.log_variance = mean, log_variance
        super().__init__(torch.Size(), torch.Size((sum(mean.shape),)), validate_args=False)

    @property
    def classes(self) -> int:
        """The number K of classes."""
        return len(self.loc)

    @property
    def every_class(self) -> Normal:
        """p(z|y) for every class, of batch shape (K, d)."""
        return Normal(self.loc, (self.log_variance / 2).exp(), validate_args=False)

    def given(self, y: Tensor) -> Distribution:
        """Return p(z|y), of batch shape B and event shape (d,), for classes or mixtures of them (B, K)."""
        normal = Normal(y @ self.loc, (y @ self.log_variance / 2).exp(), validate_args=False)
        return Independent(normal, 1, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """E[z] and the class probabilities, (d + K,)."""
        return torch.cat([self.loc.mean(0), self.loc.new_full((self.classes,), 1 / self.classes)])

    @property
    def variance(self) -> Tensor:
        """The variance of z and of the class indicators, (d + K,)."""
        z = self.log_variance.exp().mean(0) + self.loc.var(0, correction=0)
        share = 1 / self.classes
        return torch.cat([z, self.loc.new_full((self.classes,), share * (1 - share))])

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Return codes (*sample_shape, d + K)."""
        label = torch.randint(self.classes, torch.Size(sample_shape), device=self.loc.device)
        y = one_hot(label, self.classes).to(self.loc)
        with torch.no_grad():
            return torch.cat([self.given(y).sample(), y], -1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log p(z|y) - log K, (B,), of codes (B, d + K)."""
        z, y = value.split([value.shape[-1] - self.classes, self.classes], -1)
        return self.given(y).log_prob(z) - log(self.classes)


class ClassConditionalNormal(Prior):
    """The prior p(y) p(z|y) with a learned normal for every class, standard normal at first.

    Args:
        style: dimension d of z.
        classes: number K of classes.
        dim: the latent dimension, for whoever has to state it; d + K where it is None.

    Attributes:
        sizes: d and K.

    Raises:
        ValueError: a number is not positive, or dim is not d + K.

    """

    def __init__(self, style: int, classes: int, dim: int | None = None) -> None:
        if min(style, classes) < 1:
            raise ValueError(f"expected a dimension and classes of at least 1, got {style} and {classes}")
        super().__init__(style + classes)
        if dim is not None and dim != self.dim:
            raise ValueError(f"expected dim = {style} + {classes} = {self.dim}, got {dim}")
        self.classes, self.sizes = int(classes), [int(style), int(classes)]
        self.label = OneHot(classes)
        self.loc = nn.Parameter(torch.zeros(classes, style))
        self.log_variance = nn.Parameter(torch.zeros(classes, style))

    @property
    def manifold(self) -> Manifold:
        """The product of flat space and the simplex of classes."""
        return side_by_side([Euclidean(), Simplex(self.classes)], self.sizes)

    def levels(self, t: Tensor) -> Tensor:
        """Return mean + t std of z over all classes, and weights Phi(t) of a class, (N, d + K)."""
        p, d = self(), self.sizes[0]
        z = p.mean[:d] + t.to(p.mean)[:, None] * p.stddev[:d]
        return torch.cat([z, self.label.levels(t)], -1)

    def forward(self) -> NormalGivenClass:
        """Return p(z, y)."""
        return NormalGivenClass(self.loc, self.log_variance)

    @torch.no_grad()
    def draw_class(self, label: Tensor) -> Tensor:
        """Return a code (n, d + K) of each class (n,): z from p(z|y)."""
        y = one_hot(label, self.classes).to(self.loc)
        return torch.cat([self().given(y).sample(), y], -1)
