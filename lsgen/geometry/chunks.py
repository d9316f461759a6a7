"""Work on many codes in chunks, so that memory stays bounded.

If the caller gives no `chunk_size`, a piece is the number of codes that keep the widest intermediate result, with all
its derivatives, below a budget: 16 MiB on a CPU, about the size of its cache, which is also fastest; 1 GiB elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lsgen.geometry.jets import unchanged, widest_intermediate

__all__ = ["affordable", "codes_at_once", "directions_at_once", "in_chunks"]

LEAST = 32
BUDGET = {"cpu": 2**24}
ELSEWHERE = 2**30


def in_chunks(
    work: Callable[..., tuple[Tensor, ...]],
    im: Any,
    z: Tensor,
    chunk_size: int | None,
    order: int,
    beside: tuple[Tensor, ...] = (),
) -> tuple[Tensor, ...]:
    """Apply a function to chunks of z and further tensors along the first dimension, and join the results.

    Raises:
        ValueError: chunk_size is not positive.

    """
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"expected a chunk_size of at least 1, got {chunk_size}")
    count = z.shape[0]
    if count == 0:
        some = work(z.new_zeros(1, z.shape[1]), *(x.new_zeros(1, *x.shape[1:]) for x in beside))
        return tuple(r[:0] for r in some)
    with unchanged():
        size = chunk_size or (1 if count == 1 else codes_at_once(im, z, order))
        if size >= count:
            return work(z, *beside)
        parts = [work(*piece) for piece in zip(z.split(size), *(x.split(size) for x in beside), strict=True)]
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))


def codes_at_once(im: Any, z: Tensor, order: int) -> int:
    """Return how many codes to propagate at once with all their derivatives up to an order."""
    return affordable(im, z, im.dim if order == 1 else im.dim + im.dim * (im.dim + 1) // 2)


def directions_at_once(im: Any, z: Tensor) -> int:
    """Return the number n of directions in a tile of second derivatives, which holds 2n first and n^2 second ones.

    It is at least LEAST: first derivatives are taken anew for every tile.
    """
    slabs, d = affordable(im, z, len(z)), im.dim
    return d if d + d * (d + 1) // 2 <= slabs else min(d, max(LEAST, int((1 + slabs) ** 0.5) - 1))


def affordable(im: Any, z: Tensor, derivatives: int) -> int:
    """Return how many codes with a number of derivatives each the budget allows, 32 if the map cannot be traced."""
    widest = widest_intermediate(im.local, im.lifted(z[:1]))
    if widest is None:
        return 32
    return max(1, BUDGET.get(z.device.type, ELSEWHERE) // (widest * derivatives * z.element_size()))
