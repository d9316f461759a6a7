r"""Views of codes without any loss: their own coordinates, the triangle of three classes; and the Poincare disk.

In a ball of more than two dimensions, the disk shows the hyperbolic plane through the Frechet mean of codes along their
two principal directions, and of every code the nearest point of that plane. With the mean moved to the centre by an
isometry and codes in Klein's coordinates k = 2x / (1 + |x|^2), that point is their linear projection: no two codes are
farther apart on the disk than in the ball, and a code may be much nearer to another than it is.

Reference: Chami, Gu, Nguyen & Re, "HoroPCA" (2021), https://arxiv.org/abs/2106.03306, section 3, for such projections.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsgen.analysis.projections.components import TangentAxes, principal_components
from lsgen.analysis.projections.projection import Projection
from lsgen.analysis.tangents import tangent_space
from lsgen.latent import Codes
from lsgen.latent.manifolds.manifold import PoincareBall
from lsgen.latent.manifolds.supports import Simplex

__all__ = ["disk", "identity", "ternary"]

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 0.75**0.5]])


@dataclass(frozen=True, eq=False)
class _Linear:
    """Multiplies codes by a matrix (d, m)."""

    matrix: NDArray[np.float64]

    def __call__(self, z: NDArray[Any]) -> NDArray[np.float64]:
        if z.shape[1] != len(self.matrix):
            raise ValueError(f"expected codes of {len(self.matrix)} coordinates, got {z.shape[1]}")
        return np.asarray(z, dtype=np.float64) @ self.matrix


@dataclass(frozen=True, eq=False)
class _NearestOfPlane:
    """Takes codes of a ball to the nearest points of a hyperbolic plane, in the unit disk."""

    axes: TangentAxes
    curvature: float

    def __call__(self, z: NDArray[Any]) -> NDArray[np.float64]:
        v = self.curvature**0.5 * self.axes.space.vectors(z)
        length = np.linalg.norm(v, axis=1, keepdims=True)
        klein = v * np.divide(np.tanh(length), length, out=np.ones_like(length), where=length > 0)
        k = klein @ self.axes.directions.T
        # 1 - |k|^2 of a projection, without cancellation near the rim: the gap of the code and what was left out.
        left = np.square(klein - k @ self.axes.directions).sum(1, keepdims=True)
        return k / (1 + np.sqrt(1 / np.cosh(length) ** 2 + left))


def identity(codes: Codes) -> Projection:
    """Return the codes' own coordinates as a map, for codes of at most three; a second one is 0 where there is but one.

    Raises:
        ValueError: codes have more coordinates.

    """
    if codes.dim > 3:
        raise ValueError(f"expected codes of at most 3 coordinates, which can be shown as they are, got {codes.dim}")
    mapping = _Linear(np.eye(codes.dim, max(codes.dim, 2)))
    names = tuple(f"z {i}" for i in range(1, codes.dim + 1)) + (("",) if codes.dim == 1 else ())
    remark = "The codes' own coordinates."
    return Projection("identity", mapping(codes.z), names, remark, mapping=mapping, exact=True, independent=True)


def ternary(codes: Codes) -> Projection:
    """Return probabilities of three classes as points of a triangle, whose corners are the classes.

    Raises:
        ValueError: codes do not lie on the simplex of three classes.

    """
    if not isinstance(codes.manifold, Simplex) or codes.dim != 3:
        raise ValueError(f"expected codes on the simplex of 3 classes, got {codes.dim} coordinates on {codes.manifold}")
    mapping = _Linear(CORNERS)
    remark = "Probabilities of three classes, which are the corners, in barycentric coordinates."
    return Projection("ternary", mapping(codes.z), ("", ""), remark, mapping=mapping, exact=True, independent=True)


def disk(codes: Codes) -> Projection:
    """Return codes of a Poincare ball on the unit disk, those of more than two dimensions on one hyperbolic plane.

    Raises:
        ValueError: codes do not lie in a ball of two dimensions or more, or there is none.

    """
    manifold = codes.manifold
    if not isinstance(manifold, PoincareBall) or codes.dim < 2:
        raise ValueError(
            f"expected codes in a Poincare ball of 2 dimensions or more, got {codes.dim} coordinates on {manifold}"
        )
    if codes.dim == 2:
        mapping: Any = _Linear(manifold.curvature**0.5 * np.eye(2))
        remark, names = "The Poincare disk of the codes.", ("x", "y")
    else:
        space = tangent_space(codes)
        directions, variances = principal_components(space.vectors(codes.z))
        mapping = _NearestOfPlane(TangentAxes(space, directions[:2]), manifold.curvature)
        share = variances[:2].sum() / variances.sum() if variances.sum() > 0 else 0.0
        remark = (
            f"The nearest points of the hyperbolic plane through the Frechet mean, with {share:.0%} of the variance; "
            "no two codes are farther apart on it than in the ball."
        )
        names = ("component 1", "component 2")
    return Projection("disk", mapping(codes.z), names, remark, mapping=mapping, exact=True, independent=True)
