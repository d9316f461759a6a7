r"""Initial curves for geodesics: straight and bent segments, relaxed on coarse grids or not, and paths through codes.

A segment bent at random is z(t) = (1-t) a + t b + (|b - a| / 4) sum_k xi_k sin(k pi t) / k, xi_k normal, k = 1, 2, 3.

The energy of a curve is that of the same curve run backwards, so that a start tells no more in the other direction.
Of k starts in each direction those from a to b and those from b to a are therefore different ones:

    from a to b    given curves or shortest paths in the graph, straight segments relaxed on coarse grids first,
                   straight segments, segments bent at random that are relaxed so
    from b to a    given curves or paths by one code of the graph, straight segments, segments bent at random

as far as there are such.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi

import torch
from torch import Tensor

from lsgen.geometry.geodesics.starts.coarse import COARSEST, coarse_to_fine
from lsgen.geometry.geodesics.starts.graph import CodeGraph
from lsgen.geometry.riemannian import RiemannianMetric
from lsgen.latent import paths

__all__ = ["starting_curves"]

MODES, BEND = 3, 0.25
Start = Callable[[], Tensor]


def starting_curves(
    im: RiemannianMetric,
    start: Tensor,
    end: Tensor,
    points: int,
    *,
    starts: int,
    initial: Tensor | None,
    graph: CodeGraph | None,
    generator: torch.Generator | None,
    size: int,
) -> Tensor:
    """Return curves (K, B, N, d) to start from: K = 1, or `starts` in each direction, those from end to start last.

    Args:
        im: the metric.
        start: codes (B, d).
        end: codes (B, d).
        points: number of points N.
        starts: number of starts, in each direction if there are several.
        initial: curves (B, N, d), which take the place of paths in the graph.
        graph: nearest neighbours among codes.
        generator: of the random bends.
        size: number of curves to work on at once.

    """

    def straight() -> Tensor:
        return paths.linear(start, end, points)

    def coarse() -> Tensor:
        return coarse_to_fine(im, paths.linear(start, end, COARSEST), points, size)

    def bent() -> Tensor:
        return bent_segments(straight(), generator)

    def coarse_bent() -> Tensor:
        return coarse_to_fine(im, bent_segments(paths.linear(start, end, COARSEST), generator), points, size)

    first: list[Start] = []
    last: list[Start] = []
    if initial is not None:
        first = last = [initial.clone]
    elif graph is not None:
        first, last = [lambda: graph.paths(start, end, points)], [lambda: graph.waypoint_paths(start, end, points)]
    if starts == 1:
        return _made([*first, straight], 1, start, end)
    forward = _made([*first, coarse, straight, *[coarse_bent] * starts], starts, start, end)
    backward = _made([*last, straight, *[bent] * starts], starts, start, end)
    return torch.cat([forward, backward.flip(2)])


def _made(starts: list[Start], count: int, start: Tensor, end: Tensor) -> Tensor:
    """Return the first curves (count, B, N, d), with the given ends."""
    curves = torch.stack([make() for make in starts[:count]])
    first, last = (x[:, None].expand(count, -1, -1, -1) for x in (start, end))
    return torch.cat([first, curves[:, :, 1:-1], last], 2)


def bent_segments(straight: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return segments (B, N, d) bent at random, with their ends kept."""
    b, n, d = straight.shape
    k = torch.arange(1, MODES + 1, dtype=straight.dtype, device=straight.device)
    t = torch.linspace(0, 1, n, dtype=straight.dtype, device=straight.device)
    modes = torch.sin(pi * k * t[:, None]) / k
    noise = torch.randn(b, MODES, d, dtype=straight.dtype, device=straight.device, generator=generator)
    size = (straight[:, -1:] - straight[:, :1]).norm(dim=-1, keepdim=True)
    return straight + BEND * size / d**0.5 * torch.einsum("nk,bkd->bnd", modes, noise)
