"""Metrics over a data set, as torchmetrics."""

from lsgen.metrics.aggregate_posterior import AggregatePosterior
from lsgen.metrics.amortisation import AmortisationGap
from lsgen.metrics.angles import circular_correlation
from lsgen.metrics.annealed import Annealed, annealed_log_evidence
from lsgen.metrics.enumerated import enumerated_log_evidence
from lsgen.metrics.evidence import Evidence, NegativeLogLikelihood, log_evidence
from lsgen.metrics.likelihood import ActiveUnits, EvidenceLowerBound, bits_per_dimension
from lsgen.metrics.phases.speciation import SpeciationTime
from lsgen.metrics.reconstruction import ImageSimilarity
from lsgen.metrics.regression import FactorRegression

__all__ = [
    "ActiveUnits",
    "AggregatePosterior",
    "AmortisationGap",
    "Annealed",
    "Evidence",
    "EvidenceLowerBound",
    "FactorRegression",
    "ImageSimilarity",
    "NegativeLogLikelihood",
    "SpeciationTime",
    "annealed_log_evidence",
    "bits_per_dimension",
    "circular_correlation",
    "enumerated_log_evidence",
    "log_evidence",
]
