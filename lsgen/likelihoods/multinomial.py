r"""Multinomial: counts x of D outcomes in n trials, with logits h, such as the words of a document.

    p = softmax(h),    p(x|h, n) = n! / prod_k x_k! prod_k p_k^x_k,    n = sum_k x_k,
    F(h) = n (diag(p) - p p^T),    T(u, v, w) = n sum_k p_k (u_k - p.u)(v_k - p.v)(w_k - p.w),
    e(h) = 2 sqrt(n p),    d(h, h') = 2 sqrt(n) arccos sum_k sqrt(p_k p'_k),

an orthant of the sphere of radius 2 sqrt(n) in R^D: that of one trial, enlarged. All data dimensions together are one
member of the family.

The probability of an observation is that given its own number of trials, which says nothing about h. What has no
observation, such as samples, means and the geometry, is for n = `trials`; with one trial it is that of a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Categorical, Distribution, constraints

from lsgen.likelihoods.base import ClosedFormLikelihood, CubicLikelihood
from lsgen.likelihoods.categorical import arc, covariance
from lsgen.likelihoods.poisson import are_counts, is_count

__all__ = ["Multinomial"]


class Multinomial(ClosedFormLikelihood, CubicLikelihood):
    """Counts of all data dimensions in a number of trials; the raw outputs are their logits.

    Args:
        shape: shape of one observation; its values are the counts of D outcomes.
        trials: number n of trials of samples, means, information and distances; an observation has its own.
        coefficient: whether log-probabilities hold log(n! / prod_k x_k!), as those of counts do. Without it they are
            those of the trials one after the other, sum_k x_k log p_k, which perplexities are made of; ProdLDA's bound
            and perplexity leave it out. It does not depend on h.

    Raises:
        ValueError: trials is not positive.

    """

    support: str = "whole numbers of at least 0"
    discrete: ClassVar[bool] = True
    joint: ClassVar[bool] = True

    def __init__(self, shape: Sequence[int], trials: int = 1, coefficient: bool = True) -> None:
        super().__init__(shape)
        if trials < 1:
            raise ValueError(f"expected at least 1 trial, got {trials}")
        self.trials, self.coefficient = int(trials), bool(coefficient)

    def forward(self, h: Tensor) -> Distribution:
        """Return the distribution of counts."""
        return _Counts(self.split(h).squeeze(-2).log_softmax(-1), self.shape, self.trials, self.coefficient)

    def split(self, h: Tensor) -> Tensor:
        """Return h as (B, 1, D): one member with D coordinates."""
        self.check_raw(h)
        return h.flatten(-len(self.shape)).unsqueeze(-2)

    def join(self, coordinates: Tensor) -> Tensor:
        """Return coordinates (B, 1, D) in the layout of h."""
        return coordinates.squeeze(-2).unflatten(-1, self.shape)

    def fisher(self, h: Tensor) -> Tensor:
        """Return n (diag(p) - p p^T), of shape (B, 1, D, D), with p_k (1 - p_k) as a sum of products."""
        return self.trials * covariance(self.split(h).softmax(-1))

    def amari_chentsov(self, h: Tensor, v: Tensor) -> Tensor:
        """Return T as a sum over outcomes, from vectors without their means."""
        p, u = self.split(h).squeeze(-2).softmax(-1), self.split(v).squeeze(-2)
        u = u - torch.einsum("...l,...il->...i", p, u).unsqueeze(-1)
        return self.trials * torch.einsum("...l,...il,...jl,...kl->...ijk", p, u, u, u)

    def in_support(self, x: Tensor) -> Tensor:
        """Accept 0, 1, 2, ...; an observation of zeros alone has no trial, and probability 1."""
        return is_count(x)

    def allows(self, x: Tensor) -> Tensor:
        """Return whether every value is a count, a 0-d boolean tensor."""
        return are_counts(x)

    def embed(self, h: Tensor, at: Tensor | None = None) -> Tensor:
        """Return 2 sqrt(n p), of shape (B, D)."""
        return 2 * self.trials**0.5 * torch.exp(self.split(h).squeeze(-2).log_softmax(-1) / 2)

    def distance(self, h: Tensor, other: Tensor) -> Tensor:
        """Return 4 sqrt(n) asin(|sqrt(p) - sqrt(p')|/2), which keeps small distances."""
        return self.trials**0.5 * arc(*(self.split(x).squeeze(-2) for x in (h, other)))


class _Counts(Distribution):
    """Counts of the outcomes of `trials` trials, of event shape `shape`."""

    support = constraints.nonnegative_integer

    def __init__(self, log_p: Tensor, shape: tuple[int, ...], trials: int, coefficient: bool) -> None:
        self.log_p, self.trials, self.coefficient = log_p, trials, coefficient
        super().__init__(log_p.shape[:-1], Size(shape), validate_args=False)

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        """Whether there is one trial, so that each outcome is one observation."""
        return self.trials == 1

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Return the D one-hot observations of one trial, (D, *batch, *shape)."""
        if self.trials > 1:
            raise NotImplementedError(f"expected one trial to list what comes out of it, got {self.trials}")
        d = self.log_p.shape[-1]
        values = torch.eye(d, dtype=self.log_p.dtype, device=self.log_p.device).unflatten(-1, self.event_shape)
        values = values.reshape(d, *[1] * len(self.batch_shape), *self.event_shape)
        return values.expand(d, *self.batch_shape, *self.event_shape) if expand else values

    def expand(self, batch_shape: Any, _instance: Any = None) -> _Counts:
        """Return the distribution with a larger batch shape."""
        log_p = self.log_p.expand(*batch_shape, self.log_p.shape[-1])
        return _Counts(log_p, tuple(self.event_shape), self.trials, self.coefficient)

    @property
    def mean(self) -> Tensor:
        """The expected counts n p."""
        return (self.trials * self.log_p.exp()).unflatten(-1, self.event_shape)

    @property
    def variance(self) -> Tensor:
        """The variances n p (1 - p)."""
        p = self.log_p.exp()
        return (self.trials * p * (1 - p)).unflatten(-1, self.event_shape)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draw counts, (*sample_shape, *batch, *shape)."""
        with torch.no_grad():
            shape = Size(sample_shape)
            draws = Categorical(logits=self.log_p, validate_args=False).sample(Size((self.trials, *shape)))
            outcomes = draws.movedim(0, -1)
            counts = self.log_p.new_zeros(*shape, *self.log_p.shape)
            counts.scatter_add_(-1, outcomes, counts.new_ones(()).expand(outcomes.shape))
            return counts.unflatten(-1, self.event_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-probability given the number of trials of each observation."""
        x = value.flatten(-len(self.event_shape))
        words = (x * self.log_p.where(x != 0, 0)).sum(-1)
        return words + torch.lgamma(x.sum(-1) + 1) - torch.lgamma(x + 1).sum(-1) if self.coefficient else words
