r"""Sampling uniformly by Riemannian volume from a bounded domain.

The density on a domain D of the latent space is, with respect to the Riemannian volume and to the coordinates,

    p(z) dvol = dvol / vol(D),        p(z) dz = sqrt(det g(z)) dz / vol(D).

Proposals uniform in the coordinates are accepted where log u < log sqrt(det g) - M, with M = sup_D log sqrt(det g):
in logarithms, since the volume element of a decoder of thousands of pixels leaves the range of floating point numbers.
Where M is not given it is the largest value met by all proposals, under which all are judged together at the end; the
domain's part above it, about the reciprocal of their number, is then drawn too seldom.

Reference: Devroye, "Non-uniform random variate generation" (1986), chapter II.3; Diaconis, Holmes & Shahshahani,
"Sampling from a manifold" (2013), section 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.checks import check_moves
from lsgen.geometry.metric_tensor import log_volume
from lsgen.geometry.riemannian import RiemannianMetric

__all__ = ["Box", "UniformSample", "sample_uniform"]


@dataclass(frozen=True)
class Box:
    """A bounded domain of the latent space: a box, or the part of it where a condition holds.

    Attributes:
        low: lower corner (d,).
        high: upper corner (d,).
        inside: codes (N, d) -> (N,) of bool, or None for the whole box.

    """

    low: Tensor
    high: Tensor
    inside: Callable[[Tensor], Tensor] | None = None

    def __post_init__(self) -> None:
        if self.low.ndim != 1 or self.low.shape != self.high.shape:
            raise ValueError(f"expected two corners (d,), got {tuple(self.low.shape)} and {tuple(self.high.shape)}")
        finite = torch.isfinite(self.low).all() & torch.isfinite(self.high).all()
        if not bool(finite & (self.low < self.high).all()):
            raise ValueError(f"expected low < high, both finite, got {self.low.tolist()} and {self.high.tolist()}")

    def contains(self, z: Tensor) -> Tensor:
        """Return which codes (N, d) lie in the domain, (N,)."""
        within = ((z >= self.low.to(z)) & (z <= self.high.to(z))).all(-1)
        return within if self.inside is None else within & self.inside(z)

    def propose(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Return codes (n, d), uniform in the coordinates of the whole box."""
        u = torch.rand(n, len(self.low), generator=generator, dtype=self.low.dtype, device=self.low.device)
        return self.low + (self.high - self.low) * u


class UniformSample(NamedTuple):
    """Codes (n, d); the domain they are uniform in by Riemannian volume; acceptance rate; log M; log vol(D), its error.

    The last is the standard error of the logarithm of the volume, which the proposals estimate beside.
    """

    points: Tensor
    domain: Box
    acceptance: float
    log_bound: float
    log_domain_volume: float
    error: float


def sample_uniform(
    im: RiemannianMetric,
    n: int,
    domain: Box,
    *,
    log_bound: float | None = None,
    max_proposals: int = 1_000_000,
    chunk_size: int | None = None,
    generator: torch.Generator | None = None,
) -> UniformSample:
    r"""Return codes drawn uniformly by Riemannian volume from a bounded domain.

        p(z) = 1 / vol(D) with respect to the Riemannian volume on D

    Args:
        im: the immersion, or the metric itself.
        n: number of codes.
        domain: where they are drawn from; its corners fix dtype and device.
        log_bound: sup_D log sqrt(det g) where it is known, which makes the sample exact.
        max_proposals: bound on the proposals.
        chunk_size: number of codes whose metric is taken at once.
        generator: source of randomness.

    Returns:
        UniformSample(points (n, d), domain, acceptance, log_bound, log_domain_volume, error).

    Raises:
        ValueError: n is not positive, the domain's dimension is not d, or log_bound is exceeded.
        TypeError: codes are those of a latent space that does not fill a part of flat space.
        RuntimeError: the proposals did not yield n codes.

    """
    if n < 1:
        raise ValueError(f"expected at least 1 code to draw, got {n}")
    if not isinstance(domain, Box) or len(domain.low) != im.dim:
        got = f"one of dimension {len(domain.low)}" if isinstance(domain, Box) else type(domain).__name__
        raise ValueError(f"expected a Box of dimension {im.dim} to draw from, got {got}")
    check_moves(im.fn, walls=True)
    seen, size = _Proposals(domain.low), max(256, 2 * n)
    while seen.count < max_proposals:
        size = min(size, max_proposals - seen.count)
        z = domain.propose(size, generator)
        logs = torch.full_like(z[:, 0], -torch.inf)
        inside = domain.contains(z)
        logs[inside] = log_volume(im, z[inside], chunk_size).detach()
        seen.add(z, logs, torch.rand(size, generator=generator, dtype=z.dtype, device=z.device).log())
        bound = _bound(seen, log_bound)
        taken = (seen.uniform < seen.logs - bound).nonzero().squeeze(-1)
        if len(taken) >= n:
            return _sample(seen, taken[:n], domain, bound, len(taken) / seen.count)
        rate = max(len(taken), 1) / seen.count
        size = min(int(1.2 * (n - len(taken)) / rate) + 256, 4 * seen.count)
    raise RuntimeError(
        f"expected {n} codes from {max_proposals} proposals, got {len(taken)}: the volume is concentrated in a small "
        "part of the domain; give a smaller domain or more proposals, or sample by hmc"
    )


class _Proposals:
    """All codes proposed so far, with their log-volumes and the logarithms of their uniform numbers."""

    def __init__(self, like: Tensor) -> None:
        self.z, self.logs, self.uniform = like.new_empty(0, len(like)), like.new_empty(0), like.new_empty(0)

    @property
    def count(self) -> int:
        return len(self.logs)

    def add(self, z: Tensor, logs: Tensor, uniform: Tensor) -> None:
        """Append proposals."""
        self.z, self.logs = torch.cat([self.z, z]), torch.cat([self.logs, logs])
        self.uniform = torch.cat([self.uniform, uniform])


def _bound(seen: _Proposals, given: float | None) -> float:
    finite = seen.logs[~torch.isnan(seen.logs)]
    largest = finite.max().item() if len(finite) else -torch.inf
    if given is None:
        return largest
    if largest > given:
        raise ValueError(
            f"expected log_bound to bound log sqrt(det g) on the domain, got {given:.6g} below {largest:.6g}"
        )
    return given


def _sample(seen: _Proposals, taken: Tensor, domain: Box, bound: float, rate: float) -> UniformSample:
    """Return the sample with the Monte Carlo estimate of the domain's volume."""
    relative = torch.nan_to_num(seen.logs.double() - bound, nan=-torch.inf).exp()
    mean = relative.mean()
    spread = relative.std() / relative.numel() ** 0.5 / mean
    volume = bound + mean.log() + (domain.high - domain.low).double().log().sum()
    return UniformSample(seen.z[taken], domain, rate, bound, volume.item(), spread.item())
