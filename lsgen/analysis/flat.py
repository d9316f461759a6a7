"""Flat coordinates of codes, for methods that know vector spaces alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lsgen.analysis.tangents import tangent_space
from lsgen.latent import Codes
from lsgen.latent.manifolds.description import describe

__all__ = ["check_alike", "flat_coordinates", "flat_pair"]


def flat_coordinates(codes: Codes) -> NDArray[np.float64]:
    """Return codes as tangent vectors (N, d) at their Frechet mean.

    Raises:
        ValueError: there is no code, or one is opposite to the mean.

    """
    return tangent_space(codes).vectors(codes.z)


def flat_pair(codes: Codes, other: Codes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return two tables of codes as tangent vectors (N, d) and (M, d) at the Frechet mean of the first.

    Raises:
        ValueError: there is no code to average, a code is opposite to the mean, or the two tables are of different
            spaces.

    """
    check_alike(codes, other)
    space = tangent_space(codes)
    return space.vectors(codes.z), space.vectors(other.z)


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
