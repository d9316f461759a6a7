"""Surfaces on which the Laplace-Beltrami operator is known."""

from __future__ import annotations

from math import pi

import pytest
import torch
from torch import Tensor


def icosphere(levels: int) -> tuple[Tensor, Tensor]:
    """Return vertices (n, 3) and triangles (m, 3) of the unit sphere, n = 10 4^levels + 2."""
    phi = (1 + 5**0.5) / 2
    rows = [(0.0, s, t * phi) for s in (-1, 1) for t in (-1, 1)]
    x = torch.tensor([r[k:] + r[:k] for k in range(3) for r in rows], dtype=torch.float64)
    near = torch.cdist(x, x).sub(2).abs() < 1e-9
    triangles = torch.tensor(
        [(i, j, k) for i in range(12) for j in range(i) for k in range(j) if near[i, j] and near[j, k] and near[i, k]]
    )
    x = x / x.norm(dim=-1, keepdim=True)
    for _ in range(levels):
        sides = torch.stack([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]], 1).sort(-1).values
        edges, numbers = torch.unique(sides.flatten(0, 1), dim=0, return_inverse=True)
        a, b, c = triangles.unbind(-1)
        ab, bc, ca = (numbers.reshape(-1, 3) + len(x)).unbind(-1)
        triangles = torch.cat([torch.stack(t, -1) for t in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))])
        middles = x[edges].mean(1)
        x = torch.cat([x, middles / middles.norm(dim=-1, keepdim=True)])
    return x, triangles


def harmonics(most: int) -> Tensor:
    """Return the eigenvalues l (l + 1) of the unit sphere for l <= most, each 2 l + 1 times."""
    return torch.cat([torch.full((2 * j + 1,), float(j * (j + 1)), dtype=torch.float64) for j in range(most + 1)])


def disk(rings: int) -> Tensor:
    """Return points of the unit disk: 6 k of them on ring k."""
    rows = [torch.zeros(1, 2, dtype=torch.float64)]
    for k in range(1, rings + 1):
        t = 2 * pi * torch.arange(6 * k, dtype=torch.float64) / (6 * k)
        rows.append(k / rings * torch.stack([t.cos(), t.sin()], -1))
    return torch.cat(rows)


@pytest.fixture
def sphere_mesh():
    """Return `icosphere`."""
    return icosphere


@pytest.fixture
def sphere_eigenvalues():
    """Return `harmonics`."""
    return harmonics


@pytest.fixture
def disk_points():
    """Return `disk`."""
    return disk
