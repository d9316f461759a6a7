"""Observations of a data set whose codes are looked at, chosen so that every run chooses the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import Tensor

from lsgen.callbacks.probes import observations_of
from lsgen.data import DataModule, Split

__all__ = ["SampledObservations", "sample_observations"]

HELD_OUT: tuple[Split, ...] = ("val", "test")


@dataclass(frozen=True)
class SampledObservations:
    """Batches of observations with their names.

    Attributes:
        parts: split, names (B,) and batch, each a mapping with "x", (B, *shape).
        total: observations that they were chosen from; None where they come from batches whose number is not known.
        sampling: how they were chosen, in words.
        factor_names: names of the columns of "factors".
        label_names: names of the classes, where they have any.
        vocabulary: words that observations are counts of, where they are.

    """

    parts: Iterable[tuple[str, list[str], Mapping[str, Any]]]
    total: int | None
    sampling: str
    factor_names: tuple[str, ...] = ()
    label_names: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()


def sample_observations(
    data: Any,
    n: int | None,
    seed: int,
    splits: Sequence[Split] = HELD_OUT,
    chunk_size: int = 256,
    model: object = None,
) -> SampledObservations:
    """Choose observations of a data set.

    Those of a `lsgen.data.DataModule` are drawn at random, of every split in proportion to its size, and named
    SPLIT/NUMBER, so that runs with the same data choose and name the same ones. Of other data the first ones are taken,
    in the order of the loader or of the batches.

    Args:
        data: a data module, set up where it is not lsgen's own, or batches.
        n: how many; all where it is None or there are fewer.
        seed: of the choice.
        splits: where they come from; where these are empty, from the training set.
        chunk_size: observations in a batch.
        model: packs batches with one entry a modality; none is needed for others.

    Raises:
        ValueError: n is not positive, or there are no observations.
        TypeError: the data are neither.

    """
    if n is not None and n < 1:
        raise ValueError(f"expected at least one observation, got n = {n}")
    if isinstance(data, DataModule):
        return _of_splits(data, n, seed, splits, chunk_size)
    if isinstance(data, LightningDataModule):
        split, loader = _loader(data, splits)
        return SampledObservations(_first(loader, n, split, model), None, f"the first of the {split} loader")
    if isinstance(data, Tensor) or not isinstance(data, Iterable):
        raise TypeError(f"expected a data module or batches of observations, got {type(data).__name__}")
    return SampledObservations(_first(data, n, "given", model), None, "the first of the batches that were given")


def _of_splits(data: DataModule, n: int | None, seed: int, splits: Sequence[Split], size: int) -> SampledObservations:
    sizes = {split: len(data.dataset(split)) for split in splits}
    sizes = {split: count for split, count in sizes.items() if count} or {"train": len(data.dataset("train"))}
    total = sum(sizes.values())
    if not total:
        raise ValueError(f"expected observations in the {' or '.join(splits)} split, got none")
    shares = _shares(sizes, total if n is None else min(n, total))
    rows = {split: _rows(sizes[split], taken, seed) for split, taken in shares.items()}
    taken = sum(shares.values())
    where = " and ".join(shares)
    words = f"all {total:,} of {where}" if taken == total else f"{taken:,} of {total:,} of {where}, seed {seed}"
    names, known = (tuple(getattr(data, name, ()) or ()) for name in ("label_names", "vocabulary"))
    return SampledObservations(_indexed(data, rows, size), total, words, tuple(data.factor_names), names, known)


def _indexed(
    data: DataModule, rows: Mapping[Split, Tensor], size: int
) -> Iterator[tuple[str, list[str], Mapping[str, Any]]]:
    for split, chosen in rows.items():
        for part in chosen.split(size):
            yield split, [f"{split}/{row}" for row in part.tolist()], data.dataset(split)[part]


def _shares(sizes: Mapping[Split, int], n: int) -> dict[Split, int]:
    """Return how many observations each split gives: in proportion to its size, n together."""
    ideal = np.array([n * count / sum(sizes.values()) for count in sizes.values()])
    whole = np.floor(ideal).astype(int)
    for place in np.argsort(whole - ideal, kind="stable")[: n - whole.sum()]:
        whole[place] += 1
    return dict(zip(sizes, whole.tolist(), strict=True))


def _rows(size: int, n: int, seed: int) -> Tensor:
    """Return n of `size` numbers in order, chosen at random; fewer are part of more."""
    return torch.from_numpy(np.sort(np.random.default_rng(seed).permutation(size)[:n]))


def _loader(data: LightningDataModule, splits: Sequence[Split]) -> tuple[str, Iterable[Any]]:
    for split in (*splits, "train"):
        try:
            loader = getattr(data, f"{split}_dataloader")()
        except (MisconfigurationException, NotImplementedError, AttributeError):
            continue
        first = loader[0] if isinstance(loader, list | tuple) and loader else loader
        if isinstance(first, Iterable):
            return split, first
    raise ValueError(f"expected {type(data).__name__} to have a loader of observations, got none")


def _first(
    batches: Iterable[Any], n: int | None, split: str, model: object
) -> Iterator[tuple[str, list[str], Mapping[str, Any]]]:
    """Yield the first observations of batches in any of the forms that callbacks take."""
    seen = 0
    for batch in batches:
        found = observations_of(batch, model)
        entries = dict(batch) if isinstance(batch, Mapping) else {}
        entries |= {"x": found.x} | ({} if found.label is None else {"label": found.label})
        size = len(found.x) if n is None else min(len(found.x), n - seen)
        if size < 1:
            return
        kept = {
            name: value[:size]
            for name, value in entries.items()
            if isinstance(value, Tensor) and value.ndim and len(value) == len(found.x)
        }
        yield split, [f"{split}/{row}" for row in range(seen, seen + size)], kept
        seen += size
