r"""Frechet mean and variance, the average of codes in geodesic distance.

    mu = argmin_z V(z),    V(z) = sum_i w_i dist(z, x_i)^2,    sum_i w_i = 1,
    -(1/2) grad V = sum_i w_i log_mu(x_i) = 0    at the mean.

The mean is found by Karcher's iteration (`lsgen.geometry.statistics.karcher`). It is unique where the points lie in a
ball of radius below half the injectivity radius and pi / (4 sqrt K), K a bound of the curvature; elsewhere what is
found is a local minimum. The mean of codes that float32 can hardly tell apart is found in float64 and then rounded,
which `converged` and `residual` do not see.

Reference: Karcher, "Riemannian center of mass and mollifier smoothing" (1977); Pennec, "Intrinsic statistics on
Riemannian manifolds" (2006), section 4; Afsari, Tron & Vidal, "On the convergence of gradient descent for finding the
Riemannian center of mass" (2013).
"""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.checks import check_codes
from lsgen.geometry.compat import outside_transforms
from lsgen.geometry.geodesics.boundary_value import geodesic
from lsgen.geometry.geodesics.implicit import is_followed, values_of
from lsgen.geometry.geodesics.logarithm import log_map
from lsgen.geometry.geodesics.precision import exact_if_close, in_dtype
from lsgen.geometry.metric_tensor import metric
from lsgen.geometry.riemannian import RiemannianMetric
from lsgen.geometry.statistics.implicit_mean import differentiable_mean
from lsgen.geometry.statistics.karcher import STEP_TOL, karcher_means
from lsgen.latent import Manifold

__all__ = ["STEP_TOL", "FrechetMean", "frechet_mean", "log_maps", "solver_options", "vector_norms"]

OPTIONS = sorted(name for name, p in signature(geodesic).parameters.items() if p.kind is p.KEYWORD_ONLY)
OPTIONS.remove("initial")


class FrechetMean(NamedTuple):
    """Means (B, d), Frechet variances (B,), which converged (B,), residual (B,), iterations taken."""

    mean: Tensor
    variance: Tensor
    converged: Tensor
    residual: Tensor
    iterations: int


def frechet_mean(
    im: RiemannianMetric,
    codes: Tensor,
    weights: Tensor | None = None,
    *,
    initial: Tensor | None = None,
    tol: float = 1e-3,
    max_iterations: int = 32,
    points: int = 33,
    geodesic_options: Mapping[str, Any] | None = None,
) -> FrechetMean:
    r"""Return the Frechet mean of sets of codes, and their Frechet variance.

        mu = argmin_z sum_i w_i dist(z, x_i)^2,    variance = sum_i w_i dist(mu, x_i)^2

    Both are differentiable in the codes, in their weights and in the weights of the map, once, by the implicit function
    theorem; derivatives are known as well as the mean is, to `tol`. Those of a mean that did not converge are NaN.

    Args:
        im: the immersion, or the metric itself.
        codes: sets of codes (B, n, d).
        weights: non-negative weights (B, n), which are normalised; equal ones where they are not given.
        initial: codes (B, d) to start from; the weighted average of the coordinates where they are not given.
        tol: bound on |sum w log| over the root of the variance at a converged mean.
        max_iterations: bound on the iterations.
        points: number of points on each geodesic.
        geodesic_options: options of each geodesic beside these, such as {"tol": 1e-6, "starts": 2}; see `geodesic`.

    Returns:
        FrechetMean(mean (B, d), variance (B,), converged (B,), residual (B,), iterations). A set from which some
        geodesic to the mean did not converge has converged = False, and its variance is NaN.

    Raises:
        TypeError, ValueError: see `geodesic`; also for codes that are no sets, other weights than those above, or
            geodesic_options that `geodesic` does not take.

    """
    check_codes(im.fn, im.dim, codes)
    if codes.ndim < 2 or codes.shape[-2] < 1:
        raise ValueError(f"expected sets of codes (B, n, {im.dim}) with n >= 1, got {tuple(codes.shape)}")
    solver = solver_options(points, geodesic_options)
    batch, (n, d), dtype = codes.shape[:-2], codes.shape[-2:], codes.dtype
    im, codes = exact_if_close(im, codes)
    sets, shares = codes.reshape(-1, n, d), _shares(codes, weights)
    mean = _middle(im.manifold, torch.einsum("bn,bnd->bd", shares, sets), sets)
    if initial is not None:
        if initial.shape != (*batch, d):
            raise ValueError(f"expected initial codes {(*batch, d)}, got {tuple(initial.shape)}")
        mean = check_codes(im.fn, im.dim, initial.to(codes) if initial.dtype == dtype else initial)
    plain, plain_shares, begin = values_of(im, sets, shares, mean)
    with outside_transforms(plain), torch.no_grad():
        found = _descended(im, plain, plain_shares, begin, tol, max_iterations, solver)
    if shares.requires_grad or is_followed(im, sets.flatten(0, 1), sets.flatten(0, 1)):
        live = differentiable_mean(im, found.mean, found.variance, found.converged, sets, shares, solver)
        found = found._replace(mean=live[0], variance=live[1])
    result: FrechetMean = in_dtype(
        FrechetMean(
            found.mean.reshape(*batch, d),
            found.variance.reshape(batch),
            found.converged.reshape(batch),
            found.residual.reshape(batch),
            found.iterations,
        ),
        dtype,
    )
    return result


