"""The weighting of the variational bound, w(l) = 1, which makes the loss a likelihood (Kingma et al., 2021)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from lsgen.models.diffusion.levels import NoiseLevels, UniformLevels
from lsgen.models.diffusion.paths import ProbabilityPath
from lsgen.models.diffusion.weightings.base import Weighting

__all__ = ["EvidenceWeighting"]


@dataclass(frozen=True)
class EvidenceWeighting(Weighting):
    """The weighting of the evidence lower bound; levels are uniform, so that the factor is constant."""

    levels: NoiseLevels = field(default_factory=UniformLevels)

    def weight(self, path: ProbabilityPath, log_snr: Tensor) -> Tensor:
        """Return 1."""
        return torch.ones_like(log_snr)
