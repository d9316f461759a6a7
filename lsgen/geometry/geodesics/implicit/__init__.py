"""Derivatives of geodesics and of what is made of them, by the implicit function theorem."""

from lsgen.geometry.geodesics.implicit.curve_derivatives import (
    FoundCurves,
    SolvedPart,
    differentiable_curves,
    differentiable_lengths,
    differentiable_solution,
    is_followed,
    plain_curves,
    values_of,
)
from lsgen.geometry.geodesics.implicit.implicit_function import LinearSystem, implicit_step, without_derivative

__all__ = [
    "FoundCurves",
    "LinearSystem",
    "SolvedPart",
    "differentiable_curves",
    "differentiable_lengths",
    "differentiable_solution",
    "implicit_step",
    "is_followed",
    "plain_curves",
    "values_of",
    "without_derivative",
]
