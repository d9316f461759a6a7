r"""Likelihood bounds over a data set, accumulated as sums and counts, so that they do not depend on the batches.

    ELBO = 1/N sum_n ( E_q[log p(x_n|z)] - KL(q(z|x_n) || p(z)) )                        nats per observation

An active unit is a latent dimension whose posterior mean moves with the data, Var_x(E_q[z_i|x]) > 0.01.

Reference: Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders" (2016), section 5.2,
https://arxiv.org/abs/1509.00519.
"""

from __future__ import annotations

from math import log, log2
from typing import Any, Protocol

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["ActiveUnits", "EvidenceLowerBound", "bits_per_dimension"]


class LossTerms(Protocol):
    """The protocol of objects with the terms of a bound for each observation, such as the losses of a model."""

    @property
    def reconstruction(self) -> Tensor:
        """-log p(x|z) per observation, (B,)."""

    @property
    def kl(self) -> Tensor:
        """KL per observation and latent dimension, (B, d)."""


class EvidenceLowerBound(Metric):
    """The ELBO and its terms, exact over all observations seen, in nats per observation.

    `update(losses)` takes per-observation terms; `compute()` returns `elbo`, `reconstruction` and `kl`,
    scalars, and `kl_per_dimension`, (d,). Sums are kept in float64 and add up over processes.

    Args:
        dim: columns of the KL terms: the latent dimension d, 1 where the KL does not factorise over dimensions, 0
            for point posteriors, which have no bound: `kl` and `elbo` are NaN then.

    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    observations: Tensor
    reconstruction_sum: Tensor
    kl_sum: Tensor

    def __init__(self, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("observations", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("reconstruction_sum", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("kl_sum", torch.zeros(dim, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, losses: LossTerms) -> None:
        """Add the terms of one batch."""
        self.observations += len(losses.reconstruction)
        self.reconstruction_sum += losses.reconstruction.sum(dtype=torch.float64)
        self.kl_sum += losses.kl.sum(0, dtype=torch.float64)

    def compute(self) -> dict[str, Tensor]:
        """Return the averages over all observations."""
        reconstruction = self.reconstruction_sum / self.observations
        kl_per_dimension = self.kl_sum / self.observations
        kl = kl_per_dimension.sum() if len(kl_per_dimension) else reconstruction * torch.nan
        return {
            "elbo": -(reconstruction + kl),
            "reconstruction": reconstruction,
            "kl": kl,
            "kl_per_dimension": kl_per_dimension,
        }


class ActiveUnits(Metric):
    """The number of latent dimensions whose posterior mean varies with the data.

    Args:
        dim: latent dimension d.
        threshold: smallest variance of the posterior mean that counts, 0.01 in the paper.

    Raises:
        ValueError: the threshold is negative.

    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    observations: Tensor
    total: Tensor
    total_squares: Tensor

    def __init__(self, dim: int, threshold: float = 0.01, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if threshold < 0:
            raise ValueError(f"expected a variance threshold of at least 0, got {threshold}")
        self.threshold = threshold
        self.add_state("observations", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros(dim, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("total_squares", torch.zeros(dim, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, posterior_mean: Tensor) -> None:
        """Add posterior means (N, d)."""
        mean = posterior_mean.double()
        self.observations += len(mean)
        self.total += mean.sum(0)
        self.total_squares += mean.square().sum(0)

    @property
    def variances(self) -> Tensor:
        """The variance of the posterior mean of every latent dimension so far, (d,)."""
        mean = self.total / self.observations
        return (self.total_squares / self.observations - mean.square()).clamp(min=0)

    def compute(self) -> Tensor:
        """Return the number of active units, a scalar."""
        return (self.variances > self.threshold).sum()


def bits_per_dimension(elbo: Tensor, dimensions: float, levels: int = 1) -> Tensor:
    r"""Return the bound on the code length of one data dimension, -ELBO / (D ln 2) + log2(levels).

    Args:
        elbo: nats per observation.
        dimensions: the data dimension D; of data with missing values how many are observed on average.
        levels: for a density over dequantised data that were scaled to [0, 1], the number of grey levels; the
            change of variables to the original units adds log2(levels). 1 for a probability mass function.

    Returns:
        Bits per dimension, of the shape of `elbo`. It means something for discrete or dequantised data only.

    Reference:
        Theis, van den Oord & Bethge, "A note on the evaluation of generative models" (2016), section 3.1,
        https://arxiv.org/abs/1511.01844.

    Example:
        >>> bits_per_dimension(torch.tensor(-0.693147), dimensions=1).round(decimals=3)
        tensor(1.)

    """
    return -elbo / (dimensions * log(2)) + log2(levels)
