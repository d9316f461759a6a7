r"""Explicitness: how well a linear classifier predicts each factor from all codes.

    explicitness_j = 1/K_j sum_v AUC( p(v_j = v | z) against [v_j = v] ) ,

averaged over factors that take several held-out values; p is a logistic regression on standardised codes, the area is
that of held-out observations. 1/2 is chance.

Reference: Ridgeway & Mozer, "Learning deep disentangled embeddings with the F-statistic loss" (NeurIPS 2018),
section 3, https://arxiv.org/abs/1802.05312; settings as by Locatello et al. (2019).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_auroc

from lsgen.metrics.disentanglement.base import DisentanglementMetric, split_indices
from lsgen.metrics.disentanglement.information import recode
from lsgen.metrics.disentanglement.predictors.logistic import LogisticRegression

__all__ = ["Explicitness", "area_under_curve"]


class Explicitness(DisentanglementMetric):
    """The explicitness score, between 1/2 (chance) and 1.

    Args:
        test_fraction: part of the observations held out.
        max_iter: largest number of iterations of a fit.
        seed: seed of the split.

    """

    parts: ClassVar[tuple[str, ...]] = ("explicitness", "train_explicitness")
    independent_factors: ClassVar[bool] = False

    def __init__(self, test_fraction: float = 1 / 3, max_iter: int = 100, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.test_fraction, self.max_iter, self.seed = test_fraction, max_iter, seed

    def score(self, codes: Tensor, factors: Tensor) -> dict[str, Tensor]:
        """Return the score on held-out and on fitted observations, and the score of each factor."""
        values, sizes = recode(factors)
        train, test = split_indices(len(codes), self.test_fraction, self.seed, codes.device)
        scale = codes[train].std(0, correction=0)
        x = (codes - codes[train].mean(0)) / torch.where(scale > 0, scale, 1.0)
        held_out, fitted = [], []
        for j, size in enumerate(sizes):
            y = values[:, j]
            model = LogisticRegression(penalty=1.0, max_iter=self.max_iter)
            model.fit(x[train], y[train], size)
            held_out.append(area_under_curve(model(x[test]).exp(), y[test]))
            fitted.append(area_under_curve(model(x[train]).exp(), y[train]))
        per_factor = torch.stack(held_out)
        return {
            "explicitness": per_factor.nanmean(),
            "train_explicitness": torch.stack(fitted).nanmean(),
            "per_factor": per_factor,
        }


def area_under_curve(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the area under the ROC curve of each class against the rest, averaged over classes that both occur.

    Args:
        probabilities: one column for each class, (N, K).
        labels: classes (N,).

    Returns:
        A scalar, NaN if one class has all observations; a tie counts one half.

    """
    known, own = torch.unique(labels, return_inverse=True)
    if len(known) < 2:
        return probabilities.new_tensor(torch.nan)
    return multiclass_auroc(probabilities[:, known], own, len(known), validate_args=False).to(probabilities)
