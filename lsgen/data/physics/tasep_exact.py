r"""Exact answers for the totally asymmetric exclusion process with open boundaries.

Particles on L sites hop to the right at rate 1 if the next site is empty, enter at the first site at rate alpha and
leave the last one at rate beta. The stationary weights of states are products of matrices,

    P(tau) = <W| prod_i (tau_i D + (1 - tau_i) E) |V> / Z_L,    Z_L = <W| (D + E)^L |V>,
    DE = D + E,    D|V> = |V>/beta,    <W|E = <W|/alpha.

No entry of the representation that is used here is negative: D sums over later entries, its first row divided by beta,
E is a shift by one, |V> = (1, 0, ...) and <W| = (1, 1/alpha, 1/alpha^2, ...). L + 1 entries are enough, and

    Z_L = sum_{p=1}^L  p (2L - 1 - p)! / (L! (L - p)!)  (beta^{-p-1} - alpha^{-p-1}) / (beta^{-1} - alpha^{-1}).

The current is J = Z_{L-1} / Z_L. In the limit of many sites it is 1/4 if both rates are at least 1/2, else
a (1 - a) with the smaller rate a.

Reference: Derrida, Evans, Hakim & Pasquier, "Exact solution of a 1D asymmetric exclusion model using a matrix
formulation" (1993).
"""

from __future__ import annotations

from math import lgamma, log

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "check_rates",
    "draw_tasep",
    "limiting_current",
    "tasep_current",
    "tasep_log_partition",
    "tasep_log_probabilities",
]

Numbers = NDArray[np.float64]


def check_rates(*rates: float) -> None:
    """Refuse rates that are not above 0.

    Raises:
        ValueError: one of them.

    """
    for rate in rates:
        if not 0 < rate < float("inf"):
            raise ValueError(f"expected rates above 0, got {rate}")


def tasep_log_partition(alpha: float, beta: float, sites: int) -> float:
    """Return log Z_L.

    Args:
        alpha: rate of entering, above 0.
        beta: rate of leaving, above 0.
        sites: L, at least 0.

    Raises:
        ValueError: a rate or the number of sites is out of range.

    """
    check_rates(alpha, beta)
    if sites < 0:
        raise ValueError(f"expected at least 0 sites, got {sites}")
    if sites == 0:
        return 0.0
    terms = []
    for p in range(1, sites + 1):
        weight = log(p) + lgamma(2 * sites - p) - lgamma(sites + 1) - lgamma(sites - p + 1)
        powers = -(np.arange(p + 1) * log(alpha) + np.arange(p, -1, -1) * log(beta))  # the quotient is a sum of these
        terms.append(weight + np.logaddexp.reduce(powers))
    return float(np.logaddexp.reduce(terms))


def tasep_current(alpha: float, beta: float, sites: int) -> float:
    """Return the stationary current J = Z_{L-1} / Z_L, particles per unit of time.

    Args:
        alpha: rate of entering, above 0.
        beta: rate of leaving, above 0.
        sites: L, at least 1.

    Raises:
        ValueError: a rate or the number of sites is out of range.

    """
    if sites < 1:
        raise ValueError(f"expected at least 1 site, got {sites}")
    return float(np.exp(tasep_log_partition(alpha, beta, sites - 1) - tasep_log_partition(alpha, beta, sites)))


def limiting_current(alpha: float, beta: float) -> float:
    """Return the current of infinitely many sites; its three formulas are the phases.

    Args:
        alpha: rate of entering, above 0.
        beta: rate of leaving, above 0.

    Raises:
        ValueError: a rate is not above 0.

    """
    check_rates(alpha, beta)
    least = min(alpha, beta, 0.5)
    return least * (1 - least)


def tasep_log_probabilities(rates: Tensor, sites: int) -> Tensor:
    """Return the logarithms of the stationary probabilities of all states, float64 (G, 2^L).

    The bits of the number of a state are its sites, the first of them the lowest. Differentiable.

    Args:
        rates: (alpha, beta) above 0, (G, 2).
        sites: L, from 1 to 16.

    Raises:
        ValueError: there are too few or too many sites.

    """
    if not 1 <= sites <= 16:
        raise ValueError(f"expected 1 to 16 sites whose states are counted, got {sites}")
    alpha, beta = rates.double().unbind(-1)
    vectors = torch.zeros(len(rates), 1, sites + 1, dtype=torch.float64)
    vectors[..., 0] = 1
    for _ in range(sites):
        full = vectors.flip(-1).cumsum(-1).flip(-1)
        full = torch.cat([full[..., :1] / beta[:, None, None], full[..., 1:]], -1)
        empty = torch.cat([torch.zeros_like(vectors[..., :1]), vectors[..., :-1]], -1)
        vectors = torch.stack([empty, full], 2).flatten(1, 2)
    left = alpha[:, None] ** -torch.arange(sites + 1)
    weights = (vectors * left[:, None]).sum(-1)
    return (weights / weights.sum(1, keepdim=True)).log()


def draw_tasep(alpha: Tensor, beta: Tensor, sites: int, random: np.random.Generator) -> Tensor:
    """Draw independent stationary states exactly, all at once, site by site from the last one.

    Args:
        alpha: rates of entering, (N,).
        beta: rates of leaving, (N,).
        sites: L, at least 1.
        random: source of random numbers.

    Returns:
        Occupations, uint8 (N, L).

    """
    enter, leave = (rate.double().numpy()[:, None] for rate in (alpha, beta))
    rates, which = np.unique(np.concatenate([enter, leave], 1), axis=0, return_inverse=True)
    left = _left_vectors(rates[:, :1], rates[:, 1:], sites)
    vector = np.zeros((len(enter), sites + 1))
    vector[:, 0] = 1
    states = np.empty((len(enter), sites), np.uint8)
    for site in reversed(range(sites)):
        full = vector[:, ::-1].cumsum(1)[:, ::-1]
        full[:, :1] /= leave
        empty = np.concatenate([np.zeros_like(leave), vector[:, :-1]], 1)
        ahead = left[site][which.reshape(-1)]
        weights = (ahead * full).sum(1), (ahead * empty).sum(1)
        states[:, site] = random.random(len(enter)) * (weights[0] + weights[1]) < weights[0]
        vector = np.where(states[:, site, None] == 1, full, empty)
        vector /= vector.sum(1, keepdims=True)
    return torch.from_numpy(states)


def _left_vectors(alpha: Numbers, beta: Numbers, sites: int) -> list[Numbers]:
    """Return <W| (D + E)^k for k = 0 ... L - 1, each up to a factor, (G, L + 1) for rates (G, 1).

    The first L + 1 - k entries are exact; later ones would meet zeros of the vectors that they are multiplied with.
    """
    logs = -np.arange(sites + 1) * np.log(alpha)
    vectors = [np.exp(logs - logs.max(1, keepdims=True))]
    for _ in range(sites - 1):
        w = vectors[-1].copy()
        shifted = np.concatenate([w[:, 1:], np.zeros_like(alpha)], 1)
        w[:, :1] /= beta
        after = w.cumsum(1) + shifted
        vectors.append(after / after.max(1, keepdims=True))
    return vectors
