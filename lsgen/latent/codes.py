"""Tables of codes: the codes of observations, or of a closed set of items such as words.

Every row is a code: its coordinates, its name and its metadata. Analyses of codes work on such tables, whichever model
they come from.

A table is saved as one npz file, which `numpy.load` reads as well; its member `header.json` says how many codes there
are, where they lie and what the columns are called. Loaded, the codes are mapped into memory: rows that are not looked
at are not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsgen.latent.archive import read_archive, write_archive
from lsgen.latent.columns import (
    as_array,
    as_column,
    equal_columns,
    frozen,
    is_text,
    joined_dates,
    packed,
    rows_with,
    unpacked,
)
from lsgen.latent.manifolds.description import describe, lies_on, manifold_from
from lsgen.latent.manifolds.manifold import Euclidean, Manifold

__all__ = ["Codes", "concatenate"]

FORMAT, VERSION = "lsgen codes", 1
CHUNK = 2**16


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Codes:
    """A frozen table of codes (N, d) with names, the manifold they lie on, and columns of metadata.

    Everything is copied and can no longer be written to; an array that is read-only, such as one that is mapped into
    memory, is kept as it is.

    Args:
        z: the codes (N, d), float32 or float64, as an array or a tensor.
        ids: a name of each, all different, whole numbers or text (N,); 0, ..., N - 1 unless given.
        manifold: where codes lie; flat space unless given.
        columns: metadata (N,) by name: numbers, truth values, dates or text, see `lsgen.latent.columns`.
        scale: standard deviations (N, d) of what the codes are the centres of, such as posteriors.

    Raises:
        TypeError: the codes are not float32 or float64, or the manifold is none.
        ValueError: a shape does not fit, a number is not finite, a code does not lie on the manifold, two codes have
            one name, or a column holds something else.

    """

    z: NDArray[Any]
    ids: NDArray[Any]
    manifold: Manifold
    columns: Mapping[str, NDArray[Any]]
    scale: NDArray[Any] | None

    def __init__(
        self,
        z: Any,
        ids: Any = None,
        manifold: Manifold | None = None,
        columns: Mapping[str, Any] | None = None,
        scale: Any = None,
    ) -> None:
        manifold = Euclidean() if manifold is None else manifold
        if not isinstance(manifold, Manifold):
            raise TypeError(f"expected a manifold, got {type(manifold).__name__}")
        z = _matrix("codes", z)
        _check_rows(z, manifold)
        ids = as_column("ids", np.arange(len(z)) if ids is None else ids, len(z))
        _check_ids(ids)
        known = _named_columns({} if columns is None else columns, len(z))
        scale = None if scale is None else _matrix("scale", scale)
        if scale is not None:
            _check_scale(scale, z)
        _fill(self, z, ids, manifold, known, scale)

    def __len__(self) -> int:
        return len(self.z)

    def __repr__(self) -> str:
        named = f", columns {', '.join(self.columns)}" if self.columns else ""
        return f"Codes({len(self)} x {self.dim} on {self.manifold}{named})"

    def __eq__(self, other: object) -> bool:
        """Return whether two tables hold equal values of equal types in the same order; missing values are equal."""
        if not isinstance(other, Codes):
            return NotImplemented
        if (self.scale is None) != (other.scale is None) or self.columns.keys() != other.columns.keys():
            return False
        pairs = [(self.ids, other.ids), (self.z, other.z)]
        pairs += [(column, other.columns[name]) for name, column in self.columns.items()]
        if self.scale is not None and other.scale is not None:
            pairs.append((self.scale, other.scale))
        return describe(self.manifold) == describe(other.manifold) and all(equal_columns(a, b) for a, b in pairs)

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (np.array(self.z), self.ids, self.manifold, dict(self.columns), self.scale)

    @property
    def dim(self) -> int:
        """The number d of coordinates."""
        return int(self.z.shape[1])

    def tensor(self, device: torch.device | str | None = None) -> Tensor:
        """Return a copy of the codes as a tensor (N, d) on a device."""
        return torch.from_numpy(np.array(self.z)).to(device)

    def select(self, rows: Any = None, *, ids: Any = None, where: Mapping[str, Any] | None = None) -> Codes:
        """Return a subset of the codes, chosen by exactly one of the arguments.

        Args:
            rows: a boolean mask (N,), indices (K,), negative ones from the end, or a slice; in the order of indices.
            ids: names of codes (K,); in their order.
            where: for columns by name a value that codes must have, or several of which they must have one. None and
                NaN stand for what is missing.

        Raises:
            ValueError: there is no such row, name or column, a row comes twice, or a mask has another length.

        """
        given = [argument is not None for argument in (rows, ids, where)]
        if sum(given) != 1:
            raise ValueError(f"expected one of rows, ids and where to say which codes, got {sum(given)}")
        if ids is not None:
            chosen = self._rows_of(ids)
        elif where is not None:
            chosen = self._rows_where(where)
        else:
            chosen = _row_numbers(rows, len(self))
        scale = None if self.scale is None else frozen(self.scale[chosen])
        columns = {name: frozen(column[chosen]) for name, column in self.columns.items()}
        return _trusted(frozen(self.z[chosen]), frozen(self.ids[chosen]), self.manifold, columns, scale)

    def with_columns(self, columns: Mapping[str, Any]) -> Codes:
        """Return the same codes with further columns, which replace those of the same names.

        Args:
            columns: metadata (N,) by name, as `Codes` takes them.

        Raises:
            ValueError: a column has another length or holds something else.

        """
        return _trusted(
            self.z, self.ids, self.manifold, {**self.columns, **_named_columns(columns, len(self))}, self.scale
        )

    def places(self) -> dict[Any, int]:
        """Return the row of each name."""
        return {name: row for row, name in enumerate(self.ids.tolist())}

    def save(self, path: str | Path) -> None:
        """Write the table to an npz file, atomically.

        Raises:
            ValueError: the path does not end in .npz.
            OSError: the directory is not writable or the disk is full; an old file stays as it was.

        """
        path = _npz(path)
        arrays = {"z": self.z} | ({} if self.scale is None else {"scale": self.scale})
        for key, column in [("ids", self.ids), *((f"column_{i}", c) for i, c in enumerate(self.columns.values()))]:
            arrays |= {f"{key}.{part}": array for part, array in packed(column).items()}
        header = {"format": FORMAT, "version": VERSION, "codes": list(self.z.shape)}
        write_archive(path, header | {"manifold": describe(self.manifold), "columns": list(self.columns)}, arrays)

    @classmethod
    def load(cls, path: str | Path, mapped: bool = True) -> Codes:
        """Return a table that `save` has written.

        Args:
            path: the file.
            mapped: whether codes and scales are mapped into memory, read-only; else they are read, and their checksums
                and values verified. Ids and columns always are.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is damaged, of a later version, or no table of codes.

        """
        path = _npz(path)
        header, arrays = read_archive(path, ("z", "scale") if mapped else ())
        version = header.get("version")
        if header.get("format") != FORMAT or type(version) is not int or version < 1:
            raise ValueError(f"expected a table of codes, got {path}, which is another file")
        if version > VERSION:
            raise ValueError(
                f"expected a table of codes of version {VERSION}, got version {version} in {path}, which a "
                "later lsgen has saved"
            )
        try:
            return _assembled(header, arrays, mapped)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"expected a table of codes that lsgen has saved, got {path}: {error}") from error

    def _rows_of(self, ids: Any) -> NDArray[Any]:
        """Return the rows of names, in their order."""
        if not hasattr(ids, "__len__") or isinstance(ids, str | bytes):
            raise ValueError(f"expected several ids, got {ids!r}")
        wanted = as_column("ids", ids, len(ids))
        if len(wanted) and not is_text(wanted) and wanted.dtype.kind not in "iu":
            raise ValueError(f"expected ids that are whole numbers or text, got {wanted.dtype}")
        place = self.places()
        if missing := [name for name in wanted.tolist() if name not in place]:
            raise ValueError(
                f"expected ids of the table, got {len(missing)} that it does not have, such as {missing[0]!r}"
            )
        return _row_numbers(np.array([place[name] for name in wanted.tolist()], dtype=np.int64), len(self))

    def _rows_where(self, where: Mapping[str, Any]) -> NDArray[Any]:
        """Return the rows that have the values of every column that is named."""
        mask = np.ones(len(self), dtype=bool)
        for name, wanted in where.items():
            if name not in self.columns:
                known = ", ".join(self.columns) or "none"
                raise ValueError(f"expected a column of the table, which has {known}, got {name!r}")
            mask &= rows_with(name, self.columns[name], wanted)
        return mask.nonzero()[0]


def concatenate(tables: Sequence[Codes]) -> Codes:
    """Return one table with the codes of several, in their order.

    Args:
        tables: tables on one manifold with one type of codes and the same columns, all with scales or none.

    Raises:
        ValueError: there is none, they differ in one of these, or two codes have one name.

    """
    if not tables:
        raise ValueError("expected at least one table of codes, got none")
    kinds = [
        (describe(t.manifold), t.dim, t.z.dtype.name, sorted(t.columns), t.scale is not None, is_text(t.ids))
        for t in tables
    ]
    for kind in kinds:
        if kind != kinds[0]:
            names = ("manifold", "dim", "type of codes", "columns", "scale", "text as ids")
            name, a, b = next((n, a, b) for n, a, b in zip(names, kinds[0], kind, strict=True) if a != b)
            raise ValueError(f"expected tables of one {name}, got {a} and {b}")
    columns = {name: _joined(name, [table.columns[name] for table in tables]) for name in tables[0].columns}
    scales = [table.scale for table in tables if table.scale is not None]
    z, ids = np.concatenate([table.z for table in tables]), np.concatenate([table.ids for table in tables])
    return Codes(z, ids, tables[0].manifold, columns, np.concatenate(scales) if scales else None)


def _joined(name: str, parts: list[NDArray[Any]]) -> NDArray[Any]:
    if len({part.dtype.kind for part in parts}) > 1:
        kinds = " and ".join(sorted({"text" if is_text(part) else str(part.dtype) for part in parts}))
        raise ValueError(f"expected one kind of values in the column {name!r} of all tables, got {kinds}")
    return joined_dates(name, parts) if parts[0].dtype.kind == "M" else np.concatenate(parts)


def _fill(table: Codes, z: Any, ids: Any, manifold: Manifold, columns: Mapping[str, Any], scale: Any) -> None:
    values = {"z": z, "ids": ids, "manifold": manifold, "columns": MappingProxyType(dict(columns)), "scale": scale}
    for name, value in values.items():
        object.__setattr__(table, name, value)


def _trusted(z: Any, ids: Any, manifold: Manifold, columns: Mapping[str, Any], scale: Any) -> Codes:
    """Return a table of parts that have been checked already."""
    table = object.__new__(Codes)
    _fill(table, z, ids, manifold, columns, scale)
    return table


def _restored(z: Any, ids: Any, manifold: Manifold, columns: Mapping[str, Any], scale: Any) -> Codes:
    """Return a table of parts that a copy or another process has made, which can be written to."""
    columns = {name: frozen(column) for name, column in columns.items()}
    return _trusted(frozen(z), frozen(ids), manifold, columns, None if scale is None else frozen(scale))


def _assembled(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], mapped: bool) -> Codes:
    """Return the table of a file."""

    def column(key: str) -> NDArray[Any]:
        parts = {name.partition(".")[2]: array for name, array in arrays.items() if name.startswith(f"{key}.")}
        values = unpacked(parts)
        return as_column(key, values, len(z))

    z, scale = arrays["z"], arrays.get("scale")
    if list(z.shape) != header["codes"] or z.ndim != 2 or z.dtype not in (np.float32, np.float64):
        raise ValueError(f"its header says {header['codes']} codes, its codes are {z.dtype} {z.shape}")
    if scale is not None and (scale.shape, scale.dtype) != (z.shape, z.dtype):
        raise ValueError(f"its codes are {z.dtype} {z.shape}, its scales {scale.dtype} {scale.shape}")
    manifold = manifold_from(header["manifold"])
    ids = column("ids")
    names, kept = header["columns"], {key.partition(".")[0] for key in arrays if key.startswith("column_")}
    if not isinstance(names, list) or len(set(names)) < len(names) or len(names) != len(kept):
        raise ValueError(f"its header names the columns {names}, it holds {len(kept)}")
    if bad := [name for name in names if not isinstance(name, str)]:
        raise ValueError(f"expected names of columns that are text, got {bad[0]!r}")
    columns = {name: column(f"column_{i}") for i, name in enumerate(names)}
    if not mapped:
        return Codes(z, ids, manifold, columns, scale)
    _check_ids(ids)
    return _trusted(frozen(z), ids, manifold, columns, None if scale is None else frozen(scale))


def _named_columns(columns: Mapping[str, Any], count: int) -> dict[str, NDArray[Any]]:
    if bad := [name for name in columns if not isinstance(name, str)]:
        raise ValueError(f"expected names of columns that are text, got {bad[0]!r}")
    return {name: as_column(name, values, count) for name, values in columns.items()}


def _matrix(name: str, values: Any) -> NDArray[Any]:
    try:
        array = as_array(name, values)
    except ValueError as error:
        got = f"a {values.layout} tensor of {values.dtype}" if isinstance(values, Tensor) else "rows of several lengths"
        raise TypeError(f"expected {name} of type float32 or float64, got {got}") from error
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"expected {name} of type float32 or float64, got {array.dtype}")
    if array.ndim != 2 or not array.shape[1]:
        raise ValueError(f"expected {name} of shape (N, d), got {array.shape}")
    return frozen(array)


def _check_rows(z: NDArray[Any], manifold: Manifold) -> None:
    """Refuse codes that are not finite or not on the manifold."""
    for first in range(0, max(len(z), 1), CHUNK):
        part = torch.from_numpy(np.array(z[first : first + CHUNK]))
        if not bool((finite := part.isfinite().all(1)).all()):
            raise ValueError(
                f"expected finite codes, got one that is not in row {first + int((~finite).int().argmax())}"
            )
        if not bool((there := lies_on(manifold, part)).all()):
            row = int((~there).int().argmax())
            raise ValueError(f"expected codes on {manifold}, got one that is not in row {first + row}")


def _check_scale(scale: NDArray[Any], z: NDArray[Any]) -> None:
    if (scale.shape, scale.dtype) != (z.shape, z.dtype):
        raise ValueError(f"expected scale {z.dtype} {z.shape} as the codes are, got {scale.dtype} {scale.shape}")
    if not bool(((scale >= 0) & np.isfinite(scale)).all()):
        raise ValueError("expected scale that is finite and not negative, got one that is not")


def _check_ids(ids: NDArray[Any]) -> None:
    if not is_text(ids) and ids.dtype.kind not in "iu":
        raise ValueError(f"expected ids that are whole numbers or text, got {ids.dtype}")
    if is_text(ids) and None in ids:
        raise ValueError(f"expected an id of every code, got none in row {ids.tolist().index(None)}")
    names, counts = np.unique(ids, return_counts=True)
    if bool((counts > 1).any()):
        raise ValueError(f"expected ids that are all different, got {names.tolist()[counts.argmax()]!r} twice")


def _row_numbers(rows: Any, count: int) -> NDArray[Any]:
    """Return indices of rows, each once, from a mask, indices or a slice."""
    if isinstance(rows, slice):
        return np.arange(count)[rows]
    array = np.asarray(rows.cpu() if isinstance(rows, Tensor) else rows)
    if array.dtype == bool:
        if array.shape != (count,):
            raise ValueError(f"expected a mask of {count} rows, got shape {array.shape}")
        return array.nonzero()[0]
    if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size):
        raise ValueError(f"expected a mask, indices (K,) or a slice of rows, got {array.dtype} {array.shape}")
    if array.size and not -count <= int(array.min()) <= int(array.max()) < count:
        outside = int(array.max()) if int(array.max()) >= count else int(array.min())
        raise ValueError(f"expected rows of a table of {count} codes, got {outside}")
    array = array.astype(np.int64) % max(count, 1)
    if len(np.unique(array)) < len(array):
        raise ValueError("expected every row once, as ids are all different, got one twice")
    return array


def _npz(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"expected a path that ends in .npz, got {path}")
    return path
