r"""Initial curves for geodesics: straight segments, segments bent at random, shortest paths among codes.

A segment bent at random is z(t) = (1-t) a + t b + (|b - a| / 4) sum_k xi_k sin(k pi t) / k, xi_k normal, k = 1, 2, 3.
"""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor

from lsgen.geometry.geodesics.starts.graph import CodeGraph
from lsgen.latent import paths

__all__ = ["starting_curves"]

MODES, BEND = 3, 0.25


def starting_curves(
    start: Tensor,
    end: Tensor,
    points: int,
    starts: int,
    initial: Tensor | None,
    graph: CodeGraph | None,
    generator: torch.Generator | None,
) -> Tensor:
    """Return curves (K, B, N, d) to start from: K = 1, or `starts` in each direction, those from end to start last."""
    straight = paths.linear(start, end, points)
    given = initial if initial is not None else (graph.paths(start, end, points) if graph is not None else None)
    if starts == 1:
        return _with_ends(straight if given is None else given, start, end)[None]
    made = [straight] if given is None else [given, straight]
    turned = [x.flip(1) for x in made]
    while len(made) < starts:
        made.append(bent_segments(straight, generator))
        turned.append(bent_segments(straight, generator).flip(1))
    forward = [_with_ends(x, start, end) for x in made[:starts]]
    backward = [_with_ends(x, end, start) for x in turned[:starts]]
    return torch.stack([*forward, *backward])


def bent_segments(straight: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return segments (B, N, d) bent at random, with their ends kept."""
    b, n, d = straight.shape
    k = torch.arange(1, MODES + 1, dtype=straight.dtype, device=straight.device)
    t = torch.linspace(0, 1, n, dtype=straight.dtype, device=straight.device)
    modes = torch.sin(pi * k * t[:, None]) / k
    noise = torch.randn(b, MODES, d, dtype=straight.dtype, device=straight.device, generator=generator)
    size = (straight[:, -1:] - straight[:, :1]).norm(dim=-1, keepdim=True)
    return straight + BEND * size / d**0.5 * torch.einsum("nk,bkd->bnd", modes, noise)


def _with_ends(curves: Tensor, start: Tensor, end: Tensor) -> Tensor:
    return torch.cat([start[:, None], curves[:, 1:-1], end[:, None]], 1)
