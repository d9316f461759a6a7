"""Maps of a signed network of places while it is learned: flows, attractiveness and codes, year by year."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningModule, Trainer

from lsgen import viz
from lsgen.analysis.projections import pca
from lsgen.callbacks.base import Turns
from lsgen.callbacks.evaluation.graphs.of_networks import OfNetworks
from lsgen.callbacks.logging.sink import Sink
from lsgen.data import GraphData, GraphSource
from lsgen.latent import Codes, ItemSpace, Sphere
from lsgen.latent.graphs import Graph
from lsgen.metrics.graphs import attractiveness

__all__ = ["FlowMaps"]

_PLACE = ("latitude", "longitude")
_CURVES = 5  # places whose attractiveness is drawn over the years


class FlowMaps(OfNetworks):
    """Draws the places of a signed network on maps: their flows, how attractive they are, and their codes as colours.

    Places have the columns "latitude" and "longitude", in degrees. Where a column "year" tells several years apart, and
    "place" says which nodes are the same place, maps are animated over the years, and the distance of a place's codes
    in years that follow each other is logged. Colours are the first three principal components of the codes of all
    years together.

    Args:
        every_n_steps: generator steps between turns; without a cadence it fires at the end only.
        every_n_epochs: see `PeriodicCallback`.
        links: the network whose links are drawn, of the same nodes, such as a backbone; the strongest links of the data
            unless given.
        most: how many links are drawn in a year.
        named: how many places are named, the most attractive ones for those who come.
        fps: years in a second of an animation.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: a number is out of its range; when training starts, places have no latitude and longitude, links no
            weights, or links are those of other nodes.
        TypeError: see `OfNetworks`.

    """

    family: ClassVar[str] = "graph/flows"

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        links: GraphSource | None = None,
        most: int = 400,
        named: int = 12,
        fps: float = 1.0,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self.at_least(0, most=most, named=named)
        if not 0 < fps <= 50:
            raise ValueError(f"FlowMaps expected fps above 0 and up to 50, got {fps}")
        self.links, self.most, self.named, self.fps = links, most, named, float(fps)
        self._drawn: Graph | None = None

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Store the network and the links that are drawn; refuse what has no places."""
        super().prepare(trainer, pl_module)
        assert self._network is not None
        whole = self._network.whole
        if not set(_PLACE) <= set(whole.columns):
            raise ValueError(f"FlowMaps expected nodes with the columns latitude and longitude, got {whole} without")
        drawn = whole if self.links is None else self.links.graph()
        if drawn.weights is None or whole.weights is None:
            raise ValueError("FlowMaps expected links with weights, got some without")
        if drawn.names != whole.names:
            raise ValueError(f"FlowMaps expected links of the {whole.nodes} nodes of the data, got those of others")
        self._drawn = drawn

    def judge(self, space: ItemSpace, data: GraphData, sink: Sink) -> None:
        """Draw and log, year by year."""
        assert self._drawn is not None
        codes, graph, drawn = self.codes(space, data), data.whole, self._drawn
        weights = torch.stack(list(attractiveness(graph))).numpy()
        weights = np.where(np.isnan(weights), 0.0, weights)
        colours = _colours(codes)
        limits = float(weights.min()), float(weights.max())
        frames: dict[str, list[viz.Pixels]] = {"links": [], "attractiveness": [], "codes": []}
        for year, rows in _years(graph).items():
            places = np.stack([graph.columns[name][rows] for name in _PLACE], 1)
            names = self._names(graph, rows, weights[0])
            links, strengths = _within(drawn, rows, self.most)
            of = f" {year}" if year is not None else ""
            title = f"Flows{of}: the {len(links)} links that are strongest" if self.links is None else f"Flows{of}"
            frames["links"].append(viz.flow_map(places, links, strengths, title, names))
            panels = {"people come": weights[0][rows], "people leave": weights[1][rows]}
            title = f"Attractiveness{of}: from how many and to how many places"
            frames["attractiveness"].append(viz.place_maps(places, panels, title, "mean signed weight", limits, names))
            title = f"Codes{of}: three principal components as colours"
            frames["codes"].append(viz.place_maps(places, {"": colours[rows]}, title, names=names))
        for name, pictures in frames.items():
            sink.image(f"{self.family}/{name}", pictures[-1])
            if len(pictures) > 1:
                sink.animation(f"{self.family}/{name}_by_year", np.stack(pictures), self.fps)
        self._tell(codes, graph, weights, sink)

    def _names(self, graph: Graph, rows: NDArray[np.int64], arriving: NDArray[np.float64]) -> Mapping[int, str]:
        """Return which places are named, of those of a year: the same in every year, by the mean over all of them."""
        called = _places(graph)
        means = {place: arriving[called == place].mean() for place in called[rows]}
        chosen = sorted(means, key=lambda place: (-means[place], str(place)))[: self.named]
        return {int(np.flatnonzero(called[rows] == place)[0]): str(place) for place in chosen}

    def _tell(self, codes: Codes, graph: Graph, weights: NDArray[np.float64], sink: Sink) -> None:
        """Log the numbers of all places and years, and how the most changed ones and all codes moved over the years."""
        years, called = _years(graph), _places(graph)
        moved = np.full(graph.nodes, np.nan)
        z = codes.tensor().double()
        for (_, before), (_, now) in pairwise(years.items()):
            _, one, other = np.intersect1d(called[before], called[now], return_indices=True)
            moved[now[other]] = codes.manifold.distance(z[now[other]], z[before[one]]).numpy()
        of = {row: year for year, rows in years.items() for row in rows.tolist()}
        table = [
            [str(called[row]), of[row], float(weights[0][row]), float(weights[1][row]), _or_none(moved[row])]
            for row in range(graph.nodes)
        ]
        sink.rows(f"{self.family}/places", ["place", "year", "people come", "people leave", "moved"], table)
        if len(years) == 1:
            return
        sink.scalars({f"{self.family}/moved": float(np.nanmean(moved))})
        curves = {place: np.flatnonzero(called == place) for place in dict.fromkeys(called.tolist())}
        kept = {place: rows for place, rows in curves.items() if len(rows) == len(years)}
        change = {place: abs(weights[0][rows[-1]] - weights[0][rows[0]]) for place, rows in kept.items()}
        most = sorted(change, key=lambda place: (-change[place], str(place)))[:_CURVES]
        when = [float(year or 0) for year in years]
        series = {str(place): (when, weights[0][kept[place]]) for place in most}
        title = "Places whose attractiveness has changed most"
        sink.image(f"{self.family}/changes", viz.curves(series, title, "year", "mean signed weight of who comes"))


