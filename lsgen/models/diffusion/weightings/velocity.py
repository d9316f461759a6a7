r"""The mean squared error of the velocity of a rectified flow at uniform times (Lipman et al., 2023).

    |(eps - x_0) - (eps_hat - D)|^2 = (1 + s)^2 |eps - eps_hat|^2,    s = e^(-l/2),    w(l) = 2 p(l) (1 + s)^2

Reference: Lipman et al., "Flow matching for generative modeling" (2023), https://arxiv.org/abs/2210.02747.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lsgen.models.diffusion.levels import UniformTimes
from lsgen.models.diffusion.paths import ProbabilityPath
from lsgen.models.diffusion.weightings.base import Weighting

__all__ = ["VelocityWeighting"]


@dataclass(frozen=True)
class VelocityWeighting(Weighting):
    """The weighting of flow matching, E |v - v_hat|^2 with v = eps - x_0, over times that are uniform on the path."""

    def weight(self, path: ProbabilityPath, log_snr: Tensor) -> Tensor:
        """Return 2 p(l) (1 + s)^2."""
        return 2 * UniformTimes().density(path, log_snr) * (1 + (-log_snr / 2).exp()).square()
