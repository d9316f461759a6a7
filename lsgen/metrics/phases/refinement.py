r"""What happens to a map when one looks closer: its Lipschitz constant, and the precision at which it is seen.

On a grid of n x n points the largest ratio of differences between neighbours

    L(n) = max |f(a) - f(b)| / |a - b|

tends to the Lipschitz constant of a smooth map, and grows like n^{1 - h} if f is only Hoelder-continuous of exponent h
somewhere: like n at a jump. Structure that appears at ever smaller windows is structure of f only while the numbers
resolve it: in float32 codes near 1 have steps of 1e-7, so that a window of 1e-8 shows rounding. The control is the
same window in float64, and float32 is trusted while both agree.

Reference: Lobashev, Guskov, Larchenko & Tamm, "Hessian geometry of latent space in generative models" (2025),
https://arxiv.org/abs/2506.10632.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["LipschitzRefinement", "PrecisionControl", "lipschitz_refinement", "precision_control", "window"]

Map = Callable[[Tensor], Tensor]


class LipschitzRefinement(NamedTuple):
    """Points a side (K,), the constants L(n) (K,), and the exponent by which L grows with n over the last two grids."""

    sizes: Tensor
    constants: Tensor
    growth: float


class PrecisionControl(NamedTuple):
    """How far float32 departs from float64 in windows of shrinking width.

    Attributes:
        widths: of the windows (K,).
        deviation: the root mean square difference of the two maps over the standard deviation of the second (K,).
        distinct: the share of distinct values among those of the float32 map (K,).
        trusted: the least width from the first on down to which the deviation stays below 0.1; NaN if there is none.

    """

    widths: Tensor
    deviation: Tensor
    distinct: Tensor
    trusted: float


def window(centre: Tensor, width: float, points: int) -> Tensor:
    """Return the grid (points, points, 2) of a square about a centre (2,), in float64.

    Raises:
        ValueError: the centre is no pair, the width is not positive, or a side has fewer than two points.

    """
    if centre.shape != (2,) or not width > 0 or points < 2:
        raise ValueError(
            "expected a centre (2,), a width above 0 and 2 or more points, "
            f"got {tuple(centre.shape)}, {width} and {points}"
        )
    line = torch.linspace(-0.5, 0.5, points, dtype=torch.float64, device=centre.device) * width
    return torch.stack(torch.meshgrid(centre[0] + line, centre[1] + line, indexing="ij"), -1)


def lipschitz_refinement(
    fn: Map,
    centre: Tensor,
    width: float,
    sizes: Sequence[int] = (17, 33, 65, 129),
    dtype: torch.dtype = torch.float64,
) -> LipschitzRefinement:
    """Return the Lipschitz constants of a map of a plane on grids that get finer.

    Args:
        fn: maps codes (N, 2) to (N, ...), each by itself.
        centre: the middle of the square (2,).
        width: its side.
        sizes: points a side of each grid, increasing.
        dtype: that of the codes.

    Raises:
        ValueError: there are fewer than two grids, or they do not get finer; see `window`.

    """
    if len(sizes) < 2 or any(b <= a for a, b in pairwise(sizes)):
        raise ValueError(f"expected two or more grids that get finer, got {list(sizes)}")
    found = []
    for n in sizes:
        values = _on_grid(fn, window(centre, width, n), dtype).double().reshape(n, n, -1)
        steps = [values.diff(dim=axis).norm(dim=2).max() for axis in (0, 1)]
        found.append(torch.stack(steps).max() * (n - 1) / width)
    constants = torch.stack(found)
    fine = torch.tensor([sizes[-2] - 1, sizes[-1] - 1], dtype=torch.float64).log()
    growth = (constants[-1] / constants[-2]).log() / (fine[1] - fine[0])
    return LipschitzRefinement(torch.tensor(sizes), constants, float(growth))


def precision_control(
    fn: Map,
    centre: Tensor,
    widths: Sequence[float] = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8),
    points: int = 33,
    double: Map | None = None,
) -> PrecisionControl:
    """Return how a map in float32 departs from the same in float64 as one looks closer.

    Args:
        fn: maps codes (N, 2) to numbers (N,), in the dtype of the codes.
        centre: the middle of all windows (2,), in float64.
        widths: of the windows, decreasing.
        points: points a side.
        double: the same map for float64 codes, such as a copy of a network with wider weights; fn if it is not given.

    Raises:
        ValueError: widths do not decrease; see `window`.

    """
    if not widths or any(b >= a for a, b in pairwise(widths)):
        raise ValueError(f"expected widths that decrease, got {list(widths)}")
    deviation, distinct = [], []
    for width in widths:
        grid = window(centre.double(), width, points)
        single = _on_grid(fn, grid, torch.float32).reshape(-1)
        exact = _on_grid(fn if double is None else double, grid, torch.float64).reshape(-1)
        deviation.append((single.double() - exact).square().mean().sqrt() / exact.std())
        distinct.append(len(single.unique()) / len(single))
    apart = torch.stack(deviation)
    good = (apart < 0.1).long().cumprod(0).bool()
    trusted = float(torch.tensor(widths)[good].min()) if bool(good[0]) else float("nan")
    return PrecisionControl(torch.tensor(widths), apart, torch.tensor(distinct), trusted)


def _on_grid(fn: Map, grid: Tensor, dtype: torch.dtype) -> Tensor:
    with torch.no_grad():
        return fn(grid.to(dtype).flatten(0, 1)).unflatten(0, grid.shape[:2])
