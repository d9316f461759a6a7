r"""Geodesic k-means.

    minimise  sum_i min_k dist(m_k, x_i)^2    over the centres m_1, ..., m_K

Lloyd's algorithm with Frechet means: codes go to the nearest centre, centres take one of Karcher's steps towards the
mean of their codes, and the logarithms that gave the distances give that step too. Seeding is that of k-means++ with
geodesic distances. The result is a local minimum; of several restarts the best is kept and all are reported.

Distances that differ by rounding alone, sqrt(eps) of them, are ties and go to the first of the centres, and equal codes
are one code of greater weight, so that they have one label. A centre without codes moves to the code that is farthest
from its own. Clusters so tight that float32 can hardly tell their codes apart are finished in float64.

Reference: Arvanitidis, Hansen & Hauberg, "Latent space oddity" (2018), https://arxiv.org/abs/1710.11379, section 5.1
(k-means and its F-measure); Arthur & Vassilvitskii, "k-means++: the advantages of careful seeding" (2007).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.checks import check_codes
from lsgen.geometry.geodesics.initial_value.shooting import exp_map
from lsgen.geometry.geodesics.precision import exact_if_close, in_dtype
from lsgen.geometry.riemannian import RiemannianMetric
from lsgen.geometry.statistics.means import STEP_TOL, log_maps, solver_options, vector_norms

__all__ = ["KMeans", "kmeans"]


class KMeans(NamedTuple):
    """Centres and labels of the best restart, and the inertia of all.

    Attributes:
        centres: codes (K, d).
        labels: the number of each code's centre (n,), the first of those that are nearest but for rounding; -1 where no
            geodesic to any centre converged.
        distances: to all centres (n, K); inf where the geodesic did not converge.
        inertia: sum over codes of the squared distance to the nearest centre.
        converged: whether labels and centres had settled, and no centre was without codes while codes lie apart from
            theirs.
        restarts: the inertia of every restart (restarts,).

    """

    centres: Tensor
    labels: Tensor
    distances: Tensor
    inertia: float
    converged: bool
    restarts: Tensor


def kmeans(
    im: RiemannianMetric,
    codes: Tensor,
    clusters: int,
    *,
    restarts: int = 4,
    tol: float = 1e-2,
    max_iterations: int = 32,
    points: int = 17,
    generator: torch.Generator | None = None,
    geodesic_options: Mapping[str, Any] | None = None,
) -> KMeans:
    r"""Return clusters of codes by geodesic k-means.

        minimise  sum_i min_k dist(m_k, x_i)^2

    Args:
        im: the immersion, or the metric itself.
        codes: codes (n, d).
        clusters: number K of centres.
        restarts: number of seedings, of which the best result is kept.
        tol: bound on the distance from a settled centre to the mean of its codes, over the root mean square of all
            distances to the nearest centre.
        max_iterations: bound on the iterations of each restart.
        points: number of points on each geodesic.
        generator: source of the seeding.
        geodesic_options: options of each geodesic beside these, such as {"tol": 1e-6, "starts": 2}; see `geodesic`.

    Returns:
        KMeans(centres (K, d), labels (n,), distances (n, K), inertia, converged, restarts (restarts,)).

    Raises:
        TypeError, ValueError: see `geodesic`; also for codes of another shape, or clusters outside 1, ..., n.

    """
    check_codes(im.fn, im.dim, codes)
    if codes.ndim != 2:
        raise ValueError(f"expected codes (n, {im.dim}), got {tuple(codes.shape)}")
    if not 1 <= clusters <= len(codes):
        raise ValueError(f"expected a number of clusters from 1 to {len(codes)}, got {clusters}")
    if restarts < 1:
        raise ValueError(f"expected at least 1 restart, got {restarts}")
    solver = solver_options(points, geodesic_options)
    with torch.no_grad():
        distinct, places, counts = codes.detach().unique(dim=0, return_inverse=True, return_counts=True)
        counts = counts.to(codes)
        runs = [
            _finished(im, distinct, counts, clusters, tol, max_iterations, solver, generator) for _ in range(restarts)
        ]
    best = min(runs, key=lambda run: run.inertia)
    restarted = torch.tensor([run.inertia for run in runs], dtype=torch.float64)
    best = best._replace(labels=best.labels[places], distances=best.distances[places])
    result: KMeans = in_dtype(best, codes.dtype)
    return result._replace(restarts=restarted)


def _finished(
    im: RiemannianMetric,
    codes: Tensor,
    counts: Tensor,
    clusters: int,
    tol: float,
    max_iterations: int,
    options: dict[str, Any],
    generator: torch.Generator | None,
) -> KMeans:
    """Return clusters of distinct codes from one seeding, in float64 where they are too tight for float32."""
    centres = _seeded(im, codes, counts, clusters, options, generator)
    found = _lloyd(im, codes, counts, centres, tol, max_iterations, options)
    reached = found.labels >= 0
    offsets = (codes - found.centres[found.labels.clamp(min=0)])[reached]
    im, exact = exact_if_close(im, codes, offsets.square().sum(-1).mean().sqrt())
    if exact.dtype == codes.dtype:
        return found
    return _lloyd(im, codes.to(exact), counts.to(exact), found.centres.to(exact), tol, max_iterations, options)


def _seeded(
    im: RiemannianMetric,
    codes: Tensor,
    counts: Tensor,
    clusters: int,
    options: dict[str, Any],
    generator: torch.Generator | None,
) -> Tensor:
    """Return codes (K, d), each drawn with probability proportional to the squared distance from those before it."""
    weights = counts
    chosen: list[Tensor] = []
    nearest = codes.new_full((len(codes),), torch.inf)
    for _ in range(clusters):
        chosen.append(codes[torch.multinomial(weights, 1, generator=generator)[0]])
        if len(chosen) == clusters:
            break
        square = _squares(im, chosen[-1][None], codes, options)[1][0]
        nearest = torch.minimum(nearest, square)
        known = torch.isfinite(nearest)
        reached = torch.where(known, nearest, torch.where(known, nearest, 0).max()) * counts
        weights = reached / reached.max() if bool((reached > 0).any()) else counts
    return torch.stack(chosen)


def _squares(im: RiemannianMetric, centres: Tensor, codes: Tensor, options: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Return log_m(x) (K, n, d) and squared distances (K, n), inf where the geodesic did not converge."""
    v, square = log_maps(im, centres, codes.expand(len(centres), *codes.shape), options)
    return v, torch.where(torch.isnan(square), torch.inf, square)


