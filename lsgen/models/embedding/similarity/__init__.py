"""Metric learning: encoders whose codes are near where observations are alike."""

from lsgen.models.embedding.similarity.margin_contrastive import MarginContrastive
from lsgen.models.embedding.similarity.metric_learning import MetricLearning
from lsgen.models.embedding.similarity.principal_features import PrincipalFeatures
from lsgen.models.embedding.similarity.weighted_l1 import WeightedL1

__all__ = ["MarginContrastive", "MetricLearning", "PrincipalFeatures", "WeightedL1"]
