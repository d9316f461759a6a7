"""Tables beside images: measurements and classes in the columns of a table, whose rows have a picture each."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lsgen.data.batches import BatchDataset, TensorSource
from lsgen.data.encodings import Encoding, Grey
from lsgen.data.files import reading
from lsgen.data.images.pictures import Pictures, read_picture, shape_of
from lsgen.data.loading import Loading, chosen_options
from lsgen.data.module import Split
from lsgen.data.multimodal.multimodal_data import MultimodalData
from lsgen.data.splits import random_split

__all__ = ["ImageTable", "TableColumns"]


@dataclass(frozen=True)
class TableColumns:
    """A table in a file .csv and what its columns are.

    Attributes:
        path: the file; its first line names the columns. The embedded example if None.
        image: the column of file names, relative to the folder of the table.
        classes: columns of classes; each is a modality of its own.
        label: one of the classes, which is the label of an observation; None for none.
        separator: between columns.

    Raises:
        ValueError: the label is none of the classes.

    """

    path: str | None = None
    image: str = "image"
    classes: Sequence[str] = ()
    label: str | None = None
    separator: str = ","

    def __post_init__(self) -> None:
        if self.path is not None and self.label is not None and self.label not in self.classes:
            raise ValueError(f"expected data.table.label to be one of data.table.classes, got {self.label!r}")


class _Content(NamedTuple):
    """Images uint8 (N, C, H, W), numbers (N, K) with their columns, and classes (N,) with their names by column."""

    images: Tensor
    numbers: Tensor
    columns: tuple[str, ...]
    classes: dict[str, tuple[Tensor, tuple[str, ...]]]
    label: str | None


class ImageTable(MultimodalData):
    """Modalities "image" (C, H, W), "numbers" (K,), standardised over the training split, and one (1,) for each class.

    All columns that are neither the image nor a class are numbers. Classes are numbered in the order of their names.
    The embedded example are scanned digits in 8 x 8 pixels with the class "digit" and four numbers that are computed
    from the pixels v at row i and column j: `ink` = mean v, `row` = sum i v / sum v, `column` likewise, and `spread`,
    the root of the mean squared distance of the ink from there.

    Args:
        shape: (D,).
        shapes: those of the modalities.
        table: the file, `TableColumns` or its options.
        pictures: how the pictures of a table become images, `Pictures` or its options; the example does without.
        missing: share of the training observations that lack a modality, by its name.
        val_size: rows held out for validation, a number or a fraction.
        test_size: rows held out for the test, a number or a fraction.
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training and of the random draws in it.
        loading: workers, left-over batches and the seed of the splits.

    Attributes:
        columns: names of the numbers.
        classes: names of the classes, by column.

    Raises:
        ValueError: an option is out of its range, a column is missing, or a cell is no number.
        FileNotFoundError: there is no such file, or a picture is missing.

    """

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        table: TableColumns | Mapping[str, Any] = TableColumns(),
        pictures: Pictures | Mapping[str, Any] = Pictures(),
        missing: Mapping[str, float] | None = None,
        val_size: int | float = 0.1,
        test_size: int | float = 0.2,
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        wanted: TableColumns = chosen_options(TableColumns, table, "table")
        kept = Pictures.of(pictures)
        content = _example() if wanted.path is None else _read(Path(wanted.path).expanduser(), wanted, kept)
        provides = {"image": tuple(content.images.shape[1:]), "numbers": (len(content.columns),)}
        provides |= dict.fromkeys(content.classes, (1,))
        encoding: Encoding = Grey(17) if wanted.path is None else kept.encoding()
        super().__init__(shape, shapes, provides, missing, batch_size, seed, loading, {"image": encoding})
        self.columns = content.columns
        self.classes = {name: names for name, (_, names) in content.classes.items()}
        self._content = content
        sizes = {"val_size": val_size, "test_size": test_size}
        self._rows = random_split(len(content.images), sizes, loading.split_seed)

    def build(self, split: Split) -> BatchDataset:
        """Return the rows of a split."""
        return self.subset(self._source, self._rows[split], split)

    @cached_property
    def _source(self) -> TensorSource:
        content, train = self._content, self._rows["train"].to(torch.int64)
        seen = content.numbers[train]
        scale = seen.std(0, correction=0)
        varies = scale > torch.finfo(scale.dtype).eps * seen.abs().amax(0)
        numbers = (content.numbers - seen.mean(0)) / torch.where(varies, scale, 1.0)
        columns = [values[:, None].to(torch.float32) for values, _ in content.classes.values()]
        x = torch.cat([content.images.flatten(1).to(torch.float32), numbers.to(torch.float32), *columns], 1)
        if content.label is None:
            return TensorSource(x=x)
        return TensorSource(x=x, label=content.classes[content.label][0])


def _example() -> _Content:
    """Return scanned digits, and what is computed from their pixels."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    v: NDArray[np.float64] = digits.images
    i, j = np.arange(8)[:, None], np.arange(8)
    total = v.sum((1, 2))
    row, column = (v * i).sum((1, 2)) / total, (v * j).sum((1, 2)) / total
    squared = (i - row[:, None, None]) ** 2 + (j - column[:, None, None]) ** 2
    spread = np.sqrt((v * squared).sum((1, 2)) / total)
    numbers = torch.from_numpy(np.stack([v.mean((1, 2)), row, column, spread], 1))
    images = torch.from_numpy(v.astype(np.uint8))[:, None]
    classes = {"digit": (torch.from_numpy(digits.target).to(torch.int64), tuple(map(str, range(10))))}
    return _Content(images, numbers, ("ink", "row", "column", "spread"), classes, "digit")


