r"""The second-order sampler of EDM, with churn: noise is added before a step that removes more.

With y = x / alpha, s = sigma / alpha and d(y, s) = (y - D) / s, so that the ODE is dy/ds = d,

    s^ = (1 + gamma) s,    y^ = y + sqrt(s^^2 - s^2) noise xi,    h = s' - s^

    y' = y^ + h (d(y^, s^) + d(y^ + h d(y^, s^), s')) / 2

with gamma = min(churn / steps, sqrt 2 - 1) where s lies in [churn_min, churn_max], else 0. It asks twice a step.

Reference: Karras et al. (2022), algorithm 2, https://arxiv.org/abs/2206.00364.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt

import torch
from torch import Tensor

from lsgen.models.diffusion.paths import ProbabilityPath
from lsgen.models.diffusion.samplers.base import (
    Descent,
    InvertibleSampler,
    Node,
    Sampler,
    SamplerState,
    Spacing,
)

__all__ = ["ChurnedHeun", "Heun"]


def _heun(descent: Descent, x: Tensor, a: Node, b: Node) -> Tensor:
    """Return the state at node b from that at node a: the rule above, its terms collected."""
    kept = b.ratio / a.ratio
    guess = (b.alpha * kept / a.alpha) * x
    first = descent.denoised(x, a)
    second = descent.denoised(guess + (b.alpha * (1 - kept)) * first, b)
    last = (a.ratio - b.ratio) / (2 * b.ratio)
    return guess + (b.alpha * (1 - kept - last)) * first + (b.alpha * last) * second


@dataclass(frozen=True)
class Heun(InvertibleSampler):
    """The deterministic sampler of EDM, of second order."""

    steps: int = 18
    spacing: Spacing = "sigma"

    def step(self, descent: Descent, state: SamplerState, i: int) -> SamplerState:
        """Return the state at node i + 1 from that at node i."""
        a, b = descent.nodes[i : i + 2]
        return SamplerState(_heun(descent, state.x, a, b))


@dataclass(frozen=True)
class ChurnedHeun(Sampler):
    """The stochastic sampler of EDM.

    Attributes:
        churn: total amount of noise that is added, in steps' worth.
        churn_min: sigma / alpha from which on it is added.
        churn_max: sigma / alpha up to which it is added.
        inflation: factor of the noise's standard deviation.

    Raises:
        ValueError: churn is negative, or inflation is not positive; see `Sampler`.

    """

    steps: int = 256
    spacing: Spacing = "sigma"
    churn: float = 40.0
    churn_min: float = 0.05
    churn_max: float = 50.0
    inflation: float = 1.003

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.churn >= 0 or not self.inflation > 0:
            raise ValueError(
                f"ChurnedHeun expected churn >= 0 and inflation > 0, got {self.churn} and {self.inflation}"
            )

    def step(self, descent: Descent, state: SamplerState, i: int) -> SamplerState:
        """Return the state at node i + 1 from that at node i."""
        a, b = descent.nodes[i : i + 2]
        x = state.x
        if self.churn and self.churn_min <= a.ratio <= self.churn_max:
            more = 1 + min(self.churn / self.steps, sqrt(2) - 1)
            y = x / a.alpha + a.ratio * sqrt(more**2 - 1) * self.inflation * descent.noise(x)
            a = _at(descent.path, -2 * log(more * a.ratio), a)
            x = a.alpha * y
        return SamplerState(_heun(descent, x, a, b))


def _at(path: ProbabilityPath, log_snr: float, near: Node) -> Node:
    """Return a node at l, whose time and derivatives are those of another node."""
    alpha, sigma = path.scales(torch.tensor(log_snr, dtype=torch.float64))
    return near._replace(log_snr=log_snr, alpha=float(alpha), sigma=float(sigma))
