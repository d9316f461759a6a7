r"""WAE-MMD: a reconstruction, and the aggregate posterior matched to the prior by maximum mean discrepancy.

    loss = E_q[ -log p(x|z) ] + lambda MMD^2( q(z), p(z) )

The paper's cost is a squared error: a Gaussian likelihood of fixed sigma gives it, divided by 2 sigma^2 and up to a
constant.

Reference: Tolstikhin et al. (2018), algorithm 2, https://arxiv.org/abs/1711.01558.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from lsgen.latent import EncodableLatentSpace, InverseMultiquadric, Kernel, mmd_squared
from lsgen.models.losses import Losses
from lsgen.models.schedules import Schedule, as_schedule
from lsgen.models.vae.objective import Objective, sample_terms

__all__ = ["WAEMMD"]


class WAEMMD(Objective):
    """Reconstruction and maximum mean discrepancy, with deterministic or random encoders alike.

    Args:
        weight: lambda, a number or a schedule in generator steps.
        kernel: kernel of the discrepancy; the paper's sum of inverse multiquadrics unless given.
        unbiased: whether the discrepancy leaves out pairs of a code with itself, as in the paper.

    """

    divergence = False
    draws = True

    def __init__(self, weight: float | Schedule = 10.0, kernel: Kernel | None = None, unbiased: bool = True) -> None:
        super().__init__()
        self.weight, self.kernel, self.unbiased = as_schedule(weight), kernel, unbiased

    @property
    def least_batch(self) -> int:
        """Two for an unbiased discrepancy, which has pairs of different codes only."""
        return 2 if self.unbiased else 1

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return reconstruction + lambda MMD^2."""
        terms = sample_terms(space, batch["x"])
        kernel = InverseMultiquadric.for_dimension(space.dim) if self.kernel is None else self.kernel
        mmd = mmd_squared(terms.z, space.prior.draw(len(terms.z)), kernel, self.unbiased)
        weight = self.weight(step)
        return terms.losses(
            terms.reconstruction.mean() + weight * mmd,
            {"lambda": weight},
            {"mmd_squared": mmd.detach()},
        )
