"""Read metrics.csv: one header, one row per log call, empty cells where a key was not logged in that call."""

from __future__ import annotations

import csv
import math
import os
from pathlib import Path

from lsgen.runs.errors import RunError

__all__ = ["last_metrics"]

_TAIL = 65536


def last_metrics(path: Path) -> dict[str, float]:
    """Return the last value of every logged key.

    The file is read from its end; the whole of it only where its last 64 kB lack some key. A last line cut
    short, as a kill may leave it, is not counted. Empty where there is no such file.

    Raises:
        RunError: the file is no text.

    """
    try:
        with open(path, "rb") as file:
            header_line = file.readline()
            start = file.tell()
            size = os.fstat(file.fileno()).st_size
            header = next(csv.reader([header_line.decode("utf-8")]), [])
            found: dict[str, float] = {}
            for offset in (max(start, size - _TAIL), start):
                file.seek(offset)
                found = _last(header, file.read(), cut=offset > start)
                if offset == start or len(found) == len(header):
                    break
            return found
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise RunError(f"expected keys of metrics in the first line of {path}, got {header_line[:20]!r}") from error


def _last(header: list[str], tail: bytes, *, cut: bool) -> dict[str, float]:
    lines = tail.decode("utf-8", errors="replace").split("\n")
    complete = lines[int(cut) : -1]
    found: dict[str, float] = {}
    for line in reversed(complete):
        cells = next(csv.reader([line]), [])
        if len(cells) == len(header):
            for key, cell in zip(header, cells, strict=True):
                if key not in found and cell:
                    found[key] = _number(cell)
        if len(found) == len(header):
            break
    return {key: found[key] for key in header if key in found}


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan
