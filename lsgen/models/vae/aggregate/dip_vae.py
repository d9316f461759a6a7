r"""DIP-VAE: the covariance of the aggregate posterior pulled towards the identity.

    loss = ELBO terms + lambda_od sum_{i != j} C_ij^2 + lambda_d sum_i (C_ii - 1)^2 ,

    C = Cov_x( mu(x) )                           type I
    C = Cov_x( mu(x) ) + E_x[ Sigma(x) ]         type II: the covariance of q(z), by the law of total covariance

with covariances over the batch (divided by B, as in disentanglement_lib).

Reference: Kumar, Sattigeri & Balakrishnan (2018), equations 6 and 7, https://arxiv.org/abs/1711.00848.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Distribution

from lsgen.latent import EncodableLatentSpace
from lsgen.models.losses import Losses
from lsgen.models.schedules import Schedule, as_schedule
from lsgen.models.vae.objective import Objective, sample_terms

__all__ = ["DIPVAE"]


class DIPVAE(Objective):
    """The ELBO and a penalty on the covariance of the codes.

    Args:
        lambda_od: weight of the squared off-diagonal entries, a number or a schedule in generator steps.
        lambda_d: weight of the squared distance of the diagonal from 1; 10 lambda_od (type I) or lambda_od
            (type II) in disentanglement_lib.
        kind: "i" for the covariance of the posterior means, "ii" for that of the aggregate posterior.

    Raises:
        ValueError: there is no such kind.

    """

    factorised = True

    def __init__(self, lambda_od: float | Schedule, lambda_d: float | Schedule, kind: Literal["i", "ii"]) -> None:
        super().__init__()
        if kind not in ("i", "ii"):
            raise ValueError(f'expected kind "i" or "ii", got {kind!r}')
        self.lambda_od, self.lambda_d, self.kind = as_schedule(lambda_od), as_schedule(lambda_d), kind

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return reconstruction + KL + the penalty."""
        x = batch["x"]
        terms = sample_terms(space, x)
        off_diagonal, diagonal = self.penalties(terms.q)
        weights = {"lambda_od": self.lambda_od(step), "lambda_d": self.lambda_d(step)}
        penalty = weights["lambda_od"] * off_diagonal + weights["lambda_d"] * diagonal
        scalars = {"dip_off_diagonal": off_diagonal.detach(), "dip_diagonal": diagonal.detach()}
        return terms.losses((terms.reconstruction + terms.kl.sum(-1)).mean() + penalty, weights, scalars)

    def penalties(self, q: Distribution) -> tuple[Tensor, Tensor]:
        """Return sum_{i != j} C_ij^2 and sum_i (C_ii - 1)^2, scalars, for a batch of posteriors."""
        centred = q.mean - q.mean.mean(0)
        covariance = centred.T @ centred / len(centred)
        if self.kind == "ii":
            covariance = covariance + torch.diag(q.variance.mean(0))
        diagonal = covariance.diagonal()
        off_diagonal = covariance - torch.diag(diagonal)
        return off_diagonal.square().sum(), (diagonal - 1).square().sum()
