"""Traversals and interpolations told by the real items near each place, for spaces of items and without decoder.

A place that is farther from the items than 99 % of the items are from one another is marked: there is nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lsgen import viz
from lsgen.analysis.neighbours import Gallery, Retrieved
from lsgen.analysis.trajectories.diagnostics import OFF_MANIFOLD
from lsgen.callbacks.latent.options import TraversalFigures
from lsgen.callbacks.latent.probe_codes import in_sigmas
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.callbacks.rendering.drawings import drawing_of
from lsgen.latent import Codes, Euclidean, ItemSpace, LatentSpace, Space, encode_observations
from lsgen.latent.distances import CosineDistance
from lsgen.models.gan.directions.linear import Directions
from lsgen.viz import Card, Pixels

__all__ = ["LineOptions", "RetrievedView", "is_retrieved"]

_POOL, _CHUNK, _MOST = 1000, 256, 100_000
_COLUMNS = ["rank", "item", "distance", "percentile"]


def is_retrieved(space: Space) -> bool:
    """Return whether places in a space are told by its items, or by observations near them, rather than decoded."""
    return isinstance(space, ItemSpace) or not isinstance(space, LatentSpace)


@dataclass(frozen=True)
class LineOptions:
    """Along which lines places are retrieved, as `LatentTraversal` takes them.

    Attributes:
        points: values on each axis.
        sigmas: greatest value, in standard deviations.
        quantile: instead, the lower of the two extreme quantiles of the items.
        directions: unit vectors beside the axes, or what finds them.
        figures: what is shown.
        seed: of the choice of items at which paths start.

    """

    points: int
    sigmas: float
    quantile: float | None
    directions: Directions | Callable[[Any], Directions] | None
    figures: TraversalFigures
    seed: int


class RetrievedView:
    """The figures and tables of one turn.

    Args:
        of: along which lines.
        space: a space with items, or with an encoder alone.
        probe: observations, for a space with an encoder; those in its gallery are retrieved.

    Raises:
        ValueError: an item that is asked for is none, or no code is where the distance knows it.

    """

    def __init__(self, of: LineOptions, space: Space, probe: Probe | None) -> None:
        self.of, self.space, self.options = of, space, of.figures.retrieval
        self.pictures: list[Pixels] | None = None
        if isinstance(space, ItemSpace):
            items = space.items()
            rows = self._rows(items)
            self.starts = items.tensor()[torch.from_numpy(rows)]
            self.names = [str(name) for name in items.ids[rows].tolist()]
        else:
            items = self._encoded(space, probe)
        self.gallery = Gallery(items, CosineDistance() if self.options.distance == "cosine" else None)
        z = items.tensor()
        self.some = z if len(z) <= _MOST else z[:: -(-len(z) // _MOST)]
        self.axes = self.some.std(0, correction=0).argsort(descending=True)[: self.options.max_axes].tolist()

    def _encoded(self, space: Any, probe: Probe | None) -> Codes:
        """Return the codes of the gallery, and note where paths start."""
        if probe is None:
            raise ValueError(f"expected observations for the encoder of {type(space).__name__}, got none")
        shown = probe if probe.gallery is None else probe.gallery
        if 1 < shown.x.ndim < 5:
            draw = drawing_of(space, shown.x, self.of.figures.decoding.bounds)
            self.pictures, self.inputs = list(draw(shown.x)), list(draw(probe.x[: self._wanted]))
        batches = [{"x": x} for x in shown.x.split(_CHUNK)]
        items = encode_observations(space, batches, None, ())
        known = encode_observations(space, [{"x": probe.x[: self._wanted]}], None, ())
        self.starts, self.names = known.tensor(), [f"input {i}" for i in range(len(known))]
        labels = shown.label
        return items if labels is None else items.with_columns({"label": labels.cpu().numpy()})

    @property
    def _wanted(self) -> int:
        return max(self.of.figures.grid_anchors, 2 * self.of.figures.pairs)

    def _rows(self, items: Codes) -> np.ndarray:
        """Return the items at which paths start: those asked for, then some of the thousand that are most frequent."""
        asked = [str(name) for name in self.options.items]
        place = {str(name): row for row, name in enumerate(items.ids.tolist())}
        if missing := [name for name in asked if name not in place]:
            raise ValueError(f"expected items of the space, got {missing[0]!r}, which is none")
        first = np.arange(len(items))
        if "count" in items.columns:
            first = np.argsort(-np.asarray(items.columns["count"], dtype=float), kind="stable")
        pool = np.random.default_rng(self.of.seed).permutation(first[:_POOL])
        chosen = [place[name] for name in asked]
        chosen += [int(row) for row in pool if int(row) not in set(chosen)][: max(0, self._wanted - len(chosen))]
        return np.asarray(chosen[: max(self._wanted, len(asked))], dtype=np.int64)

    def draw(self, sink: Sink, paths: Sequence[tuple[str, Callable[[Tensor, Tensor, int], Tensor]]]) -> None:
        """Draw axes, directions and paths, and write their tables."""
        self._axes(sink)
        if self.of.directions is not None:
            self._directions(sink, self.of.directions)
        if len(self.starts) > 1:
            count = min(self.of.figures.pairs, len(self.starts) // 2)
            start, end = self.starts[: 2 * count].unflatten(0, (count, 2)).unbind(1)
            rows: list[list[Any]] = []
            for name, path in paths:
                rows += self._path(sink, name, path(start, end, self.of.figures.path_points))
            sink.rows("interpolation/retrieved", ["from", "to", "path", "t", *_COLUMNS], rows)
        sink.codes("traversal/codes", Codes(self.starts, self.names, self.gallery.items.manifold))

    def _axes(self, sink: Sink) -> None:
        anchors = self.starts[: self.of.figures.grid_anchors]
        levels, labels = self._levels(self.of.points)
        blocks = [self.space.manifold.traversal(anchors, torch.tensor([axis]), levels[:, axis]) for axis in self.axes]
        names = [f"z{axis}" for axis in self.axes]
        self._traversed(sink, "axes", torch.cat(blocks, 1), names, labels)

    def _directions(self, sink: Sink, directions: Directions | Callable[[Any], Directions]) -> None:
        found = directions if isinstance(directions, Directions) else directions(self.space)
        on = found.on(self.space)
        t = torch.linspace(-self.of.sigmas, self.of.sigmas, self.of.points)
        scale = self.some.std(0, correction=0)
        flat = isinstance(self.space.manifold, Euclidean)
        vectors = on.vectors.to(self.starts)
        along = (self.some @ vectors.T).std(0, correction=0) if flat else (vectors**2 @ scale**2).sqrt()
        moved = replace(on, vectors=along[:, None] * vectors).traverse(self.starts[: self.of.figures.grid_anchors], t)
        self._traversed(sink, "directions", moved, list(on.names), _sigmas(t))

    def _traversed(self, sink: Sink, key: str, z: Tensor, names: list[str], labels: list[str]) -> None:
        """Draw places (A, K, N, d) around A anchors, K lines of N places each, and write their table."""
        found = self.gallery.nearest(z, self.options.neighbours)
        anchors = self.names[: len(z)]
        cells, rows, table = [], [], list[list[Any]]()
        for a, anchor in enumerate(anchors):
            for k, name in enumerate(names):
                cells.append([[self._start(a)], *(self._cell(found, (a, k, n)) for n in range(len(labels)))])
                rows.append(f"{anchor}  {name}")
                for n, label in enumerate(labels):
                    table += [[anchor, name, label, *row] for row in self._entries(found, (a, k, n))]
        title = f"By retrieval, the {found.ids.shape[-1]} nearest of {len(self.gallery.items):,} items and how far"
        sink.image(f"traversal/{key}", viz.cards(cells, rows, ["start", *labels], f"{title}; {self._span()}"))
        of = "retrieved" if key == "axes" else f"retrieved_{key}"
        sink.rows(f"traversal/{of}", ["start", "line", "value", *_COLUMNS], table)
        sink.scalars(_off(f"traversal/{key}", found.percentile))

    def _path(self, sink: Sink, name: str, z: Tensor) -> list[list[Any]]:
        """Draw paths (P, N, d), and return the rows of their table."""
        found, table = self.gallery.nearest(z, self.options.neighbours), list[list[Any]]()
        cells, rows, times = [], [], np.linspace(0, 1, z.shape[1])
        for p in range(len(z)):
            start, end = self.names[2 * p], self.names[2 * p + 1]
            places = [self._cell(found, (p, n)) for n in range(len(times))]
            cells.append([[self._start(2 * p)], *places, [self._start(2 * p + 1)]])
            rows.append("" if bool(z[p].isfinite().all()) else f"no {name}")
            for n, t in enumerate(times):
                table += [[start, end, name, round(float(t), 6), *row] for row in self._entries(found, (p, n))]
        labels = ["from", *(f"{t:.2g}" for t in times), "to"]
        title = f"{name.capitalize()} interpolation by retrieval: nearest items, how far, percentile of distance"
        sink.image(f"interpolation/{name}", viz.cards(cells, rows, labels, title))
        sink.scalars(_off(f"interpolation/{name}", found.percentile[:, 1:-1]))
        return table

    def _start(self, i: int) -> Card:
        return Card(self.names[i], None if self.pictures is None else self.inputs[i])

    def _cell(self, found: Retrieved, at: tuple[int, ...]) -> list[Card]:
        share = found.percentile[at]
        off = bool(share > OFF_MANIFOLD)
        if found.rows[at][0] < 0:
            return [Card("not there", marked=True)]
        if self.pictures is not None:
            lines = [f"{_shown(far)}" for far in found.distances[at]]
            lines[0] += f" · {share:.0f} %" if np.isfinite(share) else ""
            return [Card(line, self.pictures[int(row)], off) for line, row in zip(lines, found.rows[at], strict=True)]
        pairs = zip(found.ids[at], found.distances[at], strict=True)
        cards = [Card(f"{item}  {_shown(far)}", marked=off) for item, far in pairs]
        return [*cards, Card(f"{share:.0f} %", marked=off)] if np.isfinite(share) else cards

    def _entries(self, found: Retrieved, at: tuple[int, ...]) -> list[list[Any]]:
        share = float(found.percentile[at])
        items = zip(found.rows[at], found.ids[at], found.distances[at], strict=True)
        return [[r + 1, _plain(item), float(far), share] for r, (row, item, far) in enumerate(items) if row >= 0]

    def _levels(self, count: int) -> tuple[Tensor, list[str]]:
        """Return the values (count, d) that each axis takes, and their names."""
        q = self.of.quantile
        if q is not None:
            values = torch.quantile(self.some, torch.linspace(q, 1 - q, count), dim=0)
            return values, [f"{share:.2g}" for share in torch.linspace(q, 1 - q, count).tolist()]
        t = torch.linspace(-self.of.sigmas, self.of.sigmas, count)
        if isinstance(self.space, LatentSpace):
            return self.space.prior.levels(t).cpu().to(self.starts), _sigmas(t)
        flat = isinstance(self.space.manifold, Euclidean)
        values = t[:, None] * self.some.std(0, correction=0)
        return (values + self.some.mean(0) if flat else values), _sigmas(t)

    def _span(self) -> str:
        q, total = self.of.quantile, self.space.dim
        whose = "prior σ" if isinstance(self.space, LatentSpace) else "σ of the items"
        span = f"±{self.of.sigmas:g} {whose}" if q is None else f"quantiles {q:g} to {1 - q:g} of the items"
        return span if len(self.axes) == total else f"{span}, the {len(self.axes)} widest of {total} axes"


def _off(key: str, percentile: np.ndarray) -> dict[str, float]:
    """Return the share of places that are off the manifold of the items, where that is known of any."""
    known = percentile[np.isfinite(percentile)]
    return {f"{key}_off_manifold": float((known > OFF_MANIFOLD).mean())} if known.size else {}


def _sigmas(t: Tensor) -> list[str]:
    return [in_sigmas(value) for value in t.tolist()]


def _plain(item: Any) -> Any:
    return item.item() if isinstance(item, np.generic) else item


def _shown(distance: float) -> str:
    """Return a distance in three digits; 0 for rounding errors."""
    return f"{distance:.3g}" if distance > 1e-6 else "0"
