r"""JMVAE: the evidence lower bound of a joint encoder, to which the encoders of single modalities are drawn.

    loss = - E_{q(z|x)}[ log p(x|z) ] + beta ( KL( q(z|x) || p(z) ) + alpha sum_i KL( q(z|x) || q_i(z|x_i) ) ) .

beta is the warm-up of the paper, 1 in the end. Observations must have all modalities, which the joint encoder sees.

Reference: Suzuki, Nakayama & Matsuo, "Joint multimodal learning with deep generative models" (2016), equation 7,
https://arxiv.org/abs/1611.01891.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lsgen.latent.multimodal import JointEncoder, MultimodalSpace
from lsgen.models.divergence import closed_form_kl
from lsgen.models.losses import Losses
from lsgen.models.multimodal.objective import MultimodalObjective
from lsgen.models.schedules import Schedule, as_schedule

__all__ = ["JMVAEObjective"]


class JMVAEObjective(MultimodalObjective):
    """The evidence lower bound of a joint encoder, and its divergences from the encoders of single modalities.

    Args:
        weights: factors of the modalities' log-likelihoods, by name; 1 where none is given.
        alpha: weight of the divergences from single modalities.
        beta: weight of all divergences, a number or a schedule in generator steps.

    Raises:
        ValueError: alpha is not positive, or a weight is not.

    """

    def __init__(
        self, weights: Mapping[str, float] | None = None, alpha: float = 0.1, beta: float | Schedule = 1.0
    ) -> None:
        super().__init__(weights)
        if not alpha > 0:
            raise ValueError(f"expected a positive alpha, without which single encoders do not learn, got {alpha}")
        self.alpha, self.beta = float(alpha), as_schedule(beta)

    def check(self, space: MultimodalSpace) -> None:
        """Refuse also another joint posterior than a joint encoder, and private codes.

        Raises:
            TypeError: the joint posterior is another.
            ValueError: modalities have codes of their own.

        """
        super().check(space)
        self.check_joint(space, JointEncoder)
        if space.private:
            raise ValueError(f"expected private = 0 for JMVAEObjective, got {space.private}")

    def forward(self, space: MultimodalSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return the loss of whole observations.

        Raises:
            ValueError: some lack modalities, of which the joint encoder makes nothing.

        """
        if "present" in batch:
            raise ValueError(
                "JMVAEObjective expected observations with all modalities, which its joint encoder sees, got some with "
                "missing ones: choose mvae, mmvae, mopoe or mvtcae"
            )
        x, beta = batch["x"], self.beta(step)
        experts = space.experts(x)
        terms = self.joint_terms(space, space.given(experts), x, None)
        apart = torch.stack([closed_form_kl(terms.q, one).sum(-1) for one in experts.each()]).sum(0)
        divergence = terms.kl.sum(-1) + self.alpha * apart
        loss = (beta * divergence - self.weighted(terms.log_probs)).mean()
        return Losses(loss, terms.reconstruction, terms.kl, {"beta": beta}, {"apart": apart.detach().mean()})
