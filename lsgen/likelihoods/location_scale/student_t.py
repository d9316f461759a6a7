r"""Student's t: heavy tails, with degrees of freedom nu that are fixed, learned, or decoded with location and scale.

    log p(x) = c(nu) - log s - (nu + 1)/2 log(1 + u^2/nu),    u = (x - mu)/s,
    c(nu) = log Gamma((nu + 1)/2) - log Gamma(nu/2) - log(pi nu)/2 .

Its mean exists for nu > 1 and its variance is finite for nu > 2. With B = u^2/(nu + u^2), which follows
Beta(1/2, nu/2), the score in (mu, log s, nu) is

    (nu + 1) u/(s (nu + u^2)),    (nu + 1) B - 1,    c'(nu) + (log(1 - B) + (nu + 1) B/nu)/2,

and the information

    F = [ (nu + 1)/((nu + 3) s^2)   0                       0                      ]
        [ 0                         2 nu/(nu + 3)           -2/((nu + 1)(nu + 3))  ]
        [ 0                         -2/((nu + 1)(nu + 3))   F_nu                   ],

    F_nu = (psi_1(nu/2) - psi_1((nu + 1)/2))/4 - (nu + 5)/(2 nu (nu + 1)(nu + 3)) .

If nu does not depend on the code, (mu, log s) is a hyperbolic plane (`lsgen.likelihoods.location_scale.location`), with

    A = (nu + 1)/(nu + 3),    E[psi^2 (u psi - 1)] = 2 (nu + 1)(nu - 1)/((nu + 3)(nu + 5)),
    C = 2 nu/(nu + 3),        E[(u psi - 1)^3] = 8 nu (nu - 1)/((nu + 3)(nu + 5)) .

If it does, the geometry is intrinsic.

Towards the Gaussian c and F_nu are small differences of large terms: F_nu falls as 7/(2 nu^4). So c is taken by its
asymptotic series for nu >= 100, and F_nu by its own at nu + 16, in the Bernoulli numbers b_k,

    c(nu) = -log(2 pi)/2 - sum_k (4^k - 1) b_2k/(2k (2k - 1)) nu^{1 - 2k},
    F_nu = sum_{k >= 3} ( (-1)^k (2 - 3^{k-1}) + 2 (2^k - 1) b_k [k even] ) nu^{-k-1}/2,

with D from the slope of c at nu + 16; both are brought to nu by sums without a cancellation,

    D(nu) = D(nu + 2) + 2/(nu (nu + 1)),    D(nu) = psi((nu + 1)/2) - psi(nu/2) = 1/nu + 2 c'(nu),
    F_nu = F_{nu+2} + 2 (14 nu^2 + 33 nu + 15)/(nu^2 (nu + 1)^2 (nu + 2)(nu + 3)(nu + 5)) .

The entropy is log s - c(nu) + (nu + 1) D(nu)/2.

Reference: Lange, Little & Taylor, "Robust statistical modeling using the t distribution" (1989), for the information;
NIST Digital Library of Mathematical Functions, sections 5.11 and 24.7, for the series; Mattei & Frellsen, "MIWAE: deep
generative modelling and imputation of incomplete data sets" (2019), https://arxiv.org/abs/1812.02633, for the decoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import inf, log, pi
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.distributions import Chi2, Distribution, Independent
from torch.distributions import StudentT as _TorchStudentT
from torch.nn.functional import softplus

from lsgen.likelihoods.base import Likelihood
from lsgen.likelihoods.location_scale.location import LocationScaleFamily, ScoreMoments

__all__ = ["ScaleMap", "SharedStudentT", "StudentT"]

ScaleMap = Literal["exp", "softplus"]

_STEPS, _TERMS = 8, 24
_SERIES_FROM, _SERIES_TERMS = 100.0, 5


class SharedStudentT(LocationScaleFamily):
    """Independent Student's t distributions, the degrees of freedom the same for every observation.

    The heads are the location and the log scale. The degrees of freedom are learned with the networks, or fixed.

    Args:
        shape: shape of one observation.
        degrees: the degrees of freedom nu, to start from or to keep.
        learned: whether they are learned.
        per_dimension: whether every data dimension (column) has its own.

    Raises:
        ValueError: the degrees of freedom are not positive and finite.

    """

    log_degrees: Tensor

    def __init__(
        self, shape: Sequence[int], degrees: float = 5.0, learned: bool = True, per_dimension: bool = False
    ) -> None:
        super().__init__(shape)
        if not 0 < degrees < inf:
            raise ValueError(f"expected finite degrees of freedom > 0, got {degrees}")
        start = torch.full(self.shape if per_dimension else (), log(degrees))
        if learned:
            self.log_degrees = nn.Parameter(start)
        else:
            self.register_buffer("log_degrees", start)

    @property
    def degrees(self) -> Tensor:
        """The degrees of freedom nu, of shape () or `shape`."""
        return self.log_degrees.exp()

    def moments_like(self, location: Tensor) -> ScoreMoments:
        """Return the moments of the score at the degrees of freedom so far."""
        nu = self.log_degrees.to(location.dtype).exp()
        third = (nu - 1) / ((nu + 3) * (nu + 5))
        return ScoreMoments((nu + 1) / (nu + 3), 2 * nu / (nu + 3), 2 * (nu + 1) * third, 8 * nu * third)

    def member(self, location: Tensor, scale: Tensor) -> Distribution:
        """Return Student's t distributions."""
        return _StudentT(self.log_degrees.to(location.dtype).exp(), location, scale)


