"""Analogies between codes: of named items by a file of questions, of groups by their classes and factors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from lsgen.analysis.analogies import (
    PAIR_SET_METHODS,
    AnalogyEvaluation,
    AnalogyScores,
    attribute_analogies,
    evaluate_analogies,
    evaluate_pair_sets,
    read_questions,
)
from lsgen.analysis.analogies.evaluation import SCORES
from lsgen.callbacks.analysis.parts.findings import Findings
from lsgen.callbacks.analysis.parts.subject import CLASSES, LeftOutError, Subject, unused
from lsgen.latent import Codes, ItemSpace
from lsgen.latent.columns import is_text

__all__ = ["analogies"]

COLUMNS = ("questions", "section", "asked", *SCORES)
Question = tuple[str, str, str, str]


def analogies(subject: Subject, found: Findings) -> None:
    """Log how many analogies codes answer, with the inputs left out of the answers and without leaving them out.

    Items are asked by name where there is a file of questions, all of them where they are a closed set: three by three,
    and the pairs of each section by all its others (3CosAvg, LRCos). Without one, the averages of groups of codes are:
    two columns of up to 20 values each give groups, and what the first value is to the second at one value of the other
    column is asked at another.
    """
    rows: list[list[str | float]] = []
    asked = _of_names(subject, found) if subject.detail.analogies is not None else _of_groups(subject, found)
    for name, evaluation in asked:
        for score in SCORES:
            found.add(f"analysis/analogy/{name}/{score}", getattr(evaluation.total, score))
        rows += [_row(name, section, scores) for section, scores in evaluation.sections.items()]
        rows.append(_row(name, "all", evaluation.total))
    if not rows:
        raise LeftOutError(
            "there is no file of questions about items, and no two columns of up to "
            f"{CLASSES} values whose groups answer each other"
        )
    found.sink.table("analysis/analogies", COLUMNS, rows)


def _of_names(subject: Subject, found: Findings) -> Iterator[tuple[str, AnalogyEvaluation]]:
    file, space = subject.detail.analogies, subject.space
    assert file is not None
    try:
        questions, sections = read_questions(file)
    except OSError as error:
        raise LeftOutError(f"the file of questions cannot be read: {error}") from error
    codes = space.items() if isinstance(space, ItemSpace) else subject.codes
    _of_pairs(codes, questions, sections, subject.seed, found)
    yield "questions", evaluate_analogies(codes, questions, sections if any(sections) else None)


def _of_pairs(codes: Codes, questions: Sequence[Question], sections: Sequence[str], seed: int, found: Findings) -> None:
    """Log how many pairs of each section all its other pairs answer."""
    relations: defaultdict[str, dict[tuple[str, str], None]] = defaultdict(dict)
    for section, (a, b, c, d) in zip(sections, questions, strict=True):
        relations[section] |= {(a, b): None, (c, d): None}
    pairs = {section: list(known) for section, known in relations.items()}
    for method in PAIR_SET_METHODS:
        try:
            total = evaluate_pair_sets(codes, pairs, method, seed).total
        except ValueError as error:
            found.left_out[f"analogies by {method}"] = str(error)
            continue
        for score in ("standard", "honest", "returns_input", "coverage"):
            found.add(f"analysis/analogy/{method}/{score}", getattr(total, score))


def _of_groups(subject: Subject, found: Findings) -> Iterator[tuple[str, AnalogyEvaluation]]:
    """Yield the scores of every two columns of few values, by their names."""
    names: list[str] = []
    for first, second in combinations(_columns(subject), 2):
        names.append(unused(f"{first}_{second}", names))
        try:
            yield names[-1], attribute_analogies(subject.codes, first, second, seed=subject.seed)
        except ValueError as error:
            found.left_out[f"analogies of {first} and {second}"] = str(error)


def _columns(subject: Subject) -> list[str]:
    """Return the columns whose values give groups: classes, or numbers of which each stands for five codes or more."""
    named = []
    for column in subject.distinct_columns():
        values = subject.codes.columns[column]
        known = subject.known(column)
        several = len(set(known))
        classes = is_text(values) or values.dtype.kind in "biu" or several <= len(known) / 5
        if 2 <= several <= CLASSES and classes:
            named.append(column)
    return named


def _row(name: str, section: str, scores: AnalogyScores) -> list[str | float]:
    values = [getattr(scores, score).value for score in SCORES]
    return [name, section, scores.standard.n, *(value if np.isfinite(value) else "" for value in values)]
