"""Which column a page is coloured by when it opens: the one that its first map shows best."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from lsgen.analysis.probing import explained_columns
from lsgen.callbacks.analysis.parts.subject import computed
from lsgen.latent import Codes

__all__ = ["first_colour"]

NEIGHBOURS = 10
NEARLY = 0.1  # by how much less than the best the label may be shown to be taken all the same
LEAST = 0.05  # below which a map shows nothing


def first_colour(codes: Codes, coordinates: NDArray[Any], seed: int = 0) -> tuple[str, str]:
    """Return the name of the column that a map shows best, and a sentence on it; "" where there is none.

    It is the one of which the nearest items on the map explain most; the label, where that is not much less. Scores of
    the model, and what was computed from the codes themselves, are not considered.

    Args:
        codes: the codes (N, d), with the columns.
        coordinates: their places on the map, (N, 2) or (N, 3).
        seed: of the choice of items, where they are many.

    """
    names = [name for name in codes.columns if not computed(name)]
    k = min(NEIGHBOURS, len(codes) - 1)
    places = Codes(coordinates, codes.ids, columns=codes.columns)
    seen, told = (explained_columns(one, names, k, seed=seed) if k > 0 else {} for one in (places, codes))
    seen = {name: share for name, share in seen.items() if name in told}  # with few values, not both may tell
    if not seen:
        return "", ""
    best = next(iter(seen))
    name = "label" if "label" in seen and seen["label"].value >= seen[best].value - NEARLY else best
    shown = [one for one in dict.fromkeys((name, "label")) if one in seen]
    shares = [", ".join(f"{max(of[one].value, 0):.0%} of {one}" for one in shown) for of in (seen, told)]
    how = "This map shows no column" if seen[best].value < LEAST else "Shown first, as this map shows it best"
    return name, f"{how}: the {k} nearest items on it explain {shares[0]}; the {k} nearest codes {shares[1]}."
