"""Answers to analogies: the codes that each method ranks first."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsgen.latent import Codes
from lsgen.latent.distances import CosineDistance, distance_on
from lsgen.latent.manifolds.manifold import Euclidean, Manifold, Sphere
from lsgen.latent.manifolds.supports import Simplex
from lsgen.latent.neighbours import nearest_neighbours

__all__ = ["ANALOGY_METHODS", "checked_method", "first_apart", "near_answers", "ranked_answers", "solve_analogies"]

ANALOGY_METHODS = ("3cosadd", "3cosmul", "offset", "transport")
ENTRIES, SHIFT = 2**22, 1e-3


def solve_analogies(
    codes: Codes, questions: Any, method: str | None = None, k: int = 1, exclude_inputs: bool = True
) -> NDArray[np.int64]:
    """Return the k best answers to each of several analogies.

    Args:
        codes: the codes (N, d).
        questions: rows of a, b and c, (Q, 3).
        method: a name in `ANALOGY_METHODS`; `3cosadd` for flat codes and `transport` for others unless given.
        k: number of answers, at most N - 3.
        exclude_inputs: whether a, b and c are left out of the answers.

    Returns:
        Rows (Q, k), the best first; -1 where there is no point to look for.

    Raises:
        ValueError: there are too few codes, there is no such row, a vector has no direction, or the method is none for
            the manifold.

    """
    rows = np.asarray(questions)
    if rows.ndim != 2 or rows.shape[1] != 3 or rows.dtype.kind not in "iu" or not len(rows):
        raise ValueError(f"expected rows of a, b and c (Q, 3), got {rows.dtype} {rows.shape}")
    if not 0 <= int(rows.min()) <= int(rows.max()) < len(codes) or not 1 <= k <= len(codes) - 3:
        raise ValueError(f"expected rows of {len(codes)} codes and at most {len(codes) - 3} answers, got others or {k}")
    ranked = ranked_answers(codes, rows, checked_method(codes, method), k + 3)
    if not exclude_inputs:
        return ranked[:, :k]
    return np.stack([one[~np.isin(one, own) | (one < 0)][:k] for one, own in zip(ranked, rows, strict=True)])


def checked_method(codes: Codes, method: str | None) -> str:
    """Return the method, or raise an error if it is none for the codes."""
    if len(codes) < 5:
        raise ValueError(f"expected at least 5 codes, got {len(codes)}")
    flat = isinstance(codes.manifold, Euclidean)
    name = ("3cosadd" if flat else "transport") if method is None else method
    if name not in ANALOGY_METHODS:
        raise ValueError(f"expected a method out of {', '.join(ANALOGY_METHODS)}, got {name!r}")
    linear = flat or isinstance(codes.manifold, Sphere)
    if name != "transport" and not linear:
        raise ValueError(f"expected the method transport for codes on {codes.manifold}, got {name}")
    if name == "transport" and not codes.manifold.continuous and not isinstance(codes.manifold, Simplex):
        raise ValueError(f"expected codes that can move, got codes on {codes.manifold}")
    return name


def ranked_answers(codes: Codes, rows: NDArray[Any], method: str, k: int = 4) -> NDArray[np.int64]:
    """Return the k best of all codes for each question, (Q, k); -1 where there is no point to look for."""
    k, z = min(k, len(codes)), codes.tensor().double()
    a, b, c = (z[torch.from_numpy(rows[:, i])] for i in range(3))
    if method == "offset":
        return nearest_neighbours(b - a + c, z, k).indices.numpy()
    if method == "transport":
        return _transported(codes, a, b, c, k)
    unit = CosineDistance().features(z)
    if method == "3cosmul":
        return _multiplied(unit, torch.from_numpy(rows), k)
    a, b, c = (unit[torch.from_numpy(rows[:, i])] for i in range(3))
    target = b - a + c
    some = (target != 0).any(1)
    found = np.full((len(rows), k), -1)
    if bool(some.any()):
        found[some.numpy()] = nearest_neighbours(target[some], unit, k, CosineDistance()).indices.numpy()
    return found


def _multiplied(unit: Tensor, rows: Tensor, k: int) -> NDArray[np.int64]:
    """Return the k codes with the greatest products of similarities."""
    found = []
    for part in rows.split(max(1, ENTRIES // len(unit))):
        a, b, c = ((1 + unit[part[:, i]] @ unit.T) / 2 for i in range(3))
        found.append((b * c / (a + SHIFT)).topk(k).indices)
    return torch.cat(found).numpy()


def _transported(codes: Codes, a: Tensor, b: Tensor, c: Tensor, k: int) -> NDArray[np.int64]:
    """Return the k codes nearest to b moved by the isometry along the geodesic from a to c."""
    manifold, z = codes.manifold, codes.tensor().double()
    if isinstance(manifold, Simplex):
        manifold = Sphere()
        a, b, c, z = (manifold.onto(x.clamp(min=0).sqrt()) for x in (a, b, c, z))
    middle = manifold.exp(a, manifold.log(a, c) / 2)
    target = _reflected(manifold, c, _reflected(manifold, middle, b))
    known = target.isfinite().all(1)
    found = np.full((len(a), k), -1)
    if bool(known.any()):
        target = manifold.onto(target[known])
        found[known.numpy()] = nearest_neighbours(target, z, k, distance_on(manifold)).indices.numpy()
    return found


def _reflected(manifold: Manifold, centre: Tensor, z: Tensor) -> Tensor:
    return manifold.exp(centre, -manifold.log(centre, z))


def near_answers(codes: Codes, rows: NDArray[Any], method: str) -> NDArray[np.int64]:
    """Return the codes nearest to some, in what the method takes for near, (Q, 4)."""
    distance = CosineDistance() if method.startswith("3cos") else distance_on(codes.manifold)
    asked, place = np.unique(rows, return_inverse=True)
    z = codes.tensor()
    return nearest_neighbours(z[torch.from_numpy(asked)], z, 4, distance).indices.numpy()[place]


def first_apart(ranked: NDArray[Any], inputs: NDArray[Any]) -> NDArray[Any]:
    """Return the first answer that is none of three inputs, (Q,); -1 where there is none."""
    apart = ~(ranked[:, :, None] == inputs[:, None]).any(2)
    return np.where(apart.any(1), ranked[np.arange(len(ranked)), apart.argmax(1)], -1)
