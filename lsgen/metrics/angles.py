r"""The correlation of two angles.

    rho = sum_{i<j} sin(a_i - a_j) sin(b_i - b_j) / sqrt( sum_{i<j} sin^2(a_i - a_j) sum_{i<j} sin^2(b_i - b_j) )

is 1 where b = a + const, -1 where b = -a + const, modulo 2 pi, and 0 in the mean where the angles are independent. With
c_a = cos a and s_a = sin a, n times their means and those of their products give the sums over pairs:

    sum_{i<j} sin(a_i - a_j) sin(b_i - b_j) = sum c_a c_b sum s_a s_b - sum c_a s_b sum s_a c_b .

Reference: Fisher & Lee, "A correlation coefficient for circular data" (Biometrika 70, 1983), eq. 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["circular_correlation"]


def circular_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Return the correlation of angles in radians, in [-1, 1]; NaN where all of a or all of b are equal modulo pi.

    Args:
        a: angles (N,).
        b: angles (N,).

    Raises:
        ValueError: they are not two vectors of the same length of at least 2.

    """
    if a.ndim != 1 or a.shape != b.shape or len(a) < 2:
        raise ValueError(f"expected two vectors of the same length of at least 2, got {(*a.shape,)} and {(*b.shape,)}")
    u, v = (torch.stack([torch.cos(x), torch.sin(x)]).double() for x in (a, b))
    across, of_a, of_b = (torch.linalg.det(x @ y.T) for x, y in ((u, v), (u, u), (v, v)))
    rounding = torch.finfo(torch.float64).eps * len(a) ** 2
    spread = torch.where((of_a > rounding) & (of_b > rounding), (of_a * of_b).clamp(min=0).sqrt(), torch.nan)
    return (across / spread).clamp(-1, 1).to(a.dtype)
