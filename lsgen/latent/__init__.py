"""The latent space: priors, posteriors, decoding, encoding and paths through z."""

from lsgen.latent import paths
from lsgen.latent.posteriors import DiagonalNormal, Posterior
from lsgen.latent.priors import Prior, StandardNormal
from lsgen.latent.space import EncodableLatentSpace, LatentSpace

__all__ = [
    "DiagonalNormal",
    "EncodableLatentSpace",
    "LatentSpace",
    "Posterior",
    "Prior",
    "StandardNormal",
    "paths",
]
