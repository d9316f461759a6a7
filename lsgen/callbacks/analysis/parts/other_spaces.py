"""Codes beside other codes of the same observations: those of the last turn, or of another run."""

from __future__ import annotations

import numpy as np

from lsgen.analysis.comparisons import compare
from lsgen.callbacks.analysis.parts.findings import Findings
from lsgen.callbacks.analysis.parts.subject import LeftOutError, Subject
from lsgen.latent import Codes

__all__ = ["check_observations", "comparison"]

PARTS = ("cka", "cka_debiased", "procrustes", "rsa", "jaccard")


def check_observations(codes: Codes, other: Codes, name: str) -> None:
    """Raise an error if what two tables call by the same ids are other observations, by their labels.

    Args:
        codes: codes of one space.
        other: codes of another.
        name: what the other is called.

    Raises:
        ValueError: labels of the items in common differ.

    """
    if not all("label" in table.columns for table in (codes, other)):
        return
    ours, theirs = (
        dict(zip(table.ids.tolist(), table.columns["label"].tolist(), strict=True)) for table in (codes, other)
    )
    differ = sorted(item for item in ours.keys() & theirs.keys() if str(ours[item]) != str(theirs[item]))
    if differ:
        raise ValueError(
            f"expected {name} to have the same observations, got another label of {differ[0]!r}: compare runs on the "
            "same data"
        )


def comparison(subject: Subject, found: Findings) -> None:
    """Log how alike the spaces are, on the observations in common, and how far the neighbours of each code agree."""
    if not subject.others:
        raise LeftOutError("there are no other codes of these observations yet")
    codes = subject.codes
    place = codes.places()
    for name, other in subject.others.items():
        one = compare(codes, other, subject.detail.k, seed=subject.seed)
        for part in PARTS:
            found.add(f"analysis/comparison/{name}/{part}", getattr(one, part))
        overlap = np.full(len(codes), np.nan)
        overlap[[place[item] for item in one.ids.tolist()]] = one.overlap
        found.columns[f"overlap_{name}"] = overlap
