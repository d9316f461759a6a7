r"""Metrics and methods of imputation: the error of the expectation, and the coverage of intervals of draws.

    RMSE      sqrt( average over missing values of (x - E[x])^2 )
    coverage  share of missing values within the central interval of the draws, of probability `level`; aim: `level`,
              which takes at least 2 / (1 - level) - 1 draws
    width     average length of that interval

MSE is its square. Methods without draws have no coverage and no width. Those that know no latent space are in
`lsgen.metrics.imputers`.

Reference: Mattei & Frellsen, "MIWAE" (2019), section 4, for the comparison, https://arxiv.org/abs/1812.02633.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lsgen.latent import EncodableLatentSpace, central_interval, impute, pseudo_gibbs
from lsgen.latent.densities import check_density
from lsgen.metrics.imputers import (
    Imputer,
    IterativeRegression,
    Mean,
    MissForest,
    NeighbourImputer,
    PrincipalComponents,
)

__all__ = [
    "METHODS",
    "NEED_DENSITIES",
    "QUICK_METHODS",
    "ImportanceSampling",
    "PseudoGibbs",
    "compare_imputations",
    "score_imputation",
]


QUICK_METHODS = ("mean", "knn", "iterative", "miwae", "pseudo_gibbs", "metropolis")
METHODS = (*QUICK_METHODS, "missforest", "pca")
NEED_DENSITIES = frozenset({"miwae", "metropolis"})


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


def score_imputation(
    x: Tensor, observed: Tensor, mean: Tensor, draws: Tensor | None, level: float = 0.9
) -> dict[str, float]:
    """Return "rmse", "mse" and, if there are draws, "coverage" and "width" of an imputation.

    Args:
        x: the truth, (B, *shape); missing values whose truth is NaN, as nobody knows it, are left out.
        observed: boolean, (B, *shape).
        mean: expectations, (B, *shape).
        draws: draws, (n, B, *shape), or None.
        level: probability of the central interval.

    Raises:
        ValueError: nothing is missing whose truth is known, or level is not between 0 and 1.

    """
    if not 0 < level < 1:
        raise ValueError(f"expected a level in (0, 1), got {level}")
    missing = ~observed & ~x.isnan()
    if not bool(missing.any()):
        raise ValueError("expected missing values with a known truth to judge an imputation by, got none")
    truth = x[missing]
    mse = (mean[missing] - truth).square().mean()
    scores = {"rmse": mse.sqrt().item(), "mse": mse.item()}
    if draws is None:
        return scores
    low, high = central_interval(draws[:, missing], level)
    return scores | {
        "coverage": ((truth >= low) & (truth <= high)).double().mean().item(),
        "width": (high - low).mean().item(),
    }


@torch.no_grad()
def compare_imputations(
    space: EncodableLatentSpace,
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    draws: int = 100,
    level: float = 0.9,
    samples: int = 2000,
    methods: Sequence[str] = QUICK_METHODS,
) -> dict[str, dict[str, float]]:
    """Return the scores of several methods on the same gaps, by name.

    Args:
        space: a latent space whose model was trained on what is observed of the training observations.
        train: observations (N, *shape) and what is observed of them, boolean, for methods without a latent space.
        test: observations (B, *shape) with their truth, NaN where it is not known, and the mask of observed values.
        draws: draws of every method.
        level: probability of the central interval.
        samples: codes for every observation in importance sampling.
        methods: which of `METHODS`; "iterative" and "missforest" are slow for many columns.

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
        "missforest": MissForest(),
        "pca": PrincipalComponents(),
    }
    x, observed = test
    scores = {}
    for name in methods:
        known[name].fit(_without_nan(train[0]), train[1])
        filled = known[name](_without_nan(x), observed, draws)
        scores[name] = score_imputation(x, observed, *filled, level)
    return scores


def _without_nan(x: Tensor) -> Tensor:
    return torch.where(x.isnan(), 0.0, x)
