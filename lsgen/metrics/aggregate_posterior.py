r"""The aggregate posterior q(z) = 1/N sum_n q(z|x_n) of a data set: its divergence from the prior and its parts.

    1/N sum_n KL( q(z|x_n) || p(z) )  =  I(x; z)  +  KL( q(z) || p(z) )
    KL( q(z) || p(z) )                =  TC  +  sum_k KL( q(z_k) || p(z_k) )         (p factorised)

with q(z) the exact mixture of all N posteriors seen, at one code from each (or from a random part of them).

A mixture of N posteriors that hardly overlap has I(x; z) = log N whatever the model: the estimate is bounded by log N,
and what it lacks the total correlation has too much, as

    TC = sum_k I(x; z_k) - I(x; z),        TC <= (d - 1) log N .

How near that is, is seen from the share that the posterior of x_n itself has of the density at its code,
exp E log( q(z|x_n) / N q(z) ) = exp( I - log N ): at a tenth I lacks about a tenth of a nat, near 1 neither number says
more than N. The total correlation of the normal distribution with the covariance of q(z),

    TC_normal = 1/2 ( sum_k log C_kk - log det C ),        C = Cov( E[z|x] ) + E[ Cov(z|x) ] ,

has no such bound; it sees linear dependence alone, and is TC where q(z) is normal.

Reference: Hoffman & Johnson, "ELBO surgery" (2016); Chen et al. (2018), https://arxiv.org/abs/1802.04942.
"""

from __future__ import annotations

import warnings
from math import log
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal
from torchmetrics import Metric

__all__ = ["AggregatePosterior"]

LARGEST_SHARE = 0.1


class AggregatePosterior(Metric):
    """Mutual information, marginal KL, total correlation and dimension-wise KL of normal posteriors, in nats.

    `update(q)` takes the N posteriors, batch by batch; `compute()` returns `mutual_information`, at most log N,
    `marginal_kl`, `total_correlation`, at most (d - 1) log N, `dimension_wise_kl`, `mutual_information_error`, the
    standard error over codes, `own_share`, of the density at a code the share of its own posterior, and
    `total_correlation_normal`. It warns where the own share is above a tenth: mutual information is then too small, and
    total correlation too large, by more than about a tenth of a nat.

    Args:
        prior: p(z), a factorised distribution over codes.
        codes: how many of the posteriors give a code; all of them where there are fewer.
        chunk_size: codes compared with all posteriors at once; it bounds the memory.

    Raises:
        ValueError: codes or chunk_size is not positive.

    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    mean: list[Tensor]
    scale: list[Tensor]

    def __init__(self, prior: Distribution, codes: int = 10_000, chunk_size: int = 64, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if min(codes, chunk_size) < 1:
            raise ValueError(f"expected codes and chunk_size of at least 1, got {codes} and {chunk_size}")
        self.prior, self.codes, self.chunk_size = prior, codes, chunk_size
        self.add_state("mean", [], dist_reduce_fx="cat")
        self.add_state("scale", [], dist_reduce_fx="cat")

    def update(self, q: Distribution) -> None:
        """Add posteriors of batch shape (B,).

        Raises:
            TypeError: they are not normal with independent dimensions.

        """
        if not isinstance(q, Independent) or not isinstance(q.base_dist, Normal):
            raise TypeError(f"expected normal posteriors with independent dimensions, got {q}")
        self.mean.append(q.base_dist.loc.detach())
        self.scale.append(q.base_dist.scale.detach())

    def compute(self) -> dict[str, Tensor]:
        """Return the parts of the average KL, scalars in nats."""
        mean, scale = torch.cat(list(self.mean)).double(), torch.cat(list(self.scale)).double()
        everything = Normal(mean, scale)
        chosen = torch.randperm(len(mean), device=mean.device)[: self.codes]
        z = mean[chosen] + scale[chosen] * torch.randn_like(mean[chosen])
        joint, marginals = [], []
        for part in z.split(self.chunk_size):
            pairs = everything.log_prob(part.unsqueeze(1))
            joint.append(torch.logsumexp(pairs.sum(-1), 1) - log(len(mean)))
            marginals.append((torch.logsumexp(pairs, 1) - log(len(mean))).sum(-1))
        log_joint, log_marginals = torch.cat(joint), torch.cat(marginals)
        log_own = Normal(mean[chosen], scale[chosen]).log_prob(z).sum(-1)
        log_prior = self.prior.log_prob(z.to(self.mean[0].dtype)).double()
        information = log_own - log_joint
        own_share = (information.mean() - log(len(mean))).exp()
        _warn(len(mean), float(information.mean()), float(own_share))
        return {
            "mutual_information": information.mean(),
            "mutual_information_error": information.std() / len(z) ** 0.5,
            "marginal_kl": (log_joint - log_prior).mean(),
            "total_correlation": (log_joint - log_marginals).mean(),
            "total_correlation_normal": _normal_total_correlation(mean, scale),
            "dimension_wise_kl": (log_marginals - log_prior).mean(),
            "own_share": own_share,
        }


def _warn(n: int, information: float, own_share: float) -> None:
    if n > 1 and own_share > LARGEST_SHARE:
        warnings.warn(
            f"AggregatePosterior of {n:,} observations has a mutual information of {information:.2f} nats, near its "
            f"bound log {n:,} = {log(n):.2f}: it is too small, and the total correlation too large",
            stacklevel=3,
        )


def _normal_total_correlation(mean: Tensor, scale: Tensor) -> Tensor:
    """Return the total correlation of the normal distribution with the covariance of a mixture; NaN if degenerate."""
    centred = mean - mean.mean(0)
    covariance = centred.T @ centred / len(mean) + torch.diag((scale**2).mean(0))
    return (covariance.diagonal().log().sum() - torch.logdet(covariance)) / 2
