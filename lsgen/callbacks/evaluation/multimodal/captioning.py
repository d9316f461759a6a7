"""What captions of held-out observations say, and how they say it, beside captions that are found in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities.rank_zero import rank_zero_info
from torch import Tensor

from lsgen import viz
from lsgen.analysis.intervals import share_interval
from lsgen.callbacks.base import PeriodicCallback, Turns
from lsgen.callbacks.evaluation.multimodal.observed_parts import ObservedParts, multimodal_data
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.data import MultimodalData, Split
from lsgen.latent import FeatureSpace
from lsgen.latent.multimodal import ViewSpace
from lsgen.latent.neighbours import nearest_neighbours
from lsgen.metrics.multimodal import CaptionScores, caption_scores
from lsgen.models.multimodal import CaptionSpace
from lsgen.viz.style import MUTED, SERIES

__all__ = ["CaptionQuality"]


class CaptionQuality(PeriodicCallback):
    """Logs BLEU-1 to BLEU-4, the share of captions with right attributes, of sentences, and of new captions.

    A space that has learned captions is asked for them word by word, "greedy", and by beams; the captions of the
    nearest training observations by its codes are "nearest". Views of a dual encoder find the training caption nearest
    to an image, "nearest" as well. The captions of training observations drawn at random are "chance".

    Args:
        every_n_steps: generator steps between turns; without a cadence it fires at the end only.
        every_n_epochs: see `PeriodicCallback`.
        n: held-out observations of each split, drawn at random; all of them where there are fewer.
        splits: where they come from.
        known: training observations among which captions are found, and that tell which captions are new.
        beams: sentences that are followed at a time.
        shown: captions in the picture; 0 for none.
        chunk_size: observations described at a time.
        turns: see `PeriodicCallback`.

    Raises:
        ValueError: a number is out of range, or no split is named; when training starts, the data have no captions.
        TypeError: when training starts, the data are no `MultimodalData`. Of a space without captions, a line says that
            it is left out.

    """

    family: ClassVar[str] = "captions"
    judges: ClassVar[bool] = True
    takes: ClassVar[type] = FeatureSpace
    default_steps: ClassVar[int | None] = None

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        n: int = 1000,
        splits: Sequence[Split] = ("val", "test"),
        known: int = 5000,
        beams: int = 4,
        shown: int = 12,
        chunk_size: int = 250,
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self.at_least(1, n=n, known=known, chunk_size=chunk_size)
        self.at_least(2, beams=beams)
        self.at_least(0, shown=shown)
        if not splits:
            raise ValueError("CaptionQuality expected at least one split, got none")
        self.n, self.splits, self.known, self.beams, self.shown = n, tuple(splits), known, beams, shown
        self.chunk_size = chunk_size
        self._data: MultimodalData | None = None

    def left_out(self, space: Any) -> str | None:
        """Return why a space has no captions; None where it has."""
        if not isinstance(space, CaptionSpace | ViewSpace):
            return f"{type(space).__name__} is neither a CaptionSpace nor a ViewSpace"
        return None

    def prepare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Store the data module, and say where its views are not one thing and its caption."""
        self._data = multimodal_data(self, trainer, self.splits)
        if _sides(pl_module.latent_space, self._data) is None:
            rank_zero_info("CaptionQuality asks nothing: the data have no captions, or several kinds of them")
            self._data = None

    def render(self, space: CaptionSpace | ViewSpace, probe: Probe | None, sink: Sink) -> None:
        """Describe, score and log."""
        if self._data is None:
            return
        found = _Library(space, ObservedParts.of(self._data, "train", self.known), self.chunk_size, self.seed)
        for split, asked in ObservedParts.each(self._data, self.splits, self.n):
            captions = self._captions(space, found, asked)
            true = asked.texts(found.target)
            parse = getattr(self._data, "attributes_of", None)
            scores = {name: caption_scores(own, true, parse, found.known) for name, own in captions.items()}
            self._log(split, scores, sink)
            if self.shown and split == self.splits[-1]:
                self._draw(asked, captions, true, parse, sink)

    def _captions(self, space: CaptionSpace | ViewSpace, found: _Library, asked: ObservedParts) -> dict[str, list[str]]:
        """Return captions of every kind."""
        batches = partial(asked.batches, self.chunk_size, space)
        captions = {}
        if isinstance(space, CaptionSpace):
            captions["greedy"] = [text for x in batches() for text in space.texts_of(x)]
            captions[f"beam_{self.beams}"] = [text for x in batches() for text in space.texts_of(x, self.beams)]
        captions["nearest"] = [text for x in batches() for text in found.nearest(x)]
        return {**captions, "chance": found.chance(len(asked.x))}

    def _log(self, split: Split, scores: Mapping[str, CaptionScores], sink: Sink) -> None:
        scalars: dict[str, float] = {}
        rows = []
        for name, one in scores.items():
            shares = {
                **{f"attribute/{attribute}": counts for attribute, counts in one.attributes.items()},
                **{
                    key: (count, one.n)
                    for key, count in (("exact", one.exact), ("valid", one.valid), ("novel", one.novel))
                    if count is not None
                },
            }
            for key, value in one.bleu.items():
                scalars[f"{self.family}/{split}/{name}/{key}"] = value
                rows.append([name, key, value, None, None, one.n])
            for key, (right, of) in shares.items():
                low, high = share_interval(right, of)
                place = f"{self.family}/{split}/{name}/{key}"
                scalars |= {place: right / of, f"{place}_low": low, f"{place}_high": high}
                rows.append([name, key, right / of, low, high, of])
        sink.scalars(scalars)
        columns = ["captions", "measure", "value", "lower end", "upper end", "number"]
        sink.rows(f"{self.family}/{split}/scores", columns, rows)

    def _draw(
        self, asked: ObservedParts, captions: Mapping[str, list[str]], true: list[str], parse: Any, sink: Sink
    ) -> None:
        name = next(iter(captions))
        shown, own = min(self.shown, len(true)), captions[name]
        said, stated = (own, true) if parse is None else (parse(own[:shown]), parse(true[:shown]))
        lines = []
        for i in range(shown):
            right = said[i] == stated[i]
            truth = [] if right else [viz.TextLine(f"true: {true[i]}", MUTED)]
            lines.append([viz.TextLine(own[i] or "(nothing)", SERIES[2] if right else SERIES[1]), *truth])
        title = f"Captions, {name.replace('_', ' ')}: green where all they say is right, else with the true ones"
        sink.image(f"{self.family}/examples", viz.captioned(asked.pictures(shown), lines, title=title))


