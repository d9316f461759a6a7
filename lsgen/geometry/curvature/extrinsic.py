r"""Extrinsic curvature of an immersion in its flat space: second fundamental form and mean curvature.

    II_ij = H_ij - Gamma^k_ij J_k,      mean curvature = (1/d) g^ij II_ij .

The flat space of a likelihood may hold the family's own curved embedding S (hyperboloids, for Gaussians with decoded
sigma). The part of a vector w within S is J_e F^-1 J_e^T w, where J_e is the derivative of the embedding.

Reference: do Carmo, "Riemannian Geometry" (1992), chapter 6, section 2.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.batching import pointwise
from lsgen.geometry.embedded import full_hessian
from lsgen.geometry.factorisation import inverse_metric
from lsgen.geometry.immersion import Immersion
from lsgen.geometry.riemannian import check_metric, repeated

__all__ = ["MeanCurvature", "mean_curvature", "second_fundamental_form"]

SEVERAL = 4
"""Least d for which the mean curvature takes second derivatives along single directions only."""


class MeanCurvature(NamedTuple):
    """The vector in the flat space (B, m), and its part within the statistical manifold (B, m)."""

    vector: Tensor
    within: Tensor


def second_fundamental_form(im: Immersion, z: Tensor, chunk_size: int | None = None) -> Tensor:
    r"""Return the second fundamental form, the part of the second derivatives normal to the image.

        II_ij = H_ij - Gamma^k_ij J_k

    Args:
        im: the immersion.
        z: codes (B, d).
        chunk_size: number of codes to work on at once.

    Returns:
        A tensor (B, d, d, m), in the frame of `jet`; NaN where the metric is rank deficient.

    Raises:
        TypeError, ValueError: see `metric`.

    """
    _check_immersion(im)
    return pointwise(lambda part: (_second(im, part).to(z.dtype),), im, z, chunk_size, order=2, smooth=True)[0]


def mean_curvature(im: Immersion, z: Tensor, chunk_size: int | None = None) -> MeanCurvature:
    r"""Return the mean curvature vector.

        (1/d) g^ij II_ij

    It is normal to the image; the unit sphere has -f. For an immersion with negative signs it is given in the frame
    that an isometry moves to each point, so lengths and angles mean something, and single coordinates do not.

    Args:
        im: the immersion.
        z: codes (B, d).
        chunk_size: number of codes to work on at once.

    Returns:
        MeanCurvature(vector (B, m), within (B, m)): the second is the part within the statistical manifold of a Fisher
        immersion, and the same as the first for any other. NaN where the metric is rank deficient.

    Raises:
        TypeError, ValueError: see `metric`.

    """
    _check_immersion(im)

    def one(part: Tensor) -> tuple[Tensor, ...]:
        vector = _trace(im, part).to(z.dtype) / im.dim
        return vector, im.within_manifold(part, vector)

    return MeanCurvature(*pointwise(one, im, z, chunk_size, order=2, smooth=True))


def _second(im: Immersion, z: Tensor) -> Tensor:
    """Return II at codes (N, d), in float64."""
    x = im.expansion(z, 2)
    j, h = x.j.movedim(0, 1).double(), full_hessian(x).double()
    g = im.inner(j)
    im.check_definite(g, z)
    gamma = torch.einsum("nkl,nlm,nijm->nijk", inverse_metric(g, im.precision(z)), im.signed(j), h)
    return h - torch.einsum("nijk,nkm->nijm", gamma, j)


def _trace(im: Immersion, z: Tensor) -> Tensor:
    """Return g^ij II_ij (N, m) in float64, from a second derivative along each vector of an orthonormal frame."""
    n, d = z.shape
    few = d < SEVERAL
    x = im.expansion(z, 2 if few else 1)
    metric, frame, tangent = im.orthonormal_tangents(z, x)
    if few:
        trace = torch.einsum("nij,nijm->nm", metric.inverse, full_hessian(x).double())
    else:
        along = im.expansion(repeated(z, d), 2, frame.to(z).reshape(1, n * d, d))
        second = along.t[-1] if along.curved else torch.zeros_like(along.t[0])
        trace = second.unflatten(0, (n, d)).double().sum(1)
    return torch.where(metric.full[:, None], im.normal_part(trace[:, None], tangent)[:, 0], torch.nan)


def _check_immersion(im: Any) -> None:
    """Refuse a metric that is not that of a map into flat space.

    Raises:
        TypeError: im is no `Immersion`.

    """
    check_metric(im)
    if not im.of_jacobian:
        raise TypeError(f"expected an Immersion, whose image bends in a flat space, got {type(im).__name__}")
