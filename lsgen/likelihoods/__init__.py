"""Likelihoods: a decoder's raw outputs h -> p(x|h), its Fisher information and its flat embedding."""

from lsgen.likelihoods.base import FlatLikelihood, Likelihood
from lsgen.likelihoods.bernoulli import Bernoulli
from lsgen.likelihoods.gaussian import FixedGaussian, Gaussian
from lsgen.likelihoods.shared_gaussian import SharedGaussian

__all__ = ["Bernoulli", "FixedGaussian", "FlatLikelihood", "Gaussian", "Likelihood", "SharedGaussian"]
