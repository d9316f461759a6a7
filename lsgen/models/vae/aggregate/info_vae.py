r"""InfoVAE: the KL of each posterior, and a divergence of the aggregate posterior from the prior.

    loss = E_q[ -log p(x|z) ] + (1 - alpha) KL( q(z|x) || p(z) ) + (alpha + lambda - 1) MMD^2( q(z), p(z) )

alpha = 0, lambda = 1 is the ELBO; alpha = 1 leaves the information between x and z alone ("MMD-VAE").

Reference: Zhao, Song & Ermon (2019), equation 6, https://arxiv.org/abs/1706.02262.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from lsgen.latent import RBF, EncodableLatentSpace, Kernel, mmd_squared
from lsgen.models.losses import Losses
from lsgen.models.schedules import Constant, Schedule, as_schedule
from lsgen.models.vae.objective import Objective, sample_terms

__all__ = ["InfoVAE"]


class InfoVAE(Objective):
    """Reconstruction, KL and maximum mean discrepancy.

    Args:
        alpha: how much of the mutual information the KL no longer penalises.
        weight: lambda, a number or a schedule in generator steps.
        kernel: kernel of the discrepancy; Gaussian with l = d / sqrt(2), as in the authors' code, unless given.
        unbiased: whether the discrepancy leaves out pairs of a code with itself.

    """

    draws = True

    def __init__(
        self,
        alpha: float | Schedule = 0.0,
        weight: float | Schedule = 1000.0,
        kernel: Kernel | None = None,
        unbiased: bool = False,
    ) -> None:
        super().__init__()
        self.alpha, self.weight, self.kernel, self.unbiased = as_schedule(alpha), as_schedule(weight), kernel, unbiased

    @property
    def least_batch(self) -> int:
        """Two for an unbiased discrepancy, which has pairs of different codes only."""
        return 2 if self.unbiased else 1

    @property
    def divergence(self) -> bool:  # type: ignore[override]
        """Whether the KL is in the loss: not for alpha = 1."""
        return not (isinstance(self.alpha, Constant) and self.alpha.value == 1)

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return reconstruction + (1 - alpha) KL + (alpha + lambda - 1) MMD^2."""
        terms = sample_terms(space, batch["x"])
        kernel = RBF([space.dim / 2**0.5]) if self.kernel is None else self.kernel
        mmd = mmd_squared(terms.z, space.prior.draw(len(terms.z)), kernel, self.unbiased)
        weights = {"alpha": self.alpha(step), "lambda": self.weight(step)}
        loss = terms.reconstruction.mean() + (weights["alpha"] + weights["lambda"] - 1) * mmd
        if self.divergence:
            loss = loss + (1 - weights["alpha"]) * terms.kl.sum(-1).mean()
        return terms.losses(loss, weights, {"mmd_squared": mmd.detach()})
