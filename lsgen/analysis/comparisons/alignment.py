r"""How alike two spaces of the same items are: CKA, Procrustes and RSA.

For centred coordinates X (N, d) and Y (N, e) with Gram matrices K = X X^T and L = Y Y^T:

    linear CKA     |Y^T X|^2 / (|X^T X| |Y^T Y|)     Frobenius norms; of spaces without relation it grows with d/N
    debiased CKA   HSIC_1(K, L) / sqrt(HSIC_1(K, K) HSIC_1(L, L)),    HSIC_1 unbiased:
        N (N - 3) HSIC_1 = tr(K~ L~) + 1^T K~ 1 1^T L~ 1 / ((N - 1)(N - 2)) - 2/(N - 2) 1^T K~ L~ 1,
        K~ and L~ without their diagonals
    Procrustes     1 - (sum of singular values of X^T Y)^2 / (|X|^2 |Y|^2): what is left of Y's unit of variance when X
                   is turned, reflected and scaled onto it
    RSA            Spearman's correlation of the distances of all pairs, each in its own space

The sums of HSIC_1 come from X and Y, without a matrix of N^2 numbers.

Reference: Kornblith, Norouzi, Lee & Hinton (2019), https://arxiv.org/abs/1905.00414; Song, Smola, Gretton, Bedo &
Borgwardt, "Feature selection via dependence maximization" (2012), equation 4; Nguyen, Raghu & Kornblith (2021),
https://arxiv.org/abs/2010.15327; Schoenemann (1966); Kriegeskorte, Mur & Bandettini (2008).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

__all__ = ["debiased_cka", "linear_cka", "procrustes_distance", "rank_correlation"]

Table = NDArray[np.float64]


def linear_cka(x: Table, y: Table) -> float:
    """Return the linear CKA of two tables of coordinates (N, d) and (N, e).

    Raises:
        ValueError: their lengths differ, or one does not vary.

    """
    x, y = _centred(x, y)
    return float(np.square(x.T @ y).sum() / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)))


def debiased_cka(x: Table, y: Table) -> float:
    """Return the CKA of unbiased estimates: about 0 for spaces without relation, and below 0 as often as above.

    Raises:
        ValueError: there are fewer than 4 items, lengths differ, or a space has no variance beyond that of chance.

    """
    x, y = _centred(x, y)
    if len(x) < 4:
        raise ValueError(f"expected 4 items or more for an unbiased estimate, got {len(x)}")
    own, other = _hsic(x, x), _hsic(y, y)
    if own <= 0 or other <= 0:
        raise ValueError(
            "expected spaces whose variance exceeds that of chance, got one whose unbiased HSIC is not > 0"
        )
    return float(_hsic(x, y) / np.sqrt(own * other))


def procrustes_distance(x: Table, y: Table) -> float:
    """Return the share of variance that is left when one table is turned, reflected and scaled onto the other.

    Raises:
        ValueError: their lengths differ, or one does not vary.

    """
    x, y = _centred(x, y)
    nuclear = np.linalg.svd(x.T @ y, compute_uv=False).sum()
    return float(max(0.0, 1 - (nuclear / (np.linalg.norm(x) * np.linalg.norm(y))) ** 2))


def rank_correlation(a: Table, b: Table) -> float:
    """Return Spearman's rank correlation of numbers (P,), ties at their mean rank.

    Raises:
        ValueError: one of them does not vary.

    """
    x, y = (ranks - ranks.mean() for ranks in (rankdata(a), rankdata(b)))
    scale = np.linalg.norm(x) * np.linalg.norm(y)
    if not scale:
        raise ValueError("expected distances that differ, got equal ones")
    return float(x @ y / scale)


def _centred(x: Table, y: Table) -> tuple[Table, Table]:
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise ValueError(f"expected coordinates (N, d) and (N, e) of the same items, got {x.shape} and {y.shape}")
    both = []
    for table in (x, y):
        centred = table - table.mean(0)
        largest = np.abs(centred).max(initial=0.0)
        if not largest > np.finfo(float).eps * np.abs(table).max(initial=0.0):
            raise ValueError("expected codes that vary, got equal ones")
        both.append(centred / largest)
    return both[0], both[1]


def _hsic(x: Table, y: Table) -> float:
    """Return N (N - 3) HSIC_1 of the linear kernels of two centred tables."""
    n = len(x)
    own, other = np.square(x).sum(1), np.square(y).sum(1)
    trace = np.square(x.T @ y).sum() - own @ other
    rows, other_rows = x @ x.sum(0) - own, y @ y.sum(0) - other
    total = rows.sum() * other_rows.sum() / ((n - 1) * (n - 2))
    return float(trace + total - 2 / (n - 2) * (rows @ other_rows))
