r"""How far the metric is from that of flat space: distortion, flatness, and the part that no change of scale explains.

    relaxed distortion    d E[tr g^2] / (E[tr g])^2 - 1          0 where g = c I, for one constant c
    flatness defect       E |g - c I|^2                          0 where g = c I, for a given c or c = E[tr g]/d
    conformal distortion  (d E[tr g^2] - E[(tr g)^2]) / E[(tr g)^2]    0 where g = c(z) I

The first is the squared coefficient of variation of the eigenvalues of g over axes and codes; it is the relaxed
distortion measure of Lee et al. times d, minus its least value. The last is the part of it within codes. Both are free
of scale.

Expectations are means over the given codes. Means in numerators and denominators are estimated from random planes
without bias, so that a quotient is consistent as codes or planes grow; at k = d it is exact.

Reference: Lee, Yoon, Son & Park, "Regularized autoencoders for isometric representation learning" (2022),
https://openreview.net/forum?id=mQxt8l7JL04, equation 9; Chen et al., "Learning flat latent manifolds with VAEs" (2020),
https://arxiv.org/abs/2002.04881, equation 8.
"""

from __future__ import annotations

from torch import Tensor

from lsgen.geometry.estimators.frames import MetricMoments, check_plane, moments, random_frames
from lsgen.geometry.estimators.pushforward import Differential

__all__ = ["conformal_distortion", "flatness_defect", "relaxed_distortion"]


def relaxed_distortion(f: Differential, z: Tensor, plane: int | None = None) -> Tensor:
    """Return d E[tr g^2] / (E[tr g])^2 - 1 over codes (N, d), a scalar.

    Args:
        f: the differential of the map.
        z: codes (N, d).
        plane: dimension k of random planes, from 2 to d; d where it is not given, which is exact. The cost is k + 1
            forward passes.

    Raises:
        ValueError: k is below 2.

    """
    found = _moments(f, z, plane)
    return f.dim * found.square.mean() / _squared_mean(found) - 1


def flatness_defect(f: Differential, z: Tensor, plane: int | None = None, scale: float | None = None) -> Tensor:
    """Return E |g - c I|^2 over codes (N, d), without bias, a scalar in the squared units of g.

    Args:
        f: the differential of the map.
        z: codes (N, d).
        plane: see `relaxed_distortion`.
        scale: c; the mean eigenvalue E[tr g]/d over these codes where it is not given.

    Raises:
        ValueError: k is below 2.

    """
    found = _moments(f, z, plane)
    if scale is None:
        return found.square.mean() - _squared_mean(found) / f.dim
    return (found.square - 2 * scale * found.trace).mean() + f.dim * scale**2


def conformal_distortion(f: Differential, z: Tensor, plane: int | None = None) -> Tensor:
    """Return d E[tr g^2] / E[(tr g)^2] - 1 over codes (N, d), a scalar.

    Codes count by the square of their scale c(z) = tr g / d.

    Args:
        f: the differential of the map.
        z: codes (N, d).
        plane: see `relaxed_distortion`.

    Raises:
        ValueError: k is below 2.

    """
    found = _moments(f, z, plane)
    return f.dim * found.square.mean() / found.squared_trace.mean() - 1


def _moments(f: Differential, z: Tensor, plane: int | None) -> MetricMoments:
    frames = random_frames(check_plane(plane, least=2), z)
    return moments(f.gram(z, frames), f.dim)


def _squared_mean(found: MetricMoments) -> Tensor:
    """Return an estimate without bias of the squared mean of tr g over codes: planes differ from code to code."""
    n = len(found.trace)
    pairs = found.trace.sum().square() - found.trace.square().sum()
    return (pairs + found.squared_trace.sum()) / n**2
