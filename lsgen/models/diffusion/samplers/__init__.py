"""Samplers of diffusion and flow models, one rule a file."""

from lsgen.models.diffusion.samplers.ancestral import Ancestral
from lsgen.models.diffusion.samplers.base import InvertibleSampler, Node, Sampler, SamplerState, Spacing
from lsgen.models.diffusion.samplers.ddim import DDIM, StochasticDDIM
from lsgen.models.diffusion.samplers.dpm_solver import DPMSolver
from lsgen.models.diffusion.samplers.euler import Euler
from lsgen.models.diffusion.samplers.heun import ChurnedHeun, Heun
from lsgen.models.diffusion.samplers.ode import AdaptiveODE

__all__ = [
    "DDIM",
    "AdaptiveODE",
    "Ancestral",
    "ChurnedHeun",
    "DPMSolver",
    "Euler",
    "Heun",
    "InvertibleSampler",
    "Node",
    "Sampler",
    "SamplerState",
    "Spacing",
    "StochasticDDIM",
]
