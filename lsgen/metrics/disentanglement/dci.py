r"""The DCI metrics: disentanglement, completeness and informativeness.

R_ij >= 0 is the importance of code i for the prediction of factor j by boosted trees. With rho_ij = R_ij / sum_j R_ij,
q_ij = R_ij / sum_i R_ij, entropies H to the base k of factors and d of codes,

    D = sum_i (sum_j R_ij / sum R) (1 - H_k(rho_i.)),      C = sum_j (sum_i R_ij / sum R) (1 - H_d(q_.j)) ,

and I is the accuracy of the predictions on held-out observations.

Reference: Eastwood & Williams, "A framework for the quantitative evaluation of disentangled representations" (ICLR
2018), section 2, https://openreview.net/forum?id=By-7dz-AZ; gradient-boosted trees, those of scikit-learn with its
defaults, as by Locatello et al. (2019).
"""

from __future__ import annotations

from math import log
from typing import Any, ClassVar

import torch
from torch import Tensor

from lsgen.metrics.disentanglement.base import DisentanglementMetric, split_indices
from lsgen.metrics.disentanglement.factor_pairs.entanglement import parting_thresholds
from lsgen.metrics.disentanglement.information import recode
from lsgen.metrics.disentanglement.predictors.boosting import Boosting

__all__ = ["DCI"]


class DCI(DisentanglementMetric):
    """The DCI score; `part` chooses "disentanglement", "completeness", "informativeness" or "train_informativeness".

    Args:
        rounds: trees for each class.
        depth: depth of a tree.
        rate: learning rate.
        bins: largest number of bins of equal counts that a code is cut into; None splits codes at exact thresholds.
        test_fraction: part of the observations held out.
        seed: seed of the split, and of the draws among equally good splits of trees.

    Raises:
        ValueError: a setting of the trees is not positive, or a factor has one value only.

    """

    parts: ClassVar[tuple[str, ...]] = (
        "disentanglement",
        "completeness",
        "informativeness",
        "train_informativeness",
    )
    least_factors: ClassVar[int] = 2

    def __init__(
        self,
        rounds: int = 100,
        depth: int = 3,
        rate: float = 0.1,
        bins: int | None = None,
        test_fraction: float = 1 / 3,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.boosting = Boosting(rounds, depth, rate, bins, seed)
        self.test_fraction, self.seed = test_fraction, seed

    def score(self, codes: Tensor, factors: Tensor) -> dict[str, Tensor]:
        """Return the four parts, the importances (d, k), and where pairs of factors part (k, k)."""
        sizes = recode(factors)[1]
        if min(sizes) < 2:
            raise ValueError(f"expected factors that take at least 2 values, got {sizes}")
        train, test = split_indices(len(codes), self.test_fraction, self.seed, codes.device)
        importance, named = self._fit(codes, factors, train)
        right = (named == factors).double()
        return {
            "disentanglement": _concentration(importance),
            "completeness": _concentration(importance.T),
            "informativeness": right[test].mean(),
            "train_informativeness": right[train].mean(),
            "importance": importance,
            "parting": parting_thresholds(importance),
        }

    def _fit(self, codes: Tensor, factors: Tensor, train: Tensor) -> tuple[Tensor, Tensor]:
        """Return importances (d, k) and predicted factors (N, k); values that were not fitted are not predicted."""
        known, fitted = zip(*(torch.unique(v, return_inverse=True) for v in factors[train].unbind(1)), strict=True)
        labels = torch.zeros_like(factors)
        labels[train] = torch.stack(fitted, dim=1)
        importance, named = self.boosting.fit(codes, labels, [len(values) for values in known], train)
        return importance, torch.stack([values[y] for values, y in zip(known, named.unbind(1), strict=True)], dim=1)


def _concentration(importance: Tensor) -> Tensor:
    """Return the average of 1 - H over rows, weighted by their sums; rows of zeros have no weight."""
    if importance.shape[1] == 1:
        return importance.new_ones(())
    row = importance.sum(1, keepdim=True)
    share = importance / row.clamp(min=torch.finfo(importance.dtype).tiny)
    entropy = -torch.special.xlogy(share, share).sum(1) / log(importance.shape[1])
    return ((1 - entropy) * row.squeeze(1)).sum() / row.sum().clamp(min=torch.finfo(importance.dtype).tiny)
