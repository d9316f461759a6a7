r"""Windows over sequences of items: which items are the context of which.

A row holds numbers of items; -1 stands after each document, basket or walk, and no window reaches over it. First, each
occurrence of item w is kept with probability

    min(1, sqrt(t / f_w) + t / f_w),    f_w the part of all occurrences that are w,

which is what word2vec.c and gensim do; the paper has sqrt(t / f_w). Then occurrences that are left out are removed, so
that windows reach further, and each of the others gets a half-width b, drawn from 1, ..., size if windows shrink, so
that a neighbour at distance o is in the context with probability (size - o + 1) / size, and size if they do not.

All sizes depend on the shape of the rows alone: what is left out is moved to the end, so that nothing has to be read
from the device.

Reference: Mikolov et al., "Distributed representations of words and phrases and their compositionality" (2013),
section 2.3; the code of word2vec.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lsgen.models.embedding.options import options_of

__all__ = ["ContextWindows", "Contexts", "keep_probabilities"]


class Contexts(NamedTuple):
    """Items with the contexts around them.

    Attributes:
        items: numbers of items one after another, int64 (n,), -1 where there is none.
        left: how many items before each belong to its context, int64 (n,).
        right: how many after it, int64 (n,).

    """

    items: Tensor
    left: Tensor
    right: Tensor

    def pairs(self, reach: int) -> tuple[Tensor, Tensor]:
        """Return the contexts of all items, int64 (n, 2 reach), and which of them there are, bool (n, 2 reach).

        Args:
            reach: the greatest number of items on either side.

        """
        n = len(self.items)
        offsets = torch.arange(1, reach + 1, device=self.items.device)
        place = torch.arange(n, device=self.items.device)[:, None]
        inside = torch.cat([offsets <= self.left[:, None], offsets <= self.right[:, None]], 1)
        neighbours = torch.cat([place - offsets, place + offsets], 1).clamp(0, n - 1)
        return self.items[neighbours].clamp(min=0), inside


@dataclass(frozen=True)
class ContextWindows:
    """How far the context of an item reaches, and how often frequent items are kept.

    Attributes:
        size: the greatest number of items on either side; None for the whole document or basket.
        shrink: whether the reach of each window is drawn from 1, ..., size.
        subsample: threshold t of the part of frequent items that is kept; None keeps all.

    Raises:
        ValueError: a number is out of range, or windows without a size are to shrink.

    """

    size: int | None = 5
    shrink: bool = True
    subsample: float | None = 1e-3

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise ValueError(f"expected windows of a size of at least 1, got {self.size}")
        if self.size is None and self.shrink:
            raise ValueError("expected shrink=False with windows over whole documents, got shrink=True")
        if self.subsample is not None and not 0 < self.subsample < float("inf"):
            raise ValueError(f"expected a positive subsample, or None to keep all items, got {self.subsample}")

    @classmethod
    def of(cls, options: ContextWindows | Mapping[str, Any]) -> ContextWindows:
        """Return what a model's option `windows` says.

        Raises:
            ValueError: there is no such option, or it is out of its range.

        """
        return options_of(cls, options, "windows")

    def reach(self, length: int) -> int:
        """Return the greatest number of items on either side, in rows of a length."""
        return max(1, length - 1 if self.size is None else min(self.size, length - 1))

    def contexts(self, rows: Tensor, kept: Tensor) -> Contexts:
        """Return the items of rows with their contexts; draws which are kept, and how far windows reach.

        Args:
            rows: numbers of items, int64 (B, L), -1 after each document.
            kept: the probability of each item to be kept, (V,).

        """
        items = torch.cat([rows, rows.new_full((len(rows), 1), -1)], 1).flatten()
        if self.subsample is not None:
            left_out = (items >= 0) & (torch.rand_like(items, dtype=kept.dtype) >= kept[items.clamp(min=0)])
            order = left_out.to(torch.uint8).argsort(stable=True)
            items = items.masked_fill(left_out, -1)[order]
        place = torch.arange(len(items), device=items.device)
        is_end, last = items < 0, len(items)
        before = torch.where(is_end, place, -1).cummax(0).values
        after = torch.where(is_end, place, last).flip(0).cummin(0).values.flip(0)
        if self.size is None:
            half = torch.full_like(items, last)
        elif self.shrink:
            half = torch.randint_like(items, 1, self.size + 1)
        else:
            half = torch.full_like(items, self.size)
        left = torch.minimum(half, place - before - 1).masked_fill(is_end, 0)
        right = torch.minimum(half, after - place - 1).masked_fill(is_end, 0)
        return Contexts(items, left, right)


def keep_probabilities(counts: Tensor, threshold: float | None) -> Tensor:
    """Return the probability of each item to be kept, float32 (V,), from how often they occur (V,).

    Args:
        counts: how often each item occurs.
        threshold: t of the module; None keeps all.

    """
    if threshold is None:
        return torch.ones(len(counts), device=counts.device)
    part = threshold * counts.sum() / counts.double().clamp(min=1e-9)
    return (part.sqrt() + part).clamp(max=1).float()
