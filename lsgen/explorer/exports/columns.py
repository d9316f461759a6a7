"""Columns of a table of codes and the coordinates of maps as other tools take them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lsgen.explorer.contents import Contents, Thumbnails

__all__ = ["map_columns", "map_key", "picture_files", "plain_columns", "texts"]


def plain_columns(contents: Contents) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield metadata by name: numbers, truth values, dates in microseconds, or text with None where it is missing."""
    for name, values in contents.codes.columns.items():
        kind = values.dtype.kind
        if kind == "c":
            yield f"{name} (modulus)", np.abs(values)
        elif kind == "S":
            yield name, np.array([value.decode("utf-8", "replace") for value in values.tolist()], dtype=object)
        elif kind == "M":
            yield name, values.astype("datetime64[us]")
        elif kind == "m":
            yield f"{name} (seconds)", values / np.timedelta64(1, "s")
        else:
            yield name, values


def texts(values: NDArray[Any]) -> list[str]:
    """Return values as text of one line without tabulators; what is missing is empty."""
    kind = values.dtype.kind
    if kind == "f":
        return ["" if np.isnan(value) else f"{value:.7g}" for value in values]
    missing = np.isnat(values) if kind == "M" else np.array([value is None for value in values.tolist()])
    found = np.datetime_as_string(values, "auto") if kind == "M" else values
    return ["" if gone else " ".join(str(value).split()) for gone, value in zip(missing, found.tolist(), strict=True)]


def map_columns(contents: Contents) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the coordinates of maps as columns MAP/x, MAP/y and MAP/z."""
    for shown in contents.maps:
        for axis, values in zip("xyz", np.asarray(shown.coordinates).T, strict=False):
            yield f"{shown.name}/{axis}", values


def map_key(name: str) -> str:
    """Return the name of a map in small letters, digits and underscores."""
    return re.sub(r"\W+", "_", name.lower()).strip("_")


def picture_files(shown: Thumbnails, count: int) -> list[bytes | None]:
    """Return the picture of every item as a PNG file; None where it has none."""
    found: list[bytes | None] = [None] * count
    for row, pixels in zip(shown.places.tolist(), shown.pixels(), strict=True):
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        found[row] = buffer.getvalue()
    return found
