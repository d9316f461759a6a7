r"""Flat coordinates of codes: the tangent space at their Frechet mean.

    v_i = lambda(mu) log_mu(z_i),    mu = argmin sum_i dist(mu, z_i)^2,    sum_i log_mu(z_i) = 0

lambda is the conformal factor, so that |v_i| = dist(mu, z_i); on a hyperboloid, which has none, v_i is carried to the
origin instead. In flat space mu is the average and v_i = z_i - mu. The mean is found by Karcher's iteration
mu <- exp_mu(t average of logarithms) from the manifold's own closed forms; t is that of Barzilai and Borwein, halved
where a step does not descend.

Probability vectors p on a simplex are taken to the sphere by 2 sqrt(p), which is isometric for the Fisher-Rao
distance. Other isolated points, such as those of a codebook, cannot move: their coordinates are taken as they are.

Reference: Fletcher, Lu, Pizer & Joshi, "Principal geodesic analysis" (2004), https://doi.org/10.1109/TMI.2004.831793;
Karcher, "Riemannian center of mass and mollifier smoothing" (1977); Barzilai & Borwein, "Two-point step size gradient
methods" (1988).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsgen.latent import Codes
from lsgen.latent.manifolds.manifold import Euclidean, Manifold, Sphere
from lsgen.latent.manifolds.supports import Simplex

__all__ = ["TangentSpace", "common_space", "tangent_space"]

ROUNDS, LONGEST, SHORTEST = 200, 4.0, 1e-10


@dataclass(frozen=True, eq=False)
class TangentSpace:
    """The tangent space of a manifold at one point, in coordinates whose lengths are distances from that point.

    Attributes:
        manifold: where the codes lie.
        base: the point, (1, d) in double precision; of a simplex the square roots of its probabilities.
        residual: length of the average logarithm over the root mean square of all, 0 at a Frechet mean.

    """

    manifold: Manifold
    base: Tensor
    residual: float = 0.0

    def vectors(self, z: Any) -> NDArray[np.float64]:
        """Return codes (M, d) as tangent vectors (M, d).

        Raises:
            ValueError: a code is opposite to the point, so that no one direction leads to it.

        """
        v = _logarithms(self.manifold, self.base, _double(z))
        if not bool((finite := v.isfinite().all(-1)).all()):
            row = int((~finite).int().argmax())
            raise ValueError(f"expected codes with one shortest way from their mean, got an opposite one in row {row}")
        return v.numpy()

    def codes(self, v: Any) -> NDArray[np.float64]:
        """Return the codes (M, d) at which geodesics with the initial velocities v (M, d) arrive after unit time."""
        flat = _working(self.manifold)
        v = _double(v)
        root = isinstance(self.manifold, Simplex)
        z = flat.shift(self.base.expand_as(v), v / (2 if root else 1))
        return (z.square() if root else z).numpy()

    @property
    def flat(self) -> bool:
        """Whether the manifold is flat, so that the tangent space is all of it."""
        return isinstance(_working(self.manifold), Euclidean)

    def describe(self) -> str:
        """Return in a few words what the vectors are."""
        if not self.manifold.continuous and self.flat:
            return "coordinates less their average, as isolated points have no tangent space"
        return "codes less their average" if self.flat else "logarithms of codes at their Frechet mean"


def tangent_space(codes: Codes, tol: float = 1e-8) -> TangentSpace:
    """Return the tangent space at the Frechet mean of codes.

    Args:
        codes: the codes (N, d).
        tol: the residual at which the search for the mean ends.

    Raises:
        ValueError: there is no code, or one is opposite to the mean.

    """
    if not len(codes):
        raise ValueError("expected at least one code, got none")
    manifold, z = codes.manifold, _double(codes.z)
    points = z.clamp(min=0).sqrt() if isinstance(manifold, Simplex) else z
    flat = _working(manifold)
    mean = flat.onto(points.mean(0, keepdim=True))
    equal = bool((points == points[:1]).all())
    base = points[:1] if equal or not bool(flat.contains(mean).all()) else mean
    return _centred(manifold, base, z, tol)


def common_space(spaces: Sequence[TangentSpace]) -> TangentSpace:
    """Return the one tangent space that several directions lie in.

    Raises:
        ValueError: they lie in several.

    """
    base = spaces[0].base
    if any(one.base.shape != base.shape or not (one.base == base).all() for one in spaces):
        raise ValueError("expected directions in one tangent space, got several: find them from one table of codes")
    return spaces[0]


def _centred(manifold: Manifold, base: Tensor, z: Tensor, tol: float) -> TangentSpace:
    """Return the tangent space at the mean that Karcher's iteration finds from a point."""
    flat, scale = _working(manifold), 2.0 if isinstance(manifold, Simplex) else 1.0
    v, step = _logarithms(manifold, base, z), 1.0
    for _ in range(ROUNDS):
        spread, mean = float(v.square().sum(-1).mean()), v.mean(0)
        residual = float(mean.norm()) / spread**0.5 if spread > 0 else 0.0
        if not residual > tol or step < SHORTEST:
            break
        there = flat.shift(base, step * mean[None] / scale)
        others = _logarithms(manifold, there, z)
        if float(others.square().sum(-1).mean()) <= spread:
            curvature = float(mean @ (mean - others.mean(0))) / (step * float(mean @ mean))
            base, v, step = there, others, min(1 / curvature, LONGEST) if curvature > 0 else 1.0
        else:
            step /= 2
    return TangentSpace(manifold, base, residual)


def _logarithms(manifold: Manifold, base: Tensor, z: Tensor) -> Tensor:
    flat = _working(manifold)
    if isinstance(manifold, Simplex):
        return 2 * flat.log(base.expand_as(z), flat.onto(z.clamp(min=0).sqrt()))
    return flat.displacement(base.expand_as(z), z)


def _working(manifold: Manifold) -> Manifold:
    """Return the manifold whose geodesics are followed."""
    if isinstance(manifold, Simplex):
        return Sphere()
    return manifold if manifold.continuous else Euclidean()


def _double(z: Any) -> Tensor:
    return torch.as_tensor(np.array(z, dtype=np.float64))
