r"""LAND: a mixture of locally adaptive normal distributions, Gaussian in geodesic distance.

With respect to the Riemannian volume, on the codes that geodesics from the means reach before any conjugate point,

    p(x) = sum_k pi_k exp(-(1/2) u^T Sigma_k^-1 u) / C_k,    u = log_{mu_k}(x),
    C_k = int exp(-(1/2) u^T Sigma_k^-1 u) dvol = (2 pi)^{d/2} sqrt(det(g Sigma_k)) E[theta(w)],    w ~ N(0, Sigma_k),

where theta(w) is the volume of the exponential map at w, by Jacobi fields, and 0 beyond the first conjugate point: the
square root of det g in normal coordinates. Expectations over w take a fixed set of quasi-random points and their
opposites, so that the likelihood is a deterministic function.

Expectation-maximisation: with responsibilities r, the moments of the data and those of the model, weighted by theta,
meet,

    mean_r(u) = E_theta[w],    mean_r(u u^T) = E_theta[w w^T],

by mu <- exp_mu(mean_r(u) - E_theta[w]) and Sigma <- Sigma + mean_r(u u^T) - E_theta[w w^T]. The first neglects, as the
original does, that log_mu(x) turns when mu moves, which is of second order in curvature and distance.

Reference: Arvanitidis, Hansen & Hauberg, "A locally adaptive normal distribution" (2016),
https://arxiv.org/abs/1606.02518, sections 3 and 4; Pennec (2006), section 6, for the density.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log, pi
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.checks import check_codes
from lsgen.geometry.field import MetricField
from lsgen.geometry.immersion import Immersion
from lsgen.geometry.jacobi import before_conjugate, jacobi_fields
from lsgen.geometry.metric import log_volume
from lsgen.geometry.shooting import exp_map
from lsgen.geometry.statistics.clustering import kmeans
from lsgen.geometry.statistics.means import STEP_TOL, logs, solver_options

__all__ = ["Land", "land", "land_log_density"]


class Land(NamedTuple):
    """A fitted mixture; densities are with respect to the Riemannian volume.

    Attributes:
        weights: pi (K,).
        means: mu (K, d).
        covariances: Sigma (K, d, d), in the coordinates of the tangent space at each mean.
        log_normalisers: log C (K,).
        log_likelihood: mean log-density of the codes, after each iteration (iterations,).
        responsibilities: posterior probabilities of the components (n, K).
        converged: whether the last iteration changed the log-likelihood by less than the tolerance.

    """

    weights: Tensor
    means: Tensor
    covariances: Tensor
    log_normalisers: Tensor
    log_likelihood: Tensor
    responsibilities: Tensor
    converged: bool


class _Moments(NamedTuple):
    """log C (K,), E_theta[w] (K, d) and E_theta[w w^T] (K, d, d) of the model."""

    log_normaliser: Tensor
    first: Tensor
    second: Tensor


def land(
    im: Immersion | MetricField,
    codes: Tensor,
    components: int,
    *,
    samples: int = 64,
    steps: int = 8,
    tol: float = 1e-3,
    max_iterations: int = 32,
    points: int = 17,
    restarts: int = 4,
    generator: torch.Generator | None = None,
    geodesic_options: Mapping[str, Any] | None = None,
) -> Land:
    r"""Return a mixture of locally adaptive normal distributions, fitted to codes by expectation-maximisation.

        maximise  (1/n) sum_i log sum_k pi_k exp(-(1/2) |log_{mu_k}(x_i)|^2_{Sigma_k^-1}) / C_k

    Args:
        im: the immersion, or the metric itself.
        codes: codes (n, d), with n > d.
        components: number K of components, whose means start from `kmeans`.
        samples: number of points in the tangent space that C is taken over, with as many opposites.
        steps: steps of the Jacobi fields to each.
        tol: change of the mean log-likelihood, in nats, that counts as converged.
        max_iterations: bound on the iterations.
        points: number of points on each geodesic.
        restarts: of `kmeans`.
        generator: of `kmeans`.
        geodesic_options: options of each geodesic beside these, such as {"tol": 1e-6, "starts": 2}; see `geodesic`.

    Returns:
        `Land`.

    Raises:
        TypeError, ValueError: see `kmeans`; also for too few codes, a code that no mean reaches, or a component whose
            codes do not span the tangent space.

    """
    check_codes(im.fn, im.dim, codes)
    if codes.ndim != 2 or len(codes) <= im.dim:
        raise ValueError(f"expected codes (n, {im.dim}) with n > {im.dim}, got {tuple(codes.shape)}")
    solver = solver_options(points, geodesic_options)
    start = kmeans(
        im,
        codes,
        components,
        restarts=restarts,
        points=points,
        generator=generator,
        geodesic_options=geodesic_options,
    )
    noise = _noise(samples, im.dim, codes)
    with torch.no_grad():
        r = torch.nn.functional.one_hot(start.labels.clamp(min=0), components).to(codes)
        means, covariances = start.centres, None
        history: list[Tensor] = []
        while True:
            u = _reached(im, means, codes, solver)
            share = r / r.sum(0).clamp(min=torch.finfo(r.dtype).tiny)
            data = torch.einsum("nk,kni->ki", share, u), torch.einsum("nk,kni,knj->kij", share, u, u)
            covariances = data[1] if covariances is None else covariances
            model = _moments(im, means, covariances, noise, steps)
            weights = r.mean(0)
            joint = _joint(weights, covariances, model.log_normaliser, u)
            history.append(joint.logsumexp(-1).mean())
            settled = len(history) > 1 and bool((history[-1] - history[-2]).abs() <= tol)
            r = joint.softmax(-1)
            if settled or len(history) >= max_iterations:
                break
            covariances = _raised(covariances, data[1] - model.second)
            shot = exp_map(im, means, data[0] - model.first, tol=STEP_TOL[codes.dtype])
            means = torch.where(shot.converged[:, None], shot.point, means)
    return Land(weights, means, covariances, model.log_normaliser, torch.stack(history), r, settled)


def land_log_density(
    im: Immersion | MetricField,
    mixture: Land,
    z: Tensor,
    points: int = 17,
    geodesic_options: Mapping[str, Any] | None = None,
) -> Tensor:
    """Return log p (B,) at codes (B, d) with respect to the Riemannian volume.

    NaN where a geodesic did not converge.

    Args:
        im: the immersion, or the metric itself.
        mixture: what `land` returned for it.
        z: codes (B, d).
        points: number of points on each geodesic.
        geodesic_options: options of each geodesic beside these, such as {"tol": 1e-6, "starts": 2}; see `geodesic`.

    Raises:
        TypeError, ValueError: see `geodesic`.

    """
    flat, solver = check_codes(im.fn, im.dim, z), solver_options(points, geodesic_options)
    with torch.no_grad():
        u = logs(im, mixture.means, flat.expand(len(mixture.means), *flat.shape), solver)[0]
        joint = _joint(mixture.weights, mixture.covariances, mixture.log_normalisers, u)
    return joint.logsumexp(-1).reshape(z.shape[:-1])


def _noise(samples: int, d: int, like: Tensor) -> Tensor:
    """Return standard normal quasi-random points and their opposites (2 samples, d), scaled to unit covariance."""
    uniform = torch.quasirandom.SobolEngine(d, scramble=True, seed=0).draw(samples, dtype=torch.float64)
    drawn = torch.special.ndtri(uniform.clamp(1e-6, 1 - 1e-6))
    both = torch.cat([drawn, -drawn])
    root = torch.linalg.cholesky(both.T @ both / len(both))
    return torch.linalg.solve_triangular(root, both.T, upper=False).T.to(like)


def _reached(im: Immersion | MetricField, means: Tensor, codes: Tensor, solver: dict[str, Any]) -> Tensor:
    """Return log_mu(x) (K, n, d), or refuse codes that no geodesic reaches."""
    u, _ = logs(im, means, codes.expand(len(means), *codes.shape), solver)
    lost = ~torch.isfinite(u).all(-1)
    if bool(lost.any()):
        raise ValueError(
            "expected geodesics from every mean to every code, "
            f"got {int(lost.sum())} of {lost.numel()} that did not converge"
        )
    return u


def _moments(im: Immersion | MetricField, means: Tensor, covariances: Tensor, noise: Tensor, steps: int) -> _Moments:
    k, (s, d) = len(means), noise.shape
    root, info = torch.linalg.cholesky_ex(covariances)
    if bool((info != 0).any()):
        raise ValueError(
            f"expected every component to hold codes that span {d} dimensions, got {int((info != 0).sum())} of {k} "
            "that do not: ask for fewer components"
        )
    w = torch.einsum("kij,sj->ksi", root, noise)
    fields = jacobi_fields(im, means[:, None].expand(k, s, d), w, steps)
    theta = torch.where(before_conjugate(fields), fields.log_volume[..., -1].exp(), 0)
    mean = theta.mean(-1)
    share = theta / theta.sum(-1, keepdim=True)
    half = root.diagonal(dim1=-2, dim2=-1).log().sum(-1) + log_volume(im, means)
    return _Moments(
        d / 2 * log(2 * pi) + half + mean.log(),
        torch.einsum("ks,ksi->ki", share, w),
        torch.einsum("ks,ksi,ksj->kij", share, w, w),
    )


def _joint(weights: Tensor, covariances: Tensor, log_normalisers: Tensor, u: Tensor) -> Tensor:
    """Return log pi_k - (1/2) u^T Sigma_k^-1 u - log C_k of u (K, n, d), of shape (n, K)."""
    root = torch.linalg.cholesky(covariances)
    inside = torch.linalg.solve_triangular(root, u.mT, upper=False)
    return (weights.log()[:, None] - inside.square().sum(-2) / 2 - log_normalisers[:, None]).T


def _raised(covariances: Tensor, change: Tensor) -> Tensor:
    """Return covariances plus the largest of the changes 1, 1/2, ... that leaves a tenth of them at least."""
    scale = torch.ones_like(change[:, :1, :1])
    for _ in range(16):
        low = torch.linalg.cholesky_ex(covariances * 0.9 + scale * change)[1] == 0
        if bool(low.all()):
            break
        scale = torch.where(low[:, None, None], scale, scale / 2)
    return covariances + scale * change
