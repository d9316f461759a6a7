"""Arrays and tables in the user's own files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import prod
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from lsgen.data.arrays.entries import ArrayFile, Keys, classes_of
from lsgen.data.arrays.stored import SUFFIXES, Rows
from lsgen.data.batches import BatchDataset, Observations
from lsgen.data.encodings import AsStored, Encoding, Standardise, image_encoding
from lsgen.data.inspection import refuse_first
from lsgen.data.loading import Loading, chosen_options
from lsgen.data.module import DataModule, Split
from lsgen.data.splits import group_split, named_split, random_split

__all__ = ["Arrays", "Numbers", "Splits"]

Gaps = Literal["refuse", "mask"]
_CHUNK = 2**22  # numbers looked at together
_CHANNELS = (1, 3, 4)
_ROUNDING = 1e-12  # relative differences that a computation in float64 makes by itself


@dataclass(frozen=True)
class Splits:
    """How observations are held out: at random, by files of their own, by whole groups, or as a column says.

    Attributes:
        val_size: observations held out for validation, a number or a fraction; 0.1 where nothing else decides.
        test_size: the same for the test.
        val_path: a file of its own for validation.
        test_path: a file of its own for the test.
        group: name of the array or column whose groups, such as patients, stay together.
        column: name of the array or column that says "train", "val" or "test".

    Raises:
        ValueError: two of them decide on the same.

    """

    val_size: int | float | None = None
    test_size: int | float | None = None
    val_path: str | None = None
    test_path: str | None = None
    group: str | None = None
    column: str | None = None

    def __post_init__(self) -> None:
        given = {name for name, value in vars(self).items() if value is not None}
        pairs = [{"val_size", "val_path"}, {"test_size", "test_path"}]
        for both in [*pairs, *({"column", name} for name in sorted(vars(self)) if name != "column")]:
            if both <= given:
                raise ValueError(f"expected data.splits to have {' or '.join(sorted(both))}, got both")

    @property
    def paths(self) -> dict[str, str | None]:
        """The files of their own, by split."""
        return {"val": self.val_path, "test": self.test_path}

    def rows(self, file: ArrayFile, seed: int) -> dict[str, Tensor]:
        """Return the rows of the main file by split."""
        if self.column is not None:
            return named_split(file.grouping(self.column, "splits.column"))
        own = {split for split, path in self.paths.items() if path is not None}
        sizes = {"val_size": self.val_size, "test_size": self.test_size}
        held_out = {name: 0.1 if size is None else size for name, size in sizes.items() if name[:-5] not in own}
        if self.group is not None:
            return group_split(file.grouping(self.group, "splits.group"), held_out, seed)
        return random_split(len(file), held_out, seed)


@dataclass(frozen=True)
class Numbers:
    """How stored numbers become x.

    Attributes:
        levels: how many levels whole numbers have, from 0; x is then scaled to [0, 1]. If None, 256 for bytes (uint8),
            2 for booleans, and all else is taken as it is.
        standardise: whether each column, or each channel of images, gets mean 0 and standard deviation 1 over the
            training data.
        binarise: "none", "threshold", "static" or "dynamic", for numbers with levels.
        dequantise: whether uniform noise makes levels continuous.

    Raises:
        ValueError: standardised numbers would have levels too, or there are less than two.

    """

    levels: int | None = None
    standardise: bool = False
    binarise: str = "none"
    dequantise: bool = False

    def __post_init__(self) -> None:
        for name in ("standardise", "dequantise"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"expected data.numbers.{name} to be true or false, got {getattr(self, name)!r}")
        if self.standardise and (self.levels is not None or self.binarise != "none" or self.dequantise):
            raise ValueError("expected data.numbers.standardise without levels, binarise and dequantise, got both")
        if self.levels is not None and not (isinstance(self.levels, int) and self.levels >= 2):
            raise ValueError(f"expected data.numbers.levels to be a whole number of at least 2, got {self.levels!r}")

    def encoding(self, dtype: np.dtype[Any]) -> tuple[Encoding, int | None]:
        """Return the encoding of numbers of a type, with their levels."""
        if self.standardise:
            return Standardise(), None
        levels = self.levels or {"uint8": 256, "bool": 2}.get(dtype.name)
        if levels is None:
            if self.binarise != "none" or self.dequantise:
                raise ValueError(f"expected data.numbers.levels, as the data are {dtype} and not bytes, got null")
            return AsStored(None), None
        return image_encoding(levels, self.dequantise, self.binarise), levels


class Arrays(DataModule):
    """The user's own data: .npy, .npz, .pt or .h5 arrays, or the columns of a .csv or .parquet table.

    Rows of two dimensions (H, W) are grey images (1, H, W); rows (H, W, C) with 1, 3 or 4 channels become (C, H, W).
    What the format allows is mapped into memory, so that only the rows of a batch are read. Classes may be text.

    Args:
        shape: shape of one observation; None for that of the data.
        path: the file; scikit-learn's digits of 8x8 pixels in [0, 1], as an example, where it is None.
        keys: a `Keys`, or a mapping of its options: which arrays or columns are "x", "label" and "factors".
        splits: a `Splits`, or a mapping of its options: what is held out.
        numbers: a `Numbers`, or a mapping of its options: how stored numbers become x.
        missing: "refuse" any NaN, or "mask": a NaN is a value that is missing, and batches have "observed".
        batch_size: observations in a batch, on each process.
        seed: seed of the order of training and of the random draws in it.
        loading: workers, left-over batches and the seed of the splits.

    Attributes:
        label_names: names of the classes, where they are text.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file is damaged or lacks an array; an option is out of its range; when a split is built, a number
            is infinite, NaN or out of its levels, with its row and column.
        ImportError: the package that reads .h5 or .parquet is not installed.

    """

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        path: str | None = None,
        keys: Keys | Mapping[str, Any] = Keys(),
        splits: Splits | Mapping[str, Any] = Splits(),
        numbers: Numbers | Mapping[str, Any] = Numbers(),
        missing: str = "refuse",
        batch_size: int = 64,
        seed: int = 0,
        loading: Loading = Loading(),
    ) -> None:
        if missing not in get_args(Gaps):
            raise ValueError(f'expected missing to be "refuse" or "mask", got {missing!r}')
        self._division: Splits = chosen_options(Splits, splits, "splits")
        self._numbers: Numbers = chosen_options(Numbers, numbers, "numbers")
        self._files = _files(path, Keys.of(keys), self._division)
        main = self._files["train"]
        kind = np.dtype(float) if main.columns is not None else main.observations.dtype
        if kind.kind not in "fiub":
            raise ValueError(f"expected observations that are real numbers in {main.path}, got {kind}")
        encoding, levels = self._numbers.encoding(kind)
        super().__init__(shape, _layout(main.shape)[0], encoding, batch_size, seed, loading)
        self._missing, self._levels = missing == "mask", levels
        if main.factors is not None:
            self.factor_names, self.factor_sizes = self._factors[:2]

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the classes, where they are text."""
        return self._labels[1]

    def build(self, split: Split) -> BatchDataset:
        """Return the rows of a split."""
        if isinstance(self.encoding, Standardise) and not self.encoding.mean.ndim:
            rows = self._rows["train"].to(torch.int64).sort().values
            source, chunk = self._source("train"), max(1, _CHUNK // prod(self.shape))
            self.encoding.fit(lambda: (source(part)["x"] for part in rows.split(chunk)))
        if split in self._files and split != "train":
            source = self._source(split)
            return self.subset(source, torch.arange(len(source)), split, part=list(self._files).index(split))
        return self.subset(self._source("train"), self._rows[split], split)

    @cached_property
    def _rows(self) -> dict[str, Tensor]:
        main, group = self._files["train"], self._division.group
        for name, file in self._files.items():
            if name != "train" and group is not None and group in file.arrays:
                shared = np.intersect1d(main.column(group, "splits.group"), file.column(group, "splits.group"))
                if len(shared):
                    raise ValueError(f"expected groups of their own in {file.path}, got {shared[0]} in {main.path} too")
        return self._division.rows(main, self.split_seed)

    def _source(self, name: str) -> _Stored:
        if name not in self._sources:
            file, place = self._files[name], list(self._files).index(name)
            extra = {}
            if self._labels[0]:
                extra["label"] = self._labels[0][place]
            if file.factors is not None:
                extra["factors"] = self._factors[2][place]
            kind = np.float64 if self._numbers.standardise else np.float32
            source = _Stored(file.observations, kind, _layout(file.shape)[1], self._missing, extra)
            _Inspection(file, source, self._levels, self._missing).refuse()
            self._sources[name] = source
        return self._sources[name]

    @cached_property
    def _sources(self) -> dict[str, _Stored]:
        return {}

    @cached_property
    def _labels(self) -> tuple[list[Tensor], tuple[str, ...]]:
        files = list(self._files.values())
        if files[0].label is None:
            return [], ()
        return classes_of([file.column(str(files[0].label), "label") for file in files], f'"{files[0].label}"')

    @cached_property
    def _factors(self) -> tuple[tuple[str, ...], tuple[int, ...], list[Tensor]]:
        files, names = list(self._files.values()), self._files["train"].factors
        columns = [names] if isinstance(names, str) else list(names or ())
        parts = [[file.column(name, "factors") for name in columns] for file in files]
        if (shapes := {part.shape[1:] for row in parts for part in row}) and (
            max(map(len, shapes)) > 1 or len(shapes) > 1
        ):
            raise ValueError(f"expected factors (N, K) in {files[0].path}, got rows of shape {sorted(shapes)}")
        tables = [[column for part in row for column in np.atleast_2d(part.T)] for row in parts]
        whole = [np.concatenate(column) for column in zip(*tables, strict=True)]
        if any(column.dtype.kind == "f" and np.isnan(column).any() for column in whole):
            raise ValueError(f"expected a value of every factor in {files[0].path}, got NaN")
        if not whole:
            raise ValueError(f"expected factors (N, K) in {files[0].path}, got K = 0")
        if len(columns) < len(whole):
            columns = [f"factor_{k}" for k in range(len(whole))]
        found = [np.unique(column, return_inverse=True) for column in whole]
        classes = torch.from_numpy(np.stack([places for _, places in found], 1)).to(torch.int64)
        sizes = tuple(len(values) for values, _ in found)
        return tuple(columns), sizes, list(classes.split([len(file) for file in files]))


def _files(path: str | None, keys: Keys, division: Splits) -> dict[str, ArrayFile]:
    """Open the main file and those of splits of their own, which hold the same."""
    others = [name for name in (division.group, division.column) if name is not None]
    if path is None:
        main = ArrayFile(Path("the embedded digits"), keys, others, _example())
    else:
        main = ArrayFile(Path(path).expanduser(), keys, others)
    files = {"train": main}
    for split, own in division.paths.items():
        if own is not None:
            if main.label is not None and Path(main.label).suffix in SUFFIXES:
                raise ValueError(
                    f"expected the label of {path} and {own} by one name that both hold, as files of their own are "
                    f"split, got data.keys.label={main.label}, a file"
                )
            if any(Path(own).expanduser().resolve() == file.path.resolve() for file in files.values()):
                raise ValueError(f"expected a file of its own for data.splits.{split}_path, got {own} twice")
            one = ArrayFile(Path(own).expanduser(), Keys(main.x, main.label, main.factors), others)
            if one.shape != main.shape:
                raise ValueError(f"expected rows of shape {main.shape} in {own}, as in {path}, got {one.shape}")
            kinds = [None if file.columns is not None else file.observations.dtype.name for file in (main, one)]
            if kinds[0] != kinds[1] and {"uint8", "bool"} & set(kinds):
                raise ValueError(f"expected numbers of type {kinds[0]} in {own}, as in {path}, got {kinds[1]}")
            files[split] = one
    return files


def _example() -> Mapping[str, Rows]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return {"x": digits.images / 16, "label": digits.target}


def _layout(shape: tuple[int, ...]) -> tuple[tuple[int, ...], Callable[[Tensor], Tensor]]:
    """Return the shape of observations stored as rows of a shape, and what brings rows into it."""
    if len(shape) == 3 and shape[-1] in _CHANNELS and shape[0] not in _CHANNELS:
        return (shape[-1], *shape[:-1]), _channels_first
    if len(shape) in (0, 2):
        return (1, *shape), partial(torch.unsqueeze, dim=1)
    return shape, torch.Tensor.contiguous


def _channels_first(x: Tensor) -> Tensor:
    return x.movedim(-1, 1).contiguous()


class _Stored:
    """A source that reads the rows of an array with their labels and factors."""

    def __init__(
        self,
        x: Rows,
        kind: type[np.floating[Any]],
        arrange: Callable[[Tensor], Tensor],
        missing: bool,
        extra: Mapping[str, Tensor],
    ) -> None:
        self.x, self.arrange, self.missing, self.extra = x, arrange, missing, extra
        self.kind = np.dtype(np.uint8 if x.dtype.name in ("uint8", "bool") else kind)

    def __len__(self) -> int:
        return self.x.shape[0]

    def __call__(self, rows: Tensor) -> Observations:
        found = {"x": self.numbers(rows.numpy())} | {name: values[rows] for name, values in self.extra.items()}
        return found | {"observed": ~found["x"].isnan()} if self.missing else found

    def numbers(self, rows: Any) -> Tensor:
        """Return the stored numbers of rows, or of a slice of them, in their shape."""
        with np.errstate(over="ignore"):  # an infinite number is told with its place
            values = np.ascontiguousarray(self.x[rows]).astype(self.kind)
        return self.arrange(torch.from_numpy(values))


@dataclass(frozen=True)
class _Inspection:
    """The search for numbers that are none of those that are expected."""

    file: ArrayFile
    source: _Stored
    levels: int | None
    missing: bool

    def refuse(self) -> None:
        """Raise an error with the place of the first wrong number, if there is one."""
        first = self.source.numbers(slice(0, 1000))
        if self.source.kind == np.uint8 and self.levels == 256:
            if int(first.max()) <= 1:
                advice = "data.numbers.levels=2 takes 0 and 1 for black and white"
                raise ValueError(f"expected bytes from 0 to 255 in {self.file.path}, got none above 1: {advice}")
            return
        seen = torch.full(self.source.x.shape[1:], not self.missing)
        for start, x in self._chunks():
            if self.missing:
                seen |= ~x.isnan().all(0).view(seen.shape)
            self._require_precision(x, slice(start, start + len(x)))
            refuse_first(self._wrong(x), x, self._expected, partial(self._place, start))
        if not bool((seen if self.file.columns is not None else seen.any()).all()):
            where = f' of the column "{self.file.columns[int(seen.int().argmin())]}"' if self.file.columns else ""
            raise ValueError(f"expected some value{where} in {self.file.path} that is observed, got NaN alone")

    def _chunks(self) -> Iterator[tuple[int, Tensor]]:
        rows = max(1, _CHUNK // prod(self.source.x.shape[1:]))
        for start in range(0, len(self.source), rows):
            yield start, self.source.numbers(slice(start, start + rows))

    def _require_precision(self, x: Tensor, rows: slice) -> None:
        """Refuse numbers that differ as stored and no longer in float32."""
        if self.source.kind != np.float32 or self.source.x.dtype.itemsize < 4 or len(x) < 2:
            return
        stored = np.asarray(self.source.x[rows]).astype(np.float64)
        with np.errstate(invalid="ignore"):  # an infinite number is told by itself
            vary = np.ptp(stored, 0) > _ROUNDING * np.abs(stored).max(0)
        lost = self.source.arrange(torch.from_numpy(np.asarray(vary)[None]))[0] & (x == x[:1]).all(0)
        if bool(lost.any()):
            place = tuple(lost.nonzero()[0].tolist())
            raise ValueError(
                f"expected numbers in {self.file.path} that differ in float32, got some around {x[(0, *place)]:.9g} "
                f"that become equal, {self._column(*place)}: data.numbers.standardise=true subtracts their mean first"
            )

    def _place(self, start: int, row: int, *place: int) -> str:
        return f"row {start + row}, {self._column(*place)}"

    def _column(self, *place: int) -> str:
        names = self.file.columns
        return f"position {place}" if names is None else f'column "{names[place[0]]}"'

    def _wrong(self, x: Tensor) -> Tensor:
        if x.dtype == torch.uint8:  # which cannot hold more levels itself
            x = x.to(torch.int32)
        wrong = ~x.float().isfinite() if self.levels is None else (x < 0) | (x >= self.levels) | (x != x.round())
        return wrong & ~x.isnan() if self.missing else wrong

    def _expected(self, value: float) -> str:
        path = self.file.path
        if value != value:
            return f"numbers in {path} (data.missing=mask takes NaN for values that are missing)"
        if self.levels is None:
            return f"finite numbers in {path}, within the range of float32"
        return f"whole numbers below {self.levels} in {path}"
