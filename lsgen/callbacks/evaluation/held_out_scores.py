"""What callbacks that score held-out observations share: which observations these are, and rows of the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lsgen.data import DataModule, Split

__all__ = ["held_out_batch", "score_rows"]


def held_out_batch(data: DataModule, n: int, splits: Sequence[Split]) -> dict[str, Tensor]:
    """Return n observations, of every split in proportion to its size, with the entries that all splits have.

    Args:
        data: where they come from.
        n: their number; all of them where there are fewer.
        splits: from which they are drawn at random, the same in every run.

    """
    sizes = {split: len(data.dataset(split)) for split in splits}
    total = sum(sizes.values())
    taken = {split: min(size, -(-n * size // total)) for split, size in sizes.items() if size}
    probes = [data.probe(count, split) for split, count in taken.items()]
    names = [name for name in probes[0] if all(name in probe for probe in probes)]
    return {name: torch.cat([probe[name] for probe in probes])[:n] for name in names}


def score_rows(family: str, scores: Mapping[str, Mapping[str, Tensor]]) -> dict[str, float]:
    """Return a "value" as FAMILY/NAME, and what is known beside it, such as its interval, as FAMILY/NAME_WHAT."""
    return {
        f"{family}/{name}" + ("" if part == "value" else f"_{part}"): float(value)
        for name, parts in scores.items()
        for part, value in parts.items()
    }
