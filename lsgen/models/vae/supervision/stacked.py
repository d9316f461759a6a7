r"""M1+M2: a class model (M2) of the codes that a variational autoencoder (M1) gives to observations.

    M1:    -log p(x|z_1) + KL( q(z_1|x) || N(0, I) ),    z_1 ~ q(z_1|x)
    M2:    the loss of `SemiSupervised` with z_1 in the place of x, and p(z_1|z_2, y) in that of p(x|z, y)

    loss = M1 + M2,    no gradient of M2 through z_1; every term times the "weight" of its observation, if it has one.

The paper trains M1 to its end and then M2 on its codes, as `first_steps` does; without it both learn side by side, each
from its own loss alone, and M2 follows codes that move. Classes are told from the mean of q(z_1|x), once M2 has learned
from draws of it; that is what the accuracy counts. Reported is the bound of the stacked model
p(z_2) p(y) p(z_1|z_2, y) p(x|z_1): -log p(x|z_1), and as divergence log q(z_1|x) plus the negative bound that M2 puts
on log p(z_1).

Reference: Kingma, Rezende, Mohamed & Welling (2014), section 2, https://arxiv.org/abs/1406.5298.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from lsgen.latent import (
    EncodableLatentSpace,
    LadderDecoder,
    OneHot,
    StackedCodes,
    StackedPosterior,
    StandardNormal,
)
from lsgen.latent.families.product import Joint
from lsgen.models import parts
from lsgen.models.losses import Losses
from lsgen.models.schedules import Schedule, as_schedule
from lsgen.models.vae.objective import Objective
from lsgen.models.vae.supervision.semi_supervised import accuracy, class_bounds, weights_of

__all__ = ["StackedSemiSupervised"]


class StackedSemiSupervised(Objective):
    """The bounds of M1 and of M2 on the codes of M1, with a classification loss on labelled observations.

    Args:
        alpha: weight of the classification loss, a number or a schedule in generator steps; 0.1 N / N_l in the paper,
            for N observations of which N_l are labelled.
        first_steps: generator steps in which M1 learns alone, after which M1 stays as it is and M2 learns alone, as in
            the paper; where it is None both learn in every step. What does not learn has no gradient, which
            distributed training has to be told, by the strategy `ddp_find_unused_parameters_true`.

    Raises:
        ValueError: first_steps is negative.

    """

    demands: ClassVar[tuple[str, ...]] = ("label",)

    def __init__(self, alpha: float | Schedule = 1.0, first_steps: int | None = None) -> None:
        super().__init__()
        if first_steps is not None and first_steps < 0:
            raise ValueError(f"StackedSemiSupervised expected first_steps of at least 0, got {first_steps}")
        self.alpha, self.first_steps = as_schedule(alpha), first_steps

    def check(self, space: EncodableLatentSpace) -> None:
        """Refuse a latent space that is not stacked.

        Raises:
            TypeError: posterior, prior or decoder are none of a class model on top of codes.
            ValueError: they are of different sizes.

        """
        posterior, kinds = space.posterior, (StandardNormal, OneHot, StandardNormal)
        if not isinstance(posterior, StackedPosterior) or not parts.is_product(space.prior, *kinds):
            got = f"{type(posterior).__name__} and {type(space.prior).__name__}"
            raise TypeError(
                "StackedSemiSupervised expected a StackedPosterior and a prior "
                f"Product([StandardNormal, OneHot, StandardNormal]), got {got}"
            )
        sizes = [posterior.given.dim, posterior.given.classes, int(posterior.raw_dim or 0)]
        parts.check_sizes("StackedPosterior", sizes, space.prior)

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return the loss of a batch with "label", (B,) integers, -1 where the class is not known.

        Raises:
            ValueError: the batch has no labels.
            TypeError: the latent space is not stacked.

        """
        together, first = self.first_steps is None, step < (self.first_steps or 0)
        p, decoder, weight = space.prior(), space.decoder, weights_of(batch)
        with torch.set_grad_enabled(torch.is_grad_enabled() and (together or first)):
            q = space.encode(batch["x"])
            if not isinstance(q, StackedCodes) or not isinstance(p, Joint) or not isinstance(decoder, LadderDecoder):
                raise TypeError(
                    "StackedSemiSupervised expected a StackedPosterior, a LadderDecoder and a prior "
                    "Product([StandardNormal, OneHot, StandardNormal])"
                )
            z1 = q.lower.rsample()
            reconstruction = -weight * space.likelihood(decoder.bottom(z1).to(z1.dtype)).log_prob(batch["x"])
            standard = weight * kl_divergence(q.lower, Normal(torch.zeros_like(z1), torch.ones_like(z1))).sum(-1)
        with torch.set_grad_enabled(torch.is_grad_enabled() and (together or not first)):
            lower = q.posterior.upper(z1.detach())
            mean, scale = decoder.below(lower.every_class())
            every = -Normal(mean, scale, validate_args=False).log_prob(z1.detach()).sum(-1).T
            bounds = class_bounds(lower, Joint(p.parts[:2]), every, batch)
        alpha = self.alpha(step)
        loss = (reconstruction + standard + bounds.negative_bound + alpha * bounds.classification).mean()
        kl = (weight * q.lower.log_prob(z1).sum(-1)).detach() + bounds.negative_bound.detach()
        with torch.no_grad():
            right = accuracy(q.posterior.upper(q.lower.loc), batch["label"])
        scalars = {**bounds.scalars, "accuracy": right}
        return Losses(loss, reconstruction, kl.unsqueeze(-1), {"alpha": alpha}, scalars)
