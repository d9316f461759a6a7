r"""Denoising diffusion implicit models: from one noise level to the next along the expected noise.

    x' = alpha' D + sqrt(sigma'^2 - tau^2) eps + tau xi,    tau^2 = eta^2 sigma'^2 (1 - e^(l - l')),    xi ~ N(0, I)

At eta = 0 this is Euler's rule for x / alpha against sigma / alpha, of first order; eta = 1 has the variance of the
ancestral sampler.

Reference: Song, Meng & Ermon, "Denoising diffusion implicit models" (2021), https://arxiv.org/abs/2010.02502.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, sqrt

from torch import Tensor

from lsgen.models.diffusion.samplers.base import Descent, InvertibleSampler, Node, Sampler, SamplerState

__all__ = ["DDIM", "StochasticDDIM"]


def implicit_step(x: Tensor, denoised: Tensor, a: Node, b: Node, tau: float = 0.0) -> Tensor:
    """Return alpha' D + sqrt(sigma'^2 - tau^2) eps."""
    kept = sqrt(max(b.sigma**2 - tau**2, 0.0)) / a.sigma
    return kept * x + (b.alpha - kept * a.alpha) * denoised


@dataclass(frozen=True)
class DDIM(InvertibleSampler):
    """The deterministic implicit sampler, eta = 0."""

    def step(self, descent: Descent, state: SamplerState, i: int) -> SamplerState:
        """Return the state at node i + 1 from that at node i."""
        a, b = descent.nodes[i : i + 2]
        return SamplerState(implicit_step(state.x, descent.denoised(state.x, a), a, b))


@dataclass(frozen=True)
class StochasticDDIM(Sampler):
    """The implicit sampler with noise.

    Attributes:
        eta: share of the ancestral sampler's standard deviation, in [0, 1].

    Raises:
        ValueError: eta is outside; see `Sampler`.

    """

    eta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.eta <= 1:
            raise ValueError(f"StochasticDDIM expected eta in [0, 1], got {self.eta}")

    def step(self, descent: Descent, state: SamplerState, i: int) -> SamplerState:
        """Return the state at node i + 1 from that at node i."""
        a, b = descent.nodes[i : i + 2]
        tau = self.eta * b.sigma * sqrt(1 - exp(a.log_snr - b.log_snr))
        mean = implicit_step(state.x, descent.denoised(state.x, a), a, b, tau)
        return SamplerState(mean + tau * descent.noise(mean))
