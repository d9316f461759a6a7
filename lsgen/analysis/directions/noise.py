r"""How well the direction of an attribute is known, in closed form.

Of tangent vectors v_i (n, d) with an attribute y_i, x_i = y_i - average y and S = sum x_i^2, the direction is

    D = sum_i x_i v_i / S                                    two groups, y = 0 and 1: D = m_b - m_a
    T = sum_u |sum_{i in u} x_i e_i|^2 / (1 - h_u) / S^2     e_i residuals of the regression, h_u its leverages

with units u of codes that are not independent of each other; by themselves, T = tr S_a/n_a + tr S_b/n_b exactly. As
E |D|^2 = |D_true|^2 + E T, the square of the cosine between D and D_true is about

    rho = max(0, 1 - T / |D|^2)

For pairs D is the average difference and T = tr S_D / n. What is drawn again in the mind is D = D_true + sum_u g_u with
contributions g_u of the units. They give the variance of |D|^2 - T, 4 D' Cov(D) D less what noise alone has of it, as
permutations measure it, and so the interval of rho. Of 300 simulated pairs of groups of 25 and 40 codes in 32
dimensions it covered |D_true|^2 / (|D_true|^2 + E T) in 93 to 99 % of isotropic Gaussian codes, in 88 to 99 % of codes
with standard deviations from 3 to 0.05, and in 83 to 99 % of codes of Student's distribution with 3 degrees of freedom,
least where rho is 0.85. Where there is no direction rho, which is not negative, was 0.1 on average.

Between two directions the same contributions give the inner product that their noise has in common where they share
codes, sum_u g_iu . g_ju, which is taken off.

Reference: MacKinnon & White, "Some heteroskedasticity-consistent covariance matrix estimators" (1985), HC2, for T.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

__all__ = ["Contributions", "difference_of_pairs", "regression", "reliability", "reliability_interval"]

Array = NDArray[Any]
TOL = 1e-12


@dataclass(frozen=True, eq=False)
class Contributions:
    """A direction, and what each unit contributes to its noise.

    Attributes:
        vector: D, (d,).
        parts: g_u, (U, d), in the order of unit numbers.
        units: the number of each unit, (U,).

    """

    vector: NDArray[np.float64]
    parts: NDArray[np.float64]
    units: NDArray[np.int64]

    @property
    def noise(self) -> float:
        """T, the trace of the covariance of D."""
        return float(np.square(self.parts).sum())


def regression(vectors: Array, attribute: Array, units: Array) -> Contributions:
    """Return the direction of an attribute of independent units of vectors.

    Args:
        vectors: (n, d).
        attribute: numbers of which at least two differ, (n,).
        units: a number for each unit, (n,).

    """
    x = attribute - attribute.mean()
    total = float(x @ x)
    slope = x @ (vectors - vectors.mean(0)) / total
    residuals = vectors - vectors.mean(0) - x[:, None] * slope
    return _gathered(slope, x[:, None] * residuals / total, 1 / len(x) + x**2 / total, units)


def difference_of_pairs(differences: Array, units: Array) -> Contributions:
    """Return the average difference (d,) of independent units of pairs (n, d)."""
    n = len(differences)
    mean = differences.mean(0)
    return _gathered(mean, (differences - mean) / n, np.full(n, 1 / n), units)


def reliability(found: Contributions) -> float:
    """Return rho, from 0 to 1; 0 where there is no direction or a unit alone makes it."""
    square = float(found.vector @ found.vector)
    return max(0.0, 1 - found.noise / square) if square > 0 else 0.0


def reliability_interval(found: Contributions, null: Array, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of rho.

    Args:
        found: the direction.
        null: squared lengths of the directions of permutations over their noise, (B,).
        level: probability that it covers.

    """
    noise, square = found.noise, float(found.vector @ found.vector)
    if not np.isfinite(noise) or square == 0:
        return 0.0, 1.0
    if noise == 0:
        return 1.0, 1.0
    own = float(np.var(null))
    variance = max(4 * float(np.square(found.parts @ found.vector / noise).sum()) - own, own)
    half = float(ndtri((1 + level) / 2)) * variance**0.5
    low, high = (max(0.0, square / noise - 1 + sign * half) for sign in (-1, 1))
    return low / (1 + low), high / (1 + high)


def _gathered(vector: Array, parts: Array, leverages: Array, units: Array) -> Contributions:
    """Return contributions summed within units, over what their leverages leave."""
    numbers, place = np.unique(units, return_inverse=True)
    if len(numbers) == len(units):
        order = np.argsort(place)
        sums, leverage = parts[order], leverages[order]
    else:
        sums, leverage = np.zeros((len(numbers), parts.shape[1])), np.bincount(place, leverages)
        np.add.at(sums, place, parts)
    alone = leverage > 1 - TOL
    scale = np.where(alone, np.inf, 1 / np.sqrt(np.where(alone, 1, 1 - leverage)))
    with np.errstate(invalid="ignore"):
        scaled = sums * scale[:, None]
    return Contributions(vector, np.where(alone[:, None], np.inf, scaled), numbers)
