"""Graphs of nodes and links, which models of networks learn codes from and metrics of networks take."""

from lsgen.latent.graphs.circle import S1Coordinates
from lsgen.latent.graphs.graph import Graph
from lsgen.latent.graphs.links import Duplicates, Loops

__all__ = ["Duplicates", "Graph", "Loops", "S1Coordinates"]
