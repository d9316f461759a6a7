r"""The joint entropy minus mutual information gap: what the best code of a factor holds besides it, and who else knows.

    JEMMIG(v_j) = H(z_i1, v_j) - I(z_i1; v_j) + I(z_i2; v_j)

for the two codes i1, i2 that know most about v_j; of codes that know as much, i1 is the one of least entropy. Unlike
the mutual information gap it charges a code for knowing several factors: H(z, v) - I(z; v) = H(z|v) + H(v|z). It is 0
for a code that is its factor alone, with nothing left to the second, and at most H(v_j) + log B with codes in B bins,
where the best knows nothing and fills its bins evenly:

    score = 1/k sum_j 1 - JEMMIG(v_j) / ( H(v_j) + log B )      in [0, 1], 1 is best; the paper has 0 as the best.

Entropies depend on the bins, so that only values of equal B compare. A code that is finer than its factor is charged:
B bins of a code that orders v_j perfectly leave H(z|v) > 0 unless its values fall into as many bins as v_j has.

Reference: Do & Tran, "Theory and evaluation metrics for learning disentangled representations" (ICLR 2020),
https://arxiv.org/abs/1908.09961. Codes are posterior means in equal bins of their range, as for the other scores here.
"""

from __future__ import annotations

from math import log
from typing import Any, ClassVar

import torch
from torch import Tensor

from lsgen.metrics.disentanglement.base import DisentanglementMetric
from lsgen.metrics.disentanglement.information import entropy, histogram, mutual_information, recode

__all__ = ["JEMMIG"]

TIE = 1e-9  # nats of information, for each nat of entropy, that are rounding


class JEMMIG(DisentanglementMetric):
    """The joint entropy minus mutual information gap; `part` chooses "score", in [0, 1], or "nats", where 0 is best.

    Args:
        bins: number B of bins of each code.

    Raises:
        ValueError: there are fewer than 2 bins.

    """

    parts: ClassVar[tuple[str, ...]] = ("score", "nats")

    def __init__(self, bins: int = 20, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if bins < 2:
            raise ValueError(f"expected at least 2 bins, got {bins}")
        self.bins = bins

    def score(self, codes: Tensor, factors: Tensor) -> dict[str, Tensor]:
        """Return both parts, the nats of each factor and the information (d, k) in nats."""
        values, cut = recode(factors)[0], histogram(codes, self.bins)
        information, of_code, of_factor = mutual_information(cut, values), entropy(cut), entropy(values)
        best, second = torch.nn.functional.pad(information, (0, 0, 0, 1)).topk(2, dim=0).values
        chosen = (information - TIE * of_code[:, None]).argmax(0)
        joint = of_code[chosen] + of_factor - best
        per_factor = joint - best + second
        share = per_factor / (of_factor + log(self.bins))
        parts = {"score": (1 - share).mean(), "nats": per_factor.mean()}
        return {**parts, "per_factor": per_factor, "mutual_information": information}
