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
from lsgen.geometry.large import MetricOperator, TopSpectrum, VolumeEstimate, log_volume_estimate, top_spectrum
from lsgen.geometry.lengths import curve_energy, curve_length
from lsgen.geometry.metric import Spectrum, log_volume, metric, spectrum
from lsgen.geometry.shooting import Exponential, exp_map
from lsgen.geometry.starts import CodeGraph
from lsgen.geometry.statistics import (
    Box,
    FrechetMean,
    UniformSample,
    frechet_mean,
    sample_uniform,
)
from lsgen.geometry.stochastic import StochasticGeodesic, stochastic_geodesic
from lsgen.geometry.transport import holonomy, parallel_transport
from lsgen.geometry.uncertainty import RBF, Dropout, Ensemble, LaplaceApproximation, Uncertainty, independent_energy

__all__ = [
    "RBF",
    "Box",
    "CodeGraph",
    "Dropout",
    "Ensemble",
    "Exponential",
    "FrechetMean",
    "Geodesic",
    "Immersion",
    "Jet",
    "LaplaceApproximation",
    "MeanCurvature",
    "MetricField",
    "MetricOperator",
    "Spectrum",
    "StochasticGeodesic",
    "TopSpectrum",
    "Uncertainty",
    "UniformSample",
    "VolumeEstimate",
    "christoffel",
    "curve_energy",
    "curve_length",
    "distance",
    "exp_map",
    "frechet_mean",
    "geodesic",
    "holonomy",
    "immersion",
    "independent_energy",
    "jet",
    "log_map",
    "log_volume",
    "log_volume_estimate",
    "mean_curvature",
    "metric",
    "metric_field",
    "parallel_transport",
    "ricci",
    "riemann",
    "sample_uniform",
    "scalar_curvature",
    "second_fundamental_form",
    "sectional_curvature",
    "spectrum",
    "stochastic_geodesic",
    "top_spectrum",
    "volume_and_curvature",
]
