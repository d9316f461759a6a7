"""Base class of data sets that are networks, of which links are held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor

from lsgen.data.draws import Purpose, key
from lsgen.data.encodings import Numbered
from lsgen.data.graphs.link_split import HeldOutLinks, LinkSplit
from lsgen.data.graphs.non_links import draw_non_links
from lsgen.data.graphs.source import FeatureSource, GraphSource
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule, Split
from lsgen.data.sampler import OrderedBatches
from lsgen.latent.graphs import Graph

__all__ = ["GraphData"]


class GraphData(DataModule):
    """Abstract network of which links are held out; a member says what an observation is.

    Args:
        shape: shape of an observation that the configuration states; None for that of the data.
        provides: the shape that the data have.
        nodes: number of nodes that the configuration states; None for what the network has.
        graph: where the network comes from.
        split: which links are held out, `LinkSplit` or its options.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training.
        loading: workers, left-over batches and the seed of the splits.

    Attributes:
        source: where the network comes from.
        whole: all links.
        graph: the links of training, between all nodes.
        split: which links are held out.
        nodes: number N of nodes.
        vocabulary: their names, in the order of their numbers.
        counts: the degree of each in training, int64 (N,), 0 for one without a link; with direction, links out and in.

    Raises:
        ValueError: an option is out of its range, the network has another number of nodes or no links, or see
            `LinkSplit.rows`.

    """

    def __init__(
        self,
        shape: Sequence[int] | None,
        provides: Sequence[int],
        nodes: int | None,
        graph: GraphSource,
        split: LinkSplit | Mapping[str, Any],
        batch_size: int,
        seed: int,
        loading: Loading,
    ) -> None:
        self.source, self.split = graph, LinkSplit.of(split)
        self.whole: Graph = graph.graph()
        self.whole.require(type(self).__name__, signed=True)
        if nodes not in (None, self.whole.nodes):
            raise ValueError(f"expected data.nodes of {self.whole.nodes}, which {self.whole} has, got {nodes}")
        self.nodes, self.vocabulary = self.whole.nodes, self.whole.names
        self._rows = self.split.rows(self.whole, loading.split_seed)
        self.graph = self.whole.kept(self._rows["train"])
        degrees = self.graph.degrees()
        self.counts: Tensor = degrees + self.graph.in_degrees() if self.graph.directed else degrees
        super().__init__(shape, provides, Numbered(), batch_size, seed, loading)

    @cached_property
    def features(self) -> Any:
        """Features of the nodes, a sparse array of scipy in rows (N, F); None where the source knows none."""
        return self.source.features() if isinstance(self.source, FeatureSource) else None

    def setup(self, stage: str | None = None) -> None:
        """Build the splits that a stage needs, and warn of held-out links of nodes that training does not know."""
        super().setup(stage)
        if stage in ("fit", None) and (sentence := self.split.about_unknown(self.whole, self._rows)):
            rank_zero_warn(sentence)

    def _ordered(self, split: Split) -> OrderedBatches:
        if not len(self.dataset(split)):
            raise ValueError(
                f"{self._name} expected at least one of {len(self.whole)} links in the {split} split, got none: "
                f"data.split.{split}_size sets how many, data.split.kind=none asks for the links of training"
            )
        return super()._ordered(split)

    def held_out(self, split: Split) -> HeldOutLinks:
        """Return the links of a held-out split and pairs without a link, the same in every call and every run.

        Both are empty where no link is held out, `data.split.kind=none`.

        Raises:
            ValueError: the split is no held-out one, or there are too few pairs without a link.

        """
        if split not in ("val", "test"):
            raise ValueError(f'expected a held-out split, "val" or "test", got {split!r}')
        return self._held_out[split]

    @cached_property
    def _held_out(self) -> dict[Split, HeldOutLinks]:
        none = torch.empty(0, 2, dtype=torch.int64)
        parts: tuple[Split, Split] = ("test", "val")
        if self.split.kind == "none":
            return dict.fromkeys(parts, HeldOutLinks(none, none))
        links = [self.whole.edges[self._rows[part]] for part in parts]
        sizes = [round(self.split.negatives * len(found)) for found in links]
        generator = np.random.default_rng(key(self.split_seed, Purpose.SPLIT, 1))
        pairs = draw_non_links(self.whole, sum(sizes), self.split.kind == "degree", generator).split(sizes)
        return {part: HeldOutLinks(*both) for part, *both in zip(parts, links, pairs, strict=True)}
