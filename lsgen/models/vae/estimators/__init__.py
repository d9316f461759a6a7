"""Estimators of the gradient of an expectation over discrete codes, one file each."""

from lsgen.models.vae.estimators.base import GradientEstimator, RelaxedEstimator
from lsgen.models.vae.estimators.concrete import Concrete
from lsgen.models.vae.estimators.gumbel_straight_through import GumbelStraightThrough
from lsgen.models.vae.estimators.leave_one_out import RLOO
from lsgen.models.vae.estimators.straight_through import StraightThrough

__all__ = ["RLOO", "Concrete", "GradientEstimator", "GumbelStraightThrough", "RelaxedEstimator", "StraightThrough"]
