r"""The intra-class Frechet distance: the quality of a conditional generator class by class.

    intra-FD = 1/K sum_c FD( features of real observations of class c, of generated ones of class c )

It sees a generator that ignores its label or has lost the diversity within a class, which the distance over all classes
hides. Every class has fewer observations than all together, so its values are higher.

Reference: Miyato & Koyama, "cGANs with projection discriminator" (2018), https://arxiv.org/abs/1802.05637, section 4.2.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from lsgen.metrics.quality.frechet import Moments, add_gram, frechet_distance, moments_of

__all__ = ["IntraFrechetDistance"]


class IntraFrechetDistance(Metric):
    """The Frechet distance within every class, and its mean.

    Args:
        dim: number of features m.
        classes: number of classes K.

    Raises:
        ValueError: dim is not positive or there are fewer than two classes; on `compute`, a class has fewer than two
            observations of a kind.

    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    n: Tensor
    total: Tensor
    gram: Tensor

    def __init__(self, dim: int, classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if dim < 1 or classes < 2:
            raise ValueError(f"expected at least 1 feature and 2 classes, got {dim} and {classes}")
        self.classes = int(classes)
        self.add_state("n", torch.zeros(2, classes, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros(2, classes, dim, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("gram", torch.zeros(2, classes, dim, dim, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, features: Tensor, label: Tensor, real: bool) -> None:
        """Add features (N, m) of observations of the classes `label` (N,), real or generated ones."""
        for c in label.unique().tolist():
            x = features[label == c].double()
            self.n[int(real), c] += len(x)
            self.total[int(real), c] += x.sum(0)
            add_gram(self.gram[int(real), c], x)

    def moments(self, label: int, real: bool) -> Moments:
        """Return the moments of one class.

        Raises:
            ValueError: it has fewer than two observations of that kind.

        """
        kind = int(real)
        if self.n[kind, label] < 2:
            what = "real" if real else "generated"
            raise ValueError(f"expected at least 2 {what} observations of class {label}, got {self.n[kind, label]}")
        return moments_of(self.n[kind, label], self.total[kind, label], self.gram[kind, label])

    def compute(self) -> dict[str, Tensor]:
        """Return `mean`, a float64 scalar, and `classes`, the distances (K,)."""
        distances = [frechet_distance(self.moments(c, True), self.moments(c, False)) for c in range(self.classes)]
        stacked = torch.stack(distances)
        return {"mean": stacked.mean(), "classes": stacked}
