"""Columns of metadata: numbers, truth values, dates, durations and text, one value for every row of a table.

Text is kept as an object array of str, None where it is missing; everything else as a numpy array of its own type,
where NaN and NaT are what is missing. What numpy or pandas hold in another way becomes one of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "as_array",
    "as_column",
    "equal_columns",
    "frozen",
    "is_text",
    "joined_dates",
    "packed",
    "rows_with",
    "unpacked",
]

Column = NDArray[Any]
_LARGEST_WHOLE = 2**53


def as_column(name: str, values: Any, rows: int) -> Column:
    """Return values as a column that cannot be written to.

    Args:
        name: what the column is called.
        values: an array, a tensor, a list or a pandas column, (N,).
        rows: their number N.

    Raises:
        ValueError: there is another number of values, or values of a kind that a column cannot hold.

    """
    array = as_array(name, values)
    if array.shape != (rows,):
        raise ValueError(f"expected {rows} values in the column {name!r}, got shape {array.shape}")
    if array.dtype.kind in "UT":
        array = array.astype(object)
    if array.dtype.kind == "O":
        return frozen(_of_objects(name, array.tolist()))
    if array.dtype.kind not in "biufcmMS":
        raise ValueError(_expected(name, str(array.dtype)))
    return frozen(array)


def as_array(name: str, values: Any) -> Column:
    """Return values as an array; numbers of a list keep what a common type would change.

    Raises:
        ValueError: they are of several lengths, or a tensor of a type that numpy does not have.

    """
    try:
        array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    except (ValueError, TypeError, NotImplementedError) as error:
        got = (
            f"a {values.layout} tensor of {values.dtype}" if isinstance(values, Tensor) else "values of several lengths"
        )
        raise ValueError(_expected(name, got)) from error
    if isinstance(values, list | tuple) and _changed(values, array):
        return np.array([*values, None], dtype=object)[:-1]
    return array


def _changed(values: list[Any] | tuple[Any, ...], array: Column) -> bool:
    """Return whether a common type made text of numbers, numbers of truth values, or rounded whole numbers."""
    kind = array.dtype.kind
    if array.ndim != 1 or kind not in "USiuf":
        return False
    rounded = kind == "f" and any(isinstance(value, Integral) and abs(int(value)) > _LARGEST_WHOLE for value in values)
    return kind in "US" or rounded or any(isinstance(value, bool | np.bool_) for value in values)


def frozen(array: Column) -> Column:
    """Return an array that cannot be written to; a copy where others could."""
    if array.flags.writeable:
        array = array.copy()
        array.flags.writeable = False
    return array


def is_text(column: Column) -> bool:
    """Return whether a column holds text."""
    return column.dtype.kind == "O"


def equal_columns(a: Column, b: Column) -> bool:
    """Return whether two columns are of one type and hold the same, missing values included."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fcmM"))


def rows_with(name: str, column: Column, wanted: Any) -> NDArray[np.bool_]:
    """Return which rows of a column have a value, or one of several, (N,).

    Args:
        name: what the column is called.
        column: the values.
        wanted: a value, or a list, tuple, set, array or tensor of values; None, NaN and NaT are found where values are
            missing.

    Raises:
        ValueError: a value is of another kind than the column's.

    """
    if isinstance(wanted, np.ndarray | Tensor):
        wanted = wanted.tolist() if isinstance(wanted, Tensor) or wanted.dtype.kind not in "mM" else list(wanted)
    options = list(wanted) if isinstance(wanted, list | tuple | set | frozenset | range) else [wanted]
    found = np.zeros(len(column), dtype=bool)
    for option in options:
        found |= _equals(name, column, option)
    return found


def packed(column: Column) -> Mapping[str, Column]:
    """Return the arrays by which a file keeps a column: text as its UTF-8 bytes and their numbers, -1 where missing."""
    if not is_text(column):
        return {"values": column}
    pieces = [None if value is None else value.encode("utf-8", "surrogatepass") for value in column.tolist()]
    lengths = np.array([-1 if piece is None else len(piece) for piece in pieces], dtype=np.int64)
    return {"bytes": np.frombuffer(b"".join(piece or b"" for piece in pieces), dtype=np.uint8), "lengths": lengths}


def unpacked(arrays: Mapping[str, Column]) -> Column:
    """Return the column that `packed` has packed.

    Raises:
        KeyError, ValueError: the arrays are not those of a column.

    """
    if "values" in arrays:
        return frozen(arrays["values"])
    data, lengths = arrays["bytes"].tobytes(), arrays["lengths"]
    ends = np.maximum(lengths, 0).cumsum()
    if int(ends[-1] if len(ends) else 0) != len(data):
        raise ValueError(f"expected text of {ends[-1] if len(ends) else 0} bytes, got {len(data)}")
    column = np.empty(len(lengths), dtype=object)
    for i, (length, end) in enumerate(zip(lengths.tolist(), ends.tolist(), strict=True)):
        column[i] = None if length < 0 else data[end - length : end].decode("utf-8", "surrogatepass")
    return frozen(column)


def _expected(name: str, got: str) -> str:
    return f"expected numbers, truth values, dates or text of one kind in the column {name!r}, got {got}"


def _missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, np.datetime64 | np.timedelta64):
        return bool(np.isnat(value))
    return isinstance(value, float | np.floating) and bool(value != value)


