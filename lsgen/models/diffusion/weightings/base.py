r"""Weightings of noise levels in the loss of a denoiser.

    loss = 1/2 int w(l) E |eps - eps_hat(x_l, l)|^2 dl    over the path, from l_min to l_max,

in nats per observation, summed over its values. Drawn is l ~ p(l), which costs a factor w(l) / p(l): the loss does not
depend on p, its variance does. With w = 1 it is the part of the variational bound that a denoiser can lower; any loss
on the noise, the observation or a velocity is one of these.

Reference: Kingma & Gao, "Understanding diffusion objectives as the ELBO with simple data augmentation" (2023),
https://arxiv.org/abs/2303.00848.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from torch import Tensor

from lsgen.models.diffusion.levels import NoiseLevels, UniformTimes
from lsgen.models.diffusion.paths import ProbabilityPath

__all__ = ["Weighting"]


@dataclass(frozen=True)
class Weighting(ABC):
    """Abstract weighting.

    Attributes:
        levels: distribution that training draws l from.

    """

    levels: NoiseLevels = field(default_factory=UniformTimes)

    @abstractmethod
    def weight(self, path: ProbabilityPath, log_snr: Tensor) -> Tensor:
        """Return w(l), of the shape of l."""

    def factor(self, path: ProbabilityPath, log_snr: Tensor, levels: NoiseLevels | None = None) -> Tensor:
        """Return w(l) / p(l) for levels drawn from p, `levels` unless another is given, in double precision inside."""
        l = log_snr.double()
        drawn = self.levels if levels is None else levels
        return (self.weight(path, l) / drawn.density(path, l)).to(log_snr.dtype)
