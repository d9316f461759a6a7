r"""The mutual information gap.

    MIG = 1/k sum_j 1/H(v_j) ( I(z_i1; v_j) - I(z_i2; v_j) ),    i1, i2 the two codes that know most about v_j.

Reference: Chen, Li, Grosse & Duvenaud, "Isolating sources of disentanglement in variational autoencoders" (NeurIPS
2018), equation 6, https://arxiv.org/abs/1802.04942; with codes cut into 20 equal bins as by Locatello et al. (2019).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from lsgen.metrics.disentanglement.base import DisentanglementMetric
from lsgen.metrics.disentanglement.information import entropy, histogram, mutual_information, recode

__all__ = ["MutualInformationGap"]


class MutualInformationGap(DisentanglementMetric):
    """The mutual information gap, between 0 and 1; binning keeps even perfect codes slightly below 1.

    Args:
        bins: number of bins of each code.

    """

    parts: ClassVar[tuple[str, ...]] = ("mig",)

    def __init__(self, bins: int = 20, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bins = bins

    def score(self, codes: Tensor, factors: Tensor) -> dict[str, Tensor]:
        """Return the score, the gap of each factor and the information (d, k) in nats."""
        values, _ = recode(factors)
        information = mutual_information(histogram(codes, self.bins), values)
        gap = _gap(information) / entropy(values).clamp(min=torch.finfo(codes.dtype).tiny)
        return {"mig": gap.mean(), "gap": gap, "mutual_information": information}


def _gap(matrix: Tensor) -> Tensor:
    """Return the largest less the second largest entry of each column; the second is 0 where there is one row."""
    top = torch.nn.functional.pad(matrix, (0, 0, 0, 1)).topk(2, dim=0).values
    return top[0] - top[1]
