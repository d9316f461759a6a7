"""Directions of codes along which attributes change, with what says whether there are any."""

from lsgen.analysis.directions.attributes import attribute_direction, group_direction, pair_direction, value_direction
from lsgen.analysis.directions.cartography import pair_alignment
from lsgen.analysis.directions.comparison import DirectionComparison, compare_directions
from lsgen.analysis.directions.direction import Direction, Resampling
from lsgen.analysis.directions.interventions import Leakage, attribute_probes, leakage
from lsgen.analysis.directions.trend import Trend, correlation_within, trend_of

__all__ = [
    "Direction",
    "DirectionComparison",
    "Leakage",
    "Resampling",
    "Trend",
    "attribute_direction",
    "attribute_probes",
    "compare_directions",
    "correlation_within",
    "group_direction",
    "leakage",
    "pair_alignment",
    "pair_direction",
    "trend_of",
    "value_direction",
]
