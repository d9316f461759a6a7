"""How well the nearest codes find observations of a label, with a picture of queries and their nearest observations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch

from lsgen import viz
from lsgen.callbacks.base import Turns
from lsgen.callbacks.evaluation.embedding.labelled_codes import LabelledCodes, OfLabelledCodes
from lsgen.callbacks.logging.sink import Sink
from lsgen.data import Split
from lsgen.latent import EncodableSpace
from lsgen.latent.distances import CodeDistance
from lsgen.latent.neighbours import nearest_neighbours
from lsgen.metrics.retrieval import Retrieval
from lsgen.viz.style import MUTED, SERIES

__all__ = ["RetrievalQuality"]

NEIGHBOURS = 8


class RetrievalQuality(OfLabelledCodes):
    """Logs precision, recall, hit rate and nDCG at k, R-precision, MAP@R and MRR of held-out observations.

    Each is a query, and all others are what is searched, by the distance of the space, which is that of the manifold on
    which codes lie unless the model has learned another, as `WeightedL1` does; those of its label are relevant. Beside
    each value stand its 95 % interval over queries and what a random order gives.

    Args:
        every_n_steps: see `OfHeldOut`.
        every_n_epochs: see `OfHeldOut`.
        n: see `OfHeldOut`.
        ks: places at which lists of the nearest are cut.
        shown: queries in the picture; 0 for none.
        splits: see `OfHeldOut`.
        chunk_size: see `OfHeldOut`.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: a number is out of its range; see `OfLabelledCodes`.
        TypeError: see `OfLabelledCodes`.

    """

    family: ClassVar[str] = "retrieval"
    judges: ClassVar[bool] = True

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        n: int = 2000,
        ks: Sequence[int] = (1, 5, 10),
        shown: int = 8,
        splits: Sequence[Split] = ("val", "test"),
        chunk_size: int = 500,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, n, splits, chunk_size, turns)
        self.at_least(0, shown=shown)
        Retrieval(ks)
        self.ks, self.shown = tuple(ks), shown

    def judge(self, space: EncodableSpace, codes: LabelledCodes, sink: Sink) -> None:
        """Measure and log."""
        distance = space.distance
        metric = Retrieval(self.ks, distance, sync_on_compute=False).to(codes.z.device)
        metric.update(codes.z, codes.labels)
        self.send(metric.compute(), sink)
        if self.shown:
            self._draw(codes, distance, sink)

    def _draw(self, codes: LabelledCodes, distance: CodeDistance, sink: Sink) -> None:
        k, shown = min(NEIGHBOURS, len(codes.z) - 1), min(self.shown, len(codes.z))
        found = nearest_neighbours(codes.z.float(), None, k, distance)
        lengths, near = found.distances[:shown].cpu(), found.indices[:shown].cpu()
        rows = torch.cat([torch.arange(shown)[:, None], near], 1)
        labels = codes.labels.cpu()
        x = codes.x[rows]
        pixels = viz.upscale(viz.to_pixels(x, codes.x.ndim - 1, viz.value_range(codes.x[rows.unique()])))
        right = (labels[near] == labels[:shown, None]).numpy()
        framed = np.concatenate([viz.framed(pixels[:, :1], MUTED), _judged(pixels[:, 1:], right)], 1)
        names = [f"{label}: " + ", ".join(f"{d:.2g}" for d in row[:3]) for label, row in zip(
            labels[:shown].tolist(), lengths.tolist(), strict=True)]  # fmt: skip
        columns = ["query", *(str(i + 1) for i in range(k))]
        title = "Queries with their label and distances, and the nearest observations"
        sink.image(f"{self.family}/nearest", viz.grid(framed, names, columns, title, gaps=[1]))


def _judged(pixels: viz.Pixels, right: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> viz.Pixels:
    """Return pictures with frames that say whether they are right."""
    good, bad = viz.framed(pixels, SERIES[2]), viz.framed(pixels, SERIES[1])
    return np.where(right[..., None, None, None], good, bad)
