"""Metrics of sample quality: coverage of modes and distances to the data."""

from lsgen.metrics.quality.comparison import Comparison, Provenance, real_features, real_labels, rows_of
from lsgen.metrics.quality.dino import DINOv2
from lsgen.metrics.quality.extrapolation import frechet_infinity
from lsgen.metrics.quality.features import (
    ClassifierFeatures,
    DatasetClassifier,
    FeatureExtractor,
    Inception,
    NetworkFeatures,
    Pixels,
)
from lsgen.metrics.quality.frechet import FrechetDistance, Moments, frechet_distance
from lsgen.metrics.quality.intervals import ConfidenceInterval, Halves, half_sample_intervals
from lsgen.metrics.quality.intra import IntraFrechetDistance
from lsgen.metrics.quality.kernel import KernelDistance, kernel_distance
from lsgen.metrics.quality.manifold import PrecisionRecall, precision_recall
from lsgen.metrics.quality.modes import ModeCoverage, toy_coverage
from lsgen.metrics.quality.perceptual import LPIPS, VGG16, ClassifierDistance, PerceptualDistance, diversity
from lsgen.metrics.quality.perceptual_path_length import path_length
from lsgen.metrics.quality.score import inception_score

__all__ = [
    "LPIPS",
    "VGG16",
    "ClassifierDistance",
    "ClassifierFeatures",
    "Comparison",
    "ConfidenceInterval",
    "DINOv2",
    "DatasetClassifier",
    "FeatureExtractor",
    "FrechetDistance",
    "Halves",
    "Inception",
    "IntraFrechetDistance",
    "KernelDistance",
    "ModeCoverage",
    "Moments",
    "NetworkFeatures",
    "PerceptualDistance",
    "Pixels",
    "PrecisionRecall",
    "Provenance",
    "diversity",
    "frechet_distance",
    "frechet_infinity",
    "half_sample_intervals",
    "inception_score",
    "kernel_distance",
    "path_length",
    "precision_recall",
    "real_features",
    "real_labels",
    "rows_of",
    "toy_coverage",
]
