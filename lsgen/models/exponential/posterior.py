r"""What a sample says of the parameters that it was drawn at: log p(x|t) up to a function of x.

A network learns it by telling the parameters of each sample from those of others,

    log p(x|t) = <s(x), psi(t)> - b(t) + c(x)
    loss = -log softmax_j(<s(x), psi(t_j)> - b(t_j) + log n_j) at its own j,

over all nodes t_j with n_j samples each, or over the parameters of a batch where they are all different. There is no
label smoothing, so that there is no blur to deduct, and the softmax over n_j-weighted nodes takes the share of samples
at each out of the result. psi are the monomials of t up to an order: 1 is right for an exponential family in natural
coordinates, where s(x) are its sufficient statistics; higher ones serve where t are other coordinates.

Reference: Lobashev, Guskov, Larchenko & Tamm, "Hessian geometry of latent space in generative models" (2025),
https://arxiv.org/abs/2506.10632, section 4 (a U-Net over the cells of a grid there, trained on smoothed labels); van
den Oord, Li & Vinyals, "Representation learning with contrastive predictive coding" (2018), for the loss.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from lsgen.models.exponential.reweighting import Reweighting
from lsgen.models.exponential.samples import FamilySamples
from lsgen.models.exponential.training import minimise

__all__ = ["KnownPosterior", "LocalStatistics", "LogPosterior", "PosteriorNetwork", "PosteriorSource", "StatisticsMLP"]

_CHUNK = 16384


class LogPosterior(ABC):
    """Abstract log posterior of parameters with a flat prior, up to a function of the sample."""

    @abstractmethod
    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Return log p(x|t) + c(x), float64 (N, M), of samples (N, *shape) at parameters (M, d)."""

    def expected(self, samples: FamilySamples, t: Tensor) -> Tensor:
        """Return the best estimate of what `mean` is an average of, (G, M); the same where nothing better is known."""
        return self.mean(samples, t)

    def mean(self, samples: FamilySamples, t: Tensor, rows: Tensor | None = None) -> Tensor:
        """Return the means (G, M) over the samples of each node, which are -D_KL(p_node | p_t) + a constant.

        Args:
            samples: over which means are taken.
            t: parameters (M, d).
            rows: numbers of the samples that count, all where it is None.

        """
        x, node = (samples.x, samples.node) if rows is None else (samples.x[rows], samples.node[rows])
        total = torch.zeros(len(samples.nodes), len(t), dtype=torch.float64)
        step = max(1, 2**24 // len(t))
        for part, group in zip(x.split(step), node.split(step), strict=True):
            total.index_add_(0, group, self(part, t))
        return total / node.bincount(minlength=len(total)).double()[:, None]


class PosteriorSource(ABC):
    """Abstract way to a log posterior."""

    @abstractmethod
    def fit(self, samples: FamilySamples) -> LogPosterior:
        """Return the log posterior that is learned from samples; deterministic."""


@dataclass(frozen=True)
class KnownPosterior(PosteriorSource, LogPosterior):
    """A log density that is known.

    Attributes:
        log_density: samples (N, *shape), parameters (M, d) -> log p(x|t) (N, M), up to a function of x.

    """

    log_density: Callable[[Tensor, Tensor], Tensor]

    def fit(self, samples: FamilySamples) -> LogPosterior:
        """Return itself."""
        return self

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Return the log density.

        Raises:
            ValueError: it has another shape.

        """
        found = self.log_density(x, t)
        if found.shape != (len(x), len(t)):
            raise ValueError(f"expected log densities ({len(x)}, {len(t)}), got {tuple(found.shape)}")
        return found.double()


class StatisticsMLP(nn.Module):
    """Statistics (N, outputs) of observations (N, *shape): a linear map plus a multilayer perceptron.

    Args:
        shape: shape of one observation.
        outputs: how many.
        hidden: width of both hidden layers.

    """

    def __init__(self, shape: Sequence[int], outputs: int, hidden: int = 128) -> None:
        super().__init__()
        size = prod(shape)
        self.linear = nn.Linear(size, outputs)
        self.net = nn.Sequential(
            nn.Linear(size, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the statistics."""
        flat = x.flatten(1)
        out: Tensor = self.linear(flat) + self.net(flat)
        return out


class LocalStatistics(nn.Module):
    """Statistics (N, outputs) of lattices (N, C, H, W): a function of each patch, summed over sites.

    That is what the sufficient statistics of interactions of short range are.

    Args:
        shape: (C, H, W).
        outputs: how many.
        patch: size of a patch.
        width: of the hidden layer.
        periodic: whether patches go on beyond the edges on the other side; else they lie within.

    """

    def __init__(
        self, shape: Sequence[int], outputs: int, patch: int = 2, width: int = 24, periodic: bool = True
    ) -> None:
        super().__init__()
        if len(shape) != 3:
            raise ValueError(f"expected lattices of shape (C, H, W), got {tuple(shape)}")
        self.patch, self.periodic = patch, periodic
        self.net = nn.Sequential(nn.Conv2d(shape[0], width, patch), nn.SiLU(), nn.Conv2d(width, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the statistics."""
        if self.periodic:
            x = pad(x, (0, self.patch - 1, 0, self.patch - 1), mode="circular")
        out: Tensor = self.net(x).sum((-2, -1))
        return out


class _Learned(LogPosterior):
    """<s(x), psi(t)> - b(t)."""

    def __init__(self, samples: FamilySamples, owner: PosteriorNetwork) -> None:
        self.features, self.order = owner.features, owner.order
        self.samples, d = samples, samples.dim
        some = self._features(samples.x[torch.randperm(len(samples.x))[:_CHUNK]])
        self.mean_x, self.scale_x = some.mean(), some.std().clamp(min=1e-6)
        self.statistics = owner.network(tuple(some.shape[1:]), len(self._columns(d)))
        self.bias = nn.Sequential(nn.Linear(d, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1))
        self._seen: Tensor | None = None
        self._weighted: tuple[Reweighting, Tensor] | None = None

    def _features(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return x if self.features is None else self.features(x).float().reshape(len(x), -1)

    def _columns(self, d: int) -> list[tuple[int, ...]]:
        orders = range(1, self.order + 1)
        return [columns for order in orders for columns in combinations_with_replacement(range(d), order)]

    def monomials(self, t: Tensor) -> Tensor:
        """Return psi(t) (M, r)."""
        u = self.samples.scaled(t.double())
        return torch.stack([u[:, list(columns)].prod(1) for columns in self._columns(u.shape[1])], 1)

    def summary(self, x: Tensor) -> Tensor:
        """Return s(x) (N, r)."""
        out: Tensor = self.statistics((self._features(x) - self.mean_x) / self.scale_x)
        return out

    def offset(self, t: Tensor) -> Tensor:
        """Return b(t) (M,)."""
        out: Tensor = self.bias(self.samples.scaled(t.double()).float())[:, 0]
        return out

    @torch.no_grad()
    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Return the log posterior."""
        s = torch.cat([self.summary(part) for part in x.float().split(_CHUNK)]).double()
        return s @ self.monomials(t).T - self.offset(t).double()

    @torch.no_grad()
    def mean(self, samples: FamilySamples, t: Tensor, rows: Tensor | None = None) -> Tensor:
        """Return the means over the samples of each node, linear in those of the statistics."""
        if samples is not self.samples:
            return super().mean(samples, t, rows)
        s = self._own() if rows is None else self._own()[rows]
        return samples.mean(s, rows) @ self.monomials(t).T - self.offset(t).double()

    @torch.no_grad()
    def expected(self, samples: FamilySamples, t: Tensor) -> Tensor:
        """Return the means under the density that was learned, over the samples of all nodes, and its own log Z."""
        if samples is not self.samples:
            return super().expected(samples, t)
        if self._weighted is None:
            nodes = samples.nodes
            psi = self.monomials(nodes)
            weighted = Reweighting(self._own(), psi, samples.counts, self.offset(nodes))
            self._weighted = weighted, weighted(psi)[1]
        weighted, means = self._weighted
        psi = self.monomials(t)
        return means @ psi.T - weighted(psi)[0]

    def _own(self) -> Tensor:
        """Return the statistics of the samples that were learned from."""
        if self._seen is None:
            self._seen = torch.cat([self.summary(part) for part in self.samples.x.split(_CHUNK)])
        return self._seen


@dataclass(frozen=True)
class PosteriorNetwork(PosteriorSource):
    """A network that learns from which parameters a sample comes.

    Attributes:
        network: shape of its input, number of outputs -> the module that makes statistics (N, r) of samples.
        features: what is taken of the samples (N, *shape) first, (N, ...), without gradient; all where it is None.
        order: highest order of the monomials of t.
        steps: of Adam, at a rate that rises over a tenth of them and falls to zero by a cosine.
        batch_size: samples in a step.
        rate: highest rate of learning.
        seed: of weights and batches.

    Raises:
        ValueError: a number is not positive.

    """

    network: Callable[[Sequence[int], int], nn.Module] = StatisticsMLP
    features: Callable[[Tensor], Tensor] | None = None
    order: int = 1
    steps: int = 1500
    batch_size: int = 1000
    rate: float = 1e-2
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.order, self.steps, self.batch_size) < 1 or not self.rate > 0:
            raise ValueError(f"expected positive order, steps, batch_size and rate, got {self}")

    def fit(self, samples: FamilySamples) -> LogPosterior:
        """Train the network.

        Raises:
            ValueError: training diverged.

        """
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(self.seed)
            learned = _Learned(samples, self)
            self._train(samples, learned)
        learned.statistics.requires_grad_(False).eval()
        learned.bias.requires_grad_(False)
        return learned

    def _train(self, samples: FamilySamples, learned: _Learned) -> None:
        size, share = min(self.batch_size, len(samples.x)), samples.counts.log().float()
        psi, batches = learned.monomials(samples.nodes).float(), _batches(len(samples.x), size)

        def loss() -> Tensor:
            rows = next(batches)
            if samples.distinct:
                t, candidates, own, weight = samples.nodes, psi, samples.node[rows], share
            else:
                t = samples.t[rows]
                candidates, own, weight = learned.monomials(t).float(), torch.arange(size), torch.zeros(())
            logits = learned.summary(samples.x[rows]) @ candidates.T - learned.offset(t) + weight
            return cross_entropy(logits, own)

        parameters = [*learned.statistics.parameters(), *learned.bias.parameters()]
        minimise(parameters, loss, self.steps, self.rate)


def _batches(n: int, size: int) -> Iterator[Tensor]:
    """Yield rows of batches, in a new order whenever a pass ends; what is left over of it is left out."""
    while True:
        order = torch.randperm(n)
        yield from order[: n - n % size].split(size)
