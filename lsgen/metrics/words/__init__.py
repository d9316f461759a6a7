"""Metrics of word vectors, as torchmetrics."""

from lsgen.metrics.words.pairs import PairSimilarities, pair_similarities
from lsgen.metrics.words.similarity import SimilarityCorrelation

__all__ = ["PairSimilarities", "SimilarityCorrelation", "pair_similarities"]
