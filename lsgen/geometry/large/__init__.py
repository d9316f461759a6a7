"""Geometry of latent spaces of many dimensions, from products with the metric instead of its matrices."""

from lsgen.geometry.large.curves import large_geodesic
from lsgen.geometry.large.operator import MetricOperator
from lsgen.geometry.large.spectra import TopSpectrum, top_spectrum
from lsgen.geometry.large.volume import VolumeEstimate, log_volume_estimate

__all__ = [
    "MetricOperator",
    "TopSpectrum",
    "VolumeEstimate",
    "large_geodesic",
    "log_volume_estimate",
    "top_spectrum",
]
