r"""MIWAE for missing data: the importance-weighted bound of the observed values.

    L_k(x_o) = E[ log 1/k sum_i p(x_o|z_i) p(z_i) / q(z_i|x_o) ] <= log p(x_o),    z_i ~ q(z|x_o),

valid where values are missing at random. The encoder sees zeros in their place. To fill gaps with the trained model,
see `lsgen.latent.impute`.

Reference: Mattei & Frellsen, "MIWAE: deep generative modelling and imputation of incomplete data sets" (2019),
equation 4, https://arxiv.org/abs/1812.02633.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from lsgen.latent import EncodableLatentSpace, observed_log_prob
from lsgen.models.divergence import kl_terms
from lsgen.models.losses import Losses
from lsgen.models.vae.bounds.multisample import importance
from lsgen.models.vae.objective import Objective

__all__ = ["MissingDataIWAE"]


class MissingDataIWAE(Objective):
    """The bound L_k of the observed part of each observation.

    Args:
        samples: codes k in the bound.

    Raises:
        ValueError: samples is not positive.

    """

    demands: ClassVar[tuple[str, ...]] = ("observed",)

    def __init__(self, samples: int = 20) -> None:
        super().__init__()
        self.samples = importance.positive("samples", samples)

    def seen(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the observations with zeros in the place of what is missing."""
        return torch.where(batch["observed"], batch["x"], 0.0)

    def log_likelihood(self, decoded: Distribution, x: Tensor, observed: Tensor) -> Tensor:
        """Return log p(x_o|z) of observations (N, *shape), (samples, N)."""
        return observed_log_prob(decoded, x, observed)

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return -L_k of a batch with "observed", a boolean mask of the shape of "x".

        Raises:
            ValueError: the batch has no mask.

        """
        if "observed" not in batch:
            raise ValueError(f'{type(self).__name__} expected batches with "observed", got {", ".join(sorted(batch))}')
        observed = batch["observed"]
        x = self.seen(batch)
        q, p = space.encode(x), space.prior()
        z = q.rsample(torch.Size((self.samples,)))
        likelihood = self.log_likelihood(space.decode(z), x, observed)
        parts = importance.Weights(likelihood, p.log_prob(z), q.log_prob(z), kl_terms(q, p, z))
        bound = importance.log_mean_exp(parts.log_w)
        return importance.losses(-bound.mean(), bound, parts)
