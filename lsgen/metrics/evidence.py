r"""The evidence log p(x) of observations under a model, estimated by importance sampling.

    log p(x) ~ log 1/K sum_k w_k,    w_k = p(x|z_k) p(z_k) / q(z_k|x),    z_k ~ q(z|x),

a lower bound in expectation that tightens with K. Samples are drawn and summed in chunks, so that memory depends on the
chunk and not on K. The effective sample size (sum w)^2 / sum w^2 tells how many of the samples carry the estimate.

Reference: Burda, Grosse & Salakhutdinov (2016), section 5.1, https://arxiv.org/abs/1509.00519.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution
from torchmetrics import Metric

from lsgen.latent import EncodableLatentSpace, observed_log_prob
from lsgen.latent.densities import check_density

__all__ = ["Evidence", "NegativeLogLikelihood", "log_evidence"]


@dataclass(frozen=True)
class Evidence:
    """Estimates of the evidence of each observation.

    Attributes:
        log_evidence: log p(x) in nats, (B,).
        effective_samples: between 1 and the number of samples, (B,).

    """

    log_evidence: Tensor
    effective_samples: Tensor


@torch.no_grad()
def log_evidence(
    space: EncodableLatentSpace,
    x: Tensor,
    samples: int = 5000,
    chunk_size: int = 100,
    q: Distribution | None = None,
    observed: Tensor | None = None,
) -> Evidence:
    """Return the importance-sampled evidence of observations (B, *shape), or of the values observed in them.

    Args:
        space: encoder, prior, decoder and likelihood.
        x: observations (B, *shape).
        samples: codes K for every observation.
        chunk_size: codes for every observation that are decoded at once; it bounds the memory.
        q: what codes are drawn from, of batch shape (B,); the encoder's posterior unless given.
        observed: where given, which values count, bool (B, *shape); the encoder sees zeros for the others, whatever
            they are, and their likelihood is left out.

    Raises:
        ValueError: samples or chunk_size is not positive.
        TypeError: the prior or the posterior has no density, or values are missing and the data dimensions of the
            likelihood are not independent.

    """
    if min(samples, chunk_size) < 1:
        raise ValueError(f"expected samples and chunk_size of at least 1, got {samples} and {chunk_size}")
    check_density(space.prior, space.posterior)
    x = x if observed is None else torch.where(observed, x, 0.0)
    q, p = space.encode(x) if q is None else q, space.prior()
    first = second = torch.full((len(x),), -torch.inf, dtype=torch.float64, device=x.device)
    for start in range(0, samples, chunk_size):
        z, decoded = space.draw(q, (min(chunk_size, samples - start),))
        likelihood = decoded.log_prob(x) if observed is None else observed_log_prob(decoded, x, observed)
        log_w = (likelihood + p.log_prob(z) - q.log_prob(z)).double()
        first = torch.logaddexp(first, torch.logsumexp(log_w, 0))
        second = torch.logaddexp(second, torch.logsumexp(2 * log_w, 0))
    return Evidence(first - log(samples), torch.exp(2 * first - second))


class NegativeLogLikelihood(Metric):
    """-log p(x) in nats per observation, importance-sampled, exact over all observations seen.

    `update(space, x)` estimates it for a batch; `compute()` returns the average, a scalar.

    Args:
        samples: codes for every observation; 5000 in most papers.
        chunk_size: codes for every observation decoded at once.

    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    observations: Tensor
    total: Tensor
    effective: Tensor

    def __init__(self, samples: int = 5000, chunk_size: int = 100, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if min(samples, chunk_size) < 1:
            raise ValueError(f"expected samples and chunk_size of at least 1, got {samples} and {chunk_size}")
        self.samples, self.chunk_size = samples, chunk_size
        self.add_state("observations", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("effective", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, space: EncodableLatentSpace, x: Tensor, observed: Tensor | None = None) -> None:
        """Add observations (B, *shape), or of each the values observed alone."""
        evidence = log_evidence(space, x, self.samples, self.chunk_size, observed=observed)
        self.observations += len(x)
        self.total -= evidence.log_evidence.sum()
        self.effective += evidence.effective_samples.sum()

    @property
    def effective_samples(self) -> Tensor:
        """The average effective sample size, a scalar; a handful out of thousands means a poor estimate."""
        return self.effective / self.observations

    def compute(self) -> Tensor:
        """Return the average over all observations."""
        return self.total / self.observations
