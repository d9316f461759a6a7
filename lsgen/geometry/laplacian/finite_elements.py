r"""Finite elements of degree 1 on a triangle mesh, with lengths from a metric, from edges or from positions.

On each triangle functions are linear in the coordinates, u = sum_a u_a phi_a, and

    S_ab = int sqrt|g| g^ij d_i phi_a d_j phi_b dz,        M_ab = int sqrt|g| phi_a phi_b dz .

Both follow from the Gram matrix G = E^T g E of two sides E of the triangle alone, which edge lengths give as well as a
metric does. A metric is taken at the middles of the sides, by the rule that is exact for polynomials of degree 2. Where
the metric is constant on each triangle, S is the cotangent matrix. Eigenvalues and smooth functions err by O(h^2).

Without a boundary condition functions have no normal derivative there (Neumann); "dirichlet" holds them at 0.

Reference: Dziuk, "Finite elements for the Beltrami operator on arbitrary surfaces" (1988); Strang & Fix, "An Analysis
of the Finite Element Method" (1973), chapter 6, for eigenvalues; Pinkall & Polthier, "Computing discrete minimal
surfaces and their conjugates" (1993), for cotangents.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from scipy.sparse import coo_array
from torch import Tensor

from lsgen.geometry.laplacian.meshes import TriangleMesh, check_triangles, on_boundary
from lsgen.geometry.laplacian.operator import LaplaceBeltrami
from lsgen.geometry.metric_tensor import metric
from lsgen.geometry.riemannian import RiemannianMetric, check_metric

__all__ = ["Boundary", "edge_length_laplacian", "finite_element_laplacian", "surface_laplacian"]

Boundary = Literal["neumann", "dirichlet"]
SLOPES = torch.tensor([[-1.0, 1.0, 0.0], [-1.0, 0.0, 1.0]], dtype=torch.float64)  # of phi along the two sides
MIDDLES = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5]], dtype=torch.float64)
FLAT, AGREE = 1e-13, 1e-3
"""Triangles with 4 det G / (tr G)^2 below this are degenerate."""


def finite_element_laplacian(
    im: RiemannianMetric | Tensor, mesh: TriangleMesh, boundary: Boundary = "neumann", chunk_size: int | None = None
) -> LaplaceBeltrami:
    r"""Return the Laplace-Beltrami operator of a metric of two dimensions on a mesh of its coordinates.

        S_ab = int sqrt|g| g^ij d_i phi_a d_j phi_b dz,    M_ab = int sqrt|g| phi_a phi_b dz

    A plane of a latent space of more dimensions is `im.restrict(origin, basis)`.

    Args:
        im: the immersion, or the metric itself, with d = 2; or the metric at the vertices (n, 2, 2), which is
            interpolated linearly.
        mesh: triangles of its coordinates.
        boundary: "neumann" or "dirichlet"; a mesh without a boundary takes the first.
        chunk_size: number of codes whose derivatives are taken at once.

    Raises:
        TypeError, ValueError: see `metric`; also for a metric that is not of two dimensions, a degenerate triangle, or
            another boundary condition.

    """
    corners = mesh.corners.detach()
    if isinstance(im, Tensor):
        if im.shape != (mesh.vertices, 2, 2):
            raise ValueError(f"expected a metric at the vertices ({mesh.vertices}, 2, 2), got {tuple(im.shape)}")
        skew = (im - im.mT).detach().abs().amax((-2, -1))
        if bool((skew > 1e-5 * im.detach().abs().amax((-2, -1))).any()):
            raise ValueError("expected a symmetric metric at the vertices, got one that is not")
        g = torch.einsum("qa,maij->mqij", MIDDLES.to(corners.device), im.detach().double()[mesh.triangles])
    else:
        check_metric(im)
        if im.dim != 2:
            raise ValueError(f"expected a metric of 2 dimensions, got one of {im.dim}")
        middles = torch.einsum("qa,mai->mqi", MIDDLES.to(corners), corners)
        with torch.no_grad():
            g = metric(im, middles, chunk_size).double()
    sides = (corners[:, 1:] - corners[:, :1]).double()
    gram = torch.einsum("mai,mqij,mbj->mqab", sides, g, sides)
    return _assembled(mesh.triangles, gram, boundary)


def surface_laplacian(vertices: Tensor, triangles: Tensor, boundary: Boundary = "neumann") -> LaplaceBeltrami:
    """Return the Laplace-Beltrami operator of a surface of flat triangles in a space of any dimension.

    Args:
        vertices: positions (n, m), such as decoded codes in their flat space; m >= 2.
        triangles: numbers of their vertices (t, 3).
        boundary: "neumann" or "dirichlet"; a mesh without a boundary takes the first.

    Raises:
        TypeError, ValueError: see `TriangleMesh`; also for a degenerate triangle, or another boundary condition.

    """
    count = check_triangles(triangles)
    if vertices.ndim != 2 or len(vertices) != count or not vertices.is_floating_point():
        raise ValueError(f"expected real positions ({count}, m), got {vertices.dtype} {tuple(vertices.shape)}")
    places = vertices.detach().double()[triangles]
    sides = places[:, 1:] - places[:, :1]
    return _assembled(triangles, (sides @ sides.mT)[:, None], boundary)


def edge_length_laplacian(triangles: Tensor, lengths: Tensor, boundary: Boundary = "neumann") -> LaplaceBeltrami:
    """Return the Laplace-Beltrami operator of a surface of flat triangles with given edge lengths.

    Args:
        triangles: numbers of their vertices (m, 3).
        lengths: lengths (m, 3) of the sides between the vertices 0 and 1, 1 and 2, and 2 and 0 of each triangle.
        boundary: "neumann" or "dirichlet"; a mesh without a boundary takes the first.

    Raises:
        TypeError, ValueError: see `TriangleMesh`; also for lengths that are not positive, break the triangle
            inequality, or differ by more than 0.1 % between the two triangles of an edge.

    """
    check_triangles(triangles)
    if lengths.shape != triangles.shape or not lengths.is_floating_point():
        raise ValueError(f"expected real lengths {tuple(triangles.shape)}, got {lengths.dtype} {tuple(lengths.shape)}")
    if bool((lengths <= 0).any()):
        raise ValueError(f"expected positive lengths, got {int((lengths <= 0).sum())} that are not")
    sides = torch.stack([triangles, triangles.roll(-1, 1)], -1).flatten(0, 1).sort(-1).values
    edges, number = torch.unique(sides, dim=0, return_inverse=True)
    found = lengths.detach().double().flatten()
    most, least = (
        found.new_zeros(len(edges)).scatter_reduce(0, number, found, f, include_self=False) for f in ("amax", "amin")
    )
    torn = int((most > (1 + AGREE) * least).sum())
    if torn:
        raise ValueError(f"expected one length for each edge, got {torn} of {len(edges)} with another on either side")
    a, c, b = lengths.detach().double().square().unbind(-1)
    cross = (a + b - c) / 2
    gram = torch.stack([torch.stack([a, cross], -1), torch.stack([cross, b], -1)], -2)
    return _assembled(triangles, gram[:, None], boundary)


def _assembled(triangles: Tensor, gram: Tensor, boundary: Boundary) -> LaplaceBeltrami:
    """Return the operator from Gram matrices (m, q, 2, 2) at the middles of sides, q = 3, or anywhere, q = 1."""
    held = _held(triangles, boundary)
    bad = int((~torch.isfinite(gram).flatten(1).all(-1)).sum())
    if bad:
        raise ValueError(f"expected finite lengths, got {bad} of {len(gram)} triangles where they are not")
    det = gram[..., 0, 0] * gram[..., 1, 1] - gram[..., 0, 1] * gram[..., 1, 0]
    trace = gram[..., 0, 0] + gram[..., 1, 1]
    sound = ((trace > 0) & (4 * det > FLAT * trace**2)).all(-1)
    if not bool(sound.all()):
        raise ValueError(
            f"expected triangles of positive area, got {int((~sound).sum())} of {len(sound)} that are degenerate, the "
            f"first of them number {int((~sound).nonzero()[0, 0])}"
        )
    share = det.expand(-1, 3).sqrt() / 6
    slopes, middles = SLOPES.to(gram), MIDDLES.to(gram)
    stiff = torch.einsum(
        "mq,qia,mqij,qjb->mab", share, slopes.expand(3, 2, 3), _inverse(gram, det), slopes.expand(3, 2, 3)
    )
    masses = torch.einsum("mq,qa,qb->mab", share, middles, middles)
    rows = masses.sum(-1)
    scaled = masses / (rows[:, :, None] * rows[:, None, :]).sqrt()
    floor = float(torch.linalg.eigvalsh(scaled).min())
    return _operator(triangles, stiff, masses, held, max(floor, 0.0))


def _inverse(gram: Tensor, det: Tensor) -> Tensor:
    """Return G^-1 as (m, 3, 2, 2)."""
    turned = torch.stack(
        [
            torch.stack([gram[..., 1, 1], -gram[..., 0, 1]], -1),
            torch.stack([-gram[..., 1, 0], gram[..., 0, 0]], -1),
        ],
        -2,
    )
    return (turned / det[..., None, None]).expand(-1, 3, 2, 2)


def _held(triangles: Tensor, boundary: Boundary) -> Any:
    """Return which vertices are held at 0, (n,) on the host."""
    if boundary not in ("neumann", "dirichlet"):
        raise ValueError(f'expected the boundary condition "neumann" or "dirichlet", got {boundary!r}')
    edge = on_boundary(triangles).cpu().numpy()
    if boundary == "neumann":
        return np.zeros_like(edge)
    if not edge.any():
        raise ValueError('expected a mesh with a boundary for the condition "dirichlet", got one that is closed')
    if edge.all():
        raise ValueError("expected a vertex inside the boundary, got a mesh with none")
    return edge


def _operator(triangles: Tensor, stiff: Tensor, masses: Tensor, held: Any, floor: float) -> LaplaceBeltrami:
    numbers = triangles.cpu().numpy()
    row = np.broadcast_to(numbers[:, :, None], stiff.shape).ravel()
    column = np.broadcast_to(numbers[:, None, :], stiff.shape).ravel()
    n, free = len(held), ~held

    def joined(blocks: Tensor) -> Any:
        whole = coo_array((blocks.cpu().numpy().ravel(), (row, column)), shape=(n, n)).tocsr()
        return whole[free][:, free]

    near = np.zeros(n, dtype=bool)
    near[numbers[held[numbers].any(1)].ravel()] = True
    nothing = np.zeros(int(free.sum()))
    return LaplaceBeltrami(joined(stiff), joined(masses), free, 0.0, near[free], floor, nothing, triangles.device)
