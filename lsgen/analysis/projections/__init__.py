"""Maps of codes in two or three dimensions, which say how far they can be trusted."""

from lsgen.analysis.projections.choice import METHODS, default_method, project, seed_stability
from lsgen.analysis.projections.components import pca
from lsgen.analysis.projections.faithfulness import Faithfulness, measure_faithfulness
from lsgen.analysis.projections.given_axes import attribute_axes
from lsgen.analysis.projections.neighbour_embeddings import tsne, umap
from lsgen.analysis.projections.plain_views import disk, identity, ternary
from lsgen.analysis.projections.projection import Projection
from lsgen.analysis.projections.stability import MapStability, map_stability

__all__ = [
    "METHODS",
    "Faithfulness",
    "MapStability",
    "Projection",
    "attribute_axes",
    "default_method",
    "disk",
    "identity",
    "map_stability",
    "measure_faithfulness",
    "pca",
    "project",
    "seed_stability",
    "ternary",
    "tsne",
    "umap",
]
