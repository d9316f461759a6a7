"""Tests of whether generated observations are distributed as the data are, and of whether they copy them."""

from lsgen.metrics.quality.hypotheses.authpct import Authenticity, authenticity
from lsgen.metrics.quality.hypotheses.bins import BinComparison, compare_bins
from lsgen.metrics.quality.hypotheses.classifier_test import (
    CLASSIFIERS,
    ClassifierTest,
    classifier_two_sample_test,
    detectable_accuracy,
    power_of_test,
)
from lsgen.metrics.quality.hypotheses.data_copying import DataCopying, copying_statistic

__all__ = [
    "CLASSIFIERS",
    "Authenticity",
    "BinComparison",
    "ClassifierTest",
    "DataCopying",
    "authenticity",
    "classifier_two_sample_test",
    "compare_bins",
    "copying_statistic",
    "detectable_accuracy",
    "power_of_test",
]
