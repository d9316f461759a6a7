"""Files of data sets that are not embedded: their directory, and errors if they are missing or damaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["data_root", "reading", "require"]


def data_root(root: str | Path | None) -> Path:
    """Return the directory that holds data sets; what LSGEN_DATA_DIR says, else "data", where none is named.

    Raises:
        NotADirectoryError: there is something else at this path.

    """
    path = Path(os.environ.get("LSGEN_DATA_DIR", "data") if root is None else root).expanduser()
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"expected LSGEN_DATA_DIR (data.root) to be a directory, got {path}, which is not one")
    return path


def require(name: str, files: list[Path], advice: str) -> None:
    """Refuse a data set whose files are missing.

    Raises:
        FileNotFoundError: the first one that is missing, and how to get it.

    """
    for file in files:
        if not file.exists():
            raise FileNotFoundError(f"expected the {name} data at {file}, found nothing: {advice}")


@contextmanager
def reading(name: str, file: Path) -> Iterator[None]:
    """Name the damaged file of a data set if reading it within the context fails.

    Raises:
        ValueError: the file, and what reading it said.

    """
    try:
        yield
    except OSError as error:
        if error.errno is not None:  # the disk or the permissions are at fault, not what is in the file
            raise
        raise _damaged(name, file, error) from error
    except Exception as error:  # a file that is cut short or overwritten raises nearly anything
        raise _damaged(name, file, error) from error


def _damaged(name: str, file: Path, error: Exception) -> ValueError:
    said = " ".join(str(error).split()) or type(error).__name__
    return ValueError(
        f"expected the {name} data in {file}, got what is cut short, damaged or something else ({said}): get it again"
    )
