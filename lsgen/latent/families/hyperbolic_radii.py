r"""The distance t of a Riemannian normal draw in hyperbolic space of dimension n + 1 and curvature -1 from its centre.

    f(t) = sinh^n(t) e^{-kappa q(t)} / Z,    q(t) = t^2/2,    kappa = 1/sigma^2,    t >= 0

For moments and quantiles see `radial_quantiles`. No sum cancels, as those of the closed form of Z in error functions do
for small sigma or many dimensions.
"""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from lsgen.latent.families.radial_quantiles import RadialLaw

__all__ = ["HyperbolicRadius"]

_NEWTON_STEPS = 4


class HyperbolicRadius(RadialLaw):
    """The distance in hyperbolic space of dimension n + 1, for precisions kappa > 0."""

    def statistic(self, t: Tensor) -> Tensor:
        """Return t^2/2."""
        return t.square() / 2

    def log_circumference(self, t: Tensor) -> Tensor:
        """Return log sinh t, finite at 0."""
        return t - log(2) + torch.log((-torch.expm1(-2 * t)).clamp(min=torch.finfo(t.dtype).tiny))

    def slope(self, t: Tensor, kappa: Tensor) -> Tensor:
        """Return n / tanh t - kappa t."""
        return self.n / torch.tanh(t) - kappa * t

    def mode(self, kappa: Tensor) -> tuple[Tensor, Tensor]:
        """Return the distance with t tanh t = n / kappa, by Newton's method, and the deviation there."""
        if not self.n:
            return torch.zeros_like(kappa), kappa.rsqrt()
        a = self.n / kappa
        t = torch.where(a < 1, a.sqrt(), a)
        for _ in range(_NEWTON_STEPS):
            tanh = torch.tanh(t)
            t = t - (t * tanh - a) / (tanh + t * (1 - tanh.square()))
        return t, (kappa + self.n / torch.sinh(t).square()).rsqrt()

    def within(self, t: Tensor) -> Tensor:
        """Return the distances: the space has no end."""
        return t
