r"""Random planes through codes, and moments of the metric from its restriction to them.

For a frame U of k orthonormal vectors, uniform over rotations, A = U^T g U is the metric of the image of the plane
that they span, and

    E tr A = (k/d) tr g,    E (tr A)^2 = a (tr g)^2 + 2 b tr g^2,    E tr A^2 = b (tr g)^2 + (a + b) tr g^2,

    b = k (d - k) / (d (d - 1) (d + 2)),    a = k/d - (d + 1) b .

From k = 2 on the last two can be solved, so that (tr g)^2 and tr g^2 have estimates without bias. At k = d every
estimate is exact: g itself is known, in an arbitrary basis.

Reference: Collins & Sniady, "Integration with respect to the Haar measure on unitary, orthogonal and symplectic group"
(2006), https://arxiv.org/abs/math-ph/0402073, for the second moments.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["MetricMoments", "check_plane", "moments", "random_frames"]


class MetricMoments(NamedTuple):
    """Estimates without bias of tr g, (tr g)^2 and tr g^2, (N,) each."""

    trace: Tensor
    squared_trace: Tensor
    square: Tensor


def check_plane(plane: int | None, least: int = 1) -> int | None:
    """Return the dimension k of random planes; None stands for the latent dimension.

    Raises:
        ValueError: k is smaller than the least that an estimate is defined for, or no whole number.

    """
    if plane is not None and (isinstance(plane, bool) or not isinstance(plane, int) or plane < least):
        raise ValueError(f"expected random planes of at least {least} dimension{'s' * (least > 1)}, got {plane!r}")
    return plane


def random_frames(plane: int | None, z: Tensor, shared: bool = False) -> Tensor:
    """Return k orthonormal vectors at each code (N, d), uniform over rotations, (k, N, d); the axes where k = d.

    Args:
        plane: k; what is not given or exceeds d stands for d.
        z: codes (N, d).
        shared: whether all codes get the same ones.

    Raises:
        ValueError: z has another shape.

    """
    if z.ndim != 2:
        raise ValueError(f"expected codes of shape (N, d), got {tuple(z.shape)}")
    n, d = z.shape
    if plane is None or plane >= d:
        return torch.eye(d, dtype=z.dtype, device=z.device)[:, None].expand(d, n, d)
    rows = torch.randn(1 if shared else n, plane, d, dtype=torch.float64, device=z.device)
    factor = torch.linalg.cholesky_ex(rows @ rows.mT)[0]
    frames = torch.linalg.solve_triangular(factor, rows, upper=False).to(z.dtype)
    return frames.expand(n, plane, d).transpose(0, 1)


def moments(a: Tensor, dim: int) -> MetricMoments:
    """Return moments of metrics of dimension d from restrictions A (N, k, k) to random planes, k >= 2 or k = d."""
    k = a.shape[-1]
    trace = a.diagonal(dim1=-2, dim2=-1).sum(-1)
    squared, square = trace.square(), a.square().sum((-2, -1))
    if k == dim:
        return MetricMoments(trace, squared, square)
    beta = k * (dim - k) / (dim * (dim - 1) * (dim + 2))
    alpha = k / dim - (dim + 1) * beta
    determinant = alpha * (alpha + beta) - 2 * beta**2
    return MetricMoments(
        trace * (dim / k),
        ((alpha + beta) * squared - 2 * beta * square) / determinant,
        (alpha * square - beta * squared) / determinant,
    )
