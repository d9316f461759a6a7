r"""Distributions in the plane, most of them with a known density.

    mixture of K Gaussians    p(x) = 1/K sum_k N(x; m_k, sigma^2 I)
    noisy curves              p(x) = 1/K sum_k int_0^1 N(x; c_k(t), sigma^2 I) dt
    checkerboard              p(x) = 1/32 on eight of the sixteen 2x2 squares of [-4, 4]^2
    pinwheel                  no closed form: a normal in (radial, tangential) coordinates, turned by an angle
                              that grows with the radial one

The integral along a curve is taken by Gauss-Legendre quadrature on panels of a width proportional to sigma, to about
twelve digits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from math import ceil, log, pi

import numpy as np
import torch
from torch import Generator, Tensor

__all__ = ["TOY_SETS", "KnownDensity", "ToySet", "toy_set"]

PANEL = 0.2
NODES = 16
CHUNK = 1024


class ToySet(ABC):
    """Abstract distribution of (point, component) in the plane."""

    @abstractmethod
    def sample(self, n: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return points, float64 (n, 2), and the components they come from, int64 (n,)."""


class KnownDensity(ToySet):
    """Abstract distribution whose density can be evaluated."""

    @abstractmethod
    def log_density(self, x: Tensor) -> Tensor:
        """Return log p(x) in nats, (B,), for points (B, 2)."""


