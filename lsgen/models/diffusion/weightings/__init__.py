"""Weightings of noise levels in the loss of a denoiser, one a file."""

from lsgen.models.diffusion.weightings.base import Weighting
from lsgen.models.diffusion.weightings.edm import EDMWeighting
from lsgen.models.diffusion.weightings.evidence import EvidenceWeighting
from lsgen.models.diffusion.weightings.min_snr import MinSNRWeighting
from lsgen.models.diffusion.weightings.sigmoid import SigmoidWeighting
from lsgen.models.diffusion.weightings.simple import SimpleWeighting
from lsgen.models.diffusion.weightings.velocity import VelocityWeighting

__all__ = [
    "EDMWeighting",
    "EvidenceWeighting",
    "MinSNRWeighting",
    "SigmoidWeighting",
    "SimpleWeighting",
    "VelocityWeighting",
    "Weighting",
]
