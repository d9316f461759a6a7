r"""Exact answers for the two-dimensional Ising model, p(s) = exp(K sum_<ij> s_i s_j + h sum_i s_i) / Z.

On n x m sites with periodic boundaries, K = 1/T and h = H/T:

    enumeration (4 x 4)  all 2^16 states, with their sufficient statistics (sum of bonds, sum of spins)
    transfer matrix      Z = tr V^m,    V = D^{1/2} W D^{1/2},    D = exp(K sum_j s_j s_{j+1} + h sum_j s_j) over a row
                         of n, W = prod_j exp(K s_j s'_j); a matrix of 2^n rows that is applied site by site
    Kaufman (h = 0)      Z = 1/2 (2 sinh 2K)^{nm/2} (prod_r 2 cosh m g_{2r+1}/2 + prod_r 2 sinh m g_{2r+1}/2
                                                    + prod_r 2 cosh m g_{2r}/2 + prod_r 2 sinh m g_{2r}/2),
                         cosh g_r = cosh 2K coth 2K - cos(pi r / n),    g_0 = 2K + log tanh K, r = 0 ... n - 1
    Onsager, Yang        energy and magnetisation per site of the infinite lattice at h = 0

Reference: Kaufman, "Crystal statistics II" (1949), equation 37; Onsager, "Crystal statistics I" (1944), equation 116a;
Yang, "The spontaneous magnetization of a two-dimensional Ising model" (1952), equation 96.
"""

from __future__ import annotations

from functools import partial
from math import cosh, log, pi, sinh, sqrt, tanh
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.special import ellipk
from torch import Tensor
from torch.func import jvp

__all__ = [
    "LogPartition",
    "enumerated_ising",
    "infinite_energy",
    "infinite_magnetisation",
    "ising_statistics",
    "kaufman_log_partition",
    "transfer_log_partition",
    "transfer_log_partition_and_derivatives",
]

_WIDTH = 12  # sites of a row, of which a transfer matrix has 2^n rows


class LogPartition(NamedTuple):
    """The logarithm of a partition function with its derivatives with respect to (K, h).

    Attributes:
        value: log Z, ().
        gradient: means of the sufficient statistics, (2,).
        hessian: their covariance, the Fisher metric, (2, 2).

    """

    value: Tensor
    gradient: Tensor
    hessian: Tensor


def ising_statistics(x: Tensor) -> Tensor:
    """Return the sufficient statistics (sum of s_i s_j over bonds, sum of s_i) of configurations.

    Args:
        x: spins, 1 for up and 0 for down, (..., L, L); L of at least 3.

    Returns:
        Statistics (-E, M), float64 (..., 2).

    """
    spins = 2 * x.double() - 1
    bonds = sum((spins * spins.roll(1, axis)).sum((-2, -1)) for axis in (-1, -2))
    return torch.stack([torch.as_tensor(bonds), spins.sum((-2, -1))], dim=-1)


def enumerated_ising(size: int) -> Tensor:
    """Return all states of a lattice, 1 for up and 0 for down, uint8 (2^(L L), L, L).

    Raises:
        ValueError: L is not 3 or 4.

    """
    if size not in (3, 4):
        raise ValueError(f"expected a lattice of 3 x 3 or 4 x 4 sites to enumerate, got {size} x {size}")
    states = torch.arange(2 ** (size * size))
    return (states[:, None] >> torch.arange(size * size) & 1).to(torch.uint8).unflatten(-1, (size, size))


