r"""The interventional robustness score: how much other factors move a code while one factor is fixed.

    EMPIDA_ij = < q-quantile of |z_i - E[z_i | v_j]| given v_j >_{values of v_j},
    IRS = sum_i w_i max_j ( 1 - EMPIDA_ij / D_i ) / sum_i w_i,      w_i = D_i = max |z_i - E z_i| .

Reference: Suter, Miladinovic, Schoelkopf & Bauer, "Robustly disentangled causal mechanisms" (ICML 2019), section 4,
https://arxiv.org/abs/1811.00007; the maximum there is the quantile q = 1, and Locatello et al. use q = 0.99.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from lsgen.metrics.disentanglement.base import DisentanglementMetric
from lsgen.metrics.disentanglement.information import histogram, recode

__all__ = ["IRS"]


class IRS(DisentanglementMetric):
    """The interventional robustness score, at most 1; constant codes are left out.

    Args:
        quantile: the quantile q of deviations within a group.
        bins: number of equal bins that factors are cut into; None holds each value on its own.

    Raises:
        ValueError: quantile is not in (0, 1].

    """

    parts: ClassVar[tuple[str, ...]] = ("irs",)

    def __init__(self, quantile: float = 0.99, bins: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < quantile <= 1:
            raise ValueError(f"expected a quantile in (0, 1], got {quantile}")
        self.quantile, self.bins = quantile, bins

    def score(self, codes: Tensor, factors: Tensor) -> dict[str, Tensor]:
        """Return the score, the robustness (d', k) of the codes that vary, and the factor (d',) each belongs to."""
        held = factors if self.bins is None else histogram(factors.double(), self.bins)
        values, sizes = recode(held)
        varying = codes[:, codes.var(0) > 0]
        largest = (varying - varying.mean(0)).abs().amax(0)
        within = [self._within(varying, values[:, j], size) for j, size in enumerate(sizes)]
        robustness = 1 - torch.stack(within, dim=1) / largest[:, None]
        best, parent = robustness.max(1) if varying.shape[1] else (robustness.new_zeros(0), torch.zeros(0))
        score = (best * largest).sum() / largest.sum() if varying.shape[1] else codes.new_zeros(())
        return {"irs": score, "robustness": robustness, "parent": parent}

    def _within(self, codes: Tensor, value: Tensor, size: int) -> Tensor:
        """Return the quantile of deviations within groups of equal value, averaged over the groups, (d,)."""
        count = torch.bincount(value, minlength=size)
        place = torch.arange(int(count.max()), device=codes.device)
        absent = place >= count[:, None]
        member = ((count.cumsum(0) - count)[:, None] + place).clamp(max=len(value) - 1)
        # One row for each group, of the length of the largest: (d, size, members).
        rows = codes.T.index_select(1, value.argsort(stable=True)[member.flatten()]).unflatten(1, absent.shape)
        mean = rows.masked_fill(absent, 0.0).sum(2) / count
        deviation = rows.sub_(mean[:, :, None]).abs_().masked_fill_(absent, -1.0)
        # A quantile near 1 needs a few of the largest deviations only.
        position = self.quantile * (count - 1).to(codes)
        below = count - 1 - position.floor().to(torch.int64)
        largest = deviation.topk(int(below.max()) + 1, dim=2).values
        low, high = (
            largest.gather(2, at.expand(len(largest), -1).unsqueeze(2)).squeeze(2)
            for at in (below, (below - 1).clamp(min=0))
        )
        return torch.lerp(low, high, position - position.floor()).mean(1)
