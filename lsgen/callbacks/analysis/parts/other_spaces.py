"""Codes beside other codes of the same observations: those of the last turn, or of another run."""

from __future__ import annotations

import numpy as np

from lsgen.analysis.comparisons import compare
from lsgen.callbacks.analysis.parts.findings import Findings
from lsgen.callbacks.analysis.parts.subject import LeftOutError, Subject

__all__ = ["comparison"]

PARTS = ("cka", "cka_debiased", "procrustes", "rsa", "jaccard")


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
