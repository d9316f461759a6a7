r"""FactorVAE: the total correlation penalised through a density ratio.

    loss = E_q[ -log p(x|z) ] + KL( q(z|x) || p(z) ) + gamma TC(z),    TC(z) ~ log D(z) / (1 - D(z)),

where the discriminator D tells codes z ~ q(z) from codes whose dimensions were permuted over the batch, which follow
the product of the marginals:

    loss_D = -1/2 E[ log D(z) ] - 1/2 E[ log(1 - D(permuted z)) ] .

The permuted codes are those of the same batch, as in disentanglement_lib; the paper draws a second batch for them.

Reference: Kim & Mnih (2018), equations 2 and 3, algorithms 1 and 2, https://arxiv.org/abs/1802.05983.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.optim import Optimizer

from lsgen.latent import EncodableLatentSpace, Euclidean
from lsgen.models.losses import Losses
from lsgen.models.parts import frozen_parameters
from lsgen.models.schedules import Schedule, as_schedule
from lsgen.models.vae.aggregate.adversarial import AdversarialObjective
from lsgen.models.vae.objective import sample_terms

__all__ = ["FactorVAE", "permute_dimensions"]


class FactorVAE(AdversarialObjective):
    """The ELBO and a total correlation estimated by a discriminator.

    Args:
        discriminator: codes (N, d) -> logits (N,), the log density ratio once it is trained.
        gamma: weight of the total correlation, a number or a schedule in generator steps.
        optimizer: see `AdversarialObjective`.

    """

    def __init__(
        self,
        discriminator: nn.Module,
        gamma: float | Schedule = 10.0,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] | None = None,
    ) -> None:
        super().__init__(discriminator, optimizer)
        self.gamma = as_schedule(gamma)

    def check(self, space: EncodableLatentSpace) -> None:
        """Refuse also codes whose dimensions cannot be permuted over the batch, each on its own."""
        super().check(space)
        if not isinstance(space.manifold, Euclidean):
            raise TypeError(f"FactorVAE expected codes in flat space, got {type(space.prior).__name__}")

    def losses_and_codes(
        self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int
    ) -> tuple[Losses, Tensor]:
        """Return reconstruction + KL + gamma TC, and the codes."""
        x = batch["x"]
        terms = sample_terms(space, x)
        with frozen_parameters(self.discriminator.parameters()):
            total_correlation = self.discriminator(terms.z).mean()
        gamma = self.gamma(step)
        loss = (terms.reconstruction + terms.kl.sum(-1)).mean() + gamma * total_correlation
        scalars = {"total_correlation_by_ratio": total_correlation.detach()}
        return terms.losses(loss, {"gamma": gamma}, scalars), terms.z

    def adversary_loss(self, space: EncodableLatentSpace, codes: Tensor) -> Tensor:
        """Return the cross-entropy of telling codes from permuted codes, in nats per code."""
        together, apart = self.discriminator(codes), self.discriminator(permute_dimensions(codes))
        return (softplus(-together).mean() + softplus(apart).mean()) / 2


def permute_dimensions(codes: Tensor) -> Tensor:
    """Return codes (M, d) with every dimension permuted over the batch on its own."""
    return codes.gather(0, torch.rand_like(codes).argsort(0))