def _middle(manifold: Manifold, average: Tensor, sets: Tensor) -> Tensor:
    """Return the codes (B, d) nearest to averages (B, d), the first of each set where there is none."""
    near = manifold.onto(average)
    return torch.where(manifold.contains(near)[:, None], near, sets[:, 0])


def solver_options(points: int, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return options for the geodesics of a statistic, or refuse those that `geodesic` does not take.

    The curves to start from belong to pairs of codes, of which the caller knows none.
    """
    unknown = sorted(set(options or {}) - set(OPTIONS))
    if unknown:
        raise ValueError(f"expected geodesic_options among {', '.join(OPTIONS)}, got {', '.join(unknown)}")
    return {"points": points, **(options or {})}


def log_maps(im: RiemannianMetric, base: Tensor, codes: Tensor, options: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Return log_base(codes) (B, n, d) for bases (B, d) and codes (B, n, d), and the squared distances (B, n)."""
    b, n, d = codes.shape
    v = log_map(im, base[:, None].expand(b, n, d).reshape(-1, d), codes.reshape(-1, d), **options).reshape(b, n, d)
    return v, vector_norms(im, base, v) ** 2


def vector_norms(im: RiemannianMetric, base: Tensor, v: Tensor) -> Tensor:
    """Return |v|_g of vectors (B, n, d) at codes (B, d), of shape (B, n)."""
    return torch.einsum("bni,bij,bnj->bn", v, metric(im, base), v).clamp(min=0).sqrt()


def _shares(codes: Tensor, weights: Tensor | None) -> Tensor:
    """Return weights (M, n) that sum to one."""
    if weights is None:
        return codes.new_full((codes[..., 0, 0].numel(), codes.shape[-2]), 1 / codes.shape[-2])
    if weights.shape != codes.shape[:-1] or not bool((weights >= 0).all() & (weights.sum(-1) > 0).all()):
        raise ValueError(
            f"expected non-negative weights {tuple(codes.shape[:-1])} with a positive sum, got {tuple(weights.shape)} "
            f"with values from {weights.min().item():.3g} to {weights.max().item():.3g}"
        )
    flat = weights.to(codes).reshape(-1, codes.shape[-2])
    return flat / flat.sum(-1, keepdim=True)


def _descended(
    im: RiemannianMetric,
    sets: Tensor,
    shares: Tensor,
    mean: Tensor,
    tol: float,
    max_iterations: int,
    options: dict[str, Any],
) -> FrechetMean:
    """Return the means that Karcher's iteration finds."""
    found = karcher_means(im, sets, shares, mean, tol, max_iterations, options)
    done = int(found.done.amax()) if len(found.done) else 0
    return FrechetMean(found.mean, found.variance, found.residual <= tol, found.residual, done)
