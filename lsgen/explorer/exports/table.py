"""Codes with the coordinates of their maps as a table: a file that `lsgen.latent.Codes.load` reads, or rows to log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lsgen.explorer.contents import Contents
from lsgen.explorer.exports.columns import map_columns, plain_columns, texts

__all__ = ["code_table", "write_npz"]


def write_npz(path: str | Path, contents: Contents) -> Path:
    """Write codes, metadata and maps, which are columns MAP/x, MAP/y and MAP/z, and return the path.

    Args:
        path: the file, which ends in .npz.
        contents: codes, metadata and maps.

    Raises:
        ValueError: the path ends in something else.
        OSError: it cannot be written.

    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    contents.codes.with_columns(dict(map_columns(contents))).save(path)
    return path


def code_table(contents: Contents, rows: int) -> tuple[list[str], list[list[Any]]]:
    """Return names of columns and the first rows: id, metadata, places on maps, and pixels (H, W, 3) where there are.

    Args:
        contents: codes, metadata, maps and pictures.
        rows: how many codes; all where there are fewer.

    """
    count = min(rows, len(contents.codes))
    columns: dict[str, list[Any]] = {"id": [str(name) for name in contents.codes.ids[:count].tolist()]}
    for name, values in plain_columns(contents):
        columns[name] = texts(values[:count]) if values.dtype.kind == "M" else values[:count].tolist()
    columns |= {name: values[:count].tolist() for name, values in map_columns(contents)}
    if contents.pictures is not None:
        known = dict(zip(contents.pictures.places.tolist(), contents.pictures.pixels(), strict=True))
        pixels = [known.get(row) for row in range(count)]
        columns["picture"] = [
            None if one is None else np.repeat(one[..., None], 3, -1) if one.ndim == 2 else one for one in pixels
        ]
    return list(columns), [list(row) for row in zip(*columns.values(), strict=True)]
