"""Files of benchmarks of words: which there are, and those of similarities that people have judged.

A line has two words and a number, by tabulators, commas, semicolons or spaces; what comes after is ignored. Lines that
begin with # and empty ones are no data, nor is a first line of names of columns. Files of analogies are read by
`lsgen.analysis.analogies.read_questions`.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from pathlib import Path

from lsgen.data.text.reading import whole_text
from lsgen.extras import from_extra

__all__ = ["BENCHMARKS", "Rating", "benchmark_file", "read_similarities"]

Rating = tuple[str, str, float]

BENCHMARKS = {
    "google": "questions-words.txt",
    "wordsim353": "wordsim353.tsv",
    "simlex999": "simlex999.txt",
}


def benchmark_file(name: str) -> Path:
    """Return the path of a file of the user's, or of one that gensim brings along (extra `words`).

    Args:
        name: a path, or a name in `BENCHMARKS`: google, wordsim353, simlex999.

    Raises:
        ImportError: it is gensim's, which is not installed.
        FileNotFoundError: there is nothing at the path.

    """
    if name in BENCHMARKS:
        with from_extra("words", f"{BENCHMARKS[name]} comes with gensim"):
            from gensim.test.utils import datapath
        return Path(datapath(BENCHMARKS[name]))
    path = Path(name).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"expected {', '.join(BENCHMARKS)} or a file, got {name}, which is none")
    return path


def read_similarities(path: str | Path, lowercase: bool = True) -> tuple[Rating, ...]:
    """Return pairs of words with their rating (a, b, value) of a file.

    Args:
        path: the file, in UTF-8.
        lowercase: whether words are taken in small letters, as most vectors have them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line holds no two words and a finite number, with the line, or there are no pairs.

    """
    found, first = list[Rating](), True
    for number, line in _lines(Path(path)):
        mark = next((one for one in "\t,;" if one in line), None)
        fields = [one.strip() for one in line.split(mark)]
        value = _number(fields[2]) if len(fields) > 2 else None
        if value is None or not (fields[0] and fields[1]):
            if not first or len(fields) < 3:
                raise ValueError(f"expected two words and a number in line {number} of {path}, got {line!r}")
        else:
            a, b = (one.lower() if lowercase else one for one in fields[:2])
            found.append((a, b, value))
        first = False
    if not found:
        raise ValueError(f"expected pairs of words in {path}, got none")
    return tuple(found)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield lines that are data with their numbers."""
    for number, line in enumerate(whole_text(path).split("\n"), 1):
        if (line := line.strip()) and not line.startswith("#"):
            yield number, line


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) else None
