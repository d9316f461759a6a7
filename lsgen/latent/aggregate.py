r"""The aggregate posterior q(z) = 1/N sum_n q(z|x_n), estimated at the codes z_i ~ q(z|x_i) of a minibatch of M.

    log q(z_i)   ~ log sum_j W_ij q(z_i|x_j),    log q(z_ik) ~ log sum_j W_ij q(z_ik|x_j).

Minibatch-weighted sampling ("weighted", the estimator that the paper trains with) has W_ij = 1/(N M): a lower bound in
expectation, whose log q(z_i) is too small by up to log N, so that the total correlation it gives carries up to
(d - 1) log N; a training signal, not a value. Minibatch stratified sampling ("stratified", the paper's appendix) lets
the own code x_i, which is certainly in the data, count as one of N, and the others stand for the N - 1 that remain:

    W_ii = 1/N,    W_ij = (1 - 1/N) / (M - 1)    for j != i,

rows sum to 1 and W becomes exact at M = N. This is the estimator of the paper averaged over its arbitrary choice of
the code that fills up the stratum. With a batch of one, W = 1.

    mutual information            I(x; z) = E[ log q(z|x) - log q(z) ]
    total correlation             TC      = E[ log q(z) - sum_k log q(z_k) ]
    dimension-wise KL             DWKL    = E[ sum_k log q(z_k) - log p(z) ]

and I + TC + DWKL = E[ log q(z|x) - log p(z) ], the averaged KL.

Neither estimates the total correlation where posteriors are narrow, so that few codes of a minibatch lie within each
other's posterior. For q(z) normal in d = 10 dimensions, neighbours of which are correlated by a = 1/2 before the
posterior's standard deviation s is added, and N = 60,000 (less (d - 1) log N for "weighted"):

|   s |    M | TC    | str.  | wei.  | dTC/da | str.  | wei.  | dTC/dlog s | str.   | wei.  |
|-----|------|-------|-------|-------|--------|-------|-------|------------|--------|-------|
| 1.0 |   64 |  0.23 | -0.18 |  0.68 |   0.68 |  0.99 |  0.29 |      -0.50 |   0.90 | -2.07 |
| 1.0 | 1024 |  0.23 |  0.18 |  0.30 |   0.68 |  0.72 |  0.56 |      -0.50 |  -0.26 | -0.82 |
| 0.6 |   64 |  0.55 | -0.93 |  2.62 |   1.85 |  2.26 | -0.05 |      -0.71 |   1.04 | -5.74 |
| 0.6 | 1024 |  0.55 |  0.21 |  1.17 |   1.85 |  2.06 |  0.88 |      -0.71 |   0.19 | -3.08 |
| 0.3 |   64 |  0.99 |  2.05 |  7.88 |   3.98 | -0.28 | -0.54 |      -0.48 |  -9.29 | -8.65 |
| 0.3 | 1024 |  0.99 |  1.73 |  5.38 |   3.98 |  0.61 | -0.37 |      -0.48 |  -6.68 | -8.63 |
| 0.1 |   64 |  1.25 | 14.12 | 17.59 |   5.69 | -1.37 | -0.97 |      -0.08 | -12.19 | -8.69 |
| 0.1 | 1024 |  1.25 | 11.95 | 15.82 |   5.69 | -0.70 | -0.70 |      -0.08 | -10.00 | -9.79 |

For narrow posteriors the derivative by the correlation has the wrong sign with either, and what both reward is wider
posteriors; for wide ones the stratified value is the better, and its derivative by s has the wrong sign. What q(z) is
like is told by `lsgen.metrics.AggregatePosterior`, from many observations at once and with bounds that it states.

Reference: Chen et al., "Isolating sources of disentanglement in VAEs" (2018), equation 2, appendix C,
https://arxiv.org/abs/1802.04942.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

__all__ = ["AggregateTerms", "Sampling", "aggregate_terms", "log_weights", "pairwise_log_prob"]

Sampling = Literal["stratified", "weighted"]


@dataclass(frozen=True)
class AggregateTerms:
    """The terms of the average KL divergence for each code, (M,), in nats; estimates are their means over the batch."""

    mutual_information: Tensor
    total_correlation: Tensor
    dimension_wise_kl: Tensor


def log_weights(codes: int, observations: int, sampling: Sampling, like: Tensor) -> Tensor:
    """Return the logarithms of the importance weights of all pairs in a minibatch, log W, (M, M).

    Args:
        codes: size M of the minibatch.
        observations: size N of the data set.
        sampling: "stratified" or "weighted".
        like: tensor with the wanted dtype and device.

    Raises:
        ValueError: there is no such sampling, or N is not positive.

    Example:
        >>> log_weights(3, 100, "stratified", torch.zeros(())).exp().sum(1)
        tensor([1.0000, 1.0000, 1.0000])

    """
    if observations < 1:
        raise ValueError(f"expected a data set of at least 1 observation, got {observations}")
    if sampling == "weighted":
        return like.new_full((codes, codes), -log(observations * codes))
    if sampling != "stratified":
        raise ValueError(f'expected sampling "stratified" or "weighted", got {sampling!r}')
    if codes == 1:
        return like.new_zeros(1, 1)
    other = log((1 - 1 / observations) / (codes - 1)) if observations > 1 else -torch.inf
    own = torch.eye(codes, dtype=torch.bool, device=like.device)
    return like.new_full((codes, codes), other).masked_fill(own, -log(observations))


def pairwise_log_prob(q: Distribution, z: Tensor) -> Tensor:
    """Return log q(z_ik|x_j), (M, M', d), of codes z (M, d) under factorised posteriors q of batch shape (M',).

    Raises:
        TypeError: q does not factorise over latent dimensions.

    """
    if not isinstance(q, Independent) or q.reinterpreted_batch_ndims != 1:
        raise TypeError(f"expected a posterior that factorises over latent dimensions, got {q}")
    return q.base_dist.log_prob(z.unsqueeze(-2))


def aggregate_terms(
    q: Distribution, p: Distribution, z: Tensor, observations: int, sampling: Sampling = "stratified"
) -> AggregateTerms:
    """Return mutual information, total correlation and dimension-wise KL at the codes of a minibatch.

    Args:
        q: factorised posteriors, of batch shape (M,).
        p: prior.
        z: one code from each, (M, d).
        observations: size N of the data set.
        sampling: "stratified" or "weighted".

    Raises:
        TypeError: q does not factorise over latent dimensions.

    """
    pairs = pairwise_log_prob(q, z)
    weights = log_weights(len(z), observations, sampling, like=z)
    log_conditional = pairs.diagonal().sum(0)
    log_joint = torch.logsumexp(weights + pairs.sum(-1), 1)
    log_marginals = torch.logsumexp(weights.unsqueeze(-1) + pairs, 1).sum(-1)
    return AggregateTerms(log_conditional - log_joint, log_joint - log_marginals, log_marginals - p.log_prob(z))
