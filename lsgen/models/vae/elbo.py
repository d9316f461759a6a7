r"""The evidence lower bound and beta-VAE.

    loss = E_q[ -log p(x|z) ] + beta KL( q(z|x) || p(z) ),

in nats, summed over dimensions and averaged over the batch, so that beta = 1 is the ELBO for every likelihood.

Reference: Kingma & Welling (2014), https://arxiv.org/abs/1312.6114; Higgins et al., "beta-VAE" (2017).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from lsgen.latent import EncodableLatentSpace
from lsgen.models.losses import Losses
from lsgen.models.schedules import Schedule, as_schedule
from lsgen.models.vae.objective import Objective, kl_terms

__all__ = ["ELBO", "elbo_terms"]


class ELBO(Objective):
    """The (beta-weighted) evidence lower bound with one reparameterised sample.

    Args:
        beta: weight of the KL term, a number or a schedule in generator steps.

    """

    def __init__(self, beta: float | Schedule = 1.0) -> None:
        super().__init__()
        self.beta = as_schedule(beta)

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return reconstruction + beta KL."""
        reconstruction, kl = elbo_terms(space, batch["x"])
        beta = self.beta(step)
        return Losses((reconstruction + beta * kl.sum(-1)).mean(), reconstruction, kl, {"beta": beta})


def elbo_terms(space: EncodableLatentSpace, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return a one-sample -log p(x|z), (B,), and the KL, (B, d), in nats; see `kl_terms`."""
    q = space.encode(x)
    z = q.rsample()
    return -space.decode(z).log_prob(x), kl_terms(q, space.prior(), z)
