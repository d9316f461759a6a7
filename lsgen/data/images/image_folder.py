"""A folder of pictures of one's own: any nesting, the class from the first folder, decoded once or as they come."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from stat import S_ISREG
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor

from lsgen.data.batches import BatchDataset, Observations, Source
from lsgen.data.images.drawings import example_pictures
from lsgen.data.images.pictures import (
    BrokenPicture,
    Pictures,
    open_picture,
    picture_suffixes,
    read_picture,
    shape_of,
)
from lsgen.data.loading import Loading
from lsgen.data.mapped import MappedPictures, PictureCache, Shape, decoded
from lsgen.data.module import DataModule, Split
from lsgen.data.splits import random_split

__all__ = ["Broken", "ImageFolder"]

Broken = Literal["refuse", "skip"]

_LIKE_SPLITS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}
_ADVICE = "name another directory by data.cache=DIRECTORY, or decode pictures as they come by data.cache=false"


class ImageFolder(DataModule):
    """All pictures below a folder; the label is the number of the first folder below it, in alphabetical order.

    Files of all types that Pillow reads are taken, in folders as deep as they are; names that begin with a dot are left
    out. If the only folders with pictures are called "train", "val" and "test", "train" among them, they are the
    splits, and the class is the folder below. A split that has no folder is held out of the others at random.
    Pictures that lie in no folder have no label.

    Decoded pictures are kept in one file in DIR.lsgen beside the folder, 100,000 of (3, 64, 64) in 1.2 GB on disk,
    which all workers and runs share and which is made anew if a file or an option changes. Without it, pictures are
    decoded whenever they are asked for: use num_workers; a broken one is found when its turn comes.

    Args:
        shape: (C, H, W); None for that of the pictures.
        path: the folder; 720 drawings of discs, squares and triangles where it is None.
        pictures: how pictures become observations, `Pictures` or its options.
        broken: whether a file that cannot be read is refused ("refuse"), or left out and counted ("skip").
        cache: whether decoded pictures are kept beside the folder, or a directory for them.
        val_size: pictures held out for validation, a number or a fraction; of those in "train" if there are folders.
        test_size: pictures held out for the test, likewise.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training and of the random draws in it.
        loading: workers, left-over batches and the seed of the splits.

    Attributes:
        classes: names of the folders that are the labels 0, 1, ...; empty if there are none.

    Raises:
        ValueError: an option is out of its range, there are no pictures, a broken one, or one of another size.
        FileNotFoundError: there is no such folder.
        PermissionError: decoded pictures cannot be kept where they should be.

    """

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        path: str | None = None,
        pictures: Pictures | Mapping[str, Any] = Pictures(),
        broken: Broken = "refuse",
        cache: bool | str = True,
        val_size: int | float = 0.1,
        test_size: int | float = 0.1,
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        if broken not in get_args(Broken):
            raise ValueError(f'expected broken "refuse" or "skip", got {broken!r}')
        if isinstance(cache, str) and cache.lower() in ("", "no", "off", "yes", "on"):
            raise ValueError(f"expected cache to be true, false or a directory, got {cache!r}")
        self.pictures, self._skipped, self._kept = (
            Pictures.of(pictures),
            BrokenPicture if broken == "skip" else None,
            cache is not False,
        )
        self._folder = example_pictures() if path is None else Path(path).expanduser()
        self._files = _list(self._folder)
        provides = self.pictures.shape(self._first())
        super().__init__(shape, provides, self.pictures.encoding(), batch_size, seed, loading)
        self.classes = self._files.classes
        self._sizes = {"val_size": val_size, "test_size": test_size}
        _split(self._files.splits, self._sizes, self.split_seed)
        self._cache: PictureCache | None = None
        if self._kept or self._skipped:
            self._cache = self._file(cache if isinstance(cache, str) else None, provides)
            self._cache.require_place()

    def prepare_data(self) -> None:
        """Decode the pictures in one process, unless they are decoded already or as they come."""
        if self._cache is not None:
            self._cache.build(self._decoded)

    def build(self, split: Split) -> BatchDataset:
        """Return the pictures of a split."""
        return self.subset(self._source, self._rows[split], split, flip=self.pictures.flip)

    @cached_property
    def _broken(self) -> list[int]:
        if self._cache is None:
            return []
        found: list[int] = self._cache.build(self._decoded)["broken"]
        if found:
            names = ", ".join(str(self._files.names[number]) for number in found[:3])
            more = ", ..." if len(found) > 3 else ""
            rank_zero_warn(f"{len(found)} of {len(self._files)} pictures are broken and left out: {names}{more}.")
        if len(found) == len(self._files):
            raise ValueError(f"expected pictures in {self._folder}, got {len(found)} files of which all are broken")
        return found

    @cached_property
    def _numbers(self) -> NDArray[np.int64]:
        return np.delete(np.arange(len(self._files)), self._broken)

    @cached_property
    def _rows(self) -> dict[str, Tensor]:
        return _split(self._files.splits[self._numbers], self._sizes, self.split_seed)

    @cached_property
    def _source(self) -> Source:
        entries = {"label": torch.from_numpy(self._files.labels[self._numbers])} if self.classes else {}
        if self._cache is not None and self._kept:
            return MappedPictures(self._cache.file, self._cache.build(self._decoded), **entries)
        return _Decoding(self._folder, self._files.names[self._numbers], entries, self.shape, self.pictures)

    def _first(self) -> Shape:
        """Return the shape of the first picture that can be read."""
        for name in self._files.names:
            try:
                with open_picture(self._folder / str(name)) as image:
                    return shape_of(image)
            except BrokenPicture:
                if not self._skipped:
                    raise
        raise ValueError(f"expected pictures in {self._folder}, got {len(self._files)} files of which all are broken")

    def _file(self, directory: str | None, shape: Shape) -> PictureCache:
        own = self._folder.resolve()
        place = own.parent / f"{own.name}.lsgen" if directory is None else Path(directory).expanduser()
        chosen = {name: asdict(self.pictures)[name] for name in ("size", "channels", "fit", "background")}
        settings = json.dumps([str(own), shape, chosen, bool(self._skipped), self._kept], default=list)
        name = "x".join(map(str, shape)) + "-" + hashlib.sha256(settings.encode()).hexdigest()[:12]
        digest = hashlib.sha256(settings.encode() + self._files.digest).hexdigest()
        return PictureCache(place / f"{name}.pictures", digest, shape, len(self._files), self._kept, _ADVICE)

    def _decoded(self) -> Iterator[NDArray[np.uint8] | None]:
        return decoded(self._decode, len(self._files), self._skipped)

    def _decode(self, number: int) -> NDArray[np.uint8]:
        return read_picture(self._folder / str(self._files.names[number]), self.shape, self.pictures)  # type: ignore[arg-type]


class _Decoding:
    """A source of pictures that are decoded when they are asked for."""

    def __init__(
        self,
        folder: Path,
        names: NDArray[np.str_],
        entries: Mapping[str, Tensor],
        shape: Sequence[int],
        pictures: Pictures,
    ) -> None:
        self.folder, self.names, self.entries, self.shape, self.pictures = folder, names, entries, shape, pictures

    def __len__(self) -> int:
        return len(self.names)

    def __call__(self, rows: Tensor) -> Observations:
        files = [self.folder / str(self.names[row]) for row in rows.tolist()]
        x = np.stack([read_picture(file, self.shape, self.pictures) for file in files])  # type: ignore[arg-type]
        return {"x": torch.from_numpy(x), **{name: values[rows] for name, values in self.entries.items()}}


@dataclass(frozen=True)
class _Files:
    """The files of a folder in alphabetical order, in arrays, so that workers share their memory."""

    names: NDArray[np.str_]
    labels: NDArray[np.int64]
    splits: NDArray[np.int64]
    classes: tuple[str, ...]
    digest: bytes

    def __len__(self) -> int:
        return len(self.names)


def _list(folder: Path) -> _Files:
    if not folder.is_dir():
        raise FileNotFoundError(
            f"expected a folder of pictures at {folder}, found {'a file' if folder.exists() else 'nothing'}"
        )
    suffixes = picture_suffixes()
    found = sorted(entry for entry in _walk(folder, folder) if Path(entry[0]).suffix.lower() in suffixes)
    if not found:
        raise ValueError(f"expected pictures below {folder}, such as .png or .jpg, got none")
    names = [Path(name).parts for name, *_ in found]
    parts = list(get_args(Split))
    by_folder = {name[0] if len(name) > 1 else "" for name in names}
    split = by_folder <= set(parts) and "train" in by_folder
    alike = {name.lower() for name in by_folder}
    if not split and len(by_folder) > 1 and alike <= _LIKE_SPLITS and alike & {"train", "training", "val", "test"}:
        raise ValueError(
            f"expected the folders of the splits below {folder} to be called train, val and test, train among them, "
            f"got {', '.join(sorted(by_folder))}: rename them, as they would be classes"
        )
    below = [name[1:] if split else name for name in names]
    owners = [name[0] if len(name) > 1 else "" for name in below]
    classes = sorted(set(owners))
    if "" in classes and len(classes) > 1:
        stray = found[owners.index("")][0]
        raise ValueError(
            f"expected each picture below {folder} in the folder of its class, or none, got {stray} in none"
        )
    number = {name: label for label, name in enumerate(classes)}
    listing = "\n".join("\0".join(map(str, entry)) for entry in found)
    return _Files(
        np.array([name for name, *_ in found]),
        np.array([number[owner] for owner in owners]),
        np.array([parts.index(name[0]) if split else -1 for name in names]),
        () if classes == [""] else tuple(classes),
        hashlib.sha256(listing.encode(errors="surrogateescape")).digest(),  # names need not be UTF-8
    )


def _walk(folder: Path, top: Path, above: frozenset[str] = frozenset()) -> Iterator[tuple[str, int, int]]:
    """Yield name below the top, size and time of change of all files; a link to a folder above is not followed."""
    own = os.path.realpath(folder)
    if own in above:
        return
    for entry in os.scandir(folder):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(Path(entry.path), top, above | {own})
            continue
        told = entry.stat()  # a link to nothing is an error that names it
        if S_ISREG(told.st_mode):  # what is a pipe would be waited for
            yield os.path.relpath(entry.path, top), told.st_size, told.st_mtime_ns


def _split(splits: NDArray[np.int64], sizes: Mapping[str, int | float], seed: int) -> dict[str, Tensor]:
    """Return the rows of the splits, for the number of the split (-1 for none) of each picture."""
    own = {name: torch.from_numpy((splits == number).nonzero()[0]) for number, name in enumerate(get_args(Split))}
    pool = own["train"] if len(own["train"]) else torch.arange(len(splits))
    missing = {f"{name}_size": sizes[f"{name}_size"] for name in ("val", "test") if not len(own[name])}
    drawn = {name: pool[rows.to(torch.int64)] for name, rows in random_split(len(pool), missing, seed).items()}
    return {**own, **drawn}
