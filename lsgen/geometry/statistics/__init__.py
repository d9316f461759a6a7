"""Statistics on the manifold: means, clusters, mixtures, diffusion, sampling. The reference measure is its volume."""

from lsgen.geometry.statistics.agreement import FMeasure, f_measure
from lsgen.geometry.statistics.clustering import KMeans, kmeans
from lsgen.geometry.statistics.diffusion import BrownianPaths, brownian_motion
from lsgen.geometry.statistics.means import FrechetMean, frechet_mean
from lsgen.geometry.statistics.mixture import Land, land, land_log_density
from lsgen.geometry.statistics.principal import PrincipalGeodesics, principal_geodesics
from lsgen.geometry.statistics.sampling import Chains, hmc, langevin
from lsgen.geometry.statistics.uniform import Box, UniformSample, sample_uniform

__all__ = [
    "Box",
    "BrownianPaths",
    "Chains",
    "FMeasure",
    "FrechetMean",
    "KMeans",
    "Land",
    "PrincipalGeodesics",
    "UniformSample",
    "brownian_motion",
    "f_measure",
    "frechet_mean",
    "hmc",
    "kmeans",
    "land",
    "land_log_density",
    "langevin",
    "principal_geodesics",
    "sample_uniform",
]
