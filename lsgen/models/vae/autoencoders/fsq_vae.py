r"""FSQ: an autoencoder whose codes are rounded to a few levels, with nothing else in its loss.

    loss = -log p( x | z ),    z = levels nearest to the bounded outputs of the encoder

There is no codebook to commit to; see `lsgen.latent.discrete.finite_scalar`. Against the uniform prior the divergence
of a code is the logarithm of the number of codes, a constant that the bound counts and the loss does not.

Reference: Mentzer et al. (2024), section 3.1, https://arxiv.org/abs/2309.15505.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lsgen.latent import EncodableLatentSpace, FiniteScalarQuantiser, LatticePrior
from lsgen.latent.discrete.finite_scalar import RoundedCodes
from lsgen.models.losses import Losses
from lsgen.models.vae.objective import Objective, sample_terms

__all__ = ["FSQVAE"]


class FSQVAE(Objective):
    """Reconstruction from rounded codes, with how much of the codebook a batch uses."""

    def check(self, space: EncodableLatentSpace) -> None:
        """Refuse a latent space whose codes are not rounded to levels.

        Raises:
            TypeError: posterior and prior are not a `FiniteScalarQuantiser` and a `LatticePrior`.

        """
        if not isinstance(space.posterior, FiniteScalarQuantiser) or not isinstance(space.prior, LatticePrior):
            got = f"{type(space.posterior).__name__} and {type(space.prior).__name__}"
            raise TypeError(f"FSQVAE expected a FiniteScalarQuantiser as posterior and a LatticePrior, got {got}")

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return the reconstruction alone."""
        terms = sample_terms(space, batch["x"])
        if not isinstance(terms.q, RoundedCodes):
            raise TypeError(f"FSQVAE expected a FiniteScalarQuantiser as posterior, got {type(terms.q).__name__}")
        used = terms.q.usage
        scalars = {
            "perplexity": torch.exp(torch.special.entr(used).sum()),
            "usage": (used > 0).to(used.dtype).mean(),
        }
        return terms.losses(terms.reconstruction.mean(), scalars=scalars)
