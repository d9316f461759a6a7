r"""What is known of a family p(x|t) once it is estimated: its Fisher metric, and log Z where t are natural coordinates.

    p(x|t) = exp(<f(x), t> - log Z(t)) h(x),    d log Z = E[f],    g = Hess log Z = Cov[f],
    D_KL(p_t' | p_t) = log Z(t) - log Z(t') - <d log Z(t'), t - t'>    the Bregman divergence of log Z.

In other coordinates y, with t = t(y), g is no Hessian in general, and carried over by the Jacobian:

    g_y = (dt/dy)^T g_t (dt/dy).

Reference: Amari, "Information Geometry and Its Applications" (2016), chapters 1 and 2.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor

from lsgen.geometry import HessianMetric, MetricField, RiemannianMetric, metric
from lsgen.geometry.jets import propagate
from lsgen.models.exponential.derivatives import gradient, hessian
from lsgen.models.exponential.samples import FamilySamples, box_grid, check_at

__all__ = ["ConvexFamily", "EstimatedFamily", "FisherEstimator", "MetricFamily", "carried"]

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class EstimatedFamily(ABC):
    """Abstract family of distributions whose Fisher metric is known in a box of parameters.

    `metric` is a Riemannian metric like any other: geodesics, curvatures and volumes of `lsgen.geometry` take it. It
    does not check the box, since the points that a solver tries may leave it; `fisher` does.

    Attributes:
        low: least parameters, float64 (d,).
        high: greatest parameters, float64 (d,).

    """

    low: Tensor
    high: Tensor

    @property
    def dim(self) -> int:
        """The number d of parameters."""
        return len(self.low)

    @property
    @abstractmethod
    def metric(self) -> RiemannianMetric:
        """The Fisher metric in the coordinates t."""

    def fisher(self, t: Tensor) -> Tensor:
        """Return the Fisher metric, float64 (..., d, d), at parameters (..., d).

        Raises:
            ValueError: a parameter is outside of the box.

        """
        return metric(self.metric, check_at(t, self.low, self.high)).detach()


@final
@dataclass(frozen=True, eq=False)
class ConvexFamily(EstimatedFamily):
    """An exponential family in natural coordinates, given by log Z up to an affine function.

    Attributes:
        low: see `EstimatedFamily`.
        high: see `EstimatedFamily`.
        potential: log Z, (N, d) -> (N,), up to an affine function where it is estimated; convex.
        misfit: size of what the potential leaves of the divergences that it was fitted to, over that of their sampling
            error: about 1 where that is all. Far above, the family is misspecified (t are no natural coordinates of an
            exponential family), or the posterior was learned badly. 0 where nothing was fitted.
        refinement: median relative change of g, in the Frobenius norm, at the last refinement of the grid.

    """

    potential: Map
    misfit: float = 0.0
    refinement: float = 0.0
    _metric: HessianMetric = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_metric", HessianMetric(self.potential, self.dim, definite=True))

    @property
    def metric(self) -> HessianMetric:
        """The Hessian of log Z."""
        return self._metric

    def log_partition(self, t: Tensor) -> Tensor:
        """Return log Z, float64 (...,), at parameters (..., d), up to an affine function.

        Raises:
            ValueError: a parameter is outside of the box.

        """
        t = check_at(t, self.low, self.high)
        return self.potential(t.reshape(-1, self.dim)).detach().reshape(t.shape[:-1])

    def gradient(self, t: Tensor) -> Tensor:
        """Return d log Z, the means of the sufficient statistics up to a constant, float64 (..., d).

        Raises:
            ValueError: a parameter is outside of the box.

        """
        t = check_at(t, self.low, self.high)
        return gradient(self.potential, t.reshape(-1, self.dim))[2].detach().reshape(t.shape)

    def fisher(self, t: Tensor) -> Tensor:
        """Return the Hessian of log Z, float64 (..., d, d), at parameters (..., d).

        Raises:
            ValueError: a parameter is outside of the box.

        """
        t = check_at(t, self.low, self.high)
        return hessian(self.potential, t.reshape(-1, self.dim)).reshape(*t.shape, self.dim)


@final
@dataclass(frozen=True, eq=False)
class MetricFamily(EstimatedFamily):
    """A family of which the Fisher metric is known, and no potential.

    Attributes:
        low: see `EstimatedFamily`.
        high: see `EstimatedFamily`.
        field: g, (N, d) -> (N, d, d).
        nodes: parameters (G, d) at which g was estimated by itself; empty where it was not.
        at_nodes: these estimates, (G, d, d).

    """

    field: Map
    nodes: Tensor
    at_nodes: Tensor

    @property
    def metric(self) -> MetricField:
        """The smooth field of matrices."""
        return MetricField(self.field, self.dim)


class FisherEstimator(ABC):
    """Abstract estimator of the Fisher metric of a family from samples."""

    @abstractmethod
    def fit(self, samples: FamilySamples) -> EstimatedFamily:
        """Return what is estimated of the family that the samples are of; deterministic.

        Raises:
            ValueError: the samples do not allow it.

        """


class _Carried:
    """y -> J^T g(t(y)) J, (N, d) -> (N, d, d)."""

    def __init__(self, of: RiemannianMetric, to: Map) -> None:
        self.of, self.to = of, to

    def __call__(self, y: Tensor) -> Tensor:
        """Return the matrices."""
        j = propagate(self.to, y, torch.eye(y.shape[1], dtype=y.dtype, device=y.device), 1).j.movedim(0, 1)
        return j @ self.of.gram(self.to(y), wide=False) @ j.mT


def carried(family: EstimatedFamily, to: Map, low: Any, high: Any) -> MetricFamily:
    """Return a family in other coordinates, such as temperature and field, its metric carried over by the Jacobian.

    Args:
        family: in the coordinates that it was estimated in.
        to: these as a function of the others, (N, d) -> (N, d), each row by itself; differentiable.
        low: least values of the others, (d,).
        high: greatest values of the others, (d,).

    Raises:
        ValueError: the box leaves that of the family, or its image is not finite.

    """
    lower, upper = (torch.as_tensor(end, dtype=torch.float64) for end in (low, high))
    check_at(to(box_grid(lower, upper, 9)), family.low, family.high)
    none = torch.empty(0, len(lower), dtype=torch.float64)
    return MetricFamily(lower, upper, _Carried(family.metric, to), none, none[..., None])
