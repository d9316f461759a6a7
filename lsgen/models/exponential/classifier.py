r"""The Fisher metric from a classifier that tells two parameters apart (ClassiFIM).

Of a pair t_0 +- dt/2 one is chosen at random and x drawn there. The best logit of which it was is

    log p(x|t_0 + dt/2) - log p(x|t_0 - dt/2) = <dt, s(t_0, x)> + O(|dt|^3),    s = d log p(x|t) / dt    the score,

so that a network s(t_0, x) is trained by the loss of binary classification of <dt, s(t_0, x)>, and

    g(t) = E_t[s(t, x) s(t, x)^T].

Nothing is assumed of the coordinates. Pairs are nodes at a distance below a part of the box: the smaller it is, the
less the bias and the more the noise.

Reference: Kasatkin, Mozgunov, Ezzell & Lidar, "ClassiFIM: an unsupervised method to detect phase transitions" (2024),
https://arxiv.org/abs/2408.03323.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from lsgen.models.exponential.family import FisherEstimator, MetricFamily
from lsgen.models.exponential.metric_field import CholeskyField
from lsgen.models.exponential.samples import FamilySamples
from lsgen.models.exponential.training import minimise

__all__ = ["FisherClassifier"]


class _Score(nn.Module):
    """s(t, x) (N, d) of u (N, d), the parameters in units of their box, and x (N, D); in those units too."""

    def __init__(self, size: int, d: int, hidden: int) -> None:
        super().__init__()
        self.x, self.t = nn.Linear(size, hidden), nn.Linear(d, hidden)
        self.net = nn.Sequential(nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, d, bias=True))

    def forward(self, u: Tensor, x: Tensor) -> Tensor:
        """Return the scores."""
        out: Tensor = self.net(self.x(x) + self.t(u))
        return out


@dataclass(frozen=True)
class FisherClassifier(FisherEstimator):
    """A network that tells nearby parameters apart.

    Attributes:
        reach: largest distance of a pair along each parameter, a part of the box; at least one step of the grid.
        hidden: width of both hidden layers.
        steps: of Adam, at a rate that rises over a tenth of them and falls to zero by a cosine.
        batch_size: samples in a step, each with a partner of its own.
        rate: highest rate of learning.
        seed: of weights and batches.

    Raises:
        ValueError: a number is not positive.

    """

    reach: float = 0.3
    hidden: int = 128
    steps: int = 1500
    batch_size: int = 1000
    rate: float = 5e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.hidden, self.steps, self.batch_size) < 1 or not (self.reach > 0 and self.rate > 0):
            raise ValueError(f"expected positive numbers, got {self}")

    def fit(self, samples: FamilySamples) -> MetricFamily:
        """Return the metric at the nodes, and a smooth field through it.

        Raises:
            ValueError: a node has no other within reach, all observations are the same, or training diverged.

        """
        u, x = samples.scaled(samples.nodes).float(), samples.x.flatten(1)
        if not bool(x.std() > 0):
            raise ValueError(f"expected observations that differ, got {x[0, 0].item():g} alone")
        near = ((u[:, None] - u[None]).abs() <= 2 * self.reach + 1e-6).all(-1).fill_diagonal_(False)
        if not bool(near.any(1).all()):
            raise ValueError(f"expected a larger reach than {self.reach}: a node has no other within it")
        x = (x - x.mean()) / x.std()
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(self.seed)
            net = _Score(prod(samples.x.shape[1:]), samples.dim, self.hidden)
            self._train(net, u, x, samples.node, near)
        with torch.no_grad():
            rows = zip(u[samples.node].split(16384), x.split(16384), strict=True)
            s = torch.cat([net(at, part) for at, part in rows]).double()
            s = s * 2 / (samples.high - samples.low)
            s = s - samples.mean(s)[samples.node]
            g = samples.mean(s[:, :, None] * s[:, None, :])
            field = CholeskyField(samples, samples.nodes, g)
        return MetricFamily(samples.low, samples.high, field, samples.nodes, g)

    def _train(self, net: _Score, u: Tensor, x: Tensor, node: Tensor, near: Tensor) -> None:
        weights, size = near.float(), min(self.batch_size, len(x))

        def loss() -> Tensor:
            rows = torch.randint(len(x), (size,))
            own = u[node[rows]]
            other = u[torch.multinomial(weights[node[rows]], 1)[:, 0]]
            sign = 2 * torch.randint(2, (size,)).float() - 1
            change = sign[:, None] * (own - other)
            logit = (change * net((own + other) / 2, x[rows])).sum(1)
            return binary_cross_entropy_with_logits(logit, (sign + 1) / 2)

        minimise(net.parameters(), loss, self.steps, self.rate)
