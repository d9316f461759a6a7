r"""LAND: a mixture of locally adaptive normal distributions, Gaussian in geodesic distance.

With respect to the Riemannian volume, on the codes that geodesics from the means reach before any conjugate point,

    p(x) = sum_k pi_k exp(-(1/2) u^T Sigma_k^-1 u) / C_k,    u = log_{mu_k}(x),
    C_k = int exp(-(1/2) u^T Sigma_k^-1 u) dvol = (2 pi)^{d/2} sqrt(det(g Sigma_k)) E[theta(w)],    w ~ N(0, Sigma_k),

where theta(w) is the volume of the exponential map at w, by Jacobi fields, and 0 beyond the first conjugate point: the
square root of det g in normal coordinates. Expectations over w take a fixed set of quasi-random points and their
opposites, so that the likelihood is a deterministic function.

Expectation-maximisation: with responsibilities r, the likelihood is greatest where the moments of the data and those of
the model, weighted by theta, meet,

    mean_r(S_u Sigma^-1 u) = E_theta[S_w Sigma^-1 w],    mean_r(u u^T) = E_theta[w w^T],

where S_u, the Hessian of half the squared distance to exp_mu(u), tells how log_mu turns when mu moves,
D log_mu(x) = -S_u. The left sides less the right ones are the gradients of the log-likelihood of the data and of its
normaliser. With D the difference of the first, mu <- exp_mu(Sigma D), by one standard deviation at most, and
Sigma <- Sigma + mean_r(u u^T) - E_theta[w w^T]. Where space is flat S = 1, and these are the steps of a Gaussian
mixture; the original takes S = 1 everywhere. A step after which the likelihood has fallen is halved.

Reference: Arvanitidis, Hansen & Hauberg, "A locally adaptive normal distribution" (2016),
https://arxiv.org/abs/1606.02518, sections 3 and 4; Pennec (2006), section 6, for the density.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log, pi
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.checks import check_codes, check_moves
from lsgen.geometry.geodesics.initial_value.jacobi import before_conjugate, fields_and_hessian
from lsgen.geometry.geodesics.initial_value.shooting import exp_map
from lsgen.geometry.geodesics.precision import exact_if_close, in_dtype
from lsgen.geometry.metric_tensor import log_volume, orthonormal_frames
from lsgen.geometry.riemannian import RiemannianMetric
from lsgen.geometry.statistics.clustering import kmeans
from lsgen.geometry.statistics.means import STEP_TOL, log_maps, solver_options

__all__ = ["Land", "land", "land_log_density"]


NEGLIGIBLE, SMALLEST = 1e-6, 2.0**-6


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


class ModelMoments(NamedTuple):
    """log C (K,), Sigma E_theta[S_w Sigma^-1 w] (K, d) and E_theta[w w^T] (K, d, d) of the model."""

    log_normaliser: Tensor
    first: Tensor
    second: Tensor


def land(
    im: RiemannianMetric,
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
        samples: number of points in the tangent space that C is taken over, at least d, with as many opposites.
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
    check_moves(im.fn)
    if codes.ndim != 2 or len(codes) <= im.dim:
        raise ValueError(f"expected codes (n, {im.dim}) with n > {im.dim}, got {tuple(codes.shape)}")
    if samples < im.dim:
        raise ValueError(f"expected at least {im.dim} samples, which span the tangent space, got {samples}")
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
    im, exact = exact_if_close(im, codes)
    noise = quasi_random_normals(samples, im.dim, exact)
    r = torch.nn.functional.one_hot(start.labels.clamp(min=0), components).to(exact)
    with torch.no_grad():
        found = _fitted(im, exact, start.centres.to(exact), r, noise, steps, tol, max_iterations, solver)
    result: Land = in_dtype(found, codes.dtype)
    return result


def _fitted(
    im: RiemannianMetric,
    codes: Tensor,
    means: Tensor,
    r: Tensor,
    noise: Tensor,
    steps: int,
    tol: float,
    max_iterations: int,
    solver: dict[str, Any],
) -> Land:
    """Run expectation-maximisation; a step after which the likelihood has fallen is halved."""
    covariances, history, scale, count = None, list[Tensor](), 1.0, 0
    before: tuple[Tensor, ...] = ()
    while True:
        u = _reached(im, means, codes, solver)
        weights, covariances = r.mean(0), _second(r, u) if covariances is None else covariances
        model = model_moments(im, means, covariances, noise, steps)
        joint = _joint(weights, covariances, model.log_normaliser, u)
        value, count = joint.logsumexp(-1).mean(), count + 1
        if history and bool(value < history[-1] - tol) and count < max_iterations and scale > SMALLEST:
            scale /= 2
            means, covariances = _moved(im, before, scale)
            continue
        settled = len(history) > 0 and bool((value - history[-1]).abs() <= tol)
        history.append(value)
        r = joint.softmax(-1)
        if settled or count >= max_iterations:
            break
        step = _within(covariances, _first(im, means, covariances, u, _shares(r), steps) - model.first)
        before, scale = (means, covariances, step, _second(r, u) - model.second), 1.0
        means, covariances = _moved(im, before, scale)
    return Land(weights, means, covariances, model.log_normaliser, torch.stack(history), r, settled)


def _moved(im: RiemannianMetric, before: tuple[Tensor, ...], scale: float) -> tuple[Tensor, Tensor]:
    """Return means and covariances after a step, from those before it, the step of each and its scale."""
    means, covariances, step, change = before
    shot = exp_map(im, means, scale * step, tol=STEP_TOL[means.dtype])
    return torch.where(shot.converged[:, None], shot.point, means), _raised(covariances, scale * change)


def _shares(r: Tensor) -> Tensor:
    """Return responsibilities (n, K) as weights (K, n) that sum to one."""
    return (r / r.sum(0).clamp(min=torch.finfo(r.dtype).tiny)).T


def _second(r: Tensor, u: Tensor) -> Tensor:
    """Return mean_r(u u^T) (K, d, d)."""
    return torch.einsum("kn,kni,knj->kij", _shares(r), u, u)


def land_log_density(
    im: RiemannianMetric,
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
        u = log_maps(im, mixture.means, flat.expand(len(mixture.means), *flat.shape), solver)[0]
        joint = _joint(mixture.weights, mixture.covariances, mixture.log_normalisers, u)
    return joint.logsumexp(-1).reshape(z.shape[:-1])


def quasi_random_normals(samples: int, d: int, like: Tensor) -> Tensor:
    """Return standard normal quasi-random points and their opposites (2 samples, d), scaled to unit covariance."""
    uniform = torch.quasirandom.SobolEngine(d, scramble=True, seed=0).draw(samples, dtype=torch.float64)
    drawn = torch.special.ndtri(uniform.clamp(1e-6, 1 - 1e-6))
    both = torch.cat([drawn, -drawn])
    root = torch.linalg.cholesky(both.T @ both / len(both))
    return torch.linalg.solve_triangular(root, both.T, upper=False).T.to(like)


def _reached(im: RiemannianMetric, means: Tensor, codes: Tensor, solver: dict[str, Any]) -> Tensor:
    """Return log_mu(x) (K, n, d), or refuse codes that no geodesic reaches."""
    u, _ = log_maps(im, means, codes.expand(len(means), *codes.shape), solver)
    lost = ~torch.isfinite(u).all(-1)
    if bool(lost.any()):
        raise ValueError(
            "expected geodesics from every mean to every code, "
            f"got {int(lost.sum())} of {lost.numel()} that did not converge"
        )
    return u


def model_moments(im: RiemannianMetric, means: Tensor, covariances: Tensor, noise: Tensor, steps: int) -> ModelMoments:
    k, (s, d) = len(means), noise.shape
    root = _root(covariances)
    w = torch.einsum("kij,sj->ksi", root, noise)
    fields, hessian = fields_and_hessian(im, means[:, None].expand(k, s, d), w, steps)
    theta = torch.where(before_conjugate(fields), fields.log_volume[..., -1].exp(), 0)
    mean = theta.mean(-1)
    share = theta / theta.sum(-1, keepdim=True)
    half = root.diagonal(dim1=-2, dim2=-1).log().sum(-1) + log_volume(im, means)
    return ModelMoments(
        d / 2 * log(2 * pi) + half + mean.log(),
        _drawn(fields.frame[:, 0, 0], covariances, w, share, hessian),
        torch.einsum("ks,ksi,ksj->kij", share, w, w),
    )


def _first(im: RiemannianMetric, means: Tensor, covariances: Tensor, u: Tensor, share: Tensor, steps: int) -> Tensor:
    """Return Sigma mean_r(S_u Sigma^-1 u) (K, d) for u (K, n, d) of shares (K, n), of which tiny ones are left out."""
    keep = share > NEGLIGIBLE * share.amax(-1, keepdim=True)
    bases = means[:, None].expand_as(u)[keep]
    fields, found = fields_and_hessian(im, bases, u[keep], steps)
    eye = torch.eye(im.dim, dtype=u.dtype, device=u.device)
    hessian = eye.repeat(*share.shape, 1, 1)
    hessian[keep] = torch.where(before_conjugate(fields)[:, None, None], found, eye)
    return _drawn(orthonormal_frames(im, means), covariances, u, share, hessian)


def _drawn(frame: Tensor, covariances: Tensor, u: Tensor, share: Tensor, hessian: Tensor) -> Tensor:
    """Return Sigma sum_n share S Sigma^-1 u (K, d), for S (K, n, d, d) given in orthonormal frames (K, d, d)."""
    p = torch.cholesky_solve(u.mT, _root(covariances)).mT @ frame
    q = torch.einsum("kn,knij,knj->ki", share, hessian, p)
    return (covariances @ torch.linalg.solve_ex(frame.mT, q[..., None])[0])[..., 0]


def _root(covariances: Tensor) -> Tensor:
    """Return the Cholesky factors of covariances (K, d, d), or refuse those that rounding alone keeps from singular.

    That is told from the correlations, whose eigenvalues do not depend on the units of the coordinates.
    """
    d = covariances.shape[-1]
    scale = covariances.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()
    unit = torch.where(scale > 0, 1 / scale, 0)
    least = torch.linalg.eigvalsh((unit[..., None] * covariances * unit[..., None, :]).nan_to_num())[..., 0]
    root, info = torch.linalg.cholesky_ex(covariances)
    flat = ~(least > 10 * d * torch.finfo(covariances.dtype).eps) | (info != 0)
    if bool(flat.any()):
        raise ValueError(
            f"expected every component to hold codes that span {d} dimensions, got {int(flat.sum())} of {len(flat)} "
            "that do not: ask for fewer components"
        )
    return root


def _within(covariances: Tensor, step: Tensor) -> Tensor:
    """Return steps (K, d), shortened to one standard deviation."""
    size = torch.linalg.solve_triangular(_root(covariances), step[..., None], upper=False)[..., 0].norm(dim=-1)
    return step / size.clamp(min=1)[:, None]


def _joint(weights: Tensor, covariances: Tensor, log_normalisers: Tensor, u: Tensor) -> Tensor:
    """Return log pi_k - (1/2) u^T Sigma_k^-1 u - log C_k of u (K, n, d), of shape (n, K)."""
    inside = torch.linalg.solve_triangular(_root(covariances), u.mT, upper=False)
    return (weights.log()[:, None] - inside.square().sum(-2) / 2 - log_normalisers[:, None]).T


def _raised(covariances: Tensor, change: Tensor) -> Tensor:
    """Return covariances plus the largest of 1, 1/2, ... times a change that leaves at least a tenth of them."""
    scale = torch.ones_like(change[:, :1, :1])
    for _ in range(16):
        low = torch.linalg.cholesky_ex(covariances * 0.9 + scale * change)[1] == 0
        if bool(low.all()):
            break
        scale = torch.where(low[:, None, None], scale, scale / 2)
    return covariances + scale * change
