"""Estimators of the Fisher metric of a family p(x|t) that is known by samples alone, and exact families beside them."""

from lsgen.models.exponential.bregman import BregmanEstimator, ReleasedRecipe
from lsgen.models.exponential.classifier import FisherClassifier
from lsgen.models.exponential.errors import FamilyErrors, family_errors, fisher_errors
from lsgen.models.exponential.family import ConvexFamily, EstimatedFamily, FisherEstimator, MetricFamily, carried
from lsgen.models.exponential.finite import finite_family
from lsgen.models.exponential.kernel import KernelPosterior, scale_sensitivity
from lsgen.models.exponential.posterior import (
    KnownPosterior,
    LocalStatistics,
    LogPosterior,
    PosteriorNetwork,
    PosteriorSource,
    StatisticsMLP,
)
from lsgen.models.exponential.potential import ConvexPotential, PotentialFit
from lsgen.models.exponential.samples import FamilySamples
from lsgen.models.exponential.statistics import StatisticsCovariance

__all__ = [
    "BregmanEstimator",
    "ConvexFamily",
    "ConvexPotential",
    "EstimatedFamily",
    "FamilyErrors",
    "FamilySamples",
    "FisherClassifier",
    "FisherEstimator",
    "KernelPosterior",
    "KnownPosterior",
    "LocalStatistics",
    "LogPosterior",
    "MetricFamily",
    "PosteriorNetwork",
    "PosteriorSource",
    "PotentialFit",
    "ReleasedRecipe",
    "StatisticsCovariance",
    "StatisticsMLP",
    "carried",
    "family_errors",
    "finite_family",
    "fisher_errors",
    "scale_sensitivity",
]
