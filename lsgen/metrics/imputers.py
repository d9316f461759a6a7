r"""Methods that fill gaps in a table and know no latent space.

    mean        the average of the observed values of a column; draws are normal with its deviation
    knn         the average of the k nearest training rows that have the value, by the distance over what both rows
                have, scaled up to all columns; draws are those rows' values
    iterative   scikit-learn's IterativeImputer, Bayesian ridge regressions in turn; draws are from their posteriors
    missforest  scikit-learn's IterativeImputer with forests of extremely randomised trees, which have no draws
    pca         probabilistic principal components x = m + W z + s e of rows with gaps, by expectation maximisation:
                E[x|x_o] and draws of p(x|x_o), for the number of components that foretells a tenth of the values best

Reference: Troyanskaya et al. (2001) for k-NN; van Buuren & Groothuis-Oudshoorn, "mice" (2011); Stekhoven & Buehlmann,
"MissForest" (2012); Tipping & Bishop, "Probabilistic principal component analysis" (1999), section 3.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

__all__ = ["Imputer", "IterativeRegression", "Mean", "MissForest", "NeighbourImputer", "PrincipalComponents"]


class Imputer(ABC):
    """Abstract imputation method."""

    def fit(self, x: Tensor, observed: Tensor) -> None:  # noqa: B027 (models have learned already)
        """Learn from training observations (N, *shape) and the mask of their observed values."""

    @abstractmethod
    def __call__(self, x: Tensor, observed: Tensor, draws: int) -> tuple[Tensor, Tensor | None]:
        """Return the expectation (B, *shape) and draws (draws, B, *shape), or None; observed values do not matter."""


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
        holes = _with_nan(x, observed)
        self.expectation = _fitted(holes, max_iter=self.rounds, random_state=0)
        self.samplers = [
            _fitted(holes, max_iter=self.rounds, sample_posterior=True, random_state=seed)
            for seed in range(self.chains)
        ]

    def __call__(self, x: Tensor, observed: Tensor, draws: int) -> tuple[Tensor, Tensor]:
        """Return the predictions and draws of the posterior of the regressions."""
        holes = _with_nan(x, observed)
        mean = torch.from_numpy(self.expectation.transform(holes)).to(x).reshape(x.shape)
        drawn = [torch.from_numpy(self.samplers[i % self.chains].transform(holes)) for i in range(draws)]
        return mean, torch.stack(drawn).to(x).reshape(draws, *x.shape)


class MissForest(Imputer):
    """Imputation by scikit-learn's IterativeImputer with forests of extremely randomised trees.

    Args:
        rounds: passes over the columns.
        trees: trees of a forest.

    Raises:
        ValueError: one of them is not positive.

    """

    def __init__(self, rounds: int = 10, trees: int = 100) -> None:
        if min(rounds, trees) < 1:
            raise ValueError(f"expected rounds and trees of at least 1, got {rounds} and {trees}")
        self.rounds, self.trees = rounds, trees

    def fit(self, x: Tensor, observed: Tensor) -> None:
        """Grow the forests."""
        from sklearn.ensemble import ExtraTreesRegressor

        forest = ExtraTreesRegressor(self.trees, random_state=0)
        self.imputer = _fitted(_with_nan(x, observed), max_iter=self.rounds, estimator=forest, random_state=0)

    def __call__(self, x: Tensor, observed: Tensor, draws: int) -> tuple[Tensor, None]:
        """Return the predictions; there are no draws."""
        filled = self.imputer.transform(_with_nan(x, observed))
        return torch.from_numpy(filled).to(x).reshape(x.shape), None


class PrincipalComponents(Imputer):
    """Imputation by probabilistic principal components, fitted to rows with gaps by expectation maximisation.

    Args:
        components: their number q; out of 1, 2, 4 and 8 the best for a tenth of the observed values if None.
        rounds: iterations of expectation maximisation.

    Raises:
        ValueError: one of them is not positive.

    """

    def __init__(self, components: int | None = None, rounds: int = 100) -> None:
        if min(1 if components is None else components, rounds) < 1:
            raise ValueError(f"expected components and rounds of at least 1, got {components} and {rounds}")
        self.components, self.rounds = components, rounds

    def fit(self, x: Tensor, observed: Tensor) -> None:
        """Find m, W and s, and first their number where it is not given.

        Raises:
            ValueError: there are no fewer columns than components.

        """
        x, observed = x.flatten(1).double(), observed.flatten(1)
        if (self.components or 1) >= x.shape[1]:
            raise ValueError(f"expected more columns than {self.components or 1} components, got {x.shape[1]}")
        self._learn(x, observed, self.components or self._best(x, observed))

    def __call__(self, x: Tensor, observed: Tensor, draws: int) -> tuple[Tensor, Tensor]:
        """Return the expectations given what is observed, and draws."""
        z, covariance = self._codes(x.flatten(1).double(), observed.flatten(1))
        root = torch.linalg.cholesky(covariance)
        noise = torch.randn(draws, *z.shape, 1).to(z)
        codes = z + (root @ noise).squeeze(-1)
        drawn = self.mean + codes @ self.weights.T
        drawn = drawn + self.variance.sqrt() * torch.randn(drawn.shape).to(drawn)
        mean = self.mean + z @ self.weights.T
        return mean.to(x).reshape(x.shape), drawn.to(x).reshape(draws, *x.shape)

    def _best(self, x: Tensor, observed: Tensor) -> int:
        hidden = observed & (torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) < 0.1).to(x.device)
        errors = {}
        for q in (q for q in (1, 2, 4, 8) if q < x.shape[1]):
            self._learn(x, observed & ~hidden, q)
            z, _ = self._codes(x, observed & ~hidden)
            errors[q] = (self.mean + z @ self.weights.T - x)[hidden].square().mean().item()
        return min(errors, key=errors.__getitem__)

    def _learn(self, x: Tensor, observed: Tensor, components: int) -> None:
        seen = observed.to(x)
        count = seen.sum(0).clamp(min=1)
        self.mean = (x * seen).sum(0) / count
        centred = torch.where(observed, x - self.mean, 0.0)
        _, values, axes = torch.linalg.svd(centred, full_matrices=False)
        self.weights = axes[:components].T * values[:components] / len(x) ** 0.5
        self.variance = centred.square().sum() / seen.sum()
        ridge = torch.eye(components + 1).to(x) * 1e-9  # for a column without values
        for _ in range(self.rounds):
            z, covariance = self._codes(x, observed)
            ones = torch.cat([z, torch.ones_like(z[:, :1])], 1)
            second = ones.unsqueeze(2) * ones.unsqueeze(1)
            second[:, :-1, :-1] += covariance
            moments = torch.einsum("nj,nab->jab", seen, second) + ridge
            products = torch.einsum("nj,na->ja", torch.where(observed, x, 0.0), ones)
            solved = torch.linalg.solve(moments, products)
            self.weights, self.mean = solved[:, :-1], solved[:, -1]
            residual = (x - self.mean - z @ self.weights.T).square()
            spread = torch.einsum("ja,nab,jb->nj", self.weights, covariance, self.weights)
            least = torch.finfo(x.dtype).eps * centred.square().mean()
            self.variance = ((residual + spread) * seen).sum().div(seen.sum()).clamp(min=least)

    def _codes(self, x: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean (N, q) and covariance (N, q, q) of p(z|x_o)."""
        W = self.weights
        precision = torch.einsum("nj,ja,jb->nab", observed.to(x), W, W) / self.variance
        covariance = torch.linalg.inv(precision + torch.eye(W.shape[1]).to(x))
        projected = torch.where(observed, x - self.mean, 0.0) @ W / self.variance
        return (covariance @ projected.unsqueeze(-1)).squeeze(-1), covariance


def _fitted(holes: Any, **options: Any) -> Any:
    """Return an IterativeImputer fitted to a table; a tolerance of 0 runs all rounds, which draws would never end."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*Early stopping criterion not reached.*")
        return IterativeImputer(tol=0.0, keep_empty_features=True, **options).fit(holes)


def _with_nan(x: Tensor, observed: Tensor) -> Any:
    return torch.where(observed, x.double(), torch.nan).flatten(1).cpu().numpy()
