r"""The probability-flow ODE, solved to a tolerance with step control.

    dx/dl = (d alpha/dl) D + (d sigma/dl) eps

Its time-1 map carries the noise to the data distribution, and its inverse is the same equation in the other direction:
what a round trip misses is the tolerance.

Reference: Song et al., "Score-based generative modeling through stochastic differential equations" (2021), appendix D,
https://arxiv.org/abs/2011.13456.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lsgen.models.diffusion.denoising import Denoise, velocity
from lsgen.models.diffusion.integration import integrate
from lsgen.models.diffusion.paths import ProbabilityPath

__all__ = ["AdaptiveODE"]


@dataclass(frozen=True)
class AdaptiveODE:
    """The probability-flow ODE with step control; it is differentiable, and the steps are taken as they are.

    Attributes:
        rtol: relative tolerance of a step.
        atol: absolute tolerance of a step.

    Raises:
        ValueError: a tolerance is not positive.

    """

    rtol: float = 1e-5
    atol: float = 1e-5

    def __post_init__(self) -> None:
        if not (self.rtol > 0 and self.atol > 0):
            raise ValueError(f"AdaptiveODE expected tolerances above 0, got {self.rtol} and {self.atol}")

    def __call__(
        self, denoise: Denoise, path: ProbabilityPath, noise: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return observations (B, *shape), in the units of the denoiser; see `Sampler`, whose generator is not used."""
        first, last = _ends(path, noise)
        x = self._solve(denoise, path, path.scales(first)[1] * noise, first, last)
        return x / path.scales(last)[0]

    def invert(self, denoise: Denoise, path: ProbabilityPath, x: Tensor) -> Tensor:
        """Return the noise (B, *shape) that observations (B, *shape) come from."""
        first, last = _ends(path, x)
        return self._solve(denoise, path, path.scales(last)[0] * x, last, first) / path.scales(first)[1]

    def _solve(self, denoise: Denoise, path: ProbabilityPath, x: Tensor, start: Tensor, end: Tensor) -> Tensor:
        return integrate(
            lambda l, state: velocity(denoise, path, state, l.expand(len(state))), x, start, end, self.rtol, self.atol
        )


def _ends(path: ProbabilityPath, x: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_tensor(path.log_snr_min), x.new_tensor(path.log_snr_max)
