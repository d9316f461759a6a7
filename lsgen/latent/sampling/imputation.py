r"""Imputation of missing values given the observed ones.

    p(x_m | x_o) = int p(x_m|z) p(z|x_o) dz,    z_k ~ q(z|x_o),    w_k = p(x_o|z_k) p(z_k) / q(z_k|x_o)

Self-normalised importance sampling: E[x_m|x_o] ~ sum_k w_k E[x_m|z_k] / sum_k w_k, and draws of x_m from z_k chosen in
proportion to w_k. The encoder sees zeros where values are missing. Codes are chosen on the way by the largest of
log w_k + Gumbel noise, which is a draw in proportion to w_k, so that memory depends on the chunk only. Where the space
has a model p(s|x) of which values are observed, what is averaged and chosen are draws x_m,k ~ p(x_m|z_k), with
p(s|x_o, x_m,k) in w_k.

Pseudo-Gibbs sampling: x_m ~ p(x_m|z), z ~ q(z|x_o, x_m) in turn, exact only where q is; an encoder that never saw
whole observations may lead it astray. Metropolis-within-Gibbs sampling takes the new code z' for the old one z with
probability

    min( 1, [ p(x|z') p(z') / q(z'|x) ] / [ p(x|z) p(z) / q(z|x) ] ),

and leaves p(z, x_m|x_o) invariant whatever q is. Codes that q puts beyond the walls of a cube have p(z') = 0; without
the test they are stopped at the walls.

Reference: Mattei & Frellsen, "MIWAE" (2019), equations 10 to 12, https://arxiv.org/abs/1812.02633; Ipsen, Mattei &
Frellsen, "not-MIWAE" (2021), equation 9, https://arxiv.org/abs/2006.12871; Rezende, Mohamed & Wierstra (2014), appendix
F, https://arxiv.org/abs/1401.4082; Mattei & Frellsen, "Leveraging the exact likelihood of deep latent variable models"
(2018), section 4.3, https://arxiv.org/abs/1802.04826.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent
from torch.nn.functional import logsigmoid

from lsgen.latent.densities import check_density
from lsgen.latent.space import EncodableLatentSpace

__all__ = ["Imputation", "central_interval", "impute", "mask_log_prob", "observed_log_prob", "pseudo_gibbs"]


@dataclass(frozen=True)
class Imputation:
    """Observations with their gaps filled.

    Attributes:
        mean: the observed values, and the expectation of the missing ones, (B, *shape).
        draws: the observed values, and draws of the missing ones, (draws, B, *shape).
        effective_samples: (sum w)^2 / sum w^2, (B,).

    """

    mean: Tensor
    draws: Tensor
    effective_samples: Tensor


def central_interval(draws: Tensor, level: float) -> tuple[Tensor, Tensor]:
    """Return the ends, (...), between which one more draw like the n draws (n, ...) falls with probability `level`.

    They lie between order statistics, at p (n + 1), which takes 2 / (1 - level) - 1 draws or more.
    """
    ordered, n = draws.sort(0).values, len(draws)
    ends = []
    for p in ((1 - level) / 2, (1 + level) / 2):
        position = min(max(p * (n + 1) - 1, 0.0), n - 1.0)
        below = int(position)
        ends.append(torch.lerp(ordered[below], ordered[min(below + 1, n - 1)], position - below))
    return ends[0], ends[1]


def observed_log_prob(p: Distribution, x: Tensor, observed: Tensor) -> Tensor:
    """Return log p(x_o|z), of the batch shape of p, for a distribution with independent data dimensions.

    Args:
        p: p(x|z), of event shape `shape`.
        x: observations (B, *shape); what stands at missing values must be possible, and does not matter.
        observed: boolean, (B, *shape).

    Raises:
        TypeError: the data dimensions of p are not independent.

    """
    if not isinstance(p, Independent):
        raise TypeError(f"expected a likelihood with independent data dimensions, got {type(p).__name__.lstrip('_')}")
    each = p.base_dist.log_prob(x)
    return torch.where(observed, each, 0.0).flatten(-len(p.event_shape)).sum(-1)


def mask_log_prob(missingness: Callable[[Tensor], Tensor], x: Tensor, observed: Tensor) -> Tensor:
    """Return log p(s|x), (k, B), of observations (k, B, *shape) whose values of a mask (B, *shape) are observed.

    It is computed in the precision of x, also where automatic mixed precision runs the model in half.

    Args:
        missingness: observations (N, *shape) -> logits (N, *shape) that values are observed.
        x: observations, their missing values filled.
        observed: the mask s.

    """
    logits = missingness(x.flatten(0, 1)).unflatten(0, x.shape[:2]).to(x.dtype)
    return logsigmoid(torch.where(observed, logits, -logits)).flatten(2).sum(-1)


@torch.no_grad()
def impute(
    space: EncodableLatentSpace,
    x: Tensor,
    observed: Tensor,
    samples: int = 10_000,
    draws: int = 100,
    chunk_size: int = 100,
) -> Imputation:
    """Return expectation and draws of missing values by self-normalised importance sampling.

    Args:
        space: encoder, prior, decoder and a likelihood with independent data dimensions.
        x: observations (B, *shape); what stands at missing values is ignored.
        observed: boolean, (B, *shape).
        samples: codes for every observation.
        draws: draws returned.
        chunk_size: codes for every observation that are decoded at once.

    Raises:
        ValueError: shapes differ or a number is not positive.
        TypeError: the prior or the posterior has no density.

    """
    _check(x, observed, samples, draws, chunk_size)
    check_density(space.prior, space.posterior)
    seen = torch.where(observed, x, 0.0)
    q, p = space.encode(seen), space.prior()
    batch = len(x)
    total = torch.full((batch,), -torch.inf, dtype=x.dtype, device=x.device)
    squares, mean = total.clone(), torch.zeros_like(x)
    best = torch.full((draws, batch), -torch.inf, dtype=x.dtype, device=x.device)
    kept = torch.Size((space.dim,)) if space.missingness is None else x.shape[1:]
    chosen = torch.zeros(draws, batch, *kept, dtype=x.dtype, device=x.device)
    for start in range(0, samples, chunk_size):
        z = q.sample(torch.Size((min(chunk_size, samples - start),)))
        decoded = space.decode(z)
        log_w = observed_log_prob(decoded, seen, observed) + p.log_prob(z) - q.log_prob(z)
        expected, values = decoded.mean, z
        if space.missingness is not None:
            expected = values = torch.where(observed, seen, decoded.sample())
            log_w = log_w + mask_log_prob(space.missingness, values, observed)
        part = torch.logsumexp(log_w, 0)
        share = torch.sigmoid(part - total)
        inside = _weighted(torch.softmax(log_w, 0), expected)
        mean = torch.lerp(mean, inside, share.reshape(-1, *[1] * (x.ndim - 1)))
        total, squares = torch.logaddexp(total, part), torch.logaddexp(squares, torch.logsumexp(2 * log_w, 0))
        score, index = (log_w + _gumbel(torch.Size((draws, *log_w.shape)), log_w)).max(1)
        better = score > best
        picked = values[index, torch.arange(batch, device=x.device)]
        better_ = better.reshape(draws, batch, *[1] * len(kept))
        chosen, best = torch.where(better_, picked, chosen), torch.where(better, score, best)
    drawn = chosen if space.missingness is not None else space.decode(chosen).sample()
    filled = torch.where(observed, x, drawn)
    return Imputation(torch.where(observed, x, mean), filled, torch.exp(2 * total - squares))


@torch.no_grad()
def pseudo_gibbs(
    space: EncodableLatentSpace,
    x: Tensor,
    observed: Tensor,
    steps: int = 1000,
    draws: int = 100,
    metropolis: bool = False,
) -> Tensor:
    """Return the last `draws` states of a pseudo-Gibbs chain, (draws, B, *shape), observed values unchanged.

    Args:
        space: encoder, prior, decoder and likelihood.
        x: observations (B, *shape); what stands at missing values is ignored.
        observed: boolean, (B, *shape).
        steps: length of the chain, which starts at zeros for missing values.
        draws: states returned.
        metropolis: whether codes are accepted or not, so that the chain is exact: Metropolis-within-Gibbs sampling.

    Raises:
        ValueError: shapes differ, a number is not positive, or there are more draws than steps.
        TypeError: codes are to be accepted or not, and the prior or the posterior has no density; or the space has a
            model of which values are observed.

    """
    _check(x, observed, steps, draws, 1)
    if space.missingness is not None:
        raise TypeError("expected values missing at random, got a model of the mask, which `impute` takes into account")
    if draws > steps:
        raise ValueError(f"expected no more draws than steps, got {draws} and {steps}")
    if metropolis:
        check_density(space.prior, space.posterior)
    state, states, p = torch.where(observed, x, 0.0), [], space.prior()
    z = space.manifold.onto(space.encode(state).sample())
    for step in range(steps):
        state = torch.where(observed, x, space.decode(z).sample())
        if step >= steps - draws:
            states.append(state)
        q = space.encode(state)
        new = q.sample()
        if metropolis:
            log_w, new_log_w = (space.decode(c).log_prob(state) + p.log_prob(c) - q.log_prob(c) for c in (z, new))
            new = torch.where((torch.rand_like(log_w).log() < new_log_w - log_w).unsqueeze(-1), new, z)
        z = new if metropolis else space.manifold.onto(new)
    return torch.stack(states)


def _weighted(weights: Tensor, values: Tensor) -> Tensor:
    return (weights.reshape(*weights.shape, *[1] * (values.ndim - weights.ndim)) * values).sum(0)


def _gumbel(shape: torch.Size, like: Tensor) -> Tensor:
    return -torch.empty(shape, dtype=like.dtype, device=like.device).exponential_().log()


def _check(x: Tensor, observed: Tensor, *numbers: int) -> None:
    if x.shape != observed.shape or observed.dtype != torch.bool:
        raise ValueError(
            f"expected a boolean mask of shape {tuple(x.shape)}, got {observed.dtype} {tuple(observed.shape)}"
        )
    if min(numbers) < 1:
        raise ValueError(f"expected numbers of samples, draws and steps of at least 1, got {numbers}")
