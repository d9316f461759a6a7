r"""Sampling densities on the latent space by Markov chains: Riemannian Langevin and Hamiltonian Monte Carlo.

A density p = exp(-U) is taken with respect to the Riemannian volume; in coordinates it is exp(-U(z)) sqrt(det g(z)).

Langevin:     dz^i = -(1/2) (g^-1 grad U)^i dt - (1/2) g^jk Gamma^i_jk dt + (g^{-1/2} dW)^i
    One Euler step of it is a proposal, which is accepted with Metropolis and Hastings' probability: what the step size
    costs is rejections, not bias.

Hamiltonian:  H(z, p) = U(z) + (1/2) p^T g^-1 p,    p ~ N(0, g)
    The flow of the second term is geodesic, that of the first changes p by -t grad U. Geodesics are followed by the
    variational integrator, which is symmetric and symplectic whatever its step size: alternated with half kicks it is
    reversible and keeps volume, so that its error costs rejections, not bias. The determinant of g, which the
    coordinate forms of the density and of p both hold, cancels.

Reference: Girolami & Calderhead, "Riemann manifold Langevin and Hamiltonian Monte Carlo methods" (2011), section 4.1;
Byrne & Girolami, "Geodesic Monte Carlo on embedded manifolds" (2013), algorithm 1; Zappa,
Holmes-Cerfon & Goodman, "Monte Carlo on manifolds: sampling densities and integrating functions" (2018), section 2, for
the check that a step leads back; Xifara et al., "Langevin diffusions
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
from lsgen.geometry.factorisation import factored
from lsgen.geometry.geodesics.initial_value.variational import variational_step
from lsgen.geometry.jets import unchanged
from lsgen.geometry.metric_tensor import log_volume, metric, orthonormal_frames
from lsgen.geometry.riemannian import RiemannianMetric
from lsgen.geometry.statistics.uniform import Box

__all__ = ["Chains", "hmc", "langevin"]

SOLVED, RETURNED = {torch.float64: 1e-5, torch.float32: 1e-5}, 0.01
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
    geodesic_steps: int = 2,
    domain: Box | None = None,
    generator: torch.Generator | None = None,
) -> Chains:
    r"""Return chains by Hamiltonian Monte Carlo along geodesics.

        H(z, p) = -log p(z) + (1/2) p^T g^-1 p,    accepted with probability min(1, exp(H - H'))

    Args:
        im: the immersion, or the metric itself.
        log_density: see `langevin`.
        z: codes (B, d), where one chain starts from each.
        samples: number of states kept of each chain.
        step_size: time between two kicks, in which a typical geodesic runs sqrt(d) step_size.
        leapfrogs: number of geodesics for each state.
        geodesic_steps: steps of each geodesic. Fewer cost acceptance where the metric curves, never exactness.
        domain: see `langevin`.
        generator: source of randomness.

    Returns:
        Chains(points (B, samples, d), acceptance (B,)). A trajectory is rejected if a step of it was not solved, or
        does not lead back to where it came from.

    Raises:
        TypeError, ValueError: see `langevin`.

    """
    target, now = _Target(im, log_density, domain), _checked(im, z, samples, step_size, leapfrogs, domain)
    if geodesic_steps < 1:
        raise ValueError(f"expected at least 1 step of each geodesic, got {geodesic_steps}")

    def move(here: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], Tensor]:
        start, value, gradient, root = here
        xi = torch.randn(start.shape, generator=generator, dtype=start.dtype, device=start.device)
        at = _Phase(start, (root @ xi[..., None])[..., 0], root, torch.isfinite(root).flatten(1).all(-1))
        new_value, new_gradient = value, gradient
        for _ in range(leapfrogs):
            at = at._replace(p=at.p + step_size / 2 * new_gradient)
            at = _along_geodesic(im, at, step_size, geodesic_steps)
            new_value, new_gradient = target(at.z)
            at = at._replace(p=at.p + step_size / 2 * new_gradient)
        change = at.kinetic() - xi.square().sum(-1) / 2 + value - new_value
        return (at.z, new_value, new_gradient, at.root), torch.where(at.sound, -change, -inf)

    with torch.no_grad(), unchanged():
        (value, gradient), root = target(now), _root(im, now)
        value = torch.where(torch.isfinite(root).flatten(1).all(-1), value, torch.nan)
        return _chained((now, value, gradient, root), move, z, samples, 1, generator)


class _Phase(NamedTuple):
    """Codes z and momenta p (N, d), Cholesky factors of the metric (N, d, d), and which chains may be accepted (N,)."""

    z: Tensor
    p: Tensor
    root: Tensor
    sound: Tensor

    def velocity(self) -> Tensor:
        """Return g^-1 p (N, d)."""
        return torch.cholesky_solve(self.p[..., None], self.root)[..., 0]

    def kinetic(self) -> Tensor:
        """Return p^T g^-1 p / 2 (N,)."""
        return torch.linalg.solve_triangular(self.root, self.p[..., None], upper=False).square().sum((-2, -1)) / 2


def _root(im: RiemannianMetric, z: Tensor) -> Tensor:
    """Return the Cholesky factors of the metric at codes (N, d), NaN where it is rank deficient."""
    g = im.gram(z, wide=True)
    im.check_definite(g, z)
    made = factored(g, z.dtype)
    return torch.where(made.full[:, None, None], made.root, torch.nan).to(z)


def _along_geodesic(im: RiemannianMetric, start: _Phase, time: float, steps: int) -> _Phase:
    """Follow geodesics for a time, by steps that keep volume and can be taken back.

    A step is kept if the same step from its end, with the momentum turned, finds its start: only then is the proposal
    an involution, whichever solution Newton's method finds.
    """
    h, tol = time / steps, SOLVED[start.z.dtype]
    passed = [start]
    for _ in range(steps):
        at = passed[-1]
        z, p, solved = variational_step(im, at.z, at.p, at.velocity(), h, tol)
        root = _root(im, z)
        sound = at.sound & solved & torch.isfinite(p).all(-1) & torch.isfinite(root).flatten(1).all(-1)
        passed.append(_Phase(z, p, root, sound))
    before, after = (_Phase(*map(torch.cat, zip(*part, strict=True))) for part in (passed[:-1], passed[1:]))
    back, _, solved = variational_step(im, after.z, -after.p, -after.velocity(), h, tol)
    returned = solved & ((back - before.z).norm(dim=-1) <= RETURNED * (after.z - before.z).norm(dim=-1))
    return passed[-1]._replace(sound=passed[-1].sound & returned.unflatten(0, (steps, -1)).all(0))


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
