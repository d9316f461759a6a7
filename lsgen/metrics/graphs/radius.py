"""The radius of codes against the degrees of nodes: whether hubs lie near the centre, as hyperbolic maps have it."""

from __future__ import annotations

import torch
from torch import Tensor

from lsgen.latent import Codes
from lsgen.latent.distances import EuclideanDistance, HyperbolicDistance, distance_on
from lsgen.metrics.words import SimilarityCorrelation

__all__ = ["code_radius", "radius_degree"]


def code_radius(codes: Codes) -> Tensor:
    """Return the distance of every code from the centre, float64 (N,): of hyperbolic space its origin, else the mean.

    Raises:
        ValueError: codes lie neither in flat nor in hyperbolic space, where no point is the centre.

    """
    distance, z = distance_on(codes.manifold), codes.tensor().double()
    if isinstance(distance, EuclideanDistance):
        return distance.between(z, z.mean(0, keepdim=True).expand_as(z))
    if not isinstance(distance, HyperbolicDistance):
        raise ValueError(
            f"expected codes in flat or hyperbolic space, which have a radius, got those on {codes.manifold}"
        )
    centre = codes.manifold.onto(torch.zeros_like(z[:1]))
    return distance.between(distance.features(z), distance.features(centre))


def radius_degree(codes: Codes, degrees: Tensor, level: float = 0.95) -> dict[str, Tensor]:
    """Return Spearman's correlation of radius and degree, by chance 0, with the ends of its interval and the number n.

    Args:
        codes: the codes of nodes, (N, d).
        degrees: of each node, (N,); nodes without a link are left out, as nothing says where they belong.
        level: probability that the interval covers, see `lsgen.metrics.words.similarity`.

    Returns:
        `value`, `chance`, `low`, `high` and `n`; NaN where degrees or radii are all the same, or nodes too few.

    Raises:
        ValueError: see `code_radius`; or there are degrees of another number of nodes.

    """
    if degrees.shape != (len(codes),):
        raise ValueError(f"expected the degrees of {len(codes)} nodes, got {tuple(degrees.shape)}")
    linked = degrees > 0
    metric = SimilarityCorrelation(level, sync_on_compute=False)
    metric.update(code_radius(codes)[linked], degrees[linked].double())
    found = metric.compute()["drop"]
    names = {"value": "spearman", "low": "spearman_low", "high": "spearman_high"}
    chance = {"chance": torch.zeros((), dtype=torch.float64), "n": linked.sum()}
    return {name: found[key] for name, key in names.items()} | chance
