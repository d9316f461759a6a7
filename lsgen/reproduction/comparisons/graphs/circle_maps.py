"""Whether maps of networks have the coordinates that drew them, and whether links follow the probability of the map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsgen.data import GraphSource, S1Graph
from lsgen.latent.graphs import Graph, S1Coordinates
from lsgen.latent.graphs.circle import separation
from lsgen.metrics import circular_correlation
from lsgen.models.graphs.s1 import S1Search, fit_s1
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["CircleMaps", "connection_profile", "recovered"]


@dataclass(frozen=True)
class CircleMaps:
    """Maps several networks into the S1 model by maximum likelihood of their links.

    Keys: beta; `deviation`, the root mean square of the difference between the share of pairs that are linked and their
    mean probability, over bins of x = d / (mu kappa kappa') with enough pairs, and what `recovered` gives where the
    coordinates that drew the network are known: means over networks, whose arrays are (networks, 1);
    `least_correlation`, the least of the correlations of angles. Arrays by bin: `x`; `linked` (networks, bins), NaN
    where there are few pairs; `probability`, the curve 1 / (1 + x^beta) at the mean beta.

    Attributes:
        source: the network; if it is an S1Graph, another is drawn for each of the seeds, else the search has them.
        seeds: one a map.
        search: how coordinates are sought; as S1Search has it unless given.
        bins: number of bins of equal ratios, from 1e-3 to 1e3.
        least: ordered pairs in a bin that counts.

    Raises:
        ValueError: there is no seed, or a number is not positive.

    Reference: Garcia-Perez, Boguna, Allard & Serrano (2016), https://www.nature.com/articles/srep33441, figure 2.
    """

    source: GraphSource
    seeds: Sequence[int] = (10, 11, 12, 13, 14)
    search: S1Search | None = None
    bins: int = 25
    least: int = 100

    def __post_init__(self) -> None:
        if not self.seeds or min(self.bins, self.least) < 1:
            raise ValueError(f"CircleMaps expected a seed, and numbers of at least 1, got {self}")

    def __call__(self, runs: Mapping[str, Sequence[TrainedRun]]) -> Measured:
        """Return what the maps have; no run is looked at."""
        found: list[dict[str, float]] = []
        profiles = []
        for seed in self.seeds:
            drawn = isinstance(self.source, S1Graph)
            graph = (replace(self.source, seed=seed) if isinstance(self.source, S1Graph) else self.source).graph()
            at = fit_s1(graph, self.search or S1Search(), 0 if drawn else seed)
            x, linked, probability = connection_profile(graph, at, self.bins, self.least)
            off = (linked - probability)[np.isfinite(linked)]
            found.append({"beta": float(at.beta), "deviation": float(np.sqrt((off**2).mean()))})
            found[-1] |= recovered(graph, at) if {"theta", "kappa"} <= set(graph.columns) else {}
            profiles.append(linked)
        keys = set.intersection(*(set(one) for one in found))
        arrays: dict[str, Any] = {key: np.array([[one[key]] for one in found]) for key in sorted(keys)}
        values = {key: float(array.mean()) for key, array in arrays.items()}
        if "correlation" in arrays:
            values["least_correlation"] = float(arrays["correlation"].min())
        curve = 1 / (1 + x ** values["beta"])
        return Measured(values, {**arrays, "x": x, "linked": np.stack(profiles), "probability": curve})


def connection_profile(
    graph: Graph, at: S1Coordinates, bins: int, least: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return x, the share of pairs that are linked, and their mean probability, by bins of x, (bins,) each.

    Args:
        graph: the network.
        at: its coordinates in the S1 model.
        bins: number of bins of equal ratios, from 1e-3 to 1e3.
        least: ordered pairs of a bin, which is NaN where there are fewer.

    """
    edges = torch.logspace(-3, 3, bins + 1, dtype=torch.float64)
    links = torch.from_numpy(graph.adjacency(False).toarray()).bool()
    total, linked, expected = (torch.zeros(bins, dtype=torch.float64) for _ in range(3))
    nodes = torch.arange(graph.nodes)
    for i in range(graph.nodes):
        others = nodes[nodes != i]
        h = at.logits(torch.full_like(others, i), others)
        number = torch.bucketize(torch.exp(-h / at.beta), edges) - 1
        inside = (number >= 0) & (number < bins)
        terms = (torch.ones_like(h), links[i, others].double(), h.sigmoid())
        for sums, term in zip((total, linked, expected), terms, strict=True):
            sums.index_add_(0, number[inside], term[inside])
    shares = [(sums / total).where(total >= least, torch.nan).numpy() for sums in (linked, expected)]
    return (edges[1:] * edges[:-1]).sqrt().numpy(), shares[0], shares[1]


def recovered(graph: Graph, at: S1Coordinates, few: int = 3, some: int = 10) -> dict[str, float]:
    """Return how far coordinates are those of the columns "theta" and "kappa" of a network.

    Keys: `correlation`, the size of the correlation of angles (Fisher & Lee 1983), which no rotation or reflection
    changes; `cosine`, the mean cosine of the error of angles after the best rotation and reflection; `cosine_few`,
    `cosine_some` and `cosine_many` of nodes by their degree, after the same ones; `kappa`, the correlation of the logs
    of hidden degrees.

    Args:
        graph: the network.
        at: its coordinates.
        few: the greatest degree of a node with few links.
        some: the greatest degree of a node with some.

    """
    theta, kappa = (torch.tensor(graph.columns[name], dtype=torch.float64) for name in ("theta", "kappa"))
    cosines, degrees = _aligned(at.theta, theta), graph.degrees()
    classes = {"few": degrees <= few, "some": (degrees > few) & (degrees <= some), "many": degrees > some}
    return {
        "correlation": float(circular_correlation(at.theta, theta).abs()),
        "cosine": float(cosines.mean()),
        **{f"cosine_{name}": float(cosines[rows].mean()) for name, rows in classes.items() if bool(rows.any())},
        "kappa": float(torch.corrcoef(torch.stack([at.log_out, kappa.log()]))[0, 1]),
    }


def _aligned(theta: Tensor, other: Tensor) -> Tensor:
    """Return the cosines (N,) of the errors of angles after the rotation and reflection with the greatest mean."""
    found = []
    for sign in (1, -1):
        difference = other - sign * theta
        turn = torch.atan2(difference.sin().mean(), difference.cos().mean())
        found.append(separation(difference, turn).cos())
    return max(found, key=lambda cosines: float(cosines.mean()))
