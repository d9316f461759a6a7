r"""Signed weights of dense networks of flows, and their backbones: which flows exceed or miss what sizes alone explain.

Of N places exchange x_ij people, x_i. leave i, x_.j arrive at j, and x_.. move. Sizes alone explain

    m_ij = a_i b_j  for i != j,    m_ii = 0,    with  m_i. = x_i.  and  m_.j = x_.j,

which iterative proportional fitting finds. The vigour of a link is its signed weight, its significance how many
standard deviations it is from what sizes explain:

    s_ij = (x_ij - m_ij) / (x_ij + m_ij),    z_ij = (x_ij - m_ij) / sigma_ij,
    sigma^2_ij = n (K/M) (1 - K/M) (M - n) / (M - 1),    n = x_i.,  K = x_.j,  M = x_.. - x_.i,

the variance of a hypergeometric number: n people are drawn out of the M who do not arrive at i, K of whom arrive at j.
A backbone keeps the links with the greatest |z| among those whose |s| is large enough.

Reference: Gursoy & Badur, "Extracting the signed backbone of intrinsically dense weighted networks" (2021),
https://arxiv.org/abs/2012.05216, of which https://pypi.org/project/signed-backbones is the authors' program.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["SignedBackbone", "SignedWeights", "signed_weights"]

_SWEEPS, _ERROR = 10_000, 1e-12


class SignedWeights(NamedTuple):
    """What is known of the flow between each two of N places, 0 from a place to itself.

    Attributes:
        vigour: signed weights s from -1, of no flow at all, to 1, (N, N).
        significance: standard deviations z from what sizes explain, (N, N).

    """

    vigour: NDArray[np.float64]
    significance: NDArray[np.float64]


@dataclass(frozen=True)
class SignedBackbone:
    """Which links of a network of flows are kept: those that pass both filters.

    Attributes:
        share: of all ordered pairs, those with the most significant links, of either sign.
        vigour: the least size of a signed weight.

    Raises:
        ValueError: an option is not from 0 to 1.

    """

    share: float = 0.075
    vigour: float = 0.33

    def __post_init__(self) -> None:
        if not (0 <= self.share <= 1 and 0 <= self.vigour <= 1):
            raise ValueError(f"expected a share and a vigour from 0 to 1, got {self.share} and {self.vigour}")

    def kept(self, weights: SignedWeights) -> NDArray[np.bool_]:
        """Return which links (N, N) the backbone has.

        The least significance is halfway between two links where the share falls between them, as in the authors'
        program.
        """
        sizes, apart = np.abs(weights.significance), ~np.eye(len(weights.vigour), dtype=bool)
        least = np.quantile(sizes[apart], 1 - self.share, method="midpoint")
        found: NDArray[np.bool_] = apart & (sizes >= least) & (np.abs(weights.vigour) >= self.vigour)
        return found


def signed_weights(flows: ArrayLike) -> SignedWeights:
    """Return the signed weights of flows between places.

    Args:
        flows: from i to j in row i and column j, finite and not negative, (N, N); the diagonal is not looked at.

    Raises:
        ValueError: the shape is another or there are fewer than 3 places, a flow is negative or not finite, from a
            place nobody leaves or nobody arrives, or no sizes of places explain what leaves and arrives.

    """
    x = np.array(flows, dtype=np.float64)
    if x.ndim != 2 or x.shape[0] != x.shape[1] or len(x) < 3:
        raise ValueError(f"expected flows (N, N) between at least 3 places, got {x.shape}")
    np.fill_diagonal(x, 0)
    if not np.isfinite(x).all() or (x < 0).any():
        raise ValueError("expected finite flows that are not negative, got others")
    out, into, total = x.sum(1), x.sum(0), x.sum()
    if not (out > 0).all() or not (into > 0).all():
        place = int(np.flatnonzero((out <= 0) | (into <= 0))[0])
        raise ValueError(f"expected places that people leave and arrive at, got place {place} without")
    m = _explained(out, into)
    n, k, rest = out[:, None], into[None, :], (total - into)[:, None]
    variance = n * (k / rest) * (1 - k / rest) * ((rest - n) / (rest - 1))
    apart = ~np.eye(len(x), dtype=bool)
    vigour, significance = np.zeros_like(x), np.zeros_like(x)
    np.divide(x - m, x + m, out=vigour, where=apart)
    np.divide(x - m, np.sqrt(variance, where=apart, out=np.ones_like(x)), out=significance, where=apart)
    return SignedWeights(vigour, significance)


def _explained(out: NDArray[np.float64], into: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return m (N, N), which has no diagonal and the given sums of rows and columns, (N,) each."""
    m = np.outer(out, into) / out.sum()
    np.fill_diagonal(m, 0)
    for _ in range(_SWEEPS):
        m *= (out / m.sum(1))[:, None]
        m *= into / m.sum(0)
        if np.abs(m.sum(1) / out - 1).max() < _ERROR:
            return m
    raise ValueError(
        "expected flows of which sizes of places explain what leaves and arrives, got one place that has half of all"
    )
