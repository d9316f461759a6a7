r"""InfoMEC: modularity, explicitness and compactness measured in information.

With NMI_ji = I(s_j; z_i) / H(s_j) over the active codes i,

    InfoM = ( 1/d sum_i max_j NMI_ji / sum_j NMI_ji - 1/k ) / (1 - 1/k),
    InfoC = ( 1/k sum_j max_i NMI_ji / sum_i NMI_ji - 1/d ) / (1 - 1/d),
    InfoE = 1/k sum_j ( log K_j - H(s_j | logistic regression on z) ) / log K_j .

A code is active where its range exceeds a twentieth of the largest. I is Ross' nearest-neighbour estimate for
continuous codes, with noise of 1e-10 standard deviations that breaks ties, and the plug-in estimate for discrete ones.

Reference: Hsu, Dorrell, Whittington, Wu & Finn, "Disentanglement via latent quantization" (NeurIPS 2023), section 4,
https://arxiv.org/abs/2305.18378.
"""

from __future__ import annotations

from math import log
from typing import Any, ClassVar

import torch
from torch import Tensor

from lsgen.metrics.disentanglement.base import DisentanglementMetric
from lsgen.metrics.disentanglement.information import (
    entropy,
    mutual_information,
    nearest_neighbour_information,
    recode,
)
from lsgen.metrics.disentanglement.predictors.logistic import LogisticRegression

__all__ = ["InfoMEC"]

TIE = 1e-10


class InfoMEC(DisentanglementMetric):
    """The InfoMEC score; `part` chooses "modularity", "explicitness" or "compactness".

    Args:
        discrete: whether codes take few values.
        neighbours: neighbours of Ross' estimate.
        max_iter: largest number of iterations of a logistic regression, which is not penalised and so need not converge
            where classes are separable.

    Raises:
        ValueError: a factor has one value only.

    """

    parts: ClassVar[tuple[str, ...]] = ("modularity", "explicitness", "compactness")
    least_factors: ClassVar[int] = 2

    def __init__(self, discrete: bool = False, neighbours: int = 10, max_iter: int = 20, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.discrete, self.neighbours, self.max_iter = discrete, neighbours, max_iter

    def score(self, codes: Tensor, factors: Tensor) -> dict[str, Tensor]:
        """Return the three parts, the number of active codes and NMI (k, d)."""
        sources, sizes = recode(factors)
        if min(sizes) < 2:
            raise ValueError(f"expected factors that take at least 2 values, got {sizes}")
        normalised = self._information(codes, sources) / entropy(sources)[:, None]
        extent = codes.amax(0) - codes.amin(0)
        active = extent > (0 if self.discrete else extent.max() / 20)
        pruned = normalised[:, active]
        return {
            "modularity": _dominance(pruned.T),
            "explicitness": self._explicitness(codes, sources, sizes),
            "compactness": _dominance(pruned),
            "active": active.sum().double(),
            "normalised_information": normalised,
        }

    def _information(self, codes: Tensor, sources: Tensor) -> Tensor:
        if self.discrete:
            return mutual_information(sources, recode(codes)[0])
        noise = torch.randn(codes.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        x = (codes - codes.mean(0)) / _positive(codes.std(0, correction=0)) + TIE * noise.to(codes)
        return torch.stack([nearest_neighbour_information(x, s, self.neighbours) for s in sources.unbind(1)])

    def _explicitness(self, codes: Tensor, sources: Tensor, sizes: list[int]) -> Tensor:
        x = _one_hot(codes) if self.discrete else (codes - codes.mean(0)) / _positive(codes.std(0, correction=0))
        gained = []
        for source, size in zip(sources.unbind(1), sizes, strict=True):
            model = LogisticRegression(0.0, balanced=True, max_iter=self.max_iter)
            log_p = model.fit(x, source, size)(x)
            conditional = -log_p.gather(1, source[:, None]).mean()
            gained.append((log(size) - conditional) / log(size))
        return torch.stack(gained).mean()


def _dominance(matrix: Tensor) -> Tensor:
    """Return how far the largest entry of a row dominates it, averaged: 0 for equal entries, 1 for one alone."""
    columns = matrix.shape[1]
    if columns < 2 or not len(matrix):
        return matrix.new_full((), float(columns == 1))
    share = matrix.amax(1) / _positive(matrix.sum(1))
    return (share.mean() - 1 / columns) / (1 - 1 / columns)


def _positive(value: Tensor) -> Tensor:
    return torch.where(value > 0, value, 1.0)


def _one_hot(codes: Tensor) -> Tensor:
    values, sizes = recode(codes)
    return torch.cat(
        [torch.nn.functional.one_hot(v, size) for v, size in zip(values.unbind(1), sizes, strict=True)], dim=1
    ).to(codes)
