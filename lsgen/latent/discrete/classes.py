r"""Codes with a continuous part and a class: c = (z, y), z in R^d, y one of K classes as a one-hot vector.

    q(z, y | x) = q(y|x) q(z | x, y),    q(z | x, y) = N( m_y(x), diag(s_y(x)^2) )

The encoder gives the logits of q(y|x) and the mean and log variance of q(z|x, y) for every class at once, K (1 + 2 d)
numbers, so that an expectation over y is a sum:

    KL( q(z, y|x) || p(z) p(y) ) = sum_y q(y|x) [ log q(y|x)/p(y) + KL( q(z|x, y) || p(z) ) ].

The prior is `Product([StandardNormal(d), OneHot(K)])`, or has p(z|y) in the place of p(z): see `class_conditional`.

Reference: Kingma, Rezende, Mohamed & Welling, "Semi-supervised learning with deep generative models" (2014),
https://arxiv.org/abs/1406.5298.
"""

from __future__ import annotations

from math import log
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    Normal,
    OneHotCategorical,
    constraints,
    kl_divergence,
    register_kl,
)
from torch.nn.functional import one_hot

from lsgen.latent.discrete.class_conditional import NormalGivenClass
from lsgen.latent.families.product import Joint
from lsgen.latent.manifolds.manifold import Euclidean, Manifold
from lsgen.latent.manifolds.product_manifolds import side_by_side
from lsgen.latent.manifolds.supports import Simplex
from lsgen.latent.posteriors import Posterior

__all__ = ["ClassCodes", "ClassPosterior", "divergence_given_class"]


class ClassCodes(Distribution):
    """q(y|x) q(z|x, y), of batch shape (B,) and event shape (d + K,).

    Args:
        logits: of the classes, (B, K).
        given: q(z|x, y) for every class, a normal of batch shape (B, K, d).

    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector
    has_rsample = False

    def __init__(self, logits: Tensor, given: Normal) -> None:
        self.log_classes, self.given = logits.log_softmax(-1), given
        size = given.loc.shape[-1] + logits.shape[-1]
        super().__init__(logits.shape[:-1], torch.Size((size,)), validate_args=False)

    @property
    def classes(self) -> int:
        """The number K of classes."""
        return self.log_classes.shape[-1]

    @property
    def mean(self) -> Tensor:
        """E[z] and the class probabilities, (B, d + K)."""
        weights = self.log_classes.exp()
        return torch.cat([(weights.unsqueeze(-1) * self.given.loc).sum(-2), weights], -1)

    @property
    def variance(self) -> Tensor:
        """The variance of z and of the class indicators, (B, d + K)."""
        weights = self.log_classes.exp()
        second = (weights.unsqueeze(-1) * (self.given.variance + self.given.loc.square())).sum(-2)
        z = second - (weights.unsqueeze(-1) * self.given.loc).sum(-2).square()
        return torch.cat([z, weights * (1 - weights)], -1)

    def every_class(self) -> Tensor:
        """Return one reparameterised code for every class, (K, B, d + K).

        All classes of an observation have the same noise: differences between classes, from which q(y|x) learns, are
        then free of it, and expectations of sums over classes are what they are with noise for each.
        """
        loc, scale = self.given.loc, self.given.scale
        z = loc + scale * torch.randn_like(loc[..., :1, :])
        y = torch.eye(self.classes, dtype=z.dtype, device=z.device).expand(*z.shape[:-1], self.classes)
        return torch.cat([z, y], -1).movedim(-2, 0)

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Return codes (*sample_shape, B, d + K)."""
        with torch.no_grad():
            classes = Categorical(logits=self.log_classes, validate_args=False)
            y = one_hot(classes.sample(torch.Size(sample_shape)), self.classes)
            z = self.given.sample(torch.Size(sample_shape))
            return torch.cat([(y.unsqueeze(-1) * z).sum(-2), y.to(z)], -1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log q(y|x) + log q(z|x, y), (B,), of codes whose class is one-hot."""
        z, y = value.split([value.shape[-1] - self.classes, self.classes], -1)
        every = self.log_classes + self.given.log_prob(z.unsqueeze(-2)).sum(-1)
        return every.gather(-1, y.argmax(-1, keepdim=True).expand(*every.shape[:-1], 1)).squeeze(-1)


class ClassPosterior(Posterior):
    """The posterior q(y|x) q(z|x, y); the raw outputs are K logits, the means of all classes and their log variances.

    The encoder must not state a latent dimension: it has K (1 + 2 d) outputs.

    Args:
        dim: dimension d of z.
        classes: number K of classes.

    """

    heads: ClassVar[int] = 1
    reparameterised: ClassVar[bool] = False

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.dim, self.classes = dim, classes

    @property
    def manifold(self) -> Manifold:
        """The product of flat space and the simplex of classes."""
        return side_by_side([Euclidean(), Simplex(self.classes)], [self.dim, self.classes])

    def forward(self, raw: Tensor) -> ClassCodes:
        """Return the posterior of raw outputs (B, K (1 + 2 d)).

        Raises:
            ValueError: raw has another number of outputs.

        """
        expected = self.classes * (1 + 2 * self.dim)
        if raw.shape[-1] != expected:
            raise ValueError(
                f"ClassPosterior expected {expected} outputs for {self.classes} classes and {self.dim} dimensions, "
                f"got {raw.shape[-1]}"
            )
        size = self.classes * self.dim
        logits, mean, log_variance = raw.split([self.classes, size, size], -1)
        shape = (self.classes, self.dim)
        scale = (log_variance / 2).exp().unflatten(-1, shape)
        return ClassCodes(logits, Normal(mean.unflatten(-1, shape), scale, validate_args=False))


def divergence_given_class(q: ClassCodes, p: Joint | NormalGivenClass) -> Tensor:
    """Return KL(q(z|x, y) || p(z|y)) - log p(y) for every class, (B, K).

    Raises:
        TypeError: p is no product of independent normals and classes.

    """
    if isinstance(p, NormalGivenClass):
        return kl_divergence(q.given, p.every_class).sum(-1) + log(p.classes)
    normal, classes = p.parts
    if not isinstance(normal, Independent) or not isinstance(classes, OneHotCategorical):
        raise TypeError(f"expected a prior Product([StandardNormal, OneHot]), got {p.parts}")
    return kl_divergence(q.given, normal.base_dist).sum(-1) - classes.logits.log_softmax(-1)


@register_kl(ClassCodes, Joint)
@register_kl(ClassCodes, NormalGivenClass)
def _kl_to_joint(q: ClassCodes, p: Joint | NormalGivenClass) -> Tensor:
    weights = q.log_classes.exp()
    return (weights * (q.log_classes + divergence_given_class(q, p))).sum(-1)
