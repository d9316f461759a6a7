r"""Sampling densities on the latent space by Markov chains: Riemannian Langevin and Hamiltonian Monte Carlo.

A density p = exp(-U) is taken with respect to the Riemannian volume; in coordinates it is exp(-U(z)) sqrt(det g(z)).

Langevin:     dz^i = -(1/2) (g^-1 grad U)^i dt - (1/2) g^jk Gamma^i_jk dt + (g^{-1/2} dW)^i
    One Euler step of it is a proposal, which is accepted with Metropolis and Hastings' probability: what the step size
    costs is rejections, not bias.

Hamiltonian:  H(z, v) = U(z) + (1/2) |v|_g^2,    v ~ N(0, g^-1)
    The flow of the second term is geodesic, that of the first changes v by -t g^-1 grad U; alternating half kicks and
    geodesics is reversible and keeps volume. The determinant of g, which the coordinate forms of the density and of
    v both hold, cancels.

Reference: Girolami & Calderhead, "Riemann manifold Langevin and Hamiltonian Monte Carlo methods" (2011), section 4.1;
Byrne & Girolami, "Geodesic Monte Carlo on embedded manifolds" (2013), algorithm 1; Xifara et al., "Langevin diffusions
and the Metropolis-adjusted Langevin algorithm" (2014), for the drift.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.batching import flat_codes
from lsgen.geometry.curvature.gauss_equation import christoffel
from lsgen.geometry.geodesics.initial_value.shooting import exp_map
from lsgen.geometry.metric_tensor import log_volume, metric, orthonormal_frames
from lsgen.geometry.riemannian import RiemannianMetric
from lsgen.geometry.statistics.means import STEP_TOL
from lsgen.geometry.statistics.uniform import Box

__all__ = ["Chains", "hmc", "langevin"]

LogDensity = Callable[[Tensor], Tensor]


class Chains(NamedTuple):
    """States (B, samples, d) of one chain from each code, and the share of proposals that each accepted (B,)."""

    points: Tensor
    acceptance: Tensor


class _Target:
    """A log-density with respect to the Riemannian volume, on a domain (the whole coordinate space if none)."""

    def __init__(self, im: RiemannianMetric, log_density: LogDensity | None, domain: Box | None) -> None:
        self.im, self.log_density, self.domain = im, log_density, domain

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return log p (N,) and its coordinate derivatives (N, d)."""
        with torch.enable_grad():
            live = z.detach().requires_grad_()
            value = live.new_zeros(len(z)) if self.log_density is None else self.log_density(live)
            if value.shape != (len(z),):
                raise ValueError(f"expected a log-density {tuple(z.shape)} -> ({len(z)},), got {tuple(value.shape)}")
            gradient = torch.zeros_like(z)
            if value.requires_grad:
                (gradient,) = torch.autograd.grad(value.sum(), live)
        value = value.detach()
        if self.domain is not None:
            value = torch.where(self.domain.contains(z), value, -inf)
        return value, gradient


def langevin(
    im: RiemannianMetric,
    log_density: LogDensity | None,
    z: Tensor,
    samples: int,
    *,
    step_size: float = 0.1,
    thinning: int = 1,
    domain: Box | None = None,
    generator: torch.Generator | None = None,
) -> Chains:
    r"""Return chains by Metropolis-adjusted Riemannian Langevin dynamics.

        z' ~ N( z + (t/2) (g^-1 grad log p - g^jk Gamma_jk), t g^-1 ),    accepted by Metropolis and Hastings

    Args:
        im: the immersion, or the metric itself.
        log_density: codes (N, d) -> log p (N,) up to a constant, with respect to the Riemannian volume, differentiable;
            None for the uniform density, which needs a space of finite volume.
        z: codes (B, d), where one chain starts from each.
        samples: number of states kept of each chain.
        step_size: time t of a step.
        thinning: steps for each state kept.
        domain: where the density lives; the whole coordinate space where it is not given.
        generator: source of randomness.

    Returns:
        Chains(points (B, samples, d), acceptance (B,)).

    Raises:
        TypeError, ValueError: see `metric`; also for numbers that are not positive, a start outside the domain or where
            the density vanishes, or a log-density of another shape.

    """
    target, now = _Target(im, log_density, domain), _checked(im, z, samples, step_size, thinning, domain)

    def moments(z: Tensor) -> tuple[Tensor, ...]:
        value, gradient = target(z)
        frame = orthonormal_frames(im, z)
        up = torch.einsum("nia,nja,nj->ni", frame, frame, gradient)
        ito = torch.einsum("nijk,nja,nka->ni", christoffel(im, z), frame, frame)
        mean = z + step_size / 2 * (up - ito)
        half_det = log_volume(im, z)
        return value + half_det, mean, frame, metric(im, z), half_det

    def proposal(to: Tensor, mean: Tensor, g: Tensor, half_det: Tensor) -> Tensor:
        away = to - mean
        return half_det - torch.einsum("ni,nij,nj->n", away, g, away) / (2 * step_size)

    def move(here: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], Tensor]:
        z, value, mean, frame, g, half_det = here
        xi = torch.randn(z.shape, generator=generator, dtype=z.dtype, device=z.device)
        there = mean + step_size**0.5 * torch.einsum("nij,nj->ni", frame, xi)
        ok = torch.isfinite(there).all(-1)
        there = torch.where(ok[:, None], there, z)
        new = moments(there)
        ratio = new[0] - value + proposal(z, new[1], new[3], new[4]) - proposal(there, mean, g, half_det)
        return (there, *new), torch.where(ok, ratio, -inf)

    with torch.no_grad():
        return _chained((now, *moments(now)), move, z, samples, thinning, generator)


