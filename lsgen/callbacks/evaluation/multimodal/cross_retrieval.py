"""How well the code of one view finds the other view of an observation, with pictures of queries and their findings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, ClassVar

import torch
from torch import Tensor

from lsgen import viz
from lsgen.callbacks.base import Turns
from lsgen.callbacks.evaluation.multimodal.codes_of_views import OfViews, ViewedCodes, distance_of_views
from lsgen.callbacks.logging.sink import Sink
from lsgen.data import Split
from lsgen.latent.distances import CodeDistance
from lsgen.latent.neighbours import nearest_neighbours
from lsgen.metrics.multimodal import CrossRetrieval
from lsgen.viz.style import MUTED, SERIES

__all__ = ["CrossRetrievalQuality"]

NEIGHBOURS = 5
MOST_NUMBERS = 4  # of a view that is written in numbers
WIDTH, MOST_LINES = 96, 4  # of a sentence, in pixels and lines


class CrossRetrievalQuality(OfViews):
    """Logs recall at k and the median rank of each pair of views, both ways, in galleries of held-out observations.

    Beside each value stand its 95 % interval over observations, what a random order gives, and what one gets who knows
    the attributes that captions tell, where the data say which these are.

    Args:
        every_n_steps: see `OfHeldOut`.
        every_n_epochs: see `OfHeldOut`.
        n: see `OfHeldOut`.
        gallery: observations in a gallery.
        galleries: how many are drawn.
        ks: places at which lists of the nearest are cut.
        shown: queries in the pictures, of one gallery; 0 for none.
        splits: see `OfHeldOut`.
        chunk_size: see `OfHeldOut`.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: a number is out of its range; when training starts, there are fewer observations than in a gallery.
        TypeError: see `OfViews`.

    """

    family: ClassVar[str] = "cross_retrieval"
    judges: ClassVar[bool] = True

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        n: int = 2000,
        gallery: int = 256,
        galleries: int = 5,
        ks: Sequence[int] = (1, 5, 10),
        shown: int = 6,
        splits: Sequence[Split] = ("val", "test"),
        chunk_size: int = 500,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, n, splits, chunk_size, turns)
        self.at_least(0, shown=shown)
        CrossRetrieval(gallery, ks, galleries)
        self.gallery_size, self.galleries, self.ks, self.shown = gallery, galleries, tuple(ks), shown

    @property
    def least(self) -> int:
        """The number of observations in a gallery."""
        return self.gallery_size

    def judge(self, space: Any, found: ViewedCodes, sink: Sink) -> None:
        """Measure and log."""
        distance = distance_of_views(space)
        for first, second in combinations(found.codes, 2):
            names = (
                (second, first) if first in found.vocabularies and second not in found.vocabularies else (first, second)
            )
            a, b = (found.codes[name] for name in names)
            metric = CrossRetrieval(
                self.gallery_size, self.ks, self.galleries, distance, names, seed=self.seed, sync_on_compute=False
            ).to(a.device)
            identities = torch.stack([found.identities(name) for name in names], 1).to(a.device)
            told = self._told(found, names[1])
            metric.update(a, b, identities, *(() if told is None else (told.to(a.device),) * 2))
            scores = metric.compute()
            if len(found.codes) > 2:
                scores = {name: of for name, of in scores.items() if "/" in name}
            self.send(scores, sink)
            if self.shown:
                for query, gallery in (names, names[::-1]):
                    self._draw(found, query, gallery, distance, sink)

    def _told(self, found: ViewedCodes, view: str) -> Tensor | None:
        """Return the attributes that the sentences of a view tell, integers (N, K); None where that is not known."""
        read: Callable[[Sequence[str]], Sequence[dict[str, str] | None]] | None
        read = getattr(self._data, "attributes_of", None)
        if read is None or view not in found.vocabularies:
            return None
        rows = read(found.texts(view))
        names = sorted({name for row in rows for name in row or {}})
        if not names or any(row is None for row in rows):
            return None
        columns = []
        for name in names:
            values = sorted({row[name] for row in rows if row and name in row})
            columns.append([values.index(row[name]) if row and name in row else -1 for row in rows])
        return torch.tensor(columns).T

    def _draw(self, found: ViewedCodes, query: str, gallery: str, distance: CodeDistance, sink: Sink) -> None:
        """Draw queries and what they find in one gallery, identical items once; what is no hit has a red frame."""
        n = min(self.gallery_size, len(found))
        shown, same = min(self.shown, n), [found.identities(name)[:n] for name in (query, gallery)]
        kinds, places = same[1].unique(return_inverse=True)
        first = torch.full_like(kinds, n).scatter_reduce_(0, places, torch.arange(n), "amin")
        k = min(NEIGHBOURS, len(kinds))
        codes = found.codes[gallery][first.to(found.codes[gallery].device)]
        near = nearest_neighbours(found.codes[query][:shown].float(), codes.float(), k, distance)
        rows = first[near.indices.cpu()]
        own = torch.arange(shown)[:, None]
        hits = (same[0][rows] == same[0][own]) | (same[1][rows] == same[1][own])
        asked, items = _drawing(found, query, n), _drawing(found, gallery, n)
        cells = []
        for i, (places_of, lengths) in enumerate(zip(rows.tolist(), near.distances.tolist(), strict=True)):
            cards = [viz.Card(f"{length:.2g}", viz.framed(items(j), SERIES[2 if hit else 1]), not hit)
                     for j, length, hit in zip(places_of, lengths, hits[i].tolist(), strict=True)]  # fmt: skip
            cells.append([[viz.Card("", viz.framed(asked(i), MUTED))], *([card] for card in cards)])
        title = f"From {query} to {gallery}: the nearest of {len(kinds)} different ones and their distances"
        columns = [query, *(str(i + 1) for i in range(k))]
        sink.image(f"{self.family}/{query}_to_{gallery}/nearest", viz.cards(cells, [""] * shown, columns, title))


def _drawing(found: ViewedCodes, view: str, n: int) -> Callable[[int], viz.Pixels]:
    """Return what draws one of the first n observations by one view, as pixels (H, W, 3)."""
    part = found.parts[view][:n]
    if view in found.vocabularies:
        texts = found.vocabularies[view].decode(part)
        lines = min(viz.lines_needed(texts, WIDTH), MOST_LINES)
        return lambda i: viz.written([texts[i]], WIDTH, lines)[0]
    if part[0].numel() <= MOST_NUMBERS:
        rows = [", ".join(f"{value:.3g}" for value in row) for row in part.flatten(1).tolist()]
        return lambda i: viz.written([rows[i]], WIDTH, 1)[0]
    pixels = viz.upscale(viz.to_pixels(part, part.ndim - 1, viz.value_range(part)))
    drawn: Callable[[int], viz.Pixels] = pixels.__getitem__
    return drawn
