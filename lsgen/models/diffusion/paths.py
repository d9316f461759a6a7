r"""Probability paths from data to noise, whose common clock is the logarithm of the signal-to-noise ratio.

    x_t = alpha(t) x_0 + sigma(t) eps,    eps ~ N(0, I),    l(t) = log( alpha(t)^2 / sigma(t)^2 )

l falls strictly from `log_snr_max` at t = 0, the data, to `log_snr_min` at t = 1, the noise. A schedule that has no
bounds of its own, such as alpha = 1 - s, sigma = s on [0, 1], is followed between the two values of its own time s at
which l has these bounds; t is that time, stretched to [0, 1]. How alpha and sigma follow from l is one of three:

    variance preserving     alpha^2 = 1 / (1 + e^-l),    sigma^2 = 1 / (1 + e^l)
    variance exploding      alpha = 1,                   sigma = e^(-l/2)
    interpolating           alpha = 1 / (1 + e^(-l/2)),  sigma = 1 - alpha

A model is trained at times t that are uniform on [0, 1], so that l has the density p(l) = -1 / l'(t).

References: Ho et al. (2020), https://arxiv.org/abs/2006.11239; Song et al. (2021), https://arxiv.org/abs/2011.13456;
Nichol & Dhariwal (2021), https://arxiv.org/abs/2102.09672; Kingma et al. (2021), https://arxiv.org/abs/2107.00630;
Karras et al. (2022), https://arxiv.org/abs/2206.00364; Lipman et al. (2023), https://arxiv.org/abs/2210.02747; Liu et
al. (2023), https://arxiv.org/abs/2209.03003.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from math import isfinite, log, pi
from typing import Literal

import torch
from torch import Tensor

from lsgen.models.diffusion.coupling import paired_noise

__all__ = [
    "Cosine",
    "Karras",
    "LinearLogSNR",
    "ProbabilityPath",
    "RectifiedFlow",
    "VarianceExploding",
    "VariancePreserving",
]


@dataclass(frozen=True, kw_only=True)
class ProbabilityPath(ABC):
    """Abstract path from data to noise.

    Attributes:
        log_snr_max: l at t = 0.
        log_snr_min: l at t = 1.

    Raises:
        ValueError: the bounds are not finite and decreasing, or l does not fall strictly and finitely between them.

    """

    log_snr_max: float = 10.0
    log_snr_min: float = -10.0
    _span: tuple[float, float] = field(init=False, repr=False, compare=False, default=(0.0, 1.0))

    def __post_init__(self) -> None:
        name, high, low = type(self).__name__, self.log_snr_max, self.log_snr_min
        if not (isfinite(high) and isfinite(low) and low < high):
            raise ValueError(f"{name} expected finite log_snr_min < log_snr_max, got {low} and {high}")
        ends = self._own_time(torch.tensor([high, low], dtype=torch.float64))
        object.__setattr__(self, "_span", tuple(ends.tolist()))
        falling = self.log_snr(torch.linspace(0, 1, 257, dtype=torch.float64))
        if not bool((falling.diff() < 0).all() and falling.isfinite().all()):
            raise ValueError(f"{name} expected a log signal-to-noise ratio that falls strictly with time, got {self}")

    @abstractmethod
    def _own_log_snr(self, s: Tensor) -> Tensor:
        """Return l at the schedule's own time s, of any shape."""

    @abstractmethod
    def _own_slope(self, s: Tensor) -> Tensor:
        """Return dl/ds at the schedule's own time s."""

    @abstractmethod
    def _own_time(self, log_snr: Tensor) -> Tensor:
        """Return the schedule's own time s at l."""

    @abstractmethod
    def scales(self, log_snr: Tensor) -> tuple[Tensor, Tensor]:
        """Return alpha and sigma at l, of any shape."""

    @abstractmethod
    def scale_slopes(self, log_snr: Tensor) -> tuple[Tensor, Tensor]:
        """Return d alpha / dl and d sigma / dl at l, of any shape."""

    def log_snr(self, t: Tensor) -> Tensor:
        """Return l at times t in [0, 1], of any shape."""
        start, end = self._span
        return self._own_log_snr(start + (end - start) * t)

    def slope(self, t: Tensor) -> Tensor:
        """Return dl/dt < 0 at times t."""
        start, end = self._span
        return self._own_slope(start + (end - start) * t) * (end - start)

    def time(self, log_snr: Tensor) -> Tensor:
        """Return the times t at l, the inverse of `log_snr`."""
        start, end = self._span
        return (self._own_time(log_snr) - start) / (end - start)

    def alpha_sigma(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return alpha and sigma at times t."""
        return self.scales(self.log_snr(t))

    def dalpha(self, t: Tensor) -> Tensor:
        """Return d alpha / dt at times t."""
        return self.scale_slopes(self.log_snr(t))[0] * self.slope(t)

    def dsigma(self, t: Tensor) -> Tensor:
        """Return d sigma / dt at times t."""
        return self.scale_slopes(self.log_snr(t))[1] * self.slope(t)

    def noise(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the noise (B, *shape) that observations (B, *shape) are mixed with in training: independent normal."""
        return torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator)


