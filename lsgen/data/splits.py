"""Random splits of a data set into disjoint parts."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lsgen.data.draws import Purpose, stream

__all__ = ["random_split", "resolve_size"]


def resolve_size(size: int | float, total: int, name: str) -> int:
    """Return a size given as a number of observations, or as a fraction of them if it is a float.

    Raises:
        ValueError: a fraction outside [0, 1), or a number that is negative or leaves nothing of the whole.

    Example:
        >>> resolve_size(0.1, 1797, "val_size"), resolve_size(360, 1797, "test_size")
        (180, 360)

    """
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
