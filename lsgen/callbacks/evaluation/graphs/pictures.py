"""Maps of a network by the codes of its nodes while they train."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from lsgen import viz
from lsgen.analysis.projections import disk, identity, pca
from lsgen.callbacks.base import Turns
from lsgen.callbacks.evaluation.graphs.of_networks import OfNetworks
from lsgen.callbacks.logging.sink import Sink
from lsgen.data import GraphData
from lsgen.latent import Codes, Euclidean, ItemSpace, Lorentz, PoincareBall

__all__ = ["NetworkPictures"]


class NetworkPictures(OfNetworks):
    """Draws nodes with their links: in the Poincare disk where codes are hyperbolic, else in a plane.

    Codes on a hyperboloid are taken to the ball by the isometry between both. What has more than two dimensions is
    shown by its two principal directions. Nodes are as large as they have links in training.

    Args:
        every_n_steps: see `PeriodicCallback`.
        every_n_epochs: see `PeriodicCallback`.
        colour: column of the network that nodes are coloured by, such as "label" or "degree"; the first that holds text
            unless given, else the degree.
        named: how many nodes are named, those with the most links, where the network has names.
        most_links: how many links are drawn, at random, the same in every turn, where there are more.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: a number is negative; there is no such column, which a warning says.
        TypeError: see `OfNetworks`.

    """

    family: ClassVar[str] = "graph/map"

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        colour: str | None = None,
        named: int = 12,
        most_links: int = 20_000,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self.at_least(0, named=named, most_links=most_links)
        self.colour, self.named, self.most_links = colour, named, most_links

    def judge(self, space: ItemSpace, data: GraphData, sink: Sink) -> None:
        """Draw and log."""
        codes, graph = self.codes(space, data), data.graph
        column = self.colour or next(
            (name for name, values in graph.columns.items() if values.dtype.kind in "OUST"), "degree"
        )
        if column not in codes.columns:
            raise ValueError(f"expected a column out of {', '.join(codes.columns)}, got {column!r}")
        links = graph.edges
        if len(links) > self.most_links:
            generator = torch.Generator().manual_seed(self.seed)
            links = links[torch.randperm(len(links), generator=generator)[: self.most_links]]
        hyperbolic = isinstance(codes.manifold, Lorentz | PoincareBall) and codes.dim > 1
        projection = _projected(codes)
        hubs = data.counts.argsort(descending=True, stable=True)[: self.named].tolist()
        plain = graph.names == tuple(map(str, range(graph.nodes)))
        labels = {} if plain else {node: graph.names[node] for node in hubs}
        groups = codes.columns[column] if column != "degree" else (1 + data.counts.double()).log().numpy()
        count = f"{graph.nodes} nodes and {len(links)} of {len(graph)} links, coloured by {column}"
        draw = viz.poincare_disk if hyperbolic else viz.network_map
        sink.image(self.family, draw(projection, links.numpy(), count, groups, data.counts.numpy(), labels))


def _projected(codes: Codes) -> NDArray[np.float64]:
    """Return places (N, 2) of codes: in the unit disk where they are hyperbolic, else in a plane."""
    manifold = codes.manifold
    if isinstance(manifold, Lorentz):
        codes = Codes(manifold.to_ball(codes.tensor().double()), codes.ids, manifold.ball)
    if isinstance(codes.manifold, PoincareBall) and codes.dim > 1:
        return disk(codes).coordinates
    flat = isinstance(codes.manifold, Euclidean) and codes.dim <= 2
    return (identity(codes) if flat else pca(codes)).coordinates
