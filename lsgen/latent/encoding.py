"""The codes of observations as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from lsgen.latent.codes import Codes
from lsgen.latent.families.points import Point
from lsgen.latent.space import EncodableSpace

__all__ = ["column_entries", "encode_observations", "spread"]


@torch.no_grad()
def encode_observations(
    space: EncodableSpace, batches: Iterable[Mapping[str, Any]], ids: Any = None, entries: Iterable[str] | None = None
) -> Codes:
    """Encode observations and return their codes as a table, with other entries of the batches as columns.

    A code is the mean of q(z|x), and `scale` its standard deviation where the family has one; codes that a posterior
    puts beyond the walls of bounded codes are stopped there.

    Args:
        space: a space with an encoder, in evaluation mode.
        batches: mappings with the observations "x", (B, *shape), and entries (B,) or (B, k), which become one column
            or k columns NAME_0, NAME_1, ...
        ids: names of the observations; their numbers in order unless given.
        entries: which entries become columns; unless given, all that have one of these shapes and not that of "x".

    Raises:
        ValueError: there is no batch or none with "x", the space is in training mode, an entry that is asked for is
            missing or has another shape, or codes are not what `Codes` takes.

    """
    if space.training:
        raise ValueError(f"expected a {type(space).__name__} in evaluation mode, got one in training mode: call eval()")
    like = next(iter(space.parameters()), torch.zeros(()))
    asked = None if entries is None else list(entries)
    z, scales, columns = [], [], []
    for batch in batches:
        if not isinstance(batch, Mapping) or not isinstance(batch.get("x"), Tensor):
            raise ValueError(f'expected batches that are mappings with the tensor "x", got a {type(batch).__name__}')
        q = space.encode(batch["x"].to(like.device, like.dtype))
        mean, scale = space.manifold.shift(q.mean, torch.zeros_like(q.mean)), spread(q)
        z.append(mean.cpu())
        scales.append(None if scale is None else scale.to(mean.dtype).cpu())
        columns.append(column_entries(batch, len(mean), asked))
    if not z:
        raise ValueError("expected batches of observations, got none")
    shared = [name for name in columns[0] if all(name in part for part in columns)]
    named = {name: torch.cat([part[name] for part in columns]) for name in shared}
    known = [scale for scale in scales if scale is not None]
    return Codes(torch.cat(z), ids, space.manifold, named, torch.cat(known) if len(known) == len(z) else None)


def spread(q: Distribution) -> Tensor | None:
    """Return the standard deviations (N, d) of distributions; None where all mass is at a point or none are known."""
    if isinstance(q, Point):
        return None
    try:
        scale = q.stddev
    except NotImplementedError:
        return None
    return scale if scale.shape == q.mean.shape and bool(scale.isfinite().all()) else None


def column_entries(batch: Mapping[str, Any], size: int, asked: list[str] | None = None) -> dict[str, Tensor]:
    """Return the entries of a batch that become columns, by name, (B,) each.

    Args:
        batch: a mapping with the observations "x".
        size: the number B of observations.
        asked: which entries; unless given, all of shape (B,) or (B, k) that do not have the shape of "x".

    Raises:
        ValueError: an entry that is asked for is missing or has another shape.

    """
    found: dict[str, Tensor] = {}
    for name in batch if asked is None else asked:
        value = batch.get(name)
        shape = tuple(value.shape) if isinstance(value, Tensor) else None
        if asked is None and shape == batch["x"].shape:
            continue
        if isinstance(value, Tensor) and shape == (size,):
            found[name] = value.cpu()
        elif isinstance(value, Tensor) and value.ndim == 2 and len(value) == size:
            found |= {f"{name}_{i}": column.cpu() for i, column in enumerate(value.unbind(1))}
        elif asked is not None:
            got = "none" if shape is None else f"shape {shape}"
            raise ValueError(f'expected batches with an entry "{name}" of shape (B,) or (B, k), got {got}')
    return found