def hmc(
    im: RiemannianMetric,
    log_density: LogDensity | None,
    z: Tensor,
    samples: int,
    *,
    step_size: float = 0.3,
    leapfrogs: int = 4,
    domain: Box | None = None,
    generator: torch.Generator | None = None,
) -> Chains:
    r"""Return chains by Hamiltonian Monte Carlo along geodesics.

        H(z, v) = -log p(z) + (1/2) |v|_g^2,    accepted with probability min(1, exp(H - H'))

    Args:
        im: the immersion, or the metric itself.
        log_density: see `langevin`.
        z: codes (B, d), where one chain starts from each.
        samples: number of states kept of each chain.
        step_size: time between two kicks, in which a typical geodesic runs sqrt(d) step_size.
        leapfrogs: number of geodesics for each state.
        domain: see `langevin`.
        generator: source of randomness.

    Returns:
        Chains(points (B, samples, d), acceptance (B,)). A geodesic that did not converge is rejected.

    Raises:
        TypeError, ValueError: see `langevin`.

    """
    target, now = _Target(im, log_density, domain), _checked(im, z, samples, step_size, leapfrogs, domain)

    def raised(z: Tensor, gradient: Tensor) -> Tensor:
        frame = orthonormal_frames(im, z)
        return torch.einsum("nia,nja,nj->ni", frame, frame, gradient)

    def energy(z: Tensor, v: Tensor, value: Tensor) -> Tensor:
        return torch.einsum("ni,nij,nj->n", v, metric(im, z), v) / 2 - value

    def move(here: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], Tensor]:
        z, value, gradient = here
        xi = torch.randn(z.shape, generator=generator, dtype=z.dtype, device=z.device)
        v = torch.einsum("nij,nj->ni", orthonormal_frames(im, z), xi)
        before, there, ok = energy(z, v, value), z, torch.ones_like(value, dtype=torch.bool)
        new_value, new_gradient = value, gradient
        for _ in range(leapfrogs):
            v = v + step_size / 2 * raised(there, new_gradient)
            ok = ok & torch.isfinite(v).all(-1)
            shot = exp_map(im, there, step_size * torch.where(ok[:, None], v, 0), tol=STEP_TOL[z.dtype])
            ok = ok & shot.converged & torch.isfinite(shot.point).all(-1)
            there = torch.where(ok[:, None], shot.point, z)
            new_value, new_gradient = target(there)
            v = shot.velocity / step_size + step_size / 2 * raised(there, new_gradient)
        ok = ok & torch.isfinite(v).all(-1)
        change = before - energy(there, torch.where(ok[:, None], v, 0), new_value)
        return (there, new_value, new_gradient), torch.where(ok, change, -inf)

    with torch.no_grad():
        return _chained((now, *target(now)), move, z, samples, 1, generator)


def _checked(im: RiemannianMetric, z: Tensor, samples: int, step_size: float, steps: int, domain: Box | None) -> Tensor:
    flat = flat_codes(im, z, moves=True, walls=domain is not None).z.detach()
    if samples < 1 or steps < 1 or not 0 < step_size < inf:
        raise ValueError(
            f"expected positive numbers of samples and steps and a positive step size, got {samples}, {steps} "
            f"and {step_size}"
        )
    return flat


def _chained(
    here: tuple[Tensor, ...],
    move: Callable[[tuple[Tensor, ...]], tuple[tuple[Tensor, ...], Tensor]],
    z: Tensor,
    samples: int,
    thinning: int,
    generator: torch.Generator | None,
) -> Chains:
    """Run chains whose state begins with the codes and their log-density; proposals that are NaN are rejected."""
    outside = ~torch.isfinite(here[1])
    if bool(outside.any()):
        raise ValueError(
            "expected starts where the density is positive and the metric has full rank, "
            f"got {int(outside.sum())} of {len(outside)} elsewhere"
        )
    kept, accepted = [], torch.zeros_like(here[1])
    for _ in range(samples):
        for _ in range(thinning):
            there, ratio = move(here)
            u = torch.rand(ratio.shape, generator=generator, dtype=ratio.dtype, device=ratio.device).log()
            take = u < ratio
            accepted = accepted + take
            here = tuple(
                torch.where(take.reshape(-1, *[1] * (old.ndim - 1)), new, old)
                for new, old in zip(there, here, strict=True)
            )
        kept.append(here[0])
    points = torch.stack(kept, 1).reshape(*z.shape[:-1], samples, z.shape[-1])
    return Chains(points, (accepted / (samples * thinning)).reshape(z.shape[:-1]))
