r"""How much the volume element varies from code to code.

    V(z) = log sqrt det(U^T g(z) U),    penalty = E_U Var_z[ V(z) ],    U a random frame of k axes, the same at all z

At k = d that is the variance of the logarithm of the generalised Jacobian determinant, log sqrt det(J^T J). Below, it
is that of the areas of parallel k-planes, which stay finite where the metric has rank k at least, as collapsed latents
leave it.

Reference: Nazari, Damrich & Hamprecht, "Geometric autoencoders - what you see is what you decode" (2023),
https://arxiv.org/abs/2306.17638, equation 5, for k = d.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lsgen.geometry.estimators.frames import check_plane, random_frames
from lsgen.geometry.estimators.pushforward import Differential

__all__ = ["volume_variance"]


def volume_variance(f: Differential, z: Tensor, plane: int | None = None) -> Tensor:
    """Return an estimate without bias of the variance of the log-volume of k-planes over codes, a scalar.

    Args:
        f: the differential of the map.
        z: codes (N, d), N >= 2.
        plane: dimension k of the planes; d where it is not given, which is exact. The cost is k + 1 forward passes.

    Returns:
        The variance, with N - 1 in the denominator; NaN where the metric of a plane is singular.

    Raises:
        ValueError: there is one code, or k is not positive.

    """
    if len(z) < 2:
        raise ValueError(f"expected at least 2 codes for a variance, got {len(z)}")
    frames = random_frames(check_plane(plane), z, shared=True)
    sign, logarithm = torch.linalg.slogdet(f.gram(z, frames).double())
    return (torch.where(sign > 0, logarithm, torch.nan) / 2).var().to(z.dtype)
