r"""WAE-GAN, the adversarial autoencoder: the aggregate posterior matched to the prior by a discriminator.

    loss   = E_q[ -log p(x|z) ] - lambda E_{z ~ q(z)}[ log D(z) ]
    loss_D = -1/2 E_{z ~ p(z)}[ log D(z) ] - 1/2 E_{z ~ q(z)}[ log(1 - D(z)) ]

Reference: Tolstikhin et al. (2018), algorithm 1, https://arxiv.org/abs/1711.01558; Makhzani et al., "Adversarial
autoencoders" (2016), https://arxiv.org/abs/1511.05644.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.optim import Optimizer

from lsgen.latent import EncodableLatentSpace
from lsgen.models.losses import Losses
from lsgen.models.parts import frozen_parameters
from lsgen.models.schedules import Schedule, as_schedule
from lsgen.models.vae.aggregate.adversarial import AdversarialObjective
from lsgen.models.vae.objective import sample_terms

__all__ = ["WAEGAN"]


class WAEGAN(AdversarialObjective):
    """Reconstruction and a discriminator between codes and draws from the prior.

    Args:
        discriminator: codes (N, d) -> logits (N,) of coming from the prior.
        weight: lambda, a number or a schedule in generator steps.
        optimizer: see `AdversarialObjective`.

    """

    divergence = False

    def __init__(
        self,
        discriminator: nn.Module,
        weight: float | Schedule = 10.0,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] | None = None,
    ) -> None:
        super().__init__(discriminator, optimizer)
        self.weight = as_schedule(weight)

    def losses_and_codes(
        self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int
    ) -> tuple[Losses, Tensor]:
        """Return reconstruction - lambda log D, and the codes."""
        x = batch["x"]
        terms = sample_terms(space, x)
        with frozen_parameters(self.discriminator.parameters()):
            adversarial = softplus(-self.discriminator(terms.z)).mean()
        weight = self.weight(step)
        loss = terms.reconstruction.mean() + weight * adversarial
        return terms.losses(loss, {"lambda": weight}, {"adversarial": adversarial.detach()}), terms.z

    def adversary_loss(self, space: EncodableLatentSpace, codes: Tensor) -> Tensor:
        """Return the cross-entropy of telling draws from the prior from codes, in nats per code."""
        with torch.no_grad():
            drawn = space.prior().sample((len(codes),))
        return (softplus(-self.discriminator(drawn)).mean() + softplus(self.discriminator(codes)).mean()) / 2
