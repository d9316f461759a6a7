r"""The interventional robustness score: what else moves a code once one factor is held.

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
    """Interventional robustness score, at most 1; codes that are constant are left out.

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
        mean = codes.new_zeros(size, codes.shape[1]).index_add_(0, value, codes) / count[:, None]
        deviation = (codes - mean[value]).abs().T
        # Group and deviation as one number: a single sort orders deviations within each group.
        scale = 2 * deviation.amax(1, keepdim=True).clamp(min=torch.finfo(codes.dtype).tiny)
        group = torch.arange(size, device=codes.device).repeat_interleave(count)
        grouped = ((deviation / scale + value).sort(dim=1).values - group) * scale
        position = self.quantile * (count - 1)
        below = position.floor().to(torch.int64)
        start = count.cumsum(0) - count
        low = grouped[:, start + below]
        high = grouped[:, start + torch.minimum(below + 1, count - 1)]
        return torch.lerp(low, high, (position - below).to(codes)).mean(1)
