r"""Where a path through z leaves the codes, and how the decoder moves along it.

At each of N steps of a path z(t), 0 <= t <= 1:

    distance     d_k(z), the distance to the k-th nearest of the reference codes, on the manifold; a reference code
                 itself is not counted
    percentile   share of reference codes with a smaller d_k, in per cent; off the manifold beyond the 99th
    prior_z      (log p(z) - m) / s, for the mean m and the standard deviation s of log p over draws from the prior
    speed        |J z'|, of the mean of p(x|z), or of p(x|z) by the Fisher metric where codes are those of items, such
                 as words; z' from central differences along geodesics
    variance     variance of p(x|z), averaged over data dimensions; none for items
    cycle        distance of E(D(z)) from z: of the mean of q(z|x) at the mean x of p(x|z)

What a space cannot do is None: a prior without a density, or one that is uniform, has no prior_z, a space without
encoder no cycle.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import trapezoid
from torch import Tensor

from lsgen.analysis.neighbours.surroundings import Surroundings
from lsgen.geometry import HessianMetric, Immersion, immersion, metric
from lsgen.geometry.information import fisher_metric
from lsgen.latent import Codes, EncodableLatentSpace, ItemSpace, LatentSpace, Manifold
from lsgen.latent.densities import check_density
from lsgen.latent.distances import distance_on
from lsgen.latent.manifolds.description import describe
from lsgen.latent.neighbours import NeighbourGraph, neighbour_graph

__all__ = ["OFF_MANIFOLD", "PathDiagnostics", "PathJudge", "velocities"]

OFF_MANIFOLD = 99.0
Steps = NDArray[np.float64]


@dataclass(frozen=True)
class PathDiagnostics:
    """What is known of each step of a path, (N,) each; None where the space cannot tell.

    Attributes:
        z: the codes (N, d).
        distance: distance to the k-th nearest reference code.
        percentile: percentile of that among the reference codes, from 0 to 100.
        speed: how fast the mean observation changes.
        prior_z: log-density of the prior in standard deviations from its mean.
        variance: variance of observations.
        cycle: how far a code is from that of its own decoding.

    """

    z: Steps
    distance: Steps
    percentile: Steps
    speed: Steps
    prior_z: Steps | None
    variance: Steps | None
    cycle: Steps | None

    @property
    def off_manifold(self) -> NDArray[np.bool_]:
        """Which steps are farther from codes than 99 % of the codes are from one another, (N,)."""
        return self.percentile > OFF_MANIFOLD

    @property
    def decoded_length(self) -> float:
        """Length of the path of mean observations, by the trapezoidal rule."""
        return float(trapezoid(self.speed, dx=1 / (len(self.speed) - 1)))

    def profiles(self) -> dict[str, Steps]:
        """Return what is known, by name."""
        known = {name: getattr(self, name) for name in ("percentile", "prior_z", "speed", "variance", "cycle")}
        return {name: values for name, values in known.items() if values is not None}


@dataclass(frozen=True)
class PathJudge:
    """Judges paths through a latent space by codes of observations.

    Args:
        space: what decodes, in evaluation mode.
        reference: codes of observations, such as of the training data.
        k: which of the nearest codes is looked at.
        prior_draws: draws from the prior for the mean and the deviation of its log-density.
        seed: seed of the draws.

    Raises:
        TypeError: it is no latent space.
        ValueError: the reference codes are of another space, or not more than k + 1.

    """

    space: LatentSpace
    reference: Codes
    k: int = 10
    prior_draws: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.space, LatentSpace):
            raise TypeError(f"expected a LatentSpace, which decodes, got {type(self.space).__name__}")
        if self.space.dim != self.reference.dim or describe(self.space.manifold) != describe(self.reference.manifold):
            raise ValueError(
                f"expected reference codes of the space, of {self.space.dim} coordinates on {self.space.manifold}, got "
                f"{self.reference.dim} on {self.reference.manifold}"
            )
        if not 1 <= self.k < len(self.reference) - 1 or self.prior_draws < 2:
            raise ValueError(
                f"expected from 1 to {len(self.reference) - 2} neighbours among {len(self.reference)} codes and 2 or "
                f"more draws from the prior, got {self.k} and {self.prior_draws}"
            )

    @torch.no_grad()
    def __call__(self, path: Tensor) -> PathDiagnostics:
        """Return what is known of the steps of a path (N, d), N >= 2.

        Raises:
            ValueError: the path has another shape, or a code is not finite.

        """
        if path.ndim != 2 or len(path) < 2 or path.shape[1] != self.space.dim:
            raise ValueError(f"expected a path (N, {self.space.dim}) of 2 codes or more, got {tuple(path.shape)}")
        if not bool(path.isfinite().all()):
            raise ValueError(f"expected finite codes, got {int((~path.isfinite().all(-1)).sum())} that are not")
        far, percentile = self._surroundings.of(path)
        like = next(self.space.parameters(), torch.zeros((), dtype=torch.get_default_dtype()))
        z = path.to(like.device, like.dtype)
        v = velocities(self.space.manifold, path.double()).to(z)
        im = self.metric
        if im.euclidean:
            speed = im.push(z, v[:, None]).flatten(1).norm(dim=1)
        else:
            speed = torch.einsum("ni,nij,nj->n", v, metric(im, z), v).clamp(min=0).sqrt()
        p = self.space.decode(z)
        return PathDiagnostics(
            path.double().cpu().numpy(),
            far,
            percentile,
            _array(speed),
            self._prior_z(z),
            None if isinstance(self.space, ItemSpace) else _moment(p, "variance"),
            self._cycle(z, p),
        )

    @cached_property
    def metric(self) -> Immersion | HessianMetric:
        """What measures speeds: the mean of p(x|z), or for codes of items the Fisher metric, as outcomes are names."""
        return fisher_metric(self.space) if isinstance(self.space, ItemSpace) else immersion(self.space, "euclidean")

    @cached_property
    def graph(self) -> NeighbourGraph:
        """The graph that joins every reference code to its k nearest neighbours."""
        return neighbour_graph(self.reference.tensor().double(), self.k, distance_on(self.reference.manifold))

    @cached_property
    def _surroundings(self) -> Surroundings:
        return Surroundings(self.reference, self.k)

    @cached_property
    def _prior(self) -> tuple[float, float] | None:
        """Mean and standard deviation of the log-density of the prior; None where they tell nothing."""
        try:
            check_density(self.space.prior)
        except TypeError:
            return None
        like = next(self.space.parameters(), torch.zeros(()))
        with torch.random.fork_rng(devices=[like.device] if like.device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            p = self.space.prior()
            density = p.log_prob(p.sample(torch.Size((self.prior_draws,)))).double()
        mean, spread = float(density.mean()), float(density.std())
        return (mean, spread) if spread > 1e-6 * max(1.0, abs(mean)) else None

    def _prior_z(self, z: Tensor) -> Steps | None:
        if self._prior is None:
            return None
        mean, spread = self._prior
        return (_array(self.space.prior().log_prob(z)) - mean) / spread

    def _cycle(self, z: Tensor, p: torch.distributions.Distribution) -> Steps | None:
        if not isinstance(self.space, EncodableLatentSpace):
            return None
        try:
            again = self.space.encode(p.mean).mean
        except NotImplementedError:
            return None
        manifold = self.space.manifold
        return _array(manifold.distance(z.double(), manifold.shift(again, torch.zeros_like(again)).double()))


def velocities(manifold: Manifold, path: Tensor) -> Tensor:
    """Return dz/dt, (N, d), of a path (N, d) over 0 <= t <= 1, from differences along geodesics."""
    forward = manifold.log(path[:-1], path[1:])
    backward = -manifold.log(path[1:], path[:-1])
    middle = (forward[1:] + backward[:-1]) / 2
    velocity: Tensor = torch.cat([forward[:1], middle, backward[-1:]]) * (len(path) - 1)
    return velocity


def _moment(p: torch.distributions.Distribution, name: str) -> Steps | None:
    """Return a moment of p(x|z), averaged over data dimensions, (N,)."""
    try:
        values: Tensor = getattr(p, name)
    except NotImplementedError:
        return None
    return _array(values.flatten(1).mean(1))


def _array(values: Tensor) -> Steps:
    return values.detach().double().cpu().numpy()
