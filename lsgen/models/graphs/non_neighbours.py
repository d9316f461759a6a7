r"""Nodes that a node is not linked to, drawn uniformly and without trial and error.

Let a_0 < a_1 < ... be the neighbours of u and u itself. The nodes below a_i that are none of them are a_i - i in
number, so that the r-th of the others, counted from 0, is

    r + |{ i : a_i - i <= r }| .

The numbers a_i - i of all nodes stand in one ascending table, in which one search finds the count.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lsgen.latent.graphs import Graph

__all__ = ["NonNeighbours"]


class NonNeighbours(nn.Module):
    """The nodes that each node of a network is not linked to, itself not among them; with direction, has no link to.

    Args:
        graph: the network.

    """

    thresholds: Tensor
    starts: Tensor
    free: Tensor

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        for name in ("thresholds", "starts", "free"):
            self.register_buffer(name, torch.empty(0, dtype=torch.int64), persistent=False)
        self.take(graph)

    def take(self, graph: Graph) -> None:
        """Store the network, on the device of the one before."""
        own = torch.arange(graph.nodes)
        ends = graph.edges if graph.directed else torch.cat([graph.edges, graph.edges.flip(1)])
        keys = torch.cat([own * graph.nodes + own, ends[:, 0] * graph.nodes + ends[:, 1]]).sort().values
        source = keys.div(graph.nodes, rounding_mode="floor")
        counts = torch.bincount(source, minlength=graph.nodes)
        starts = counts.cumsum(0) - counts
        below = keys - source * graph.nodes - (torch.arange(len(keys)) - starts[source])
        device = self.starts.device
        self.thresholds = (source * (graph.nodes + 1) + below).to(device)
        self.starts, self.free = starts.to(device), (graph.nodes - counts).to(device)

    def draw(self, nodes: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Return nodes that nodes (B,) are not linked to, int64 (B, count), and whether there are any, bool (B, 1)."""
        free = self.free[nodes][:, None]
        uniform = torch.rand(len(nodes), count, dtype=torch.float64, device=nodes.device)
        rank = (uniform * free).long().minimum(free - 1).clamp(min=0)
        asked = nodes[:, None] * (len(self.free) + 1) + rank
        passed = torch.searchsorted(self.thresholds, asked, right=True) - self.starts[nodes][:, None]
        return (rank + passed).clamp(max=len(self.free) - 1), free > 0
