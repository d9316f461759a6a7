r"""The evidence of models with few codes, exactly: the sum over all of them.

    p(x) = sum_z p(z) p(x|z)

It needs no encoder, and as many evaluations of the decoder as there are codes, whatever the number of observations.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lsgen.latent import LatentSpace
from lsgen.latent.densities import check_density
from lsgen.latent.discrete.enumeration import every_code, number_of_codes

__all__ = ["check_enumerable", "enumerated_log_evidence"]


def check_enumerable(space: LatentSpace, most_codes: int) -> None:
    """Refuse a latent space that has more codes than are to be looked at.

    Raises:
        TypeError: codes can move continuously, or the prior has no density.
        ValueError: there are more codes.

    """
    check_density(space.prior)
    found = number_of_codes(space.manifold)
    if found > most_codes:
        raise ValueError(f"expected a latent space of at most {most_codes} codes, got {found} on {space.manifold}")


def enumerated_log_evidence(space: LatentSpace, x: Tensor, most_codes: int = 2**16, chunk_size: int = 256) -> Tensor:
    """Return log p(x) of observations (B, *shape) in nats, (B,), in double precision.

    Args:
        space: prior, decoder and likelihood.
        x: observations (B, *shape).
        most_codes: codes beyond which the sum is refused.
        chunk_size: codes decoded at once, each compared with every observation.

    Raises:
        TypeError: codes can move continuously, or the prior has no density.
        ValueError: there are more codes than `most_codes`, or chunk_size is not positive.

    """
    check_enumerable(space, most_codes)
    p = space.prior()
    total = torch.full((len(x),), -torch.inf, dtype=torch.float64, device=x.device)
    for z in every_code(space.manifold, x, chunk_size):
        joint = space.decode(z.unsqueeze(1)).log_prob(x) + p.log_prob(z).unsqueeze(1)
        total = torch.logaddexp(total, joint.double().logsumexp(0))
    return total