def _of_objects(name: str, values: list[Any]) -> Column:
    """Return Python objects as a column of their common type."""
    gaps = [_missing(value) for value in values]
    known = [value for value, gap in zip(values, gaps, strict=True) if not gap]
    if all(isinstance(value, str) for value in known):
        column = np.empty(len(values), dtype=object)
        column[:] = [None if gap else str(value) for value, gap in zip(values, gaps, strict=True)]
        return column
    if all(isinstance(value, bool | np.bool_) for value in known):
        if any(gaps):
            raise ValueError(f"expected a truth value in every row of the column {name!r}, got {sum(gaps)} missing")
        return np.array(known, dtype=bool)
    if all(isinstance(value, date | np.datetime64) for value in known):
        return _dates(name, values, gaps)
    if all(isinstance(value, timedelta | np.timedelta64) for value in known):
        return np.array([np.timedelta64("NaT") if gap else _exact(v) for v, gap in zip(values, gaps, strict=True)])
    if any(isinstance(value, bool | np.bool_) or not isinstance(value, Real) for value in known):
        raise ValueError(_expected(name, " and ".join(sorted({type(value).__name__ for value in known}))))
    whole = all(isinstance(value, Integral) for value in known)
    if whole and not any(gaps):
        return _whole(name, [int(value) for value in known])
    if whole and max(map(abs, known)) > _LARGEST_WHOLE:
        raise ValueError(
            f"expected whole numbers up to 2^53 beside missing ones in {name!r}, got {max(known, key=abs)}"
        )
    try:
        return np.array([np.nan if gap else float(value) for value, gap in zip(values, gaps, strict=True)])
    except OverflowError as error:
        raise ValueError(f"expected numbers below 1.8e308 in the column {name!r}, got a larger one") from error


def _whole(name: str, values: list[int]) -> Column:
    """Return whole numbers in the type of 64 bits that holds all of them."""
    for dtype in (np.int64, np.uint64):
        limits = np.iinfo(dtype)
        if not values or limits.min <= min(values) <= max(values) <= limits.max:
            return np.array(values, dtype=dtype)
    raise ValueError(
        f"expected whole numbers of 64 bits in the column {name!r}, got {min(values):.3g} to {max(values):.3g}"
    )


def _dates(name: str, values: list[Any], gaps: list[bool]) -> Column:
    made = []
    for value, gap in zip(values, gaps, strict=True):
        if isinstance(value, datetime) and value.tzinfo is not None and not gap:
            raise ValueError(f"expected dates without a time zone in the column {name!r}, got {value}: convert to UTC")
        made.append(np.datetime64("NaT") if gap else _exact(value))
    return joined_dates(name, [np.array([value]) for value in made])


def joined_dates(name: str, parts: list[Column]) -> Column:
    """Return the dates of several arrays in one array, in the finest of their units.

    Raises:
        ValueError: a date lies outside the range of that unit, such as 1678 to 2262 for nanoseconds.

    """
    joined = np.concatenate(parts)
    days = np.concatenate([part.astype("M8[D]") for part in parts])
    wrong = (joined.astype("M8[D]") != days) & ~np.isnat(days)
    if bool(wrong.any()):
        unit = np.datetime_data(joined.dtype)[0]
        raise ValueError(
            f"expected dates in the range of the unit {unit!r} in the column {name!r}, got {days[wrong][0]}"
        )
    return joined


def _exact(value: Any) -> Any:
    """Return a date or a duration of Python, numpy or pandas as numpy's, in the unit that it has."""
    for method in ("to_datetime64", "to_timedelta64"):
        if hasattr(value, method):
            return getattr(value, method)()
    return (
        np.timedelta64(value)
        if isinstance(value, timedelta)
        else np.datetime64(value)
        if isinstance(value, date)
        else value
    )


def _equals(name: str, column: Column, option: Any) -> NDArray[np.bool_]:
    """Return which rows have a value."""
    kind = column.dtype.kind
    if _missing(option):
        if kind == "O":
            return np.array([value is None for value in column.tolist()], dtype=bool)
        return np.isnat(column) if kind in "mM" else np.isnan(column) if kind in "fc" else np.zeros(len(column), bool)
    fits = {
        "O": isinstance(option, str),
        "S": isinstance(option, bytes),
        "M": isinstance(option, date | np.datetime64 | str),
        "m": isinstance(option, timedelta | np.timedelta64),
        "b": isinstance(option, bool | np.bool_),
    }.get(kind, isinstance(option, Real | complex | np.number) and not isinstance(option, bool))
    if not fits:
        held = "text" if kind == "O" else str(column.dtype)
        raise ValueError(f"expected a value of the column {name!r}, which holds {held}, got {option!r}")
    if kind == "M":
        option = _date(name, option)
    elif kind == "m":
        option = _exact(option)
    elif kind in "iu" and not isinstance(option, complex):
        return _whole_equals(column, option)
    return np.asarray(column == option, dtype=bool)


def _date(name: str, option: Any) -> Any:
    try:
        return np.datetime64(option)
    except ValueError as error:
        raise ValueError(f"expected a date in the column {name!r}, got {option!r}") from error


def _whole_equals(column: Column, option: Any) -> NDArray[np.bool_]:
    """Return which whole numbers equal a real number exactly, none where it is no whole number of their type."""
    limits = np.iinfo(column.dtype)
    if option != option or option in (np.inf, -np.inf) or int(option) != option:
        return np.zeros(len(column), dtype=bool)
    if not limits.min <= int(option) <= limits.max:
        return np.zeros(len(column), dtype=bool)
    return np.asarray(column == column.dtype.type(int(option)), dtype=bool)
