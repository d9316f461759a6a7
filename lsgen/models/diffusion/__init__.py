"""Diffusion and flow models: paths, denoisers, samplers and likelihoods, one kind a file."""

from lsgen.models.diffusion.denoising import Denoise, Denoiser, MixtureDenoiser
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
    "Karras",
    "Likelihoods",
    "LinearLogSNR",
    "MixtureDenoiser",
    "ProbabilityPath",
    "RectifiedFlow",
    "VarianceExploding",
    "VariancePreserving",
    "log_likelihood",
]
