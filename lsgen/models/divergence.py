"""The KL divergence of a posterior from a prior, in closed form or estimated from a sample."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution, Independent, kl_divergence

from lsgen.latent import LadderNormal, Point

__all__ = ["closed_form_kl", "factorises", "kl_per_dimension", "kl_terms"]


def factorises(*distributions: Distribution) -> bool:
    """Return whether every distribution over codes is a product over latent dimensions."""
    return all(isinstance(p, Independent) and p.reinterpreted_batch_ndims == 1 for p in distributions)


def kl_per_dimension(q: Distribution, p: Distribution) -> Tensor:
    """Return KL(q || p) in nats for every latent dimension of two factorised distributions, (B, d).

    Those of a ladder are given the levels above, at a draw of them.

    Raises:
        TypeError: one of the two does not factorise over latent dimensions.

    """
    if isinstance(q, LadderNormal) and factorises(p):
        return kl_terms(q, p, q.sample())
    if not (isinstance(q, Independent) and isinstance(p, Independent) and factorises(q, p)):
        raise TypeError(f"expected a posterior and a prior that factorise over latent dimensions, got {q} and {p}")
    return kl_divergence(q.base_dist, p.base_dist)


def closed_form_kl(q: Distribution, p: Distribution) -> Tensor:
    """Return KL(q || p) in nats, (B, d) where both factorise over latent dimensions, else (B, 1).

    Raises:
        NotImplementedError: there is no closed form for these two families.

    """
    return kl_per_dimension(q, p) if factorises(q, p) else kl_divergence(q, p).unsqueeze(-1)


def kl_terms(q: Distribution, p: Distribution, z: Tensor) -> Tensor:
    """Return KL(q || p) in nats: in closed form if there is one, else estimated as log q(z|x) - log p(z).

    Args:
        q: posterior, of batch shape (B,).
        p: prior.
        z: codes drawn from q, (B, d) or (k, B, d), for the estimate.

    Returns:
        (B, d) where both factorise over latent dimensions (for a ladder: given the level above), else (B, 1); (B, 0)
        where q is a point.

    """
    if isinstance(q, Point):
        return z.new_zeros(len(q.mean), 0)
    if isinstance(q, LadderNormal) and isinstance(p, Independent) and factorises(p):
        kl = kl_divergence(q.factors(z).base_dist, p.base_dist)
        return kl.mean(0) if kl.ndim > 2 else kl
    if isinstance(q, Independent) and isinstance(p, Independent) and factorises(q, p):
        return _divergence(q.base_dist, p.base_dist, z)
    return _divergence(q, p, z).unsqueeze(-1)


def _divergence(q: Distribution, p: Distribution, z: Tensor) -> Tensor:
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        estimate = q.log_prob(z) - p.log_prob(z)
        return estimate.mean(0) if estimate.ndim > len(q.batch_shape) else estimate
