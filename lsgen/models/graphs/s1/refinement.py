"""Search and ascent on the likelihood of the S1 model: angles node by node, then all coordinates together.

A sweep visits the nodes in the order of their degrees, hubs first, and moves each to the likeliest of some angles, the
others as they stand: its own, some nearer and farther on either side, some near its neighbours, and some anywhere. It
never makes the network less likely. It crosses valleys that gradients cannot; the ascent by L-BFGS then moves angles,
hidden degrees and beta at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor
from torch.nn.functional import softplus

from lsgen.latent.graphs import S1Coordinates
from lsgen.latent.graphs.circle import separation
from lsgen.models.graphs.s1.likelihood import PairLikelihood

__all__ = ["Candidates", "ascend", "swept"]


@dataclass(frozen=True)
class Candidates:
    """How many angles a node tries in a sweep, beside its own.

    Attributes:
        steps: on either side, from a tenth of the distance between nodes to half the circle.
        neighbours: near as many of its neighbours, drawn anew where it has more.
        anywhere: drawn uniformly.

    Raises:
        ValueError: a number is negative, or all are 0.

    """

    steps: int = 12
    neighbours: int = 32
    anywhere: int = 16

    def __post_init__(self) -> None:
        if min(self.steps, self.neighbours, self.anywhere) < 0 or not self.steps + self.neighbours + self.anywhere:
            raise ValueError(f"expected numbers of candidates of at least 0, not all of them 0, got {self}")


def swept(
    likelihood: PairLikelihood, at: S1Coordinates, candidates: Candidates, generator: torch.Generator
) -> S1Coordinates:
    """Return coordinates after a sweep over all nodes.

    Args:
        likelihood: that of the network.
        at: coordinates.
        candidates: how many angles are tried.
        generator: of the draws, on the CPU.

    """
    links, theta = likelihood.links, at.theta.clone()
    either = links | links.T
    degrees = either.sum(1).cpu()
    order = (degrees + torch.rand(len(degrees), generator=generator)).argsort(descending=True)
    for i in order.tolist():
        near = either[i].nonzero()[:, 0]
        tried = _tried(theta, i, near, at, candidates, generator)
        delta = separation(tried[:, None], theta).clamp(min=torch.finfo(theta.dtype).tiny)
        delta[:, i] = 1.0
        base = -at.beta * (delta.log() + at.log_scale)
        score = _row(base + at.beta * (at.log_out[i] + at.log_in), links[i], i)
        if likelihood.directed:
            score = score + _row(base + at.beta * (at.log_in[i] + at.log_out), links[:, i], i)
        theta[i] = tried[score.argmax()]
    return replace(at, theta=theta)


def _row(h: Tensor, linked: Tensor, own: int) -> Tensor:
    """Return the log-likelihood (c,) of the links of a node at each of its angles, of logits (c, N)."""
    terms = -softplus(h)
    terms[:, own] = 0.0
    return terms.sum(1) + h @ linked.to(h)


def _tried(
    theta: Tensor, i: int, near: Tensor, at: S1Coordinates, candidates: Candidates, generator: torch.Generator
) -> Tensor:
    """Return the angles (c,) that a node tries, its own first."""

    def drawn(count: int) -> Tensor:
        return torch.rand(count, generator=generator, dtype=torch.float64).to(theta.device)

    n, count = len(theta), candidates.neighbours
    if len(near) > count:
        near = near[torch.randperm(len(near), generator=generator)[:count].to(near.device)]
    reach = torch.exp(at.log_out[i] + at.log_in[near] - at.log_scale).clamp(max=math.pi)
    beside = theta[near] + reach * torch.tan(math.pi * (drawn(len(near)) - 0.5)).clamp(-math.pi, math.pi)
    powers = (torch.arange(candidates.steps, device=theta.device) + drawn(candidates.steps)) / max(1, candidates.steps)
    steps = math.pi * (10 * n) ** (powers - 1)
    own = theta[i : i + 1]
    tried = torch.cat([own, own + steps, own - steps, beside, 2 * math.pi * drawn(candidates.anywhere)])
    return torch.remainder(tried, 2 * math.pi)


def ascend(
    likelihood: PairLikelihood, at: S1Coordinates, iterations: int, bounds: tuple[float, float] | None
) -> tuple[S1Coordinates, bool]:
    """Return coordinates after an ascent by L-BFGS, and whether it has converged.

    Args:
        likelihood: that of the network.
        at: coordinates.
        iterations: at most so many.
        bounds: between which beta is sought; None to leave it as it is.

    """
    n, directed, device = at.nodes, likelihood.directed, at.theta.device
    parts = [at.theta, at.log_out, *[at.log_in] * directed]
    start = np.concatenate([part.cpu().numpy() for part in parts] + [[math.log(float(at.beta) - 1)]])

    def coordinates(x: NDArray[np.float64]) -> S1Coordinates:
        values = torch.from_numpy(x.copy()).to(device)
        beta = at.beta if bounds is None else 1 + values[-1].exp()
        theta, log_out = values[:n], values[n : 2 * n]
        return S1Coordinates(theta, log_out, values[2 * n : 3 * n] if directed else log_out, beta, likelihood.mu(beta))

    def negative(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        here = coordinates(x)
        found = likelihood.gradients(here)
        slopes = [found.theta, found.log_out, *[found.log_in] * directed]
        last = (found.beta * (here.beta - 1))[None] * (bounds is not None)
        return -float(found.value), -torch.cat([*slopes, last]).cpu().numpy()

    low, high = (start[-1], start[-1]) if bounds is None else (math.log(bound - 1) for bound in bounds)
    limits = [*[(None, None)] * (len(start) - 1), (low, high)]
    options = {"maxiter": iterations, "maxcor": 20, "maxfun": 4 * iterations, "ftol": 1e-10, "gtol": 1e-3}
    result = minimize(negative, start, jac=True, method="L-BFGS-B", bounds=limits, options=options)
    found = coordinates(result.x)
    shift = (found.log_out.exp().mean() / found.log_in.exp().mean()).log() / 2 if directed else 0.0
    return replace(
        found,
        theta=torch.remainder(found.theta, 2 * math.pi),
        log_out=found.log_out - shift,
        log_in=found.log_in + shift,
    ), bool(result.success)
