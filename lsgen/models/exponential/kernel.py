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
from math import comb, inf
from typing import Literal, get_args

import numpy as np
import torch
from scipy.interpolate import RBFInterpolator
from torch import Tensor

from lsgen.models.exponential.bregman import BregmanEstimator
from lsgen.models.exponential.posterior import LogPosterior, PosteriorSource
from lsgen.models.exponential.potential import PotentialFit
from lsgen.models.exponential.samples import FamilySamples, first_of_each

__all__ = ["KernelPosterior", "scale_sensitivity"]

Kernel = Literal["gaussian", "chord"]


class _ByKernel(LogPosterior):
    """Log posteriors at the nodes, interpolated between them."""

    def __init__(self, samples: FamilySamples, owner: KernelPosterior) -> None:
        self.samples, self.owner = samples, owner
        compared, self.rest = samples.halves(2)
        nodes = len(samples.nodes)
        chosen = compared[first_of_each(samples.node[compared], max(1, owner.most // nodes))]
        self.seen, self.node = owner.encode(samples.x[chosen]), samples.node[chosen]
        self.counts = self.node.bincount(minlength=nodes).double()

    def mean(self, samples: FamilySamples, t: Tensor, rows: Tensor | None = None) -> Tensor:
        """Return the means over the samples that none is compared with."""
        if samples is not self.samples:
            return super().mean(samples, t, rows)
        return super().mean(samples, t, self.rest if rows is None else rows[torch.isin(rows, self.rest)])

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Return the log posterior, by a spline between the nodes."""
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
        """Return the weights (M, G) of values at the nodes in a cubic spline."""
        u, nodes = self.samples.scaled(t).numpy(), self.samples.scaled(self.samples.nodes).numpy()
        degree = 2 if len(nodes) > comb(self.samples.dim + 2, 2) else 1
        spline = RBFInterpolator(nodes, np.eye(len(nodes)), kernel="cubic", degree=degree)
        return torch.from_numpy(spline(u))


@dataclass(frozen=True)
class KernelPosterior(PosteriorSource):
    """A posterior from similarities of features.

    Attributes:
        features: samples (N, *shape) -> features (N, e).
        scale: of distances in the kernel.
        kernel: "gaussian" or "chord".
        most: samples that each of the others is compared with, as many from every node, of half of them.

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
        if not 0 < self.scale < inf or self.most < 1:
            raise ValueError(f"expected a positive, finite scale and some samples, got {self.scale} and {self.most}")

    def encode(self, x: Tensor) -> Tensor:
        """Return features in float64."""
        with torch.no_grad():
            return self.features(x).double().reshape(len(x), -1)

    def fit(self, samples: FamilySamples) -> LogPosterior:
        """Return the posterior by comparison with half of the samples of every node.

        Raises:
            ValueError: a node has less than 4 samples.

        """
        if int(samples.counts.min()) < 4:
            raise ValueError(f"expected at least 4 samples at every node, got {int(samples.counts.min())}")
        return _ByKernel(samples, self)


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
