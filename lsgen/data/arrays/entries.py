"""Which arrays of a file are observations, labels and factors, and the numbers that they become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsgen.data.arrays.stored import ABSENT, SUFFIXES, Rows, column_names, is_table, open_arrays
from lsgen.data.loading import chosen_options

__all__ = ["ArrayFile", "Keys", "classes_of"]


@dataclass(frozen=True)
class Keys:
    """The names of the arrays, or of the columns, that a file holds.

    Attributes:
        x: the observations; of a table, its columns. If None, the only array, or the one named "x", "images" or "data";
            of a table all columns that nothing else names.
        label: the classes, or a file of their own; if None, what is named "label", "labels" or "y", of a table "label".
        factors: the ground-truth factors, an array (N, K) or several columns; if None, an array named "factors".

    """

    x: str | Sequence[str] | None = None
    label: str | None = None
    factors: str | Sequence[str] | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            names = [value] if isinstance(value, str) or name == "label" else value
            if value is not None and not (names and all(isinstance(one, str) for one in names)):
                raise ValueError(f"expected data.keys.{name} to be a name or null, got {value!r}")

    @classmethod
    def of(cls, given: Self | Mapping[str, Any]) -> Self:
        """Return the keys that a mapping gives."""
        return chosen_options(cls, given, "keys")


class ArrayFile:
    """A file of arrays with a first dimension in common, read when they are asked for.

    Args:
        path: the file.
        keys: what is what.
        others: names that are not observations, such as that of a group.
        arrays: what it holds; read from the file where it is None.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, has no such arrays, or its observations cannot be told.

    """

    def __init__(
        self, path: Path, keys: Keys, others: Sequence[str] = (), arrays: Mapping[str, Rows] | None = None
    ) -> None:
        self.path, self.table, self._arrays = path, is_table(path), arrays
        if arrays is None and not (self.table and path.is_file()):
            self._arrays = open_arrays(path)
        names = column_names(path) if self._arrays is None else list(self._arrays)
        labels, factors = (("label",), ()) if self.table else (("label", "labels", "y"), ("factors",))
        own = keys.label is not None and Path(keys.label).suffix in SUFFIXES
        self.label = keys.label if own else self._found(names, keys.label, labels, "label")
        self.factors = self._found(names, keys.factors, factors, "factors")
        taken = {self.label, *others, *([self.factors] if isinstance(self.factors, str) else self.factors or ())}
        self.x = keys.x if keys.x is not None else self._observations([name for name in names if name not in taken])
        for name in [self.x] if isinstance(self.x, str) else self.x:
            self._known(names, name, "x")
        if self._arrays is not None:
            self._require_rows()
        self.columns = list(self.x) if not isinstance(self.x, str) else [self.x] if self.table else None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a row of the observations."""
        return (len(self.columns),) if self.columns is not None else self._array(str(self.x)).shape[1:]

    @property
    def arrays(self) -> Mapping[str, Rows]:
        """All arrays of the file by name."""
        if self._arrays is None:
            self._arrays = open_arrays(self.path)
            self._require_rows()
        return self._arrays

    @cached_property
    def observations(self) -> Rows:
        """The observations (N, ...), the columns of a table side by side."""
        if self.columns is None:
            return self._array(str(self.x))
        parts = [self._array(name) for name in self.columns]
        for name, part in zip(self.columns, parts, strict=True):
            if part.dtype.kind not in "fiub" or len(part.shape) != 1:
                cells = part[:].tolist()
                row = next((row for row, cell in enumerate(cells) if not _is_number(cell)), 0)
                raise ValueError(
                    f'expected numbers in column "{name}" of {self.path}, got {cells[row]!r} in row {row}: data.keys.x '
                    "lists the columns that are observations, data.keys.label names that of the classes"
                )
        return np.column_stack([np.asarray(part[:]) for part in parts])

    def column(self, name: str, role: str) -> NDArray[Any]:
        """Return an array as a whole, (N, ...), text decoded.

        Raises:
            ValueError: there is none of this name, or it is not as long as the observations.

        """
        if role == "label" and Path(name).suffix in SUFFIXES:
            others = open_arrays(Path(name))
            if len(others) != 1:
                raise ValueError(f"expected one array in {name}, the labels, got {', '.join(others)}")
            values = np.asarray(next(iter(others.values()))[:])
        else:
            self._known(list(self.arrays), name, role)
            values = np.asarray(self.arrays[name][:] if self.arrays[name].shape else self.arrays[name])
        if not values.ndim or len(values) != len(self):
            raise ValueError(f'expected {len(self)} rows in "{name}" ({role}), one an observation, got {values.size}')
        if values.dtype.kind in "OS":
            try:
                values = np.array([_text(value) for value in values.tolist()])
            except UnicodeDecodeError as error:
                raise ValueError(f'expected text in UTF-8 in "{name}" ({role}), got other bytes: {error}') from error
        return values

    def grouping(self, name: str, role: str) -> NDArray[Any]:
        """Return the group or the split of every observation, (N,).

        Raises:
            ValueError: there are none of this name, or not one for each.

        """
        found = self.column(name, role)
        if found.ndim != 1:
            raise ValueError(f'expected one {role} for each row in "{name}", got rows of shape {found.shape[1:]}')
        absent = found == "" if found.dtype.kind in "US" else found != found
        if absent.any():
            raise ValueError(f'expected a {role} for each row in "{name}", got none in row {int(absent.argmax())}')
        return found

    def _require_rows(self) -> None:
        for name in [self.x] if isinstance(self.x, str) else self.x:
            if 0 in (shape := tuple(self._array(name).shape)) or not shape:
                raise ValueError(f"expected observations (N, ...) in {self.path}, got {name} of shape {shape}")

    def __len__(self) -> int:
        return self._array(self.x if isinstance(self.x, str) else self.x[0]).shape[0]

    def _array(self, name: str) -> Rows:
        return self.arrays[name]

    def _found(self, names: Sequence[str], given: Any, known: Sequence[str], role: str) -> Any:
        if given is not None:
            for name in [given] if isinstance(given, str) else given:
                self._known(names, name, role)
            return given
        found = [name for name in known if name in names]
        if len(found) > 1:
            raise ValueError(
                f"expected data.keys.{role} to choose between {' and '.join(found)} in {self.path}, got null"
            )
        return found[0] if found else None

    def _known(self, names: Sequence[str], name: str, role: str) -> None:
        if name not in names:
            raise ValueError(f'expected the {role} "{name}" among {self._described(names)} in {self.path}, found none')

    def _observations(self, rest: list[str]) -> str | list[str]:
        """Return what the observations must be."""
        if unnamed := [name for name in rest if not name or name.startswith(("Unnamed: ", "__index_level_"))]:
            raise ValueError(
                f'expected names of all columns of {self.path}, got "{unnamed[0]}", as of an index that was written '
                "with them: data.keys.x lists the columns that are observations"
            )
        if self.table and rest:
            return rest
        likely = [name for name in ("x", "images", "data") if name in rest]
        if len(rest) == 1 or len(likely) == 1:
            return rest[0] if len(rest) == 1 else likely[0]
        raise ValueError(
            f"expected data.keys.x to say which array of {self.path} holds the observations, found "
            f"{self._described(rest) or 'none'}"
        )

    def _described(self, names: Sequence[str]) -> str:
        if self._arrays is None:
            return ", ".join(names)
        arrays = {name: self._arrays[name] for name in names if name in self._arrays}
        return ", ".join(f"{name} {tuple(array.shape)} of {array.dtype}" for name, array in arrays.items())


