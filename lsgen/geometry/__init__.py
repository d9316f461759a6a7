"""The geometry of an immersion: pure functions of any decoder, at any batch shape."""

from lsgen.geometry.curvature.extrinsic import MeanCurvature, mean_curvature, second_fundamental_form
from lsgen.geometry.curvature.gauss_equation import (
    christoffel,
    ricci,
    riemann,
    scalar_curvature,
    sectional_curvature,
    volume_and_curvature,
)
from lsgen.geometry.geodesics.arc_length import curve_energy, curve_length
from lsgen.geometry.geodesics.boundary_value import Geodesic, distance, geodesic
from lsgen.geometry.geodesics.initial_curves import CodeGraph
from lsgen.geometry.geodesics.injectivity import ConjugateRadius, conjugate_radius
from lsgen.geometry.geodesics.jacobi import ConjugatePoints, JacobiFields, conjugate_points, jacobi_fields
from lsgen.geometry.geodesics.logarithm import log_map
from lsgen.geometry.geodesics.shooting import Exponential, exp_map
from lsgen.geometry.geodesics.stochastic import StochasticGeodesic, stochastic_geodesic
from lsgen.geometry.geodesics.transport import holonomy, parallel_transport
from lsgen.geometry.hessian_metric import HessianMetric
from lsgen.geometry.immersion import Immersion, Jet, immersion, jet
from lsgen.geometry.large import (
    MetricOperator,
    TopSpectrum,
    VolumeEstimate,
    large_geodesic,
    log_volume_estimate,
    top_spectrum,
)
from lsgen.geometry.metric_field import MetricField, metric_field
from lsgen.geometry.metric_tensor import Spectrum, log_volume, metric, spectrum
from lsgen.geometry.riemannian import RiemannianMetric
from lsgen.geometry.statistics import (
    Box,
    BrownianPaths,
    Chains,
    FMeasure,
    FrechetMean,
    KMeans,
    Land,
    PrincipalGeodesics,
    UniformSample,
    brownian_motion,
    f_measure,
    frechet_mean,
    hmc,
    kmeans,
    land,
    land_log_density,
    langevin,
    principal_geodesics,
    sample_uniform,
)
from lsgen.geometry.uncertainty.sources import (
    RBF,
    Dropout,
    Ensemble,
    LaplaceApproximation,
    Uncertainty,
    independent_energy,
)

__all__ = [
    "RBF",
    "Box",
    "BrownianPaths",
    "Chains",
    "CodeGraph",
    "ConjugatePoints",
    "ConjugateRadius",
    "Dropout",
    "Ensemble",
    "Exponential",
    "FMeasure",
    "FrechetMean",
    "Geodesic",
    "HessianMetric",
    "Immersion",
    "JacobiFields",
    "Jet",
    "KMeans",
    "Land",
    "LaplaceApproximation",
    "MeanCurvature",
    "MetricField",
    "MetricOperator",
    "PrincipalGeodesics",
    "RiemannianMetric",
    "Spectrum",
    "StochasticGeodesic",
    "TopSpectrum",
    "Uncertainty",
    "UniformSample",
    "VolumeEstimate",
    "brownian_motion",
    "christoffel",
    "conjugate_points",
    "conjugate_radius",
    "curve_energy",
    "curve_length",
    "distance",
    "exp_map",
    "f_measure",
    "frechet_mean",
    "geodesic",
    "hmc",
    "holonomy",
    "immersion",
    "independent_energy",
    "jacobi_fields",
    "jet",
    "kmeans",
    "land",
    "land_log_density",
    "langevin",
    "large_geodesic",
    "log_map",
    "log_volume",
    "log_volume_estimate",
    "mean_curvature",
    "metric",
    "metric_field",
    "parallel_transport",
    "principal_geodesics",
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
