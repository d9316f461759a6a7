"""The geometry that a decoder gives to its latent space: pure functions of a Riemannian metric, at any batch shape.

What is called first stands here. More is in the rooms: `lsgen.geometry.curvature`, `lsgen.geometry.geodesics`,
`lsgen.geometry.statistics`, `lsgen.geometry.large` for latents of many dimensions, `lsgen.geometry.uncertainty`, and
`lsgen.geometry.reference` for surfaces with exact answers.
"""

from lsgen.geometry.curvature import (
    christoffel,
    mean_curvature,
    ricci,
    riemann,
    scalar_curvature,
    sectional_curvature,
)
from lsgen.geometry.geodesics import curve_length, distance, exp_map, geodesic, log_map, parallel_transport
from lsgen.geometry.hessian_metric import HessianMetric
from lsgen.geometry.immersion import Immersion, immersion, jet
from lsgen.geometry.metric_field import MetricField, metric_field
from lsgen.geometry.metric_tensor import log_volume, metric, spectrum
from lsgen.geometry.riemannian import RiemannianMetric
from lsgen.geometry.statistics import frechet_mean, kmeans

__all__ = [
    "HessianMetric",
    "Immersion",
    "MetricField",
    "RiemannianMetric",
    "christoffel",
    "curve_length",
    "distance",
    "exp_map",
    "frechet_mean",
    "geodesic",
    "immersion",
    "jet",
    "kmeans",
    "log_map",
    "log_volume",
    "mean_curvature",
    "metric",
    "metric_field",
    "parallel_transport",
    "ricci",
    "riemann",
    "scalar_curvature",
    "sectional_curvature",
    "spectrum",
]
