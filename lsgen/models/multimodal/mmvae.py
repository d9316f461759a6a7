r"""MMVAE: the importance-weighted bound of a mixture of experts.

    q(z|x) = 1/M sum_m q_m(z|x_m),    L_K = 1/M sum_m E_{z_1 ... z_K ~ q_m}[ log 1/K sum_k p(x, z_k) / q(z_k|x) ],

the looser of the two bounds of the paper, in which every expert has an average of its own and none can be ignored. With
K = 1 it is the ELBO of the mixture. Every code of every expert is decoded into all modalities, K M of an observation.
Where modalities are missing, M, the mixture and p(x|z) are of those present.

Reference: Shi, Siddharth, Paige & Torr, "Variational mixture-of-experts autoencoders for multi-modal deep generative
models" (2019), section 3, https://arxiv.org/abs/1911.03393; the gradient is that of `ExpertDraws`.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from lsgen.latent.multimodal import MixtureOfExperts, MultimodalSpace
from lsgen.models.losses import Losses
from lsgen.models.multimodal.expert_bound import draw_from_experts
from lsgen.models.multimodal.objective import MultimodalObjective
from lsgen.models.vae.bounds.multisample.importance import positive

__all__ = ["MMVAEObjective"]


class MMVAEObjective(MultimodalObjective):
    """The importance-weighted bound of a mixture of experts.

    Args:
        weights: factors of the modalities' log-likelihoods, by name; 1 where none is given.
        samples: codes K of every expert.
        doubly_reparameterised: whether gradients are reparameterised twice, which lowers their variance. The paper's
            such estimator is another, biased for K > 1.

    Raises:
        ValueError: samples or a weight is not positive.

    """

    def __init__(
        self, weights: Mapping[str, float] | None = None, samples: int = 10, doubly_reparameterised: bool = True
    ) -> None:
        super().__init__(weights)
        self.samples, self.doubly_reparameterised = positive("samples", samples), bool(doubly_reparameterised)

    def check(self, space: MultimodalSpace) -> None:
        """Refuse also another joint posterior than a mixture of experts, and private codes.

        Raises:
            TypeError: the joint posterior is another.
            ValueError: modalities have codes of their own.

        """
        super().check(space)
        self.check_joint(space, MixtureOfExperts)
        if space.private:
            raise ValueError(f"expected private = 0 for MMVAEObjective, got {space.private}: use MMVAEPlusObjective")

    def forward(self, space: MultimodalSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return -L_K."""
        x, present = batch["x"], batch.get("present")
        experts = space.experts(x, present)
        drawn = draw_from_experts(experts.mean, experts.log_variance, present, self.samples)
        z = drawn.z.view_as(drawn.z) if self.doubly_reparameterised else drawn.z
        log_q = drawn.log_mixture(drawn.held if self.doubly_reparameterised else drawn.live, z)
        log_p = space.prior().log_prob(z)
        log_probs = space.decode(z).log_probs(*drawn.beside(x, present))
        log_w = self.weighted(log_probs) + log_p - log_q
        bound = drawn.doubly_reparameterised(log_w, z) if self.doubly_reparameterised else drawn.bound(log_w)
        return drawn.losses(bound, log_probs, log_q - log_p)
