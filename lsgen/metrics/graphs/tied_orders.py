r"""Ranks and precisions of links in lists of pairs, averaged over all orders of pairs with the same score.

Of the pairs of a list s have a greater score than a link, a of them links; and m have its own score, itself among them,
r of them links. In a random order of the m

    E rank among the non-links      1 + (s - a) + (m - r)/2
    E precision at its place        1/m ((a + 1) D + (r - 1)/(m - 1) (m - (s + 1) D)),    D = H_{s+m} - H_s,

H_n = 1 + 1/2 + ... + 1/n, the second from P(place = s + j) = 1/m, in which case 1 + (j - 1)(r - 1)/(m - 1) links are
expected among the tied up to that place. The average precision of a list is the mean of the second over its links.
Where the list holds t non-links with a greater score and u with its own, the link is before the k-th non-link with the
probability

    P(hit at k) = min(1, max(0, (k - t) / (u + 1))) .

By chance all are tied: of R links among n pairs, s = a = 0, m = n and r = R.

Reference: McSherry & Najork, "Computing information retrieval performance measures efficiently in the presence of tied
scores" (2008), https://doi.org/10.1007/978-3-540-78646-7_38.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["chance_precision", "expected_hit", "expected_precision", "expected_rank"]


def expected_rank(above: Tensor, tied: Tensor, links_above: Tensor, links_tied: Tensor) -> Tensor:
    """Return the rank of links among the non-links, from 1, float64.

    Args:
        above: number s of pairs with a greater score.
        tied: number m >= 1 of those with the same score.
        links_above: the number a of links among the first.
        links_tied: the number r >= 1 of links among the second.

    """
    return 1 + (above - links_above).double() + (tied - links_tied).double() / 2


def expected_precision(above: Tensor, tied: Tensor, links_above: Tensor, links_tied: Tensor) -> Tensor:
    """Return the precision of the list that ends with the link, float64; arguments as of `expected_rank`."""
    s, m, a, r = (x.double() for x in (above, tied, links_above, links_tied))
    d, several = 1 / (s + 1), m > 1
    d[several] = _harmonic_difference(s[several], m[several])
    return ((a + 1) * d + (r - 1) / (m - 1).clamp(min=1) * (m - (s + 1) * d)) / m


def expected_hit(others_above: Tensor, others_tied: Tensor, k: int) -> Tensor:
    """Return the probability that links come before the k-th non-link, float64.

    Args:
        others_above: number t of non-links with a greater score.
        others_tied: number u of those with the same score.
        k: the place.

    """
    return ((k - others_above).double() / (others_tied + 1)).clamp(0, 1)


def chance_precision(links: Tensor, pairs: Tensor) -> Tensor:
    """Return the average precision of lists of R links among n pairs in random order, float64.

    Args:
        links: the numbers R.
        pairs: the numbers n.

    """
    none = torch.zeros_like(pairs)
    return expected_precision(none, pairs, none, links)


def _harmonic_difference(s: Tensor, m: Tensor) -> Tensor:
    """Return H_{s+m} - H_s, by Stirling's series of the digamma function where s is large."""
    x, y, near = s + 1, s + m + 1, s < 64
    found = torch.log1p(m / x) + m / (x * y) / 2
    for power, divisor in ((2, 12), (4, -120), (6, 252)):
        found += (x**-power - y**-power) / divisor
    found[near] = torch.digamma(y[near]) - torch.digamma(x[near])
    return found
