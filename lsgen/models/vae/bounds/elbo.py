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
from lsgen.models.vae.objective import Objective, sample_terms

__all__ = ["ELBO"]


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
        terms, beta = sample_terms(space, batch["x"]), self.beta(step)
        loss = (terms.reconstruction + beta * terms.kl.sum(-1)).mean()
        return terms.losses(loss, {"beta": beta})
