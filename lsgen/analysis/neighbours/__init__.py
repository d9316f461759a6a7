"""Nearest neighbours of codes: hubs among them, and approximate ones with their recall."""

from lsgen.analysis.neighbours.approximate import ApproximateNeighbours, approximate_neighbours
from lsgen.analysis.neighbours.occurrences import Hubness, hubness

__all__ = ["ApproximateNeighbours", "Hubness", "approximate_neighbours", "hubness"]
