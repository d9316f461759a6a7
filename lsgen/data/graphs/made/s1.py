"""Networks that the S1 model draws, whose angles and hidden degrees are known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from lsgen.data.draws import Purpose, key
from lsgen.latent.graphs import Graph
from lsgen.latent.graphs.circle import degree_factor

__all__ = ["GeometricWeights", "S1Graph"]

_ROWS = 512  # nodes whose links are drawn together

_Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class GeometricWeights:
    r"""Weights of links that depend on the same circle.

        w_ij = eps_ij nu sigma_i sigma_j / ((kappa_i kappa_j)^(1 - alpha) d_ij^alpha),    sigma = a kappa^eta,
        nu = beta sin(pi (1 - alpha)/beta) / (2 pi mu^(1 - alpha) <sigma>)

    where eps has a gamma distribution of mean 1, so that the expected strength of a node tends to sigma as N grows.

    Attributes:
        alpha: how strongly weights depend on distance, from 0 to below 1.
        a: strength at hidden degree 1.
        eta: the power of the hidden degree.
        noise: variance of eps; 0 for none.

    Raises:
        ValueError: a number is out of its range.

    Reference: Allard, Serrano, Garcia-Perez & Boguna, "The geometric nature of weights in real complex networks"
    (2017), https://arxiv.org/abs/1601.03891, in one dimension; nu follows from the mean over the circle.
    """

    alpha: float = 0.3
    a: float = 1.0
    eta: float = 1.0
    noise: float = 0.2

    def __post_init__(self) -> None:
        finite = math.isfinite(self.a + self.eta + self.noise)
        if not (0 <= self.alpha < 1 and self.a > 0 and self.noise >= 0 and finite):
            raise ValueError(f"expected alpha from 0 to below 1, a above 0, eta and noise of 0 or more, got {self}")

    def draw(self, kappas: tuple[_Numbers, _Numbers], d: _Numbers, sigma_mean: float, beta: float, mu: float,
             rng: np.random.Generator) -> _Numbers:  # fmt: skip
        """Return the weights (E,) of links.

        Args:
            kappas: hidden degrees of both ends of each, (E,).
            d: their distances (E,).
            sigma_mean: mean of sigma over all nodes.
            beta: that of the model.
            mu: that of the model.
            rng: of the draws.

        """
        nu = beta * math.sin(math.pi * (1 - self.alpha) / beta)
        nu /= 2 * math.pi * mu ** (1 - self.alpha) * sigma_mean
        product = kappas[0] * kappas[1]
        mean = nu * self.a**2 * product ** (self.eta - 1 + self.alpha) / d**self.alpha
        return mean * (rng.gamma(1 / self.noise, self.noise, len(d)) if self.noise else 1.0)


@dataclass(frozen=True)
class S1Graph:
    r"""A network of the S1 model: uniform angles, hidden degrees of a power law, and links by both.

        p_ij = 1 / (1 + (d_ij / (mu kappa_i kappa_j))^beta),    rho(kappa) ~ kappa^-gamma above kappa_0,
        kappa_0 = (gamma - 2) / (gamma - 1) <k>

    see `lsgen.latent.graphs.circle`. The columns "theta" and "kappa" have what is to be found again, "kappa_in" the
    hidden in-degrees where links have directions, which are drawn by themselves and scaled to the same mean.

    Attributes:
        number: nodes N that are drawn.
        gamma: exponent of the hidden degrees, above 2.
        beta: how strongly links depend on distance, above 1; clustering rises with it.
        mean_degree: <k>; of a directed network, of links out.
        directed: whether links have a direction.
        weights: of the links; None for none.
        component: whether the largest component alone is kept.
        seed: of the draws.

    Raises:
        ValueError: a number is out of its range, or a directed network is to have weights.

    Reference: Serrano, Krioukov & Boguna, "Self-similarity of complex networks and hidden metric spaces" (2008).
    """

    number: int = 500
    gamma: float = 2.5
    beta: float = 2.5
    mean_degree: float = 10.0
    directed: bool = False
    weights: GeometricWeights | None = None
    component: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.gamma > 2 and self.beta > 1 and 0 < self.mean_degree < self.number - 1 and self.seed >= 0):
            raise ValueError(
                f"expected gamma above 2, beta above 1, a mean degree between 0 and the number of nodes less 1, and a "
                f"seed of at least 0, got {self}"
            )
        if self.directed and self.weights is not None:
            raise ValueError("expected an undirected network where links have geometric weights, got directed=true")

    def graph(self) -> Graph:
        """Return the network."""
        rng, n = np.random.default_rng(key(self.seed, Purpose.SYNTHESIS)), self.number
        theta, kappa = 2 * math.pi * rng.random(n), self._hidden(rng)
        target = kappa
        if self.directed:
            target = self._hidden(rng)
            target *= kappa.mean() / target.mean()
        mu = float(degree_factor(torch.tensor(self.beta, dtype=torch.float64), self.mean_degree))
        found = []
        for start in range(0, n, _ROWS):
            rows = np.arange(start, min(start + _ROWS, n))
            others = (rows[:, None] != np.arange(n)) if self.directed else (rows[:, None] < np.arange(n))
            d = np.where(others, self._distance(theta[rows, None], theta), 1.0)
            p = expit(self.beta * (np.log(mu * kappa[rows, None] * target) - np.log(d)))
            linked = others & (rng.random(p.shape) < p)
            found.append(np.stack(linked.nonzero(), 1) + np.array([start, 0]))
        edges = np.concatenate(found)
        columns = {"theta": theta, "kappa": kappa} | ({"kappa_in": target} if self.directed else {})
        weights = self._weights(edges, theta, kappa, mu, rng)
        graph = Graph.of(edges, n, directed=self.directed, weights=weights, columns=columns)
        return graph.largest_component() if self.component else graph

    def _hidden(self, rng: np.random.Generator) -> _Numbers:
        """Return hidden degrees (N,)."""
        least = (self.gamma - 2) / (self.gamma - 1) * self.mean_degree
        return least * (1 - rng.random(self.number)) ** (-1 / (self.gamma - 1))

    def _distance(self, theta: _Numbers, other: _Numbers) -> _Numbers:
        """Return the distance on the circle of nodes at two angles from 0 to 2 pi, (B,)."""
        found: _Numbers = self.number / (2 * math.pi) * (math.pi - np.abs(math.pi - np.abs(theta - other)))
        return found

    def _weights(
        self, edges: NDArray[np.int64], theta: _Numbers, kappa: _Numbers, mu: float, rng: np.random.Generator
    ) -> _Numbers | None:
        """Return the weights (E,) of links (E, 2), if there are any."""
        if self.weights is None:
            return None
        i, j = edges.T
        d = self._distance(theta[i], theta[j])
        mean = self.weights.a * float((kappa**self.weights.eta).mean())
        return self.weights.draw((kappa[i], kappa[j]), d, mean, self.beta, mu, rng)
