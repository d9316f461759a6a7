"""Information geometry: the Amari-Chentsov tensor, alpha-connections and their geodesics, dual coordinates."""

from lsgen.geometry.information.alpha_geodesics import DualGeodesic, alpha_exp_map, e_geodesic, m_geodesic
from lsgen.geometry.information.connections import alpha_connection, alpha_curvature
from lsgen.geometry.information.cubic import (
    StatisticalManifold,
    amari_chentsov,
    exponential_family,
    statistical_manifold,
)
from lsgen.geometry.information.dual_coordinates import NaturalCoordinates, bregman_divergence, natural_coordinates
from lsgen.geometry.information.log_linear import (
    LogPartitionPotential,
    affine_logits,
    fisher_metric,
    log_linear_metric,
)

__all__ = [
    "DualGeodesic",
    "LogPartitionPotential",
    "NaturalCoordinates",
    "StatisticalManifold",
    "affine_logits",
    "alpha_connection",
    "alpha_curvature",
    "alpha_exp_map",
    "amari_chentsov",
    "bregman_divergence",
    "e_geodesic",
    "exponential_family",
    "fisher_metric",
    "log_linear_metric",
    "m_geodesic",
    "natural_coordinates",
    "statistical_manifold",
]
