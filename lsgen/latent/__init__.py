"""The latent space: priors, posteriors, decoding, encoding and paths through z."""

from lsgen.latent import paths
from lsgen.latent.aggregate import AggregateTerms, aggregate_terms
from lsgen.latent.mmd import RBF, InverseMultiquadric, Kernel, Laplacian, RationalQuadratic, mmd_squared
from lsgen.latent.points import Deterministic, Point
from lsgen.latent.posteriors import DiagonalNormal, Posterior
from lsgen.latent.priors import Prior, StandardNormal
from lsgen.latent.space import EncodableLatentSpace, LatentSpace

__all__ = [
    "RBF",
    "AggregateTerms",
    "Deterministic",
    "DiagonalNormal",
    "EncodableLatentSpace",
    "InverseMultiquadric",
    "Kernel",
    "Laplacian",
    "LatentSpace",
    "Point",
    "Posterior",
    "Prior",
    "RationalQuadratic",
    "StandardNormal",
    "aggregate_terms",
    "mmd_squared",
    "paths",
]
