r"""Paths that follow the manifold of the codes, as curves to start geodesics from.

On a flat space these are straight segments, on a sphere great circles. Antipodes, which no single great circle joins,
are joined by one of them. Each circle of a torus can be gone round either way, and the shortest geodesic of a decoder
need not take the shorter: of up to MOST circles every combination is a path, of more the shorter way round all of them,
and the longer way round each alone.
"""

from __future__ import annotations

from itertools import product
from math import pi

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from lsgen.latent import Manifold, Sphere
from lsgen.latent.manifolds.product_manifolds import ProductManifold

__all__ = ["manifold_paths"]

MOST = 3


def manifold_paths(manifold: Manifold, start: Tensor, end: Tensor, points: int) -> Tensor:
    """Return the paths (W, B, N, d) between codes (B, d) on their manifold, the shortest of the manifold first."""
    parts, sizes = [manifold], [start.shape[-1]]
    if isinstance(manifold, ProductManifold):
        parts, sizes = list(manifold.parts), list(manifold.sizes)
    pieces = zip(parts, start.split(sizes, -1), end.split(sizes, -1), strict=True)
    ways = [_ways(part, a, b, points) for part, a, b in pieces]
    circles = [i for i, own in enumerate(ways) if len(own) > 1]
    if len(circles) <= MOST:
        chosen = list(product(*(range(len(own)) for own in ways)))
    else:
        chosen = [tuple(int(i == longer) for i in range(len(ways))) for longer in (-1, *circles)]
    return torch.stack([torch.cat([own[way] for own, way in zip(ways, one, strict=True)], -1) for one in chosen])


def _ways(manifold: Manifold, start: Tensor, end: Tensor, points: int) -> list[Tensor]:
    """Return the paths (B, N, d) on a manifold that is no product."""
    if not isinstance(manifold, Sphere):
        return [manifold.geodesic(start, end, points)]
    if start.shape[-1] == 2:
        first, last = (torch.atan2(z[:, 1], z[:, 0]) for z in (start, end))
        turn = torch.remainder(last - first + pi, 2 * pi) - pi
        t = torch.linspace(0, 1, points, dtype=start.dtype, device=start.device)
        angles = [first[:, None] + by[:, None] * t for by in (turn, turn - 2 * pi * torch.where(turn < 0, -1, 1))]
        return [torch.stack([angle.cos(), angle.sin()], -1) for angle in angles]
    found = manifold.geodesic(start, end, points)
    axis = one_hot(start.abs().argmin(-1), start.shape[-1]).to(start)
    t = torch.linspace(0, pi, points, dtype=start.dtype, device=start.device)[:, None]
    half = t.cos() * start[:, None] + t.sin() * manifold.direction(start, axis)[:, None]
    return [torch.where(found.isfinite().flatten(1).all(-1)[:, None, None], found, half)]
