r"""Spaces of the same items, such as those of successive years, turned onto one another.

    R = argmin |X R - Y|,   R^T R = 1,        X^T Y = U S V^T,    R = U V^T

for coordinates X (N, d) to be turned onto Y (N, d). Turns and reflections about the origin leave all distances between
codes as they were, in flat space, on spheres and in hyperbolic space. Of the squares

    left    |X R - Y|^2 / (|X|^2 + |Y|^2)

are left, 0 where spaces agree. Points of a hyperboloid are turned in the Poincare ball. Distances there count as those
of flat space do: the fit is that of the ball's coordinates.

Reference: Schoenemann, "A generalized solution of the orthogonal Procrustes problem" (1966); Hamilton, Leskovec &
Jurafsky, "Diachronic word embeddings reveal statistical laws of semantic change" (2016),
https://arxiv.org/abs/1605.09096, section 2.4, for spaces of successive years.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lsgen.analysis.flat import check_alike
from lsgen.analysis.intervals import group_jackknife
from lsgen.analysis.statistic import Statistic
from lsgen.latent import Codes, Euclidean, Lorentz, PoincareBall, Sphere
from lsgen.latent.distances import distance_on

__all__ = ["TurnedCodes", "turn_onto"]

Table = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TurnedCodes:
    """Codes that were turned onto others.

    Attributes:
        codes: all of them, turned.
        turn: the matrix R (d, d) that coordinates were multiplied by.
        ids: the items that both tables have, in the order of the codes, (M,).
        moved: distance of each between the two tables, (M,).
        left: share of the squares that is left; its baseline is the mean over permutations of the items.

    """

    codes: Codes
    turn: Table
    ids: NDArray[np.generic]
    moved: Table
    left: Statistic

    def most_moved(self, n: int = 10) -> NDArray[np.generic]:
        """Return the ids of the n items that have moved farthest, the farthest first."""
        return self.ids[np.argsort(-self.moved, kind="stable")[:n]]


def turn_onto(codes: Codes, reference: Codes, permutations: int = 99, seed: int = 0) -> TurnedCodes:
    """Return codes turned onto others, by the items that both have.

    Args:
        codes: what is turned.
        reference: what they are turned onto, on the same manifold.
        permutations: of the items, for what is left by chance.
        seed: seed of the permutations and of the groups of items that the interval leaves out.

    Raises:
        ValueError: manifolds or dimensions differ, or are none that can be turned; fewer than two items are in common;
            there is no permutation, or all codes are at the origin.

    """
    check_alike(codes, reference)
    if not isinstance(codes.manifold, Euclidean | Lorentz | PoincareBall | Sphere):
        raise ValueError(f"expected codes in flat or hyperbolic space or on a sphere, got those on {codes.manifold}")
    place = reference.places()
    rows = np.array([row for row, name in enumerate(codes.ids.tolist()) if name in place], dtype=np.int64)
    if len(rows) < 2 or permutations < 1:
        raise ValueError(f"expected two items in common and a permutation or more, got {len(rows)} and {permutations}")
    ids = codes.ids[rows]
    whole = _coordinates(codes)
    x, y = whole[rows], _coordinates(reference.select(ids=ids))
    if not (x.any() or y.any()):
        raise ValueError("expected codes that are not all at the origin, got such")
    turn, rng = _turn(x, y), np.random.default_rng(seed)
    interval = group_jackknife(lambda at: _left(x[at], y[at]), len(rows), rng, bounds=(0, 1))
    chance = float(np.mean([_left(x, y[rng.permutation(len(y))]) for _ in range(permutations)]))
    turned = _restored(whole @ turn, codes)
    distance = distance_on(codes.manifold)
    ends = (part.select(ids=ids).tensor().double() for part in (turned, reference))
    moved = distance.between(*(distance.features(end) for end in ends)).numpy()
    return TurnedCodes(turned, turn, ids, moved, Statistic(_left(x, y), len(rows), interval, chance, seed))


def _turn(x: Table, y: Table) -> Table:
    u, _, v = np.linalg.svd(x.T @ y)
    turn: Table = u @ v
    return turn


def _left(x: Table, y: Table) -> float:
    total = float(np.square(x).sum() + np.square(y).sum())
    return float(np.square(x @ _turn(x, y) - y).sum()) / total if total > 0 else float("nan")


def _coordinates(codes: Codes) -> Table:
    """Return coordinates that a turn about the origin multiplies."""
    z = codes.tensor().double()
    found: Table = (codes.manifold.to_ball(z) if isinstance(codes.manifold, Lorentz) else z).numpy()
    return found


def _restored(coordinates: Table, codes: Codes) -> Codes:
    """Return codes with other coordinates; scales do not stay, as their axes are others."""
    z = torch.from_numpy(coordinates)
    z = codes.manifold.from_ball(z) if isinstance(codes.manifold, Lorentz) else codes.manifold.onto(z)
    return Codes(z.to(codes.tensor().dtype), codes.ids, codes.manifold, codes.columns)
