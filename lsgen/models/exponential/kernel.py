r"""The posterior of parameters from distances in a feature space, without training.

    p(t_j|x) ~ sum over samples y at t_j of k(e(x), e(y)) / n_j,    k = exp(-scale |e - e'|^2 / 2)    "gaussian"
                                                                    k = exp(-scale |e - e'|)          "chord"

The released code takes the chord of unit vectors (CLIP features) with scale 10. The chord has a cone at zero, where a
divergence is quadratic. The size of the metric depends on the scale in either case: `scale_sensitivity` shows how much.

Reference: Lobashev, Guskov, Larchenko & Tamm (2025), https://arxiv.org/abs/2506.10632, released code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from lsgen.models.exponential.bregman import BregmanEstimator
from lsgen.models.exponential.posterior import LogPosterior, PosteriorSource
from lsgen.models.exponential.potential import PotentialFit
from lsgen.models.exponential.samples import FamilySamples

__all__ = ["KernelPosterior", "scale_sensitivity"]

Kernel = Literal["gaussian", "chord"]


class _ByKernel(LogPosterior):
    """Log posteriors at the nodes, interpolated between them."""

    def __init__(self, samples: FamilySamples, owner: KernelPosterior, rows: Tensor) -> None:
        self.samples, self.owner = samples, owner
        self.seen, self.node = owner.encode(samples.x[rows]), samples.node[rows]
        counts = self.node.bincount(minlength=len(samples.nodes))
        if int(counts.min()) < 1:
            raise ValueError("expected samples of every node among those compared: raise `most`")
        self.counts = counts.double()

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Return the log posterior, by inverse distance from the nodes between them."""
        found = []
        for part in self.owner.encode(x).split(256):
            distance = torch.cdist(part, self.seen)
            power = distance.square() / 2 if self.owner.kernel == "gaussian" else distance
            logs = -self.owner.scale * power
            top = logs.amax(1, keepdim=True)
            sums = torch.zeros(len(part), len(self.counts), dtype=torch.float64)
            sums.index_add_(1, self.node, (logs - top).exp())
            found.append((sums / self.counts).clamp(min=1e-300).log() + top)
        return torch.cat(found) @ self._weights(t).T

    def _weights(self, t: Tensor) -> Tensor:
        u, nodes = self.samples.scaled(t), self.samples.scaled(self.samples.nodes)
        near, which = torch.cdist(u, nodes).topk(min(2**self.samples.dim, len(nodes)), largest=False)
        share = 1 / near.clamp(min=1e-9).square()
        return torch.zeros(len(u), len(nodes), dtype=torch.float64).scatter_(1, which, share / share.sum(1, True))


@dataclass(frozen=True)
class KernelPosterior(PosteriorSource):
    """A posterior from similarities of features.

    Attributes:
        features: samples (N, *shape) -> features (N, e).
        scale: of distances in the kernel.
        kernel: "gaussian" or "chord".
        most: samples that each is compared with, as many from every node.

    Raises:
        ValueError: the kernel is none of these, or a number is not positive.

    """

    features: Callable[[Tensor], Tensor]
    scale: float = 1.0
    kernel: Kernel = "gaussian"
    most: int = 4096

    def __post_init__(self) -> None:
        if self.kernel not in get_args(Kernel):
            raise ValueError(f"expected kernel to be one of {', '.join(get_args(Kernel))}, got {self.kernel!r}")
        if not self.scale > 0 or self.most < 1:
            raise ValueError(f"expected a positive scale and number of samples, got {self.scale} and {self.most}")

    def encode(self, x: Tensor) -> Tensor:
        """Return features in float64."""
        with torch.no_grad():
            return self.features(x).double().reshape(len(x), -1)

    def fit(self, samples: FamilySamples) -> LogPosterior:
        """Return the posterior by the first samples of every node.

        Raises:
            ValueError: a node has none.

        """
        order = samples.node.argsort(stable=True)
        start = samples.counts.cumsum(0).long() - samples.counts.long()
        each = max(1, self.most // len(samples.nodes))
        return _ByKernel(samples, self, order[torch.arange(len(order)) - start[samples.node[order]] < each])


def scale_sensitivity(
    samples: FamilySamples,
    posterior: KernelPosterior,
    scales: Sequence[float],
    potential: PotentialFit = PotentialFit(),
) -> Tensor:
    """Return the mean over nodes of log det g / d, float64 (S,), for each scale of a kernel.

    The differences tell by which factor the metric grows with the scale; a result that means something changes little.
    """
    found = []
    for scale in scales:
        family = BregmanEstimator(replace(posterior, scale=scale), potential).fit(samples)
        found.append(family.fisher(samples.nodes).logdet().mean() / samples.dim)
    return torch.stack(found)
