"""Paths and grids through z: pure functions of codes.

`linear` and `slerp` join two codes; `axis_traversal` moves one coordinate at a time; `plane` spans a
2-D grid. A traversal value may be given in standard deviations of the prior, since N(0, I) has unit scale.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lsgen.latent import great_circles

__all__ = ["axis_traversal", "linear", "plane", "slerp", "times"]


def linear(start: Tensor, end: Tensor, points: int) -> Tensor:
    """Return the straight segment (1 - t) start + t end at equidistant t in [0, 1].

    Args:
        start: codes (B, d).
        end: codes (B, d).
        points: number of points N >= 2, both ends included.

    Returns:
        Codes (B, N, d).

    Raises:
        ValueError: the shapes differ or N < 2.

    Example:
        >>> linear(torch.zeros(2), torch.tensor([2.0, 4.0]), 3)
        tensor([[0., 0.],
                [1., 2.],
                [2., 4.]])

    """
    t = times(start, end, points)
    return torch.lerp(start.unsqueeze(-2), end.unsqueeze(-2), t)


def slerp(start: Tensor, end: Tensor, points: int) -> Tensor:
    r"""Return the spherical interpolation of Shoemake (1985), with the norm interpolated linearly.

        z(t) = |z(t)| (cos(t a) u + sin(t a) w),    a = angle(u, v),  w the direction of v - <u, v> u,

    for the directions u and v of the two ends; the same curve as (sin((1-t) a) u + sin(t a) v) / sin a, without
    its cancellation for nearly opposite ends.

    A zero vector has no direction: such pairs, and parallel ones, take the straight segment. Antipodal
    directions have no unique great circle; they too take the straight segment.

    Args:
        start: codes (B, d).
        end: codes (B, d).
        points: number of points N >= 2, both ends included.

    Returns:
        Codes (B, N, d).

    Raises:
        ValueError: the shapes differ or N < 2.

    Reference:
        Shoemake, "Animating rotation with quaternion curves" (SIGGRAPH 1985); White, "Sampling generative
        networks" (2016), https://arxiv.org/abs/1609.04468.

    Example:
        >>> slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), 3)[1]
        tensor([0.7071, 0.7071])

    """
    t = times(start, end, points)
    return great_circles.slerp(start.unsqueeze(-2), end.unsqueeze(-2), t)


def axis_traversal(anchor: Tensor, axes: Tensor, values: Tensor) -> Tensor:
    """Return copies of the anchor in which one coordinate at a time takes the given values.

    Args:
        anchor: codes (B, d).
        axes: integer indices (K,) of the coordinates to move.
        values: what the moved coordinate becomes, (N,).

    Returns:
        Codes (B, K, N, d).

    Raises:
        ValueError: an axis lies outside 0 .. d - 1.
        TypeError: the anchor is of an integer type.

    Example:
        >>> axis_traversal(torch.zeros(2), torch.tensor([1]), torch.tensor([-1.0, 1.0]))
        tensor([[[ 0., -1.],
                 [ 0.,  1.]]])

    """
    _check_floating(anchor)
    d = anchor.shape[-1]
    if axes.numel() and not (int(axes.min()) >= 0 and int(axes.max()) < d):
        raise ValueError(f"expected axes between 0 and {d - 1}, got {axes.tolist()}")
    moved = anchor[..., None, None, :].expand(*anchor.shape[:-1], len(axes), len(values), d)
    mask = torch.nn.functional.one_hot(axes, d).to(torch.bool)[:, None, :]
    return torch.where(mask, values.to(anchor)[None, :, None], moved)


def plane(origin: Tensor, u: Tensor, v: Tensor, values: Tensor) -> Tensor:
    """Return the grid origin + a u + b v for all pairs (a, b) of the given values.

    Args:
        origin: code (d,).
        u: first direction (d,); it varies along the last grid axis, left to right.
        v: second direction (d,); it varies along the first grid axis, top to bottom from large to small.
        values: coordinates (N,), in units of u and v.

    Returns:
        Codes (N, N, d).

    Raises:
        TypeError: the origin is of an integer type.

    """
    _check_floating(origin)
    values = values.to(origin)
    b, a = torch.meshgrid(values.flip(0), values, indexing="ij")
    return origin + a[..., None] * u + b[..., None] * v


def times(start: Tensor, end: Tensor, points: int) -> Tensor:
    """Return equidistant t in [0, 1], (N, 1), for paths between two ends of one shape, in their precision.

    Raises:
        ValueError: the shapes differ or N < 2.
        TypeError: the ends are of an integer type.

    """
    if start.shape != end.shape:
        raise ValueError(f"expected two ends of one shape, got {tuple(start.shape)} and {tuple(end.shape)}")
    if points < 2:
        raise ValueError(f"expected at least 2 points, got {points}")
    _check_floating(start)
    return torch.linspace(0, 1, points, dtype=start.dtype, device=start.device)[:, None]


def _check_floating(codes: Tensor) -> None:
    if not codes.is_floating_point():
        raise TypeError(f"expected codes of a floating-point type, got {codes.dtype}")
