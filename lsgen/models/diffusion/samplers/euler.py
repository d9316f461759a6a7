r"""Euler's rule for the flow in the path's own time.

    x' = x + (t' - t) v,    v = (d alpha/dt) D + (d sigma/dt) eps

Of first order; along straight lines of a rectified flow it makes no error at all.

Reference: Liu, Gong & Liu, "Flow straight and fast" (2023), https://arxiv.org/abs/2209.03003.
"""

from __future__ import annotations

from dataclasses import dataclass

from lsgen.models.diffusion.samplers.base import Descent, InvertibleSampler, SamplerState

__all__ = ["Euler"]


@dataclass(frozen=True)
class Euler(InvertibleSampler):
    """Euler's rule for the flow, deterministic."""

    def step(self, descent: Descent, state: SamplerState, i: int) -> SamplerState:
        """Return the state at node i + 1 from that at node i."""
        a, b = descent.nodes[i : i + 2]
        denoised = descent.denoised(state.x, a)
        slope = a.dsigma / a.sigma
        return SamplerState(state.x + (b.t - a.t) * (slope * state.x + (a.dalpha - slope * a.alpha) * denoised))
