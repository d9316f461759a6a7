r"""Discretised logistic mixture: grey levels as bins of a mixture of K logistic densities.

With the levels v = 0, ..., L - 1 at y_v = 2 v/(L - 1) - 1 and bins of half width w = 1/(L - 1),

    p_v = sum_k pi_k [ sigmoid(a_kv) - sigmoid(b_kv) ],    a_kv = (y_v + w - m_k)/s_k,    b_kv = (y_v - w - m_k)/s_k,

where the first bin reaches to -infinity and the last to +infinity, so that the p_v sum to 1. The heads are the K
logits of pi, the K means m and the K logarithms of s, in units in which the data range over [-1, 1]. Since

    sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - e^{b - a}),    a - b = 2w/s,

log p_v is finite for every h, however narrow or far away a component is, and no clamp is needed.

The family has finitely many outcomes, so it embeds as part of the sphere of radius 2 in R^L,

    e(h) = 2 sqrt(p_v),    F = sum_v p_v s_v s_v^T,    T = sum_v p_v s_v s_v s_v,    s_v = d log p_v/dh .

(L numbers for every data dimension; arcs of that sphere leave the family, whose own distance is not in closed form.)
Data dimensions are independent given h: channels are not coupled as they are in PixelCNN++.

Reference: Salimans, Karpathy, Chen & Kingma, "PixelCNN++" (2017), section 2.1, https://arxiv.org/abs/1701.05517.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Size, Tensor
from torch.distributions import Categorical, Distribution, Independent, constraints
from torch.nn.functional import logsigmoid

from lsgen.likelihoods.base import CubicLikelihood, FlatLikelihood
from lsgen.likelihoods.categorical import nearest_level, on_a_level

__all__ = ["DiscretisedLogisticMixture"]


class DiscretisedLogisticMixture(FlatLikelihood, CubicLikelihood):
    """Independent grey levels k/(L - 1), each a discretised mixture of K logistic densities.

    Args:
        shape: shape of one observation.
        levels: number L of grey levels.
        components: number K of components; there are 3 K heads.

    Raises:
        ValueError: there are fewer than 2 levels or no component.

    """

    discrete: ClassVar[bool] = True

    def __init__(self, shape: Sequence[int], levels: int = 256, components: int = 5) -> None:
        super().__init__(shape)
        if levels < 2:
            raise ValueError(f"expected at least 2 levels, got {levels}")
        if components < 1:
            raise ValueError(f"expected at least 1 component, got {components}")
        self.levels, self.components, self.heads = int(levels), int(components), 3 * int(components)
        self.support = f"one of {levels} equidistant levels from 0 to 1"

    def forward(self, h: Tensor) -> Distribution:
        """Return the distribution over levels."""
        return Independent(self._mixture(h), len(self.shape), validate_args=False)

    def fisher(self, h: Tensor) -> Tensor:
        """Return sum_v p_v s_v s_v^T, of shape (B, *shape, 3 K, 3 K)."""
        log_p, scores = self._scores(h)
        weighted = torch.exp(log_p / 2) * scores
        return weighted.mT @ weighted

    def amari_chentsov(self, h: Tensor, v: Tensor) -> Tensor:
        """Return T as a sum over levels."""
        event = len(self.shape)
        log_p, scores = (x.flatten(-event - 2, -3) for x in self._scores(h))
        along = torch.einsum("...mla,...ima->...iml", scores, self.split(v).flatten(-event - 1, -2))
        return torch.einsum("...ml,...iml,...jml,...kml->...ijk", log_p.squeeze(-1).exp(), along, along, along)

    def _scores(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return log p_v (B, *shape, L, 1) and s_v (B, *shape, L, 3 K)."""
        logits, means, log_scales = self._heads(h)
        index = torch.arange(self.levels, device=h.device).unsqueeze(-1)
        bins = _bins(index, means.unsqueeze(-2), log_scales.unsqueeze(-2), self.levels)
        log_weights = logits.log_softmax(-1).unsqueeze(-2)
        log_joint = log_weights + bins.log_p
        log_p = log_joint.logsumexp(-1, keepdim=True)
        responsibility = (log_joint - log_p).exp()
        parts = [responsibility - log_weights.exp(), responsibility * bins.of_mean, responsibility * bins.of_log_scale]
        return log_p, torch.cat(parts, -1)

    def in_support(self, x: Tensor) -> Tensor:
        """Accept the levels, to a thousandth of their distance."""
        return on_a_level(x, self.levels, 1.0)

    @property
    def signature(self) -> Tensor:
        """The signs (L D,), all +1."""
        return torch.ones(self.levels * self.dimensions)

    def embed(self, h: Tensor, at: Tensor | None = None) -> Tensor:
        """Return 2 sqrt(p_v), of shape (B, D L)."""
        return 2 * torch.exp(self._mixture(h).every() / 2).flatten(-len(self.shape) - 1)

    def distance_bound(self, h: Tensor, other: Tensor) -> Tensor:
        """Return the distance among all distributions over the levels, whose shortest arcs leave the family."""
        steps = (self.embed(other) - self.embed(h)).unflatten(-1, (-1, self.levels))
        arcs = 4 * torch.asin((torch.linalg.vector_norm(steps, dim=-1) / 4).clamp(max=1))
        return torch.linalg.vector_norm(arcs, dim=-1)

    def _heads(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, means, log_scales = self.split(h).split(self.components, -1)
        return logits, means, log_scales

    def _mixture(self, h: Tensor) -> _Mixture:
        logits, means, log_scales = self._heads(h)
        return _Mixture(logits, means, log_scales, self.levels)


class _Mixture(Distribution):
    """A discretised logistic mixture over L levels, of logits, means and log scales (*batch, K)."""

    support = constraints.real
    has_enumerate_support = True

    def __init__(self, logits: Tensor, means: Tensor, log_scales: Tensor, levels: int) -> None:
        self.log_weights, self.means, self.log_scales, self.levels = logits.log_softmax(-1), means, log_scales, levels
        super().__init__(logits.shape[:-1], validate_args=False)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Return the levels, (L, *batch)."""
        values = torch.linspace(0, 1, self.levels, dtype=self.means.dtype, device=self.means.device)
        values = values.reshape(-1, *[1] * len(self.batch_shape))
        return values.expand(-1, *self.batch_shape) if expand else values

    @property
    def mean(self) -> Tensor:
        """The mean level."""
        return self.every().exp() @ self.enumerate_support(False).flatten()

    @property
    def variance(self) -> Tensor:
        """The variance of the level."""
        values = self.enumerate_support(False).flatten()
        return (self.every().exp() * (values - self.mean.unsqueeze(-1)).square()).sum(-1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draw a component, a logistic number from it, and the level of its bin."""
        with torch.no_grad():
            chosen = Categorical(logits=self.log_weights, validate_args=False).sample(Size(sample_shape)).unsqueeze(-1)
            shape = chosen.shape[:-1] + self.means.shape[-1:]
            mean, log_scale = (x.expand(shape).gather(-1, chosen) for x in (self.means, self.log_scales))
            u = torch.rand_like(mean).clamp(min=torch.finfo(mean.dtype).tiny)
            y = (mean + log_scale.exp() * (u.log() - (-u).log1p())).squeeze(-1)
            return ((y + 1) * ((self.levels - 1) / 2)).round().clamp(0, self.levels - 1) / (self.levels - 1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log p_v of the nearest level v."""
        index = nearest_level(value, self.levels, 1.0).unsqueeze(-1)
        return torch.logsumexp(self.log_weights + _bins(index, self.means, self.log_scales, self.levels).log_p, -1)

    def every(self) -> Tensor:
        """Return log p_v of all levels, (*batch, L)."""
        index = torch.arange(self.levels, device=self.means.device).unsqueeze(-1)
        bins = _bins(index, self.means.unsqueeze(-2), self.log_scales.unsqueeze(-2), self.levels)
        return torch.logsumexp(self.log_weights.unsqueeze(-2) + bins.log_p, -1)


class _Bins(NamedTuple):
    """log P = log [sigmoid(a) - sigmoid(b)] for each component, and its derivatives in m and log s."""

    log_p: Tensor
    of_mean: Tensor
    of_log_scale: Tensor


def _bins(index: Tensor, means: Tensor, log_scales: Tensor, levels: int) -> _Bins:
    """Return the bins of given numbers, which broadcast with means and log scales.

    With D = a - b, d log P = sigmoid(-a) da - sigmoid(b) db + dD/(e^D - 1), where da/dm = -1/s and da/dlog s = -a; at
    the first bin the terms in b and D are gone, at the last one those in a and D.
    """
    w = 1 / (levels - 1)
    y, inverse = index.to(means) * (2 * w) - 1, torch.exp(-log_scales)
    a, b, width = (y + w - means) * inverse, (y - w - means) * inverse, 2 * w * inverse
    zero = torch.zeros_like(a)
    first, last = index == 0, index == levels - 1
    ends = first | last
    log_p = (
        torch.where(last, zero, logsigmoid(a))
        + torch.where(first, zero, logsigmoid(-b))
        + torch.where(ends, zero, torch.log(-torch.expm1(-width)))
    )
    from_a = torch.where(last, zero, torch.sigmoid(-a))
    from_b = torch.where(first, zero, torch.sigmoid(b))
    shrink = width * torch.exp(-width) / -torch.expm1(-width)
    return _Bins(log_p, (from_b - from_a) * inverse, b * from_b - a * from_a - torch.where(ends, zero, shrink))
