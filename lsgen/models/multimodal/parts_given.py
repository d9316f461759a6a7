"""What a user gives a trained model of several modalities: arrays and texts by name, for one packed vector each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lsgen.likelihoods import Packing
from lsgen.likelihoods.text.vocabulary import Vocabulary

__all__ = ["packed_observations"]


def packed_observations(
    packing: Packing,
    vocabularies: Mapping[str, Vocabulary],
    given: Mapping[str, Any],
    needed: Collection[str],
    like: Tensor,
) -> Tensor:
    """Return packed vectors (N, D) of observations, with zeros for the modalities that are not needed and not given.

    Args:
        packing: where the modalities lie.
        vocabularies: the words of those that are texts, by name.
        given: N observations of each modality by name: texts, or an array (N, *shape); images of bytes are scaled
            from 0-255 to [0, 1].
        needed: the modalities that must be given.
        like: a tensor of the type and on the device that the vectors are to have.

    Raises:
        ValueError: a modality is needed and not given, or there is none of that name; a sentence is empty, too long or
            has a word that is not known; shapes or numbers of observations differ.
        TypeError: texts are given where an array is expected, or the words of a modality are not known.

    """
    if unknown := [name for name in given if name not in packing.names]:
        raise ValueError(f"expected the modalities {', '.join(packing.names)}, got {unknown[0]!r}")
    if missing := [name for name in needed if given.get(name) is None]:
        raise ValueError(f"expected {' and '.join(needed)}, got no {missing[0]}")
    parts = {
        name: _rows(name, value, packing.shapes[name], vocabularies.get(name))
        for name, value in given.items()
        if value is not None
    }
    if not parts:
        raise ValueError(f"expected at least one of the modalities {', '.join(packing.names)}, got none")
    size = len(next(iter(parts.values())))
    blank = {name: torch.zeros(size, *shape) for name, shape in packing.shapes.items() if name not in parts}
    return packing.pack({**parts, **blank}).to(like)


def _rows(name: str, value: Any, shape: tuple[int, ...], vocabulary: Vocabulary | None) -> Tensor:
    """Return the observations of one modality, (N, *shape)."""
    if isinstance(value, str):
        raise TypeError(f"expected a list of texts for {name!r}, got a single one: {value!r}")
    if isinstance(value, Sequence) and value and all(isinstance(text, str) for text in value):
        if vocabulary is None:
            raise TypeError(f"expected an array (N, {', '.join(map(str, shape))}) for {name!r}, got texts")
        return vocabulary.encode(value, shape[0])
    rows = torch.as_tensor(value)
    return rows / 255 if rows.dtype == torch.uint8 and len(shape) == 3 else rows