def _is_number(cell: Any) -> bool:
    if isinstance(cell, str):
        try:
            float(cell)
        except ValueError:
            return cell.lower() in ABSENT
        return True
    return isinstance(cell, int | float | np.number) and not isinstance(cell, bool)


def _text(value: Any) -> str:
    if value is None or value != value:
        return ""
    return value.decode() if isinstance(value, bytes) else str(value)


def _of_one_kind(values: Sequence[NDArray[Any]], what: str) -> list[NDArray[Any]]:
    """Return classes of several files as text, or all as numbers; a file without any agrees with both."""
    known = {
        part.dtype.kind in "US": part
        for part in values
        if (part != "" if part.dtype.kind in "US" else part == part).any()
    }
    if len(known) > 1:
        raise ValueError(f"expected classes that are text in every file or numbers in every file in {what}, got both")
    text = next(iter(known), False)
    blank = "" if text else np.nan
    return [part if (part.dtype.kind in "US") == text else np.full(part.shape, blank) for part in values]


def classes_of(values: Sequence[NDArray[Any]], what: str) -> tuple[list[Tensor], tuple[str, ...]]:
    """Return classes as integers int64 (N,), with their names if they were none; -1 for NaN and empty text.

    Args:
        values: classes of several files, which count together.
        what: whose classes they are.

    Raises:
        ValueError: they are numbers that are not whole, or have another dimension.

    """
    whole = np.concatenate(_of_one_kind(values, what))
    if whole.ndim != 1:
        raise ValueError(f"expected one class for each observation in {what}, got shape {whole.shape}")
    lengths = [len(part) for part in values]
    if whole.dtype.kind in "US":
        names, known = np.unique(whole[whole != ""]), whole != ""
        places = np.where(known, np.searchsorted(names, whole), -1)
        return list(torch.from_numpy(places).to(torch.int64).split(lengths)), tuple(names.tolist())
    if whole.dtype.kind not in "fiub":
        raise ValueError(f"expected classes that are whole numbers or text in {what}, got {whole.dtype}")
    numbers = np.where(np.isnan(whole), -1, whole) if whole.dtype.kind == "f" else whole
    wrong = (numbers != np.round(numbers)) | (numbers < -1) | (numbers >= 2**31)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"expected classes that are whole numbers from 0 or text in {what}, got {whole[row]} in row {row}"
        )
    return list(torch.from_numpy(numbers.astype(np.int64)).split(lengths)), ()
