"""Splits of a data set into disjoint parts: at random, by whole groups, or as a column says."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsgen.data.draws import Purpose, stream

__all__ = ["group_split", "named_split", "random_split", "resolve_size"]


def resolve_size(size: int | float, total: int, name: str) -> int:
    """Return a size given as a number of observations, or as a fraction of them if it is a float.

    Raises:
        ValueError: a fraction outside [0, 1), or a number that is negative or leaves nothing of the whole.

    Example:
        >>> resolve_size(0.1, 1797, "val_size"), resolve_size(360, 1797, "test_size")
        (180, 360)

    """
    if isinstance(size, bool) or not isinstance(size, Real):
        raise ValueError(f"expected {name} to be a number of observations or a fraction, got {size!r}")
    if isinstance(size, float):
        if not 0 <= size < 1:
            raise ValueError(f"expected {name} to be a number of observations or a fraction in [0, 1), got {size}")
        return round(size * total)
    if not 0 <= size < total:
        raise ValueError(f"expected {name} between 0 and {total - 1}, for {total} observations in all, got {size}")
    return int(size)


def random_split(
    total: int, held_out: Mapping[str, int | float], seed: int, train_size: int | float | None = None
) -> dict[str, Tensor]:
    """Split 0 .. total-1 at random into "train" and the parts held out.

    Args:
        total: number of observations.
        held_out: size of each further part, by the option that names it ("val_size" makes the part "val").
        seed: seed of the split; what is held out does not depend on train_size.
        train_size: size of the training part; everything else where it is None.

    Returns:
        Disjoint indices, int32, each part in random order.

    Raises:
        ValueError: a size is out of range, or nothing is left for training.

    """
    sizes = {name: resolve_size(size, total, name) for name, size in held_out.items()}
    rest = total - sum(sizes.values())
    train = rest if train_size is None else resolve_size(train_size, total, "train_size")
    if not 1 <= train <= rest:
        words = " and ".join(f"{name} = {size}" for name, size in {**sizes, "train_size": train}.items())
        raise ValueError(f"expected sizes that leave something of {total} observations for training, got {words}")
    order = torch.randperm(total, generator=stream(seed, Purpose.SPLIT)).to(torch.int32)
    names = [name.removesuffix("_size") for name in sizes]
    parts = order.split([*sizes.values(), train, rest - train])
    return dict(zip([*names, "train"], parts, strict=False))


def group_split(groups: NDArray[Any], held_out: Mapping[str, int | float], seed: int) -> dict[str, Tensor]:
    """Split observations at random into "train" and the parts held out, such that no group is torn apart.

    Groups are taken in random order, each by the first part that half of it still fits into; a part that gets none so
    takes the smallest that is left.

    Args:
        groups: the group of each observation, (N,), numbers or text.
        held_out: size of each further part, by the option that names it ("val_size" makes the part "val"), of which
            as many observations are held out as whole groups allow.
        seed: seed of the split.

    Returns:
        Disjoint indices, int32, each part in ascending order.

    Raises:
        ValueError: a size is out of range, there are too few groups, or other parts leave none for one of them.

    """
    sizes = {name.removesuffix("_size"): resolve_size(size, len(groups), name) for name, size in held_out.items()}
    names, member, counts = np.unique(groups, return_inverse=True, return_counts=True)
    wanted = [part for part, size in sizes.items() if size]
    if len(names) < len(wanted) + 1:
        raise ValueError(f"expected at least {len(wanted) + 1} groups, one for each split, got {len(names)}")
    part_of = np.full(len(names), "train", dtype=object)
    order = torch.randperm(len(names), generator=stream(seed, Purpose.SPLIT)).tolist()
    filled = dict.fromkeys(wanted, 0)
    for group in order[:-1]:
        part = next((part for part in wanted if filled[part] + counts[group] / 2 <= sizes[part]), None)
        if part is not None:
            part_of[group] = part
            filled[part] += int(counts[group])
    for part in [part for part in wanted if not filled[part]]:  # every group was too large: it gets the smallest
        rest = [group for group in order if part_of[group] == "train"]
        if len(rest) == 1:
            words = " and ".join(f"{name} = {size}" for name, size in held_out.items())
            raise ValueError(f"expected sizes that leave one of {len(names)} groups for each split, got {words}")
        part_of[min(rest, key=lambda group: counts[group])] = part
    parts = part_of[member]
    return {part: torch.from_numpy(np.flatnonzero(parts == part)).to(torch.int32) for part in [*sizes, "train"]}


def named_split(names: NDArray[Any]) -> dict[str, Tensor]:
    """Split observations as a column says.

    Args:
        names: "train", "val" or "test" for each observation, (N,).

    Returns:
        Disjoint indices, int32, each part in ascending order.

    Raises:
        ValueError: another name occurs, or nothing is left for training.

    """
    found = sorted({str(name) for name in names.tolist()})
    if not set(found) <= {"train", "val", "test"} or "train" not in found:
        raise ValueError(f"expected splits that are called train, val and test, got {', '.join(found[:8])}")
    return {part: torch.from_numpy(np.flatnonzero(names == part)).to(torch.int32) for part in ("val", "test", "train")}
