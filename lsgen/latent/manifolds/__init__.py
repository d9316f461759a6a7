"""The geometry that codes have by construction, and distributions on it."""

from lsgen.latent.manifolds.manifold import Euclidean, Manifold, PoincareBall, Sphere

__all__ = ["Euclidean", "Manifold", "PoincareBall", "Sphere"]
