"""Statistics on the manifold: means, clusters, mixtures, diffusion, sampling. The reference measure is its volume."""

from lsgen.geometry.statistics.means import FrechetMean, frechet_mean
from lsgen.geometry.statistics.uniform import Box, UniformSample, sample_uniform

__all__ = [
    "Box",
    "FrechetMean",
    "UniformSample",
    "frechet_mean",
    "sample_uniform",
]
