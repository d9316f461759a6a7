"""Which codes show every value of a discrete variable, such as both values of a bit."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lsgen.latent.manifolds.manifold import Choice

__all__ = ["by_activity", "every_value"]


def by_activity(choices: Sequence[Choice], order: Tensor, most: int) -> list[Choice]:
    """Return up to `most` choices, those of the most active axes first; `order` holds the axes (d,) in that order."""
    rank = {axis: place for place, axis in enumerate(order.tolist())}

    def activity(choice: Choice) -> int:
        return min(rank[axis] for axis in range(choice.start, choice.start + choice.values.shape[1]))

    return sorted(choices, key=activity)[:most]


def every_value(code: Tensor, choices: Sequence[Choice], most: int) -> tuple[Tensor, Tensor]:
    """Return codes (C, N, d) whose row c has the values of a choice in order, the rest as in a code (d,).

    N is the largest number of values, `most` at most; the codes of a row beyond its own values are the code itself, and
    False in the second result, (C, N), which says what is to be shown.
    """
    width = min(max(len(choice.values) for choice in choices), most)
    rows = code.expand(len(choices), width, -1).clone()
    shown = torch.zeros(len(choices), width, dtype=torch.bool)
    for row, choice in enumerate(choices):
        values = choice.values[:width].to(code)
        rows[row, : len(values), choice.start : choice.start + values.shape[1]] = values
        shown[row, : len(values)] = True
    return rows, shown
