r"""Weights of links in the S1 model, by maximum likelihood given the coordinates of the nodes.

    w_ij = eps_ij nu sigma_i sigma_j / ((kappa_i kappa_j)^(1 - alpha) d_ij^alpha),    eps ~ gamma of mean 1,
    nu = beta sin(pi (1 - alpha)/beta) / (2 pi mu^(1 - alpha) <sigma>)

With potentials u_i = log sigma_i - (1 - alpha) log kappa_i + (log nu)/2, log m_ij = u_i + u_j - alpha log d_ij is the
log of the mean, and -log L is, whatever the shape of the gamma distribution, proportional to
sum_ij (log m_ij + w_ij / m_ij): convex in the potentials and alpha. The variance of eps follows from the residuals,
sum (w/m - 1)^2 over the number of links that are left once every potential and alpha took one. Where links have
directions, sources and targets have potentials, kappa and sigma of their own, and <sigma> is that of both.

Coordinates come from which links there are alone. As their errors are those of d, alpha comes out too small.

Reference: Allard, Serrano, Garcia-Perez & Boguna, "The geometric nature of weights in real complex networks" (2017),
https://arxiv.org/abs/1601.03891, for the model; the estimate is a gamma regression with a logarithmic link.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_array
from torch import Tensor

from lsgen.latent.graphs import Graph, S1Coordinates
from lsgen.latent.graphs.circle import separation

__all__ = ["S1Weights", "fitted_weights"]


@dataclass(frozen=True, eq=False)
class S1Weights:
    """What the weights of links depend on, in float64.

    Attributes:
        alpha: how strongly they depend on distance, ().
        sigma_out: expected strengths of the nodes (N,); those of links out where links have directions.
        sigma_in: expected strengths of links in (N,); the same as sigma_out where links have no directions.
        noise: variance of eps, (); NaN where there are no more links than numbers that are estimated.

    """

    alpha: Tensor
    sigma_out: Tensor
    sigma_in: Tensor
    noise: Tensor

    def log_means(self, at: S1Coordinates, source: Tensor, target: Tensor) -> Tensor:
        """Return log m of links between nodes, whole numbers (B,); no loops."""
        log_kappas = at.log_out[source] + at.log_in[target]
        log_sigmas = self.sigma_out[source].log() + self.sigma_in[target].log()
        log_nu = _log_constant(self.alpha, at) - self.sigma_out.mean().log()
        return log_nu + log_sigmas - (1 - self.alpha) * log_kappas - self.alpha * _log_distance(at, source, target)


def fitted_weights(graph: Graph, at: S1Coordinates) -> S1Weights:
    """Return what the weights of a network depend on.

    Raises:
        ValueError: it has no weights, or they fall with distance faster than the model allows, alpha >= 1.

    """
    if graph.weights is None:
        raise ValueError("expected a network with weights, got one without")
    n, (i, j) = graph.nodes, graph.edges.unbind(1)
    log_d, w = _log_distance(at, i, j).numpy(), graph.weights.numpy()
    columns = np.stack([i.numpy(), j.numpy() + n * graph.directed], 1)
    rows = np.repeat(np.arange(len(w)), 2)
    size = 2 * n if graph.directed else n
    design = csr_array((np.ones(2 * len(w)), (rows, columns.ravel())), shape=(len(w), size))

    def negative(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        log_m = design @ x[:-1] - x[-1] * log_d
        ratio = np.exp(np.log(w) - log_m)
        slope = 1 - ratio
        return float((log_m + ratio).sum()), np.append(design.T @ slope, -(slope @ log_d))

    start = np.append(np.full(size, np.log(w).mean() / 2), 0.0)
    options = {"maxiter": 5000, "maxfun": 20000, "ftol": 1e-13, "gtol": 1e-7, "maxcor": 30}
    x = minimize(negative, start, jac=True, method="L-BFGS-B", options=options).x
    alpha = torch.tensor(x[-1], dtype=torch.float64)
    if not float(alpha) < 1:
        raise ValueError(f"expected weights that fall with distance by a power below 1, got {float(alpha):.3g}")
    residual = w / np.exp(design @ x[:-1] - x[-1] * log_d) - 1
    left = len(w) - len(np.unique(columns)) - 1
    noise = float((residual**2).sum() / left) if left > 0 else math.nan
    potentials = torch.from_numpy(x[:-1].copy())
    out = torch.exp(potentials[:n] + (1 - alpha) * at.log_out)
    into = torch.exp(potentials[-n:] + (1 - alpha) * at.log_in)
    mean = (out.mean() * into.mean()).sqrt()  # of sigma sqrt(nu), where both have the same
    square = mean**2 / _log_constant(alpha, at).exp()
    sigmas = [side / side.mean() * square for side in (out, into)]
    return S1Weights(alpha, sigmas[0], sigmas[1], torch.tensor(noise, dtype=torch.float64))


def _log_constant(alpha: Tensor, at: S1Coordinates) -> Tensor:
    """Return log(nu <sigma>), ()."""
    part = at.beta * torch.sin(math.pi * (1 - alpha) / at.beta) / (2 * math.pi)
    return part.log() - (1 - alpha) * at.mu.log()


def _log_distance(at: S1Coordinates, source: Tensor, target: Tensor) -> Tensor:
    return separation(at.theta[source], at.theta[target]).log() + math.log(at.nodes / (2 * math.pi))
