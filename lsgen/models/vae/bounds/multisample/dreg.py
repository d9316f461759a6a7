r"""The doubly reparameterised gradient of the importance-weighted bound.

    theta (decoder, prior):  grad L_k = E[ sum_i W_i   d log p(x, z_i) / d theta ],
    phi (encoder):           grad L_k = E[ sum_i W_i^2 d log w_i / d z_i  d z_i / d phi ],    W_i = w_i / sum_j w_j

Both are unbiased for the bound L_k of `IWAE`. The score of q, which has mean zero or is reparameterised once more, is
gone from the second: its signal-to-noise ratio grows with k instead of falling, and at the exact posterior it vanishes
for every sample.

Reference: Tucker, Lawson, Gu & Maddison, "Doubly reparameterized gradient estimators for Monte Carlo objectives"
(2019), equation 8, https://arxiv.org/abs/1810.04152.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lsgen.latent import DecoderDependentPosterior, EncodableLatentSpace
from lsgen.models.divergence import kl_terms
from lsgen.models.losses import Losses
from lsgen.models.parts import frozen_parameters
from lsgen.models.vae.bounds.multisample import importance
from lsgen.models.vae.objective import Objective

__all__ = ["DReG"]


class DReG(Objective):
    """The importance-weighted bound L_k with doubly reparameterised gradients; the loss's value is that of `IWAE`.

    Args:
        samples: codes k in the bound.

    Raises:
        ValueError: samples is not positive.

    """

    def __init__(self, samples: int = 50) -> None:
        super().__init__()
        self.samples = importance.positive("samples", samples)

    def check(self, space: EncodableLatentSpace) -> None:
        """Refuse also a posterior that depends on the decoder, so that the two sides share parameters."""
        super().check(space)
        if isinstance(space.posterior, DecoderDependentPosterior):
            name = type(space.posterior).__name__
            raise TypeError(f"DReG expected a posterior made by the encoder alone, got {name}: use IWAE")

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return -L_k, with either side's own gradient.

        Raises:
            TypeError: the posterior depends on the decoder, so that the two sides share parameters.

        """
        self.check(space)
        raw = space.outputs(batch["x"])
        q, p = space.posterior(raw), space.prior()
        z = q.rsample(torch.Size((self.samples,)))
        gate = z.view_as(z)
        with frozen_parameters(space.posterior.parameters()):
            log_q = space.posterior(raw.detach()).log_prob(gate)
        likelihood = space.decode(gate).log_prob(batch["x"])
        parts = importance.Weights(likelihood, p.log_prob(gate), log_q, kl_terms(q, p, z))
        share = parts.log_w.detach().softmax(0)
        if gate.requires_grad:
            gate.register_hook(lambda gradient: gradient * share.unsqueeze(-1))
        bound = importance.log_mean_exp(parts.log_w.detach())
        surrogate = -(share * parts.log_w).sum(0).mean()
        return importance.losses(surrogate - surrogate.detach() - bound.mean(), bound, parts)
