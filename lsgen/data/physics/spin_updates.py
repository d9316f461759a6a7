r"""Updates of many Ising lattices at once, each with parameters of its own.

    p(s) ~ exp(K sum_<ij> s_i s_j + h sum_i s_i),    K = 1/T,    h = H/T,    s_i = +-1, periodic boundaries.

Heat bath: the sites of one colour of a checkerboard do not interact, so that all are drawn at once from

    P(s_i = +1 | rest) = 1 / (1 + exp(-2 (K sum_j s_j + h))).

Clusters: a bond between equal neighbours is put with probability 1 - exp(-2K); a spin along the field is tied to it
with probability 1 - exp(-2|h|). Clusters of bonds that are not tied are flipped: each with probability 1/2
(Swendsen-Wang), or that of a random site alone (Wolff).

Reference: Swendsen & Wang, "Nonuniversal critical dynamics in Monte Carlo simulations" (1987); Wolff, "Collective Monte
Carlo updating for spin systems" (1989); for the field, a ghost spin: Wang, "Clusters in the three-dimensional Ising
model with a magnetic field" (1989).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

__all__ = ["Update", "checkerboard", "draw_spins", "flip_clusters"]

Update = Literal["checkerboard", "wolff", "swendsen_wang"]
Spins = NDArray[np.int8]
Numbers = NDArray[np.float64]


def checkerboard(spins: Spins, coupling: Numbers, field: Numbers, random: np.random.Generator) -> Spins:
    """Return lattices after every spin was drawn anew from its neighbours, one colour after the other.

    Args:
        spins: +-1, (N, L, L) with L even.
        coupling: K of each lattice, (N,).
        field: h of each lattice, (N,).
        random: source of random numbers.

    """
    up = 1 / (1 + np.exp(-2 * (coupling[:, None] * np.arange(-4, 5, 2) + field[:, None])))
    table, first = up.astype(np.float32).ravel(), (5 * np.arange(len(spins), dtype=np.int32) + 2)[:, None, None]
    rows, columns = np.ogrid[: spins.shape[1], : spins.shape[2]]
    for colour in (0, 1):
        around = sum(np.roll(spins, shift, axis) for axis in (1, 2) for shift in (1, -1))
        drawn = random.random(spins.shape, dtype=np.float32) < table.take(first + around // 2)
        spins = np.where((rows + columns) % 2 == colour, 2 * drawn.view(np.int8) - 1, spins)
    return spins


def flip_clusters(
    spins: Spins, coupling: Numbers, field: Numbers, random: np.random.Generator, single: bool = False
) -> Spins:
    """Return lattices after clusters of equal spins were flipped.

    Args:
        spins: +-1, (N, L, L).
        coupling: K of each lattice, not negative, (N,).
        field: h of each lattice, (N,).
        random: source of random numbers.
        single: flip the cluster of one random site of each lattice (Wolff), not half of all (Swendsen-Wang).

    """
    site = np.arange(spins.size, dtype=np.int32).reshape(spins.shape)
    bond = -np.expm1(-2 * coupling).astype(np.float32)[:, None, None]
    ends: tuple[list[NDArray[np.int32]], ...] = ([], [])
    for axis in (1, 2):
        put = (spins == np.roll(spins, -1, axis)) & (random.random(spins.shape, dtype=np.float32) < bond)
        ends[0].append(site[put])
        ends[1].append(np.roll(site, -1, axis)[put])
    first, second = (np.concatenate(part) for part in ends)
    graph = coo_matrix((np.ones(len(first), np.int8), (first, second)), shape=(spins.size, spins.size))
    count, cluster = connected_components(graph, directed=False)
    cluster = cluster.reshape(spins.shape)
    tie = -np.expm1(-2 * np.abs(field)).astype(np.float32)[:, None, None]
    along = spins == np.sign(field).astype(np.int8)[:, None, None]
    tied = along & (random.random(spins.shape, dtype=np.float32) < tie)
    if single:
        chosen = random.integers(spins[0].size, size=len(spins))
        flip = np.zeros(count, bool)
        flip[cluster.reshape(len(spins), -1)[np.arange(len(spins)), chosen]] = True
    else:
        flip = random.random(count, dtype=np.float32) < 0.5
    flip[cluster[tied]] = False
    return np.where(flip[cluster], -spins, spins)


def draw_spins(
    size: int, coupling: Numbers, field: Numbers, update: Update, steps: int, random: np.random.Generator
) -> Spins:
    """Return one configuration for each pair of parameters, from a chain of its own that starts at random spins.

    Args:
        size: L, even.
        coupling: K of each configuration, (N,).
        field: h of each configuration, (N,).
        update: a step is a sweep of the heat bath, after an update of clusters unless this is "checkerboard".
        steps: steps of each chain.
        random: source of random numbers.

    Returns:
        Spins +-1, (N, L, L).

    """
    spins = 2 * random.integers(2, size=(len(coupling), size, size), dtype=np.int8) - 1
    for _ in range(steps):
        if update != "checkerboard":
            spins = flip_clusters(spins, coupling, field, random, single=update == "wolff")
        spins = checkerboard(spins, coupling, field, random)
    return spins
