"""Initial curves for geodesics, and the graph of codes whose shortest paths are such curves."""

from lsgen.geometry.geodesics.starts.coarse import coarse_to_fine, resampled
from lsgen.geometry.geodesics.starts.graph import CodeGraph
from lsgen.geometry.geodesics.starts.initial_curves import starting_curves
from lsgen.geometry.geodesics.starts.windings import manifold_paths

__all__ = ["CodeGraph", "coarse_to_fine", "manifold_paths", "resampled", "starting_curves"]
