r"""F-measures of the agreement between a clustering and classes.

Over pairs of codes, with TP the pairs together in both, FP together in the clusters only, FN in the classes only,

    F_pairs = 2 TP / (2 TP + FP + FN).

Over one-to-one assignments s of clusters to classes, with n_kc the codes of class c in cluster k,

    F_macro = max_s (1/C) sum_c 2 n_s(c)c / (n_s(c). + n_.c) ,

where a class without a cluster counts 0 (Hungarian algorithm).

Reference: Manning, Raghavan & Schutze, "Introduction to Information Retrieval" (2008), section 16.3; Kuhn, "The
Hungarian method for the assignment problem" (1955).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

__all__ = ["FMeasure", "f_measure"]


class FMeasure(NamedTuple):
    """F over pairs of codes, macro-F1 of the best assignment, and the cluster that each class has in it, -1 if none."""

    pairs: float
    macro: float
    assignment: Tensor


def f_measure(labels: Tensor, classes: Tensor) -> FMeasure:
    r"""Return the agreement of a clustering with classes.

        F_pairs = 2 TP / (2 TP + FP + FN),    F_macro = max_s (1/C) sum_c F1(cluster s(c), class c)

    Args:
        labels: the cluster of each code (n,), integers; -1 for a code in no cluster, which is then its own.
        classes: the class of each code (n,), integers from 0.

    Returns:
        FMeasure(pairs, macro, assignment (C,)), both between 0 and 1, C the number of classes that occur.

    Raises:
        ValueError: the two are not integers of one shape (n,) with n >= 1.

    """
    for name, x in (("labels", labels), ("classes", classes)):
        if x.ndim != 1 or not len(x) or x.is_floating_point() or x.is_complex():
            raise ValueError(f"expected {name} (n,) of integers, got {x.dtype} {tuple(x.shape)}")
    if labels.shape != classes.shape:
        raise ValueError(f"expected as many labels as classes, got {len(labels)} and {len(classes)}")
    alone = labels < 0
    own = torch.where(alone, labels.max() + 1 + torch.arange(len(labels), device=labels.device), labels)
    kinds, k = own.unique(return_inverse=True)
    values, c = classes.unique(return_inverse=True)
    table = torch.zeros(len(kinds), len(values), dtype=torch.float64, device=labels.device)
    table.index_put_((k, c), table.new_ones(len(k)), accumulate=True)
    together, in_clusters, in_classes = (_pairs(x) for x in (table, table.sum(1), table.sum(0)))
    either = in_clusters + in_classes
    scores = 2 * table / (table.sum(1, keepdim=True) + table.sum(0))
    row, column = linear_sum_assignment(scores.cpu().numpy(), maximize=True)
    assignment = torch.full((len(values),), -1, dtype=torch.long, device=labels.device)
    assignment[column] = kinds[row].to(assignment)
    best = scores[row, column].sum().item() / len(values)
    return FMeasure(2 * together / either if either else 1.0, best, assignment)


def _pairs(counts: Tensor) -> float:
    return (counts * (counts - 1) / 2).sum().item()
