"""Quality of samples: which modes they reach, and how far they are from the data."""

from lsgen.metrics.quality.comparison import Comparison, Provenance, real_features
from lsgen.metrics.quality.features import DatasetClassifier, FeatureExtractor, Inception, NetworkFeatures, Pixels
from lsgen.metrics.quality.frechet import FrechetDistance, Moments, frechet_distance
from lsgen.metrics.quality.kernel import KernelDistance, kernel_distance
from lsgen.metrics.quality.manifold import PrecisionRecall, nearest_neighbours, precision_recall
from lsgen.metrics.quality.modes import ModeCoverage, toy_coverage
from lsgen.metrics.quality.path_length import path_length
from lsgen.metrics.quality.score import inception_score

__all__ = [
    "Comparison",
    "DatasetClassifier",
    "FeatureExtractor",
    "FrechetDistance",
    "Inception",
    "KernelDistance",
    "ModeCoverage",
    "Moments",
    "NetworkFeatures",
    "Pixels",
    "PrecisionRecall",
    "Provenance",
    "frechet_distance",
    "inception_score",
    "kernel_distance",
    "nearest_neighbours",
    "path_length",
    "precision_recall",
    "real_features",
    "toy_coverage",
]
