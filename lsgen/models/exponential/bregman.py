r"""The Fisher metric as the Hessian of a convex potential whose Bregman divergence explains posteriors of parameters.

The mean over samples x of p_t' of log posteriors is the Kullback-Leibler divergence, whatever the family,

    E_t'[log p(t|x)] = -D_KL(p_t' | p_t) + const(t'),        = -D_phi(t, t') + const(t')    with phi = log Z

in natural coordinates of an exponential family. P(t|t') ~ exp(E_t'[log p(t|x)]) is normalised on a grid, and phi is
what minimises the mean over t' of D_KL(P | Q), Q ~ exp(-D_phi): P is the limit of the N-th root of the posterior of N
samples, so that the metric has the right scale.

The released recipe matches Q to the posteriors of single samples instead, by their Jensen-Shannon divergence, each of
them as wide as the family is but off its centre. Q is then wider: on x ~ N(t, 1), where g = 1, it finds g = 0.655.

Reference: Lobashev, Guskov, Larchenko & Tamm, "Hessian geometry of latent space in generative models" (2025),
https://arxiv.org/abs/2506.10632, theorems 3.1 and 3.2, and its released code.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from lsgen.models.exponential.family import ConvexFamily, FisherEstimator
from lsgen.models.exponential.posterior import LogPosterior, PosteriorNetwork, PosteriorSource
from lsgen.models.exponential.potential import PotentialFit, bregman
from lsgen.models.exponential.samples import FamilySamples, first_of_each

__all__ = ["BregmanEstimator", "ReleasedRecipe"]


@dataclass(frozen=True)
class BregmanEstimator(FisherEstimator):
    """A convex potential matched to means of log posteriors.

    Parameters are to be natural coordinates. In others no potential fits, and `ConvexFamily.misfit` tells it.

    Attributes:
        posterior: where log posteriors come from.
        potential: how the potential is fitted to them.

    """

    posterior: PosteriorSource = field(default_factory=PosteriorNetwork)
    potential: PotentialFit = field(default_factory=PotentialFit)

    def fit(self, samples: FamilySamples) -> ConvexFamily:
        """Return log Z and its Hessian.

        Raises:
            ValueError: training diverged, or a log posterior is not finite.

        """
        posterior = self.posterior.fit(samples)
        potential, change = self.potential(samples, samples.nodes, lambda grid: posterior.expected(samples, grid))
        left, noise = _misfit(samples, posterior, potential, samples.grid(9 if samples.dim < 3 else 5))
        return ConvexFamily(samples.low, samples.high, potential, left / noise if noise else 0.0, change)


def _misfit(
    samples: FamilySamples, posterior: LogPosterior, potential: torch.nn.Module, grid: Tensor
) -> tuple[float, float]:
    """Return root mean squares: of what the potential leaves of divergences, and of their error of sampling."""
    first, second = (posterior.mean(samples, grid, rows) for rows in samples.halves())
    target = posterior.mean(samples, grid)
    p = target.softmax(1)

    def size(part: Tensor) -> float:
        centred = part - (p * part).sum(1, keepdim=True)
        return float((p * centred.square()).sum(1).nanmean().sqrt())

    return size(target + bregman(potential, samples.nodes, grid, graph=False).detach()), size((first - second) / 2)


@dataclass(frozen=True)
class ReleasedRecipe(FisherEstimator):
    """A baseline, biased: a potential matched to posteriors of single samples by the Jensen-Shannon divergence.

    As in the released code of the paper, but for its networks: a U-Net over a grid there, and a rectifier network that
    is not convex. The metric is smaller than the true one, whatever the number of samples.

    Attributes:
        posterior: where log posteriors come from.
        potential: how the potential is fitted to them.
        each: samples of every node that are matched.

    Raises:
        ValueError: there is none of them.

    """

    posterior: PosteriorSource = field(default_factory=PosteriorNetwork)
    potential: PotentialFit = field(default_factory=PotentialFit)
    each: int = 4

    def __post_init__(self) -> None:
        if self.each < 1:
            raise ValueError(f"expected at least 1 sample of every node, got each = {self.each}")

    def fit(self, samples: FamilySamples) -> ConvexFamily:
        """Return the potential, whose misfit is not judged.

        Raises:
            ValueError: training diverged, or a log posterior is not finite.

        """
        posterior = self.posterior.fit(samples)
        few = first_of_each(samples.node, self.each)
        x, t = samples.x[few], samples.t[few]
        potential, change = self.potential(samples, t, lambda grid: posterior(x, grid), "jsd")
        return ConvexFamily(samples.low, samples.high, potential, refinement=change)
