"""Geodesics from a code and an initial velocity: the exponential map, Jacobi fields, conjugate points and radii."""

from lsgen.geometry.geodesics.initial_value.injectivity import ConjugateRadius, conjugate_radius
from lsgen.geometry.geodesics.initial_value.jacobi import ConjugatePoints, JacobiFields, conjugate_points, jacobi_fields
from lsgen.geometry.geodesics.initial_value.shooting import Exponential, exp_map

__all__ = [
    "ConjugatePoints",
    "ConjugateRadius",
    "Exponential",
    "JacobiFields",
    "conjugate_points",
    "conjugate_radius",
    "exp_map",
    "jacobi_fields",
]