def _lloyd(
    im: RiemannianMetric,
    codes: Tensor,
    counts: Tensor,
    centres: Tensor,
    tol: float,
    max_iterations: int,
    options: dict[str, Any],
) -> KMeans:
    before, settled = None, False
    for _ in range(max_iterations):
        v, square = _squares(im, centres, codes, options)
        labels = nearest_centres(square)
        moved = _refilled(centres, codes, counts, square, labels)
        if moved is not None:
            before, centres = None, moved
            continue
        step, remaining = _steps(im, centres, v, square, labels, counts)
        settled = before is not None and torch.equal(labels, before) and bool((remaining <= tol).all())
        if settled:
            break
        before, shot = labels, exp_map(im, centres, step, tol=STEP_TOL[codes.dtype])
        centres = torch.where(shot.converged[:, None], shot.point, centres)
    _, square = _squares(im, centres, codes, options)
    labels, least = nearest_centres(square), square.amin(0)
    inertia = (least * counts).sum().item()
    return KMeans(centres, labels, square.sqrt().T, inertia, settled, square.new_empty(0))


def nearest_centres(square: Tensor) -> Tensor:
    """Return the nearest centre of each code by squared distances (K, n), the first of ties; -1 if none is known."""
    least = square.amin(0)
    tied = square <= least * (1 + 2 * torch.finfo(square.dtype).eps ** 0.5)
    return torch.where(torch.isfinite(least), tied.to(torch.uint8).argmax(0), -1)


def _refilled(centres: Tensor, codes: Tensor, counts: Tensor, square: Tensor, labels: Tensor) -> Tensor | None:
    """Move centres without codes to the codes farthest from their own centre; None if there are none.

    Such codes share their centre with others.
    """
    numbers = torch.arange(len(centres), device=labels.device)
    sizes = (labels == numbers[:, None]).sum(-1)
    empty, shared = sizes == 0, sizes[labels.clamp(min=0)] > 1
    far = torch.where((labels >= 0) & shared, square.gather(0, labels.clamp(min=0)[None])[0] * counts, 0)
    apart, at = far.sort(descending=True)
    size = min(int(empty.sum()), int((apart > 0).sum()))
    if not size:
        return None
    return centres.index_copy(0, numbers[empty][:size], codes[at[:size]])


def _steps(
    im: RiemannianMetric, centres: Tensor, v: Tensor, square: Tensor, labels: Tensor, counts: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the mean logarithm of each cluster (K, d), and its length (K,) over the root mean square distance."""
    member = (labels == torch.arange(len(centres), device=labels.device)[:, None]) * counts
    size = torch.where(member > 0, member, 0).sum(-1)
    share = member / torch.where(size > 0, size, 1)[:, None]
    step = torch.where(member[..., None] > 0, share[..., None] * v, 0).sum(1)
    spread = (torch.where(member > 0, share * square, 0).sum(-1) * size).sum() / size.sum().clamp(min=1)
    length = vector_norms(im, centres, step[:, None])[:, 0]
    return step, torch.where(length > 0, length / spread.sqrt(), 0)
