r"""The exact likelihood of a diffusion or flow model, by the probability-flow ODE.

    log p(x_0) = log p_T(x_T) + int_{l_max}^{l_min} div f(x_l, l) dl,    dx/dl = f = (d alpha/dl) D + (d sigma/dl) eps

    div f = alpha/2 tr(dD/dx) + n (d sigma/dl) / sigma,    n the number of values of x

x_0 is the state at l_max, with the noise that is left there, and p_T the density at l_min. That of the model is
N(0, sigma_T^2 I); it is reported apart, as it differs from the true one by what noise has not covered. The trace is
exact, n directional derivatives in chunks, or Hutchinson's estimate: the mean over probes v of v^T (dD/dx) v, with one
set of random signs v for the whole path of an observation, whose standard error over probes is given.

Reference: Song et al. (2021), appendix D.2, https://arxiv.org/abs/2011.13456; Chen et al., "Neural ordinary
differential equations" (2018), https://arxiv.org/abs/1806.07366; Grathwohl et al., "FFJORD" (2019),
https://arxiv.org/abs/1810.01367.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import pi

import torch
from torch import Tensor

from lsgen.models.diffusion.denoising import Denoise
from lsgen.models.diffusion.integration import integrate
from lsgen.models.diffusion.paths import ProbabilityPath

__all__ = ["Likelihoods", "log_likelihood", "terminal_log_density"]


@dataclass(frozen=True)
class Likelihoods:
    """Log densities of B observations, in nats.

    Attributes:
        value: log p(x_0), (B,).
        prior: the part log p_T(x_T) of it, (B,).
        error: standard error of value over Hutchinson's probes, (B,); 0 for exact traces.
        noise: where the ODE leads from x_0, x_T / sigma_T, (B, *shape).

    """

    value: Tensor
    prior: Tensor
    error: Tensor
    noise: Tensor


def terminal_log_density(path: ProbabilityPath, x: Tensor) -> Tensor:
    """Return the log density of N(0, sigma_T^2 I), (B,), at x_T (B, *shape)."""
    variance = path.scales(x.new_tensor(path.log_snr_min))[1].square()
    return -(x.flatten(1).square() / variance + (2 * pi * variance).log()).sum(1) / 2


@torch.no_grad()
def log_likelihood(
    denoise: Denoise,
    path: ProbabilityPath,
    x: Tensor,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    probes: int | None = None,
    chunk_size: int = 64,
    generator: torch.Generator | None = None,
    terminal: Callable[[Tensor], Tensor] | None = None,
) -> Likelihoods:
    """Return the log density of observations.

    Args:
        denoise: x_t, l -> D, differentiable; one observation does not depend on the others.
        path: the path that D belongs to.
        x: the states at l_max, (B, *shape).
        rtol: relative tolerance of the ODE.
        atol: absolute tolerance of the ODE.
        probes: random directions of Hutchinson's estimate, at least 2; None for the exact trace.
        chunk_size: directions that are differentiated at once, for every observation of the batch.
        generator: of the random directions.
        terminal: x_T (B, *shape) -> log density (B,); the model's normal distribution unless given.

    Raises:
        ValueError: there is one probe, or a chunk without directions.
        RuntimeError: see `lsgen.models.diffusion.integration.integrate`.

    """
    if chunk_size < 1 or (probes is not None and probes < 2):
        raise ValueError(f"expected chunk_size >= 1 and 2 probes or more, or none, got {chunk_size} and {probes}")
    flat = x.flatten(1)
    n = flat.shape[1]
    directions = _signs(flat, probes, generator) if probes else None
    slots = probes or 1
    field = partial(_field, denoise, path, x.shape[1:], directions, chunk_size)
    ends = x.new_tensor(path.log_snr_max), x.new_tensor(path.log_snr_min)
    state = integrate(field, torch.cat([flat, flat.new_zeros(len(flat), slots)], 1), *ends, rtol, atol)
    last = state[:, :n].reshape(x.shape)
    traces = state[:, n:]
    first, sigma = (path.scales(end)[1] for end in ends)
    known = n * (sigma.log() - first.log())  # the integral of n (d sigma/dl) / sigma
    prior = terminal_log_density(path, last) if terminal is None else terminal(last)
    error = traces.std(1) / slots**0.5 if probes else torch.zeros_like(prior)
    return Likelihoods(prior + traces.mean(1) + known, prior, error, last / sigma)


def _signs(flat: Tensor, probes: int, generator: torch.Generator | None) -> Tensor:
    """Return random signs (probes, B, n)."""
    shape = (probes, *flat.shape)
    drawn = torch.randint(0, 2, shape, device=flat.device, generator=generator)
    return drawn.to(flat.dtype) * 2 - 1


def _field(
    denoise: Denoise,
    path: ProbabilityPath,
    shape: torch.Size,
    directions: Tensor | None,
    chunk_size: int,
    log_snr: Tensor,
    state: Tensor,
) -> Tensor:
    """Return the derivative by l of x and of the integrated trace, (B, n + slots)."""
    n = shape.numel()
    flat = state[:, :n]
    (alpha, sigma), (dalpha, dsigma) = path.scales(log_snr), path.scale_slopes(log_snr)
    if directions is None:
        directions = torch.eye(n, dtype=flat.dtype, device=flat.device).unsqueeze(1).expand(-1, len(flat), -1)
        denoised, products = _products(denoise, flat, shape, log_snr, directions, chunk_size)
        traces = products.sum(0).unsqueeze(1)
    else:
        denoised, products = _products(denoise, flat, shape, log_snr, directions, chunk_size)
        traces = products.T
    slope = dalpha * denoised + dsigma * (flat - alpha * denoised) / sigma
    return torch.cat([slope, alpha / 2 * traces], 1)


def _products(
    denoise: Denoise, flat: Tensor, shape: torch.Size, log_snr: Tensor, directions: Tensor, chunk_size: int
) -> tuple[Tensor, Tensor]:
    """Return D (B, n), and v^T (dD/dx) v for directions v (V, B, n), (V, B)."""
    products, denoised = [], flat
    for chunk in directions.split(chunk_size):
        k = len(chunk)
        v = chunk.reshape(-1, flat.shape[1])

        def at(points: Tensor) -> Tensor:
            return denoise(points.unflatten(1, shape), log_snr.expand(len(points))).flatten(1)

        found = torch.func.jvp(at, (flat.repeat(k, 1),), (v,))
        denoised, moved = found[0][: len(flat)], found[1]
        products.append((moved * v).sum(1).reshape(k, -1))
    return denoised, torch.cat(products)