@dataclass(frozen=True, kw_only=True)
class _Preserving(ProbabilityPath):
    def scales(self, log_snr: Tensor) -> tuple[Tensor, Tensor]:
        return log_snr.sigmoid().sqrt(), (-log_snr).sigmoid().sqrt()

    def scale_slopes(self, log_snr: Tensor) -> tuple[Tensor, Tensor]:
        alpha, sigma = self.scales(log_snr)
        return alpha * sigma.square() / 2, -sigma * alpha.square() / 2


@dataclass(frozen=True, kw_only=True)
class _Exploding(ProbabilityPath):
    def scales(self, log_snr: Tensor) -> tuple[Tensor, Tensor]:
        return torch.ones_like(log_snr), (-log_snr / 2).exp()

    def scale_slopes(self, log_snr: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(log_snr), -(-log_snr / 2).exp() / 2


@dataclass(frozen=True, kw_only=True)
class LinearLogSNR(_Preserving):
    """The variance-preserving path whose log signal-to-noise ratio falls linearly in time (Kingma et al., 2021)."""

    def _own_log_snr(self, s: Tensor) -> Tensor:
        return self.log_snr_max + (self.log_snr_min - self.log_snr_max) * s

    def _own_slope(self, s: Tensor) -> Tensor:
        return torch.full_like(s, self.log_snr_min - self.log_snr_max)

    def _own_time(self, log_snr: Tensor) -> Tensor:
        return (self.log_snr_max - log_snr) / (self.log_snr_max - self.log_snr_min)


@dataclass(frozen=True, kw_only=True)
class VariancePreserving(_Preserving):
    r"""The variance-preserving path with rates that rise linearly (Ho et al., 2020; Song et al., 2021).

        alpha^2 = e^-B,    B(s) = beta_min s + (beta_max - beta_min) s^2 / 2

    Attributes:
        beta_min: the rate at s = 0.
        beta_max: the rate at s = 1.

    Raises:
        ValueError: a rate is negative or both are 0; see `ProbabilityPath`.

    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        if not (self.beta_min >= 0 and self.beta_max >= self.beta_min and self.beta_max > 0):
            raise ValueError(
                "VariancePreserving expected 0 <= beta_min <= beta_max and beta_max > 0, "
                f"got {self.beta_min} and {self.beta_max}"
            )
        super().__post_init__()

    def _integral(self, s: Tensor) -> Tensor:
        return self.beta_min * s + (self.beta_max - self.beta_min) * s.square() / 2

    def _own_log_snr(self, s: Tensor) -> Tensor:
        return -self._integral(s).expm1().log()

    def _own_slope(self, s: Tensor) -> Tensor:
        return (self.beta_min + (self.beta_max - self.beta_min) * s) / (-self._integral(s)).expm1()

    def _own_time(self, log_snr: Tensor) -> Tensor:
        b = torch.nn.functional.softplus(-log_snr)
        return 2 * b / (self.beta_min + (self.beta_min**2 + 2 * (self.beta_max - self.beta_min) * b).sqrt())


@dataclass(frozen=True, kw_only=True)
class Cosine(_Preserving):
    r"""The variance-preserving path of a cosine (Nichol & Dhariwal, 2021).

        alpha = cos(theta) / cos(theta_0),    theta(s) = (s + offset) / (1 + offset) pi / 2,    theta_0 = theta(0)

    Attributes:
        offset: keeps the noise from being too small near s = 0.

    Raises:
        ValueError: the offset is negative; see `ProbabilityPath`.

    """

    offset: float = 0.008

    def __post_init__(self) -> None:
        if not self.offset >= 0:
            raise ValueError(f"Cosine expected an offset of at least 0, got {self.offset}")
        super().__post_init__()

    def _angles(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """Return theta and sin(theta)^2 - sin(theta_0)^2, without cancellation."""
        rate = pi / 2 / (1 + self.offset)
        theta, first = (s + self.offset) * rate, self.offset * rate
        return theta, (theta - first).sin() * (theta + first).sin()

    def _own_log_snr(self, s: Tensor) -> Tensor:
        theta, rest = self._angles(s)
        return 2 * theta.cos().log() - rest.log()

    def _own_slope(self, s: Tensor) -> Tensor:
        theta, rest = self._angles(s)
        return -pi / (1 + self.offset) * (theta.tan() + theta.sin() * theta.cos() / rest)

    def _own_time(self, log_snr: Tensor) -> Tensor:
        rate = pi / 2 / (1 + self.offset)
        first = torch.full_like(log_snr, self.offset * rate)
        # sin^2 = sin_0^2 + cos_0^2 / (1 + e^l), which is precise where the cosine is near 1
        square = first.sin().square() + first.cos().square() * (-log_snr).sigmoid()
        return torch.atan2(square.sqrt(), first.cos() * log_snr.sigmoid().sqrt()) / rate - self.offset


@dataclass(frozen=True, kw_only=True)
class VarianceExploding(_Exploding):
    """The variance-exploding path, sigma = sigma_min (sigma_max / sigma_min)^t (Song et al., 2021).

    Attributes:
        sigma_min: sigma at t = 0; it gives log_snr_max.
        sigma_max: sigma at t = 1; it gives log_snr_min.

    Raises:
        ValueError: not 0 < sigma_min < sigma_max.

    """

    log_snr_max: float = field(init=False, default=0.0)
    log_snr_min: float = field(init=False, default=0.0)
    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def __post_init__(self) -> None:
        _bound_by_sigma(self, self.sigma_min, self.sigma_max)
        super().__post_init__()

    def _own_log_snr(self, s: Tensor) -> Tensor:
        return -2 * (log(self.sigma_min) + log(self.sigma_max / self.sigma_min) * s)

    def _own_slope(self, s: Tensor) -> Tensor:
        return torch.full_like(s, -2 * log(self.sigma_max / self.sigma_min))

    def _own_time(self, log_snr: Tensor) -> Tensor:
        return (-log_snr / 2 - log(self.sigma_min)) / log(self.sigma_max / self.sigma_min)


@dataclass(frozen=True, kw_only=True)
class Karras(_Exploding):
    """The path of EDM: alpha = 1, and log sigma of training times is normal (Karras et al., 2022).

    The normal distribution is cut off at sigma_min and sigma_max, which the paper does in sampling only.

    Attributes:
        mean: mean of log sigma.
        std: standard deviation of log sigma.
        sigma_min: sigma at t = 0.
        sigma_max: sigma at t = 1.

    Raises:
        ValueError: not 0 < sigma_min < sigma_max, or std is not positive.

    """

    log_snr_max: float = field(init=False, default=0.0)
    log_snr_min: float = field(init=False, default=0.0)
    mean: float = -1.2
    std: float = 1.2
    sigma_min: float = 0.002
    sigma_max: float = 80.0

    def __post_init__(self) -> None:
        if not self.std > 0:
            raise ValueError(f"Karras expected a standard deviation std > 0, got {self.std}")
        _bound_by_sigma(self, self.sigma_min, self.sigma_max)
        super().__post_init__()

    def _own_log_snr(self, s: Tensor) -> Tensor:
        # in double, as the tails are thin
        z = torch.special.ndtri(s.double())
        return (-2 * (self.mean + self.std * z)).to(s.dtype)

    def _own_slope(self, s: Tensor) -> Tensor:
        z = torch.special.ndtri(s.double())
        return (-2 * self.std * (2 * pi) ** 0.5 * (z.square() / 2).exp()).to(s.dtype)

    def _own_time(self, log_snr: Tensor) -> Tensor:
        return torch.special.ndtr((-log_snr.double() / 2 - self.mean) / self.std).to(log_snr.dtype)

    def log_snr(self, t: Tensor) -> Tensor:
        """Return l at times t in [0, 1], of any shape."""
        return super().log_snr(t.double()).to(t.dtype)

    def slope(self, t: Tensor) -> Tensor:
        """Return dl/dt < 0 at times t."""
        return super().slope(t.double()).to(t.dtype)

    def time(self, log_snr: Tensor) -> Tensor:
        """Return the times t at l, the inverse of `log_snr`."""
        return super().time(log_snr.double()).to(log_snr.dtype)


@dataclass(frozen=True, kw_only=True)
class RectifiedFlow(ProbabilityPath):
    """The straight path of rectified flow and flow matching, alpha = 1 - s and sigma = s.

    Attributes:
        coupling: what noise an observation is mixed with in training: "independent" of it, or "optimal_transport",
            drawn from the entropic transport plan between the observations of a batch and as many draws of noise
            (Tong et al., 2023; see `lsgen.models.diffusion.coupling`).

    Raises:
        ValueError: another coupling; see `ProbabilityPath`.

    """

    log_snr_max: float = 12.0
    log_snr_min: float = -12.0
    coupling: Literal["independent", "optimal_transport"] = "independent"

    def __post_init__(self) -> None:
        if self.coupling not in ("independent", "optimal_transport"):
            raise ValueError(
                f"RectifiedFlow expected a coupling, independent or optimal_transport, got {self.coupling!r}"
            )
        super().__post_init__()

    def _own_log_snr(self, s: Tensor) -> Tensor:
        return 2 * torch.log1p(-s) - 2 * s.log()

    def _own_slope(self, s: Tensor) -> Tensor:
        return -2 / (s * (1 - s))

    def _own_time(self, log_snr: Tensor) -> Tensor:
        return (-log_snr / 2).sigmoid()

    def scales(self, log_snr: Tensor) -> tuple[Tensor, Tensor]:
        """Return alpha and sigma at l, of any shape."""
        return (log_snr / 2).sigmoid(), (-log_snr / 2).sigmoid()

    def scale_slopes(self, log_snr: Tensor) -> tuple[Tensor, Tensor]:
        """Return d alpha / dl and d sigma / dl at l, of any shape."""
        alpha, sigma = self.scales(log_snr)
        return alpha * sigma / 2, -alpha * sigma / 2

    def noise(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the noise (B, *shape) that observations (B, *shape) are mixed with in training, as coupled."""
        eps = super().noise(x, generator)
        return eps if self.coupling == "independent" else paired_noise(x, eps, generator)


def _bound_by_sigma(path: ProbabilityPath, sigma_min: float, sigma_max: float) -> None:
    """Set the bounds of l of a path with alpha = 1."""
    if not (0 < sigma_min < sigma_max and isfinite(sigma_max)):
        raise ValueError(f"{type(path).__name__} expected 0 < sigma_min < sigma_max, got {sigma_min} and {sigma_max}")
    object.__setattr__(path, "log_snr_max", -2 * log(sigma_min))
    object.__setattr__(path, "log_snr_min", -2 * log(sigma_max))
