r"""Analogies of a relation that many pairs have: what is to c as the b of all pairs are to their a?

    3CosAvg     argmax_d cos(d, c + average of b - average of a)
    LRCos       argmax_d P(d is a b) cos(d, c)

Vectors have length 1 first. P is that of a logistic regression on standardised coordinates with an L2 penalty of 1,
fitted to tell the b of the pairs from their a and from as many other codes, drawn at random. The paper draws others too
and says neither their number nor the penalty; without standardising, P hardly differs between codes of length 1.

Each pair is asked for by all pairs that share none of its codes, so that no pair answers for itself. An answer is right
if it stands beside c in any pair. As of other analogies, the honest accuracy leaves no code out of the answers, the
standard one c alone, and what the nearest code to c scores stands beside them.

Reference: Drozd, Gladkova & Matsuoka, "Word embeddings, analogies, and machine learning: beyond king - man + woman =
queen" (2016), https://aclanthology.org/C16-1332.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from lsgen.analysis.intervals import clustered_share, share_interval
from lsgen.analysis.statistic import Statistic
from lsgen.latent import Codes
from lsgen.latent.distances import CosineDistance
from lsgen.latent.manifolds.manifold import Euclidean, Sphere

__all__ = ["PAIR_SET_METHODS", "PairSetEvaluation", "PairSetScores", "evaluate_pair_sets", "solve_by_pairs"]

Array = NDArray[Any]
PAIR_SET_METHODS = ("lrcos", "3cosavg")


@dataclass(frozen=True)
class PairSetScores:
    """Shares of pairs out of those whose two codes are in the table.

    Attributes:
        standard: whose answer is right, with c left out; the baseline is that of the code nearest to c.
        honest: whose answer is right, with all codes as answers.
        returns_input: whose honest answer is c.
        coverage: share of all pairs whose codes are both in the table.

    """

    standard: Statistic
    honest: Statistic
    returns_input: Statistic
    coverage: Statistic


@dataclass(frozen=True)
class PairSetEvaluation:
    """Scores of one method, in all and by relation.

    Attributes:
        method: its name.
        total: of the pairs of all relations.
        relations: of each relation of which three pairs or more are in the table, by name.
        left_out: names of the other relations.

    """

    method: str
    total: PairSetScores
    relations: dict[str, PairSetScores]
    left_out: tuple[str, ...]


def evaluate_pair_sets(
    codes: Codes, relations: Mapping[str, Sequence[tuple[Any, Any]]], method: str = "lrcos", seed: int = 0
) -> PairSetEvaluation:
    """Return how many pairs of each relation the other pairs of it answer.

    Args:
        codes: the codes (N, d), flat or on a sphere, by whose names pairs are given.
        relations: names (a, b) of the pairs of each relation, by its name.
        method: a name in `PAIR_SET_METHODS`.
        seed: seed of the other codes of `lrcos`.

    Raises:
        ValueError: no relation has three pairs in the table that share no code, the method is not known, or codes have
            no direction or lie on another manifold.

    """
    unit, place = _units(codes, method), codes.places()
    found: dict[str, tuple[Array, Array, int]] = {}
    for name, pairs in relations.items():
        rows = np.array([[place[a], place[b]] for a, b in pairs if a in place and b in place])
        if len(rows) > 2 and min(len(_others(rows, one)) for one in rows) > 1:
            found[name] = _asked(unit, rows, method, seed), rows, len(pairs)
    if not found:
        raise ValueError(
            f"expected a relation with three pairs in the table that share no code, got none of {len(relations)}"
        )
    scored = {name: _scores(values, rows, asked, seed) for name, (values, rows, asked) in found.items()}
    values, rows = (np.concatenate([part[i] for part in found.values()]) for i in (0, 1))
    total = _scores(values, rows, sum(len(pairs) for pairs in relations.values()), seed)
    return PairSetEvaluation(method, total, scored, tuple(name for name in relations if name not in found))


def solve_by_pairs(
    codes: Codes,
    pairs: Any,
    asked: Any,
    method: str = "lrcos",
    k: int = 1,
    exclude_inputs: bool = True,
    seed: int = 0,
) -> NDArray[np.int64]:
    """Return what is to some codes as the second code of each pair is to its first.

    Args:
        codes: the codes (N, d), flat or on a sphere.
        pairs: rows (a, b) of pairs with one relation, (P, 2), at least two.
        asked: rows c of the codes that are asked about, (Q,).
        method: a name in `PAIR_SET_METHODS`.
        k: number of answers, at most N - 1.
        exclude_inputs: whether c is left out of its answers.
        seed: seed of the other codes of `lrcos`.

    Returns:
        Rows (Q, k), the best first.

    Raises:
        ValueError: there is no such row, too few pairs or codes, the method is not known, or codes have no direction
            or lie on another manifold.

    """
    rows, questions = np.asarray(pairs), np.asarray(asked)
    for name, given, dims in (("pairs", rows, 2), ("asked", questions, 1)):
        if given.ndim != dims or given.dtype.kind not in "iu" or not len(given):
            raise ValueError(f"expected rows of codes as {name}, {dims}-dimensional, got {given.dtype} {given.shape}")
        if not 0 <= int(given.min()) <= int(given.max()) < len(codes):
            raise ValueError(f"expected {name} among {len(codes)} codes, got row {int(given.max())}")
    if rows.shape[1] != 2 or len(rows) < 2 or not 1 <= k < len(codes):
        raise ValueError(f"expected two pairs (P, 2) or more and 1 to {len(codes) - 1} answers, got {rows.shape}, {k}")
    unit = _units(codes, method)
    values = _ranking(unit, rows, questions, method, seed)
    if exclude_inputs:
        values[np.arange(len(questions)), questions] = -np.inf
    return np.argsort(-values, axis=1, kind="stable")[:, :k]


def _units(codes: Codes, method: str) -> Array:
    """Return the directions of codes (N, d), or raise an error if there are none or the method is not known."""
    if method not in PAIR_SET_METHODS:
        raise ValueError(f"expected a method out of {', '.join(PAIR_SET_METHODS)}, got {method!r}")
    if not isinstance(codes.manifold, Euclidean | Sphere):
        raise ValueError(f"expected flat codes, or codes on a sphere, for {method}, got codes on {codes.manifold}")
    return CosineDistance().features(codes.tensor().double()).numpy()


def _others(rows: Array, pair: Array) -> Array:
    """Return the pairs that share no code with one."""
    return rows[~np.isin(rows, pair).any(1)]


def _asked(unit: Array, rows: Array, method: str, seed: int) -> Array:
    """Return for each pair whether the answers of the others are right, (P, 4), see `PairSetScores`."""
    right = {(int(a), int(b)) for a, b in rows}
    found = np.zeros((len(rows), 4))
    for i, pair in enumerate(rows):
        c = int(pair[0])
        values = _ranking(unit, _others(rows, pair), pair[:1], method, seed)[0]
        honest = int(values.argmax())
        values[c] = -np.inf
        near = unit @ unit[c]
        near[c] = -np.inf
        standard, nearest = int(values.argmax()), int(near.argmax())
        found[i] = (c, standard) in right, (c, honest) in right, honest == c, (c, nearest) in right
    return found


def _ranking(unit: Array, pairs: Array, asked: Array, method: str, seed: int) -> Array:
    """Return a number of each code for each that is asked about, (Q, N); the greatest is the answer."""
    a, b = unit[pairs[:, 0]], unit[pairs[:, 1]]
    if method == "3cosavg":
        return np.asarray((unit[asked] + b.mean(0) - a.mean(0)) @ unit.T)
    free = np.setdiff1d(np.arange(len(unit)), pairs)
    drawn = np.random.default_rng(seed).permutation(free)[: len(pairs)]
    x = np.concatenate([np.unique(b, axis=0), np.unique(a, axis=0), unit[drawn]])
    y = np.arange(len(x)) < len(np.unique(b, axis=0))
    scale = x.std(0)
    scale[scale == 0] = 1
    chance = LogisticRegression(max_iter=1000).fit(x / scale, y).predict_proba(unit / scale)[:, 1]
    return np.asarray(unit[asked] @ unit.T * chance)


def _scores(values: Array, rows: Array, asked: int, seed: int) -> PairSetScores:
    n = len(rows)
    baseline = float(values[:, 3].mean())
    standard, honest, returned = (_share(one, rows[:, 0], seed) for one in values.T[:3])
    coverage = Statistic(n / asked, asked)
    return PairSetScores(Statistic(standard.value, n, standard.interval, baseline, seed), honest, returned, coverage)


def _share(right: Array, sources: Array, seed: int) -> Statistic:
    """Return a share of pairs with its interval, of which those with the same a are dependent."""
    if len(np.unique(sources)) > 1:
        value, interval = clustered_share(right, sources)
    else:
        value, interval = float(right.mean()), share_interval(float(right.sum() > 0), 1)
    return Statistic(value, len(right), interval, None, seed)
