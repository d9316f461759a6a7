"""Geometry that a denoiser gives to noisy observations: posteriors of clean ones, space-time, and ambient metrics.

A denoiser is any callable `denoise(x, log_snr)` -> E[x_0 | x_t] (N, *shape) of x_t = alpha x_0 + sigma eps (N, *shape)
and l = log(alpha^2 / sigma^2) (N,), each observation by itself.
"""

from lsgen.geometry.denoising.inverse_density import inverse_density_metric
from lsgen.geometry.denoising.posterior import posterior_covariance, variance_preserving
from lsgen.geometry.denoising.pullback import pullback_at
from lsgen.geometry.denoising.spacetime import log_partition_metric, natural_coordinates, spacetime_metric
from lsgen.geometry.denoising.stein import stein_metric

__all__ = [
    "inverse_density_metric",
    "log_partition_metric",
    "natural_coordinates",
    "posterior_covariance",
    "pullback_at",
    "spacetime_metric",
    "stein_metric",
    "variance_preserving",
]
