"""Initial curves for geodesics, and the graph of codes whose shortest paths are such curves."""

from lsgen.geometry.geodesics.starts.graph import CodeGraph
from lsgen.geometry.geodesics.starts.initial_curves import starting_curves
from lsgen.geometry.geodesics.starts.windings import manifold_paths

__all__ = ["CodeGraph", "manifold_paths", "starting_curves"]
