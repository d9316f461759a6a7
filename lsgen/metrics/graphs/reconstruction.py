r"""Reconstruction of a network: at which places of its list of nodes a node finds those that it is linked to.

For a node u with links to the nodes N(u), the others being ordered by their scores, the greatest first,

    rank(u, v)    place of v among v and the nodes that are not in N(u): other neighbours of u are left out
    mean rank     mean of rank(u, v) over all links (u, v)
    AP(u)         mean over v in N(u) of the share of N(u) in the list that ends with v
    MAP           mean of AP(u) over all nodes u with a link

u itself is not in its list. Nodes with the same score come in no order: each number is its mean over all their orders,
see `lsgen.metrics.graphs.tied_orders`. In an undirected network every link counts from both of its ends; in a directed
one u is the source.

Intervals are percentiles of a bootstrap over the nodes u.

Reference: Nickel & Kiela, "Poincare embeddings for learning hierarchical representations" (2017),
https://arxiv.org/abs/1705.08039, section 4.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lsgen.latent.graphs import Graph
from lsgen.metrics.graphs.pair_scores import PairScores
from lsgen.metrics.graphs.tied_orders import chance_precision, expected_precision, expected_rank
from lsgen.metrics.retrieval.scores import bootstrap_means, percentiles

__all__ = ["GraphReconstruction", "graph_reconstruction"]

ENTRIES = 2**22


class GraphReconstruction(Metric):
    """Mean rank and mean average precision of the nodes that nodes are linked to.

    Args:
        level: probability that an interval covers.
        draws: bootstrap samples of the nodes; 0 for no intervals.

    Raises:
        ValueError: the level or the number of draws is out of its range.

    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    rows: list[Tensor]

    def __init__(self, level: float = 0.95, draws: int = 1000, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < level < 1 or draws < 0:
            raise ValueError(f"expected a level in (0, 1) and at least 0 draws, got {level} and {draws}")
        self.level, self.draws = level, draws
        self.add_state("rows", [], dist_reduce_fx="cat")

    def update(self, scores: Tensor, links: Tensor, source: Tensor) -> None:
        """Add nodes; those without a link are left out.

        Args:
            scores: of a link from each to every node, (B, N).
            links: whether there is one, truth values (B, N), on the same device.
            source: the number of each, (B,); what stands in its own column is not looked at.

        Raises:
            ValueError: shapes do not fit, links are no truth values, or a score is NaN.

        """
        if scores.ndim != 2 or links.shape != scores.shape or source.shape != scores.shape[:1]:
            got = ", ".join(str(tuple(x.shape)) for x in (scores, links, source))
            raise ValueError(f"expected scores and links (B, N) of nodes (B,), got {got}")
        if links.dtype != torch.bool or source.is_floating_point():
            raise ValueError(f"expected links as truth values of whole numbers, got {links.dtype} and {source.dtype}")
        self.rows.append(_sums(scores.detach(), links, source))

    def compute(self) -> dict[str, dict[str, Tensor]]:
        """Return for `mean_rank` and `map` the `value`, that by `chance`, and the ends `low` and `high`.

        Under "nodes", "value" counts the nodes with a link, and "left_out" the others.

        Raises:
            ValueError: no node has a link.

        """
        rows = dim_zero_cat(self.rows)
        asked = rows[rows[:, 0] > 0]
        if not len(asked):
            raise ValueError(f"expected nodes with links, got none among {len(rows)}")
        whole = _values(asked.mean(0, keepdim=True))[0]
        names = ("mean_rank", "map")
        found = {name: {"value": whole[i], "chance": whole[i + 2]} for i, name in enumerate(names)}
        if self.draws:
            low, high = percentiles(_values(bootstrap_means(asked, self.draws)), self.level)
            for i, name in enumerate(names):
                found[name] |= {"low": low[i], "high": high[i]}
        counts = {"value": torch.tensor(len(asked)), "left_out": torch.tensor(len(rows) - len(asked))}
        return {**found, "nodes": counts}


@torch.no_grad()
def graph_reconstruction(
    scores: PairScores,
    graph: Graph,
    metric: GraphReconstruction | None = None,
    sources: Tensor | None = None,
    chunk_size: int | None = None,
) -> dict[str, dict[str, Tensor]]:
    """Return how well scores reconstruct a network, from all of its links and all other pairs.

    Args:
        scores: of pairs of its nodes.
        graph: the network of N nodes.
        metric: what measures; `GraphReconstruction` as it is unless given.
        sources: nodes whose links are asked for, (M,), each once; all of them unless given.
        chunk_size: nodes at a time, of which each takes a few arrays of N numbers; chosen by the memory unless given.

    Raises:
        ValueError: see `GraphReconstruction`; or scores are of another number of nodes.

    """
    if scores.nodes != graph.nodes:
        raise ValueError(f"expected scores of the {graph.nodes} nodes of the network, got those of {scores.nodes}")
    metric = GraphReconstruction() if metric is None else metric
    adjacency = graph.adjacency(weighted=False)
    asked = torch.arange(graph.nodes) if sources is None else sources.cpu()
    for source in asked.split(chunk_size or max(1, ENTRIES // graph.nodes)):
        part = adjacency[source.numpy()].tocoo()
        found = scores.to_all(source)
        links = torch.zeros(found.shape, dtype=torch.bool)
        links[torch.from_numpy(part.row).long(), torch.from_numpy(part.col).long()] = True
        metric.update(found, links.to(found.device), source.to(found.device))
    return metric.compute()


def _sums(scores: Tensor, links: Tensor, source: Tensor) -> Tensor:
    """Return for nodes the number of links, sums of their ranks and precisions, and both by chance, float64 (B, 5)."""
    table, near, rows = scores.double().cpu().numpy().copy(), links.cpu().numpy().copy(), np.arange(len(scores))
    own = source.cpu().numpy()
    table[rows, own], near[rows, own] = np.nan, False
    row, column = near.nonzero()
    n, linked, many = table.shape[1] - 1, table[row, column], near.sum(1)
    table.sort(axis=1)  # the own score last, as NaN
    if n and np.isnan(table[:, n - 1]).any():
        raise ValueError("expected scores that are numbers, got NaN")
    counts, ends = np.zeros((4, len(row)), dtype=np.int64), many.cumsum()
    for i in np.flatnonzero(many):
        part = slice(ends[i] - many[i], ends[i])
        for k, some in enumerate((table[i, :n], np.sort(linked[part]))):
            low, high = (np.searchsorted(some, linked[part], side) for side in ("left", "right"))
            counts[2 * k, part], counts[2 * k + 1, part] = len(some) - high, high - low
    placed, total = torch.from_numpy(counts), torch.from_numpy(many)
    of, least, pairs = torch.from_numpy(row), total.clamp(min=1), torch.full_like(total, max(n, 1))
    found = torch.zeros(len(rows), 5, dtype=torch.float64)
    found[:, 0] = total
    found[:, 1].scatter_add_(0, of, expected_rank(*placed))
    found[:, 2].scatter_add_(0, of, expected_precision(*placed) / least[of])
    found[:, 3] = total * (1 + (n - total) / 2)
    found[:, 4] = chance_precision(least, pairs) * (total > 0)
    return found.to(scores.device)


def _values(means: Tensor) -> Tensor:
    """Return mean rank and MAP, and both by chance, of means (S, 5) of the sums of nodes."""
    return torch.stack([means[:, 1] / means[:, 0], means[:, 2], means[:, 3] / means[:, 0], means[:, 4]], 1)
