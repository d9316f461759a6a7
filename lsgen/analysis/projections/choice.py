"""The door to all projections: one by its name, with its faithfulness, and the agreement of several seeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lsgen.analysis.projections.components import pca
from lsgen.analysis.projections.given_axes import attribute_axes
from lsgen.analysis.projections.neighbour_embeddings import tsne, umap
from lsgen.analysis.projections.plain_views import disk, identity, ternary
from lsgen.analysis.projections.projection import Projection
from lsgen.analysis.projections.stability import MapStability, map_stability
from lsgen.latent import Codes
from lsgen.latent.manifolds.manifold import PoincareBall
from lsgen.latent.manifolds.supports import Simplex

__all__ = ["METHODS", "default_method", "project", "seed_stability"]

METHODS: dict[str, Callable[..., Projection]] = {
    "pca": pca,
    "tsne": tsne,
    "umap": umap,
    "axes": attribute_axes,
    "identity": identity,
    "disk": disk,
    "ternary": ternary,
}
"""All methods by name; `identity`, `disk` and `ternary` have as many dimensions as what they show."""


def default_method(codes: Codes) -> str:
    """Return the name of the method that shows codes with the least loss, without random numbers.

    It is `ternary` on the simplex of three classes, `disk` in a ball of two dimensions, `identity` for other codes of
    at most three coordinates, and `pca` for all others.
    """
    if isinstance(codes.manifold, Simplex) and codes.dim == 3:
        return "ternary"
    if isinstance(codes.manifold, PoincareBall) and codes.dim == 2:
        return "disk"
    return "identity" if codes.dim <= 3 else "pca"


def project(
    codes: Codes, method: str | None = None, *, k: int | None = None, points: int = 5000, **options: Any
) -> Projection:
    """Return a projection of codes with its faithfulness.

    Args:
        codes: the codes (N, d).
        method: a name in `METHODS`; `default_method` unless given.
        k: number of neighbours of its faithfulness; see `measure_faithfulness`.
        points: number of codes at which that is measured.
        options: arguments of the method, such as `dims`, `seed`, `perplexity` or `directions`.

    Raises:
        ValueError: there is no such method, or it refuses the codes or an option.
        TypeError: the method has no such option.
        ImportError: the method needs an extra that is not installed.

    """
    name = default_method(codes) if method is None else method
    if name not in METHODS:
        raise ValueError(f"expected a method out of {', '.join(METHODS)}, got {name!r}")
    return METHODS[name](codes, **options).measured(codes, k, points, options.get("seed", 0))


def seed_stability(codes: Codes, method: str, seeds: int = 5, **options: Any) -> MapStability:
    """Return how well the maps of several seeds agree.

    Args:
        codes: the codes (N, d).
        method: `tsne` or `umap`; the others depend on no random numbers.
        seeds: number of maps, of the seeds 0, ..., seeds - 1.
        options: arguments of the method.

    Raises:
        ValueError: the method depends on no random numbers, or there are fewer than two seeds.

    """
    if method not in ("tsne", "umap"):
        raise ValueError(f"expected a method that depends on random numbers, tsne or umap, got {method!r}")
    if seeds < 2:
        raise ValueError(f"expected at least 2 seeds, got {seeds}")
    return map_stability([METHODS[method](codes, seed=seed, **options).coordinates for seed in range(seeds)])
