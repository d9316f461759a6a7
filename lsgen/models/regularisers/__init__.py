"""Regularisers of the metric that a decoder induces, as parts of the loss of any model: one file each."""

from lsgen.models.regularisers.base import MetricRegulariser, MetricSampling, Penalty, evaluating, penalties
from lsgen.models.regularisers.conformality import Conformality
from lsgen.models.regularisers.even_volume import EvenVolume
from lsgen.models.regularisers.extrinsic_curvature import ExtrinsicCurvature
from lsgen.models.regularisers.flat_metric import FlatMetric
from lsgen.models.regularisers.intrinsic_curvature import IntrinsicCurvature
from lsgen.models.regularisers.isometry import Isometry
from lsgen.models.regularisers.pair_distances import PairDistances, euclidean_distances

__all__ = [
    "Conformality",
    "EvenVolume",
    "ExtrinsicCurvature",
    "FlatMetric",
    "IntrinsicCurvature",
    "Isometry",
    "MetricRegulariser",
    "MetricSampling",
    "PairDistances",
    "Penalty",
    "euclidean_distances",
    "evaluating",
    "penalties",
]
