r"""MoPoE: the evidence lower bound of the mixture of products of experts over all subsets of modalities.

    q(z|x) = 1/S sum_A q_A(z|x_A),    q_A ~ prod_{i in A} q_i,    A all S = 2^M - 1 subsets that are not empty,
    loss = - E_q[ log p(x|z) ] + beta 1/S sum_A KL(q_A || p) .

The last term bounds KL(q || p) from above, so that beta = 1 gives a bound of log p(x). One code is drawn from q, of a
component that is drawn first. Where modalities are missing, subsets and p(x|z) are of those present.

Reference: Sutter, Daunhawer & Vogt, "Generalized multimodal ELBO" (2021), section 3,
https://arxiv.org/abs/2105.02470. The paper's power set holds the empty subset too, whose product is the prior; the
authors' code leaves it out, as here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from torch import Tensor
from torch.distributions import Independent

from lsgen.latent.multimodal import MixtureOfProducts, MultimodalSpace, NormalMixture
from lsgen.models.divergence import factorises
from lsgen.models.losses import Losses
from lsgen.models.multimodal.objective import MultimodalObjective
from lsgen.models.schedules import Schedule, as_schedule

__all__ = ["MoPoEObjective"]


class MoPoEObjective(MultimodalObjective):
    """The evidence lower bound of the mixture of products over subsets, with the average KL of the products.

    Args:
        weights: factors of the modalities' log-likelihoods, by name; 1 where none is given.
        beta: weight of the KL, a number or a schedule in generator steps.

    Raises:
        ValueError: a weight is not positive.

    """

    def __init__(self, weights: Mapping[str, float] | None = None, beta: float | Schedule = 1.0) -> None:
        super().__init__(weights)
        self.beta = as_schedule(beta)

    def check(self, space: MultimodalSpace) -> None:
        """Refuse also another joint posterior, and a prior that is not a product over latent dimensions.

        Raises:
            TypeError: one of them is another.

        """
        super().check(space)
        self.check_joint(space, MixtureOfProducts)
        if not factorises(space.prior()):
            name = type(space.prior).__name__
            raise TypeError(f"MoPoEObjective expected a prior that factorises over latent dimensions, got {name}")

    def forward(self, space: MultimodalSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return the reconstruction of one code, and the average KL of the subsets."""
        x, present, beta = batch["x"], batch.get("present"), self.beta(step)
        q = space.given(space.experts(x, present), present)
        terms = self.joint_terms(space, q, x, present)
        kl = q.convex_divergence(cast(Independent, space.prior())) if isinstance(q, NormalMixture) else terms.kl
        loss = (beta * kl.sum(-1) - self.weighted(terms.log_probs)).mean()
        return Losses(loss, terms.reconstruction, kl, {"beta": beta})