class GaussianMixture(KnownDensity):
    """Equal isotropic Gaussians.

    Args:
        centres: means (K, 2).
        noise: standard deviation of each.

    """

    def __init__(self, centres: Tensor, noise: float) -> None:
        self.centres, self.noise = centres, noise

    def sample(self, n: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Draw a component, then a point."""
        component = torch.randint(len(self.centres), (n,), generator=generator)
        return self.centres[component] + self.noise * _normal(n, generator), component

    def log_density(self, x: Tensor) -> Tensor:
        """Return log p(x)."""
        log_weights = torch.full((len(self.centres),), -log(len(self.centres)), dtype=torch.float64)
        return _log_mixture(x, self.centres, self.noise, log_weights)


class NoisyCurves(KnownDensity):
    """Curves traversed uniformly in their parameter, with isotropic Gaussian noise.

    Args:
        curve: (t in [0, 1] (n,), component (n,)) -> points (n, 2).
        components: number of curves.
        noise: standard deviation.

    """

    def __init__(self, curve: Callable[[Tensor, Tensor], Tensor], components: int, noise: float) -> None:
        self.curve, self.components, self.noise = curve, components, noise

    def sample(self, n: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Draw a curve, a point of it, and noise."""
        component = torch.randint(self.components, (n,), generator=generator)
        t = torch.rand(n, generator=generator, dtype=torch.float64)
        return self.curve(t, component) + self.noise * _normal(n, generator), component

    def log_density(self, x: Tensor) -> Tensor:
        """Return log p(x)."""
        panels = ceil(1 / (PANEL * self.noise))
        nodes, weights = (torch.from_numpy(array) for array in np.polynomial.legendre.leggauss(NODES))
        t = ((torch.arange(panels)[:, None] + (nodes + 1) / 2) / panels).flatten()
        log_weights = torch.log(weights / (2 * panels * self.components)).repeat(panels * self.components)
        component = torch.arange(self.components).repeat_interleave(len(t))
        return _log_mixture(x, self.curve(t.repeat(self.components), component), self.noise, log_weights)


class Checkerboard(KnownDensity):
    """Uniform on the dark squares of a 4x4 board; the component is the square, counted along rows."""

    def sample(self, n: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Draw a square, then a point in it."""
        square = torch.randint(8, (n,), generator=generator)
        row = square // 2
        column = 2 * (square % 2) + row % 2
        corner = 2.0 * torch.stack([column, row], dim=1) - 4
        return corner + 2 * torch.rand(n, 2, generator=generator, dtype=torch.float64), square

    def log_density(self, x: Tensor) -> Tensor:
        """Return -log 32 on dark squares, -inf elsewhere."""
        cell = torch.floor((x + 4) / 2)
        dark = ((cell >= 0) & (cell < 4)).all(-1) & (cell.sum(-1) % 2 == 0)
        return torch.full_like(x[:, 0], -log(32.0)).masked_fill(~dark, float("-inf"))


class Pinwheel(ToySet):
    """Bent arms of Johnson et al., "Composing graphical models with neural networks" (2016), section 5.

    Args:
        noise: standard deviation across an arm.
        arms: number of arms.
        radial: standard deviation along an arm.
        rate: how strongly the arms bend.

    """

    def __init__(self, noise: float = 0.1, arms: int = 5, radial: float = 0.3, rate: float = 0.25) -> None:
        self.noise, self.arms, self.radial, self.rate = noise, arms, radial, rate

    def sample(self, n: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Draw an arm, then a point of it."""
        arm = torch.randint(self.arms, (n,), generator=generator)
        along, across = _normal(n, generator).unbind(1)
        along, across = 1 + self.radial * along, self.noise * across
        angle = 2 * pi * arm / self.arms + self.rate * torch.exp(along)
        cos, sin = torch.cos(angle), torch.sin(angle)
        return torch.stack([cos * along - sin * across, sin * along + cos * across], dim=1), arm


def toy_set(name: str, noise: float | None = None) -> ToySet:
    """Return a distribution by its name.

    Args:
        name: a key of TOY_SETS.
        noise: standard deviation of its noise; the customary one where it is None.

    Raises:
        ValueError: an unknown name, or a noise that is not positive or that the set does not have.

    """
    if name not in TOY_SETS:
        raise ValueError(f"expected name to be one of {', '.join(TOY_SETS)}, got {name!r}")
    make, customary = TOY_SETS[name]
    if noise is not None and (customary is None or noise <= 0):
        allowed = "no noise" if customary is None else "a positive noise"
        raise ValueError(f"expected {allowed} for {name}, got noise = {noise}")
    return make(customary if noise is None else noise)


def _ring(noise: float) -> ToySet:
    angle = torch.arange(8, dtype=torch.float64) * (pi / 4)
    return GaussianMixture(2 * torch.stack([torch.cos(angle), torch.sin(angle)], dim=1), noise)


def _grid(noise: float) -> ToySet:
    ticks = torch.arange(-4.0, 5.0, 2.0, dtype=torch.float64)
    return GaussianMixture(torch.cartesian_prod(ticks, ticks), noise)


def _circle(t: Tensor, component: Tensor) -> Tensor:
    return torch.stack([torch.cos(2 * pi * t), torch.sin(2 * pi * t)], dim=1)


def _moons(t: Tensor, component: Tensor) -> Tensor:
    arc = torch.stack([torch.cos(pi * t), torch.sin(pi * t)], dim=1)
    turned = torch.tensor([1.0, 0.5], dtype=t.dtype) - arc
    return torch.where((component == 0)[:, None], arc, turned)


def _roll(t: Tensor, component: Tensor) -> Tensor:
    angle = 1.5 * pi * (1 + 2 * t)
    return torch.stack([angle * torch.cos(angle), angle * torch.sin(angle)], dim=1) / 5


TOY_SETS: dict[str, tuple[Callable[..., ToySet], float | None]] = {
    "eight_gaussians": (_ring, 0.02),
    "twenty_five_gaussians": (_grid, 0.05),
    "two_moons": (lambda noise: NoisyCurves(_moons, 2, noise), 0.1),
    "circle": (lambda noise: NoisyCurves(_circle, 1, noise), 0.05),
    "swiss_roll": (lambda noise: NoisyCurves(_roll, 1, noise), 0.2),
    "pinwheel": (Pinwheel, 0.1),
    "checkerboard": (lambda noise: Checkerboard(), None),
}


def _normal(n: int, generator: Generator) -> Tensor:
    return torch.randn(n, 2, generator=generator, dtype=torch.float64)


def _log_mixture(x: Tensor, centres: Tensor, sigma: float, log_weights: Tensor) -> Tensor:
    means, offset = centres.to(x), log_weights.to(x) - log(2 * pi * sigma**2)
    return torch.cat([_log_kernel(part, means, sigma, offset) for part in x.split(CHUNK)])


def _log_kernel(x: Tensor, means: Tensor, sigma: float, offset: Tensor) -> Tensor:
    distance = torch.cdist(x, means, compute_mode="donot_use_mm_for_euclid_dist")
    return torch.logsumexp(offset - distance.square() / (2 * sigma**2), dim=1)
