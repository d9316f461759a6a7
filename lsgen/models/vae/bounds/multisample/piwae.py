r"""PIWAE: the decoder learns from one bound of m k samples, the encoder from the average of m bounds of k samples.

    theta (decoder, prior):  grad L_{mk} = sum_ij W_ij grad log p(x, z_ij),           W over all m k samples
    phi (encoder):           grad 1/m sum_j L_k = 1/m sum_ij V_ij grad log w_ij,      V within each group i of k samples

W_ij = S_i V_ij, where S_i is the share of group i in the total weight. One backward pass gives both: the loss weighs
log p(x, z) with W, and the gradient that reaches the encoder through z is divided by m S_i. Shares below 1e-20 count
as 1e-20, which no gradient of the decoder can tell.

Reference: Rainforth et al. (2018), section 5, https://arxiv.org/abs/1802.04537.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lsgen.latent import EncodableLatentSpace
from lsgen.models.losses import Losses
from lsgen.models.vae.bounds.multisample import importance
from lsgen.models.vae.objective import Objective

__all__ = ["PIWAE"]


class PIWAE(Objective):
    """Partially importance-weighted autoencoder; the loss's value is -L_{mk}.

    Args:
        groups: bounds m that the encoder averages.
        samples: codes k in each of them.

    Raises:
        ValueError: one of them is not positive.

    """

    def __init__(self, groups: int = 8, samples: int = 8) -> None:
        super().__init__()
        self.groups, self.samples = importance.positive("groups", groups), importance.positive("samples", samples)

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return -L_{mk}, with the encoder's gradient that of the average of m bounds L_k."""
        x = batch["x"]
        q = space.encode(x)
        z = q.rsample(torch.Size((self.groups * self.samples,)))
        gate = z.view_as(z)
        parts = importance.weigh(space, x, q, gate)
        grouped = parts.log_w.detach().unflatten(0, (self.groups, self.samples))
        within = grouped.softmax(1)
        share = grouped.logsumexp(1).softmax(0).clamp(min=1e-20).unsqueeze(1).expand_as(within)
        rescale = (self.groups * share).flatten(0, 1).unsqueeze(-1)
        if gate.requires_grad:
            gate.register_hook(lambda gradient: gradient / rescale)
        joint = (share * within).flatten(0, 1) * (parts.likelihood + parts.prior)
        posterior = within.flatten(0, 1) / self.groups * q.log_prob(z)
        bound = importance.log_mean_exp(parts.log_w.detach())
        surrogate = (posterior - joint).sum(0).mean()
        return importance.losses(surrogate - surrogate.detach() - bound.mean(), bound, parts)
