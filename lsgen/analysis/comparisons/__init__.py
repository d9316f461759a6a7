"""How alike two spaces of the same items are, and which items have moved."""

from lsgen.analysis.comparisons.alignment import debiased_cka, linear_cka, procrustes_distance
from lsgen.analysis.comparisons.comparison import SpaceComparison, compare
from lsgen.analysis.comparisons.neighbourhoods import chance_jaccard, neighbour_jaccard
from lsgen.analysis.comparisons.turning import TurnedCodes, turn_onto

__all__ = [
    "SpaceComparison",
    "TurnedCodes",
    "chance_jaccard",
    "compare",
    "debiased_cka",
    "linear_cka",
    "neighbour_jaccard",
    "procrustes_distance",
    "turn_onto",
]
