"""Diffusion and flow models: paths, denoisers, samplers and likelihoods, one kind a file."""

from lsgen.models.diffusion.bottleneck import bottleneck_immersion
from lsgen.models.diffusion.denoising import Denoise, Denoiser, MixtureDenoiser
from lsgen.models.diffusion.diffusion import Diffusion
from lsgen.models.diffusion.first_stage import FirstStage
from lsgen.models.diffusion.guidance import Guidance
from lsgen.models.diffusion.levels import NormalLevels, UniformLevels, UniformTimes
from lsgen.models.diffusion.likelihood import Likelihoods, log_likelihood
from lsgen.models.diffusion.paths import (
    Cosine,
    Karras,
    LinearLogSNR,
    ProbabilityPath,
    RectifiedFlow,
    VarianceExploding,
    VariancePreserving,
)

__all__ = [
    "Cosine",
    "Denoise",
    "Denoiser",
    "Diffusion",
    "FirstStage",
    "Guidance",
    "Karras",
    "Likelihoods",
    "LinearLogSNR",
    "MixtureDenoiser",
    "NormalLevels",
    "ProbabilityPath",
    "RectifiedFlow",
    "UniformLevels",
    "UniformTimes",
    "VarianceExploding",
    "VariancePreserving",
    "bottleneck_immersion",
    "log_likelihood",
]