class _Library:
    """Captions of training observations, to be found by what they describe.

    Args:
        space: whose codes tell what is near.
        trained: the training observations.
        chunk_size: observations encoded at a time.
        seed: of captions by chance.

    """

    def __init__(self, space: CaptionSpace | ViewSpace, trained: ObservedParts, chunk_size: int, seed: int) -> None:
        sides = _sides(space, trained.data)
        assert sides is not None
        self.space, (self.source, self.target) = space, sides
        self.captions = trained.texts(self.target)
        self.known = frozenset(self.captions)
        side = self.source if isinstance(space, CaptionSpace) else self.target
        self.codes = torch.cat([self._codes(x, side) for x in trained.batches(chunk_size, space)])
        self._distance, self._seed = space.distance, seed

    def nearest(self, x: Tensor) -> list[str]:
        """Return the captions found for packed observations (N, D), whose own captions are not looked at."""
        found = nearest_neighbours(self._codes(x, self.source), self.codes, 1, self._distance)
        return [self.captions[row] for row in found.indices[:, 0].tolist()]

    def chance(self, n: int) -> list[str]:
        """Return n captions drawn at random."""
        drawn = torch.randint(len(self.captions), (n,), generator=torch.Generator().manual_seed(self._seed))
        return [self.captions[row] for row in drawn.tolist()]

    def _codes(self, x: Tensor, side: str) -> Tensor:
        if isinstance(self.space, CaptionSpace):
            return self.space.encode(x).mean
        return self.space.views[side].encode(self.space.packing.unpack(x)[side]).mean


def _sides(space: Any, data: MultimodalData) -> tuple[str, str] | None:
    """Return the names of what is described and of its caption; None where views are others."""
    if isinstance(space, CaptionSpace):
        return space.source, space.target
    texts = [name for name in data.packing.names if name in data.vocabularies]
    others = [name for name in data.packing.names if name not in texts]
    return (others[0], texts[0]) if len(texts) == len(others) == 1 else None
