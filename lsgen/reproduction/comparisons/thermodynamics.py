"""Free energies and Fisher metrics of models of statistical physics, learned from configurations alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import jvp

from lsgen.data import DataModule, Ising, Tasep
from lsgen.data.physics.ising_exact import transfer_log_partition_and_derivatives
from lsgen.data.physics.tasep_exact import tasep_log_probabilities
from lsgen.models.exponential import (
    BregmanEstimator,
    ConvexFamily,
    FamilySamples,
    LocalStatistics,
    PosteriorNetwork,
    PotentialFit,
    StatisticsMLP,
    fisher_errors,
)
from lsgen.models.exponential.errors import family_residuals
from lsgen.models.exponential.samples import ranked
from lsgen.reproduction.runs import Measured, TrainedRun

__all__ = ["Thermodynamics"]


class _Exact(NamedTuple):
    """log Z (G,), its derivatives (G, 2), and the Fisher metric (G, 2, 2) at the nodes."""

    log_partition: Tensor
    gradient: Tensor
    fisher: Tensor


@dataclass(frozen=True)
class Thermodynamics:
    """Learns log Z from configurations in three ways and compares it with exact answers at the nodes of the grid.

    The configurations of each node are divided into parts, and everything is learned anew on each part. `convex` is
    the posterior network with a convex potential; of `mean` and `pca` the network sees the mean of each configuration
    alone, or its principal components. Coordinates are (1/T, H/T) of the Ising model, whose exact answers are those of
    the transfer matrix. Of the exclusion process they are log r/(1 - r) of both rates r; it is no exponential family,
    so that "exact" log Z is the potential fitted in the same way to the divergences of the exact probabilities of all
    states, and the exact metric that of these.

    Keys, for each way: `WAY_log_partition`, the mean square error after the best affine function is taken off, and
    `WAY_slopes`, that of both derivatives together after their means are, and a quarter of it under
    `WAY_slopes_quartered`, the last two with arrays (parts, nodes); `WAY_first` and `WAY_second`, root mean square
    errors of the derivatives; `WAY_fisher`, the median relative Frobenius error of the metric; `misfit` of `convex`.
    Arrays: `first` and `second`, the axes; `exact_map` and `convex_map`, log det g at the nodes.

    Attributes:
        data: an `Ising` or `Tasep` set; its training split is taken.
        parts: how many parts.
        components: principal components.
        steps: of training each network.
        inner: part of the box whose nodes are judged.
        potential: how potentials are fitted.

    Raises:
        TypeError: the data are neither.
        ValueError: there are fewer configurations of a node than parts.

    Reference: Lobashev, Guskov, Larchenko & Tamm (2025), https://arxiv.org/abs/2506.10632, table 1.
    """

    data: DataModule
    parts: int = 5
    components: int = 8
    steps: int = 1000
    inner: float = 0.8
    potential: PotentialFit = field(default_factory=PotentialFit)

    def __post_init__(self) -> None:
        if not isinstance(self.data, Ising | Tasep):
            raise TypeError(f"Thermodynamics expected Ising or Tasep data, got {type(self.data).__name__}")
        if self.parts < 1 or self.components < 1:
            raise ValueError(f"expected positive parts and components, got {self.parts} and {self.components}")

    def __call__(self, runs: Mapping[str, Sequence[TrainedRun]]) -> Measured:
        """Return the errors; no run is looked at."""
        every = self._samples()
        exact = self._exact(every)
        inner = (every.scaled(every.nodes).abs() <= self.inner + 1e-9).all(1)
        found: dict[str, list[Tensor]] = {}
        maps = []
        for part in range(self.parts):
            of = self._part(every, part)
            for way, family in self._families(of, part):
                judged = _errors(family, every.nodes[inner], _Exact(*(one[inner] for one in exact)))
                for name, values in judged.items():
                    found.setdefault(f"{way}_{name}", []).append(values)
                if way == "convex":
                    found.setdefault("misfit", []).append(torch.tensor(family.misfit))
                    maps.append(family.fisher(every.nodes).logdet())
        return Measured(*self._told(found, every, exact, maps))

    def _told(
        self, found: dict[str, list[Tensor]], every: FamilySamples, exact: _Exact, maps: list[Tensor]
    ) -> tuple[dict[str, float], dict[str, Any]]:
        stacked = {name: torch.stack(parts) for name, parts in found.items()}
        arrays = {name: values for name, values in stacked.items() if values.ndim == 2 and "slopes" in name}
        values = {name: float(values.mean()) for name, values in stacked.items()}
        axes = [every.nodes[:, i].unique() for i in (0, 1)]
        shape = [len(axis) for axis in axes]
        arrays |= {"first": axes[0], "second": axes[1]}
        arrays["exact_map"] = exact.fisher.logdet().reshape(shape)
        arrays["convex_map"] = torch.stack(maps).mean(0).reshape(shape)
        return values, arrays

    def _samples(self) -> FamilySamples:
        split = self.data.dataset("train")
        batch = split[torch.arange(len(split))]
        sizes = torch.tensor(self.data.factor_sizes)
        node = batch["factors"][:, 0] * sizes[1] + batch["factors"][:, 1]
        x = batch["x"]
        return FamilySamples(x.reshape(len(x), *self.data.shape), self._coordinates()[node])

    def _coordinates(self) -> Tensor:
        if isinstance(self.data, Ising):
            return self.data.natural_parameters
        assert isinstance(self.data, Tasep)
        return self.data.parameters.logit()

    def _part(self, every: FamilySamples, part: int) -> FamilySamples:
        order, rank = ranked(every.node)
        mine = order[rank % self.parts == part]
        if int(every.node[mine].bincount(minlength=len(every.nodes)).min()) < 1:
            raise ValueError(f"expected at least {self.parts} configurations of every node")
        return FamilySamples(every.x[mine], every.t[mine])

    def _families(self, of: FamilySamples, seed: int) -> list[tuple[str, ConvexFamily]]:
        ising = isinstance(self.data, Ising)
        network: Callable[[Sequence[int], int], nn.Module] = LocalStatistics if ising else StatisticsMLP
        centre = of.x.flatten(1).mean(0)
        basis = torch.linalg.svd(of.x.flatten(1)[:20000] - centre, full_matrices=False).Vh[: self.components].T
        ways: dict[str, dict[str, Any]] = {
            "convex": {"network": network},
            "mean": {"features": lambda x: x.flatten(1).mean(1, keepdim=True)},
            "pca": {"features": lambda x: (x.flatten(1) - centre) @ basis},
        }
        plan = PosteriorNetwork(order=1 if ising else 2, steps=self.steps, batch_size=500, seed=seed)
        return [(name, BregmanEstimator(replace(plan, **way), self.potential).fit(of)) for name, way in ways.items()]

    def _exact(self, every: FamilySamples) -> _Exact:
        nodes = every.nodes
        if isinstance(self.data, Ising):
            each = [transfer_log_partition_and_derivatives(t, self.data.shape[1]) for t in nodes]
            return _Exact(*map(torch.stack, zip(*each, strict=True)))
        sites = self.data.shape[0]
        log_p = lambda t: tasep_log_probabilities(t.sigmoid(), sites)
        p = log_p(nodes).exp()
        potential, _ = self.potential(every, nodes, lambda grid: p @ log_p(grid).T)
        family = ConvexFamily(every.low, every.high, potential)
        scores = torch.stack([jvp(log_p, (nodes,), (e.expand_as(nodes),))[1] for e in torch.eye(2).double()], -1)
        return _Exact(
            family.log_partition(nodes), family.gradient(nodes), torch.einsum("gs,gsi,gsj->gij", p, scores, scores)
        )


def _errors(family: ConvexFamily, t: Tensor, exact: _Exact) -> dict[str, Tensor]:
    """Return errors at nodes (N, 2): arrays (N,) and numbers ()."""
    left, slopes = family_residuals(family, t, exact.log_partition, exact.gradient)
    slopes = slopes.square()
    squares = slopes.sum(1)
    return {
        "log_partition": left.square(),
        "slopes": squares,
        "slopes_quartered": squares / 4,
        "first": slopes[:, 0].mean().sqrt(),
        "second": slopes[:, 1].mean().sqrt(),
        "fisher": fisher_errors(family.fisher(t), exact.fisher).median(),
    }
