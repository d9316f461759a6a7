r"""How far an estimated family is from the exact one.

Of log Z it is the root mean square over points, after the affine function of t that fits best is taken off; of its
derivatives that along each parameter, after the mean is taken off; of g it is |g - g_exact|_F / |g_exact|_F at each
point, with nothing taken off, since the Hessian of an affine function is zero.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lsgen.models.exponential.family import ConvexFamily, EstimatedFamily

__all__ = ["FamilyErrors", "family_errors", "family_residuals", "fisher_errors"]


class FamilyErrors(NamedTuple):
    """Errors of an estimated family; NaN where it has no potential.

    Attributes:
        log_partition: root mean square error of log Z, nats.
        gradient: root mean square errors of its derivatives, (d,).
        fisher: relative Frobenius errors of g at all points, (N,).

    """

    log_partition: float
    gradient: Tensor
    fisher: Tensor


def fisher_errors(found: Tensor, exact: Tensor) -> Tensor:
    """Return the relative Frobenius errors (N,) of matrices (N, d, d)."""
    return (found - exact).flatten(1).norm(dim=1) / exact.flatten(1).norm(dim=1)


def family_residuals(family: ConvexFamily, t: Tensor, log_partition: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return errors of log Z (N,) less the best affine function, and of its derivatives (N, d) less their means."""
    t = t.double()
    affine = torch.cat([t, torch.ones_like(t[:, :1])], 1)
    off = (family.log_partition(t) - log_partition)[:, None]
    slopes = family.gradient(t) - gradient
    return (off - affine @ torch.linalg.lstsq(affine, off).solution)[:, 0], slopes - slopes.mean(0)


def family_errors(
    family: EstimatedFamily, t: Tensor, log_partition: Tensor, gradient: Tensor, fisher: Tensor
) -> FamilyErrors:
    """Return the errors of a family at points where the truth is known.

    Args:
        family: what is judged.
        t: parameters (N, d), in its box.
        log_partition: the exact log Z (N,).
        gradient: the exact d log Z (N, d).
        fisher: the exact g (N, d, d).

    Raises:
        ValueError: a parameter is outside of the box.

    """
    of_metric = fisher_errors(family.fisher(t), fisher)
    if not isinstance(family, ConvexFamily):
        return FamilyErrors(float("nan"), torch.full((family.dim,), torch.nan, dtype=torch.float64), of_metric)
    left, slopes = family_residuals(family, t, log_partition, gradient)
    return FamilyErrors(float(left.square().mean().sqrt()), slopes.square().mean(0).sqrt(), of_metric)
