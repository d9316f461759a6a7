r"""The sigmoid weighting, w(l) = 1 / (1 + e^(l - b)): the bound, but for levels with less noise than b.

References: Kingma & Gao (2023), https://arxiv.org/abs/2303.00848; Hoogeboom et al., "Simpler diffusion" (2024),
https://arxiv.org/abs/2410.19324.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lsgen.models.diffusion.paths import ProbabilityPath
from lsgen.models.diffusion.weightings.base import Weighting

__all__ = ["SigmoidWeighting"]


@dataclass(frozen=True)
class SigmoidWeighting(Weighting):
    """The sigmoid weighting.

    Attributes:
        bias: the level b with half the weight.

    """

    bias: float = 2.0

    def weight(self, path: ProbabilityPath, log_snr: Tensor) -> Tensor:
        """Return the logistic function of b - l."""
        return (self.bias - log_snr).sigmoid()
