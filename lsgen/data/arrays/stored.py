"""Arrays in files: .npy, .npz, .pt, .h5, and the columns of .csv and .parquet.

What can be mapped into memory is, and takes none until its rows are read: .npy, the members of an .npz that are not
compressed, .pt, and .h5, which is read by rows. A member of a compressed .npz, and the columns of a table, are read as
a whole when they are first needed.
"""

from __future__ import annotations

import csv
import os
import zipfile
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lsgen.data.files import reading

__all__ = ["ABSENT", "SUFFIXES", "Rows", "column_names", "is_table", "open_arrays"]

_TABLES = (".csv", ".parquet")
SUFFIXES = (".npy", ".npz", ".pt", ".h5", *_TABLES)
ABSENT = ("", "nan", "na", "n/a", "null", "none")


class Rows(Protocol):
    """An array (N, ...) of which some rows at a time are read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its numbers."""

    def __getitem__(self, rows: Any) -> Any:
        """Return rows, by their numbers or as a slice."""


def is_table(path: Path) -> bool:
    """Return whether a file is a table, with columns by name."""
    return path.suffix in _TABLES


def open_arrays(path: Path) -> Mapping[str, Rows]:
    """Return the arrays of a file by name; the only one of an .npy file, and a tensor by itself, is "x".

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or none that can be read.
        ImportError: the package that reads it is not installed.

    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f"expected a file that ends in {', '.join(SUFFIXES)}, got {path}")
    if not path.is_file():
        raise FileNotFoundError(f"expected a file of arrays, found nothing at {path}")
    readers: dict[str, Callable[[Path], Mapping[str, Rows]]]
    readers = {".npy": _npy, ".npz": _npz, ".pt": _pt, ".h5": _h5, ".csv": _csv, ".parquet": _parquet}
    if path.suffix == ".h5":
        _import_of("h5py", "h5")
    if path.suffix == ".parquet":
        _import_of("pyarrow", "parquet")
    with reading("arrays", path):
        return readers[path.suffix](path)


def column_names(path: Path) -> list[str]:
    """Return the names of the columns of a table, of which nothing else is read.

    Raises:
        ValueError: the first line of a .csv names none.

    """
    if path.suffix == ".parquet":
        _import_of("pyarrow", "parquet")
        from pyarrow.parquet import read_schema

        with reading("arrays", path):
            return list(read_schema(path).names)
    with reading("arrays", path), path.open(newline="", encoding="utf-8-sig") as file:
        names = [name.strip() for name in next(_lines(file), [])]
    if not names or any(_is_number(name) for name in names) or len(set(names)) < len(names):
        raise ValueError(f"expected the first line of {path} to name its columns, each differently, got {names}")
    return names


def _import_of(package: str, extra: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise ImportError(f"expected {package}, which reads such a file: pip install 'lsgen[{extra}]'")


def _npy(path: Path) -> Mapping[str, Rows]:
    return {"x": np.load(path, mmap_mode="r")}


def _npz(path: Path) -> Mapping[str, Rows]:
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
        return {member.filename.removesuffix(".npy"): _member(path, archive, member) for member in members}


def _member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Rows:
    """Return an array of an .npz file, mapped where its bytes lie in the file as they are."""
    with archive.open(member) as content:
        shape, fortran, dtype = _header(content)
        length = content.tell()
    if dtype.hasobject:
        raise ValueError(f"{member.filename} holds Python objects")
    if member.compress_type != zipfile.ZIP_STORED or 0 in shape:
        return _Whole(shape, dtype, partial(_load, path, member.filename.removesuffix(".npy")))
    with path.open("rb") as file:
        file.seek(member.header_offset + 26)
        name, extra = np.frombuffer(file.read(4), "<u2").tolist()
    offset = member.header_offset + 30 + name + extra + length
    return np.memmap(path, dtype, "r", offset, shape, "F" if fortran else "C")


def _load(path: Path, name: str) -> NDArray[Any]:
    loaded: NDArray[Any] = np.load(path)[name]
    return loaded


def _header(content: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(content)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(content)


def _pt(path: Path) -> Mapping[str, Rows]:
    import torch

    content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    if isinstance(content, tuple) and len(content) > 2:
        raise ValueError(f"a tuple of {len(content)} is not told apart, {{name: tensor}} is")
    if isinstance(content, list | tuple) and len(content) in (1, 2):
        content = dict(zip(("x", "label"), content, strict=False))
    if not isinstance(content, Mapping):
        content = {"x": content}
    return {str(name): _array_of(value) for name, value in content.items()}


def _array_of(value: Any) -> NDArray[Any]:
    """Return a tensor, or what stands for one, as an array; NumPy has no bfloat16."""
    import torch

    if isinstance(value, torch.Tensor):
        value = value.detach()
        value = value.float() if value.dtype == torch.bfloat16 else value
    return np.asarray(value)


def _h5(path: Path) -> Mapping[str, Rows]:
    import h5py

    found: dict[str, Rows] = {}

    def visit(name: str, part: Any) -> None:
        if isinstance(part, h5py.Dataset) and part.shape:
            found[name] = _H5Rows(path, name, part.shape, part.dtype)

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def _csv(path: Path) -> Mapping[str, Rows]:
    names = column_names(path)
    cells: list[list[str]] = [[] for _ in names]
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = _lines(file)
        next(lines)
        blank = False
        for number, line in enumerate(lines):
            if not line or (len(line) < len(names) and not "".join(line).strip()):
                blank = True  # as a line at the end may be
                continue
            if blank:
                raise ValueError(f"there are blank lines before row {number}")
            if len(line) != len(names):
                raise ValueError(f"row {number} has {len(line)} cells for {len(names)} columns")
            for column, cell in zip(cells, line, strict=True):
                column.append(cell.strip())
    return {name: _column(column) for name, column in zip(names, cells, strict=True)}


def _lines(file: IO[str]) -> Any:
    first = file.readline()
    file.seek(0)
    return csv.reader(file, delimiter=max(",;\t", key=first.count))


def _column(cells: list[str]) -> NDArray[Any]:
    """Return a column as numbers, those that are absent as NaN; as text where a cell is neither."""
    try:
        return np.array(["nan" if cell.lower() in ABSENT else cell for cell in cells], dtype=np.str_).astype(float)
    except ValueError:
        return np.array(cells, dtype=np.str_)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _parquet(path: Path) -> Mapping[str, Rows]:
    from pyarrow.parquet import read_table

    table = read_table(path)
    return {name: table[name].to_numpy() for name in table.column_names}


class _Whole:
    """An array that is read as a whole when its first row is asked for."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], read: Callable[[], NDArray[Any]]) -> None:
        self.shape, self.dtype, self._read = shape, dtype, read

    def __getitem__(self, rows: Any) -> Any:
        return self._array[rows]

    @cached_property
    def _array(self) -> NDArray[Any]:
        return self._read()


class _H5Rows:
    """A data set in an .h5 file, which every process opens for itself."""

    def __init__(self, path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.shape, self.dtype, self._path, self._name = shape, dtype, path, name
        self._opened: tuple[int, Any] = (0, None)

    def __getitem__(self, rows: Any) -> Any:
        if isinstance(rows, slice):
            return self._data[rows]
        ascending, places = np.unique(rows, return_inverse=True)  # in the order that the format asks for
        return self._data[ascending][places]

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_opened": (0, None)}

    @property
    def _data(self) -> Any:
        import h5py

        if self._opened[0] != os.getpid():
            self._opened = os.getpid(), h5py.File(self._path)[self._name]
        return self._opened[1]
