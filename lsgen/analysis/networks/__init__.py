"""What codes of nodes have to do with communities of a network, and its own coordinates to compare them with."""

from lsgen.analysis.networks.communities import community_agreement
from lsgen.analysis.networks.spectral import spectral_coordinates

__all__ = ["community_agreement", "spectral_coordinates"]
