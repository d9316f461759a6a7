"""The registry of log keys."""

from lsgen.runs.keys.entry import LEVELS, Chart, Entry, Kind
from lsgen.runs.keys.lookup import Match, find, logged_by_default, main_metrics, watchable
from lsgen.runs.keys.registry import ENTRIES, GALLERIES, SECTIONS

__all__ = [
    "ENTRIES",
    "GALLERIES",
    "LEVELS",
    "SECTIONS",
    "Chart",
    "Entry",
    "Kind",
    "Match",
    "find",
    "logged_by_default",
    "main_metrics",
    "watchable",
]
