r"""MVTCAE: the total correlation of modalities that a product of experts explains.

    loss = - (M - alpha)/M E_q[ log p(x|z) ]
           + beta ( (1 - alpha) KL( q(z|x) || p(z) ) + alpha/M sum_i KL( q(z|x) || q_i(z|x_i) ) ),

where q is the product of the experts q_i, without the prior's. The first divergence bounds how much z says of x, the
others how much it says beyond each modality alone; alpha in [0, 1] weighs the two. With alpha = 0 and beta = 1 the loss
is minus the ELBO. Where modalities are missing, M and all sums are of those present.

Reference: Hwang, Kim, Hong & Kim, "Multi-view representation learning via total correlation objective" (2021),
NeurIPS 34; the form of the authors' code, https://github.com/gr8joo/MVTCAE.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lsgen.latent.multimodal import MultimodalSpace, ProductOfExperts
from lsgen.models.divergence import closed_form_kl
from lsgen.models.losses import Losses
from lsgen.models.multimodal.objective import MultimodalObjective
from lsgen.models.schedules import Schedule, as_schedule

__all__ = ["MVTCAEObjective"]


class MVTCAEObjective(MultimodalObjective):
    """The loss of the total correlation of modalities.

    Args:
        weights: factors of the modalities' log-likelihoods, by name; 1 where none is given.
        alpha: weight of the conditional divergences against that from the prior, between 0 and 1.
        beta: weight of all divergences, a number or a schedule in generator steps.

    Raises:
        ValueError: alpha is not between 0 and 1, or a weight is not positive.

    """

    def __init__(
        self, weights: Mapping[str, float] | None = None, alpha: float = 5 / 6, beta: float | Schedule = 1.0
    ) -> None:
        super().__init__(weights)
        if not 0 <= alpha <= 1:
            raise ValueError(f"expected alpha between 0 and 1, got {alpha}")
        self.alpha, self.beta = float(alpha), as_schedule(beta)

    def check(self, space: MultimodalSpace) -> None:
        """Refuse also another joint posterior than a product of experts without the prior's, and private codes.

        Raises:
            TypeError: the joint posterior is another.
            ValueError: the prior is one of the experts, or modalities have codes of their own.

        """
        super().check(space)
        self.check_joint(space, ProductOfExperts)
        if isinstance(space.joint, ProductOfExperts) and space.joint.prior_expert:
            raise ValueError(
                "expected a product of experts without the prior's for MVTCAEObjective, got prior_expert=true"
            )
        if space.private:
            raise ValueError(f"expected private = 0 for MVTCAEObjective, got {space.private}")

    def forward(self, space: MultimodalSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return the loss."""
        x, present, beta, alpha = batch["x"], batch.get("present"), self.beta(step), self.alpha
        experts = space.experts(x, present)
        terms = self.joint_terms(space, space.given(experts, present), x, present)
        each = torch.stack([closed_form_kl(terms.q, one).sum(-1) for one in experts.each()], -1)
        each = each if present is None else torch.where(present, each, 0)
        count = each.shape[-1] if present is None else present.sum(-1)
        divergence = (1 - alpha) * terms.kl.sum(-1) + alpha * each.sum(-1) / count
        loss = (beta * divergence - (count - alpha) / count * self.weighted(terms.log_probs)).mean()
        return Losses(loss, terms.reconstruction, terms.kl, {"beta": beta}, {"apart": each.sum(-1).detach().mean()})
