"""The mean squared error of the noise at uniform times, w(l) = 2 p(l) with p(l) = -1 / l'(t) (Ho et al., 2020)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lsgen.models.diffusion.levels import UniformTimes
from lsgen.models.diffusion.paths import ProbabilityPath
from lsgen.models.diffusion.weightings.base import Weighting

__all__ = ["SimpleWeighting"]


@dataclass(frozen=True)
class SimpleWeighting(Weighting):
    """The weighting of DDPM, E |eps - eps_hat|^2 over times that are uniform on the path."""

    def weight(self, path: ProbabilityPath, log_snr: Tensor) -> Tensor:
        """Return 2 p(l)."""
        return 2 * UniformTimes().density(path, log_snr)
