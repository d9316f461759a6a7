"""The base class of supervised disentanglement metrics, which gather codes and factors and score them at the end."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

__all__ = ["DisentanglementMetric", "split_indices"]


class DisentanglementMetric(Metric, ABC):
    """Abstract score of codes (N, d) against ground-truth factors (N, k).

    `update` gathers, `compute` returns one scalar, `terms` everything that was found on the way.

    Args:
        part: the entry of `terms` that `compute` returns.
        observations: how many of the observations given are scored, a random part of them that is the same every time;
            None scores all. Where fewer are given those are scored, and a warning says so.

    Raises:
        ValueError: there is no such part, or observations is less than 2.

    Attributes:
        independent_factors: whether the score takes factors to be independent, see
            `lsgen.metrics.disentanglement.factor_pairs.dependence`; where they are not it charges codes for what the
            data relate.

    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    parts: ClassVar[tuple[str, ...]]
    least_factors: ClassVar[int] = 1
    independent_factors: ClassVar[bool] = True

    codes: list[Tensor]
    factors: list[Tensor]

    def __init__(self, part: str | None = None, observations: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.part = self.parts[0] if part is None else part
        if self.part not in self.parts:
            raise ValueError(f"expected part to be one of {', '.join(self.parts)}, got {part!r}")
        if observations is not None and observations < 2:
            raise ValueError(f"expected at least 2 observations, got {observations}")
        self.observations = observations
        self.add_state("codes", [], dist_reduce_fx="cat")
        self.add_state("factors", [], dist_reduce_fx="cat")
        self._terms: dict[str, Tensor] = {}

    def update(self, codes: Tensor, factors: Tensor) -> None:
        """Add a batch.

        Args:
            codes: finite codes, one row for an observation, (B, d).
            factors: values of the ground-truth factors, integers (B, k).

        Raises:
            ValueError: wrong shapes, non-finite codes, or factors that are not integers.

        """
        if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors):
            shapes = f"{tuple(codes.shape)} and {tuple(factors.shape)}"
            raise ValueError(f"expected codes (B, d) and factors (B, k), got {shapes}")
        if factors.is_floating_point() or factors.shape[1] < self.least_factors:
            got = f"{factors.dtype} of shape {tuple(factors.shape)}"
            raise ValueError(f"expected integer factors with at least {self.least_factors} column(s), got {got}")
        if not bool(torch.isfinite(codes).all()):
            raise ValueError("expected finite codes, got NaN or infinity")
        self.codes.append(codes.detach())
        self.factors.append(factors.detach().to(torch.int64))

    def compute(self) -> Tensor:
        """Return the chosen part, a scalar."""
        codes, factors = dim_zero_cat(self.codes), dim_zero_cat(self.factors)
        if len(codes) < 2:
            raise ValueError(f"expected at least 2 observations, got {len(codes)}")
        chosen = self._chosen(len(codes)).to(codes.device)
        self._terms = self.score(codes[chosen].double(), factors[chosen])
        return self._terms[self.part]

    def _chosen(self, n: int) -> Tensor:
        """Return the indices, out of n, of the observations that are scored."""
        wanted = n if self.observations is None else self.observations
        if wanted > n:
            warnings.warn(f"{type(self).__name__} expected {wanted:,} observations, got {n:,}, scored", stacklevel=3)
        if wanted >= n:
            return torch.arange(n)
        return torch.randperm(n, generator=torch.Generator().manual_seed(0))[:wanted]

    def terms(self) -> dict[str, Tensor]:
        """Return all parts of the score, scalars, and the arrays they are computed from."""
        self.compute()
        return self._terms

    @abstractmethod
    def score(self, codes: Tensor, factors: Tensor) -> dict[str, Tensor]:
        """Return the terms for codes, float64 (N, d), and factors, int64 (N, k)."""


def split_indices(n: int, test_fraction: float, seed: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return disjoint random indices for fitting and for testing, at least one of each.

    Raises:
        ValueError: test_fraction is not inside (0, 1).

    """
    if not 0 < test_fraction < 1:
        raise ValueError(f"expected test_fraction between 0 and 1, got {test_fraction}")
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed)).to(device)
    test = min(max(round(n * test_fraction), 1), n - 1)
    return order[test:], order[:test]
