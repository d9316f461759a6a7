r"""The volume element of large latents, by stochastic Lanczos quadrature.

    log sqrt(det g) = (1/2) tr log g = (1/2) E[ u^T log(g) u ],    u_i = +1 or -1 with probability 1/2

Lanczos' recurrence started at u gives a tridiagonal T = V^T g V, and Gauss' quadrature

    u^T log(g) u ~ d sum_j tau_j^2 log(theta_j),    T = Y diag(theta) Y^T,    tau_j = Y_1j .

Two errors remain and are both in the error bar: that of the mean over probes, by Student's t, and that of the
quadrature, by how much the last steps changed it. The recurrence is lengthened until the second is a tenth of the
first, or the steps number d, where the quadrature is exact.

An estimate costs (probes x steps) products g v, against d products for the exact matrix: it pays where d exceeds that
or the matrix does not fit. The probes' deviation is sqrt(2) times the off-diagonal norm of (1/2) log g.

Reference: Ubaru, Chen & Saad, "Fast estimation of tr(f(A)) via stochastic Lanczos quadrature" (2017),
https://doi.org/10.1137/16M1104974, algorithm 1; Golub & Meurant, "Matrices, Moments and Quadrature" (2010), chapter 6.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from scipy.stats import t as student
from torch import Tensor

from lsgen.geometry.large.operator import MetricOperator
from lsgen.geometry.riemannian import RiemannianMetric

__all__ = ["VolumeEstimate", "log_volume_estimate"]


class VolumeEstimate(NamedTuple):
    """log sqrt(det g) (B,), half the width of its confidence interval (B,), steps taken, which converged (B,)."""

    value: Tensor
    error: Tensor
    steps: int
    converged: Tensor


def log_volume_estimate(
    im: RiemannianMetric,
    z: Tensor,
    *,
    probes: int = 16,
    confidence: float = 0.95,
    max_steps: int | None = None,
    chunk_size: int | None = None,
    generator: torch.Generator | None = None,
) -> VolumeEstimate:
    r"""Return an estimate of the logarithm of the volume element with an error bar, without the matrix of the metric.

        log sqrt(det g) = (1/2) tr log g

    Args:
        im: the metric.
        z: codes (B, d).
        probes: number of random vectors at each code, at least 2.
        confidence: probability with which value - error <= log sqrt(det g) <= value + error.
        max_steps: bound on the steps of Lanczos' recurrence; d where it is not given.
        chunk_size: number of derivatives to propagate at once.
        generator: source of the probes.

    Returns:
        VolumeEstimate(value (B,), error (B,), in nats, steps, converged (B,)). Not converged where max_steps left a
        quadrature error above a tenth of the statistical one; and where eigenvalues fall below 10 eps times the
        largest, which products of that dtype do not resolve: NaN there.

    Raises:
        TypeError, ValueError: see `MetricOperator`; also for fewer than 2 probes or a confidence outside (0, 1).

    """
    if probes < 2:
        raise ValueError(f"expected at least 2 probes for an error bar, got {probes}")
    if not 0 < confidence < 1:
        raise ValueError(f"expected a confidence between 0 and 1, got {confidence}")
    g = MetricOperator(im, z, chunk_size)
    n, d = g.z.shape
    bound = min(d, max_steps or d)
    signs = torch.randint(0, 2, (n, probes, d), generator=generator, device=z.device).double() * 2 - 1
    quantile = float(student.ppf((1 + confidence) / 2, probes - 1))
    floor = 10 * torch.finfo(z.dtype).eps
    recurrence = _Lanczos(g, signs / d**0.5)
    before = torch.full((n, probes), torch.inf, dtype=torch.float64, device=z.device)
    while True:
        recurrence.run(min(bound, max(8, recurrence.steps * 5 // 4 + 1)))
        samples = recurrence.quadrature(floor) * d / 2
        statistical = quantile * samples.std(-1) / probes**0.5
        bias = (samples - before).mean(-1).abs() if recurrence.steps < d else torch.zeros_like(statistical)
        rounding = floor * samples.abs().mean(-1)
        good = bias <= statistical / 10 + rounding
        if recurrence.steps >= bound or bool((good | torch.isnan(statistical)).all()):
            break
        before = samples
    value, error = samples.mean(-1), statistical + bias + rounding
    shape = z.shape[:-1]
    return VolumeEstimate(
        value.to(z.dtype).reshape(shape), error.to(z.dtype).reshape(shape), recurrence.steps, good.reshape(shape)
    )


class _Lanczos:
    """Lanczos' recurrence from unit vectors (N, k, d), reorthogonalised, in float64."""

    def __init__(self, g: MetricOperator, start: Tensor) -> None:
        self.g = g
        self.basis, self.diagonal, self.beside = [start], list[Tensor](), list[Tensor]()
        self.first: Tensor | None = None

    @property
    def steps(self) -> int:
        return len(self.diagonal)

    def run(self, steps: int) -> None:
        """Continue until so many steps are done."""
        while self.steps < steps:
            v = self.basis[-1]
            image = self.g(v.to(self.g.z.dtype).reshape(*self.g.shape[:-1], *v.shape[1:])).reshape(v.shape).double()
            alpha = (v * image).sum(-1)
            self.first = alpha if self.first is None else self.first
            known = torch.stack(self.basis, -2)
            for _ in range(2):
                image = image - (known.mT @ (known @ image[..., None])).squeeze(-1)
            beta = torch.linalg.vector_norm(image, dim=-1)
            ended = ~(beta > torch.finfo(torch.float64).eps * self.first * v.shape[-1])
            beta = torch.where(ended, torch.zeros_like(beta), beta)
            follows = torch.where(ended[..., None], torch.zeros_like(image), image / beta[..., None])
            stopped = (v == 0).all(-1)
            self.diagonal.append(torch.where(stopped, self.first, alpha))
            self.beside.append(beta)
            self.basis.append(follows)

    def quadrature(self, floor: float) -> Tensor:
        """Return sum_j tau_j^2 log(theta_j) (N, k); NaN where a node is below the floor times the largest."""
        beside = torch.stack(self.beside[:-1], -1) if self.steps > 1 else self.diagonal[0][..., None][..., :0]
        t = torch.diag_embed(torch.stack(self.diagonal, -1))
        t = t + torch.diag_embed(beside, 1) + torch.diag_embed(beside, -1)
        finite = torch.isfinite(t).all(-1).all(-1)
        nodes, vectors = torch.linalg.eigh(torch.where(finite[..., None, None], t, torch.zeros_like(t)))
        resolved = finite & (nodes[..., 0] > floor * nodes[..., -1])
        nodes = torch.where(resolved[..., None], nodes, torch.ones_like(nodes))
        return torch.where(resolved, (vectors[..., 0, :] ** 2 * nodes.log()).sum(-1), torch.nan)
