"""Measurements of the geometry of a latent space at fixed codes, as arrays by name."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lsgen.callbacks.latent.probe_codes import ProbeCodes
from lsgen.geometry import (
    HessianMetric,
    Immersion,
    RiemannianMetric,
    curve_length,
    log_volume,
    metric,
    scalar_curvature,
    spectrum,
)
from lsgen.geometry.curvature import volume_and_curvature
from lsgen.geometry.geodesics import Geodesic, curve_energy
from lsgen.geometry.geodesics.energy import segments
from lsgen.geometry.laplacian import finite_element_laplacian, laplace_spectrum, rectangle_mesh
from lsgen.geometry.metric_tensor import tangent_frames
from lsgen.latent import Cube, Euclidean, LatentSpace, paths

__all__ = [
    "ActiveSubspace",
    "KnownMetric",
    "Plane",
    "active_axes",
    "active_subspace",
    "along_curves",
    "at_probes",
    "geodesic_scalars",
    "on_active_axes",
    "over_plane",
    "path_lengths",
    "plane_eigenfunctions",
    "quantiles",
    "searched_axes",
]

_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)

KnownMetric = Immersion | HessianMetric


@dataclass(frozen=True)
class Plane:
    """A plane of z along two axes, in standard deviations of the prior about its mean.

    Attributes:
        axes: the axes across and upwards.
        origin: code (d,): the mean of the prior on these two, the mean of the probes on the others.
        basis: the two axes, scaled by the standard deviations of the prior, (2, d).
        values: coordinates of the grid along either direction, (N,).

    """

    axes: tuple[int, int]
    origin: Tensor
    basis: Tensor
    values: Tensor

    @classmethod
    def of(cls, space: LatentSpace, known: ProbeCodes, sigmas: float, points: int) -> Plane:
        """Return the plane of the two most active axes, within the walls of bounded codes."""
        axes, prior = known.order[:2], space.prior()
        origin = known.z.mean(0)
        origin[axes] = prior.mean[axes].to(origin)
        basis = torch.diag(prior.stddev)[axes].to(origin)
        if isinstance(space.manifold, Cube):
            sigmas = min(sigmas, 3**0.5)  # the half width of a uniform distribution in its standard deviations
        values = torch.linspace(-sigmas, sigmas, points, dtype=origin.dtype, device=origin.device)
        return cls((int(axes[0]), int(axes[1])), origin, basis, values)

    def grid(self) -> Tensor:
        """Return the coordinates of the grid (N, N, 2), laid out as by `lsgen.latent.paths.plane`."""
        unit = torch.eye(2, dtype=self.values.dtype, device=self.values.device)
        return paths.plane(torch.zeros_like(unit[0]), unit[0], unit[1], self.values)

    def coordinates(self, z: Tensor) -> Tensor:
        """Return the coordinates (N, 2) at which codes (N, d) project to the plane along the other axes."""
        axes = list(self.axes)
        return (z[:, axes] - self.origin[axes]) / self.basis[[0, 1], axes]


@dataclass(frozen=True)
class ActiveSubspace:
    """The subspace of the active axes; the other coordinates are held at their mean over the probes.

    Attributes:
        im: the metric restricted to it, of dimension k.
        axes: the active axes (k,), in natural order.

    """

    im: KnownMetric
    axes: Tensor

    def inside(self, z: Tensor) -> Tensor:
        """Return the coordinates (B, k) of codes (B, d)."""
        return z[..., self.axes]

    def whole(self, a: Tensor) -> Tensor:
        """Return the codes (B, d) at coordinates (B, k)."""
        return self.im.lifted(a)


def active_axes(known: ProbeCodes, threshold: float) -> Tensor:
    """Return the axes whose mean KL is above the threshold, in natural order; all if no KL is known."""
    if known.kl is None:
        return torch.arange(known.z.shape[-1], device=known.z.device)
    return torch.nonzero(known.kl > threshold).flatten()


def searched_axes(space: LatentSpace, known: ProbeCodes, threshold: float) -> Tensor:
    """Return the axes along which geodesics run: the active ones, or all where codes live on a curved manifold."""
    if isinstance(space.manifold, Euclidean):
        return active_axes(known, threshold)
    return torch.arange(space.dim, device=known.z.device)


def active_subspace(im: KnownMetric, known: ProbeCodes, axes: Tensor) -> ActiveSubspace:
    """Return the subspace of the given axes; the whole space for all axes of a curved manifold."""
    if not isinstance(im.manifold, Euclidean):
        return ActiveSubspace(im, axes)
    basis = torch.eye(im.dim, dtype=known.z.dtype, device=known.z.device)[axes]
    origin = known.z.mean(0)
    origin[axes] = 0
    return ActiveSubspace(im.restrict(origin, basis), axes)


def along_curves(im: RiemannianMetric, curves: Tensor) -> dict[str, Tensor]:
    """Return length (B,), energy (B,) and the speed in the middle of every segment (B, N-1) of curves (B, N, d)."""
    pace = (curves.shape[-2] - 1) * segments(im, curves).clamp(min=0).sqrt()
    return {"length": curve_length(im, curves), "energy": curve_energy(im, curves), "speed": pace}


def geodesic_scalars(key: str, found: Geodesic) -> dict[str, float]:
    """Return quantiles over the converged geodesics; the others are counted as not finite."""
    names = {"length": found.length, "energy": found.energy, "speed_variation": found.speed_variation}
    if not bool(found.lower_bound.isnan().all()):
        names["lower_bound"] = found.lower_bound
    if not bool(found.asymmetry.isnan().all()):
        names |= {"asymmetry": found.asymmetry, "spread": found.spread}
    logged = {f"{key}/pairs": float(found.converged.numel()), f"{key}/converged": float(found.converged.sum())}
    for name, values in names.items():
        logged |= quantiles(f"{key}/{name}", torch.where(found.converged, values, torch.nan))
    return logged


def quantiles(key: str, values: Tensor) -> dict[str, float]:
    """Return quantiles of the finite values, and the number of the others."""
    values = values.detach().double().flatten()
    finite = values[torch.isfinite(values)]
    logged = {f"{key}/not_finite": float(len(values) - len(finite))}
    if len(finite):
        found = torch.quantile(finite, torch.tensor(_LEVELS, dtype=finite.dtype, device=finite.device))
        logged |= {f"{key}/q{round(100 * q):02d}": float(v) for q, v in zip(_LEVELS, found.tolist(), strict=True)}
    return logged


def at_probes(im: KnownMetric, z: Tensor, covariance: Tensor, curved: bool, chunk_size: int) -> dict[str, Tensor]:
    """Return the spectra of G and G Cov(z), rank, log-volume and, if asked for, scalar curvature at codes (N, d).

    The eigenvalues of G Cov(z) are those of G in coordinates in which the codes have unit covariance; no linear
    change of the coordinates of z changes them.
    """
    found = spectrum(im, z, chunk_size)
    measured = {
        "eigenvalues": found.eigenvalues,
        "eigenvalues_whitened": _whitened(_tangential(im, z, metric(im, z, chunk_size)), covariance),
        "condition_number": found.condition_number,
        "rank": found.rank,
        "log_volume": _log_volume(found.eigenvalues, found.rank),
    }
    return measured | ({"curvature": scalar_curvature(im, z, chunk_size)} if curved else {})


def on_active_axes(sub: ActiveSubspace, z: Tensor, curved: bool, chunk_size: int) -> dict[str, Tensor]:
    """Return log-volume and, if asked for, scalar curvature of a subspace at codes (N, d)."""
    a = sub.inside(z)
    if not curved:
        return {"log_volume_active": log_volume(sub.im, a, chunk_size)}
    volume, curvature = volume_and_curvature(sub.im, a, chunk_size)
    return {"log_volume_active": volume, "curvature_active": curvature}


def over_plane(im: KnownMetric, plane: Plane, curved: bool, chunk_size: int) -> dict[str, Tensor]:
    """Return log-volume and, if asked for, scalar curvature (N, N) of the surface that the plane is mapped to."""
    if not curved:
        return {"plane_log_volume": log_volume(im.restrict(plane.origin, plane.basis), plane.grid(), chunk_size)}
    volume, curvature = volume_and_curvature(im.restrict(plane.origin, plane.basis), plane.grid(), chunk_size)
    return {"plane_log_volume": volume, "plane_curvature": curvature}


def plane_eigenfunctions(im: KnownMetric, plane: Plane, k: int, chunk_size: int) -> dict[str, Tensor]:
    r"""Return the lowest eigenvalues and eigenfunctions of the Laplace-Beltrami operator on the plane's surface.

        -Delta phi = lambda phi,    no slope across the edge of the plane

    The constant is left out. Finite elements on the grid of the plane, with the metric at its points. NaN where the
    surface has a direction without length, or is thinner than 1e-3 of its length, at some point.

    Args:
        im: the immersion.
        plane: the plane.
        k: number of eigenvalues, fewer than points.
        chunk_size: number of codes whose derivatives are taken at once.

    Returns:
        "plane_eigenvalues" (k,), in inverse squared length, and "plane_eigenfunctions" (k, N, N), laid out like the
        grid, with an average square of 1 over the surface.

    """
    n = len(plane.values)
    low, high = float(plane.values[0]), float(plane.values[-1])
    mesh = rectangle_mesh((low, low), (high, high), (n - 1, n - 1))
    points = torch.stack(torch.meshgrid(plane.values, plane.values, indexing="ij"), -1).flatten(0, 1)
    g = metric(im.restrict(plane.origin, plane.basis), points, chunk_size).double()
    trace, det = g.diagonal(dim1=-2, dim2=-1).sum(-1), torch.linalg.det(g)
    if k >= n * n or not bool((4 * det > 1e-6 * trace**2).all()):
        values, maps = g.new_full((k,), torch.nan), g.new_full((k, n, n), torch.nan)
    else:
        found = laplace_spectrum(finite_element_laplacian(g.cpu(), mesh), k + 1)
        values = found.eigenvalues[1:]
        maps = found.functions[:, 1:].T.reshape(k, n, n) * found.node_volumes.sum().sqrt()
    return {"plane_eigenvalues": values, "plane_eigenfunctions": maps.mT.flip(1)}


def path_lengths(im: KnownMetric, start: Tensor, end: Tensor, intervals: int) -> dict[str, Tensor]:
    r"""Return the length of straight segments in z, and the distance of their ends in the data space.

        L = integral_0^1 sqrt( v^T G(z(t)) v ) dt,    v = end - start,

    of fourth order in the length of an interval. The distance is that of the space which z is mapped into, so L is
    never less: see `Immersion.lower_bound`.

    Args:
        im: the immersion.
        start: codes (P, d).
        end: codes (P, d).
        intervals: into which a segment is divided.

    """
    length = curve_length(im, paths.linear(start, end, intervals + 1))
    return {"path_length": length, "path_distance": im.lower_bound(start, end)}


def _tangential(im: KnownMetric, z: Tensor, g: Tensor) -> Tensor:
    """Return metrics (N, d, d) at codes (N, d) that are 0 across the manifold of the codes."""
    frame = tangent_frames(im, z)
    projector = frame @ frame.mT
    return projector @ g @ projector if im.normals else g


def _whitened(g: Tensor, covariance: Tensor) -> Tensor:
    """Return the eigenvalues of L^T G L, largest first, for a factor L L^T of the covariance, singular or not."""
    values, vectors = torch.linalg.eigh(covariance.double())
    factor = vectors * values.clamp(min=0).sqrt()
    finite = torch.isfinite(g).flatten(1).all(-1)
    products = factor.mT @ torch.where(finite[:, None, None], g, 0).double() @ factor
    found = torch.linalg.eigvalsh((products + products.mT) / 2).flip(-1).clamp(min=0)
    return torch.where(finite[:, None], found, torch.nan).to(g.dtype)


def _log_volume(eigenvalues: Tensor, rank: Tensor) -> Tensor:
    full = (rank == eigenvalues.shape[-1]) | eigenvalues.isnan().any(-1)
    return torch.where(full, eigenvalues.log().sum(-1) / 2, -torch.inf)
