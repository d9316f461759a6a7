"""Uncertainty of a decoder about its geometry, as latent spaces whose metric grows away from the data."""

from lsgen.geometry.members import Uncertainty
from lsgen.geometry.uncertainty.laplace import LaplaceApproximation
from lsgen.geometry.uncertainty.sources import Dropout, Ensemble, RBFUncertainty, independent_energy

__all__ = ["Dropout", "Ensemble", "LaplaceApproximation", "RBFUncertainty", "Uncertainty", "independent_energy"]
