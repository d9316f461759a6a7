r"""A convex potential, and its fit to posteriors of parameters.

    phi(t) = a . z_1 + b . z_2 + |Q u|^2 / 2 + l . u,    z_1 = softplus(W_0 u + c_0),
                                                         z_2 = softplus(U z_1 + W_1 u + c_1),    U, a, b >= 0

is convex and smooth in u, which are the parameters in units of their box. Its Bregman divergence from t' makes the
posterior Q(t|t') ~ exp(-D_phi(t, t')) on a grid, in units in which the mean of log posteriors is of slope one.

Reference: Amos, Xu & Kolter, "Input convex neural networks" (2017), https://arxiv.org/abs/1609.07152, equation 2, with
softplus in place of the rectifier, since the metric takes two derivatives of phi and curvature three.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import expm1, log
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from lsgen.models.exponential.derivatives import gradient, hessian
from lsgen.models.exponential.samples import FamilySamples

__all__ = ["ConvexPotential", "PotentialFit"]

Divergence = Literal["kl", "jsd"]


def _inverse_softplus(value: float) -> float:
    return log(expm1(value))


class ConvexPotential(nn.Module):
    """A convex function of parameters (N, d) -> (N,), in float64 within.

    Args:
        samples: whose box it is for.
        width: of both hidden layers.
        scale: a factor; the size of second derivatives in units of the box.

    """

    def __init__(self, samples: FamilySamples, width: int, scale: float) -> None:
        super().__init__()
        d = samples.dim
        self.samples, self.scale = samples, scale
        self.first, self.second = (nn.Linear(d, width, dtype=torch.float64) for _ in range(2))
        for layer, size in ((self.first, 2.0), (self.second, 1.0)):
            nn.init.normal_(layer.weight, std=size)
            nn.init.uniform_(layer.bias, -2, 2)
        spread = 0.1 * torch.randn(width, width, dtype=torch.float64)
        self.between = nn.Parameter(_inverse_softplus(0.5 / width) + spread)
        even = torch.full((width,), _inverse_softplus(1 / width), dtype=torch.float64)
        self.from_first, self.from_second = nn.Parameter(even), nn.Parameter(even.clone())
        self.root = nn.Parameter(0.3 * torch.eye(d, dtype=torch.float64))
        self.slope = nn.Parameter(torch.zeros(d, dtype=torch.float64))

    def forward(self, t: Tensor) -> Tensor:
        """Return the values."""
        u = self.samples.scaled(t.double())
        first = softplus(self.first(u))
        second = softplus(first @ softplus(self.between).T + self.second(u))
        hidden = first @ softplus(self.from_first) + second @ softplus(self.from_second)
        return (self.scale * (hidden + (u @ self.root).square().sum(-1) / 2 + u @ self.slope)).to(t.dtype)


def bregman(potential: nn.Module, nodes: Tensor, grid: Tensor, graph: bool = True) -> Tensor:
    """Return D_phi(t_j, t_i) (G, M) of a grid t_j (M, d) from nodes t_i (G, d)."""
    at, value, slope = gradient(potential, nodes, graph)
    return potential(grid) - value[:, None] - slope @ grid.T + (slope * at).sum(-1, keepdim=True)


@dataclass(frozen=True)
class PotentialFit:
    """How a convex potential is fitted to log posteriors, by L-BFGS on grids that are refined twice.

    Attributes:
        width: of both hidden layers of the potential.
        grid: points of the second grid along each parameter; the others have half and twice as many. They have less
            where the last one would have more than 4,096 points.
        steps: of L-BFGS on the last grid, and half as many on each of the others.
        restarts: fits from other random weights, of which the best is taken.
        seed: of these.

    Raises:
        ValueError: a number is too small.

    """

    width: int = 12
    grid: int = 12
    steps: int = 200
    restarts: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.width, self.steps, self.restarts) < 1 or self.grid < 4:
            raise ValueError(f"expected positive numbers and at least 4 points of the grid, got {self}")

    def __call__(
        self,
        samples: FamilySamples,
        at: Tensor,
        log_posterior: Callable[[Tensor], Tensor],
        divergence: Divergence = "kl",
    ) -> tuple[ConvexPotential, float]:
        """Return the potential, and how much its Hessian changed at the last refinement.

        Args:
            samples: in whose box the potential is fitted.
            at: the parameters t' (R, d) that log posteriors belong to.
            log_posterior: grid (M, d) -> the log posteriors (R, M), each row up to a constant.
            divergence: which divergence of the model's posteriors from them is minimised: "kl" or "jsd".

        Raises:
            ValueError: another divergence, or a log posterior is not finite.

        """
        if divergence not in get_args(Divergence):
            raise ValueError(f"expected divergence to be one of {', '.join(get_args(Divergence))}, got {divergence!r}")
        last = min(2 * self.grid, max(4, int(4096 ** (1 / samples.dim))))
        targets = [(grid, log_posterior(grid)) for grid in map(samples.grid, (last // 4 + 1, last // 2, last))]
        for grid, logs in targets:
            if bool((bad := ~logs.isfinite()).any()):
                where = grid[bad.any(0)][0].tolist()
                raise ValueError(f"expected finite log posteriors, got infinite ones or NaN at the parameters {where}")
        found = [self._fit(samples, at, targets, divergence, self.seed + number) for number in range(self.restarts)]
        potential, change, _ = min(found, key=lambda fit: fit[2])
        return potential, change

    def _fit(
        self,
        samples: FamilySamples,
        at: Tensor,
        targets: list[tuple[Tensor, Tensor]],
        divergence: Divergence,
        seed: int,
    ) -> tuple[ConvexPotential, float, float]:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(seed)
            potential = ConvexPotential(samples, self.width, _curvature(samples, at, *targets[0]))
            before, loss, second = torch.zeros(()), 0.0, torch.zeros(())
            for number, (grid, log_posterior) in enumerate(targets):
                steps = self.steps if number == len(targets) - 1 else max(1, self.steps // 2)
                loss = _minimise(potential, at, grid, log_posterior, divergence, steps)
                before, second = second, hessian(potential, samples.nodes)
        change = (second - before).flatten(1).norm(dim=1) / second.flatten(1).norm(dim=1)
        return potential.requires_grad_(False), float(change.median()), loss


def _minimise(
    potential: ConvexPotential, at: Tensor, grid: Tensor, log_posterior: Tensor, divergence: Divergence, steps: int
) -> float:
    """Fit the potential on one grid; return the divergence that is left."""
    log_p = log_posterior.log_softmax(1)
    p = log_p.exp()
    optimiser = torch.optim.LBFGS(
        list(potential.parameters()),
        max_iter=steps,
        history_size=30,
        line_search_fn="strong_wolfe",
        tolerance_grad=1e-11,
        tolerance_change=1e-13,
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        log_q = (-bregman(potential, at, grid)).log_softmax(1)
        if divergence == "kl":
            loss = (p * (log_p - log_q)).sum(1).mean()
        else:
            q, log_middle = log_q.exp(), torch.logaddexp(log_p, log_q) - log(2)
            loss = (p * (log_p - log_middle) + q * (log_q - log_middle)).sum(1).mean() / 2
        loss.backward()
        return loss

    optimiser.step(closure)
    return float(closure().detach())


def _curvature(samples: FamilySamples, at: Tensor, grid: Tensor, log_posterior: Tensor) -> float:
    """Return the factor c of the least-squares fit of -c |u - u'|^2 / 2 to log posteriors, at least 1e-3."""
    distance = torch.cdist(samples.scaled(at), samples.scaled(grid)).square() / 2
    p = log_posterior.softmax(1)
    a, b = (part - (p * part).sum(1, keepdim=True) for part in (distance, log_posterior))
    return max(-float((p * a * b).sum() / (p * a * a).sum()), 1e-3)
