"""The space of the nodes of a network, whose codes are decoded into the probabilities of their links."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from lsgen.latent import Atoms, Codes, ItemSpace, LatentSpace
from lsgen.latent.graphs import Graph
from lsgen.models.graphs.decoders import LinkDecoder

__all__ = ["LinkSpace", "NodeSpace"]


class LinkSpace(ItemSpace):
    """Abstract space of N nodes with a code each, from two of which the logit of a link follows.

    Attributes:
        decoder: codes (B, d) -> logits (B, N).
        graph: the network that is learned; one of N nodes without links until it is known.

    """

    decoder: LinkDecoder
    graph: Graph

    @abstractmethod
    def table(self) -> Tensor:
        """Return the codes of the nodes (N, d), as they stand."""

    @property
    def names(self) -> tuple[str, ...]:
        """What the nodes are called."""
        return self.graph.names

    def take(self, graph: Graph) -> None:
        """Store the network that is learned.

        Raises:
            ValueError: it has another number of nodes or no links, or it is directed and the decoder knows no
                directions.

        """
        owner, nodes = type(self.decoder).__name__, self.decoder.nodes
        if graph.nodes != nodes:
            raise ValueError(f"expected {nodes} nodes, as model.decoder.nodes says, got a network of {graph.nodes}")
        graph.require(owner, directed=None if self.decoder.directed else False, signed=True)
        self.graph = graph

    def link_scores(self, pairs: Tensor) -> Tensor:
        """Return the logits (P,) of links from the first to the second of pairs of nodes (P, 2)."""
        table = self.table()
        pairs = pairs.to(table.device)
        targets = self.decoder.targets() if self.decoder.directed else table
        return self.decoder.pair(table[pairs[:, 0]], targets[pairs[:, 1]])

    def items(self) -> Codes:
        """Return the codes of all nodes by name, with what is known of them and their "degree".

        The degree of a directed network is the number of links that go out; "in_degree" is beside it.

        Raises:
            ValueError: a code is not finite.

        """
        graph = self.graph
        counts = {"degree": graph.degrees()} | ({"in_degree": graph.in_degrees()} if graph.directed else {})
        z = self.manifold.onto(self.table().detach())
        return Codes(z.cpu(), self.names, self.manifold, {**graph.columns, **counts})


class NodeSpace(LatentSpace, LinkSpace):
    """One code for each of N nodes in a table that is learned.

    The likelihood is that of the decoder, and the prior puts the same probability at each code. Nodes are called "0",
    "1", ... until a network is taken.

    Args:
        decoder: codes (B, d) -> logits (B, N).
        spread: standard deviation of the numbers from which the manifold's parametrisation makes the first codes: in
            flat space of their coordinates, in hyperbolic space of half their distances from the origin.
        parametrised: whether `codes` are such numbers throughout, for optimisers that know no manifold; else they are
            codes, which an optimiser must keep on the manifold.

    Attributes:
        codes: the codes (N, d), or the numbers that they are made of.

    Raises:
        TypeError: the decoder is none of links.
        ValueError: the spread is not positive.

    """

    decoder: LinkDecoder
    prior: Atoms

    def __init__(self, decoder: LinkDecoder, spread: float = 1.0, parametrised: bool = False) -> None:
        if not isinstance(decoder, LinkDecoder):
            raise TypeError(f"expected a LinkDecoder, got {type(decoder).__name__}")
        if not 0 < spread < float("inf"):
            raise ValueError(f"expected a spread above 0, got {spread}")
        super().__init__(decoder, decoder.likelihood(), Atoms(decoder.dim, torch.ones(decoder.nodes)))
        raw = spread * torch.randn(decoder.nodes, decoder.dim)
        self.parametrised = bool(parametrised)
        self.codes = nn.Parameter(raw if parametrised else decoder.manifold.parametrised(raw))
        self.graph = Graph.of(torch.zeros(0, 2, dtype=torch.int64), decoder.nodes)
        self.prior.bind(self.table, decoder.manifold)
        decoder.bind(self.table)

    def table(self) -> Tensor:
        """Return the codes of the nodes (N, d), as they stand."""
        return self.manifold.parametrised(self.codes) if self.parametrised else self.codes