def _read(file: Path, wanted: TableColumns, pictures: Pictures) -> _Content:
    """Return what a table and the pictures it names hold."""
    if not file.is_file():
        raise FileNotFoundError(f"expected a table at {file} (data.table.path), found nothing")
    with open(file, encoding="utf-8-sig", newline="") as lines, reading("table", file):
        header, *rows = [row for row in csv.reader(lines, delimiter=wanted.separator) if row]
    named = [wanted.image, *wanted.classes]
    if missing := [name for name in named if name not in header]:
        raise ValueError(f"expected a column {missing[0]!r} in {file}, got {', '.join(header)}")
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise ValueError(f"expected {len(header)} cells in row {number} of {file}, got {len(row)}")
    cells = {name: [row[place].strip() for row in rows] for place, name in enumerate(header)}
    columns = tuple(name for name in header if name not in named)
    if not rows or not columns:
        raise ValueError(
            f"expected rows with at least one column of numbers in {file}, got {len(rows)} rows of {header}"
        )
    numbers = torch.tensor([[_number(cells[name][n], name, n, file) for name in columns] for n in range(len(rows))])
    classes = {name: _classes(cells[name], name, file) for name in wanted.classes}
    images = _pictures([file.parent / name for name in cells[wanted.image]], pictures)
    return _Content(images, numbers.double(), columns, classes, wanted.label)


def _number(cell: str, column: str, row: int, file: Path) -> float:
    try:
        found = float(cell)
    except ValueError:
        found = float("nan")
    if not isfinite(found):
        raise ValueError(f"expected a number in column {column!r}, row {row + 1} of {file}, got {cell!r}")
    return found


def _classes(cells: Sequence[str], column: str, file: Path) -> tuple[Tensor, tuple[str, ...]]:
    """Return the numbers of classes (N,) and their names."""
    if "" in cells:
        raise ValueError(
            f"expected a class in column {column!r}, row {cells.index('') + 1} of {file}, got an empty cell"
        )
    names = sorted(set(cells))
    return torch.tensor([names.index(cell) for cell in cells]), tuple(names)


def _pictures(files: Sequence[Path], pictures: Pictures) -> Tensor:
    """Return pictures as bytes (N, C, H, W), of the shape of the first where none is stated."""
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"expected the picture {file}, which the table names, found nothing")
    with Image.open(files[0]) as first:
        shape = pictures.shape(shape_of(first))
    return torch.from_numpy(np.stack([read_picture(file, shape, pictures) for file in files]))
