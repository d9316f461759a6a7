"""How sure a decoder is of its own geometry: what turns a latent space into one whose metric knows."""

from lsgen.geometry.members import Uncertainty
from lsgen.geometry.uncertainty.laplace import LaplaceApproximation
from lsgen.geometry.uncertainty.sources import Dropout, Ensemble, RBFUncertainty, independent_energy

__all__ = ["Dropout", "Ensemble", "LaplaceApproximation", "RBFUncertainty", "Uncertainty", "independent_energy"]
