r"""Entropy and mutual information of finite samples, in nats.

    H(a)    = -sum_i p(i) log p(i)
    I(a; b) = sum_ij p(i, j) log( p(i, j) / p(i) p(j) )            plug-in, from counts

and, for a real number x and a label y, the nearest-neighbour estimate

    I(x; y) = psi(N) + < psi(k_n) > - < psi(N_y(n)) > - < psi(m_n) > ,

where k_n neighbours of point n among the N_y points of its label reach as far as r_n, and m_n points of any label lie
nearer than r_n, itself included. On the line neighbours are found by sorting.

Reference: Ross, "Mutual information between discrete and continuous data sets" (PLoS ONE 2014), equation 2.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["entropy", "histogram", "mutual_information", "nearest_neighbour_information", "recode"]


def recode(values: Tensor) -> tuple[Tensor, list[int]]:
    """Number the distinct values of each column.

    Args:
        values: (N, k).

    Returns:
        Numbers 0 .. K_j - 1 in the order of the values, int64 (N, k), and the list of K_j.

    """
    from_zero = values - values.amin(0)
    span, k = int(from_zero.max()) + 1, values.shape[1]
    if values.is_floating_point() or span > len(values):
        columns = [torch.unique(column, return_inverse=True) for column in values.unbind(1)]
        return torch.stack([inverse for _, inverse in columns], dim=1), [len(distinct) for distinct, _ in columns]
    # Where the values lie close together, those that occur are counted off without sorting.
    place = from_zero + torch.arange(k, device=values.device) * span
    occurs = torch.bincount(place.flatten(), minlength=k * span).view(k, span) > 0
    number = occurs.cumsum(1) - 1
    return number.flatten()[place], occurs.sum(1).tolist()


def histogram(codes: Tensor, bins: int) -> Tensor:
    """Cut the range of each column into equal bins and return the bin of each value.

    Args:
        codes: (N, d).
        bins: number of bins.

    Returns:
        Bins 0 .. bins - 1, int64 (N, d); a constant column is one bin.

    Raises:
        ValueError: bins is not positive.

    """
    if bins < 1:
        raise ValueError(f"expected at least 1 bin, got {bins}")
    low, high = codes.amin(0), codes.amax(0)
    width = torch.where(high > low, high - low, 1.0) / bins
    edges = torch.arange(bins, device=codes.device) * width[:, None] + low[:, None]
    return torch.searchsorted(edges, codes.T.contiguous(), right=True).T - 1


def entropy(a: Tensor) -> Tensor:
    """Return H of each column of integers (N, p), in nats, (p,)."""
    return mutual_information(a, a).diagonal()


def mutual_information(a: Tensor, b: Tensor) -> Tensor:
    """Return the plug-in estimate of I between all pairs of columns.

    Args:
        a: integers from 0, (N, p).
        b: integers from 0, (N, q).

    Returns:
        Nats, float64 (p, q).

    """
    p, q = a.shape[1], b.shape[1]
    size_a, size_b = int(a.max()) + 1, int(b.max()) + 1
    pair = torch.arange(p * q, device=a.device).view(p, q) * (size_a * size_b)
    index = pair + a[:, :, None] * size_b + b[:, None, :]
    counts = torch.bincount(index.flatten(), minlength=p * q * size_a * size_b).view(p, q, size_a, size_b)
    joint = counts.double() / len(a)
    independent = joint.sum(3, keepdim=True) * joint.sum(2, keepdim=True)
    return (torch.special.xlogy(joint, joint) - torch.special.xlogy(joint, independent)).sum((2, 3))


def nearest_neighbour_information(x: Tensor, labels: Tensor, neighbours: int = 10) -> Tensor:
    """Return Ross' estimate of I between each column and a label; labels that occur once are left out.

    Args:
        x: real numbers (N, d).
        labels: integers from 0, (N,).
        neighbours: number of neighbours k; less where a label has fewer other points.

    Returns:
        Nats, not below zero, (d,).

    """
    repeated = torch.bincount(labels)[labels] > 1
    labels, x = labels[repeated], x[repeated].T.contiguous()
    count = torch.bincount(labels)
    by_value = x.argsort(dim=1)
    grouped = by_value.gather(1, labels[by_value].argsort(dim=1, stable=True))
    of_group = torch.arange(len(count), device=x.device).repeat_interleave(count)
    size = count[of_group]
    k = (size - 1).clamp(max=neighbours)
    points = x.gather(1, grouped)
    reach = _reach(points, (count.cumsum(0) - count)[of_group], size, k, neighbours)
    nearer = _nearer(x.gather(1, by_value), points, reach)
    psi = torch.special.digamma
    constant = psi(x.new_tensor(len(labels))) + (psi(k.to(x)) - psi(size.to(x))).mean()
    return (constant - psi(nearer.to(x)).mean(1)).clamp(min=0)


def _reach(points: Tensor, start: Tensor, size: Tensor, k: Tensor, neighbours: int) -> Tensor:
    """Return the distance to the k-th neighbour within a group; points (d, N) are sorted within each group."""
    here = torch.arange(points.shape[1], device=points.device)
    reach = torch.full_like(points, float("inf"))
    for below in range(neighbours + 1):
        low = here - below
        high = low + k
        valid = (below <= k) & (low >= start) & (high < start + size)
        low, high = torch.where(valid, low, here), torch.where(valid, high, here)
        distance = torch.maximum(points - points[:, low], points[:, high] - points)
        reach = torch.where(valid, torch.minimum(reach, distance), reach)
    return reach


def _nearer(ordered: Tensor, points: Tensor, reach: Tensor) -> Tensor:
    """Return how many of the ordered values (d, N) are nearer than `reach`, equal values always included."""
    after = _first(ordered, lambda value: (value - points >= reach) & (value > points))
    before = _first(ordered, lambda value: (points - value < reach) | (points <= value))
    return after - before


def _first(ordered: Tensor, holds: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the first index at which a condition monotone along each row holds, by bisection."""
    rows, n = ordered.shape
    low = torch.zeros(rows, n, dtype=torch.int64, device=ordered.device)
    high = torch.full_like(low, n)
    for _ in range(n.bit_length()):
        middle = (low + high) // 2
        yes = holds(ordered.gather(1, middle.clamp(max=n - 1))) | (middle >= n)
        low, high = torch.where(yes, low, (middle + 1).clamp(max=n)), torch.where(yes, middle, high)
    return high
