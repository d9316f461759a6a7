r"""Ada-GVAE: disentanglement from pairs of observations that differ in a few factors.

    delta_i = KL( q(z_i|x_1) || q(z_i|x_2) ),    i is shared where delta_i < 1/2 (max_j delta_j + min_j delta_j)

For shared dimensions both posteriors are replaced by the one with the average mean and the average variance; the loss
is the average of the two beta-VAE losses with these posteriors.

Reference: Locatello et al., "Weakly-supervised disentanglement without compromises" (2020), section 3.2,
https://arxiv.org/abs/2002.02886.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal, kl_divergence

from lsgen.latent import EncodableLatentSpace, StudentTPosterior
from lsgen.models.divergence import kl_terms
from lsgen.models.losses import Losses
from lsgen.models.schedules import Schedule, as_schedule
from lsgen.models.vae.objective import Objective

__all__ = ["AdaGVAE", "share"]


class AdaGVAE(Objective):
    """The beta-VAE of pairs, whose posteriors are averaged over the dimensions that the pair shares.

    Args:
        beta: weight of the KL term, a number or a schedule in generator steps.

    """

    demands: ClassVar[tuple[str, ...]] = ("pair",)
    factorised = True

    def __init__(self, beta: float | Schedule = 1.0) -> None:
        super().__init__()
        self.beta = as_schedule(beta)

    def check(self, space: EncodableLatentSpace) -> None:
        """Refuse posteriors that are not normal, before any step is taken.

        Raises:
            TypeError: see `Objective.check`, or the posterior is a Student's t, of which no averages are known.

        """
        super().check(space)
        if isinstance(space.posterior, StudentTPosterior):
            raise TypeError(f"AdaGVAE expected normal posteriors, got {type(space.posterior).__name__}")

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return the average loss of both members of each pair, "x" and "pair", (B, *shape) both.

        Raises:
            ValueError: the batch has no pairs.
            TypeError: posteriors are not normal with independent dimensions.

        """
        if "pair" not in batch:
            raise ValueError(f'AdaGVAE expected batches with "pair" beside "x", got {", ".join(sorted(batch))}')
        first, second = space.encode(batch["x"]), space.encode(batch["pair"])
        *posteriors, shared = share(_normal(first), _normal(second))
        reconstruction, kl = torch.zeros(()).to(first.mean), torch.zeros(()).to(first.mean)
        for posterior, x in zip(posteriors, (batch["x"], batch["pair"]), strict=True):
            q = Independent(posterior, 1, validate_args=False)
            z = q.rsample()
            reconstruction = reconstruction - space.decode(z).log_prob(x) / 2
            kl = kl + kl_terms(q, space.prior(), z) / 2
        beta = self.beta(step)
        scalars = {"shared_dimensions": shared.to(kl).sum(-1).mean()}
        return Losses((reconstruction + beta * kl.sum(-1)).mean(), reconstruction, kl, {"beta": beta}, scalars)


def share(first: Normal, second: Normal) -> tuple[Normal, Normal, Tensor]:
    """Return two normals (B, d), averaged where dimensions are shared, and which are, (B, d)."""
    delta = kl_divergence(first, second).detach()
    shared = delta < (delta.amax(-1, keepdim=True) + delta.amin(-1, keepdim=True)) / 2
    loc = (first.loc + second.loc) / 2
    scale = ((first.variance + second.variance) / 2).sqrt()
    one, other = (
        Normal(torch.where(shared, loc, q.loc), torch.where(shared, scale, q.scale), validate_args=False)
        for q in (first, second)
    )
    return one, other, shared


def _normal(q: Distribution) -> Normal:
    if not isinstance(q, Independent) or not isinstance(q.base_dist, Normal):
        raise TypeError(f"AdaGVAE expected normal posteriors with independent dimensions, got {q}")
    return q.base_dist
