"""Options of loading that all data sets share."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor

__all__ = ["Loading", "chosen_options", "return_memory"]

_MMAP_THRESHOLD, _LARGE = -3, 2**20  # the option of glibc's mallopt, and bytes


@dataclass(frozen=True)
class Loading:
    """Options of how observations are split and loaded.

    Attributes:
        num_workers: processes that prepare batches; 0 prepares them in the training process.
        drop_last: whether training leaves out the last batch of an epoch if it is not full.
        augment: transforms of a training image (C, H, W), such as those of `torchvision.transforms.v2`, one after the
            other; see `lsgen.data.augmentation`.
        on_device: whether observations in memory lie on the device that trains, where batches are then gathered and
            encoded; each process has its own copy. Batches are the same.
        split_seed: seed of the splits and of all random draws that every run must share.

    Raises:
        ValueError: num_workers or split_seed is negative, or data on the device would have workers.

    """

    num_workers: int = 0
    drop_last: bool = False
    augment: Sequence[Callable[[Tensor], Tensor]] | None = None
    on_device: bool = False
    split_seed: int = 0

    def __post_init__(self) -> None:
        for name in ("num_workers", "split_seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"expected {name} of at least 0, got {getattr(self, name)}")
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


def chosen_options(kind: Any, options: Any, name: str) -> Any:
    """Return a dataclass of options that travel together, from a mapping of some of them or as it is.

    Args:
        kind: the dataclass.
        options: an instance of it, or a mapping.
        name: of the options, for the sentence.

    Raises:
        ValueError: they are neither, or there is no such option.

    """
    if isinstance(options, kind):
        return options
    known = [field.name for field in fields(kind)]
    if not isinstance(options, Mapping) or not set(options) <= set(known):
        got = ", ".join(map(str, options)) if isinstance(options, Mapping) else repr(options)
        raise ValueError(f"expected {name} to be a mapping with some of {', '.join(known)}, got {got}")
    return kind(**options)
