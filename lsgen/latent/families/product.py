"""Priors with independent parts, such as noise and a class, or noise and a few interpretable codes.

A one-hot class is a point of a simplex, so classes too can be traversed: a code between two of them is the mixture
of their weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, OneHotCategorical
from torch.distributions import Uniform as UniformDistribution
from torch.nn.functional import one_hot

from lsgen.latent.manifolds.manifold import Manifold
from lsgen.latent.manifolds.product_manifolds import side_by_side
from lsgen.latent.manifolds.supports import Cube, Simplex
from lsgen.latent.priors import Prior

__all__ = ["Joint", "OneHot", "Product", "Uniform"]


class Uniform(Prior):
    """Independent uniform coordinates on [low, high].

    Args:
        dim: latent dimension d.
        low: lower end.
        high: upper end.

    Raises:
        ValueError: dim is not positive, or low is not below high.

    """

    ends: Tensor

    def __init__(self, dim: int, low: float = -1.0, high: float = 1.0) -> None:
        super().__init__(dim)
        if not low < high:
            raise ValueError(f"expected low below high, got {low} and {high}")
        self.low, self.high = float(low), float(high)
        self.register_buffer("ends", torch.tensor([[float(low)], [float(high)]]).expand(2, dim), persistent=False)

    @property
    def manifold(self) -> Manifold:
        """The cube."""
        return Cube(self.low, self.high)

    def levels(self, t: Tensor) -> Tensor:
        """Return the quantiles low + (high - low) Phi(t), (N, d)."""
        low, high = self.ends
        return low + (high - low) * torch.special.ndtr(t.to(low))[:, None]

    def forward(self) -> Distribution:
        """Return the uniform distribution on the cube."""
        low, high = self.ends
        return Independent(_Closed(low, high, validate_args=False), 1, validate_args=False)


class OneHot(Prior):
    """One of `dim` classes with equal probability, as a one-hot vector."""

    logits: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.register_buffer("logits", torch.zeros(dim), persistent=False)

    @property
    def manifold(self) -> Manifold:
        """The corners of a simplex."""
        return Simplex(self.dim)

    def levels(self, t: Tensor) -> Tensor:
        """Return weights Phi(t) of a class, between 0 and 1, (N, d)."""
        return torch.special.ndtr(t.to(self.logits))[:, None].expand(-1, self.dim)

    def forward(self) -> Distribution:
        """Return the uniform distribution over classes."""
        return _Unchecked(self.logits)


class Product(Prior):
    """The product of independent priors, whose codes are concatenated.

    Args:
        parts: priors; their codes are joined in this order.
        dim: the latent dimension, for whoever has to state it; the sum of the parts' where it is None.

    Attributes:
        classes: size of the last part where it is a `OneHot`, else 0.

    Raises:
        ValueError: there is no part, or dim is not the sum of theirs.

    """

    def __init__(self, parts: Sequence[Prior], dim: int | None = None) -> None:
        super().__init__(sum(part.dim for part in parts))
        if dim is not None and dim != self.dim:
            raise ValueError(f"expected dim = {' + '.join(str(part.dim) for part in parts)} = {self.dim}, got {dim}")
        self.parts = nn.ModuleList(parts)
        self.sizes = [part.dim for part in parts]
        self.classes = parts[-1].dim if isinstance(parts[-1], OneHot) else 0

    @property
    def manifold(self) -> Manifold:
        """The product of the manifolds of the parts."""
        return side_by_side([part.manifold for part in self._each()], self.sizes)

    def levels(self, t: Tensor) -> Tensor:
        """Return the levels of the parts, (N, d)."""
        return torch.cat([part.levels(t) for part in self._each()], -1)

    @property
    def reparameterised(self) -> bool:
        """Whether every part is."""
        return all(part.reparameterised for part in self._each())

    def draw(self, n: int) -> Tensor:
        """Return draws of the parts, concatenated, (n, d)."""
        return torch.cat([part.draw(n) for part in self._each()], -1)

    @torch.no_grad()
    def draw_class(self, label: Tensor) -> Tensor:
        """Return a code (n, d) of each class (n,), the rest from the other parts.

        Raises:
            ValueError: the last part has no classes.

        """
        if not self.classes:
            raise ValueError(f"expected a OneHot as the last part, got {[type(part).__name__ for part in self.parts]}")
        z = self().sample(label.shape)
        return torch.cat([z[..., : -self.classes], one_hot(label, self.classes).to(z)], -1)

    def forward(self) -> Distribution:
        """Return the joint distribution."""
        return Joint([part() for part in self._each()])

    def _each(self) -> list[Prior]:
        return [part for part in self.parts if isinstance(part, Prior)]


class _Unchecked(OneHotCategorical):
    """A one-hot categorical without PyTorch's check of the weights, which would wait for the device."""

    def __init__(self, logits: Tensor) -> None:
        self._categorical = Categorical(logits=logits, validate_args=False)
        shape = self._categorical.param_shape
        Distribution.__init__(self, shape[:-1], shape[-1:], validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> OneHotCategorical:
        """Return the same weights over a batch shape."""
        return super().expand(batch_shape, self._get_checked_instance(_Unchecked, _instance))


class _Closed(UniformDistribution):
    """The uniform distribution on a closed interval, which includes its upper end."""

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log density, (B, d)."""
        inside = (self.low <= value) & (value <= self.high)
        return torch.where(inside, -torch.log(self.high - self.low), -torch.inf).to(value)


class Joint(Distribution):
    """The joint distribution of independent vectors, concatenated to one.

    Args:
        parts: distributions of batch shape () and event shape (d_i,).

    """

    arg_constraints = {}  # noqa: RUF012 (the name and the type are those of torch.distributions)

    def __init__(self, parts: Sequence[Distribution]) -> None:
        self.parts = list(parts)
        self.sizes = [part.event_shape[0] for part in parts]
        super().__init__(torch.Size(), torch.Size([sum(self.sizes)]), validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The concatenated means, (d,)."""
        return torch.cat([part.mean for part in self.parts])

    @property
    def variance(self) -> Tensor:
        """The concatenated variances, (d,)."""
        return torch.cat([part.variance for part in self.parts])

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return draws (*sample_shape, d)."""
        return torch.cat([part.sample(torch.Size(sample_shape)) for part in self.parts], -1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log density of codes (B, d) in nats, (B,)."""
        pieces = zip(self.parts, value.split(self.sizes, -1), strict=True)
        return torch.stack([part.log_prob(piece) for part, piece in pieces]).sum(0)
