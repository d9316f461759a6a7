"""Metric and curvature of the latent space while it is learnt.

They are measured at the same places every time: at codes of fixed observations (fixed draws from the prior if there is
no encoder), and over one plane of z. Quantiles are those of the finite values over these places; NAME/not_finite counts
the others.

Collapsed axes make the metric nearly singular, and curvature divides by it: hence the active subspace, in which
the other axes are held at their mean. Where codes and data have equal dimensions, as in a diffusion model, the metric
is flat for any weights: `curvature/flat` is 1, and what rounding leaves of its curvature is not logged. A piecewise
linear decoder has no second derivative but in its kinks, which no sample point meets: its curvature is that of the
likelihood alone, and zero almost everywhere for a Gaussian of fixed width; titles say so. Where the decoder has affine
logits of one categorical variable, as that of word vectors has, metric and curvature are in closed form, and the scalar
curvature of many axes is computed too, in double precision at up to four codes. Distances are Fisher-Rao
distances in closed form, or chords of the flat space where the immersion is another than the Fisher one.
"""

from __future__ import annotations

from math import prod
from typing import ClassVar, Literal

import numpy as np
import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.rank_zero import rank_zero_info
from torch import Tensor

from lsgen import viz
from lsgen.callbacks.base import LatentCallback, Turns, Which
from lsgen.callbacks.latent.measures import (
    KnownMetric,
    Plane,
    active_axes,
    active_subspace,
    at_probes,
    on_active_axes,
    over_plane,
    path_lengths,
    plane_eigenfunctions,
    quantiles,
)
from lsgen.callbacks.latent.options import GeometryDetail
from lsgen.callbacks.latent.probe_codes import ProbeCodes, axis_name, encode_probes
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.geometry import immersion, scalar_curvature
from lsgen.geometry.curvature import fills_flat_space
from lsgen.geometry.information import fisher_metric
from lsgen.geometry.jets import kinks
from lsgen.latent import Euclidean, LatentSpace

__all__ = ["LatentGeometry"]

_MOST_EIGENVALUES, _EIGENFUNCTIONS, _CLOSED = 64, 3, 4
_NAMES = {
    "fisher": "pulled-back Fisher-Rao metric",
    "euclidean": "pulled-back Euclidean metric",
    "expected": "expected metric",
}


