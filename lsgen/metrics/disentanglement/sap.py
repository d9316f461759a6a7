r"""Separated attribute predictability: the gap between the two single codes that predict a factor best.

    SAP = 1/k sum_j ( S_i1j - S_i2j ),

where S_ij is the squared correlation of code i and factor j, or, for factors without an order, the held-out accuracy of
a linear support vector machine that sees code i alone.

Reference: Kumar, Sattigeri & Balakrishnan, "Variational inference of disentangled latent concepts from unlabeled
observations" (ICLR 2018), section 3, https://openreview.net/forum?id=H1kG7GZAW; machines with C = 0.01 and balanced
classes as by Locatello et al. (2019).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from lsgen.metrics.disentanglement.base import DisentanglementMetric, split_indices
from lsgen.metrics.disentanglement.predictors.svm import fit_margins

__all__ = ["SAP"]


class SAP(DisentanglementMetric):
    """The separated attribute predictability score.

    Args:
        continuous: whether factors are numbers, scored by squared correlation, instead of classes.
        cost: the constant C of the machines.
        test_fraction: part of the observations on which machines are tested.
        seed: seed of the split.

    """

    parts: ClassVar[tuple[str, ...]] = ("sap",)

    def __init__(
        self,
        continuous: bool = False,
        cost: float = 0.01,
        test_fraction: float = 1 / 3,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.continuous, self.cost, self.test_fraction, self.seed = continuous, cost, test_fraction, seed

    def score(self, codes: Tensor, factors: Tensor) -> dict[str, Tensor]:
        """Return the score and the predictabilities (d, k)."""
        matrix = _squared_correlation(codes, factors.to(codes)) if self.continuous else self._accuracy(codes, factors)
        top = torch.nn.functional.pad(matrix, (0, 0, 0, 1)).topk(2, dim=0).values
        return {"sap": (top[0] - top[1]).mean(), "predictability": matrix}

    def _accuracy(self, codes: Tensor, factors: Tensor) -> Tensor:
        train, test = split_indices(len(codes), self.test_fraction, self.seed, codes.device)
        columns = []
        for factor in factors.unbind(1):
            known, y = torch.unique(factor[train], return_inverse=True)
            if len(known) == 1:
                columns.append((factor[test] == known).double().mean().expand(codes.shape[1]))
                continue
            w, b = fit_margins(codes[train], y, len(known), self.cost)
            columns.append(_held_out(codes[test], factor[test], known, w, b))
        return torch.stack(columns, dim=1)


def _held_out(x: Tensor, factor: Tensor, known: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Return the accuracy of each code (d,)."""
    named = [known[(column[:, None] * w_i + b_i).argmax(1)] for column, w_i, b_i in zip(x.T, w, b, strict=True)]
    return (torch.stack(named) == factor).double().mean(1)


def _squared_correlation(codes: Tensor, factors: Tensor) -> Tensor:
    codes, factors = codes - codes.mean(0), factors - factors.mean(0)
    covariance = codes.T @ factors / (len(codes) - 1)
    variance, spread = codes.var(0)[:, None], factors.var(0)
    known = (variance > 1e-12) & (spread > 0)
    return torch.where(known, covariance**2 / torch.where(known, variance * spread, 1.0), 0.0)
