r"""Permutation tests: the level is exact for every sample size and statistic.

    p = (1 + #{b : T_b >= T}) / (1 + B)

for B permutations drawn at random. If observations are exchangeable, P(p <= a) <= a for every a. Values that differ by
rounding alone count as equal.

Reference: Phipson & Smyth, "Permutation p-values should never be zero" (2010), https://doi.org/10.2202/1544-6115.1585.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["check_permutations", "permutation_p_value"]

ROUNDING, ENTRIES = 1e-10, 2**22
Statistic = Callable[[Tensor, Tensor], Tensor]


def check_permutations(permutations: int, least: int) -> None:
    """Refuse a number of permutations that is not whole, or too small."""
    if isinstance(permutations, bool) or not isinstance(permutations, int) or permutations < least:
        raise ValueError(f"expected a whole number of at least {least} permutations, got {permutations!r}")


def permutation_p_value(
    statistic: Statistic, data: Tensor, permutations: int, generator: torch.Generator | None = None
) -> float:
    """Return the p-value of a statistic that is large where observations are not exchangeable.

    Args:
        statistic: data and orders (B, n) of the observations -> values (B,).
        data: what it takes, with n observations along the first dimension.
        permutations: number B of permutations; NaN is returned if there are none.
        generator: source of the permutations.

    """
    if not permutations:
        return float("nan")
    n, device = len(data), data.device
    observed = statistic(data, torch.arange(n, device=device)[None])[0]
    least, count = observed - ROUNDING * observed.abs(), 0
    for part in torch.arange(permutations).split(max(1, ENTRIES // data.numel())):
        keys = torch.rand(len(part), n, generator=generator, device=device if generator is None else generator.device)
        count += int((statistic(data, keys.to(device).argsort(-1)) >= least).sum())
    return (1 + count) / (1 + permutations)