class LatentGeometry(LatentCallback):
    """Measures metric and curvature of the latent space at fixed places.

    Args:
        every_n_steps: see `LatentCallback`.
        every_n_epochs: see `LatentCallback`.
        kind: which immersion, see `lsgen.geometry.immersion`.
        n: codes at which metric and curvature are measured.
        kl_threshold: mean KL in nats above which an axis counts as active.
        plane_points: points along each side of the plane.
        sigmas: half the side of the plane, in standard deviations of the prior.
        detail: how finely, and over what, is measured.
        turns: see `LatentCallback`.
        space: see `LatentCallback`.

    Raises:
        ValueError: a number is out of its range.
        TypeError: the likelihood has no immersion of this kind.

    """

    family: ClassVar[str] = "geometry"

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        kind: Literal["fisher", "euclidean", "expected"] = "fisher",
        n: int = 16,
        kl_threshold: float = 0.1,
        plane_points: int = 20,
        sigmas: float = 3.0,
        detail: GeometryDetail = GeometryDetail(),
        turns: Turns = Turns(),
        space: Which = "z",
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns, space)
        self.at_least(1, n=n, pairs=detail.pairs, chunk_size=detail.chunk_size)
        self.at_least(2, max_curvature_axes=detail.max_curvature_axes, plane_points=plane_points)
        self.at_least(2, intervals=detail.intervals, kl_probes=detail.kl_probes)
        if not sigmas > 0 or not kl_threshold >= 0:
            raise ValueError(
                f"LatentGeometry expected sigmas > 0 and kl_threshold >= 0, got {sigmas} and {kl_threshold}"
            )
        self.kind, self.n, self.kl_threshold = kind, n, kl_threshold
        self.plane_points, self.sigmas, self.detail = plane_points, sigmas, detail

    @property
    def wanted(self) -> int:
        """Enough observations for the mean KL, the places and the segments."""
        return max(self.detail.kl_probes, self.n, 2 * self.detail.pairs)

    def check(self, pl_module: LightningModule) -> LatentSpace:
        """Refuse a latent space without the immersion asked for, and report which measurements are left out."""
        space = super().check(pl_module)
        immersion(space, self.kind)
        if not isinstance(space.manifold, Euclidean):
            rank_zero_info(
                f"LatentGeometry leaves out the plane, straight paths and sub-spaces of active axes: codes live on "
                f"{space.manifold}, which straight steps leave."
            )
        if prod(space.likelihood.shape) == space.dim:
            rank_zero_info(
                f"LatentGeometry leaves out curvature but of slices: {space.dim} dimensions of codes are mapped to as "
                "many of data, so that the metric is flat, and geodesics decode to straight lines, for any weights."
            )
        elif space.dim > self.detail.max_curvature_axes and not self._metric(space).closed_form:
            rank_zero_info(
                f"LatentGeometry leaves out the scalar curvature of all {space.dim} axes, and of the active ones "
                f"where they are more than max_curvature_axes = {self.detail.max_curvature_axes}; that of the plane is "
                "computed."
            )
        return space

    def render(self, space: LatentSpace, probe: Probe | None, sink: Sink) -> None:
        """Measure and log."""
        known, im = encode_probes(space, probe, self.wanted), self._metric(space)
        filled = fills_flat_space(im, known.z)
        if im.closed_form:
            known = ProbeCodes(known.z.double(), known.draws.double(), known.covariance.double(), known.kl)
        active = active_axes(known, self.kl_threshold)
        found = self._measure(space, im, known, active, not filled)
        flat = bool(kinks(im.local, im.lifted(known.z[:1])))
        about = {"curvature/piecewise_linear": int(flat), "curvature/flat": int(filled)}
        sink.scalars(_scalars(found) | {"geometry/active_axes": len(active), **about})
        values = found["eigenvalues"]
        sink.histogram("geometry/eigenvalues", values[values > 0].log10().cpu())
        sink.image("geometry/spectrum", _spectrum(found, self.kind))
        arrays = {"z": known.z[: self.n], "covariance": known.covariance, "active": active, **found}
        if known.kl is not None:
            arrays["kl"] = known.kl
        if space.dim > 1 and isinstance(space.manifold, Euclidean):
            plane = Plane.of(space, known, self.sigmas, self.plane_points)
            curved = not (space.dim == 2 and filled)
            surface = over_plane(im, plane, curved, self.detail.chunk_size)
            surface |= plane_eigenfunctions(im, plane, _EIGENFUNCTIONS, self.detail.chunk_size)
            tones = surface["plane_eigenvalues"].tolist()
            sink.scalars({f"geometry/laplacian/{i:02d}": x for i, x in enumerate(tones, 1) if np.isfinite(x)})
            if curved:
                sink.scalars(quantiles("curvature/plane", surface["plane_curvature"]))
            points = plane.coordinates(known.z)
            sink.image("geometry/plane", _maps(surface, plane, known, points, probe, flat))
            if np.isfinite(tones).all():
                sink.image("geometry/eigenfunctions", _eigenfunctions(surface, plane, known, points, probe))
            arrays |= {"plane_values": plane.values, "plane_axes": torch.tensor(plane.axes), "plane_points": points}
            arrays |= {"plane_origin": plane.origin, "plane_basis": plane.basis, **surface}
        sink.arrays("geometry/measurements", **{name: array.cpu().numpy() for name, array in arrays.items()})

    def _metric(self, space: LatentSpace) -> KnownMetric:
        return fisher_metric(space) if self.kind == "fisher" else immersion(space, self.kind)

    def _measure(
        self, space: LatentSpace, im: KnownMetric, known: ProbeCodes, active: Tensor, curved: bool
    ) -> dict[str, Tensor]:
        z, few = known.z[: self.n], space.dim <= self.detail.max_curvature_axes
        found = at_probes(im, z, known.covariance, curved and few, self.detail.chunk_size)
        if curved and not few and im.closed_form:
            count = max(1, min(_CLOSED, int(_CLOSED * (64 / space.dim) ** 3)))
            found["curvature"] = scalar_curvature(im, z[:count], self.detail.chunk_size)
        if len(active) == space.dim:
            names = {"log_volume": "log_volume_active", "curvature": "curvature_active"}
            found |= {alias: found[name] for name, alias in names.items() if name in found}
        if not isinstance(space.manifold, Euclidean):
            return found
        if 0 < len(active) < space.dim:
            curved = 2 <= len(active) <= self.detail.max_curvature_axes
            found |= on_active_axes(active_subspace(im, known, active), z, curved, self.detail.chunk_size)
        pairs = min(self.detail.pairs, len(known.z) // 2)
        if pairs:
            start, end = known.z[: 2 * pairs].unflatten(0, (pairs, 2)).unbind(1)
            found |= path_lengths(im, start, end, self.detail.intervals)
        return found


def _scalars(found: dict[str, Tensor]) -> dict[str, float]:
    """Return the scalars that are logged of the measurements."""
    logged = quantiles("geometry/rank", found["rank"])
    logged |= quantiles("geometry/log10_condition_number", found["condition_number"].log10())
    names = {
        "log_volume": "geometry/log_volume",
        "log_volume_active": "geometry/log_volume_active",
        "curvature": "curvature/scalar",
        "curvature_active": "curvature/active",
    }
    for name, key in names.items():
        if name in found:
            logged |= quantiles(key, found[name])
    if "path_length" in found:
        logged |= quantiles("geometry/path_ratio", found["path_length"] / found["path_distance"])
    for name, key in (("eigenvalues", "eigenvalue"), ("eigenvalues_whitened", "eigenvalue_cov")):
        medians = found[name].nanmedian(0).values.tolist()[:_MOST_EIGENVALUES]
        logged |= {f"geometry/{key}/{i:02d}": value for i, value in enumerate(medians) if np.isfinite(value)}
    return logged


def _spectrum(found: dict[str, Tensor], kind: str) -> viz.Pixels:
    panels = {
        "of G, in the coordinates of z (they depend on these)": found["eigenvalues"],
        "of G·Cov(z) (free of linear coordinates)": found["eigenvalues_whitened"],
    }
    drawn = {name: (v.cpu().numpy(), v.nanmedian(0).values.cpu().numpy()) for name, v in panels.items()}
    return viz.spectra(drawn, f"Eigenvalues of the {_NAMES[kind]} at {len(found['rank'])} codes")


def _maps(
    surface: dict[str, Tensor], plane: Plane, known: ProbeCodes, points: Tensor, probe: Probe | None, flat: bool
) -> viz.Pixels:
    curvature = "scalar curvature" + (" (piecewise linear: kinks unseen)" if flat else "")
    maps = {"log-volume": surface["plane_log_volume"]}
    if "plane_curvature" in surface:
        maps[curvature] = surface["plane_curvature"]
    title = "The surface that the plane of the two most active axes becomes"
    return _over_plane(maps, [curvature], title, plane, known, points, probe)


def _eigenfunctions(
    surface: dict[str, Tensor], plane: Plane, known: ProbeCodes, points: Tensor, probe: Probe | None
) -> viz.Pixels:
    found = zip(surface["plane_eigenvalues"].tolist(), surface["plane_eigenfunctions"], strict=True)
    maps = {f"φ{i}, λ = {value:.3g}": values for i, (value, values) in enumerate(found, 1)}
    title = "Lowest eigenfunctions of the Laplace-Beltrami operator on the surface of the plane"
    return _over_plane(maps, list(maps), title, plane, known, points, probe)


def _over_plane(
    maps: dict[str, Tensor],
    diverging: list[str],
    title: str,
    plane: Plane,
    known: ProbeCodes,
    points: Tensor,
    probe: Probe | None,
) -> viz.Pixels:
    return viz.plane_maps(
        {name: values.cpu().numpy() for name, values in maps.items()},
        (float(plane.values[0]), float(plane.values[-1])),
        (axis_name(known, plane.axes[0]) + ", in prior σ", axis_name(known, plane.axes[1]) + ", in prior σ"),
        title,
        diverging=diverging,
        points=points.cpu().numpy() if known.kl is not None or probe is not None else None,
        groups=None if probe is None or probe.label is None else probe.label[: len(points)].cpu().numpy(),
    )