def transfer_log_partition(natural: Tensor, width: int, height: int | None = None) -> Tensor:
    """Return log Z of a lattice with periodic boundaries by its transfer matrix.

    Args:
        natural: (K, h), float64 (2,); the result is differentiable.
        width: sites n of a row, 3 to 12.
        height: rows m, at least 2; n where it is None.

    Raises:
        ValueError: there are too few or too many sites.

    """
    rows = width if height is None else height
    if not 3 <= width <= _WIDTH or rows < 2:
        raise ValueError(f"expected rows of 3 to {_WIDTH} sites and at least 2 of them, got {width} sites, {rows} rows")
    coupling, field = natural.unbind()
    spins = 2.0 * (torch.arange(2**width)[:, None] >> torch.arange(width) & 1).to(natural) - 1
    row = coupling * (spins * spins.roll(1, -1)).sum(-1) + field * spins.sum(-1)
    shift, step = row.detach().amax(), coupling.detach().abs()
    half = torch.exp((row - shift) / 2)[:, None]
    like, unlike = torch.exp(coupling - step), torch.exp(-coupling - step)

    def apply(matrix: Tensor) -> Tensor:
        matrix = half * matrix
        for site in range(width):
            parts = matrix.unflatten(0, (2 ** (width - 1 - site), 2, 2**site))
            down, up = parts.unbind(1)
            matrix = torch.stack([like * down + unlike * up, unlike * down + like * up], 1).flatten(0, 2)
        return half * matrix

    power = apply(torch.eye(2**width, dtype=natural.dtype))
    for _ in range(rows // 2 - 1):
        power = apply(power)
    other = apply(power) if rows % 2 else power
    return (power * other).sum().log() + rows * (shift + width * step)


def transfer_log_partition_and_derivatives(natural: Tensor, width: int, height: int | None = None) -> LogPartition:
    """Return log Z of a lattice with its first and second derivatives, by forward differentiation.

    Args:
        natural: (K, h), float64 (2,).
        width: sites n of a row, 3 to 12; at 12 the matrices take some gigabytes.
        height: rows m; n where it is None.

    Raises:
        ValueError: there are too few or too many sites.

    """
    directions = torch.eye(2, dtype=natural.dtype)

    def along(i: int, at: Tensor) -> Any:
        """Return log Z and its derivative along i."""
        return jvp(lambda t: transfer_log_partition(t, width, height), (at,), (directions[i],))

    def twice(i: int, j: int) -> Any:
        """Return these, and the derivatives of both along j."""
        return jvp(partial(along, i), (natural,), (directions[j],))

    with torch.no_grad():
        (value, first), (_, aa) = twice(0, 0)
        (_, second), (_, bb) = twice(1, 1)
        ab = twice(0, 1)[1][1]
        return LogPartition(value, torch.stack([first, second]), torch.stack([aa, ab, ab, bb]).reshape(2, 2))


def _check_coupling(coupling: float) -> None:
    if not coupling > 0:
        raise ValueError(f"expected a coupling 1/T above 0, got {coupling}")


def kaufman_log_partition(coupling: float, width: int, height: int | None = None) -> float:
    """Return log Z of a lattice without a field, of any size.

    Args:
        coupling: K, above 0.
        width: sites n of a row.
        height: rows m; n where it is None.

    Raises:
        ValueError: the coupling is not above 0.

    """
    _check_coupling(coupling)
    n, m = width, width if height is None else height
    ratio = cosh(2 * coupling) / tanh(2 * coupling)
    gamma = np.arccosh(np.maximum(ratio - np.cos(pi * np.arange(2 * n) / n), 1))
    gamma[0] = 2 * coupling + log(tanh(coupling))
    exponents, signs = [], []
    for part in (gamma[1::2], gamma[::2]):
        angle = m * np.abs(part) / 2
        with np.errstate(divide="ignore"):
            exponents += [(angle + np.log1p(np.exp(-2 * angle))).sum(), (angle + np.log(-np.expm1(-2 * angle))).sum()]
        signs += [1.0, float(np.prod(np.sign(part)))]
    top = max(exponents)
    bracket = sum(sign * np.exp(exponent - top) for sign, exponent in zip(signs, exponents, strict=True))
    return float(n * m / 2 * log(2 * sinh(2 * coupling)) - log(2) + top + np.log(bracket))


def infinite_energy(coupling: float) -> float:
    """Return the energy per site of the infinite lattice without a field, Onsager's.

    Args:
        coupling: K, above 0.

    Raises:
        ValueError: the coupling is not above 0.

    """
    _check_coupling(coupling)
    double = 2 * coupling
    modulus, excess = 2 * sinh(double) / cosh(double) ** 2, 2 * tanh(double) ** 2 - 1
    rest = 2 / pi * excess * float(ellipk(modulus**2)) if excess else 0.0
    return -(1 + rest) / tanh(double)


def infinite_magnetisation(coupling: float) -> float:
    """Return the spontaneous magnetisation per site of the infinite lattice, 0 above the critical temperature.

    Args:
        coupling: K, above 0; the critical one is log(1 + sqrt 2) / 2.

    Raises:
        ValueError: the coupling is not above 0.

    """
    _check_coupling(coupling)
    critical = log(1 + sqrt(2)) / 2
    return 0.0 if coupling <= critical else (1 - sinh(2 * coupling) ** -4) ** 0.125
