r"""Precision, recall, density and coverage, from balls around features that estimate the support of a distribution.

With B(x) the closed ball around x that reaches its k-th nearest neighbour within its own set,

    precision = mean_j 1[ y_j in some B(x_i) ]         density  = 1/(k M) sum_j #{ i : y_j in B(x_i) }
    recall    = mean_i 1[ x_i in some B(y_j) ]         coverage = mean_i 1[ some y_j in B(x_i) ]

for real features x_i and generated ones y_j, i <= N, j <= M.

Membership is exact, `chunk_size` rows of distances at a time: see `lsgen.latent.neighbours`.

Reference: Kynkaanniemi et al. (2019), https://arxiv.org/abs/1904.06991, k = 3; Naeem et al. (2020),
https://arxiv.org/abs/2002.09797, k = 5. Each pair has the k of its authors unless another is given for all four.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lsgen.latent.neighbours import ball_members, nearest_neighbours

__all__ = ["PrecisionRecall", "neighbours", "precision_recall"]


def neighbours(k: int | None) -> tuple[int, int]:
    """Return the k of precision and recall and the k of density and coverage; the values of the papers if k is None."""
    return (3, 5) if k is None else (k, k)


def precision_recall(real: Tensor, fake: Tensor, k: int | None = None, chunk_size: int = 2048) -> dict[str, Tensor]:
    """Return precision, recall, density and coverage of generated features (M, m) against real ones (N, m).

    Args:
        real: features of real observations, (N, m).
        fake: features of generated ones, (M, m).
        k: which neighbour a ball reaches; 3 for precision and recall, 5 for density and coverage unless given.
        chunk_size: rows of distances at a time.

    Raises:
        ValueError: there are no k + 1 observations of a kind.

    """
    real, fake = (x if x.dtype == torch.float64 else x.float() for x in (real, fake))
    k, k_density = neighbours(k)
    for x in (real, fake):
        for value in (k, k_density):
            if not 1 <= value < len(x):
                most = len(x) - 1
                raise ValueError(f"expected k between 1 and {most}, as there are {len(x)} observations, got {value}")
    far = nearest_neighbours(real, None, max(k, k_density), chunk_size=chunk_size).distances
    radii, density_radii = far[:, k - 1], far[:, k_density - 1]
    fake_radii = nearest_neighbours(fake, None, k, chunk_size=chunk_size).distances[:, -1]
    precise = torch.zeros(len(fake), dtype=torch.bool, device=fake.device)
    inside = torch.zeros(len(fake), dtype=torch.long, device=fake.device)
    recalled, covered = [], []
    balls = radii[:, None], density_radii[:, None], fake_radii
    for near, dense, back in ball_members(real, fake, balls, chunk_size):
        precise |= near.any(0)
        inside += dense.sum(0)
        covered.append(dense.any(1))
        recalled.append(back.any(1))
    return {
        "precision": precise.double().mean(),
        "recall": torch.cat(recalled).double().mean(),
        "density": inside.double().mean() / k_density,
        "coverage": torch.cat(covered).double().mean(),
    }


class PrecisionRecall(Metric):
    """Precision, recall, density and coverage of generated observations in a feature space.

    Args:
        k: which neighbour a ball reaches; 3 for precision and recall, 5 for density and coverage unless given.
        chunk_size: rows of distances at a time.

    Raises:
        ValueError: k or chunk_size is not positive; on `compute`, there are no k + 1 observations of a kind.

    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    real: list[Tensor]
    fake: list[Tensor]

    def __init__(self, k: int | None = None, chunk_size: int = 2048, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if neighbours(k)[0] < 1 or chunk_size < 1:
            raise ValueError(f"expected k and chunk_size of at least 1, got {k} and {chunk_size}")
        self.k, self.chunk_size = k, chunk_size
        self.add_state("real", [], dist_reduce_fx="cat")
        self.add_state("fake", [], dist_reduce_fx="cat")

    def update(self, features: Tensor, real: bool) -> None:
        """Add features (N, m) of real or of generated observations."""
        (self.real if real else self.fake).append(features)

    def compute(self) -> dict[str, Tensor]:
        """Return `precision`, `recall`, `density` and `coverage`, float64 scalars."""
        return precision_recall(dim_zero_cat(self.real), dim_zero_cat(self.fake), self.k, self.chunk_size)
