r"""Correlated factors: a grid of factors in which two of them are drawn near a line.

    p(c1, c2) ∝ exp( -(c1 - alpha c2)^2 / (2 (sigma c1_max)^2) ) ,      alpha = c1_max / c2_max ,

for values c = 0 .. c_max, which is exp( -(u1 - u2)^2 / 2 sigma^2 ) in the units u = c / c_max of their ranges: the
lower sigma, the stronger the correlation. The other factors stay independent and uniform. The study has sigma = 0.2,
0.4, 0.7 and infinity, which is no correlation; two factors of 32 values have a correlation coefficient of 0.78 at 0.2.

Images are drawn with replacement: a pair (c1, c2) first, then any image that has it. A pair of which a split has no
image is left out.

Reference: Träuble et al., "On disentangled representations learned from correlated data" (ICML 2021), section 3,
https://arxiv.org/abs/2006.07886.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from lsgen.data.draws import Purpose, stream
from lsgen.data.module import Split

__all__ = ["Correlation"]

LEAST = 0.99  # probability of the pairs of which a split must have images


@dataclass(frozen=True)
class Correlation:
    """Two factors that are drawn near a line.

    Attributes:
        first: name of a factor.
        second: name of another one.
        sigma: width around the line, in units of the ranges of the factors; infinity leaves them independent.
        splits: in which splits they are; the others have all combinations alike, as disentanglement scores need it.

    Raises:
        ValueError: both are one factor, sigma is not positive, or a split is not known or comes twice.

    """

    first: str
    second: str
    sigma: float = 0.2
    splits: Sequence[Split] = ("train",)

    def __post_init__(self) -> None:
        if self.first == self.second or not self.sigma > 0:
            got = f"{self.first}, {self.second} and {self.sigma}"
            raise ValueError(f"expected two different factors and a sigma above 0, got {got}")
        if not self.splits or len(set(self.splits)) < len(self.splits) or set(self.splits) - set(get_args(Split)):
            raise ValueError(f"expected splits out of {', '.join(get_args(Split))}, each once, got {self.splits}")

    def joint(self, sizes: Sequence[int]) -> Tensor:
        """Return p(c1, c2), float64 (K1, K2), for factors of these numbers of values."""
        first, second = (torch.linspace(0, 1, size, dtype=torch.float64) for size in sizes)
        density = torch.exp(-(((first[:, None] - second) / self.sigma) ** 2) / 2)
        return density / density.sum()

    def check(self, names: Sequence[str], sizes: Sequence[int]) -> tuple[int, int]:
        """Return the columns of both factors.

        Raises:
            ValueError: the data have no such factor, or it has one value.

        """
        for name in (self.first, self.second):
            if name not in names or sizes[names.index(name)] < 2:
                raise ValueError(f"expected correlated factors out of {', '.join(names)}, got {name!r}")
        return names.index(self.first), names.index(self.second)

    def draw(self, rows: Tensor, factors: Tensor, sizes: Sequence[int], n: int, generator: torch.Generator) -> Tensor:
        """Draw n rows with replacement.

        Args:
            rows: what is drawn from, (N,).
            factors: values of both factors in these rows, (N, 2).
            sizes: numbers of values (K1, K2).
            n: number of draws.
            generator: source of random numbers.

        Raises:
            ValueError: the pairs of values of which there is a row have a probability of less than 0.99 together.

        """
        pair = factors[:, 0] * sizes[1] + factors[:, 1]
        count = torch.bincount(pair, minlength=sizes[0] * sizes[1])
        p = self.joint(sizes).flatten() * (count > 0)
        if p.sum() < LEAST:
            raise ValueError(
                f"expected images of the likely values of {self.first} and {self.second}, got {len(rows)} that have "
                f"{float(p.sum()):.0%} of them: a larger split has more"
            )
        edges = p.cumsum(0)
        u = torch.rand(2, n, dtype=torch.float64, generator=generator)
        drawn = torch.searchsorted(edges, u[0] * edges[-1], right=True).clamp(max=int((p > 0).nonzero().max()))
        place = (count.cumsum(0) - count)[drawn] + (u[1] * count[drawn]).to(torch.int64)
        return rows[pair.argsort(stable=True)[place]]


def correlated_rows(
    correlation: Correlation,
    pools: dict[str, Tensor],
    lengths: dict[str, int],
    factors_of: Callable[[Tensor], Tensor],
    names: Sequence[str],
    sizes: Sequence[int],
    seed: int,
) -> dict[str, Tensor]:
    """Return the rows of the splits in which two factors are correlated.

    Args:
        correlation: of which factors, in which splits.
        pools: the rows that each split draws from.
        lengths: how many each draws.
        factors_of: rows -> factors (N, k).
        names: names of the factors.
        sizes: their numbers of values.
        seed: seed of the draws.

    """
    columns = list(correlation.check(names, sizes))
    drawn: dict[str, Tensor] = {}
    for split in correlation.splits:
        pool = pools[split]
        factors = factors_of(pool.to(torch.int64))[:, columns]
        generator = stream(seed, Purpose.FACTORS, get_args(Split).index(split))
        drawn[split] = correlation.draw(pool, factors, [sizes[j] for j in columns], lengths[split], generator)
    return drawn
