r"""Explicitness and size, the E and S of DCI-ES: how capable a predictor of factors must be, and how long the code is.

Predictors of growing capacity kappa_0 < ... < kappa_T are fitted to each factor; l_t is the least held-out loss with a
capacity of up to kappa_t. The area between this loss-capacity curve and its least value, relative to that of a straight
line from the loss l_b of the best constant prediction down to 0, is what explicitness lacks,

    E_j = 1 - sum_t (kappa_t - kappa_(t-1)) ( (l_t + l_(t-1)) / 2 - l_T )  /  ( (kappa_T - kappa_0) l_b / 2 ) ,

averaged over factors: 1 where the least capable predictor is as good as any, 0 for the straight line, below 0 where
capacity does not help until late. A code that knows nothing has a flat curve, and E = 1: E says something only beside
informativeness, here 1 - l_T. The size is S = k / d for k factors and d codes.

Predictors are random forests whose capacity is the depth of their trees, and the loss is the share of wrong
predictions, l_b that of the value that is most frequent in training. D, C and I are those of `DCI`.

Reference: Eastwood et al., "DCI-ES: An extended disentanglement framework with connections to identifiability" (ICLR
2023), https://arxiv.org/abs/2210.00364, section 4; depths, 100 trees, the running minimum and a least loss of 0 for the
straight line as in the code of its authors, which has 1 - R^2 in the place of the share for factors that are ordered.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

import torch
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor

from lsgen.metrics.disentanglement.base import DisentanglementMetric, split_indices

__all__ = ["DCIES", "curve_explicitness"]


class DCIES(DisentanglementMetric):
    """Explicitness, size and informativeness; `part` chooses one.

    Args:
        depths: depths of trees, the capacities, increasing.
        trees: trees of a forest.
        test_fraction: part of the observations held out.
        seed: seed of the split and of the forests.

    Raises:
        ValueError: there are fewer than 2 depths, they do not increase from at least 1, or there is no tree.

    """

    parts: ClassVar[tuple[str, ...]] = ("explicitness", "size", "informativeness")
    independent_factors: ClassVar[bool] = False

    def __init__(
        self,
        depths: Sequence[int] = (1, 2, 3, 4, 8, 10, 12, 14, 16, 18, 20, 32),
        trees: int = 100,
        test_fraction: float = 1 / 3,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if len(depths) < 2 or depths[0] < 1 or any(a >= b for a, b in pairwise(depths)) or trees < 1:
            raise ValueError(f"expected at least 2 increasing depths from 1 and a tree, got {depths} and {trees}")
        self.depths, self.trees = tuple(depths), trees
        self.test_fraction, self.seed = test_fraction, seed

    def score(self, codes: Tensor, factors: Tensor) -> dict[str, Tensor]:
        """Return the three parts, explicitness of each factor (k,), and the loss-capacity curves (k, T + 1)."""
        train, test = split_indices(len(codes), self.test_fraction, self.seed, codes.device)
        losses = torch.stack([self._curve(codes, y, train, test) for y in factors.unbind(1)])
        common = torch.stack([y[train].mode().values for y in factors.unbind(1)])
        baseline = (factors[test] != common).double().mean(0)
        capacity = torch.tensor(self.depths, dtype=torch.float64, device=codes.device)
        per_factor = curve_explicitness(capacity, losses, baseline)
        return {
            "explicitness": per_factor.nanmean(),
            "size": codes.new_tensor(factors.shape[1] / codes.shape[1]),
            "informativeness": 1 - losses.amin(1).mean(),
            "per_factor": per_factor,
            "losses": losses,
        }

    def _curve(self, codes: Tensor, y: Tensor, train: Tensor, test: Tensor) -> Tensor:
        """Return the held-out loss at each depth, (T + 1,)."""
        x, rest, own, other = (part.cpu().numpy() for part in (codes[train], codes[test], y[train], y[test]))
        losses = []
        for depth in self.depths:
            forest = RandomForestClassifier(self.trees, max_depth=depth, random_state=self.seed).fit(x, own)
            losses.append(1 - forest.score(rest, other))
        return codes.new_tensor(losses)


def curve_explicitness(capacity: Tensor, losses: Tensor, baseline: Tensor) -> Tensor:
    """Return the explicitness of loss-capacity curves, at most 1; NaN where a constant prediction has no loss.

    Args:
        capacity: increasing capacities (T + 1,).
        losses: losses at these, (k, T + 1).
        baseline: loss of the best constant prediction, (k,).

    """
    reached = losses.cummin(1).values
    above = (reached[:, 1:] + reached[:, :-1]) / 2 - reached[:, -1:]
    area = (above * capacity.diff()).sum(1)
    whole = (capacity[-1] - capacity[0]) * baseline / 2
    return torch.where(whole > 0, 1 - area / whole, torch.nan)
