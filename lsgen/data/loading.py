"""Options of loading that all data sets share."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from torch import Tensor

__all__ = ["Loading", "chosen_options", "return_memory"]

Options = TypeVar("Options")

_NUMBERS: Mapping[Any, Any] = {int: Integral, float: Real}
_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}
_MMAP_THRESHOLD, _LARGE = -3, 2**20  # the option of glibc's mallopt, and bytes


@dataclass(frozen=True)
class Loading:
    """Options of how observations are split and loaded.

    Attributes:
        num_workers: processes that prepare batches; 0 prepares them in the training process.
        drop_last: whether training leaves out the last batch of an epoch if it is not full.
        augment: transforms of a training image (C, H, W), such as those of `torchvision.transforms.v2`, one after the
            other; see `lsgen.data.augmentation`.
        views: 2 gives batches a second augmented view of every image as "pair", in validation and test as well: there
            both are the same ones every time.
        neighbours: number k: batches have as "pair" one of the k nearest observations of the same split, drawn anew in
            every epoch; with `augment` both are transformed alike, and with 2 views by themselves. None for no pairs.
        per_class: observations of each class in a training batch, see `lsgen.data.ClassBatches`; as they come where it
            is None.
        on_device: whether observations in memory lie on the device that trains, where batches are then gathered and
            encoded; each process has its own copy. Batches are the same.
        split_seed: seed of the splits and of all random draws that every run must share.

    Raises:
        ValueError: num_workers or split_seed is negative, data on the device would have workers, views is not 1 or 2,
            or 2 without anything that augments, neighbours is below 1, or per_class below 2.

    """

    num_workers: int = 0
    drop_last: bool = False
    augment: Sequence[Callable[[Tensor], Tensor]] | None = None
    views: int = 1
    neighbours: int | None = None
    per_class: int | None = None
    on_device: bool = False
    split_seed: int = 0

    def __post_init__(self) -> None:
        for name in ("num_workers", "split_seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"expected {name} of at least 0, got {getattr(self, name)}")
        if self.views not in (1, 2) or (self.views == 2 and not self.augment):
            made = "" if self.augment else " without data.loading.augment"
            raise ValueError(
                f"expected data.loading.views of 1, or 2 with data.loading.augment, got {self.views}{made}"
            )
        if self.neighbours is not None and self.neighbours < 1:
            raise ValueError(f"expected data.loading.neighbours of at least 1, got {self.neighbours}")
        if self.per_class is not None and self.per_class < 2:
            raise ValueError(f"expected data.loading.per_class of at least 2, which makes pairs, got {self.per_class}")
        if self.on_device and self.num_workers:
            raise ValueError(
                f"expected data.loading.num_workers of 0 with data.loading.on_device, which leaves them no work, "
                f"got {self.num_workers}"
            )


def return_memory(worker: int) -> None:
    """Let a worker return large arrays to the system as soon as they are freed.

    Otherwise glibc raises the size from which it does so with every array that is freed, and a worker holds on to more
    than 200 MB of batches that were sent long ago. Other allocators are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE)


def chosen_options(kind: type[Options], options: Any, name: str) -> Options:
    """Return a dataclass of options that travel together, from a mapping of some of them or as it is.

    Args:
        kind: the dataclass.
        options: an instance of it, or a mapping.
        name: of the options, for the sentence.

    Raises:
        ValueError: they are neither, there is no such option, or its value is of another type.

    """
    if isinstance(options, kind):
        return options
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    if not isinstance(options, Mapping) or not set(options) <= set(known):
        got = ", ".join(map(str, options)) if isinstance(options, Mapping) else repr(options)
        raise ValueError(f"expected {name} to be a mapping with some of {', '.join(known)}, got {got}")
    hints = get_type_hints(kind)
    for option, value in options.items():
        if not _fits(value, hints[option]):
            raise ValueError(f"expected data.{name}.{option} to be {_described(hints[option])}, got {value!r}")
    return kind(**options)


def _kinds(hint: Any) -> tuple[Any, ...]:
    """Return the types of a union, or the only one."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value is of a type; true and false are no numbers, and text is no list."""
    for kind in _kinds(hint):
        if get_origin(kind) is Literal:
            found = isinstance(value, str)  # the dataclass says which
        elif get_origin(kind) is Sequence:
            found = isinstance(value, Sequence) and not isinstance(value, str)
            found = found and all(_fits(one, get_args(kind)[0]) for one in value)
        elif kind in _NUMBERS:
            found = isinstance(value, _NUMBERS[kind]) and not isinstance(value, bool)
        else:
            found = kind is Any or isinstance(value, kind)
        if found:
            return True
    return False


def _described(hint: Any) -> str:
    words = [_WORDS.get(kind) or ("a list" if get_origin(kind) is Sequence else "text") for kind in _kinds(hint)]
    return " or ".join(words)
