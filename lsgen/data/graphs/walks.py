"""Random walks on a network, as the documents of models of items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import isfinite
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from lsgen.data.batches import BatchDataset, Observations
from lsgen.data.draws import Purpose, key, stream
from lsgen.data.graphs.graph_data import GraphData
from lsgen.data.graphs.link_split import LinkSplit
from lsgen.data.graphs.social_networks import KarateClub
from lsgen.data.graphs.source import GraphSource
from lsgen.data.loading import Loading, chosen_options
from lsgen.data.module import Split
from lsgen.extras import from_extra
from lsgen.latent.graphs import Graph

__all__ = ["RandomWalk", "Walks", "expected_visits"]


@dataclass(frozen=True)
class RandomWalk:
    """How walks go, and how many there are.

    Attributes:
        p: return parameter of node2vec: the greater, the less often a walk goes back to where it just came from.
        q: in-out parameter of node2vec: below 1 a walk leaves the neighbourhood of the node before, above 1 it stays.
            With p = q = 1 the next node depends on the present one alone (DeepWalk).
        length: nodes of a walk; fewer where it comes to a node that no link leaves.
        per_node: walks from each node in an epoch, drawn anew in every one.
        held_out: walks for validation and as many for the test, from nodes at random, the same in every epoch.

    Raises:
        ValueError: a number is out of its range.

    """

    p: float = 1.0
    q: float = 1.0
    length: int = 80
    per_node: int = 10
    held_out: int = 64

    def __post_init__(self) -> None:
        if not all(value > 0 and isfinite(value) and isfinite(1 / value) for value in (self.p, self.q)):
            raise ValueError(f"expected data.walk.p and q above 0 and finite, got {self.p} and {self.q}")
        if self.length < 2 or self.per_node < 1 or self.held_out < 1:
            raise ValueError(
                "expected data.walk.length of at least 2 nodes, and per_node and held_out of at least 1 walk, got "
                f"{self.length}, {self.per_node} and {self.held_out}"
            )


class Walks(GraphData):
    """Random walks on the links of training, (length,): numbers of nodes, -1 after the end of a shorter walk.

    They start from every node that a link leaves. A walk depends on seed, epoch and its number alone, so that walks are
    the same for every batch size and number of workers, and after an interruption. Only what a batch asks for is drawn.

    Args:
        shape: (length,); None for what `walk` says.
        nodes: number of nodes; None for what the network has.
        graph: where the network comes from; links go in their direction, and are taken in proportion to their weights.
        split: which links are held out, `LinkSplit` or its options.
        walk: how walks go, `RandomWalk` or its options.
        batch_size: walks in a batch, on each process.
        seed: seed of the order of training and of its walks.
        loading: workers, left-over batches and the seed of the splits.

    Attributes:
        counts: how often a walk of first order is expected at each node in an epoch, int64 (N,), rounded up; 0 for one
            that no walk comes to. It is exact with p = q = 1 but for the rounding, and near it otherwise.

    Raises:
        ValueError: an option is out of its range, a weight is negative, or see `GraphData`.
        ImportError: numba is not installed.

    """

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        nodes: int | None = None,
        graph: GraphSource = KarateClub(),
        split: LinkSplit | Mapping[str, Any] = LinkSplit(),
        walk: RandomWalk | Mapping[str, Any] = RandomWalk(),
        batch_size: int = 32,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        self.walk = chosen_options(RandomWalk, walk, "walk")
        with from_extra("graphs", "Walks need numba"):
            from lsgen.data.graphs import walk_kernel
        self._kernel = walk_kernel
        super().__init__(shape, (self.walk.length,), nodes, graph, split, batch_size, seed, loading)
        self.graph.require("Walks")
        self._starts = self.graph.degrees().nonzero()[:, 0]
        self.counts = expected_visits(self.graph, self.walk.length).mul(self.walk.per_node).ceil().to(torch.int64)

    def build(self, split: Split) -> BatchDataset:
        """Return the walks of a split."""
        part, starts, number = get_args(Split).index(split), self._starts, len(self._starts) * self.walk.per_node
        if part:
            drawn = stream(self.split_seed, Purpose.VALUES, part)
            number = self.walk.held_out
            starts = starts[torch.randint(len(starts), (number,), generator=drawn)]
        options = self.walk
        drawn_from = partial(
            self._kernel.walk, self._links, biases=(1 / options.p, 1 / options.q), length=options.length
        )
        walks = _DrawnWalks(drawn_from, self.split_seed if part else self.seed, part)
        return self.subset(_Starts(starts), torch.arange(number), split, transforms=[walks])

    @cached_property
    def _links(self) -> Any:
        return self._kernel.links_of(self.graph)


class _Starts:
    """The node that a walk starts from, by its number."""

    def __init__(self, nodes: Tensor) -> None:
        self.nodes = nodes

    def __call__(self, rows: Tensor) -> Observations:
        return {"x": self.nodes[rows % len(self.nodes)][:, None]}


class _DrawnWalks:
    """Walks in place of the nodes that they start from."""

    def __init__(self, walk: Any, seed: int, part: int) -> None:
        self.walk, self.seed, self.part = walk, seed, part

    def __call__(self, batch: Observations, rows: Tensor, epoch: int) -> Observations:
        state = key(self.seed, Purpose.VALUES, 0 if self.part else epoch, self.part)
        return {"x": torch.from_numpy(self.walk(batch["x"][:, 0].numpy(), rows.numpy(), state))}


def expected_visits(graph: Graph, length: int) -> Tensor:
    r"""Return how often walks of first order are at each node, one from each node that a link leaves, float64 (N,).

        c = sum_{t < length} (P^T)^t s,    P_ij = w_ij / sum_k w_ik,    s_i = [a link leaves i]

    Args:
        graph: the network, with weights above 0.
        length: nodes of a walk.

    """
    matrix = graph.adjacency()
    strengths = matrix.sum(1)
    leaves = strengths > 0
    share = np.divide(1.0, strengths, out=np.zeros_like(strengths), where=leaves)
    backwards = matrix.T.tocsr()
    here = leaves.astype(np.float64)
    visits = here.copy()
    for _ in range(length - 1):
        here = backwards @ (share * here)
        visits += here
    return torch.from_numpy(visits)
