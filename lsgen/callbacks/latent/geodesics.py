"""Geodesics between encoded observations, compared with straight and spherical paths.

The metric is that of the subspace of the active axes, the others held at their mean over the probes: a collapsed
axis makes the metric singular, and no geodesic equation is left to solve. A geodesic that did not converge is drawn
dashed, is labelled so, and is in none of the quantiles; NAME/not_finite counts them. Opposite codes have no spherical
path: they are joined by the straight one, which is labelled so.

While a model trains, a few pairs are joined when training ends; `lsgen geometry RUN` joins more of them, from several
starts.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.rank_zero import rank_zero_info
from torch import Tensor

from lsgen import viz
from lsgen.callbacks.base import LatentCallback, Turns
from lsgen.callbacks.latent.measures import (
    ActiveSubspace,
    Plane,
    active_subspace,
    along_curves,
    geodesic_scalars,
    quantiles,
    searched_axes,
)
from lsgen.callbacks.latent.options import Decoding, GeodesicSearch, PlaneGrid
from lsgen.callbacks.latent.probe_codes import ProbeCodes, as_means, axis_name, encode_probes, interpolated, means
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.callbacks.rendering.drawings import drawing_of
from lsgen.callbacks.rendering.sounds import write_sounds
from lsgen.geometry import Immersion, immersion, log_volume
from lsgen.geometry.geodesics.starts import manifold_paths
from lsgen.latent import EncodableLatentSpace, Euclidean, LatentSpace, Manifold, great_circles, paths
from lsgen.latent.manifolds.supports import bounded

__all__ = ["NOT_CONVERGED", "LatentGeodesics", "unsuited"]

NOT_CONVERGED = "geodesic, not converged"
OPPOSITE = "spherical, straight"
_SHOWN_PROFILES = 4


class LatentGeodesics(LatentCallback):
    """Joins pairs of codes by geodesics, and compares them with straight and spherical paths.

    Codes on a sphere, a torus or the Poincare ball have geodesics there, which are compared with those of the manifold
    itself. Where codes are bounded or cannot move, or more axes are active than `max_axes`, nothing is computed, and
    that is said when training starts.

    Args:
        every_n_steps: generator steps between turns; without a cadence it fires at the end only.
        every_n_epochs: see `LatentCallback`.
        kind: which immersion, see `lsgen.geometry.immersion`.
        kl_threshold: mean KL in nats above which an axis counts as active.
        pairs: pairs of codes that are joined, those that `LatentTraversal` interpolates first.
        points: points of each curve, all of which are decoded.
        plane: how geodesics over a plane are drawn; None for no such figure.
        search: how geodesics are searched for.
        decoding: how codes are decoded and shown.
        turns: see `LatentCallback`.

    Raises:
        ValueError: a number is out of its range, or it would never fire.
        TypeError: the likelihood has no immersion of this kind.

    """

    family: ClassVar[str] = "geodesic"
    pictures: ClassVar[bool] = True
    default_steps: ClassVar[int | None] = None

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        kind: Literal["fisher", "euclidean", "expected"] = "fisher",
        kl_threshold: float = 0.1,
        pairs: int = 3,
        points: int = 11,
        plane: PlaneGrid | None = None,
        search: GeodesicSearch = GeodesicSearch(),
        decoding: Decoding = Decoding(),
        turns: Turns = Turns(),
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns)
        self.at_least(1, pairs=pairs, chunk_size=decoding.chunk_size)
        self.at_least(2, plane_points=None if plane is None else plane.points)
        self.at_least(3, points=points)
        if plane is not None and not plane.sigmas > 0:
            raise ValueError(f"LatentGeodesics expected sigmas of the plane > 0, got {plane.sigmas}")
        search.check(self, kl_threshold)
        self.kind, self.kl_threshold, self.pairs, self.points = kind, kl_threshold, pairs, points
        self.plane, self.search, self.decoding = plane, search, decoding

    @property
    def wanted(self) -> int:
        """Enough observations for the mean KL and the pairs."""
        return max(self.search.kl_probes, 2 * self.pairs)

    def check(self, pl_module: LightningModule) -> LatentSpace:
        """Refuse a latent space without the immersion asked for, and report which measurements are left out."""
        space = super().check(pl_module)
        immersion(space, self.kind)
        if reason := unsuited(space):
            rank_zero_info(f"LatentGeodesics leaves geodesics out: {reason}.")
        return space

    def render(self, space: LatentSpace, probe: Probe | None, sink: Sink) -> None:
        """Find the geodesics, draw and log them."""
        known, im = encode_probes(space, probe, self.wanted), immersion(space, self.kind)
        axes = searched_axes(space, known, self.kl_threshold)
        pairs = min(self.pairs, len(known.z) // 2)
        if unsuited(space) or not pairs or not 0 < len(axes) <= (self.search.max_axes or len(axes)):
            sink.scalars({"geodesic/pairs": 0})
            return
        sub, shown = active_subspace(im, known, axes), as_means(space, probe)
        self._interpolate(_Paths(self, space, shown, known, sub, pairs), sink)
        if self.plane is not None and space.dim > 1 and isinstance(space.manifold, Euclidean):
            self._over_plane(self.plane, space, known, im, pairs, sink)

    def _interpolate(self, joined: _Paths, sink: Sink) -> None:
        sink.image("interpolation/geodesic", joined.images())
        write_sounds(sink, "interpolation/sound/geodesic", self.data_module, joined.decoded[len(joined.codes) - 1])
        sink.image("interpolation/speed", joined.profiles())
        sink.scalars(joined.scalars())
        sink.arrays("geodesic/measurements", **{name: x.cpu().numpy() for name, x in joined.arrays().items()})

    def _over_plane(
        self, grid: PlaneGrid, space: LatentSpace, known: ProbeCodes, im: Immersion, pairs: int, sink: Sink
    ) -> None:
        plane = Plane.of(space, known, grid.sigmas, grid.points)
        surface, places = im.restrict(plane.origin, plane.basis), plane.coordinates(known.z)
        within = places[(places.abs() <= grid.sigmas).all(-1)]
        count = min(pairs, len(within) // 2)
        volume = log_volume(surface, plane.grid()).cpu().numpy()
        lines: dict[str, list[Any]] = {}
        if count:
            start, end = within[: 2 * count].unflatten(0, (count, 2)).unbind(1)
            found = self.search.join(surface, within, start, end, self.points)
            lines = {"straight": list(torch.stack([start, end], 1).cpu().numpy())}
            for name, chosen in (("geodesic", found.converged), (NOT_CONVERGED, ~found.converged)):
                if bool(chosen.any()):
                    lines[name] = list(found.points[chosen].cpu().numpy())
        drawn = viz.plane_maps(
            {"log-volume": volume},
            (-grid.sigmas, grid.sigmas),
            (axis_name(known, plane.axes[0]) + ", in prior σ", axis_name(known, plane.axes[1]) + ", in prior σ"),
            "Geodesics of the surface",
            points=within[: 2 * count].cpu().numpy(),
            paths=lines,
            dashed=[NOT_CONVERGED],
        )
        sink.image("geodesic/plane", drawn)


class _Paths:
    """The paths of one turn: straight, spherical and geodesic between the same codes."""

    def __init__(
        self,
        of: LatentGeodesics,
        space: LatentSpace,
        probe: Probe | None,
        known: ProbeCodes,
        sub: ActiveSubspace,
        pairs: int,
    ) -> None:
        self.of, self.space, self.sub = of, space, sub
        self.x = probe.x[: 2 * pairs] if probe is not None and isinstance(space, EncodableLatentSpace) else None
        self.shown = None if probe is None else probe.x
        a = sub.inside(known.z)
        start, end = a[: 2 * pairs].unflatten(0, (pairs, 2)).unbind(1)
        self.geodesic = of.search.join(sub.im, a, start, end, of.points)
        z, w = sub.whole(start), sub.whole(end)
        self.opposite = great_circles.opposite(z, w).tolist()
        whole = immersion(space, of.kind)
        self.codes = _other_paths(space.manifold, z, w, of.points)
        self.known = {name: along_curves(whole, path) for name, path in self.codes.items()}
        self.codes["geodesic"] = sub.whole(self.geodesic.points)
        self.known["geodesic"] = along_curves(sub.im, self.geodesic.points)

    def name(self, path: str, pair: int) -> str:
        if path == "spherical" and self.opposite[pair]:
            return OPPOSITE
        converged = path != "geodesic" or bool(self.geodesic.converged[pair])
        return path if converged else NOT_CONVERGED

    def images(self) -> viz.Pixels:
        """Return one block of three rows a pair: the decoded paths, with their lengths."""
        lengths = {name: found["length"].tolist() for name, found in self.known.items()}
        pairs = len(self.geodesic.length)
        bounds = self.geodesic.lower_bound.tolist()
        rows = [f"{self.name(path, i)}  {lengths[path][i]:.4g}" for i in range(pairs) for path in self.codes]
        for i, bound in enumerate(bounds):
            last = (i + 1) * len(self.codes) - 1  # the row of the geodesic
            rows[last] += f", at least {bound:.4g}" if np.isfinite(bound) else ""
        ends = None if self.x is None else self.x.unflatten(0, (pairs, 2)).repeat_interleave(len(self.codes), 0)
        axes = "" if len(self.sub.axes) == self.space.dim else f" over the {len(self.sub.axes)} active axes"
        title = f"{'Three' if len(self.codes) == 3 else 'Two'} paths{axes}, and their lengths"
        draw = drawing_of(self.space, self.decoded if self.shown is None else self.shown, self.of.decoding.bounds)
        return interpolated(draw, self.decoded, ends, title, rows)

    @cached_property
    def decoded(self) -> Tensor:
        """What the codes of all paths are decoded to, (P K, N, *shape), the K paths of one pair together."""
        z = torch.stack(list(self.codes.values()), 1).flatten(0, 1)
        return means(self.space, z, self.of.decoding.chunk_size)

    def profiles(self) -> viz.Pixels:
        count, n = min(_SHOWN_PROFILES, len(self.geodesic.length)), self.of.points - 1
        t = (np.arange(n) + 0.5) / n
        panels = {
            f"pair {i + 1}": {self.name(path, i): (t, x["speed"][i].cpu().numpy()) for path, x in self.known.items()}
            for i in range(count)
        }
        return viz.profiles(panels, "Speed along the paths", "t", "length per unit of t", [NOT_CONVERGED])

    def scalars(self) -> dict[str, float]:
        logged = geodesic_scalars("geodesic", self.geodesic)
        least = torch.where(self.geodesic.converged, self.geodesic.length, torch.nan)
        for name in self.codes.keys() - {"geodesic"}:
            logged |= quantiles(f"geodesic/{name}_ratio", self.known[name]["length"] / least)
        return logged

    def arrays(self) -> dict[str, Tensor]:
        fields = {name: value for name, value in self.geodesic._asdict().items() if isinstance(value, Tensor)}
        measured = {f"{name}_{key}": x for name, found in self.known.items() for key, x in found.items()}
        return {**fields, **measured, "z": self.codes["geodesic"], "axes": self.sub.axes}


def unsuited(space: LatentSpace) -> str:
    """Return the reason why geodesics of the decoder do not suit a space; empty if they do."""
    if not bounded(space.manifold):
        return ""
    return f"codes live on {space.manifold}, which geodesics of the decoder leave"


def _other_paths(manifold: Manifold, start: Tensor, end: Tensor, points: int) -> dict[str, Tensor]:
    """Return the paths (P, N, d) that geodesics are compared with, by name."""
    if isinstance(manifold, Euclidean):
        return {"linear": paths.linear(start, end, points), "spherical": paths.slerp(start, end, points)}
    return {"intrinsic": manifold_paths(manifold, start, end, points)[0]}
