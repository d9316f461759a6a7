r"""MMVAE+: a mixture of experts of a shared code u, beside a private code w_m of each modality.

    L_K = 1/M sum_m E[ log 1/K sum_k  p(x_m|u, w_m) prod_{n != m} p(x_n|u, v_n) rho^beta ],
    rho = p(u) p(w_m) / ( q(u|x) q_m(w_m|x_m) ),
    u ~ q_m(u|x_m),    w_m ~ q_m(w_m|x_m),    v_n ~ r_n = N(0, s_n^2),    q(u|x) = 1/M sum_m q_m(u|x_m) .

Another modality is reconstructed from the shared code and a private code that its encoder has not seen, so that no
encoder can send through its private code what others need. The scales s_n are learned. L_K bounds log p(x) if beta = 1
and every r_n is the prior of w_n, s_n = 1, as when training starts: then p(x_n|u) is the average of p(x_n|u, v_n).

Where modalities are missing, M, the mixture and p(x|z) are of those present.

Reference: Palumbo, Daunhawer & Vogt, "MMVAE+: enhancing the generative quality of multimodal VAEs without compromises"
(2023), section 3, https://openreview.net/forum?id=sdQGxouELX; the gradient is that of `ExpertDraws`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.distributions import Independent

from lsgen.latent.multimodal import MixtureOfExperts, MultimodalSpace
from lsgen.latent.multimodal.experts import diagonal_normal
from lsgen.models.losses import Losses
from lsgen.models.multimodal.expert_bound import draw_from_experts
from lsgen.models.multimodal.objective import MultimodalObjective
from lsgen.models.schedules import Schedule, as_schedule
from lsgen.models.vae.bounds.multisample.importance import positive

__all__ = ["MMVAEPlusObjective"]


class MMVAEPlusObjective(MultimodalObjective):
    """The bound of a mixture of experts with private codes.

    Args:
        weights: factors of the modalities' log-likelihoods, by name; 1 where none is given.
        samples: codes K of every expert.
        beta: weight of the densities of codes, a number or a schedule in generator steps.
        learn_scales: whether the scales s_n are learned; they are 1 otherwise.

    Attributes:
        log_scales: log s_n of every private dimension, (M, p); made when the model is assembled.

    Raises:
        ValueError: samples or a weight is not positive.

    """

    log_scales: nn.Parameter

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        samples: int = 10,
        beta: float | Schedule = 1.0,
        learn_scales: bool = True,
    ) -> None:
        super().__init__(weights)
        self.samples, self.beta, self.learn_scales = positive("samples", samples), as_schedule(beta), bool(learn_scales)

    def check(self, space: MultimodalSpace) -> None:
        """Make the scales for a space; refuse one of another joint posterior, or without private codes.

        Raises:
            TypeError: the joint posterior is no mixture of experts.
            ValueError: modalities have no codes of their own.

        """
        super().check(space)
        self.check_joint(space, MixtureOfExperts)
        if not space.private:
            raise ValueError("expected private >= 1 for MMVAEPlusObjective, a code of each modality's own, got 0")
        if not hasattr(self, "log_scales"):
            zeros = torch.zeros(len(space.names), space.private)
            self.log_scales = nn.Parameter(zeros, requires_grad=self.learn_scales)

    def forward(self, space: MultimodalSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return -L_K."""
        x, present, beta = batch["x"], batch.get("present"), self.beta(step)
        experts = space.experts(x, present)
        drawn = draw_from_experts(experts.mean, experts.log_variance, present, self.samples)
        own = experts.private_mean, experts.private_log_variance
        gate = torch.cat([drawn.z, diagonal_normal(*own).rsample(torch.Size((self.samples,)))], -1)
        z = self._codes(space, gate)
        shared, private = gate.split([space.shared, space.private], -1)
        held = diagonal_normal(*(parameter.detach() for parameter in own))
        log_q = drawn.log_mixture(drawn.held, shared) + held.log_prob(private)
        log_p = self._log_prior(space, z)
        log_probs = space.decode(z).log_probs(*drawn.beside(x, present))
        log_w = self.weighted(log_probs) + beta * (log_p - log_q)
        bound = drawn.doubly_reparameterised(log_w, gate, beta)
        return drawn.losses(bound, log_probs, log_q - log_p, {"beta": beta})

    def _codes(self, space: MultimodalSpace, gate: Tensor) -> Tensor:
        """Return all codes (K, B, M, d + M p): what each expert drew, and draws of r_n for the other modalities."""
        count = len(space.names)
        shared, own = gate.split([space.shared, space.private], -1)
        noise = torch.randn(*gate.shape[:-1], count, space.private, dtype=gate.dtype, device=gate.device)
        kept = torch.eye(count, dtype=torch.bool, device=gate.device).unsqueeze(-1)
        private = torch.where(kept, own.unsqueeze(-2), noise * self.log_scales.exp())
        return torch.cat([shared, private.flatten(-2)], -1)

    def _log_prior(self, space: MultimodalSpace, z: Tensor) -> Tensor:
        """Return log p(u) + log p(w_m) of the codes (K, B, M, d + M p) of expert m, (K, B, M)."""
        count = len(space.names)
        own = torch.eye(count, dtype=z.dtype, device=z.device).repeat_interleave(space.private, 1)
        counted = torch.cat([own.new_ones(count, space.shared), own], 1)
        each = cast(Independent, space.prior()).base_dist.log_prob(z)
        return (each * counted).sum(-1)
