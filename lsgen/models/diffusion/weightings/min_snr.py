r"""Signal-to-noise ratios that are cut off: errors of x_0 with the weight min(e^l, gamma), at uniform times.

    w(l) = 2 p(l) min(1, gamma e^-l),    p(l) = -1 / l'(t)

Reference: Hang et al., "Efficient diffusion training via min-SNR weighting strategy" (2023),
https://arxiv.org/abs/2303.09556.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lsgen.models.diffusion.levels import UniformTimes
from lsgen.models.diffusion.paths import ProbabilityPath
from lsgen.models.diffusion.weightings.base import Weighting

__all__ = ["MinSNRWeighting"]


@dataclass(frozen=True)
class MinSNRWeighting(Weighting):
    """The min-SNR weighting.

    Attributes:
        gamma: largest weight of an error of x_0.

    Raises:
        ValueError: gamma is not positive.

    """

    gamma: float = 5.0

    def __post_init__(self) -> None:
        if not self.gamma > 0:
            raise ValueError(f"MinSNRWeighting expected gamma > 0, got {self.gamma}")

    def weight(self, path: ProbabilityPath, log_snr: Tensor) -> Tensor:
        """Return 2 p(l) min(1, gamma e^-l)."""
        return 2 * UniformTimes().density(path, log_snr) * (self.gamma * (-log_snr).exp()).clamp(max=1)
