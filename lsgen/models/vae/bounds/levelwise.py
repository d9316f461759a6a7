r"""The evidence lower bound of a hierarchy, with the divergence of every level weighed and logged by itself.

    loss = E_q[ -log p(x|z) ] + beta sum_l gamma_l max( lambda, E KL_l ),    KL_l = KL( q(z_l|z_<l, x) || p(z_l|z_<l) )

Free bits: a level whose divergence, averaged over the batch, is below lambda nats is not pressed further. Balancing:
while beta < 1, levels that carry more for their size are pressed more, gamma_l ~ (E KL_l + 0.01) / d_l with mean 1, and
the weights carry no gradient. With lambda = 0 and without balancing the loss is that of `ELBO`.

Reference: Kingma et al. (2016), equation 15 and appendix C.8, https://arxiv.org/abs/1606.04934, for free bits; Vahdat &
Kautz, "NVAE" (2020), appendix A, https://arxiv.org/abs/2007.03898, for balancing.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lsgen.latent import EncodableLatentSpace, EncoderDependentPrior, TopDownPosterior
from lsgen.models.divergence import factorises
from lsgen.models.losses import Losses
from lsgen.models.schedules import Schedule, as_schedule
from lsgen.models.vae.objective import Objective, sample_terms

__all__ = ["LevelwiseELBO"]


class LevelwiseELBO(Objective):
    """The evidence lower bound with free bits or balancing by level; it logs `kl_level_1`, the top one, and so on.

    Args:
        beta: weight of the divergences, a number or a schedule in generator steps.
        free_bits: lambda, nats of every level that are free.
        balance: whether levels are balanced while beta is below 1.

    Raises:
        ValueError: free_bits is negative.

    """

    def __init__(self, beta: float | Schedule = 1.0, free_bits: float = 0.0, balance: bool = False) -> None:
        super().__init__()
        if free_bits < 0:
            raise ValueError(f"expected free_bits of at least 0 nats, got {free_bits}")
        self.beta, self.free_bits, self.balance = as_schedule(beta), float(free_bits), balance

    def check(self, space: EncodableLatentSpace) -> None:
        """Refuse also parts whose divergence does not split over levels."""
        super().check(space)
        if not (space.posterior.factorised or isinstance(space.posterior, TopDownPosterior)):
            name = type(space.posterior).__name__
            raise TypeError(f"LevelwiseELBO expected a posterior that factorises or goes down levels, got {name}")
        if isinstance(space.prior, EncoderDependentPrior) or not factorises(space.prior()):
            name = type(space.prior).__name__
            raise TypeError(f"LevelwiseELBO expected a prior that factorises over latent dimensions, got {name}")

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return reconstruction + beta sum_l gamma_l max(lambda, KL_l)."""
        terms, beta = sample_terms(space, batch["x"]), self.beta(step)
        levels = torch.stack([part.sum(-1).mean() for part in terms.kl.split(space.level_sizes, -1)])
        pressed = levels.clamp(min=self.free_bits) if self.free_bits else levels
        if self.balance and beta < 1:
            pressed = pressed * balance_weights(levels, space.level_sizes)
        scalars = {f"kl_level_{level}": kl for level, kl in enumerate(levels.unbind(), 1)}
        return terms.losses(terms.reconstruction.mean() + beta * pressed.sum(), {"beta": beta}, scalars)


def balance_weights(kl: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Return the weights of levels (L,), of mean 1 and without a graph, from their divergences (L,) and sizes."""
    share = (kl.detach().abs() + 0.01) / kl.new_tensor(sizes)
    return share / share.mean()
