r"""VQ-VAE: discrete codes, with a codebook that follows the encoder by moving averages.

    loss = -log p( x | z ) + beta |y - sg(z)|^2,    z = the codebook entries nearest to the encoder's vectors y

where sg stops the gradient; the squared distance is summed over the code and averaged over the batch. Each training
step moves the codebook once, after its loss is computed; see `lsgen.latent.discrete.quantised`.

With a `ResidualQuantiser` the commitment is that of every stage to what it quantises, the sum of squared distances of y
from the partial sums of entries (Lee et al., 2022, equation 5).

A learned prior, such as `lsgen.latent.AutoregressivePrior`, is fitted on the way: its -log p(z) joins the loss, and
reaches neither encoder nor decoder. The paper fits it once the rest is trained; the uniform prior is a constant.

Reference: van den Oord, Vinyals & Kavukcuoglu (2017), equation 3, https://arxiv.org/abs/1711.00937.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lsgen.latent import CodebookPrior, EncodableLatentSpace, Quantiser
from lsgen.latent.discrete.quantised import QuantisedCodes
from lsgen.models.losses import Losses
from lsgen.models.schedules import Schedule, as_schedule
from lsgen.models.vae.objective import Objective, sample_terms

__all__ = ["VQVAE"]


class VQVAE(Objective):
    """Reconstruction and commitment to the codebook.

    Args:
        commitment: beta, a number or a schedule in generator steps.

    """

    def __init__(self, commitment: float | Schedule = 0.25) -> None:
        super().__init__()
        self.commitment = as_schedule(commitment)

    def check(self, space: EncodableLatentSpace) -> None:
        """Refuse a latent space that does not quantise its codes.

        Raises:
            TypeError: posterior and prior are not a `Quantiser` and a `CodebookPrior`.

        """
        if not isinstance(space.posterior, Quantiser) or not isinstance(space.prior, CodebookPrior):
            got = f"{type(space.posterior).__name__} and {type(space.prior).__name__}"
            raise TypeError(f"VQVAE expected a VectorQuantiser as posterior and a CodebookPrior, got {got}")

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return reconstruction + beta |y - z|^2, and move the codebook in training.

        Raises:
            TypeError: the latent space does not quantise its codes.

        """
        terms = sample_terms(space, batch["x"])
        if not isinstance(space.posterior, Quantiser) or not isinstance(terms.q, QuantisedCodes):
            raise TypeError(f"VQVAE expected a VectorQuantiser as posterior, got {type(space.posterior).__name__}")
        distance, weight = terms.q.distance, self.commitment(step)
        scalars = {"commitment": distance.mean(), "perplexity": terms.q.batch_perplexity}
        prior = terms.kl.sum(-1) if any(True for _ in space.prior.parameters()) else 0.0
        losses = terms.losses((terms.reconstruction + weight * distance + prior).mean(), {"beta": weight}, scalars)
        if self.training and torch.is_grad_enabled():
            space.posterior.update(terms.q)
        return losses
