"""Which axes and codes show the levels of a hierarchy, the top level first."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from lsgen.callbacks.latent.probe_codes import ProbeCodes

__all__ = ["active_axes", "completed"]


def active_axes(known: ProbeCodes, sizes: Sequence[int], most: int) -> list[tuple[int, int]]:
    """Return (level, axis) of up to `most` axes of every level, the most active first; levels count from 1."""
    ends = list(accumulate(sizes))
    order: list[int] = known.order.tolist()
    found = []
    for level, (size, end) in enumerate(zip(sizes, ends, strict=True), 1):
        found += [(level, axis) for axis in order if end - size <= axis < end][:most]
    return found


def completed(anchors: Tensor, draws: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return codes (A, L + 1, n, d) whose row l has the first l levels of an anchor and the others of a draw.

    Args:
        anchors: codes (A, d).
        draws: codes (n, d), the same for every row and anchor.
        sizes: dimension of every level.

    """
    ends = torch.tensor([0, *accumulate(sizes)], device=anchors.device)
    kept = torch.arange(anchors.shape[-1], device=anchors.device) < ends[:, None]
    return torch.where(kept[:, None], anchors[:, None, None], draws)
