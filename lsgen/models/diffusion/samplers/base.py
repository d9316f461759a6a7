r"""Samplers: rules by which a state goes down a grid of noise levels, from noise to data.

A sampler asks a denoiser for D = E[x_0 | x_t] at every node of its grid; with the expected noise
eps = (x - alpha D) / sigma, everything else is arithmetic. The grid runs from `log_snr_min` to `log_snr_max` of the
path. There the state is divided by alpha, or, with `denoise_last`, D is the observation. With `denoise_last` the grid
has `steps` nodes, else one more, so that a rule that asks once a step asks `steps` times either way.

Nodes are numbers of the host, found once for a sampler and a path, so that a step reads nothing from the device.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lsgen.models.diffusion.denoising import Denoise
from lsgen.models.diffusion.paths import ProbabilityPath

__all__ = ["Descent", "InvertibleSampler", "Node", "Sampler", "SamplerState", "Spacing"]

Spacing = Literal["time", "log_snr", "sigma"]
_RHO = 7.0  # of Karras et al. (2022)


class Node(NamedTuple):
    """A noise level: time, l, alpha, sigma, and their derivatives by time."""

    t: float
    log_snr: float
    alpha: float
    sigma: float
    dalpha: float
    dsigma: float

    @property
    def ratio(self) -> float:
        """sigma / alpha."""
        return self.sigma / self.alpha


class SamplerState(NamedTuple):
    """A state x_t (B, *shape), and the latest denoised one, which rules of several steps look back at."""

    x: Tensor
    denoised: Tensor | None = None


@dataclass(frozen=True)
class Descent:
    """What a rule goes by on its way down.

    Attributes:
        denoise: x_t, l -> D = E[x_0 | x_t].
        path: the path that D belongs to.
        nodes: the grid, from noise to data.
        generator: of random numbers; that of PyTorch where there is none.

    """

    denoise: Denoise
    path: ProbabilityPath
    nodes: Sequence[Node]
    generator: torch.Generator | None = None

    def denoised(self, x: Tensor, node: Node) -> Tensor:
        """Return D (B, *shape) of states (B, *shape) at a node."""
        return self.denoise(x, level(x, node))

    def noise(self, x: Tensor) -> Tensor:
        """Return standard normal numbers of the shape of x."""
        return torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=self.generator)


@dataclass(frozen=True)
class Sampler(ABC):
    """Abstract sampler: `sampler(denoise, path, noise)` returns observations.

    Attributes:
        steps: how often the grid asks the denoiser, see above.
        spacing: the grid is even in "time", in "log_snr", or in (sigma / alpha)^(1/7), "sigma".
        denoise_last: whether the last state is denoised, rather than divided by alpha.

    Raises:
        ValueError: fewer steps than 1, or 2 with denoise_last, or another spacing.

    """

    steps: int = 50
    spacing: Spacing = "time"
    denoise_last: bool = True

    def __post_init__(self) -> None:
        name, least = type(self).__name__, 1 + self.denoise_last
        if self.steps < least:
            raise ValueError(f"{name} expected at least {least} steps, got {self.steps}")
        if self.spacing not in ("time", "log_snr", "sigma"):
            raise ValueError(f"{name} expected a spacing, time, log_snr or sigma, got {self.spacing!r}")

    @abstractmethod
    def step(self, descent: Descent, state: SamplerState, i: int) -> SamplerState:
        """Return the state at node i + 1 from that at node i."""

    def nodes(self, path: ProbabilityPath) -> tuple[Node, ...]:
        """Return the grid from noise to data."""
        return _nodes(path, self.steps + 1 - self.denoise_last, self.spacing)

    def states(
        self,
        denoise: Denoise,
        path: ProbabilityPath,
        x: Tensor,
        generator: torch.Generator | None = None,
        nodes: Sequence[Node] | None = None,
    ) -> Iterator[Tensor]:
        """Yield the states x_t (B, *shape) after each step, beginning with x at the first node.

        Args:
            denoise: x_t, l -> D.
            path: the path that D belongs to.
            x: the state at the first node.
            generator: of random numbers, of rules that draw any.
            nodes: the grid, from noise to data; that of the sampler unless given, such as a part of it.

        """
        descent = Descent(denoise, path, self.nodes(path) if nodes is None else nodes, generator)
        state = SamplerState(x)
        yield x
        for i in range(len(descent.nodes) - 1):
            state = self.step(descent, state, i)
            yield state.x

    def __call__(
        self, denoise: Denoise, path: ProbabilityPath, noise: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return observations (B, *shape), in the units of the denoiser.

        Args:
            denoise: x_t, l -> D = E[x_0 | x_t]; labels and guidance are bound to it by `functools.partial`.
            path: the path that D belongs to.
            noise: standard normal (B, *shape); it is scaled to the first node.
            generator: of random numbers, of rules that draw any.

        """
        nodes = self.nodes(path)
        *_, x = self.states(denoise, path, noise * nodes[0].sigma, generator)
        return denoise(x, level(x, nodes[-1])) if self.denoise_last else x / nodes[-1].alpha


@dataclass(frozen=True)
class InvertibleSampler(Sampler):
    """Abstract sampler that draws nothing: a differentiable map, which its rule in the other direction inverts nearly.

    The error of a round trip falls with the steps as that of the sampler does; one that denoises last loses what the
    last denoising loses.
    """

    def invert(self, denoise: Denoise, path: ProbabilityPath, x: Tensor) -> Tensor:
        """Return the noise (B, *shape) that observations (B, *shape) come from, nearly.

        Args:
            denoise: see `Sampler`.
            path: see `Sampler`.
            x: observations, taken as states of the last node once they are multiplied by alpha.

        """
        nodes = self.nodes(path)[::-1]
        *_, last = self.states(denoise, path, x * nodes[0].alpha, nodes=nodes)
        return last / nodes[-1].sigma


def level(x: Tensor, node: Node) -> Tensor:
    """Return l of a node for each observation of x, (B,)."""
    return x.new_full((len(x),), node.log_snr)


@lru_cache(maxsize=256)
def _nodes(path: ProbabilityPath, n: int, spacing: Spacing) -> tuple[Node, ...]:
    at = torch.linspace(1, 0, n, dtype=torch.float64) if n > 1 else torch.ones(1, dtype=torch.float64)
    low, high = path.log_snr_min, path.log_snr_max
    if spacing == "time":
        t, log_snr = at, path.log_snr(at)
    else:
        first, last = (torch.tensor(l / (-2 * _RHO), dtype=torch.float64).exp() for l in (low, high))
        by_sigma = -2 * _RHO * (last + (first - last) * at).log()
        log_snr = high + (low - high) * at if spacing == "log_snr" else by_sigma
        t = path.time(log_snr)
    alpha, sigma = path.scales(log_snr)
    columns = (t, log_snr, alpha, sigma, path.dalpha(t), path.dsigma(t))
    return tuple(Node(*row) for row in torch.stack(columns, 1).tolist())
