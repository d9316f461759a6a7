r"""Principal components of codes: the directions in which they vary most.

    v_i = U_i . W,    W the leading right singular vectors of the tangent vectors V (N, d) at the Frechet mean

In flat space this is PCA. On a sphere, in a Poincare ball or on a simplex it is principal geodesic analysis in its
linear form: PCA of the logarithms of codes at their Frechet mean, distances from which it keeps. The sign of each
component is that of its entry of greatest size, which is positive.

Reference: Fletcher, Lu, Pizer & Joshi, "Principal geodesic analysis" (2004), https://doi.org/10.1109/TMI.2004.831793.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsgen.analysis.projections.projection import Projection
from lsgen.analysis.tangents import TangentSpace, tangent_space
from lsgen.latent import Codes

__all__ = ["TangentAxes", "pca", "principal_components"]


@dataclass(frozen=True, eq=False)
class TangentAxes:
    """Maps codes to their components along directions of a tangent space.

    Attributes:
        space: the tangent space.
        directions: unit vectors (m, d) in it.

    """

    space: TangentSpace
    directions: NDArray[np.float64]

    def __call__(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return the components (M, m) of codes z (M, d)."""
        if z.shape[1] != self.directions.shape[1]:
            raise ValueError(f"expected codes of {self.directions.shape[1]} coordinates, got {z.shape[1]}")
        return self.space.vectors(z) @ self.directions.T


def principal_components(vectors: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the principal directions (d, d) of vectors (N, d) about their mean, in rows, and variances (d,)."""
    centred = vectors - vectors.mean(0)
    scale = np.abs(centred).max(initial=0.0)
    if scale > 0:
        centred = centred / scale
    variances, columns = np.linalg.eigh(centred.T @ centred / max(len(vectors) - 1, 1))
    directions = columns.T[::-1]
    signs = np.sign(directions[np.arange(len(directions)), np.abs(directions).argmax(1)])
    return directions * signs[:, None], np.maximum(variances[::-1], 0) * scale**2


def pca(codes: Codes, dims: int = 2) -> Projection:
    """Return the principal components of codes, in the tangent space at their Frechet mean.

    Args:
        codes: the codes (N, d).
        dims: number of components, 2 or 3; where it exceeds d, those that there are not are 0.

    Raises:
        ValueError: there is no code, one is opposite to the mean of all, or dims is neither 2 nor 3.

    """
    if dims not in (2, 3):
        raise ValueError(f"expected 2 or 3 dimensions of a map, got {dims}")
    space = tangent_space(codes)
    vectors = space.vectors(codes.z)
    directions, variances = principal_components(vectors)
    kept = np.zeros((dims, codes.dim))
    kept[: len(directions)] = directions[:dims]
    shares = np.zeros(dims)
    if variances.sum() > 0:
        shares[: len(variances)] = variances[:dims] / variances.sum()
    mapping = TangentAxes(space, kept)
    return Projection(
        "pca",
        vectors @ kept.T,
        tuple(f"component {i} ({share:.0%})" for i, share in enumerate(shares, 1)),
        f"Principal components of {space.describe()}, with {shares.sum():.0%} of the variance.",
        mapping=mapping,
        exact=True,
        independent=True,
        settings={"shares": tuple(shares.tolist()), "residual": space.residual},
    )
