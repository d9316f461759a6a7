r"""Finite scalar quantisation: every coordinate is bounded and rounded to one of a few levels, without a codebook.

    z = round( f(y) ) / floor(n/2),    f(y) = h tanh(y + s) - o,    df := d round(f)   (straight through)

for a coordinate of n levels, with h = (n - 1)(1 - eps)/2, and the offset o = 1/2 for even n, 0 for odd n, which puts
rounded values at -n/2 ... n/2 - 1 or -(n-1)/2 ... (n-1)/2; s = tan(o/h) brings y = 0 near the middle one. The levels of
the w coordinates of a place span a codebook of n_1 ... n_w entries that nobody learns and that cannot collapse.

Reference: Mentzer, Minnen, Agustsson & Tschannen, "Finite scalar quantization: VQ-VAE made simple" (2024), section 3.1
and appendix A.1, https://arxiv.org/abs/2309.15505.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, prod, tan
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints, register_kl

from lsgen.latent.manifolds.lattice import Lattice
from lsgen.latent.manifolds.manifold import Manifold
from lsgen.latent.posteriors import PointPosterior
from lsgen.latent.priors import Prior

__all__ = ["FiniteScalarQuantiser", "LatticePrior", "RoundedCodes", "UniformOverLattice"]

_EPS = 1e-3


class RoundedCodes(Distribution):
    """The rounded code of every observation, a point mass.

    Args:
        bounded: what is rounded, (B, d).
        half_widths: what whole numbers are divided by, (d,).
        strides: what each coordinate of a place counts for in the number of its entry, (w,).
        entries: entries of the codebook of a place.

    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, bounded: Tensor, half_widths: Tensor, strides: Tensor, entries: int) -> None:
        self.bounded, self.half_widths, self.strides, self.entries = bounded, half_widths, strides, entries
        self.whole = bounded.detach().round()
        super().__init__(bounded.shape[:-1], bounded.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The code z, (B, d); its gradient is that of what is rounded."""
        return (self.whole + (self.bounded - self.bounded.detach())) / self.half_widths

    @property
    def variance(self) -> Tensor:
        """Zero, (B, d)."""
        return torch.zeros_like(self.bounded)

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Return the code, (*sample_shape, B, d)."""
        return self.mean.expand(torch.Size(sample_shape) + self.mean.shape)

    @property
    def indices(self) -> Tensor:
        """The entry of every place, its number in the codebook, (B, L)."""
        digits = (self.whole + self.half_widths).unflatten(-1, (-1, len(self.strides)))
        return (digits.long() * self.strides).sum(-1)

    @property
    def usage(self) -> Tensor:
        """The share of each entry among the places of the batch, (K,)."""
        indices = self.indices.flatten()
        counts = self.whole.new_zeros(self.entries).scatter_add(
            0, indices, torch.ones_like(indices, dtype=self.whole.dtype)
        )
        return counts / len(indices)


class UniformOverLattice(Distribution):
    """The uniform distribution over the points of a lattice.

    Args:
        table: the levels of every coordinate, (d, K), the first `sizes` of each row.
        sizes: how many levels a coordinate has, (d,).
        log_points: log of the number of points.

    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector
    has_rsample = False

    def __init__(self, table: Tensor, sizes: Tensor, log_points: float) -> None:
        self.table, self.sizes, self.log_points = table, sizes, log_points
        super().__init__(torch.Size(), table.shape[:1], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The average level of every coordinate, (d,)."""
        return self.table.sum(1) / self.sizes

    @property
    def variance(self) -> Tensor:
        """The variance of every coordinate, (d,)."""
        return self.table.square().sum(1) / self.sizes - self.mean.square()

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Return codes (*sample_shape, d)."""
        uniform = torch.rand(*sample_shape, len(self.table), dtype=self.table.dtype, device=self.table.device)
        return self.at(uniform)

    def at(self, uniform: Tensor) -> Tensor:
        """Return the levels below which lies the share u of them, (*, d), for u (*, d) in [0, 1]."""
        indices = torch.minimum((uniform * self.sizes).floor(), self.sizes - 1).long()
        return self.table.expand(*uniform.shape, -1).gather(-1, indices.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log probability of any code, (B,)."""
        return value.new_full(value.shape[:-1], -self.log_points)


class FiniteScalarQuantiser(PointPosterior):
    """A deterministic posterior that bounds and rounds every coordinate.

    Args:
        dim: latent dimension d = L w.
        levels: numbers of levels of the w coordinates of each place.

    Raises:
        ValueError: there are fewer than 2 levels, or w does not divide dim.

    """

    heads: ClassVar[int] = 1

    half_range: Tensor
    offset: Tensor
    shift: Tensor
    half_widths: Tensor
    strides: Tensor

    def __init__(self, dim: int, levels: Sequence[int]) -> None:
        super().__init__()
        self.sizes = _sizes(dim, levels)
        self._manifold = Lattice([_values(n) for n in self.sizes])
        half = [(n - 1) * (1 - _EPS) / 2 for n in self.sizes]
        offset = [0.0 if n % 2 else 0.5 for n in self.sizes]
        shift = [tan(o / h) for o, h in zip(offset, half, strict=True)]
        parts = {
            "half_range": half,
            "offset": offset,
            "shift": shift,
            "half_widths": [float(n // 2) for n in self.sizes],
        }
        for name, values in parts.items():
            self.register_buffer(name, torch.tensor(values), persistent=False)
        strides = [prod(levels[:i]) for i in range(len(levels))]
        self.register_buffer("strides", torch.tensor(strides), persistent=False)
        self.entries = prod(levels)

    @property
    def manifold(self) -> Manifold:
        """The lattice of levels."""
        return self._manifold

    @property
    def codebook(self) -> Tensor:
        """All entries of a place by their number, (K, w)."""
        sizes = self.sizes[: len(self.strides)]
        numbers = torch.arange(self.entries, device=self.strides.device).unsqueeze(1)
        digits = numbers // self.strides % torch.tensor(sizes, device=self.strides.device)
        half_widths = self.half_widths[: len(sizes)]
        return (digits - half_widths) / half_widths

    def forward(self, raw: Tensor) -> RoundedCodes:
        """Return the codes of raw outputs (B, d)."""
        bounded = torch.tanh(raw + self.shift) * self.half_range - self.offset
        return RoundedCodes(bounded, self.half_widths, self.strides, self.entries)


class LatticePrior(Prior):
    """The uniform prior over the levels of a finite scalar quantiser.

    Args:
        dim: latent dimension d = L w.
        levels: numbers of levels of the w coordinates of each place.

    Raises:
        ValueError: there are fewer than 2 levels, or w does not divide dim.

    """

    table: Tensor
    level_counts: Tensor

    def __init__(self, dim: int, levels: Sequence[int]) -> None:
        super().__init__(dim)
        sizes = _sizes(dim, levels)
        values, most = [_values(n) for n in sizes], max(sizes)
        self._manifold, self._log_points = Lattice(values), sum(map(log, sizes))
        padded = torch.tensor([[*own, *[0.0] * (most - len(own))] for own in values])
        self.register_buffer("table", padded, persistent=False)
        self.register_buffer("level_counts", torch.tensor(sizes, dtype=padded.dtype), persistent=False)

    @property
    def manifold(self) -> Manifold:
        """The lattice of levels."""
        return self._manifold

    def levels(self, t: Tensor) -> Tensor:
        """Return the quantiles Phi(t) of each coordinate, (N, d)."""
        return self().at(torch.special.ndtr(t.to(self.table)).unsqueeze(-1).expand(-1, self.dim))

    def forward(self) -> UniformOverLattice:
        """Return the uniform distribution over codes."""
        return UniformOverLattice(self.table, self.level_counts, self._log_points)


@register_kl(RoundedCodes, UniformOverLattice)
def _kl_to_uniform(q: RoundedCodes, p: UniformOverLattice) -> Tensor:
    return q.bounded.new_full(q.batch_shape, p.log_points)


def _sizes(dim: int, levels: Sequence[int]) -> list[int]:
    """Return the number of levels of every coordinate."""
    if not levels or min(levels) < 2 or dim < 1 or dim % len(levels):
        raise ValueError(f"expected levels of at least 2 whose number divides the dimension {dim}, got {list(levels)}")
    return [int(n) for n in levels] * (dim // len(levels))


def _values(n: int) -> list[float]:
    return [(i - n // 2) / (n // 2) for i in range(n)]
