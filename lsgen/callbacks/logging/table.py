"""A wide CSV file that grows by rows and by columns and survives a kill at any moment.

One header, one row for each step, the values of everything logged at it; a cell is empty where its key was not
logged at that step. Each call puts its row on disk with one system call, so a kill loses nothing. Keys that were
not there before extend the header: the file is then written anew beside itself and renamed.
"""

from __future__ import annotations

import csv
import errno
import os
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import TextIO

from lsgen.runs import csv_text

__all__ = ["StepTable"]

STEP = "step"


class StepTable:
    """Rows by step in a CSV file, which may exist.

    Args:
        path: the file; it appears with the first row.

    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._header: list[str] = [STEP]
        self._row: dict[str, str] = {}
        self._handle: int | None = None
        self._offset = self._end = 0

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add values to the row of a step: the last row if that is its step, else a new one."""
        self._open()
        if new := [key for key in values if key not in self._header]:
            self._extend(new)
        cells = {key: _cell(value) for key, value in values.items()}
        if self._row.get(STEP) != str(step):
            self._row, self._offset = {STEP: str(step)}, self._end
        self._row.update(cells)
        self._put()

    def cut(self, step: int) -> None:
        """Drop the rows beyond a step; the file is left alone where there are none."""
        self.close()
        if self.path.exists():
            rows = self._read()
            kept = [row for row in rows if int(row[STEP]) <= step]
            if len(kept) < len(rows):
                self._rewrite(kept)

    def set_aside(self) -> None:
        """Begin a new file; the old one is kept as NAME.previous.csv."""
        self.close()
        if self.path.exists():
            os.replace(self.path, self.path.with_suffix(f".previous{self.path.suffix}"))

    def close(self) -> None:
        """Close the file; the next row opens it again."""
        if self._handle is not None:
            os.close(self._handle)
        self._handle, self._header, self._row = None, [STEP], {}
        self._offset = self._end = 0

    def _open(self) -> None:
        """Open the file and find its header and its last row; a line cut short by a power failure is dropped."""
        if self._handle is not None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        content = self.path.read_bytes()
        self._end = content.rfind(b"\n") + 1
        os.ftruncate(self._handle, self._end)
        if self._end == 0:
            self._write(0, _line(self._header))
        else:
            lines = content[: self._end].decode().splitlines(keepends=True)
            self._header = next(csv.reader(lines[:1]))
            self._offset = self._end - len(lines[-1].encode())
            self._row = _pair(self._header, next(csv.reader(lines[-1:]))) if len(lines) > 1 else {}

    def _extend(self, keys: list[str]) -> None:
        self.close()
        rows = self._read()
        self._header += keys
        self._rewrite(rows)
        self._open()

    def _read(self) -> list[dict[str, str]]:
        """Return all rows and read the header; a last line without a line break is ignored."""
        text = self.path.read_bytes().decode()
        reader = csv.reader(StringIO(text[: text.rfind("\n") + 1], newline=""))
        self._header = next(reader, [STEP])
        return [_pair(self._header, cells) for cells in reader]

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        partial = self.path.with_name(f".{self.path.name}.part")
        with open(partial, "w", encoding="utf-8", newline="") as file:
            _dump(file, self._header, rows)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, self.path)

    def _put(self) -> None:
        self._write(self._offset, _line([self._row.get(key, "") for key in self._header]))

    def _write(self, offset: int, line: bytes) -> None:
        assert self._handle is not None
        if (written := os.pwrite(self._handle, line, offset)) < len(line):
            os.ftruncate(self._handle, offset)  # a disk that is full takes the beginning of a line
            self._end = offset
            raise OSError(
                errno.ENOSPC, f"{os.strerror(errno.ENOSPC)} after {written} of {len(line)} bytes", str(self.path)
            )
        if offset + len(line) < self._end:
            os.ftruncate(self._handle, offset + len(line))
        self._end = offset + len(line)


def _cell(value: float) -> str:
    """Return a number so that reading it gives the same number."""
    number = value if isinstance(value, int) else float(value)
    return repr(int(number) if isinstance(number, int) else number)


def _pair(header: list[str], cells: list[str]) -> dict[str, str]:
    return {key: cell for key, cell in zip(header, cells, strict=True) if cell}


def _line(cells: list[str]) -> bytes:
    return csv_text([cells]).encode()


def _dump(file: TextIO, header: list[str], rows: list[dict[str, str]]) -> None:
    writer = csv.DictWriter(file, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
