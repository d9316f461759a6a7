r"""The prior of a closed set of items: mass p_i at the code z_i of each.

    p(z) = sum_i p_i delta(z - z_i),    p_i >= 0,  sum_i p_i = 1

For words p_i is how often a word comes, its unigram distribution. It has no density with respect to volume, so what
needs one, such as annealed importance sampling, refuses it; `log_prob` is the logarithm of the mass of a point.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints

from lsgen.latent.manifolds.manifold import Euclidean, Manifold
from lsgen.latent.priors import ImplicitPrior

__all__ = ["AtomicDistribution", "Atoms"]

PAIRS = 2**24


class AtomicDistribution(Distribution):
    """Mass at each of a set of points; of those that coincide, the masses add up.

    Args:
        points: the points (V, d).
        weights: their masses (V,), which sum to 1.

    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, points: Tensor, weights: Tensor) -> None:
        self.points, self.weights = points, weights.to(points)
        super().__init__(Size(), points.shape[1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The mean (d,), which is that of the coordinates."""
        return self.weights @ self.points

    @property
    def variance(self) -> Tensor:
        """The variance of each coordinate, (d,)."""
        return self.weights @ (self.points - self.mean).square()

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draw points (*sample_shape, d), with the gradient of those that were drawn."""
        shape = Size(sample_shape)
        return self.points[torch.multinomial(self.weights.detach(), shape.numel(), replacement=True)].reshape(
            *shape, self.points.shape[1]
        )

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the logarithm of the mass at codes (B, d), (B,): minus infinity where no point is exactly there."""
        flat = value.reshape(-1, self.points.shape[1]).to(self.points)
        rows = max(1, PAIRS // len(self.points))
        masses = [self._masses(part) for part in flat.split(rows)] or [flat.new_empty(0)]
        return torch.cat(masses).log().reshape(value.shape[:-1])

    def _masses(self, z: Tensor) -> Tensor:
        i, j = (z[:, :1] == self.points[:, 0]).nonzero(as_tuple=True)
        same = (z[i] == self.points[j]).all(-1)
        return z.new_zeros(len(z)).index_add(0, i[same], self.weights.detach()[j[same]])


class Atoms(ImplicitPrior):
    """The prior of a closed set of items, which puts a mass at the code of each.

    The codes are those of the table that it is bound to, as they stand: they may be trained.

    Args:
        dim: latent dimension d.
        weights: how likely each of the V items is, up to one factor, (V,).

    Raises:
        ValueError: dim is not positive, or the weights are not V >= 1 finite numbers, none negative and not all 0.

    """

    weights: Tensor

    def __init__(self, dim: int, weights: Tensor | Sequence[float]) -> None:
        super().__init__(dim)
        known = torch.as_tensor(weights).double()
        if known.ndim != 1 or not len(known):
            raise ValueError(f"expected weights of at least one item, (V,), got {tuple(known.shape)}")
        if not bool(((known >= 0) & known.isfinite()).all()) or not bool((known > 0).any()):
            raise ValueError("expected finite weights of items that are not negative and not all 0, got others")
        self.register_buffer("weights", (known / known.sum()).to(torch.get_default_dtype()))
        self._items: Callable[[], Tensor] | None = None
        self._manifold: Manifold = Euclidean()

    @property
    def manifold(self) -> Manifold:
        """The manifold on which the items lie."""
        return self._manifold

    def bind(self, items: Callable[[], Tensor], manifold: Manifold | None = None) -> None:
        """Store where the items are, without registering it.

        Args:
            items: returns the codes of all items, (V, d), in the order of the weights; a method of a module, so that
                copies of the space refer to their own table.
            manifold: where they lie; flat space unless given.

        """
        self._items, self._manifold = items, Euclidean() if manifold is None else manifold

    def forward(self) -> AtomicDistribution:
        """Return p(z).

        Raises:
            RuntimeError: the prior is bound to no table.
            ValueError: the table has another shape than (V, d).

        """
        if self._items is None:
            raise RuntimeError("Atoms expected to be bound to the codes of its items")
        points = self._items()
        if points.shape != (len(self.weights), self.dim):
            raise ValueError(f"expected codes of items ({len(self.weights)}, {self.dim}), got {tuple(points.shape)}")
        return AtomicDistribution(points, self.weights)
