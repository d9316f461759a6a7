r"""DPM-Solver++(2M): an exponential integrator of the denoised state that looks one step back.

With h = (l' - l) / 2 and r = h_before / h,

    x' = (sigma' / sigma) x - alpha' (e^-h - 1) ( (1 + 1/(2r)) D - 1/(2r) D_before )

The first step is DDIM's. It is of second order and asks once a step.

Reference: Lu et al., "DPM-Solver++" (2022), algorithm 2, https://arxiv.org/abs/2211.01095.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import expm1

from lsgen.models.diffusion.samplers.base import Descent, InvertibleSampler, SamplerState, Spacing

__all__ = ["DPMSolver"]


@dataclass(frozen=True)
class DPMSolver(InvertibleSampler):
    """DPM-Solver++(2M), deterministic."""

    steps: int = 20
    spacing: Spacing = "log_snr"

    def step(self, descent: Descent, state: SamplerState, i: int) -> SamplerState:
        """Return the state at node i + 1 from that at node i."""
        a, b = descent.nodes[i : i + 2]
        found = mixed = descent.denoised(state.x, a)
        h = (b.log_snr - a.log_snr) / 2
        if state.denoised is not None:
            weight = h / (a.log_snr - descent.nodes[i - 1].log_snr)  # 1 / (2 r)
            mixed = found + weight * (found - state.denoised)
        return SamplerState(b.sigma / a.sigma * state.x - b.alpha * expm1(-h) * mixed, found)