class StudentT(Likelihood):
    """Independent Student's t distributions; the heads decode the location, the scale and the degrees of freedom.

    s = floor + exp(second head) or floor + softplus(second head),    nu = least + softplus(third head).

    Args:
        shape: shape of one observation.
        least: bound of the degrees of freedom; 3 keeps every variance finite.
        scale: how the second head gives the scale.
        floor: bound of the scale; one above 0 keeps the density of a value that is repeated exactly finite.

    Raises:
        ValueError: a bound is negative or infinite, or there is no such map to scales.

    """

    heads: int = 3
    convex: ClassVar[bool] = True

    def __init__(self, shape: Sequence[int], least: float = 3.0, scale: ScaleMap = "exp", floor: float = 0.0) -> None:
        super().__init__(shape)
        if not 0 <= least < inf:
            raise ValueError(f"expected a finite bound of the degrees of freedom >= 0, got {least}")
        if not 0 <= floor < inf:
            raise ValueError(f"expected a finite bound of the scale >= 0, got {floor}")
        if scale not in get_args(ScaleMap):
            raise ValueError(f'expected scale "exp" or "softplus", got {scale!r}')
        self.least, self.scale, self.floor = float(least), scale, float(floor)

    def forward(self, h: Tensor) -> Distribution:
        """Return Student's t distributions of location mu, scale s and nu degrees of freedom."""
        location, raw_scale, raw = self.split(h).unbind(-1)
        scale = self.floor + (raw_scale.exp() if self.scale == "exp" else softplus(raw_scale))
        return Independent(_StudentT(self.least + softplus(raw), location, scale), len(self.shape), validate_args=False)

    def fisher(self, h: Tensor) -> Tensor:
        """Return the information in the heads, of shape (B, *shape, 3, 3)."""
        _, raw_scale, raw = self.split(h).double().unbind(-1)
        above = raw_scale.exp() if self.scale == "exp" else softplus(raw_scale)
        scale = self.floor + above
        pace = (above if self.scale == "exp" else torch.sigmoid(raw_scale)) / scale  # d log s / d head
        nu, slope = self.least + softplus(raw), torch.sigmoid(raw)
        zero = torch.zeros_like(nu)
        of_location = (nu + 1) / (nu + 3) / scale.square()
        of_scale = pace.square() * 2 * nu / (nu + 3)
        mixed = -2 * pace * slope / ((nu + 1) * (nu + 3))
        of_degrees = slope.square() * _degrees_information(nu)
        rows = [of_location, zero, zero, zero, of_scale, mixed, zero, mixed, of_degrees]
        return torch.stack(rows, -1).unflatten(-1, (3, 3)).to(h.dtype)

    def in_support(self, x: Tensor) -> Tensor:
        """Accept every finite number."""
        return torch.isfinite(x)


