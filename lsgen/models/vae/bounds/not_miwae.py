r"""not-MIWAE, for values missing not at random: the importance-weighted bound of what is observed and of the mask.

    L_k(x_o, s) = E[ log 1/k sum_i p(x_o|z_i) p(s|x_o, x_m,i) p(z_i) / q(z_i|x_o) ] <= log p(x_o, s),
    z_i ~ q(z|x_o),    x_m,i ~ p(x_m|z_i),

with a model p(s|x) of the mask that is learned with the rest; see `lsgen.nn.missingness`. Where values are missing
because of what they are, the mask tells about them, and MIWAE, which leaves it out, is biased. The encoder sees zeros
in the place of what is missing. `lsgen.latent.impute` weighs its draws by p(s|x) too.

Reference: Ipsen, Mattei & Frellsen, "not-MIWAE: deep generative modelling with missing not at random data" (2021),
equations 5 to 8, https://arxiv.org/abs/2006.12871.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from lsgen.latent import EncodableLatentSpace, mask_log_prob
from lsgen.models.vae.bounds.missing import MissingDataIWAE

__all__ = ["NotMIWAE"]


class NotMIWAE(MissingDataIWAE):
    """The bound L_k of the observed part of each observation and its mask.

    Args:
        missingness: the model p(s|x), observations (N, *shape) -> logits (N, *shape) that values are observed.
        samples: codes k in the bound.

    Raises:
        ValueError: samples is not positive.

    """

    def __init__(self, missingness: nn.Module, samples: int = 20) -> None:
        super().__init__(samples)
        self.missingness = missingness

    def check(self, space: EncodableLatentSpace) -> None:
        """Refuse a likelihood whose draws carry no gradient, and give the space the model of the mask.

        Raises:
            TypeError: a part has no density or no gradient.
            ValueError: the model of the mask is for observations of another shape.

        """
        super().check(space)
        shape, like = space.likelihood.shape, next(space.parameters())
        found = tuple(self.missingness(like.new_zeros(1, *shape)).shape[1:])
        if found != shape:
            raise ValueError(f"NotMIWAE expected a missingness with logits of shape {shape}, got {found}")
        h = like.new_zeros(1, *space.likelihood.raw_shape)
        if not space.likelihood(h).has_rsample:
            raise TypeError(
                f"NotMIWAE expected a likelihood whose draws carry a gradient, such as a Gaussian or Student's t, "
                f"got {type(space.likelihood).__name__}"
            )
        space.bind_missingness(self.missingness)

    def log_likelihood(self, decoded: Distribution, x: Tensor, observed: Tensor) -> Tensor:
        """Return log p(x_o|z) + log p(s|x_o, x_m) of observations (N, *shape), (samples, N), with x_m drawn from z."""
        filled = torch.where(observed, x, decoded.rsample())
        return super().log_likelihood(decoded, x, observed) + mask_log_prob(self.missingness, filled, observed)
