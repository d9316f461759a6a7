r"""Modularity: whether each code has information about at most one factor.

    modularity_i = 1 - sum_{j != j*} I_ij^2 / ( (k - 1) I_ij*^2 ),    j* = argmax_j I_ij ,

averaged over codes; a code that knows nothing counts as 0.

Reference: Ridgeway & Mozer, "Learning deep disentangled embeddings with the F-statistic loss" (NeurIPS 2018),
section 3, https://arxiv.org/abs/1802.05312.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from lsgen.metrics.disentanglement.base import DisentanglementMetric
from lsgen.metrics.disentanglement.information import histogram, mutual_information, recode

__all__ = ["Modularity"]


class Modularity(DisentanglementMetric):
    """Modularity, between 0 and 1.

    Args:
        bins: number of bins of each code.

    """

    parts: ClassVar[tuple[str, ...]] = ("modularity",)
    least_factors: ClassVar[int] = 2

    def __init__(self, bins: int = 20, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bins = bins

    def score(self, codes: Tensor, factors: Tensor) -> dict[str, Tensor]:
        """Return the score, the score of each code, and the information (d, k) in nats."""
        information = mutual_information(histogram(codes, self.bins), recode(factors)[0])
        squared = information**2
        largest = squared.amax(1)
        rest = (squared.sum(1) - largest) / (factors.shape[1] - 1)
        per_code = torch.where(largest > 0, 1 - rest / largest, 0.0)
        return {"modularity": per_code.mean(), "per_code": per_code, "mutual_information": information}
