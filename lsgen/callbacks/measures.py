"""What `LatentGeometry` measures: arrays by name, from the geometry of one latent space at fixed codes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lsgen.callbacks.codes import Codes
from lsgen.geometry import Immersion, log_volume, metric, scalar_curvature, spectrum, volume_and_curvature
from lsgen.latent import LatentSpace, paths
from lsgen.likelihoods import ClosedFormLikelihood, FlatLikelihood, Likelihood

__all__ = ["Plane", "at_probes", "on_active_axes", "over_plane", "path_lengths"]


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
    def of(cls, space: LatentSpace, known: Codes, extent: float, points: int) -> Plane:
        """Return the plane of the two most active axes."""
        axes, prior = known.order[:2], space.prior()
        origin = known.z.mean(0)
        origin[axes] = prior.mean[axes]
        basis = torch.diag(prior.stddev)[axes]
        values = torch.linspace(-extent, extent, points, dtype=origin.dtype, device=origin.device)
        return cls((int(axes[0]), int(axes[1])), origin, basis, values)

    def grid(self) -> Tensor:
        """Return the coordinates of the grid (N, N, 2), laid out as by `lsgen.latent.paths.plane`."""
        unit = torch.eye(2, dtype=self.values.dtype, device=self.values.device)
        return paths.plane(torch.zeros_like(unit[0]), unit[0], unit[1], self.values)

    def coordinates(self, z: Tensor) -> Tensor:
        """Return the coordinates (N, 2) at which codes (N, d) project to the plane along the other axes."""
        axes = list(self.axes)
        return (z[:, axes] - self.origin[axes]) / self.basis[[0, 1], axes]


def at_probes(im: Immersion, z: Tensor, covariance: Tensor, curved: bool, chunk_size: int) -> dict[str, Tensor]:
    """Return the spectra of G and G Cov(z), rank, log-volume and, where asked, scalar curvature at codes (N, d).

    The eigenvalues of G Cov(z) are those of G in coordinates in which the codes have unit covariance; no linear
    change of the coordinates of z changes them.
    """
    found = spectrum(im, z, chunk_size)
    measured = {
        "eigenvalues": found.eigenvalues,
        "eigenvalues_whitened": _whitened(metric(im, z, chunk_size), covariance),
        "condition_number": found.condition_number,
        "rank": found.rank,
        "log_volume": _log_volume(found.eigenvalues, found.rank),
    }
    return measured | ({"curvature": scalar_curvature(im, z, chunk_size)} if curved else {})


def on_active_axes(
    im: Immersion, z: Tensor, mean: Tensor, active: Tensor, curved: bool, chunk_size: int
) -> dict[str, Tensor]:
    """Return log-volume and scalar curvature of the sub-latent of some axes, the others held at the mean."""
    basis = torch.eye(im.dim, dtype=z.dtype, device=z.device)[active]
    origin = mean.clone()
    origin[active] = 0
    sub, a = im.restrict(origin, basis), z[:, active]
    if not curved:
        return {"log_volume_active": log_volume(sub, a, chunk_size)}
    volume, curvature = volume_and_curvature(sub, a, chunk_size)
    return {"log_volume_active": volume, "curvature_active": curvature}


def over_plane(im: Immersion, plane: Plane, chunk_size: int) -> dict[str, Tensor]:
    """Return log-volume and scalar curvature (N, N) of the surface that the plane becomes."""
    volume, curvature = volume_and_curvature(im.restrict(plane.origin, plane.basis), plane.grid(), chunk_size)
    return {"plane_log_volume": volume, "plane_curvature": curvature}


def path_lengths(
    im: Immersion, space: LatentSpace | None, start: Tensor, end: Tensor, intervals: int
) -> dict[str, Tensor]:
    r"""Return the length of straight segments in z, and the distance of their ends past all of them.

        L = integral_0^1 sqrt( v^T G(z(t)) v ) dt,    v = end - start,

    by Simpson's rule. The distance is that of the space which z is mapped into, so L is never less: the closed-form
    Fisher-Rao distance where the space's likelihood has one and `im` is its Fisher immersion, else the chord.

    Args:
        im: the immersion.
        space: the latent space whose Fisher immersion it is; None for another immersion.
        start: codes (P, d).
        end: codes (P, d).
        intervals: even number of intervals of the rule.

    """
    t = torch.linspace(0, 1, intervals + 1, dtype=start.dtype, device=start.device)
    weight = torch.full_like(t, 2.0)
    weight[1::2] = 4.0
    weight[[0, -1]] = 1.0
    lines = [im.restrict(a, (b - a)[None]) for a, b in zip(start, end, strict=True)]
    speed = torch.stack([spectrum(line, t[:, None]).eigenvalues[:, 0] for line in lines]).sqrt()
    if space is None:
        distance = torch.linalg.vector_norm(im(end) - im(start), dim=-1)
    else:
        distance = _fisher_distance(space.likelihood, space.raw(start), space.raw(end))
    return {"path_length": speed @ weight / (3 * intervals), "path_distance": distance}


def _fisher_distance(likelihood: Likelihood, h: Tensor, other: Tensor) -> Tensor:
    """Return the Fisher-Rao distance (P,) in closed form, or the chord of the flat embedding, which is no longer."""
    if isinstance(likelihood, ClosedFormLikelihood):
        return likelihood.distance(h, other)
    assert isinstance(likelihood, FlatLikelihood)
    chord = likelihood.embed(other, at=h) - likelihood.embed(h, at=h)
    return (chord.square() @ likelihood.signature.to(chord)).clamp(min=0).sqrt()


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