def _years(graph: Graph) -> dict[int | None, NDArray[np.int64]]:
    """Return the nodes of each year, ascending; of one without a name where the network has no years."""
    if "year" not in graph.columns:
        return {None: np.arange(graph.nodes)}
    year = graph.columns["year"]
    return {int(value): np.flatnonzero(year == value) for value in np.unique(year)}


def _places(graph: Graph) -> NDArray[np.object_]:
    """Return which place each node is, (N,): the column "place", else its name."""
    return np.array([*graph.columns.get("place", graph.names)], dtype=object)


def _within(graph: Graph, rows: NDArray[np.int64], most: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the strongest links between nodes, which are numbered anew, and their weights."""
    mask = torch.zeros(graph.nodes, dtype=torch.bool)
    mask[torch.from_numpy(rows)] = True
    inner = graph.subgraph(mask)
    weights = inner.strengths()
    kept = weights.abs().argsort(descending=True, stable=True)[:most]
    return inner.edges[kept].numpy(), weights[kept].numpy()


def _colours(codes: Codes) -> NDArray[np.float64]:
    """Return principal components as colours (N, 3), 0 in the middle."""
    around = Codes(codes.z, codes.ids) if isinstance(codes.manifold, Sphere) else codes  # a sphere has no centre
    found = pca(around, 3).coordinates
    colours: NDArray[np.float64] = 0.5 + 0.5 * found / max(float(np.abs(found).max()), 1e-12)
    return colours


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
