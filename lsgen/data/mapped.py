r"""Decoded pictures in one file, mapped into memory: any number of processes share its pages.

    "lsgen pictures\n\0" | length of the header, uint64 | header, JSON | zeros up to a page | bytes (N, C, H, W)

The header holds a digest of what the pictures were made of, by which a file that is out of date is found.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsgen.data.batches import Observations
from lsgen.data.making import advancing, alone

__all__ = ["MappedPictures", "PictureCache", "Shape", "decoded"]

_MAGIC = b"lsgen pictures\n\0"
_PAGE = 4096
_THREADS = 16

Decoded = NDArray[np.uint8]
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class PictureCache:
    """A file of decoded pictures.

    Attributes:
        file: where it is.
        digest: what the pictures are made of: the same digest, the same bytes.
        shape: (C, H, W).
        total: how many pictures there are, broken ones included.
        kept: whether the file holds the pictures; else only the numbers of the broken ones.
        advice: how to put it elsewhere, for an error.
        making: how they are made, for the bar.

    """

    file: Path
    digest: str
    shape: Shape
    total: int
    kept: bool
    advice: str
    making: str = "Decoding"

    def require_place(self) -> None:
        """Refuse a place that cannot be written to, unless the file is there already.

        Raises:
            PermissionError: the directory cannot be made or written to.

        """
        place = next(path for path in (self.file.parent, *self.file.parents) if path.exists())
        if not (place.is_dir() and os.access(place, os.W_OK)) and self.header() is None:
            raise PermissionError(
                f"expected to write decoded pictures to {self.file.parent}, and {place} cannot be written to: "
                f"{self.advice}"
            )

    def header(self) -> dict[str, Any] | None:
        """Return the header if the file is there, whole and up to date."""
        try:
            with open(self.file, "rb") as file:
                if file.read(len(_MAGIC)) != _MAGIC:
                    return None
                (length,) = struct.unpack("<Q", file.read(8))
                size = os.fstat(file.fileno()).st_size
                header: dict[str, Any] = json.loads(file.read(min(length, size)))
            whole = size == header["offset"] + header["count"] * prod(self.shape) * self.kept
            return header if whole and header["digest"] == self.digest else None
        except (FileNotFoundError, NotADirectoryError, ValueError, LookupError, TypeError, struct.error):
            return None

    def build(self, pictures: Callable[[], Iterable[Decoded | None]]) -> dict[str, Any]:
        """Return the header, of a file that is made first unless it is there; one process makes it, others wait.

        Args:
            pictures: gives all in order, bytes (C, H, W) or several together (n, C, H, W), None for a broken one.

        Raises:
            ValueError: there are more or fewer pictures than there should be.
            OSError: there is no room, or no permission to write.

        """
        if (found := self.header()) is not None:
            return found
        self.require_place()
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with alone(self.file.parent / ".lock", f"writes {self.file.parent}"):
            return self.header() or self._write(pictures)

    def _write(self, pictures: Callable[[], Iterable[Decoded | None]]) -> dict[str, Any]:
        needed = self.total * prod(self.shape) * self.kept
        if (free := shutil.disk_usage(self.file.parent).free) < needed:
            raise OSError(
                f"expected {needed / 1e9:.1f} GB for decoded pictures in {self.file.parent}, got {free / 1e9:.1f} GB: "
                f"{self.advice}"
            )
        part, broken, done = self.file.with_suffix(".part"), list[int](), 0
        room = _room(self.total * (len(str(self.total)) + 2))
        what = f"{self.making} {self.total} pictures into {self.file.parent}"
        with open(part, "wb") as file, advancing(what, self.total) as advance:
            file.seek(room)
            for values in pictures():
                number = 1 if values is None else values.size // prod(self.shape)
                if values is None:
                    broken.append(done)
                elif self.kept:
                    file.write(values.tobytes())
                done += number
                advance(number)
            if done != self.total:
                raise ValueError(f"expected {self.total} pictures, got {done}")
            header: dict[str, Any] = {
                "digest": self.digest,
                "shape": self.shape,
                "count": self.total - len(broken),
                "broken": broken,
                "offset": room,
            }
            text = json.dumps(header).encode()
            file.truncate(room + header["count"] * prod(self.shape) * self.kept)
            file.seek(0)
            file.write(_MAGIC + struct.pack("<Q", len(text)) + text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.file)
        return header


class MappedPictures:
    """A source of pictures that lie in a file, mapped into memory and read as they are asked for.

    Args:
        file: made by `PictureCache`.
        header: its header.
        entries: what belongs to the pictures, such as "label" and "factors", (N, ...).

    """

    def __init__(self, file: Path, header: dict[str, Any], **entries: Tensor) -> None:
        self.file, self.offset, self.entries = file, int(header["offset"]), entries
        self.shape = (int(header["count"]), *(int(size) for size in header["shape"]))
        self._pages  # noqa: B018  a file that is replaced later stays what it is now

    def __len__(self) -> int:
        return self.shape[0]

    def __call__(self, rows: Tensor) -> Observations:
        """Copy the rows."""
        x = torch.from_numpy(np.take(self._pages, rows.numpy(), axis=0))
        return {"x": x, **{name: values[rows] for name, values in self.entries.items()}}

    def __getstate__(self) -> dict[str, Any]:
        """Leave the pages out for another process, which maps the file itself."""
        return {name: value for name, value in self.__dict__.items() if name != "_pages"}

    @cached_property
    def _pages(self) -> np.ndarray:
        pages: np.ndarray = np.memmap(self.file, np.uint8, "r", self.offset, self.shape)
        return pages.view(np.ndarray)


def _room(numbers: int) -> int:
    """Return the bytes before the pictures, for a header with a list of numbers that takes some bytes."""
    return -(-(len(_MAGIC) + 8 + 512 + numbers) // _PAGE) * _PAGE


def decoded(
    decode: Callable[[int], Decoded], total: int, skipped: type[Exception] | None = None
) -> Iterator[Decoded | None]:
    """Yield pictures in order, decoded by several threads; a few are held in memory together.

    Args:
        decode: number of a picture -> bytes (C, H, W).
        total: how many there are.
        skipped: error of `decode` at which None is yielded instead.

    """
    caught = () if skipped is None else (skipped,)

    def one(number: int) -> Decoded | None:
        try:
            return decode(number)
        except caught:
            return None

    threads = min(_THREADS, len(os.sched_getaffinity(0)))
    waiting = iter(range(total))
    with ThreadPoolExecutor(threads) as pool:
        while chunk := list(islice(waiting, 32 * threads)):
            yield from pool.map(one, chunk)
