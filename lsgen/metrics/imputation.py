r"""Metrics and methods of imputation: the error of the expectation, and the coverage of intervals of draws.

    RMSE      sqrt( average over missing values of (x - E[x])^2 )
    coverage  share of missing values within the central interval of the draws, of probability `level`; aim: `level`,
              which takes at least 2 / (1 - level) - 1 draws
    width     average length of that interval

The methods that know no latent space:

    mean        the average of the observed values of a column; draws are normal with its deviation
    knn         the average of the k nearest training rows that have the value, by the distance over what both rows
                have, scaled up to all columns; draws are those rows' values
    iterative   scikit-learn's IterativeImputer, Bayesian ridge regressions in turn; draws are from their posteriors

Reference: Troyanskaya et al. (2001) for k-NN; van Buuren & Groothuis-Oudshoorn, "mice" (2011), for the last;
Mattei & Frellsen, "MIWAE" (2019), section 4, for the comparison, https://arxiv.org/abs/1812.02633.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from lsgen.latent import EncodableLatentSpace, impute, pseudo_gibbs
from lsgen.latent.densities import check_density

__all__ = [
    "METHODS",
    "NEED_DENSITIES",
    "ImportanceSampling",
    "Imputer",
    "IterativeRegression",
    "Mean",
    "NeighbourImputer",
    "PseudoGibbs",
    "compare_imputations",
    "score_imputation",
]


METHODS = ("mean", "knn", "iterative", "miwae", "pseudo_gibbs", "metropolis")
NEED_DENSITIES = frozenset({"miwae", "metropolis"})


class Imputer(ABC):
    """Abstract imputation method."""

    def fit(self, x: Tensor, observed: Tensor) -> None:  # noqa: B027 (models have learned already)
        """Learn from training observations (N, *shape) and the mask of their observed values."""

    @abstractmethod
    def __call__(self, x: Tensor, observed: Tensor, draws: int) -> tuple[Tensor, Tensor]:
        """Return the expectation (B, *shape) and draws (draws, B, *shape); observed values do not matter."""


class Mean(Imputer):
    """Imputation by the average of a column."""

    def fit(self, x: Tensor, observed: Tensor) -> None:
        """Store the mean and the deviation of the observed values."""
        count = observed.sum(0).clamp(min=1)
        self.mean = torch.where(observed, x, 0.0).sum(0) / count
        self.deviation = (torch.where(observed, (x - self.mean).square(), 0.0).sum(0) / count).sqrt()

    def __call__(self, x: Tensor, observed: Tensor, draws: int) -> tuple[Tensor, Tensor]:
        """Return the means and normal draws."""
        return self.mean.expand_as(x), self.mean + self.deviation * torch.randn(draws, *x.shape).to(x)


class NeighbourImputer(Imputer):
    """Imputation from the k nearest training rows that have the value.

    Args:
        neighbours: k.

    Raises:
        ValueError: k is not positive.

    """

    def __init__(self, neighbours: int = 5) -> None:
        if neighbours < 1:
            raise ValueError(f"expected at least 1 neighbour, got {neighbours}")
        self.neighbours = neighbours

    def fit(self, x: Tensor, observed: Tensor) -> None:
        """Keep the rows."""
        self.x, self.observed = torch.where(observed, x, 0.0).flatten(1), observed.flatten(1)

    def __call__(self, x: Tensor, observed: Tensor, draws: int) -> tuple[Tensor, Tensor]:
        """Return the averages over neighbours and the values of some of them."""
        seen = observed.flatten(1).to(x)
        own, other, both = torch.where(observed, x, 0.0).flatten(1), self.x, self.observed.to(x)
        shared = seen @ both.T
        squared = own.square() @ both.T + seen @ other.square().T - 2 * own @ other.T
        distance = torch.where(shared > 0, squared / shared, torch.inf)
        nearest = torch.where(self.observed, distance.unsqueeze(-1), torch.inf).topk(self.neighbours, 1, largest=False)
        values = other.unsqueeze(0).expand(len(x), -1, -1).gather(1, nearest.indices)
        usable = torch.isfinite(nearest.values).to(x)
        mean = (values * usable).sum(1) / usable.sum(1).clamp(min=1)
        chances = torch.where(usable.sum(1, keepdim=True) > 0, usable, 1.0).movedim(1, -1)
        chosen = torch.multinomial(chances.flatten(0, 1), draws, replacement=True).unflatten(0, (len(x), -1))
        drawn = values.movedim(1, -1).gather(-1, chosen)
        return mean.reshape(x.shape), drawn.movedim(-1, 0).reshape(draws, *x.shape)


class IterativeRegression(Imputer):
    """Imputation by scikit-learn's IterativeImputer.

    Args:
        rounds: passes over the columns.
        chains: independent fits that the draws are shared out to.

    Raises:
        ValueError: one of them is not positive.

    """

    def __init__(self, rounds: int = 10, chains: int = 4) -> None:
        if min(rounds, chains) < 1:
            raise ValueError(f"expected rounds and chains of at least 1, got {rounds} and {chains}")
        self.rounds, self.chains = rounds, chains

    def fit(self, x: Tensor, observed: Tensor) -> None:
        """Fit the regressions, once for the expectation and once for every chain of draws."""
        from sklearn.experimental import enable_iterative_imputer  # noqa: F401
        from sklearn.impute import IterativeImputer

        def fitted(seed: int, random: bool) -> IterativeImputer:
            # A tolerance of 0 runs all rounds, so that nothing depends on a convergence that draws never reach.
            imputer = IterativeImputer(
                max_iter=self.rounds, tol=0.0, sample_posterior=random, random_state=seed, keep_empty_features=True
            )
            return imputer.fit(_with_nan(x, observed))

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*Early stopping criterion not reached.*")
            self.expectation = fitted(0, random=False)
            self.samplers = [fitted(seed, random=True) for seed in range(self.chains)]

    def __call__(self, x: Tensor, observed: Tensor, draws: int) -> tuple[Tensor, Tensor]:
        """Return the predictions and draws of the posterior of the regressions."""
        holes = _with_nan(x, observed)
        mean = torch.from_numpy(self.expectation.transform(holes)).to(x).reshape(x.shape)
        drawn = [torch.from_numpy(self.samplers[i % self.chains].transform(holes)) for i in range(draws)]
        return mean, torch.stack(drawn).to(x).reshape(draws, *x.shape)


class ImportanceSampling(Imputer):
    """Self-normalised importance sampling in a latent space, see `lsgen.latent.impute`.

    Args:
        space: encoder, prior, decoder and likelihood.
        samples: codes for every observation.

    """

    def __init__(self, space: EncodableLatentSpace, samples: int = 2000) -> None:
        self.space, self.samples = space, samples

    def __call__(self, x: Tensor, observed: Tensor, draws: int) -> tuple[Tensor, Tensor]:
        """Return the weighted expectation and draws in proportion to the weights."""
        result = impute(self.space, x, observed, self.samples, draws)
        return result.mean, result.draws


class PseudoGibbs(Imputer):
    """Pseudo-Gibbs sampling in a latent space, see `lsgen.latent.pseudo_gibbs`.

    Args:
        space: encoder, prior, decoder and likelihood.
        burn_in: steps before the first draw.
        metropolis: whether the chain accepts codes or not, and is exact.

    """

    def __init__(self, space: EncodableLatentSpace, burn_in: int = 200, metropolis: bool = False) -> None:
        self.space, self.burn_in, self.metropolis = space, burn_in, metropolis

    def __call__(self, x: Tensor, observed: Tensor, draws: int) -> tuple[Tensor, Tensor]:
        """Return states of the chain and their average."""
        states = pseudo_gibbs(self.space, x, observed, self.burn_in + draws, draws, self.metropolis)
        return states.mean(0), states


def score_imputation(x: Tensor, observed: Tensor, mean: Tensor, draws: Tensor, level: float = 0.9) -> dict[str, float]:
    """Return "rmse", "coverage" and "width" of an imputation.

    Args:
        x: the truth, (B, *shape).
        observed: boolean, (B, *shape).
        mean: expectations, (B, *shape).
        draws: draws, (n, B, *shape).
        level: probability of the central interval.

    Raises:
        ValueError: nothing is missing, or level is not between 0 and 1.

    """
    if not 0 < level < 1:
        raise ValueError(f"expected a level in (0, 1), got {level}")
    missing = ~observed
    if not bool(missing.any()):
        raise ValueError("expected missing values to judge an imputation by, got none")
    truth, drawn = x[missing], draws[:, missing]
    low, high = _central_interval(drawn, level)
    return {
        "rmse": (mean[missing] - truth).square().mean().sqrt().item(),
        "coverage": ((truth >= low) & (truth <= high)).double().mean().item(),
        "width": (high - low).mean().item(),
    }


def _central_interval(draws: Tensor, level: float) -> tuple[Tensor, Tensor]:
    """Return the ends between order statistics, at p (n + 1): one more draw falls inside with probability `level`."""
    ordered, n = draws.sort(0).values, len(draws)
    ends = []
    for p in ((1 - level) / 2, (1 + level) / 2):
        position = min(max(p * (n + 1) - 1, 0.0), n - 1.0)
        below = int(position)
        ends.append(torch.lerp(ordered[below], ordered[min(below + 1, n - 1)], position - below))
    return ends[0], ends[1]


@torch.no_grad()
def compare_imputations(
    space: EncodableLatentSpace,
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    draws: int = 100,
    level: float = 0.9,
    samples: int = 2000,
    methods: Sequence[str] = METHODS,
) -> dict[str, dict[str, float]]:
    """Return the scores of several methods on the same gaps, by name.

    Args:
        space: a latent space whose model was trained on what is observed of the training observations.
        train: observations (N, *shape) and what is observed of them, boolean; the first three methods learn from them.
        test: observations (B, *shape) with their truth, and the mask of their observed values.
        draws: draws of every method.
        level: probability of the central interval.
        samples: codes for every observation in importance sampling.
        methods: which of `METHODS`; "iterative" is slow for many columns.

    Raises:
        ValueError: nothing is missing in the test observations, a number is out of range, or a method is not known.
        TypeError: a method needs densities, and the prior or the posterior has none.

    """
    if unknown := set(methods) - set(METHODS):
        raise ValueError(f"expected methods out of {', '.join(METHODS)}, got {', '.join(sorted(unknown))}")
    if not NEED_DENSITIES.isdisjoint(methods):
        check_density(space.prior, space.posterior)
    known: dict[str, Imputer] = {
        "mean": Mean(),
        "knn": NeighbourImputer(),
        "iterative": IterativeRegression(),
        "miwae": ImportanceSampling(space, samples),
        "pseudo_gibbs": PseudoGibbs(space),
        "metropolis": PseudoGibbs(space, metropolis=True),
    }
    x, observed = test
    scores = {}
    for name in methods:
        known[name].fit(*train)
        scores[name] = score_imputation(x, observed, *known[name](x, observed, draws), level)
    return scores


def _with_nan(x: Tensor, observed: Tensor) -> object:
    return torch.where(observed, x.double(), torch.nan).flatten(1).cpu().numpy()
