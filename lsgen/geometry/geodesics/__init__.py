"""Geodesics between codes and from codes, lengths of curves, parallel transport, and Jacobi fields."""

from lsgen.geometry.geodesics.arc_length import curve_energy, curve_length
from lsgen.geometry.geodesics.boundary_value import Geodesic, distance, geodesic
from lsgen.geometry.geodesics.initial_value import (
    ConjugatePoints,
    ConjugateRadius,
    Exponential,
    JacobiFields,
    conjugate_points,
    conjugate_radius,
    exp_map,
    jacobi_fields,
)
from lsgen.geometry.geodesics.logarithm import log_map
from lsgen.geometry.geodesics.starts import CodeGraph
from lsgen.geometry.geodesics.stochastic import StochasticGeodesic, stochastic_geodesic
from lsgen.geometry.geodesics.transport import holonomy, parallel_transport

__all__ = [
    "CodeGraph",
    "ConjugatePoints",
    "ConjugateRadius",
    "Exponential",
    "Geodesic",
    "JacobiFields",
    "StochasticGeodesic",
    "conjugate_points",
    "conjugate_radius",
    "curve_energy",
    "curve_length",
    "distance",
    "exp_map",
    "geodesic",
    "holonomy",
    "jacobi_fields",
    "log_map",
    "parallel_transport",
    "stochastic_geodesic",
]
