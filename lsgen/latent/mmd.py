r"""Maximum mean discrepancy between two sets of codes.

    MMD^2(q, p) = E k(x, x') + E k(y, y') - 2 E k(x, y),    x, x' ~ q,  y, y' ~ p,

a distance of distributions for a characteristic kernel k. Averages within one set run over all pairs (the
V-statistic: never negative, biased by O(1/n)) or over pairs of different codes (the unbiased U-statistic).

Reference: Gretton et al., "A kernel two-sample test" (2012), lemma 6.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["RBF", "InverseMultiquadric", "Kernel", "mmd_squared"]


class Kernel(ABC):
    """Abstract sum, over length scales l, of functions of the squared distance r^2 of two codes.

    Args:
        scales: length scales l > 0.

    Raises:
        ValueError: there is no scale or one is not positive.

    """

    def __init__(self, scales: Sequence[float] = (1.0,)) -> None:
        if not scales or min(scales) <= 0:
            raise ValueError(f"expected length scales > 0, got {list(scales)}")
        self.scales = tuple(float(scale) for scale in scales)

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Return k(x_i, y_j), (n, m), of codes (n, d) and (m, d)."""
        squared = (x.unsqueeze(1) - y.unsqueeze(0)).square().sum(-1)
        return torch.stack([self.profile(squared, scale) for scale in self.scales]).sum(0)

    @abstractmethod
    def profile(self, squared: Tensor, scale: float) -> Tensor:
        """Return k as a function of r^2 at one length scale."""


class RBF(Kernel):
    """The Gaussian kernel exp(-r^2 / 2 l^2)."""

    def profile(self, squared: Tensor, scale: float) -> Tensor:
        """Return exp(-r^2 / 2 l^2)."""
        return torch.exp(-squared / (2 * scale**2))


class InverseMultiquadric(Kernel):
    """The kernel l^2 / (l^2 + r^2) of WAE, whose heavy tails see codes far from the prior.

    For N(0, I_d) the paper takes l^2 = 2 d, the expected squared distance of two codes, times a range of factors.

    Reference: Tolstikhin et al. (2018), section 4, https://arxiv.org/abs/1711.01558.
    """

    @classmethod
    def for_dimension(
        cls, dim: int, factors: Sequence[float] = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
    ) -> InverseMultiquadric:
        """Return the sum over l^2 = 2 d times each factor, the kernel of the paper's experiments."""
        return cls([(2 * dim * factor) ** 0.5 for factor in factors])

    def profile(self, squared: Tensor, scale: float) -> Tensor:
        """Return l^2 / (l^2 + r^2)."""
        return scale**2 / (scale**2 + squared)


def mmd_squared(x: Tensor, y: Tensor, kernel: Kernel, unbiased: bool = False) -> Tensor:
    """Return the squared maximum mean discrepancy of two sets of codes, a scalar.

    Args:
        x: codes (n, d).
        y: codes (m, d).
        kernel: k(x, y).
        unbiased: leave out the pairs of a code with itself; the value may then be negative.

    Raises:
        ValueError: an unbiased estimate is asked for from fewer than two codes.

    Example:
        >>> mmd_squared(torch.zeros(4, 2), torch.zeros(3, 2), RBF())
        tensor(0.)

    """
    if unbiased and min(len(x), len(y)) < 2:
        raise ValueError(f"expected at least 2 codes on either side for the unbiased MMD, got {len(x)} and {len(y)}")
    return _within(kernel(x, x), unbiased) + _within(kernel(y, y), unbiased) - 2 * kernel(x, y).mean()


def _within(k: Tensor, unbiased: bool) -> Tensor:
    if not unbiased:
        return k.mean()
    n = len(k)
    return (k.sum() - k.diagonal().sum()) / (n * (n - 1))
