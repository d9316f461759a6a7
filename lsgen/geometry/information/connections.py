r"""Alpha-connections and their curvature.

    Gamma^(a)_k,ij = Gamma_k,ij - a/2 T_ijk

is the Levi-Civita connection for a = 0, the exponential one for a = 1 and the mixture one for a = -1. Connections of
opposite a are dual,

    d_k g_ij = Gamma^(a)_j,ki + Gamma^(-a)_i,kj,    R^(a)_ijkl = -R^(-a)_jikl .

With S = -a/2 T raised to a vector, and Levi-Civita's covariant derivative of T,

    R^(a)_ijkl = R_ijkl - a/2 (D_k T_ijl - D_l T_ijk) + a^2/4 (T_ikm g^mn T_njl - T_ilm g^mn T_njk) .

An exponential family is dually flat: both terms in D are equal there and R^(a) = (1 - a^2) R vanishes at a = +-1.

Reference: Amari & Nagaoka, "Methods of Information Geometry" (2000), sections 2.3 and 3.1; Lauritzen, "Statistical
manifolds" (1987), section 4.
"""

from __future__ import annotations

from math import isfinite

import torch
from torch import Tensor

from lsgen.geometry.batching import pointwise
from lsgen.geometry.factorisation import inverse_metric
from lsgen.geometry.information.cubic import StatisticalManifold

__all__ = ["alpha_connection", "alpha_curvature", "check_alpha", "raised_connection"]


def alpha_connection(manifold: StatisticalManifold, z: Tensor, alpha: float, chunk_size: int | None = None) -> Tensor:
    r"""Return the coefficients of the alpha-connection.

        Gamma^(a)k_ij = Gamma^k_ij - a/2 g^kl T_ijl

    Args:
        manifold: the statistical manifold.
        z: codes (B, d).
        alpha: a; 1 for the exponential connection, 0 for Levi-Civita's, -1 for the mixture connection.
        chunk_size: number of codes to work on at once.

    Returns:
        A tensor (B, d, d, d), indexed [k, i, j]; NaN where the metric is rank deficient.

    Raises:
        TypeError, ValueError: see `lsgen.geometry.metric`; also for an alpha that is no finite number.

    """
    check_alpha(alpha)
    return pointwise(
        lambda part: (raised_connection(manifold, part, alpha),), manifold.metric, z, chunk_size, 2, smooth=True
    )[0]


def alpha_curvature(manifold: StatisticalManifold, z: Tensor, alpha: float, chunk_size: int | None = None) -> Tensor:
    r"""Return the covariant curvature tensor of the alpha-connection.

        R^(a)_ijkl = <d_i, R^(a)(d_k, d_l) d_j>

    For a = 0 it is `lsgen.geometry.riemann`. For other a it is antisymmetric in k and l alone; its dual has the other
    antisymmetry, R^(a)_ijkl = -R^(-a)_jikl.

    Args:
        manifold: the statistical manifold.
        z: codes (B, d).
        alpha: see `alpha_connection`.
        chunk_size: number of codes to work on at once.

    Returns:
        A tensor (B, d, d, d, d); NaN where the metric is rank deficient.

    Raises:
        TypeError, ValueError: see `alpha_connection`.

    """
    check_alpha(alpha)
    return pointwise(lambda part: (_curvature(manifold, part, alpha),), manifold.metric, z, chunk_size, 2, smooth=True)[
        0
    ]


def check_alpha(alpha: float) -> None:
    """Refuse an alpha that is no finite number."""
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not isfinite(alpha):
        raise ValueError(f"expected a finite number alpha, got {alpha!r}")


def raised_connection(manifold: StatisticalManifold, z: Tensor, alpha: float) -> Tensor:
    """Return Gamma^(a)k_ij at checked codes (N, d), indexed [k, i, j], in the dtype of z."""
    g, lower = manifold.metric.christoffel_first(z)
    lower = lower - alpha / 2 * manifold.tensor(z).double()
    return torch.einsum("nkl,nlij->nkij", inverse_metric(g, z.dtype), lower).to(z)


def _curvature(manifold: StatisticalManifold, z: Tensor, alpha: float) -> Tensor:
    g, r = manifold.metric.riemann(z)
    if not alpha:
        return r.to(z)
    inverse, (_, lower) = inverse_metric(g, z.dtype), manifold.metric.christoffel_first(z)
    t, slopes = manifold.tensor(z).double(), manifold.slopes(z).double()
    connection = torch.einsum("nml,nlij->nmij", inverse, lower)
    # What is symmetric in k and l is left out of D_k T_ijl: the derivative of l itself.
    turned = torch.einsum("nmki,nmjl->nijkl", connection, t)
    covariant = slopes.permute(0, 2, 3, 1, 4) - turned - turned.transpose(1, 2)
    products = torch.einsum("nikm,nmp,npjl->nijkl", t, inverse, t)
    skew = alpha**2 / 4 * products - alpha / 2 * covariant
    return (r + skew - skew.transpose(-1, -2)).to(z)
