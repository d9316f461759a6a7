r"""The weighting of EDM: errors of D over the variance of what the network predicts, at log-normal noise levels.

    E_(s ~ p) (s^2 + d^2) / (s d)^2 |x_0 - D|^2,    s = e^(-l/2),    w(l) = 2 p(l) (s^2 + d^2) / d^2

with d the standard deviation of the data, so that the loss of a network which is 0 is 1 at every level and for every
value.

Reference: Karras et al. (2022), section 5, https://arxiv.org/abs/2206.00364.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from lsgen.models.diffusion.levels import NoiseLevels, NormalLevels
from lsgen.models.diffusion.paths import ProbabilityPath
from lsgen.models.diffusion.weightings.base import Weighting

__all__ = ["EDMWeighting"]


@dataclass(frozen=True)
class EDMWeighting(Weighting):
    """The weighting of EDM.

    Attributes:
        sigma_data: standard deviation d of the data, as the denoiser has it.
        noise: the distribution p of levels that the loss is an average over.

    Raises:
        ValueError: the standard deviation is not positive.

    """

    levels: NoiseLevels = field(default_factory=NormalLevels)
    sigma_data: float = 0.5
    noise: NoiseLevels = field(default_factory=NormalLevels)

    def __post_init__(self) -> None:
        if not self.sigma_data > 0:
            raise ValueError(f"EDMWeighting expected a standard deviation sigma_data > 0, got {self.sigma_data}")

    def weight(self, path: ProbabilityPath, log_snr: Tensor) -> Tensor:
        """Return 2 p(l) (s^2 + d^2) / d^2."""
        return 2 * self.noise.density(path, log_snr) * (1 + (-log_snr).exp() / self.sigma_data**2)
