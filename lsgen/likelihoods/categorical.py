r"""Categorical: one of L equidistant levels, or of L classes, with logits h.

    p = softmax(h),    F(h) = diag(p) - p p^T,    T(u, v, w) = sum_k p_k (u_k - p.u)(v_k - p.v)(w_k - p.w),
    e(h) = 2 sqrt(p) = 2 exp(1/2 log softmax(h)),

an orthant of the sphere of radius 2 in R^L, so that the distance is 2 arccos sum_k sqrt(p_k p'_k). (A square root of
the softmax would have derivatives 0/0 where a probability underflows.)

Grey values k/(L - 1) are the levels of images; class numbers 0, ..., L - 1 are levels with high = L - 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Categorical as _Categorical
from torch.distributions import Distribution, Independent, constraints

from lsgen.likelihoods.base import ClosedFormLikelihood, CubicLikelihood

__all__ = ["Categorical", "arc", "covariance", "nearest_level", "on_a_level"]


class Categorical(ClosedFormLikelihood, CubicLikelihood):
    """Independent categorical data dimensions; the heads are the logits of the levels.

    Args:
        shape: shape of one observation.
        levels: number L of levels.
        high: the value of the last level; the first is 0.

    Raises:
        ValueError: there are fewer than 2 levels, or high is not positive.

    """

    discrete: ClassVar[bool] = True

    def __init__(self, shape: Sequence[int], levels: int = 256, high: float = 1.0) -> None:
        super().__init__(shape)
        if levels < 2:
            raise ValueError(f"expected at least 2 levels, got {levels}")
        if not high > 0:
            raise ValueError(f"expected a last level high > 0, got {high}")
        self.levels, self.heads, self.high = int(levels), int(levels), float(high)
        self.support = f"one of {levels} equidistant levels from 0 to {high:g}"

    def forward(self, h: Tensor) -> Distribution:
        """Return the distribution over levels."""
        return Independent(_Levels(self.split(h), self.high), len(self.shape), validate_args=False)

    def fisher(self, h: Tensor) -> Tensor:
        """Return diag(p) - p p^T, of shape (B, *shape, L, L), with p_k (1 - p_k) as a sum of products."""
        return covariance(self.split(h).softmax(-1))

    def amari_chentsov(self, h: Tensor, v: Tensor) -> Tensor:
        """Return T as a sum over levels, from vectors without their means."""
        event = len(self.shape)
        p, u = self.split(h).softmax(-1).flatten(-event - 1, -2), self.split(v).flatten(-event - 1, -2)
        u = u - torch.einsum("...ml,...iml->...im", p, u).unsqueeze(-1)
        return torch.einsum("...ml,...iml,...jml,...kml->...ijk", p, u, u, u)

    def in_support(self, x: Tensor) -> Tensor:
        """Accept the levels, to a thousandth of their distance."""
        return on_a_level(x, self.levels, self.high)

    @property
    def signature(self) -> Tensor:
        """The signs (L D,), all +1."""
        return torch.ones(self.levels * self.dimensions)

    def embed(self, h: Tensor, at: Tensor | None = None) -> Tensor:
        """Return 2 sqrt(p), of shape (B, D L)."""
        return 2 * torch.exp(self.split(h).log_softmax(-1) / 2).flatten(-len(self.shape) - 1)

    def distance(self, h: Tensor, other: Tensor) -> Tensor:
        """Return the norm over data dimensions of 4 asin(|sqrt(p) - sqrt(p')|/2), which keeps small distances."""
        lengths = arc(self.split(h), self.split(other))
        return torch.linalg.vector_norm(lengths.flatten(-len(self.shape)), dim=-1)


def covariance(p: Tensor) -> Tensor:
    """Return diag(p) - p p^T of probabilities (..., L), (..., L, L), with p_k (1 - p_k) as a sum of products."""
    products = p.unsqueeze(-1) * p.unsqueeze(-2)
    off_diagonal = products - torch.diag_embed(products.diagonal(dim1=-2, dim2=-1))
    return torch.diag_embed(off_diagonal.sum(-1)) - off_diagonal


def arc(h: Tensor, other: Tensor) -> Tensor:
    """Return the distance 4 asin(|sqrt(p) - sqrt(p')|/2) of logits (..., L), (...), which keeps small ones."""
    roots = [torch.exp(x.log_softmax(-1) / 2) for x in (h, other)]
    return 4 * torch.asin(torch.linalg.vector_norm(roots[0] - roots[1], dim=-1) / 2)


def nearest_level(x: Tensor, levels: int, high: float) -> Tensor:
    """Return the numbers 0, ..., levels - 1 of the levels nearest to values x, as int64."""
    return (x * ((levels - 1) / high)).round().long()


def on_a_level(x: Tensor, levels: int, high: float) -> Tensor:
    """Return which values are levels, to a thousandth of their distance."""
    place = x * ((levels - 1) / high)
    return ((place - place.round()).abs() < 1e-3) & (place > -0.5) & (place < levels - 0.5)


class _Levels(Distribution):
    """One of L equidistant values from 0 to high."""

    support = constraints.real
    has_enumerate_support = True

    def __init__(self, logits: Tensor, high: float) -> None:
        self.log_p, self.high = logits.log_softmax(-1), high
        self.values = torch.linspace(0, high, logits.shape[-1], dtype=logits.dtype, device=logits.device)
        super().__init__(logits.shape[:-1], validate_args=False)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Return the levels, (L, *batch)."""
        values = self.values.reshape(-1, *[1] * len(self.batch_shape))
        return values.expand(-1, *self.batch_shape) if expand else values

    @property
    def mean(self) -> Tensor:
        """The mean level."""
        return self.log_p.exp() @ self.values

    @property
    def mode(self) -> Tensor:
        """The most probable level."""
        return self.values[self.log_p.argmax(-1)]

    @property
    def variance(self) -> Tensor:
        """The variance of the level."""
        return (self.log_p.exp() * (self.values - self.mean.unsqueeze(-1)).square()).sum(-1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draw levels."""
        with torch.no_grad():
            return self.values[_Categorical(logits=self.log_p, validate_args=False).sample(Size(sample_shape))]

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log probability of the nearest level."""
        index = nearest_level(value, len(self.values), self.high)
        index, log_p = torch.broadcast_tensors(index.unsqueeze(-1), self.log_p)
        return log_p.gather(-1, index[..., :1]).squeeze(-1)
