"""Sets in chunks of litdata, which may be larger than the disk of a machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lsgen.data.batches import BatchDataset, Observations, TensorSource
from lsgen.data.encodings import AsStored, Encoding
from lsgen.data.images.chunks import ChunkFolder, is_remote
from lsgen.data.images.digits import scanned_digits
from lsgen.data.images.pictures import Pictures, pixels_of, shape_of
from lsgen.data.loading import Loading, chosen_options
from lsgen.data.module import DataModule, Split
from lsgen.data.sampler import Batching, ChunkedBatches, ShuffledBatches
from lsgen.data.splits import group_split

__all__ = ["Entries", "Streaming"]

_CHUNK = 100  # rows of a chunk of the example
_CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class Entries:
    """The names of the entries of a row that is a mapping; of a sequence the first is "x" and the second "label".

    Attributes:
        x: the observation; if None, the only entry, or the one called "x" or "image".
        label: the class; if None, what is called "label", if there is such an entry.

    """

    x: str | None = None
    label: str | None = None

    def of(self, row: Any) -> dict[str, Any]:
        """Return "x" and, if there is one, "label" of a row.

        Raises:
            ValueError: it has no such entries, or they cannot be told.

        """
        if isinstance(row, list | tuple) and len(row) in (1, 2):
            row = dict(zip(("x", "label"), row, strict=False))
        if not isinstance(row, Mapping):
            row = {"x": row}
        names = list(row)
        label = self.label if self.label is not None else "label" if "label" in row else None
        likely = [name for name in ("x", "image") if name in row] or [name for name in names if name != label]
        if self.x is None and len(likely) != 1:
            raise ValueError(f"expected data.keys.x to choose the observations out of {', '.join(names)}, got null")
        chosen = {"x": likely[0] if self.x is None else self.x} | ({} if label is None else {"label": label})
        for role, name in chosen.items():
            if name not in row:
                raise ValueError(f"expected data.keys.{role} out of {', '.join(names)}, got {name!r}")
        return {role: row[name] for role, name in chosen.items()}


class Streaming(DataModule):
    """Pictures (C, H, W), or numbers of one shape, in chunks that `litdata.optimize` wrote.

    A row is an observation, a sequence (x,) or (x, label), or a mapping. Pictures are those of Pillow, files of them in
    bytes, and arrays of bytes (H, W), (H, W, C) or (C, H, W); other bytes are scaled to [0, 1], and other numbers taken
    as they are. Folders "train", "val" and "test" are the splits; where there are no folders "val" and "test", whole
    chunks are held out. Training goes through the chunks as `ChunkedBatches` says: every process and worker reads its
    own chunks, a few at a time. For evaluation every process reads all. In a store "train" needs the other two.

    Args:
        shape: shape of one observation; None for that of the data.
        path: the folder, on a disk that machines may share, or an address such as "s3://...", from which chunks are
            fetched into a directory for temporary files; the digits of scikit-learn where it is None.
        keys: which entries of a row are "x" and "label", `Entries` or its options.
        pictures: how pictures become observations, `Pictures` or its options.
        mixed: chunks that each reader mixes at a time, and keeps of those that it fetches; more mix better.
        val_size: observations held out for validation, a number or a fraction, as far as whole chunks allow.
        test_size: observations held out for the test, likewise.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training and of the random draws in it.
        loading: workers, left-over batches and the seed of the splits. The order depends on the number of workers.

    Raises:
        ValueError: an option is out of its range, there are too few chunks, or rows are none of those above.
        FileNotFoundError: there is no index of chunks.
        ImportError: the package litdata is not installed.

    """

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        path: str | None = None,
        keys: Entries | Mapping[str, Any] = Entries(),
        pictures: Pictures | Mapping[str, Any] = Pictures(),
        mixed: int = 8,
        val_size: int | float = 0.1,
        test_size: int | float = 0.1,
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        if mixed < 1:
            raise ValueError(f"expected data.mixed of at least 1 chunk, got {mixed}")
        self.mixed, self.pictures = mixed, Pictures.of(pictures)
        self._chunks: dict[str, Sequence[int]] = {}
        self._sources: dict[str, _Rows | TensorSource] = {}
        own: tuple[int, ...]
        encoding: Encoding
        if path is None:
            self._sources["train"], own, encoding = scanned_digits(), (1, 8, 8), AsStored(None)
            rows = len(self._sources["train"])
            self._chunks["train"] = [min(_CHUNK, rows - first) for first in range(0, rows, _CHUNK)]
        else:
            own, encoding = self._find(path, chosen_options(Entries, keys, "keys"))
        super().__init__(shape, own, encoding, batch_size, seed, loading)
        self._rows = self._divided({"val_size": val_size, "test_size": test_size})

    def build(self, split: Split) -> BatchDataset:
        """Return the observations of a split."""
        own = split if split in self._sources else "train"
        source: Any = self._sources[own]
        rows = self._rows[split] if split in self._rows else torch.arange(len(source))
        flip = self.pictures.flip and isinstance(source, _Rows) and source.drawn
        return self.subset(source, rows, split, flip, part=get_args(Split).index(own))

    def _find(self, path: str, entries: Entries) -> tuple[tuple[int, ...], Encoding]:
        """Open the chunks of all splits, and return shape and encoding."""
        folders = _folders(path, self.mixed)
        for split, folder in folders.items():
            if not len(folder):
                raise ValueError(f"expected rows in the chunks of {folder.place}, got none")
            self._chunks[split] = folder.sizes
        first = entries.of(folders["train"].read([0])[0])["x"]
        image = _image_of(first)
        if image is not None:
            own: tuple[int, ...] = self.pictures.shape(shape_of(image))
        else:
            own = _numbers(first).shape
        for split, folder in folders.items():
            self._sources[split] = _Rows(folder, entries, own, self.pictures, image is not None)
        in_bytes = image is not None or _numbers(first).dtype == np.uint8
        return own, self.pictures.encoding() if in_bytes else AsStored(None)

    def _divided(self, sizes: Mapping[str, int | float]) -> dict[str, Tensor]:
        """Return the rows of training by split, whole chunks for what has no folder."""
        held_out = {name: size for name, size in sizes.items() if name.removesuffix("_size") not in self._sources}
        chunks = self._chunks["train"]
        needed = 1 + sum(bool(size) for size in held_out.values())
        if len(chunks) < needed:
            raise ValueError(
                f"expected at least {needed} chunks, one for each split, got {len(chunks)}: write smaller chunks, or "
                "folders train, val and test"
            )
        of_row = np.repeat(np.arange(len(chunks)), chunks)
        rows = group_split(of_row, held_out, self.split_seed)
        self._chunks["train"] = np.unique(of_row[rows["train"].numpy()], return_counts=True)[1].tolist()
        return rows

    def _shuffled(self, data: BatchDataset, batching: Batching) -> ShuffledBatches:
        return ChunkedBatches(self._chunks["train"], self.mixed, max(1, self.loading.num_workers), batching)

    def _order_key(self) -> dict[str, int]:
        return {**super()._order_key(), "workers": self.loading.num_workers, "mixed": self.mixed}


class _Rows:
    """A source of rows in chunks."""

    def __init__(
        self, folder: ChunkFolder, entries: Entries, shape: tuple[int, ...], pictures: Pictures, drawn: bool
    ) -> None:
        self.folder, self.entries, self.shape, self.pictures, self.drawn = folder, entries, shape, pictures, drawn

    def __len__(self) -> int:
        return len(self.folder)

    def __call__(self, rows: Tensor) -> Observations:
        numbers = rows.tolist()
        found = []
        for row, content in zip(numbers, self.folder.read(numbers), strict=True):
            try:
                found.append(self._observation(content))
            except ValueError as error:
                raise ValueError(f"{error} (row {row} of {self.folder.place})") from error
        if len({len(one) for one in found}) > 1:
            raise ValueError(f"expected a label in every row of {self.folder.place}, or in none, got both")
        return {name: torch.stack([one[name] for one in found]) for name in found[0]}

    def _observation(self, content: Any) -> Observations:
        entries = self.entries.of(content)
        image = _image_of(entries["x"]) if self.drawn else None
        if self.drawn and image is None:
            raise ValueError(f"expected a picture as in the first row, got {type(entries['x']).__name__}")
        x = _numbers(entries["x"]) if image is None else pixels_of(image, self.shape, self.pictures)  # type: ignore[arg-type]
        if x.shape != self.shape:
            raise ValueError(f"expected {self.shape} numbers as in the first row, got {x.shape}")
        found = {"x": torch.from_numpy(np.array(x))}
        return found | {"label": _label(entries["label"])} if "label" in entries else found


def _folders(path: str, kept: int) -> dict[str, ChunkFolder]:
    """Return the chunks in a folder, or in its folders of splits."""
    try:
        return {"train": ChunkFolder(path, kept)}
    except FileNotFoundError as error:
        reason = error
    found = {}
    for split in get_args(Split):
        try:
            found[split] = ChunkFolder(f"{path.rstrip('/')}/{split}", kept)
        except FileNotFoundError as error:
            if split == "train":
                raise FileNotFoundError(f"{reason}, nor in its folder train") from error
            if is_remote(path):  # not there, or out of reach
                raise
    return found


def _image_of(x: Any) -> Image.Image | None:
    """Return what is a picture as one."""
    if isinstance(x, Image.Image):
        return x
    if isinstance(x, bytes):
        try:
            return Image.open(BytesIO(x))
        except OSError as error:
            raise ValueError(f"expected the bytes of a picture that Pillow reads, got others: {error}") from error
    values = np.asarray(x) if isinstance(x, Tensor | np.ndarray) else np.zeros(())
    if values.dtype != np.uint8 or values.ndim not in (2, 3):
        return None
    if values.ndim == 3:
        if values.shape[0] in _CHANNELS:
            values = values.transpose(1, 2, 0)
        if values.shape[-1] not in _CHANNELS:
            return None
        values = values[..., 0] if values.shape[-1] == 1 else values
    return Image.fromarray(np.ascontiguousarray(values))


def _numbers(x: Any) -> NDArray[Any]:
    """Return numbers as float32, bytes as they are."""
    values = np.asarray(x) if isinstance(x, Tensor | np.ndarray | list) else np.asarray(None)
    if values.dtype.kind not in "fiub" or not values.ndim:
        raise ValueError(f"expected pictures, or arrays of numbers of one shape, got {type(x).__name__}")
    if not np.isfinite(values).all():
        raise ValueError("expected finite numbers, got NaN or an infinite one")
    return values if values.dtype == np.uint8 else values.astype(np.float32)


def _label(label: Any) -> Tensor:
    value = np.asarray(label)
    if value.size != 1 or value.dtype.kind not in "iu":
        raise ValueError(f"expected labels that are whole numbers, got {label!r}")
    return torch.tensor(int(value.reshape(())), dtype=torch.int64)
