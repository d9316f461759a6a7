r"""Distributions of noise levels l = log(alpha^2/sigma^2), from which training and bounds draw.

    uniform times     t ~ U(0, 1) of the path,    p(l) = -1 / l'(t)
    uniform levels    l ~ U(l_min, l_max)
    normal levels     log s = -l/2 ~ N(mean, std^2), cut off at the ends of the path

Numbers u that are spread evenly over [0, 1] give levels by the quantile function: those of B observations are
(u_0 + i/B) mod 1, one random u_0 for all. Each is uniform, and their mean has less variance than that of independent
ones.

Reference: Kingma et al., "Variational diffusion models" (2021), appendix I.1, https://arxiv.org/abs/2107.00630; Karras
et al. (2022), https://arxiv.org/abs/2206.00364.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import erfc, isfinite, log, pi, sqrt

import torch
from torch import Tensor

from lsgen.models.diffusion.paths import ProbabilityPath

__all__ = ["NoiseLevels", "NormalLevels", "UniformLevels", "UniformTimes", "evenly_spread"]


def evenly_spread(n: int, like: Tensor) -> Tensor:
    """Return n numbers in [0, 1) that are 1/n apart, (n,), of the dtype and device of a tensor."""
    first = torch.rand((), dtype=like.dtype, device=like.device)
    return (first + torch.arange(n, dtype=like.dtype, device=like.device) / n) % 1


class NoiseLevels(ABC):
    """Abstract distribution of l between the ends of a path; it is computed in double precision."""

    def at(self, path: ProbabilityPath, u: Tensor) -> Tensor:
        """Return levels at u in [0, 1], of any shape: distributed as the levels are where u is uniform."""
        return self.quantile(path, u.double()).clamp(path.log_snr_min, path.log_snr_max).to(u.dtype)

    def density(self, path: ProbabilityPath, log_snr: Tensor) -> Tensor:
        """Return p(l), of the shape of l."""
        return self.probability(path, log_snr.double()).to(log_snr.dtype)

    @abstractmethod
    def quantile(self, path: ProbabilityPath, u: Tensor) -> Tensor:
        """Return the level at u, which is monotone in u, in double precision."""

    @abstractmethod
    def probability(self, path: ProbabilityPath, log_snr: Tensor) -> Tensor:
        """Return p(l) in double precision."""


@dataclass(frozen=True)
class UniformTimes(NoiseLevels):
    """Levels at times that are uniform on the path."""

    def quantile(self, path: ProbabilityPath, u: Tensor) -> Tensor:
        """Return l(u)."""
        return path.log_snr(u)

    def probability(self, path: ProbabilityPath, log_snr: Tensor) -> Tensor:
        """Return -1 / l'(t)."""
        return -1 / path.slope(path.time(log_snr))


@dataclass(frozen=True)
class UniformLevels(NoiseLevels):
    """Levels that are uniform between the ends of the path."""

    def quantile(self, path: ProbabilityPath, u: Tensor) -> Tensor:
        """Return l_min + (l_max - l_min) u."""
        return path.log_snr_min + (path.log_snr_max - path.log_snr_min) * u

    def probability(self, path: ProbabilityPath, log_snr: Tensor) -> Tensor:
        """Return 1 / (l_max - l_min)."""
        return torch.full_like(log_snr, 1 / (path.log_snr_max - path.log_snr_min))


@dataclass(frozen=True)
class NormalLevels(NoiseLevels):
    """Levels whose log s = -l/2 is normal; the paper cuts nothing off.

    Attributes:
        mean: mean of log s.
        std: standard deviation of log s.

    Raises:
        ValueError: std is not positive, or a number is not finite; when it is used, nearly no level is between the ends
            of the path.

    """

    mean: float = -1.2
    std: float = 1.2

    def __post_init__(self) -> None:
        if not self.std > 0:
            raise ValueError(f"NormalLevels expected a standard deviation std > 0, got {self.std}")
        if not (isfinite(self.mean) and isfinite(self.std)):
            raise ValueError(f"NormalLevels expected a finite mean and std, got {self.mean} and {self.std}")

    def _ends(self, path: ProbabilityPath) -> tuple[float, float]:
        """Return the shares of log s below those of the ends of the path, nothing cut off."""
        z = ((-l / 2 - self.mean) / self.std for l in (path.log_snr_max, path.log_snr_min))
        first, last = (erfc(-one / sqrt(2)) / 2 for one in z)
        if last - first < 1e-6:
            raise ValueError(
                f"NormalLevels expected a distribution of log s with levels from {path.log_snr_min:g} to "
                f"{path.log_snr_max:g}, the ends of the path, got mean = {self.mean:g} and std = {self.std:g}"
            )
        return first, last

    def quantile(self, path: ProbabilityPath, u: Tensor) -> Tensor:
        """Return -2 log s at the share u of what is between the ends."""
        first, last = self._ends(path)
        return -2 * (self.mean + self.std * torch.special.ndtri(first + (last - first) * u))

    def probability(self, path: ProbabilityPath, log_snr: Tensor) -> Tensor:
        """Return the normal density of l, divided by what is between the ends."""
        first, last = self._ends(path)
        z = (-log_snr / 2 - self.mean) / self.std
        return (-z.square() / 2 - log(2 * self.std) - log(2 * pi) / 2).exp() / (last - first)
