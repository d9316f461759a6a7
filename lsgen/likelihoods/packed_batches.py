"""Batches of several modalities: one entry a modality, some missing, becomes packed observations with a mask.

    {"image": (B, 1, 28, 28), "caption": (B, 20)}    ->    {"x": (B, 784 + 20), "present": bool (B, 2)}

A modality is missing from an observation if its name is left out of the batch, if all its values are NaN, or if a mask
"present" that comes with the batch says so. What is missing is 0 in x. A modality of one number may come as (B,).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from lsgen.likelihoods.packing import Packing

__all__ = ["packed_entries"]


def packed_entries(
    entries: Mapping[str, Any], packing: Packing, owner: str, as_numbers: Callable[[str, Tensor], Tensor]
) -> dict[str, Any]:
    """Return a batch with one entry a modality as one with "x", and "present" where that is not known to be all True.

    Args:
        entries: a batch without "x"; what belongs to no modality is kept, and so are classes (B,) of whole numbers by
            the name of a modality.
        packing: names and shapes of the modalities.
        owner: who asks, by name.
        as_numbers: name and observations of a modality -> the same in a floating-point type; what must be refused
            stays of its own.

    Raises:
        TypeError: a modality is no tensor.
        ValueError: there is no modality, or one has another shape or batch size.

    """
    names = [name for name in packing.names if name in entries]
    if not names:
        wanted, found = ", ".join(packing.names), ", ".join(map(str, entries)) or "none of them"
        raise ValueError(f'{owner} expected batches with "x", or with one entry a modality of {wanted}, got {found}')
    parts, there = dict[str, Tensor](), dict[str, Tensor]()
    for name in names:
        value, shape = entries[name], packing.shapes[name]
        if not isinstance(value, Tensor) or not value.ndim:
            raise TypeError(f"{owner} expected a tensor (B, ...) for {name!r} of a batch, got {type(value).__name__}")
        value = as_numbers(name, value.unsqueeze(1) if value.ndim == 1 and shape == (1,) else value)
        missing = value.isnan().flatten(1).all(1) if value.ndim > 1 else value.isnan()
        parts[name] = torch.where(missing.reshape(-1, *[1] * (value.ndim - 1)), torch.zeros_like(value), value)
        there[name] = ~missing
    n, like = len(parts[names[0]]), parts[names[0]]
    for name in set(packing.names) - set(names):
        parts[name] = torch.zeros(n, *packing.shapes[name], device=like.device)
        there[name] = torch.zeros(n, dtype=torch.bool, device=like.device)
    x = packing.pack(parts)
    present = torch.stack([there[name] for name in packing.names], 1)
    if isinstance(given := entries.get("present"), Tensor):
        present = present & given
    kept = {key: value for key, value in entries.items() if key not in names or _are_classes(value)}
    whole = present.device.type == "cpu" and bool(present.all())
    return {**kept, "x": x} if whole else {**kept, "x": x, "present": present}


def _are_classes(value: Tensor) -> bool:
    return value.ndim == 1 and not value.is_floating_point()
