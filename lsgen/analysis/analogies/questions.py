"""Questions of analogies from a text file."""

from __future__ import annotations

from pathlib import Path

__all__ = ["read_questions"]


def read_questions(path: str | Path, lower: bool = False) -> tuple[list[tuple[str, str, str, str]], list[str]]:
    """Return the questions of a file and the section of each.

    A line has four names, "a b c d": a is to b as c is to d. A line ": name" begins a section. Empty lines are skipped.

    Args:
        path: the file, in UTF-8, such as the `questions-words.txt` of word2vec.
        lower: whether all names are taken in lower case, as of vectors of lower-cased words.

    Returns:
        Names (a, b, c, d) of each question, and as many names of sections, "" before the first.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not in UTF-8, a line has another number of names, or there is no question.

    """
    questions: list[tuple[str, str, str, str]] = []
    sections: list[str] = []
    section = ""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"expected questions in UTF-8 in {path}, got other bytes at position {error.start}") from error
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith(":"):
            section = line[1:].strip()
            continue
        names = (line.lower() if lower else line).split()
        if not names:
            continue
        if len(names) != 4:
            raise ValueError(f"expected four names a line in {path}, got {len(names)} in line {number}")
        questions.append((names[0], names[1], names[2], names[3]))
        sections.append(section)
    if not questions:
        raise ValueError(f"expected questions of four names a line in {path}, got none")
    return questions, sections
