r"""Beta: x in (0, 1) with concentrations a and b, h = (log a, log b).

    p(x) = x^{a-1} (1 - x)^{b-1} / B(a, b),

    F = [ a^2 (psi_1(a) - psi_1(a + b)),   -a b psi_1(a + b)            ]
        [ -a b psi_1(a + b),               b^2 (psi_1(b) - psi_1(a + b)) ]

in h, where psi_1 is the trigamma function, evaluated in double precision. With (a_1, a_2) = (a, b) and psi_2 the
derivative of psi_1 the third moments of the score are

    T_ijk = a_i a_j a_k (delta_ijk psi_2(a_i) - psi_2(a + b)) .

The curvature is negative and not constant; no flat embedding is known, so that this geometry is intrinsic.

Reference: Le Brigant, Preston & Puechmorel, "Fisher-Rao geometry of Dirichlet distributions" (2021), section 2,
https://arxiv.org/abs/2005.05608.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Beta as _Beta
from torch.distributions import Distribution, Independent

from lsgen.likelihoods.base import CubicLikelihood

__all__ = ["Beta"]


class Beta(CubicLikelihood):
    """Independent beta distributions; the heads are the logarithms of the concentrations a and b."""

    heads: int = 2
    support: str = "strictly between 0 and 1"
    convex: ClassVar[bool] = True

    def forward(self, h: Tensor) -> Distribution:
        """Return Beta(exp(log a), exp(log b))."""
        a, b = self.split(h).exp().unbind(-1)
        return Independent(_Beta(a, b, validate_args=False), len(self.shape), validate_args=False)

    def fisher(self, h: Tensor) -> Tensor:
        """Return the information in (log a, log b), of shape (B, *shape, 2, 2)."""
        concentrations = self.split(h).double().exp()
        own = torch.polygamma(1, concentrations)
        joint = torch.polygamma(1, concentrations.sum(-1))[..., None, None]
        scale = concentrations.unsqueeze(-1) * concentrations.unsqueeze(-2)
        return (scale * (torch.diag_embed(own) - joint)).to(h.dtype)

    def amari_chentsov(self, h: Tensor, v: Tensor) -> Tensor:
        """Return T of the concentrations in their logarithms."""
        a = self.split(h).double().exp()
        own, joint = torch.polygamma(2, a), torch.polygamma(2, a.sum(-1))[..., None, None, None]
        scale = a[..., :, None, None] * a[..., None, :, None] * a[..., None, None, :]
        return self.contracted((scale * (_cubic_diagonal(own) - joint)).to(h.dtype), v)

    def in_support(self, x: Tensor) -> Tensor:
        """Accept (0, 1)."""
        return (x > 0) & (x < 1)


def _cubic_diagonal(x: Tensor) -> Tensor:
    """Return the tensors (..., k, k, k) whose diagonals are x (..., k)."""
    return torch.diag_embed(x).unsqueeze(-1) * torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
