r"""Principal geodesics: the directions in which codes vary most, seen from their Frechet mean.

    u_i = log_mu(x_i),    S = (1/n) sum_i u_i u_i^T in an orthonormal frame at mu,    S e_k = lambda_k e_k,
    t -> exp_mu(t sqrt(lambda_k) e_k)    the k-th principal geodesic

The variances add up to the Frechet variance. Distances from the mean are exact; those between codes are taken in the
tangent space, which is what exact principal geodesic analysis does not do.

Reference: Fletcher, Lu, Pizer & Joshi, "Principal geodesic analysis for the study of nonlinear statistics of shape"
(2004), section V.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.checks import check_codes, check_moves
from lsgen.geometry.metric_tensor import orthonormal_frames
from lsgen.geometry.riemannian import RiemannianMetric
from lsgen.geometry.statistics.means import frechet_mean, log_maps, solver_options

__all__ = ["PrincipalGeodesics", "principal_geodesics"]


class PrincipalGeodesics(NamedTuple):
    """The principal geodesics of codes.

    Attributes:
        mean: Frechet mean (d,).
        directions: tangent vectors (k, d) at the mean of unit length |e|_g, orthogonal, of largest variance first; for
            `exp_map`.
        variances: variance along each (k,).
        explained: its share of the Frechet variance (k,).
        scores: coordinates <log_mu(x), e_k>_g of each code (n, k).
        converged: whether the mean and every logarithm converged.

    """

    mean: Tensor
    directions: Tensor
    variances: Tensor
    explained: Tensor
    scores: Tensor
    converged: bool


def principal_geodesics(
    im: RiemannianMetric,
    codes: Tensor,
    k: int | None = None,
    *,
    tol: float = 1e-3,
    max_iterations: int = 32,
    points: int = 33,
    geodesic_options: Mapping[str, Any] | None = None,
) -> PrincipalGeodesics:
    r"""Return the principal geodesics of codes.

        maximise  sum_i <log_mu(x_i), e>_g^2    over |e|_g = 1, one after the other, orthogonally

    Args:
        im: the immersion, or the metric itself.
        codes: codes (n, d).
        k: number of geodesics, at most min(n, d), which it is where it is not given.
        tol: of the mean, see `frechet_mean`.
        max_iterations: of the mean.
        points: number of points on each geodesic.
        geodesic_options: options of each geodesic beside these, such as {"tol": 1e-6, "starts": 2}; see `geodesic`.

    Returns:
        `PrincipalGeodesics`; NaN, and converged = False, where a logarithm did not converge.

    Raises:
        TypeError, ValueError: see `frechet_mean`; also for codes of another shape, or k outside 1, ..., min(n, d).

    """
    check_codes(im.fn, im.dim, codes)
    check_moves(im.fn)
    if codes.ndim != 2:
        raise ValueError(f"expected codes (n, {im.dim}), got {tuple(codes.shape)}")
    most = min(codes.shape)
    k = most if k is None else k
    if not 1 <= k <= most:
        raise ValueError(f"expected a number of geodesics from 1 to {most}, got {k}")
    solver = solver_options(points, geodesic_options)
    found = frechet_mean(
        im, codes, tol=tol, max_iterations=max_iterations, points=points, geodesic_options=geodesic_options
    )
    with torch.no_grad():
        v, _ = log_maps(im, found.mean[None], codes.detach()[None], solver)
        frame = orthonormal_frames(im, found.mean[None])[0].double()
        inside = torch.linalg.solve_ex(frame, v[0].double().mT)[0].mT
        ok = bool(torch.isfinite(inside).all())
        _, singular, axes = torch.linalg.svd(inside if ok else torch.zeros_like(inside), full_matrices=False)
        variances, total = singular**2 / len(codes), (singular**2).sum() / len(codes)
        directions, share, scores = axes[:k] @ frame.mT, variances / total, inside @ axes[:k].mT

        def given(x: Tensor) -> Tensor:
            return (x if ok else torch.full_like(x, torch.nan)).to(codes.dtype)

        return PrincipalGeodesics(
            found.mean,
            given(directions),
            given(variances[:k]),
            given(share[:k]),
            given(scores),
            ok and bool(found.converged),
        )
