"""Flat coordinates of codes, for methods that know vector spaces alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lsgen.analysis.tangents import tangent_space
from lsgen.latent import Codes
from lsgen.latent.manifolds.description import describe

__all__ = ["check_alike", "flat_coordinates"]


def flat_coordinates(codes: Codes, about: Codes | None = None) -> NDArray[np.float64]:
    """Return codes as tangent vectors (N, d) at the Frechet mean of the codes themselves, or of others.

    Raises:
        ValueError: there is no code to average, a code is opposite to the mean, or the two tables are of different
            spaces.

    """
    if about is not None:
        check_alike(about, codes)
    return tangent_space(codes if about is None else about).vectors(codes.z)


def check_alike(codes: Codes, other: Codes) -> None:
    """Raise an error if two tables of codes are not of one space.

    Raises:
        ValueError: they differ in the manifold or the dimension.

    """
    a, b = ((describe(part.manifold), part.dim) for part in (codes, other))
    if a != b:
        raise ValueError(
            f"expected codes of one space, got {codes.dim} coordinates on {codes.manifold} and {other.dim} on "
            f"{other.manifold}"
        )
