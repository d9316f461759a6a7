"""Nearest neighbours of codes: hubs among them, approximate ones with their recall, places told by items near them."""

from lsgen.analysis.neighbours.approximate import ApproximateNeighbours, approximate_neighbours
from lsgen.analysis.neighbours.occurrences import Hubness, hubness
from lsgen.analysis.neighbours.retrieval import Gallery, Retrieved
from lsgen.analysis.neighbours.surroundings import Surroundings

__all__ = [
    "ApproximateNeighbours",
    "Gallery",
    "Hubness",
    "Retrieved",
    "Surroundings",
    "approximate_neighbours",
    "hubness",
]
