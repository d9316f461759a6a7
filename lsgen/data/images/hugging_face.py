"""Sets of the package datasets of Hugging Face: local files and folders, or a name of the hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsgen.data.batches import BatchDataset, Observations, TensorSource
from lsgen.data.encodings import AsStored, Encoding
from lsgen.data.files import reading
from lsgen.data.images.digits import scanned_digits
from lsgen.data.images.pictures import Pictures, pixels_of, shape_of
from lsgen.data.inspection import refuse_first
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule, Split
from lsgen.data.splits import random_split
from lsgen.extras import from_extra

__all__ = ["HuggingFace"]

_NAMES = {"train": ("train",), "val": ("validation", "val", "valid", "dev"), "test": ("test",)}
_CHUNK = 2**22  # numbers looked at together
_BUILDERS = {".parquet": "parquet", ".arrow": "arrow"}


class HuggingFace(DataModule):
    """Pictures (C, H, W), or numbers of one shape, of a column of a set of Hugging Face.

    Columns stay in Arrow's files, mapped into memory; pictures are decoded whenever they are asked for: use
    num_workers. Other columns are arrays of numbers, which are taken as they are. The splits are those called "train",
    "validation" and "test"; what there is none of is held out of the training split at random.

    Args:
        shape: shape of one observation; None for that of the data.
        path: a file .parquet or .arrow, a folder of such files, of pictures, or one that `save_to_disk` wrote, or a
            name of the hub, which is downloaded; the digits of scikit-learn where it is None.
        name: the configuration of a set that has several.
        columns: which columns are "x" and "label"; what is left out is the only column of pictures, or the one called
            "x", and the only column of classes, or the one called "label".
        pictures: how pictures become observations, `Pictures` or its options.
        val_size: observations held out for validation, a number or a fraction, if there is no such split.
        test_size: observations held out for the test, likewise.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training and of the random draws in it.
        loading: workers, left-over batches and the seed of the splits.

    Attributes:
        classes: names of the labels 0, 1, ..., where they are known.

    Raises:
        ValueError: an option is out of its range, or there is no such column; when a split is built, a row has no
            picture, or not as many numbers as the first, or one that is NaN or infinite, with its place.
        FileNotFoundError: there is nothing at the path, and no such name on the hub.
        ImportError: the package datasets is not installed.

    """

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        path: str | None = None,
        name: str | None = None,
        columns: Mapping[str, str | None] = {"x": None, "label": None},
        pictures: Pictures | Mapping[str, Any] = Pictures(),
        val_size: int | float = 0.1,
        test_size: int | float = 0.1,
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        if not isinstance(columns, Mapping):
            raise ValueError(f"expected columns to be a mapping with some of x, label, got {columns!r}")
        if unknown := set(columns) - {"x", "label"}:
            raise ValueError(f"expected columns for x and label, got {', '.join(sorted(unknown))}")
        self.pictures = Pictures.of(pictures)
        self.classes: tuple[str, ...] = ()
        self._sources: dict[str, _Rows | TensorSource] = {}
        self._inspected: set[str] = set()
        own: tuple[int, ...]
        encoding: Encoding
        if path is None:
            self._sources["train"], own, encoding = scanned_digits(), (1, 8, 8), AsStored(None)
        else:
            own, encoding = self._find(_loaded(path, name), columns)
        super().__init__(shape, own, encoding, batch_size, seed, loading)
        for source in self._sources.values():
            if isinstance(source, _Rows):
                source.shape = self.shape
        sizes = {"val_size": val_size, "test_size": test_size}
        missing = {option: size for option, size in sizes.items() if option.removesuffix("_size") not in self._sources}
        self._rows = random_split(len(self._sources["train"]), missing, self.split_seed)

    def build(self, split: Split) -> BatchDataset:
        """Return the observations of a split."""
        own = split if split in self._sources else "train"
        source: Any = self._sources[own]
        if isinstance(source, _Rows) and own not in self._inspected:
            source.refuse_gaps(own)
            self._inspected.add(own)
        rows = self._rows[split] if split in self._rows else torch.arange(len(source))
        flip = self.pictures.flip and isinstance(source, _Rows) and source.pictures is not None
        return self.subset(source, rows, split, flip, part=get_args(Split).index(own))

    def _find(self, splits: Mapping[str, Any], columns: Mapping[str, str | None]) -> tuple[tuple[int, ...], Encoding]:
        """Find the columns in all splits, and return shape and encoding."""
        features = splits["train"].features
        kinds = {column: type(feature).__name__ for column, feature in features.items()}
        x = _column("x", columns.get("x"), kinds, "Image")
        label = _column("label", columns.get("label"), kinds, "ClassLabel")
        if x is None:
            raise ValueError(
                f"expected one column of pictures or one called x out of {', '.join(kinds)}: data.columns.x names it"
            )
        self.classes = tuple(getattr(features[label], "names", None) or ()) if label else ()
        if label and not self.classes and not str(getattr(features[label], "dtype", "")).startswith(("int", "uint")):
            raise ValueError(f"expected classes or whole numbers in the column {label!r}, got {features[label]}")
        drawn = kinds[x] == "Image"
        for split, data in splits.items():
            for column in [x] if label is None else [x, label]:
                if data.features.get(column) != features[column]:
                    raise ValueError(
                        f"expected the column {column!r} of the {split} split to be that of the training split, "
                        f"{features[column]}, got {data.features.get(column)}"
                    )
            self._sources[split] = _Rows(data, x, label, self.pictures if drawn else None)
        if not len(splits["train"]):
            raise ValueError("expected observations in the training split, got none")
        first = _picture(splits["train"], x, 0)
        if drawn and first is None:
            raise ValueError(f"expected a picture in every row of {x!r}, got none in row 0")
        if drawn:
            return self.pictures.shape(shape_of(first)), self.pictures.encoding()
        return _shape_of_numbers(first, x), AsStored(None)


class _Rows:
    """A source of rows of an Arrow table, pictures or numbers."""

    def __init__(self, data: Any, x: str, label: str | None, pictures: Pictures | None) -> None:
        self.data = data.select_columns([x]) if pictures else data.select_columns([x]).with_format("numpy")
        self.labels = None if label is None else data.select_columns([label])
        self.x, self.label, self.pictures = x, label, pictures
        self.shape: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.data)

    def __call__(self, rows: Tensor) -> Observations:
        if self.pictures is None:
            x = torch.from_numpy(np.asarray(self.data[rows.tolist()][self.x], dtype=np.float32))
        else:
            x = torch.from_numpy(np.stack([self._pixels(row) for row in rows.tolist()]))
        batch = {"x": x}
        if self.labels is not None:
            batch["label"] = _labels(self.labels[rows.tolist()][self.label], str(self.label))
        return batch

    def _pixels(self, row: int) -> NDArray[np.uint8]:
        assert self.pictures is not None
        image = _picture(self.data, self.x, row)
        try:
            return pixels_of(image, self.shape, self.pictures)  # type: ignore[arg-type]
        except ValueError as error:
            raise ValueError(f"{error} (row {row} of the column {self.x!r})") from error

    def refuse_gaps(self, split: str) -> None:
        """Refuse rows without a picture, without numbers of the shape that are finite, or with a class below 0.

        Raises:
            ValueError: the first such row.

        """
        if self.labels is not None:
            known = _labels(self.labels[:][self.label], str(self.label))
            classes = f"classes from 0 in {self.label!r}"
            refuse_first(known < -1, known, lambda value: classes, lambda row: f"row {row} of {split}")
        data = self.data if self.pictures is None else self.data.with_format("arrow")
        rows = max(1, _CHUNK // prod(self.shape)) if self.pictures is None else _CHUNK
        for start in range(0, len(data), rows):
            with np.errstate(over="ignore"):  # an infinite number is told with its place
                found = data[start : start + rows][self.x]
            if self.pictures is None:
                self._refuse_numbers(found, start, split)
            elif found.null_count:
                row = start + found.is_null().to_pylist().index(True)
                raise ValueError(f"expected a picture in every row of {self.x!r}, got none in row {row} of {split}")

    def _refuse_numbers(self, found: Any, start: int, split: str) -> None:
        if isinstance(found, np.ndarray) and found.dtype.kind in "fiub" and found.shape[1:] == self.shape:
            x = torch.from_numpy(found.astype(np.float32))
            expected = f"finite numbers in the column {self.x!r}"
            refuse_first(~x.isfinite(), x, lambda value: expected, partial(_place, start, split))
            return
        for row, one in enumerate(found, start):
            values = np.asarray(one)
            if values.dtype.kind not in "fiub" or values.shape != self.shape:
                got = "none" if one is None else f"shape {values.shape}"
                expected = f"numbers of shape {self.shape} in every row of {self.x!r}"
                raise ValueError(f"expected {expected}, got {got} in row {row} of {split}")


def _place(start: int, split: str, row: int, *place: int) -> str:
    return f"row {start + row} of {split}, position {place}"


def _column(what: str, named: str | None, kinds: Mapping[str, str], kind: str) -> str | None:
    """Return the column that is named, or the only one of a kind, or the one called as what it is."""
    if named is not None and named not in kinds:
        raise ValueError(f"expected columns.{what} out of {', '.join(kinds)}, got {named!r}")
    of_kind = [column for column, found in kinds.items() if found == kind]
    if named is not None:
        return named
    return of_kind[0] if len(of_kind) == 1 else what if what in kinds else None


def _picture(data: Any, column: str, row: int) -> Any:
    """Return what a row has, a picture decoded."""
    try:
        return data[row][column]
    except Exception as error:  # a decoder that meets damaged data raises nearly anything
        said = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"expected a picture in row {row} of the column {column!r}, got what is cut short, damaged or something "
            f"else ({said})"
        ) from error


def _shape_of_numbers(row: Any, column: str) -> tuple[int, ...]:
    try:
        x = np.asarray(row)
    except ValueError:  # parts of different lengths
        x = np.asarray(None)
    if x.dtype.kind not in "fiub" or not x.ndim or 0 in x.shape:
        raise ValueError(f"expected pictures, or arrays of numbers of one shape, in the column {column!r}")
    return x.shape


def _labels(rows: Sequence[Any], column: str) -> Tensor:
    known = [-1 if label is None else label for label in rows]
    if not all(isinstance(label, int) and not isinstance(label, bool) for label in known):
        raise ValueError(f"expected classes or whole numbers in the column {column!r}, got {known[0]!r}")
    return torch.tensor(known, dtype=torch.int64)


def _loaded(path: str, name: str | None) -> dict[str, Any]:
    """Return the splits "train", "val" and "test" of a set, as far as it has them."""
    with from_extra("datasets", "expected the package datasets"):
        import datasets
    local = Path(path).expanduser()
    if local.is_file():
        if local.suffix not in _BUILDERS:
            raise ValueError(f"expected a file {' or '.join(_BUILDERS)}, or a folder, got {local}")
        with reading("Hugging Face", local):
            found = datasets.load_dataset(_BUILDERS[local.suffix], data_files=str(local))
    elif any((local / marker).is_file() for marker in ("dataset_dict.json", "state.json")):
        with reading("Hugging Face", local):
            found = datasets.load_from_disk(str(local))
    else:
        place = str(local) if local.is_dir() else path
        try:
            found = datasets.load_dataset(place, name)
        except (FileNotFoundError, ConnectionError, OSError) as error:
            said = " ".join(str(error).split())
            raise FileNotFoundError(f"expected a file, a folder or a name of the hub, got {path!r}: {said}") from error
    if isinstance(found, datasets.Dataset):
        found = {"train": found}
    splits = {own: found[other] for own, names in _NAMES.items() for other in names if other in found}
    if "train" not in splits:
        if len(found) > 1:
            raise ValueError(f"expected a split called train, got {', '.join(found)}")
        splits = {"train": next(iter(found.values()))}
    return splits
