r"""Random walks of second order on a network, exact and compiled.

A walk that came from t to v goes on to a neighbour x of v with probability

    P(x | t, v) ~ alpha(t, x) w_vx,    alpha(t, x) = 1/p if x = t,  1 if there is a link t -> x,  1/q otherwise,

and from its start with P(x | v) ~ w_vx; where no link leaves v, the walk ends. With p = q = 1 it is of first order, the
walk of DeepWalk. The distance from t to x follows the direction of links, as the paper has it; the code of its authors
asks for a link x -> t instead.

Proposals by weight are accepted with probability min(alpha, m)/m, m = max(1, 1/q), and what the link back to t has
above m is a proposal by itself, so that a small p costs nothing. After as many proposals as v has neighbours without
success all are enumerated, which has the same distribution, since what was rejected tells nothing of what comes next:
whatever p and q are, a step costs no more than about twice the enumeration. A walk draws its numbers, by SplitMix64,
from a state of its own, so that it depends on neither the batch that it is in nor the number of processes.

Reference: Perozzi, Al-Rfou & Skiena, "DeepWalk: online learning of social representations" (2014); Grover & Leskovec,
"node2vec: scalable feature learning for networks" (2016), section 3.2; Yang et al., "KnightKing: a fast distributed
graph random walk engine" (2019), for the proposal of the link back.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from lsgen.latent.graphs import Graph

__all__ = ["links_of", "walk"]

Links = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]

_END = -1
_GAMMA, _FACTORS = np.uint64(0x9E3779B97F4A7C15), (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFTS, _UNUSED = (np.uint64(30), np.uint64(27), np.uint64(31)), np.uint64(11)


@numba.njit(cache=True, nogil=True)
def _mixed(z: Any) -> Any:
    z = (z ^ (z >> _SHIFTS[0])) * _FACTORS[0]
    z = (z ^ (z >> _SHIFTS[1])) * _FACTORS[1]
    return z ^ (z >> _SHIFTS[2])


@numba.njit(cache=True, nogil=True)
def _uniform(state: Any) -> float:
    """Return a multiple of 2^-53 in [0, 1), and move the state (1,) on."""
    state[0] += _GAMMA
    return float(_mixed(state[0]) >> _UNUSED) * 2.0**-53


@numba.njit(cache=True, nogil=True)
def _proposed(first: int, last: int, cumulative: Any, u: float) -> int:
    """Return one of the links first, ..., last - 1 in proportion to its weight."""
    if not len(cumulative):
        return first + int(u * (last - first))
    x, high = u * cumulative[last - 1], last - 1
    while first < high:
        middle = (first + high) // 2
        if cumulative[middle] > x:
            high = middle
        else:
            first = middle + 1
    return first


@numba.njit(cache=True, nogil=True)
def _link(pointers: Any, neighbours: Any, source: int, target: int) -> int:
    """Return the number of the link between two nodes, -1 if there is none."""
    low, high = pointers[source], pointers[source + 1]
    while low < high:
        middle = (low + high) // 2
        if neighbours[middle] < target:
            low = middle + 1
        else:
            high = middle
    return int(low) if low < pointers[source + 1] and neighbours[low] == target else -1


@numba.njit(cache=True, nogil=True)
def _weight(cumulative: Any, first: int, link: int) -> float:
    if not len(cumulative):
        return 1.0
    return float(cumulative[link] - (cumulative[link - 1] if link > first else 0.0))


@numba.njit(cache=True, nogil=True)
def _bias(
    pointers: Any, neighbours: Any, before: int, target: int, biases: tuple[float, float, float]
) -> float:  # fmt: skip
    back, near, far = biases
    if target == before:
        return back
    if near == far or _link(pointers, neighbours, before, target) < 0:
        return far
    return near


@numba.njit(cache=True, nogil=True)
def _enumerated(
    pointers: Any, neighbours: Any, cumulative: Any, before: int, here: int, biases: tuple[float, float, float],
    u: float,
) -> int:  # fmt: skip
    """Return the next link of a walk by going over all of them."""
    first, last = pointers[here], pointers[here + 1]
    parts = np.empty(last - first)
    total = 0.0
    for link in range(first, last):
        bias = _bias(pointers, neighbours, before, neighbours[link], biases)
        total += bias * _weight(cumulative, first, link)
        parts[link - first] = total
    return first + min(int(np.searchsorted(parts, u * total, side="right")), last - first - 1)


@numba.njit(cache=True, nogil=True)
def _next(
    pointers: Any, neighbours: Any, cumulative: Any, before: int, here: int, biases: tuple[float, float, float],
    state: Any,
) -> int:  # fmt: skip
    """Return the next link of a walk that came from `before`, -1 at its start, to a node that has neighbours."""
    first, last = pointers[here], pointers[here + 1]
    back, near, far = biases
    if before < 0 or (back == near and near == far):
        return _proposed(first, last, cumulative, _uniform(state))
    bound, home, share = max(near, far), -1, 0.0
    if back > bound:
        home = _link(pointers, neighbours, here, before)
    if home >= 0:
        total = cumulative[last - 1] if len(cumulative) else float(last - first)
        excess = _weight(cumulative, first, home) * (back - bound)
        share = excess / (excess + bound * total)
    for _ in range(last - first):
        if share > 0 and _uniform(state) < share:
            return home
        link = _proposed(first, last, cumulative, _uniform(state))
        if _uniform(state) * bound < _bias(pointers, neighbours, before, neighbours[link], biases):
            return link
    return _enumerated(pointers, neighbours, cumulative, before, here, biases, _uniform(state))


@numba.njit(cache=True, nogil=True)
def _walk(
    pointers: Any, neighbours: Any, cumulative: Any, starts: Any, identities: Any, key: Any,
    biases: tuple[float, float, float], walks: Any,
) -> None:  # fmt: skip
    state = np.zeros(1, np.uint64)
    for row in range(len(starts)):
        state[0] = _mixed(key + (np.uint64(identities[row]) + np.uint64(1)) * _GAMMA)
        before, here = -1, starts[row]
        walks[row, 0] = here
        for place in range(1, walks.shape[1]):
            if pointers[here] == pointers[here + 1]:
                break
            link = _next(pointers, neighbours, cumulative, before, here, biases, state)
            before, here = here, neighbours[link]
            walks[row, place] = here


@numba.njit(cache=True, nogil=True)
def _summed(pointers: Any, weights: Any) -> Any:
    sums = weights.copy()
    for node in range(len(pointers) - 1):
        for link in range(pointers[node] + 1, pointers[node + 1]):
            sums[link] += sums[link - 1]
    return sums


def links_of(graph: Graph) -> Links:
    """Return the links of a graph for `walk`."""
    matrix = graph.adjacency()
    pointers = matrix.indptr.astype(np.int64)
    summed: Any = _summed
    sums = np.zeros(0) if graph.weights is None else summed(pointers, matrix.data)
    return pointers, matrix.indices.astype(np.int32), sums


def walk(
    links: Links,
    starts: NDArray[np.int64],
    identities: NDArray[np.int64],
    key: int,
    biases: tuple[float, float],
    length: int,
) -> NDArray[np.int64]:
    """Return random walks, (B, length), -1 after the end of one that is shorter.

    Args:
        links: where the neighbours of each node begin (N + 1,), the neighbours in ascending order (E,), and the sums
            of the weights of a node's links up to each (E,), or none of them (0,) where all weights are equal; see
            `links_of`.
        starts: the first nodes (B,).
        identities: whole numbers (B,); a walk depends on its own, its start and the key alone.
        key: 64 bits, see `lsgen.data.draws.key`.
        biases: 1/p and 1/q.
        length: nodes of a walk.

    """
    kernel: Any = _walk
    walks = np.full((len(starts), length), _END, dtype=np.int64)
    largest = max(1.0, *biases)
    relative = biases[0] / largest, 1.0 / largest, biases[1] / largest
    kernel(*links, starts, identities, np.uint64(key), relative, walks)
    return walks
