r"""How attractive places are in a signed network of flows, to those who come and to those who leave.

    arriving_j = mean over i of s_ij,    leaving_i = mean over j of s_ij

over the links that there are. Where weights are the signed ones of a dense network of flows, what sizes of places
explain is taken off: arriving is high for a place to which people come from everywhere, low for one that they come to
from few others, whatever its size.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.latent.graphs import Graph

__all__ = ["Attractiveness", "attractiveness"]


class Attractiveness(NamedTuple):
    """Mean weights of the links of each node, float64 (N,), NaN where it has none.

    Attributes:
        arriving: of those that arrive.
        leaving: of those that go out.

    """

    arriving: Tensor
    leaving: Tensor


def attractiveness(graph: Graph) -> Attractiveness:
    """Return the mean weights of the links of each node; those of an undirected graph count for both of its ends.

    Raises:
        ValueError: links have no weights.

    """
    if graph.weights is None:
        raise ValueError(f"expected links with weights, got {graph}")
    weights = graph.adjacency()
    arriving, leaving = (torch.from_numpy(weights.sum(axis)) for axis in (0, 1))
    return Attractiveness(arriving / graph.in_degrees(), leaving / graph.degrees())
