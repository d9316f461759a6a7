"""Maps whose axes are directions that were chosen, such as those of attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lsgen.analysis.directions.direction import Direction
from lsgen.analysis.projections.components import TangentAxes, principal_components
from lsgen.analysis.projections.projection import Projection
from lsgen.analysis.tangents import common_space, tangent_space
from lsgen.latent import Codes

__all__ = ["attribute_axes"]


def attribute_axes(codes: Codes, directions: Sequence[Direction | Any], dims: int | None = None) -> Projection:
    """Return the components of codes along given directions; they are scores, and axes at an angle are drawn upright.

    Args:
        codes: the codes (N, d).
        directions: attribute directions of these codes, or vectors (d,) in the tangent space at their Frechet mean.
        dims: 2 or 3, at least the number of directions; those that are missing are the first principal components of
            what is orthogonal to the directions. As many as directions unless given, but at least 2.

    Raises:
        ValueError: there is no direction or more than three, one is zero, not finite or of another length, or they lie
            in different tangent spaces.

    """
    if not 1 <= len(directions) <= 3:
        raise ValueError(f"expected 1 to 3 directions, got {len(directions)}")
    dims = max(len(directions), 2) if dims is None else dims
    if dims not in (2, 3) or dims < len(directions):
        raise ValueError(f"expected 2 or 3 dimensions for {len(directions)} directions, got {dims}")
    spaces = [one.space for one in directions if isinstance(one, Direction)]
    space = common_space(spaces) if spaces else tangent_space(codes)
    units, names = [], []
    for i, one in enumerate(directions, 1):
        vector = np.asarray(one.vector if isinstance(one, Direction) else one, dtype=np.float64)
        length = float(np.linalg.norm(vector))
        if vector.shape != (codes.dim,) or not 0 < length < np.inf:
            raise ValueError(f"expected directions of {codes.dim} finite numbers, not all 0, got shape {vector.shape}")
        units.append(vector / length)
        names.append(one.name if isinstance(one, Direction) else f"direction {i}")
    axes, vectors = np.array(units), space.vectors(codes.z)
    basis = np.linalg.svd(axes, full_matrices=False)[2]
    rest, _ = principal_components(vectors - vectors @ basis.T @ basis)
    missing = dims - len(axes)
    filled = np.zeros((missing, codes.dim))
    filled[: min(missing, codes.dim - len(axes))] = rest[: min(missing, codes.dim - len(axes))]
    mapping = TangentAxes(space, np.vstack([axes, filled]))
    names += [f"component {i} of the rest" for i in range(1, missing + 1)]
    cosines = axes @ axes.T
    angles = ", ".join(f"{cosines[i, j]:.2f}" for i in range(len(axes)) for j in range(i + 1, len(axes)))
    remark = f"Scores along given directions of {space.describe()}" + (f", of cosine {angles}." if angles else ".")
    return Projection("axes", mapping(codes.z), tuple(names), remark, mapping=mapping, exact=True, independent=True)
