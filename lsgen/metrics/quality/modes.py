r"""Mode coverage of samples from a known mixture of isotropic Gaussians.

    good      share of samples within 3 sigma of the nearest centre
    modes     number of centres with at least one good sample nearest to them
    kl        KL( shares of the modes among good samples || uniform ), in nats

The mixture itself has good = 1 - exp(-9/2) = 0.989 in the plane.

Reference: Srivastava et al., "VEEGAN" (2017), https://arxiv.org/abs/1705.07761, section 4.1; Lin et al., "PacGAN"
(2018), https://arxiv.org/abs/1712.04086, section 4.1; both draw 2,500 samples.
"""

from __future__ import annotations

from math import log
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from lsgen.data.toys.distributions import GaussianMixture, toy_set

__all__ = ["ModeCoverage", "toy_coverage"]


class ModeCoverage(Metric):
    """The number of modes of a Gaussian mixture that samples reach, and the share of samples near any mode.

    Args:
        centres: means of the modes, (K, D).
        sigma: standard deviation of every mode.
        radius: distance from a centre, in sigma, up to which a sample is good.

    Raises:
        ValueError: sigma or radius is not positive, or the centres are no matrix.

    """

    is_differentiable = False
    full_state_update = False

    centres: Tensor
    counts: Tensor
    samples: Tensor

    def __init__(self, centres: Tensor, sigma: float, radius: float = 3.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if centres.ndim != 2:
            raise ValueError(f"expected centres of shape (K, D), got {tuple(centres.shape)}")
        if not (sigma > 0 and radius > 0):
            raise ValueError(f"expected sigma and radius above 0, got {sigma} and {radius}")
        self.register_buffer("centres", centres.double(), persistent=False)
        self.limit = float(sigma) * float(radius)
        self.add_state("counts", torch.zeros(len(centres), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("samples", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, x: Tensor) -> None:
        """Add samples (N, D).

        Raises:
            ValueError: the samples have another dimension than the centres.

        """
        if x.shape[1:] != self.centres.shape[1:]:
            raise ValueError(f"expected samples of shape (N, {self.centres.shape[1]}), got {tuple(x.shape)}")
        distances = torch.linalg.vector_norm(x.double()[:, None] - self.centres, dim=-1)
        nearest, mode = distances.min(1)
        self.counts.index_add_(0, mode, (nearest <= self.limit).to(self.counts))
        self.samples += len(x)

    def compute(self) -> dict[str, Tensor]:
        """Return `modes`, `good` and `kl`, scalars; kl is NaN where no sample is good."""
        shares = self.counts / self.counts.sum()
        return {
            "modes": (self.counts > 0).sum(),
            "good": self.counts.sum() / self.samples,
            "kl": torch.special.xlogy(shares, shares).sum() + log(len(self.counts)),
        }


def toy_coverage(name: str, noise: float | None = None, radius: float = 3.0) -> ModeCoverage:
    """Return the coverage metric of a toy set that is a mixture of Gaussians.

    Args:
        name: "eight_gaussians" or "twenty_five_gaussians".
        noise: standard deviation of every mode; the customary one where it is None.
        radius: see `ModeCoverage`.

    Raises:
        ValueError: the set is no mixture of Gaussians.

    """
    mixture = toy_set(name, noise)
    if not isinstance(mixture, GaussianMixture):
        raise ValueError(f"expected a mixture of Gaussians, whose modes can be counted, got {name}")
    return ModeCoverage(mixture.centres, mixture.noise, radius)
