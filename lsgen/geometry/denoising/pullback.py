r"""The metric that a map of noisy observations pulls back at one noise level.

    g(x_t) = J^T J,    J = d f(x_t, l) / dx_t    at fixed l

with f the denoiser (what the model takes x_t for), features in the middle of its network (the h-space of Park et al.),
or what a deterministic sampler makes of x_t from l on. The last, through the whole way, has as many dimensions as data
space and is isometric to it: its curvature is zero, whatever the data are.

Reference: Park, Kwon, Choi, Jo & Uh, "Understanding the latent space of diffusion models through the lens of
Riemannian geometry" (2023), https://arxiv.org/abs/2307.12868.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, prod

import torch
from torch import Tensor

from lsgen.geometry.denoising.posterior import Denoise
from lsgen.geometry.immersion import Immersion

__all__ = ["pullback_at"]


class _At:
    """x (N, d) -> fn(x, l) at a fixed l, flattened to (N, m)."""

    def __init__(self, fn: Denoise, log_snr: float, shape: Sequence[int]) -> None:
        self.fn, self.log_snr, self.shape = fn, log_snr, tuple(shape)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the image of noisy observations."""
        level = torch.full((len(x),), self.log_snr, dtype=x.dtype, device=x.device)
        return self.fn(x.unflatten(1, self.shape), level).flatten(1)


def pullback_at(fn: Denoise, log_snr: float, shape: Sequence[int]) -> Immersion:
    """Return the Euclidean metric of f(x_t, l) pulled back to noisy observations x_t (B, d) of one noise level.

    Args:
        fn: `fn(x, log_snr)` -> (N, ...), each observation by itself.
        log_snr: l.
        shape: shape of one observation, of d numbers.

    Raises:
        TypeError: fn cannot be called.
        ValueError: l is not finite.

    """
    if not callable(fn):
        raise TypeError(f"expected a map (x, log_snr) -> f, got {type(fn).__name__}")
    if not isfinite(log_snr):
        raise ValueError(f"expected a finite log signal-to-noise ratio, got {log_snr}")
    return Immersion(_At(fn, float(log_snr), shape), prod(shape))
