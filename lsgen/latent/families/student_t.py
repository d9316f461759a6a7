r"""A posterior with heavy tails: independent Student's t distributions.

    q(z|x) = prod_j t(z_j; nu_j, m_j, s_j),    s = softplus(second head),    nu = least + softplus(third head)

As a proposal of importance sampling it has weights p(x, z)/q(z|x) that stay bounded where a normal one's need not. Its
divergence from a normal has no closed form and is estimated from the codes that are drawn.

Reference: Mattei & Frellsen, "MIWAE: deep generative modelling and imputation of incomplete data sets" (2019), section
4.3, https://arxiv.org/abs/1812.02633.
"""

from __future__ import annotations

from math import inf
from typing import Any, ClassVar

from torch import Tensor
from torch.distributions import Chi2, Distribution, Independent, StudentT
from torch.nn.functional import softplus

from lsgen.latent.posteriors import Posterior

__all__ = ["StudentTPosterior"]


class StudentTPosterior(Posterior):
    """Independent Student's t distributions; the heads decode the location, the scale and the degrees of freedom.

    Args:
        least: bound of the degrees of freedom; 3 keeps every variance finite.

    Raises:
        ValueError: the bound is below 2, where variances are not finite.

    """

    heads: ClassVar[int] = 3
    factorised: ClassVar[bool] = True
    twice_differentiable: ClassVar[bool] = False  # the chi-squared draws are not

    def __init__(self, least: float = 3.0) -> None:
        super().__init__()
        if not 2 <= least < inf:
            raise ValueError(f"expected a finite bound of the degrees of freedom >= 2, got {least}")
        self.least = float(least)

    def forward(self, raw: Tensor) -> Distribution:
        """Return the Student's t distributions of raw outputs (B, 3 d)."""
        location, scale, degrees = raw.chunk(3, dim=-1)
        member = _StudentT(self.least + softplus(degrees), location, softplus(scale))
        return Independent(member, 1, validate_args=False)


class _StudentT(StudentT):
    """Student's t distributions whose numbers are not looked at; PyTorch's reads the degrees of freedom always.

    Args:
        df: degrees of freedom, (B, d).
        loc: locations.
        scale: scales.

    """

    def __init__(self, df: Tensor, loc: Tensor, scale: Tensor) -> None:
        self.df, self.loc, self.scale = df, loc, scale
        self._chi2 = Chi2(df, validate_args=False)
        Distribution.__init__(self, df.shape, validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> _StudentT:
        """Return the distributions with a larger batch shape."""
        return _StudentT(*(part.expand(batch_shape) for part in (self.df, self.loc, self.scale)))
