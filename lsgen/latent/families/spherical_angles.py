r"""The angle t between a von Mises-Fisher draw on S^{d-1} and the mean direction.

    f(t) = sin^n(t) e^{-kappa q(t)} / Z,    n = d - 2,    q(t) = 1 - cos t = 2 sin^2(t/2),    0 <= t <= pi

In terms of q rather than cos t no sum cancels, however large kappa is. For moments and quantiles see
`radial_quantiles`.
"""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor

from lsgen.latent.families.radial_quantiles import RadialLaw

__all__ = ["SphericalAngle", "largest_concentration"]


def largest_concentration(dtype: torch.dtype) -> float:
    """Return eps^{-3/2}, 2.4e10 in float32, where the typical angle is still fifty times the rounding of a code."""
    return float(torch.finfo(dtype).eps) ** -1.5


class SphericalAngle(RadialLaw):
    """The angle on S^{n+1}, for concentrations kappa >= 0."""

    def statistic(self, t: Tensor) -> Tensor:
        """Return 1 - cos t."""
        return 2 * torch.sin(t / 2).square()

    def log_circumference(self, t: Tensor) -> Tensor:
        """Return log sin t, finite at 0 and pi."""
        return torch.log(torch.sin(t).clamp(min=torch.finfo(t.dtype).tiny))

    def slope(self, t: Tensor, kappa: Tensor) -> Tensor:
        """Return n / tan t - kappa sin t."""
        return self.n / torch.tan(t) - kappa * torch.sin(t)

    def mode(self, kappa: Tensor) -> tuple[Tensor, Tensor]:
        """Return the angle with kappa sin^2 t = n cos t, and the deviation there."""
        n = float(self.n)
        root = torch.sqrt(n**2 + 4 * kappa**2)
        q = (n + n**2 / (root + 2 * kappa)) / (n + root) if n else torch.zeros_like(kappa)
        mode = 2 * torch.asin((q / 2).sqrt())
        return mode, (kappa * (1 - q) + (n / torch.sin(mode).square() if n else 0.0)).rsqrt()

    def within(self, t: Tensor) -> Tensor:
        """Return angles of at most pi."""
        return t.clamp(max=pi)
