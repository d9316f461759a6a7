r"""Codes of L independent variables with K categories each, as one-hot vectors side by side, d = L K.

    q(z|x) = prod_l Categorical(k_l | softmax(l_l)),    p(z) = K^-L

The relaxation at temperature t is the Concrete distribution on the simplex. In y = log z its density is

    (K - 1)! t^(K - 1) prod_k e^{s_k} / ( sum_k e^{s_k} )^K,    s = l - t y .

Reference: Maddison, Mnih & Teh (2017), section 3 and appendix C.3 (in logarithms),
https://arxiv.org/abs/1611.00712; Jang, Gu & Poole (2017), appendix B, https://arxiv.org/abs/1611.01144.
"""

from __future__ import annotations

from math import lgamma, log
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import constraints, register_kl
from torch.nn.functional import one_hot

from lsgen.latent.discrete.relaxation import DiscreteCodes, DiscretePosterior, DiscretePrior
from lsgen.latent.manifolds.manifold import Manifold
from lsgen.latent.manifolds.product_manifolds import side_by_side
from lsgen.latent.manifolds.supports import Simplex

__all__ = ["CategoricalPosterior", "CategoricalPrior", "OneHotCodes"]


class OneHotCodes(DiscreteCodes):
    """Independent categorical variables as one-hot vectors.

    Args:
        logits: of the categories, (B, L, K), up to a constant.

    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits.log_softmax(-1)
        super().__init__(logits.shape[:-2], torch.Size([logits.shape[-2:].numel()]), validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The probabilities of the categories, (B, L K)."""
        return self.logits.exp().flatten(-2)

    @property
    def variance(self) -> Tensor:
        """The variance of the indicators of the categories, (B, L K)."""
        return self.mean * (1 - self.mean)

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Return codes (*sample_shape, B, L K)."""
        with torch.no_grad():
            return self.hard(self.logits + self.noise(torch.Size(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log probability of codes (B, L K), (B,)."""
        chosen = value.unflatten(-1, self.logits.shape[-2:]).argmax(-1, keepdim=True)
        return self.logits.expand(*chosen.shape[:-1], -1).gather(-1, chosen).sum((-2, -1))

    def entropy(self) -> Tensor:
        """Return the entropy in nats, (B,)."""
        return -(self.logits.exp() * self.logits).sum((-2, -1))

    def noise(self, sample_shape: torch.Size) -> Tensor:
        """Return Gumbel noise."""
        like = self.logits.new_empty(sample_shape + self.logits.shape)
        return -like.exponential_().clamp(min=torch.finfo(like.dtype).tiny).log()

    def scores(self, noise: Tensor, temperature: float) -> Tensor:
        """Return logarithms y of relaxed one-hot vectors."""
        raw = self.logits + noise
        return ((raw - raw.detach().amax(-1, keepdim=True)) / temperature).log_softmax(-1)

    def soft(self, scores: Tensor) -> Tensor:
        """Return relaxed one-hot vectors, points of simplices."""
        return scores.exp().flatten(-2)

    def hard(self, scores: Tensor) -> Tensor:
        """Return one-hot vectors."""
        return one_hot(scores.argmax(-1), scores.shape[-1]).to(scores).flatten(-2)

    def relaxed_log_prob(self, scores: Tensor, temperature: float) -> Tensor:
        """Return the log density with respect to y, on the surface where its exponentials add up to 1."""
        k = self.logits.shape[-1]
        s = self.logits - temperature * scores
        constant = lgamma(k) + (k - 1) * log(temperature)
        return (s.sum(-1) - k * s.logsumexp(-1) + constant).sum(-1)


@register_kl(OneHotCodes, OneHotCodes)
def _kl_of_categories(q: OneHotCodes, p: OneHotCodes) -> Tensor:
    return (q.logits.exp() * (q.logits - p.logits)).sum((-2, -1))


def _support(dim: int, classes: int) -> Manifold:
    if classes < 1 or dim < 1 or dim % classes:
        raise ValueError(f"expected a number of categories that divides the dimension {dim}, got {classes}")
    length = dim // classes
    return side_by_side([Simplex(classes)] * length, [classes] * length)


class CategoricalPosterior(DiscretePosterior):
    """A posterior of independent categorical variables; the raw outputs are their logits.

    Args:
        dim: latent dimension d = L K.
        classes: number K of categories.

    Raises:
        ValueError: classes does not divide dim.

    """

    heads: ClassVar[int] = 1

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.classes, self._manifold = classes, _support(dim, classes)

    @property
    def manifold(self) -> Manifold:
        """The product of L simplices."""
        return self._manifold

    def forward(self, raw: Tensor) -> OneHotCodes:
        """Return the variables of logits (B, L K)."""
        return OneHotCodes(raw.unflatten(-1, (-1, self.classes)))


class CategoricalPrior(DiscretePrior):
    """The uniform prior of categorical variables: all K^L codes are equally likely.

    Args:
        dim: latent dimension d = L K.
        classes: number K of categories.

    Raises:
        ValueError: classes does not divide dim.

    """

    logits: Tensor

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__(dim)
        self._manifold = _support(dim, classes)
        self.register_buffer("logits", torch.zeros(dim // classes, classes), persistent=False)

    @property
    def manifold(self) -> Manifold:
        """The product of L simplices."""
        return self._manifold

    def levels(self, t: Tensor) -> Tensor:
        """Return weights Phi(t) of a category, between 0 and 1, (N, d)."""
        return torch.special.ndtr(t.to(self.logits))[:, None].expand(-1, self.dim)

    def forward(self) -> OneHotCodes:
        """Return the uniform distribution over codes."""
        return OneHotCodes(self.logits)