class _StudentT(_TorchStudentT):
    """Student's t whose density and entropy keep their digits for many degrees of freedom, and that reads no device."""

    def __init__(self, degrees: Tensor, location: Tensor, scale: Tensor) -> None:
        self.df, self.loc, self.scale = torch.broadcast_tensors(degrees, location, scale)
        self._chi2 = Chi2(self.df, validate_args=False)
        Distribution.__init__(self, self.df.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The location for nu > 1, else NaN."""
        return self.loc.where(self.df > 1, torch.nan)

    @property
    def variance(self) -> Tensor:
        """s^2 nu/(nu - 2) for nu > 2, infinite for 1 < nu <= 2, else NaN."""
        finite = self.scale.square() * self.df / (self.df - 2)
        return finite.where(self.df > 2, torch.inf).where(self.df > 1, torch.nan)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log p of values, of their shape broadcast with the batch shape."""
        nu, scale = self.df.double(), self.scale.double()
        u = (value.double() - self.loc.double()) / scale
        density = _log_constant(nu) - scale.log() - (nu + 1) / 2 * torch.log1p(u.square() / nu)
        return density.to(self.loc.dtype)

    def entropy(self) -> Tensor:
        """Return log s - c(nu) + (nu + 1) D(nu)/2, of the batch shape."""
        nu = self.df.double()
        entropy = self.scale.double().log() - _log_constant(nu) + (nu + 1) / 2 * _digamma_difference(nu)
        return entropy.to(self.loc.dtype)


def _log_constant(nu: Tensor) -> Tensor:
    """Return c(nu), from _SERIES_FROM on by its series alone, whose terms that matter are few there."""
    few, many = nu.clamp(max=_SERIES_FROM), nu.clamp(min=_SERIES_FROM)
    gammas = torch.lgamma((few + 1) / 2) - torch.lgamma(few / 2) - (pi * few).log() / 2
    power = many.reciprocal()
    series = -log(2 * pi) / 2 - power * _polynomial(_coefficients()[0][:_SERIES_TERMS], power.square())
    return torch.where(nu < _SERIES_FROM, gammas, series)


def _digamma_difference(nu: Tensor) -> Tensor:
    """Return D(nu)."""
    power = (nu + 2 * _STEPS).reciprocal()
    slopes = [(2 * k + 1) * one for k, one in enumerate(_coefficients()[0])]
    value = power + 2 * power.square() * _polynomial(slopes, power.square())
    for k in range(_STEPS):
        value = value + 2 / ((nu + 2 * k) * (nu + 2 * k + 1))
    return value


def _degrees_information(nu: Tensor) -> Tensor:
    """Return F_nu."""
    power = (nu + 2 * _STEPS).reciprocal()
    value = power**4 * _polynomial(_coefficients()[1], power)
    for k in range(_STEPS):
        n = nu + 2 * k
        value = value + 2 * (14 * n**2 + 33 * n + 15) / (n * (n + 1)) ** 2 / ((n + 2) * (n + 3) * (n + 5))
    return value


def _polynomial(coefficients: Sequence[float], x: Tensor) -> Tensor:
    """Return the sum of coefficients times powers of x, the constant first, by Horner's rule."""
    value = torch.zeros_like(x)
    for coefficient in reversed(coefficients):
        value = value * x + coefficient
    return value


@cache
def _coefficients() -> tuple[list[float], list[float]]:
    """Return the coefficients of both series, in powers of nu^{-2} and of nu^{-1}."""
    from scipy.special import bernoulli

    b = bernoulli(_TERMS)
    constant = [float((4**k - 1) * b[2 * k] / (2 * k * (2 * k - 1))) for k in range(1, _TERMS // 2 + 1)]
    exponential = [(-1) ** k * (2 - 3 ** (k - 1)) / 2 for k in range(3, _TERMS + 1)]
    even = [float((2**k - 1) * b[k]) if k % 2 == 0 else 0.0 for k in range(3, _TERMS + 1)]
    return constant, [x + y for x, y in zip(exponential, even, strict=True)]
