r"""Codes with two levels and a class, c = (z_2, y, e_1): a semi-supervised model of the codes of another model.

    z_1 = m_p(z_2, y) + s_p(z_2, y) e_1,    x | z_1 ~ p(x | z_1),    z_2, e_1 ~ N(0, I),   y one of K classes

is the hierarchy p(z_2) p(y) p(z_1|z_2, y) p(x|z_1) written in its noise, so that its prior is
`Product([StandardNormal, OneHot, StandardNormal])` and its decoder a `LadderDecoder` whose upper level is (z_2, y).
The posterior goes up,

    q(z_1|x) q(y|z_1) q(z_2|z_1, y),    q(c|x) = q(z_1|x) q(z_2, y|z_1) prod_i s_p,i   at   e_1 = (z_1 - m_p) / s_p .

Reference: Kingma, Rezende, Mohamed & Welling (2014), section 2.1, "stacked generative semi-supervised model (M1+M2)",
https://arxiv.org/abs/1406.5298.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal, constraints

from lsgen.latent.discrete.classes import ClassCodes, ClassPosterior
from lsgen.latent.families.ladder import LadderDecoder
from lsgen.latent.manifolds.manifold import Euclidean, Manifold
from lsgen.latent.manifolds.product_manifolds import side_by_side
from lsgen.latent.manifolds.supports import Simplex
from lsgen.latent.posteriors import DecoderDependentPosterior

__all__ = ["StackedCodes", "StackedPosterior"]


class StackedCodes(Distribution):
    """q(z_1|x) q(z_2, y|z_1) as a distribution over (z_2, y, e_1), of batch shape (B,).

    Args:
        lower: q(z_1|x), a normal of batch shape (B, d_1).
        posterior: what says q(z_2, y|z_1), and how z_1 depends on them.

    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector
    has_rsample = False

    def __init__(self, lower: Normal, posterior: StackedPosterior) -> None:
        self.lower, self.posterior = lower, posterior
        super().__init__(lower.loc.shape[:-1], torch.Size((posterior.ladder.dim,)), validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The centre (B, d): E[z_2], the class probabilities and e_1, all at the mean of z_1."""
        return self._joined(self.posterior.upper(self.lower.loc).mean, self.lower.loc)

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Return codes (*sample_shape, B, d)."""
        with torch.no_grad():
            z1 = self.lower.sample(torch.Size(sample_shape))
            return self._joined(self.posterior.upper(z1).sample(), z1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log density, (B,), of codes whose class is one-hot."""
        top, e1 = value.split([self.posterior.ladder.top_dim, self.posterior.ladder.bottom_dim], -1)
        mean, scale = self.posterior.ladder.below(top)
        z1 = mean + scale * e1
        lower: Tensor = (self.lower.log_prob(z1) + scale.log()).sum(-1)
        return lower + self.posterior.upper(z1).log_prob(top)

    def _joined(self, top: Tensor, z1: Tensor) -> Tensor:
        mean, scale = self.posterior.ladder.below(top)
        return torch.cat([top, (z1 - mean) / scale], -1)


class StackedPosterior(DecoderDependentPosterior):
    """The posterior of a class model on top of codes z_1; the heads are mean and log variance of z_1.

    Args:
        classifier: codes z_1 (N, d_1) -> K (1 + 2 d_2) raw outputs, see `ClassPosterior`.
        dim: dimension d_2 of z_2.
        classes: number K of classes.
        raw_dim: dimension d_1 of z_1, which is what the encoder speaks of.

    """

    heads: ClassVar[int] = 2
    reparameterised: ClassVar[bool] = False

    def __init__(self, classifier: nn.Module, dim: int, classes: int, raw_dim: int) -> None:
        super().__init__()
        self.classifier, self.given = classifier, ClassPosterior(dim, classes)
        self.raw_dim: int = raw_dim

    @property
    def manifold(self) -> Manifold:
        """The product of flat space, the simplex of classes, and flat space."""
        sizes = [self.given.dim, self.given.classes, self.raw_dim]
        return side_by_side([Euclidean(), Simplex(self.given.classes), Euclidean()], sizes)

    def bind(self, decoder: nn.Module) -> None:
        """Store the decoder of the latent space.

        Raises:
            TypeError: it has no two levels.

        """
        if not isinstance(decoder, LadderDecoder):
            raise TypeError(f"StackedPosterior expected a LadderDecoder, got {type(decoder).__name__}")
        super().bind(decoder)

    @property
    def ladder(self) -> LadderDecoder:
        """The decoder, down the two levels."""
        assert isinstance(self.decoder, LadderDecoder)
        return self.decoder

    def forward(self, raw: Tensor) -> StackedCodes:
        """Return the posterior of raw outputs (B, 2 d_1)."""
        mean, log_variance = raw.chunk(2, dim=-1)
        return StackedCodes(Normal(mean, (log_variance / 2).exp(), validate_args=False), self)

    def upper(self, z1: Tensor) -> ClassCodes:
        """Return q(z_2, y|z_1), of batch shape (*, B), for codes (*, B, d_1), in their precision."""
        raw: Tensor = self.classifier(z1.reshape(-1, z1.shape[-1])).to(z1.dtype)
        return self.given(raw.reshape(*z1.shape[:-1], -1))
