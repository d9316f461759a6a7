"""Text in UTF-8, from one file or from all files .txt of a folder, read a line at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

__all__ = ["is_empty", "lines", "text_files", "whole_text"]

_MARK = b"\xef\xbb\xbf"  # with which some editors begin a file in UTF-8


def text_files(path: Path) -> list[Path]:
    """Return the file at a path, or all files .txt below a folder that are not hidden, in alphabetical order.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: the folder has no such file.

    """
    if not path.exists():
        raise FileNotFoundError(f"expected documents at {path}, found nothing")
    if path.is_file():
        return [path]
    found = (file for file in path.rglob("*") if file.suffix.lower() == ".txt" and file.is_file())
    files = sorted(file for file in found if not any(part[0] == "." for part in file.relative_to(path).parts))
    if not files:
        raise ValueError(f"expected files .txt below {path}, got none")
    return files


def lines(file: Path) -> Iterator[str]:
    """Yield the lines of a file that are not empty, which line feeds alone end; one is held in memory.

    Raises:
        ValueError: a line is not in UTF-8.

    """
    place = 0
    with open(file, "rb") as content:
        for raw in content:
            text = _decoded(raw, file, place)
            place += len(raw)
            if text.strip():
                yield text


def is_empty(raw: bytes) -> bool:
    """Return whether `lines` leaves a line out: one of white space alone, which is not all in ASCII, or of a mark."""
    line = raw.strip()
    return not line or (not 32 < line[0] < 127 and not line.removeprefix(_MARK).decode(errors="replace").strip())


def whole_text(file: Path) -> str:
    """Return what is in a file.

    Raises:
        ValueError: it is not in UTF-8.

    """
    return _decoded(file.read_bytes(), file, 0).replace("\r\n", "\n").replace("\r", "\n")


def _decoded(raw: bytes, file: Path, place: int) -> str:
    """Return bytes that begin at a place of a file as text."""
    try:
        return raw.removeprefix(b"" if place else _MARK).decode()
    except UnicodeDecodeError as error:
        place += error.start + (len(_MARK) if not place and raw.startswith(_MARK) else 0)
        raise ValueError(f"expected text in UTF-8 in {file}, got another encoding at byte {place}") from error
