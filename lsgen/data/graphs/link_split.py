"""Links of a network that are held out, and the pairs without a link that they are told from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import minimum_spanning_tree
from torch import Tensor

from lsgen.data.draws import Purpose, stream
from lsgen.data.loading import chosen_options
from lsgen.data.splits import resolve_size
from lsgen.latent.graphs import Graph

__all__ = ["HeldOutLinks", "LinkSplit"]

Kind = Literal["random", "degree", "time", "none"]
Unknown = Literal["warn", "drop", "refuse"]

_PARTS = ("val", "test")


@dataclass(frozen=True)
class HeldOutLinks:
    """The links of a split that is held out, and pairs of nodes without a link.

    Attributes:
        positive: links, int64 (P, 2).
        negative: different pairs that are not linked in the whole network, int64 (M, 2).

    """

    positive: Tensor
    negative: Tensor


@dataclass(frozen=True)
class LinkSplit:
    """Which links are held out, and which pairs without a link they are told from.

    Attributes:
        kind: "random": links at random, pairs without a link uniformly; "degree": the same, but pairs like the product
            of the degrees of their ends, so that degrees alone do not tell them from links; "time": the latest links,
            those of one time together; "none": no link is held out, and validation and test ask for the links of
            training: how well they are reconstructed.
        val_size: links held out for validation, a number or a fraction.
        test_size: links held out for the test, a number or a fraction.
        connected: whether links are held out only where the components of the network stay whole, so that every node
            that has a link keeps one: those outside of a spanning forest that is drawn at random.
        negatives: pairs without a link for each link that is held out.
        unknown: what becomes of held-out links of nodes that have no link in training: "warn" says how many there are
            when training starts, and asks for them all the same, "drop" leaves them out, "refuse" is an error.

    Raises:
        ValueError: an option is out of its range, or links of one time would be asked to keep a network connected.

    """

    kind: Kind = "random"
    val_size: int | float = 0.05
    test_size: int | float = 0.1
    connected: bool = False
    negatives: float = 1.0
    unknown: Unknown = "warn"

    def __post_init__(self) -> None:
        for name, value, choices in (("kind", self.kind, get_args(Kind)), ("unknown", self.unknown, get_args(Unknown))):
            if value not in choices:
                raise ValueError(f"expected data.split.{name} to be one of {', '.join(choices)}, got {value!r}")
        if not (self.negatives > 0 and isfinite(self.negatives)):
            raise ValueError(f"expected data.split.negatives above 0, got {self.negatives}")
        if self.connected and self.kind == "time":
            raise ValueError("expected data.split.connected=false with a split by time, which says the links, got true")

    @classmethod
    def of(cls, options: LinkSplit | Mapping[str, Any]) -> LinkSplit:
        """Return what a data set's option `split` says.

        Raises:
            ValueError: there is no such option, or it is out of its range.

        """
        return chosen_options(cls, options, "split")

    def rows(self, graph: Graph, seed: int) -> dict[str, Tensor]:
        """Return the numbers of the links of each split, int64, ascending; all of them in each where none is held out.

        Args:
            graph: the network.
            seed: of the split.

        Raises:
            ValueError: there are too few links, or a node is known to a held-out link alone and is to be refused; there
                are no times to split by.

        """
        total = len(graph)
        if self.kind == "none":
            return dict.fromkeys(("train", *_PARTS), torch.arange(total))
        sizes = {part: resolve_size(getattr(self, f"{part}_size"), total, f"{part}_size") for part in _PARTS}
        parts = self._latest(graph, sizes) if self.kind == "time" else self._random(graph, sizes, seed)
        trained = torch.ones(total, dtype=torch.bool)
        trained[torch.cat(list(parts.values()))] = False
        if not bool(trained.any()):
            raise ValueError(f"expected sizes that leave some of {total} links for training, got {_words(sizes)}")
        rows = {"train": trained.nonzero()[:, 0], **{part: found.sort().values for part, found in parts.items()}}
        if self.unknown == "refuse" and (sentence := self.about_unknown(graph, rows)):
            raise ValueError(sentence)
        if self.unknown == "drop":
            alone = graph.kept(rows["train"]).isolated()
            rows |= {part: rows[part][~alone[graph.edges[rows[part]]].any(1)] for part in _PARTS}
        return rows

    def about_unknown(self, graph: Graph, rows: Mapping[str, Tensor]) -> str:
        """Return a sentence about the held-out links of nodes that have none in training; none where there are none.

        Args:
            graph: the network.
            rows: the numbers of the links of each split.

        """
        alone = graph.kept(rows["train"]).isolated()
        ends = graph.edges[torch.cat([rows[part] for part in _PARTS])]
        number, nodes = int(alone[ends].any(1).sum()), ends[alone[ends]].unique()
        if not number:
            return ""
        return (
            f"expected held-out links of nodes that have links in training too, got {number} links of {len(nodes)} "
            f"nodes without, such as {graph.names[int(nodes[0])]!r}: data.split.unknown=drop leaves them out, "
            "data.split.connected=true leaves each node a link"
        )

    def _random(self, graph: Graph, sizes: Mapping[str, int], seed: int) -> dict[str, Tensor]:
        generator, wanted = stream(seed, Purpose.SPLIT), sum(sizes.values())
        order = torch.randperm(len(graph), generator=generator)
        if self.connected:
            order = order[~_forest(graph, torch.randperm(len(graph), generator=generator))[order]]
            if len(order) < wanted:
                raise ValueError(
                    f"expected {wanted} links that can be held out with every component whole, got {len(order)} of "
                    f"{len(graph)}: lower data.split.val_size or test_size, or choose data.split.connected=false"
                )
        return dict(zip(("test", "val"), order[:wanted].split([sizes["test"], sizes["val"]]), strict=True))

    def _latest(self, graph: Graph, sizes: Mapping[str, int]) -> dict[str, Tensor]:
        if graph.times is None:
            raise ValueError(f"expected links with times for data.split.kind=time, got {graph} without")
        times = graph.times.numpy()
        values, number, counts = np.unique(times, return_inverse=True, return_counts=True)
        later = counts[::-1].cumsum()[::-1]  # links from the k-th time on
        least = sum(size > 0 for size in sizes.values())
        if len(values) < least + 1:
            raise ValueError(
                f"expected links of at least {least + 1} times, so that each split has times of its own, got "
                f"{len(values)} in {graph}"
            )
        last = len(values) if not sizes["test"] else _nearest(later, sizes["test"], least, len(values))
        first = last if not sizes["val"] else _nearest(later, sum(sizes.values()), 1, last)
        chosen = {"val": (number >= first) & (number < last), "test": number >= last}
        return {part: torch.from_numpy(np.flatnonzero(rows)) for part, rows in chosen.items()}


def _words(sizes: Mapping[str, int]) -> str:
    return " and ".join(f"{part}_size = {size}" for part, size in sizes.items())


def _nearest(later: NDArray[np.int64], wanted: int, first: int, end: int) -> int:
    """Return the time k, first <= k < end, from which on there are nearest to so many links as are wanted."""
    return first + int(np.abs(later[first:end] - wanted).argmin())


def _forest(graph: Graph, order: Tensor) -> Tensor:
    """Return which links are in the spanning forest that prefers those early in an order, bool (E,)."""
    place = torch.empty_like(order)
    place[order] = torch.arange(1, len(order) + 1)
    one = Graph.of(graph.edges, names=graph.names, weights=place, duplicates="first")  # of two opposite links
    tree = minimum_spanning_tree(one.adjacency())
    chosen = torch.zeros(len(graph), dtype=torch.bool)
    chosen[order[torch.from_numpy(tree.data.astype(np.int64)) - 1]] = True
    return chosen
