"""The geometry of an immersion: pure functions of any decoder, at any batch shape."""

from lsgen.geometry.curvature import (
    christoffel,
    ricci,
    riemann,
    scalar_curvature,
    sectional_curvature,
    volume_and_curvature,
)
from lsgen.geometry.extrinsic import MeanCurvature, mean_curvature, second_fundamental_form
from lsgen.geometry.field import MetricField, metric_field
from lsgen.geometry.geodesic import Geodesic, distance, geodesic, log_map
from lsgen.geometry.immersion import Immersion, Jet, immersion, jet
from lsgen.geometry.metric import Spectrum, log_volume, metric, spectrum

__all__ = [
    "Geodesic",
    "Immersion",
    "Jet",
    "MeanCurvature",
    "MetricField",
    "Spectrum",
    "christoffel",
    "distance",
    "geodesic",
    "immersion",
    "jet",
    "log_map",
    "log_volume",
    "mean_curvature",
    "metric",
    "metric_field",
    "ricci",
    "riemann",
    "scalar_curvature",
    "second_fundamental_form",
    "sectional_curvature",
    "spectrum",
    "volume_and_curvature",
]
