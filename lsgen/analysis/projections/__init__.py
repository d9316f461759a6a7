"""Maps of codes in two or three dimensions, which say how far they can be trusted."""

from lsgen.analysis.projections.faithfulness import Faithfulness, measure_faithfulness
from lsgen.analysis.projections.pca import pca
from lsgen.analysis.projections.projection import Projection

__all__ = [
    "Faithfulness",
    "Projection",
    "measure_faithfulness",
    "pca",
]
