r"""Greedy routing: whether packets find their way through a network by the codes of nodes alone.

A packet for t goes from each node to that neighbour whose code is nearest to t, which is t itself where t is a
neighbour. It is lost

    "nearest"    where it would come again to a node that it has been at
    "closer"     already where no neighbour is nearer to t than the node it is at

    success    share of the packets between linked-up nodes that arrive
    stretch    mean over those of (links on the way) / (links on the shortest way)

The neighbour with the lowest number is taken of several at the same distance. Following one neighbour of each node is
a functional graph: all packets for t go at once, by doubling the steps. By chance, codes belong to other nodes, drawn
at random. Intervals are percentiles of a bootstrap over the targets t.

Reference: Boguna, Papadopoulos & Krioukov, "Sustaining the Internet with hyperbolic mapping" (2010),
https://arxiv.org/abs/1009.0267; Kleinberg, "Geographic routing using hyperbolic space" (2007).
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path
from torch import Tensor

from lsgen.latent.graphs import Graph
from lsgen.metrics.graphs.pair_scores import PairScores
from lsgen.metrics.retrieval.scores import bootstrap_means

__all__ = ["RoutingRule", "greedy_routing"]

RoutingRule = Literal["nearest", "closer"]
ENTRIES = 2**22

_Counts = tuple[float, float, float]


@torch.no_grad()
def greedy_routing(
    scores: PairScores,
    graph: Graph,
    rule: RoutingRule = "nearest",
    targets: int | None = 500,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, dict[str, Tensor]]:
    """Return for `success` and `stretch` the `value`, that by `chance`, and the ends `low` and `high`.

    Packets go from every node to some of the nodes. Under "packets", "value" counts those between nodes that a way
    leads between, and "left_out" the others. Of a stretch that no packet has there is NaN.

    Args:
        scores: greater for pairs of nodes that are nearer.
        graph: the network of N nodes.
        rule: when a packet is lost.
        targets: number of nodes that packets are for, drawn at random; None for all of them.
        draws: bootstrap samples; 0 for no intervals.
        level: probability that an interval covers.
        seed: of the targets, the samples and the nodes that codes belong to by chance.

    Raises:
        ValueError: there is no such rule, no two nodes have a way between them, scores are of another number of nodes,
            or a number is out of its range.

    """
    if rule not in get_args(RoutingRule):
        raise ValueError(f"expected a rule out of {', '.join(get_args(RoutingRule))}, got {rule!r}")
    if scores.nodes != graph.nodes:
        raise ValueError(f"expected scores of the {graph.nodes} nodes of the network, got those of {scores.nodes}")
    if (targets is not None and targets < 1) or draws < 0 or not 0 < level < 1:
        got = f"{targets}, {draws} and {level}"
        raise ValueError(f"expected at least 1 target and 0 draws, and a level in (0, 1), got {got}")
    if not len(graph):
        raise ValueError(f"expected nodes with a way between them, got {graph.nodes} without a link")
    random, n = np.random.default_rng(seed), graph.nodes
    linked = np.flatnonzero((graph.in_degrees() > 0).numpy())
    chosen = np.sort(random.choice(linked, min(targets or n, len(linked)), replace=False))
    carried = {"value": np.arange(n), "chance": random.permutation(n)}  # whose code a node carries
    counts: dict[str, list[_Counts]] = {name: [] for name in carried}
    adjacency = graph.adjacency(weighted=False)
    for part in np.array_split(chosen, max(1, len(chosen) * n // ENTRIES)):
        shortest = shortest_path(adjacency.T, method="D", unweighted=True, indices=part)
        for name, code in carried.items():
            found = scores.to_all(torch.from_numpy(code[part])).cpu().numpy()[:, code]
            rows = zip(part.tolist(), found, shortest, strict=True)
            counts[name] += [_counted(target, row, ways, adjacency, rule) for target, row, ways in rows]
    tables = {name: torch.tensor(rows, dtype=torch.float64) for name, rows in counts.items()}
    parts = {name: _shares(table.mean(0, keepdim=True))[0] for name, table in tables.items()}
    if draws:
        tail = (1 - level) / 2
        drawn = _shares(bootstrap_means(tables["value"], draws, seed))
        ends = torch.tensor([tail, 1 - tail], dtype=torch.float64)
        parts["low"], parts["high"] = drawn.nanquantile(ends, dim=0)
    sent = int(tables["value"][:, 0].sum())
    packets = {"value": torch.tensor(sent), "left_out": torch.tensor(len(chosen) * (n - 1) - sent)}
    return {
        "success": {name: both[0] for name, both in parts.items()},
        "stretch": {name: both[1] for name, both in parts.items()},
        "packets": packets,
    }


def _shares(means: Tensor) -> Tensor:
    """Return success and stretch of means (S, 3) of the counts of targets."""
    return torch.stack([means[:, 1] / means[:, 0], means[:, 2] / means[:, 1]], 1)


def _counted(
    target: int, scores: NDArray[np.float64], shortest: NDArray[np.float64], adjacency: csr_array, rule: RoutingRule
) -> _Counts:
    """Return how many packets for a target there are, how many arrive, and the sum of their stretches."""
    hops = _hops(target, scores, adjacency, rule)
    sent = np.isfinite(shortest)
    sent[target] = False
    arrived = sent & np.isfinite(hops)
    return float(sent.sum()), float(arrived.sum()), float((hops[arrived] / shortest[arrived]).sum())


def _hops(target: int, scores: NDArray[np.float64], adjacency: csr_array, rule: RoutingRule) -> NDArray[np.float64]:
    """Return the number of links on the way from every node to a target, (N,); infinite where packets are lost."""
    n = len(scores)
    near = np.where(np.arange(n) == target, np.inf, scores)
    degrees = np.diff(adjacency.indptr)
    rows = np.flatnonzero(degrees)
    starts, offered = adjacency.indptr[:-1][rows], near[adjacency.indices]
    best = np.maximum.reduceat(offered, starts)
    first = np.where(offered == best.repeat(degrees[rows]), np.arange(len(offered)), len(offered))
    step = np.arange(n)
    step[rows] = adjacency.indices[np.minimum.reduceat(first, starts)]
    if rule == "closer":
        step = np.where(near[step] > near, step, np.arange(n))
    step[target] = target
    hops = (step != np.arange(n)).astype(np.float64)
    for _ in range(int(n).bit_length()):
        hops, step = hops + hops[step], step[step]
    return np.where(step == target, hops, np.inf)
