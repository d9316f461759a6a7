"""Groups of options of callbacks that examine the latent space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from lsgen.callbacks.engine.observer import Observer
from lsgen.geometry import RiemannianMetric, geodesic
from lsgen.geometry.geodesics import CodeGraph, Geodesic

__all__ = [
    "Decoding",
    "GeodesicSearch",
    "GeometryDetail",
    "InversionSearch",
    "MeanSets",
    "PlaneGrid",
    "RetrievedItems",
    "TraversalFigures",
]


@dataclass(frozen=True)
class Decoding:
    """Options of decoding and showing codes.

    Attributes:
        value_range: data values shown as black and white; taken from the data if None.
        chunk_size: codes decoded at a time.

    """

    value_range: tuple[float, float] | None = None
    chunk_size: int = 512

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The range of values as two floats."""
        return None if self.value_range is None else (float(self.value_range[0]), float(self.value_range[1]))


@dataclass(frozen=True)
class RetrievedItems:
    """How places in a space of items, or without decoder, are told by what is near them.

    Attributes:
        neighbours: items shown at every place, the nearest ones.
        gallery: training observations that are retrieved in a space with an encoder alone.
        distance: what is near: the distance of the manifold, or "cosine".
        max_axes: axes shown, those on which the items differ most.
        items: names of items at which paths start; then some of the thousand most frequent, or first ones, at random.

    """

    neighbours: int = 3
    gallery: int = 2000
    distance: Literal["manifold", "cosine"] = "manifold"
    max_axes: int = 8
    items: tuple[str, ...] = ()


@dataclass(frozen=True)
class TraversalFigures:
    """Options of the figures of a traversal.

    Attributes:
        grid_anchors: anchors of the still grid, of those that there are.
        frames: values on each axis of the animation, which runs through them to and fro.
        fps: frames per second of the animation.
        max_axes: axes shown, the most active ones.
        max_values: values of a discrete variable shown, the first ones.
        level_axes: axes of every level of a hierarchy, the most active ones.
        level_draws: draws of the prior that complete the first levels of an anchor.
        kl_probes: observations over which the KL is averaged that sorts the axes.
        pairs: pairs of observations that are interpolated.
        path_points: points of an interpolation.
        plane_points: points on each side of the plane.
        heard_axes: axes that are written as sound, of data that can be heard, the most active ones.
        decoding: how codes are decoded and shown.
        retrieval: how codes are shown that are not decoded.

    """

    grid_anchors: int = 2
    frames: int = 15
    fps: float = 12.0
    max_axes: int = 32
    max_values: int = 32
    level_axes: int = 3
    level_draws: int = 6
    kl_probes: int = 256
    pairs: int = 6
    path_points: int = 8
    plane_points: int = 12
    heard_axes: int = 6
    decoding: Decoding = Decoding()
    retrieval: RetrievedItems = RetrievedItems()


@dataclass(frozen=True)
class GeometryDetail:
    """Sizes of the measurements of metric and curvature.

    Attributes:
        max_curvature_axes: most axes for which a scalar curvature is computed; its cost grows with their square.
        pairs: straight segments that are measured.
        intervals: intervals into which a segment is divided.
        kl_probes: observations over which KL and covariance are averaged.
        chunk_size: codes worked on at a time.

    """

    max_curvature_axes: int = 16
    pairs: int = 8
    intervals: int = 16
    kl_probes: int = 256
    chunk_size: int = 32


@dataclass(frozen=True)
class GeodesicSearch:
    """Options of the search for geodesics.

    Attributes:
        max_axes: most active axes for which geodesics are computed; None for any number.
        kl_probes: observations over which the KL is averaged that tells active axes.
        starts: see `lsgen.geometry.geodesics.boundary_value`.
        neighbours: of each code in the graph whose shortest paths are started from; None for straight starts.
        max_iterations: see `lsgen.geometry.geodesics.boundary_value`.
        tol: bound on the residual of a converged geodesic.

    """

    max_axes: int | None = 16
    kl_probes: int = 256
    starts: int = 1
    neighbours: int | None = None
    max_iterations: int = 32
    tol: float = 1e-2

    def check(self, callback: Observer, kl_threshold: float) -> None:
        """Refuse options out of range, and a threshold of active axes below 0, in the name of a callback.

        Raises:
            ValueError: a number is out of its range.

        """
        callback.at_least(1, starts=self.starts, max_iterations=self.max_iterations)
        callback.at_least(1, max_axes=self.max_axes, neighbours=self.neighbours)
        callback.at_least(2, kl_probes=self.kl_probes)
        if not (self.tol > 0 and kl_threshold >= 0):
            name = type(callback).__name__
            raise ValueError(f"{name} expected tol > 0 and kl_threshold >= 0, got {self.tol} and {kl_threshold}")

    def join(self, im: RiemannianMetric, codes: Tensor, start: Tensor, end: Tensor, points: int) -> Geodesic:
        """Return geodesics of `points` points from start (P, k) to end (P, k), of a metric with codes (N, k)."""
        near = None if self.neighbours is None else min(self.neighbours, len(codes) - 1)
        graph = CodeGraph(im, codes, near) if near else None
        options: Any = {"starts": self.starts, "graph": graph, "max_iterations": self.max_iterations, "tol": self.tol}
        return geodesic(im, start, end, points, **options)


@dataclass(frozen=True)
class InversionSearch:
    """Options of the search for the codes of observations, see `lsgen.models.gan.invert`.

    Attributes:
        steps: of gradient descent.
        restarts: starts drawn from the prior.
        lr: learning rate.
        prior_weight: weight of the prior's density.

    """

    steps: int = 300
    restarts: int = 4
    lr: float = 0.05
    prior_weight: float = 0.0


@dataclass(frozen=True)
class PlaneGrid:
    """A grid over the plane of the two most active axes.

    Attributes:
        points: points along each side.
        sigmas: half the side, in standard deviations of the prior.

    """

    points: int = 20
    sigmas: float = 3.0


@dataclass(frozen=True)
class MeanSets:
    """Sets of observations whose codes are averaged.

    Attributes:
        most: most sets; 0 for none.
        members: observations in each set.

    """

    most: int = 3
    members: int = 6
