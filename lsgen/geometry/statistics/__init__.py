"""Statistics on the manifold: means, regressions, clusters, tests, diffusion, sampling. Volume is their measure."""

from lsgen.geometry.statistics.agreement import FMeasure, f_measure
from lsgen.geometry.statistics.clustering import KMeans, kmeans
from lsgen.geometry.statistics.conditional_means import FrechetRegression, frechet_regression
from lsgen.geometry.statistics.diffusion import BrownianPaths, brownian_motion
from lsgen.geometry.statistics.energy_distance import EnergyTest, energy_test, geodesic_distances, graph_distances
from lsgen.geometry.statistics.geodesic_subspaces import ExactPrincipalGeodesics, exact_principal_geodesics
from lsgen.geometry.statistics.means import FrechetMean, frechet_mean
from lsgen.geometry.statistics.medoid_clustering import KMedoids, kmedoids
from lsgen.geometry.statistics.mixture import Land, land, land_log_density
from lsgen.geometry.statistics.principal import PrincipalGeodesics, principal_geodesics
from lsgen.geometry.statistics.regression import GeodesicRegression, geodesic_regression
from lsgen.geometry.statistics.sampling import Chains, hmc, langevin
from lsgen.geometry.statistics.uniform import Box, UniformSample, sample_uniform

__all__ = [
    "Box",
    "BrownianPaths",
    "Chains",
    "EnergyTest",
    "ExactPrincipalGeodesics",
    "FMeasure",
    "FrechetMean",
    "FrechetRegression",
    "GeodesicRegression",
    "KMeans",
    "KMedoids",
    "Land",
    "PrincipalGeodesics",
    "UniformSample",
    "brownian_motion",
    "energy_test",
    "exact_principal_geodesics",
    "f_measure",
    "frechet_mean",
    "frechet_regression",
    "geodesic_distances",
    "geodesic_regression",
    "graph_distances",
    "hmc",
    "kmeans",
    "kmedoids",
    "land",
    "land_log_density",
    "langevin",
    "principal_geodesics",
    "sample_uniform",
]
