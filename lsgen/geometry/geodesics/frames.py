r"""Orthonormal frames of tangent spaces.

g(e_a, e_b) = delta_ab,    E = (e_1, ..., e_d) = L^{-T} for g = L L^T,    E E^T = g^-1 .
"""

from __future__ import annotations

import torch
from torch import Tensor

from lsgen.geometry.metric_tensor import metric
from lsgen.geometry.riemannian import RiemannianMetric

__all__ = ["frames"]


def frames(im: RiemannianMetric, z: Tensor, chunk_size: int | None = None) -> Tensor:
    """Return orthonormal frames (N, d, d), columns g-orthonormal, E E^T = g^-1; NaN where the metric is deficient."""
    g = metric(im, z, chunk_size).double()
    eye = torch.eye(im.dim, dtype=g.dtype, device=g.device)
    finite = torch.isfinite(g).flatten(1).all(-1)
    root, info = torch.linalg.cholesky_ex(torch.where(finite[:, None, None], g, eye))
    ok = (info == 0) & finite
    root = torch.where(ok[:, None, None], root, eye)
    made = torch.linalg.solve_triangular(root, eye.expand_as(root), upper=False).mT
    return torch.where(ok[:, None, None], made, torch.nan).to(z)
