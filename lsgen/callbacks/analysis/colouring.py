"""Which column a page is coloured by when it opens: the one that codes explain best."""

from __future__ import annotations

from lsgen.analysis.probing import explained_columns
from lsgen.callbacks.analysis.parts.subject import SCORES
from lsgen.latent import Codes

__all__ = ["first_colour"]

NEIGHBOURS = 10
NEARLY = 0.1  # by how much less than the best the label may be explained to be shown all the same
FOUND = ("cluster", "occurrences", "overlap_", "p_", "shift_", "trust_")  # what was computed from the codes


def first_colour(codes: Codes, seed: int = 0) -> tuple[str, str]:
    """Return the name of the column that the nearest codes explain best, and a sentence on it; "" where there is none.

    The label is taken where no other column is explained much better. Scores of the model, and what was computed from
    the codes themselves, are not considered.
    """
    names = [name for name in codes.columns if name not in SCORES and not name.startswith(FOUND)]
    k = min(NEIGHBOURS, len(codes) - 1)
    found = explained_columns(codes, names, k, seed=seed) if k > 0 else {}
    if not found:
        return "", ""
    best = next(iter(found))
    name = "label" if "label" in found and found["label"].value >= found[best].value - NEARLY else best
    shares = ", ".join(
        f"{max(found[one].value, 0):.0%} of {one}" for one in dict.fromkeys((name, "label")) if one in found
    )
    return name, f"Shown first, as codes tell it best: the {k} nearest codes of an item explain {shares}."
