r"""The ancestral sampler of denoising diffusion: draws from the Gaussians that reverse the noising step by step.

    x' = mu + tau xi,    mu = E[x' | x, x_0 = D],    xi ~ N(0, I)

    tau^2 = sigma'^2 (1 - e^(l - l'))                       "posterior", Var[x' | x, x_0]
    tau^2 = sigma^2 - (alpha / alpha')^2 sigma'^2           "forward", Var[x | x'] of the noising

The first is right for data that are one point, the second for standard normal data.

Reference: Ho, Jain & Abbeel, "Denoising diffusion probabilistic models" (2020), https://arxiv.org/abs/2006.11239.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import expm1, sqrt
from typing import Literal

from lsgen.models.diffusion.samplers.base import Descent, Sampler, SamplerState
from lsgen.models.diffusion.samplers.ddim import implicit_step

__all__ = ["Ancestral"]


@dataclass(frozen=True)
class Ancestral(Sampler):
    """The ancestral sampler (DDPM).

    Attributes:
        steps: 1000 as in the paper.
        variance: "posterior" or "forward", see above.

    Raises:
        ValueError: another variance; see `Sampler`.

    """

    steps: int = 1000
    variance: Literal["posterior", "forward"] = "posterior"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variance not in ("posterior", "forward"):
            raise ValueError(f"Ancestral expected a variance, posterior or forward, got {self.variance!r}")

    def step(self, descent: Descent, state: SamplerState, i: int) -> SamplerState:
        """Return the state at node i + 1 from that at node i."""
        a, b = descent.nodes[i : i + 2]
        posterior = b.sigma * sqrt(-expm1(a.log_snr - b.log_snr))
        mean = implicit_step(state.x, descent.denoised(state.x, a), a, b, posterior)
        # Var[x | x'] = (sigma / sigma')^2 Var[x' | x, x_0]
        forward = posterior * a.sigma / b.sigma
        return SamplerState(mean + (posterior if self.variance == "posterior" else forward) * descent.noise(mean))
