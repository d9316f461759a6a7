"""Connection and curvature of a metric, and extrinsic curvature of an immersion in its flat space."""

from lsgen.geometry.curvature.extrinsic import MeanCurvature, mean_curvature, second_fundamental_form
from lsgen.geometry.curvature.flatness import fills_flat_space
from lsgen.geometry.curvature.gauss_equation import (
    christoffel,
    ricci,
    riemann,
    scalar_curvature,
    sectional_curvature,
    volume_and_curvature,
)

__all__ = [
    "MeanCurvature",
    "christoffel",
    "fills_flat_space",
    "mean_curvature",
    "ricci",
    "riemann",
    "scalar_curvature",
    "second_fundamental_form",
    "sectional_curvature",
    "volume_and_curvature",
]
