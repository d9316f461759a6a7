r"""Importance-weighted autoencoders: a bound that tightens with the number of samples.

    L_k(x) = E_{z_1 ... z_k ~ q(z|x)}[ log 1/k sum_i p(x, z_i) / q(z_i|x) ] <= log p(x),    L_1 = ELBO,  L_k <= L_{k+1}

MIWAE averages m such bounds, E[ 1/m sum_j L_k ], for the same number m k of samples a less noisy gradient for the
encoder, whose signal-to-noise ratio falls with k.

Reference: Burda, Grosse & Salakhutdinov (2016), equation 8, https://arxiv.org/abs/1509.00519; Rainforth et al.,
"Tighter variational bounds are not necessarily better" (2018), equation 13, https://arxiv.org/abs/1802.04537.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from lsgen.latent import EncodableLatentSpace
from lsgen.models.losses import Losses
from lsgen.models.vae.bounds.multisample import importance
from lsgen.models.vae.objective import Objective

__all__ = ["IWAE", "MIWAE"]


class MIWAE(Objective):
    """The average of `groups` importance-weighted bounds of `samples` codes each.

    Args:
        groups: bounds averaged, m.
        samples: codes in each bound, k.

    Raises:
        ValueError: one of them is not positive.

    """

    def __init__(self, groups: int = 8, samples: int = 8) -> None:
        super().__init__()
        self.groups, self.samples = importance.positive("groups", groups), importance.positive("samples", samples)

    def forward(self, space: EncodableLatentSpace, batch: Mapping[str, Tensor], step: int) -> Losses:
        """Return -1/m sum_j L_k."""
        parts = importance.draw(space, batch["x"], self.groups * self.samples)
        bound = importance.log_mean_exp(parts.log_w.unflatten(0, (self.groups, self.samples)), 1).mean(0)
        return importance.losses(-bound.mean(), bound, parts)


class IWAE(MIWAE):
    """The importance-weighted bound L_k.

    Args:
        samples: codes k in the bound.

    Raises:
        ValueError: samples is not positive.

    """

    def __init__(self, samples: int = 50) -> None:
        super().__init__(1, samples)
