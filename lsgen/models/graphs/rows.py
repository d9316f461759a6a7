r"""The losses of pairs of nodes: every pair of a network once, and none of a node with itself.

    l_ij = -log p(A_ij | h_ij) = log(1 + exp(-h_ij)) for a link, log(1 + exp(h_ij)) for none,
    -log p(A) = sum_i sum_{j != i} l_ij    of a directed network,    1/2 of that of an undirected one,

so that a row of nodes has half of the loss of each of its pairs where both of its ends count them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from lsgen.latent.graphs import Graph
from lsgen.models.graphs.decoders import LinkDecoder

__all__ = ["PairLosses"]


class PairLosses(nn.Module):
    """The losses of rows of pairs, and what there is of pairs, in a network of N nodes.

    Args:
        nodes: number N.

    Attributes:
        links: number of links, each direction of an undirected one by itself.
        share: the part that they are of all pairs.
        parts: how often a pair counts in the sum over all rows, 1 of a directed network and 2 of an undirected one.

    """

    ends: Tensor

    def __init__(self, nodes: int) -> None:
        super().__init__()
        self.nodes, self.links, self.parts = int(nodes), 0, 2
        self.register_buffer("ends", torch.zeros(0, 2, dtype=torch.int64), persistent=False)

    def take(self, graph: Graph) -> None:
        """Store the links of a network; how strong they are does not count."""
        edges = graph.edges if graph.directed else torch.cat([graph.edges, graph.edges.flip(1)])
        self.ends, self.links, self.parts = edges.to(self.ends.device), len(edges), 1 if graph.directed else 2

    @property
    def pairs(self) -> int:
        """The number N (N - 1) of pairs."""
        return self.nodes * (self.nodes - 1)

    @property
    def share(self) -> float:
        """The part of all pairs that is linked."""
        return self.links / self.pairs

    def forward(self, decoder: LinkDecoder, z: Tensor, targets: Tensor, nodes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the sums (B,) of the losses of links and of other pairs of rows, and the losses (B,) of loops.

        Those of all pairs are summed, and those of the few others taken off, so that no matrix (B, N) is written twice.

        Args:
            decoder: the logits of pairs.
            z: codes of all nodes, (N, d).
            targets: their codes as targets of links, (N, d).
            nodes: whose rows they are, all different, int64 (B,).

        """
        count, (source, target) = len(nodes), self.ends.T
        rows = torch.arange(count, device=nodes.device)
        place = nodes.new_full((self.nodes,), count).scatter(0, nodes, rows)[source]  # the last is of no row
        linked, own = decoder.pair(z[source], targets[target]), decoder.pair(z[nodes], targets[nodes])
        of_links, beside = (z.new_zeros(count + 1).index_add(0, place, softplus(h))[:count] for h in (-linked, linked))
        of_all = softplus(decoder.between(z[nodes], targets)).sum(1)
        return of_links, of_all - softplus(own) - beside, softplus(-own)

    def balanced(self, of_links: Tensor, of_others: Tensor) -> Tensor:
        """Return the mean of the average losses of a link and of another pair, estimated from rows (B,)."""
        scale = self.nodes / len(of_links) / 2
        return scale * (of_links.sum() / max(self.links, 1) + of_others.sum() / max(self.pairs - self.links, 1))

    def negative_log_likelihood(self, of_links: Tensor, of_others: Tensor) -> Tensor:
        """Return the part (B,) of -log p(A) that is that of each row."""
        return (of_links + of_others) / self.parts
