r"""The evidence lower bound and beta-VAE.

    loss = E_q[ -log p(x|z) ] + beta KL( q(z|x) || p(z) ),

in nats, summed over dimensions and averaged over the batch, so that beta = 1 is the ELBO for every likelihood. With
free bits the KL of each dimension, averaged over the batch, presses only where it is above lambda,

    loss = E_q[ -log p(x|z) ] + beta sum_j max( lambda, KL_j ) .

Reference: Kingma & Welling (2014), https://arxiv.org/abs/1312.6114; Higgins et al., "beta-VAE" (2017); Kingma et al.,
"Improved variational inference with inverse autoregressive flow" (2016), equation 15 with a group for each dimension,
https://arxiv.org/abs/1606.04934, for free bits.
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
        free_bits: lambda, nats of the KL of every latent dimension that are free.

    Raises:
        ValueError: free_bits is negative.

    """

    def __init__(self, beta: float | Schedule = 1.0, free_bits: float = 0.0) -> None:
        super().__init__()
        if not free_bits >= 0:
            raise ValueError(f"expected free_bits of at least 0 nats, got {free_bits}")
        self.beta, self.free_bits = as_schedule(beta), float(free_bits)

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return reconstruction + beta KL."""
        terms, beta = sample_terms(space, batch["x"]), self.beta(step)
        if self.free_bits:
            pressed = terms.kl.mean(0).clamp(min=self.free_bits).sum()
            return terms.losses(terms.reconstruction.mean() + beta * pressed, {"beta": beta})
        loss = (terms.reconstruction + beta * terms.kl.sum(-1)).mean()
        return terms.losses(loss, {"beta": beta})
