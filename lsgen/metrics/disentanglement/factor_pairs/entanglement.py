r"""Pairwise entanglement: from which threshold on two factors have no codes in common.

Codes and factors are the two sides of a graph, in which an edge joins code i and factor j if the importance R_ij is at
least a threshold t; columns of R sum to 1. As t grows from 0 to 1 the graph falls apart, and

    t(a, b) = max over paths from factor a to factor b of the least importance on the path

is where a and b part: 0 if they have no codes in common, 1 if one code alone tells both. Of a representation that has
learnt a correlation in its data the correlated pair parts later than others.

Reference: Träuble et al., "On disentangled representations learned from correlated data" (ICML 2021), section 4,
https://arxiv.org/abs/2006.07886; the importances of boosted trees as in `DCI`.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["parting_thresholds"]


def parting_thresholds(importance: Tensor) -> Tensor:
    """Return t(a, b) for all pairs of factors, (k, k), from importances (d, k); on the diagonal is the largest of each.

    Raises:
        ValueError: importances are no matrix.

    """
    if importance.ndim != 2:
        raise ValueError(f"expected importances of shape (d, k), got {tuple(importance.shape)}")
    joined = torch.minimum(importance[:, :, None], importance[:, None, :]).amax(0)
    for between in range(importance.shape[1]):
        joined = torch.maximum(joined, torch.minimum(joined[:, between, None], joined[None, between]))
    return joined
