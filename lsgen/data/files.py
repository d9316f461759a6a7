"""Where data sets that are not embedded lie, and what to say when they do not."""

from __future__ import annotations

from pathlib import Path

__all__ = ["data_root", "require"]


def data_root(root: str | Path) -> Path:
    """Return the directory of data sets.

    Raises:
        NotADirectoryError: there is something else at this path.

    """
    path = Path(root).expanduser()
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"expected LSGEN_DATA_DIR (data.root) to be a directory, got {path}, which is not one")
    return path


def require(name: str, files: list[Path], advice: str) -> None:
    """Refuse to go on without the files of a data set.

    Raises:
        FileNotFoundError: the first one that is missing, and how to get it.

    """
    for file in files:
        if not file.exists():
            raise FileNotFoundError(f"expected the {name} data at {file}, found nothing: {advice}")
