"""Traversals, interpolations and planes of the latent space while it is learnt.

Codes that the manifold does not have are magenta, with a warning: antipodes have no geodesic (the row says so), and
traversals may leave what floats of this precision can represent. In flat space, opposite codes have no spherical path
either: they are joined by the straight one, and the row says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor

from lsgen import viz
from lsgen.callbacks.base import LatentCallback, Turns, Which
from lsgen.callbacks.latent.choices import by_activity, every_value
from lsgen.callbacks.latent.levels import active_axes, completed
from lsgen.callbacks.latent.options import TraversalFigures
from lsgen.callbacks.latent.probe_codes import (
    ProbeCodes,
    as_means,
    axis_name,
    encode_probes,
    in_sigmas,
    interpolated,
    means,
    probe_table,
)
from lsgen.callbacks.latent.retrieved import LineOptions, RetrievedView, is_retrieved
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.callbacks.rendering.drawings import drawing_of
from lsgen.callbacks.rendering.sounds import write_sounds
from lsgen.data import Audible
from lsgen.latent import Cube, EncodableLatentSpace, Euclidean, LatentSpace, Manifold, Space, great_circles, paths
from lsgen.latent.manifolds.manifold import Choice
from lsgen.latent.manifolds.supports import bounded
from lsgen.models.gan.directions.linear import Directions
from lsgen.viz import Pixels

__all__ = ["LatentTraversal"]


class LatentTraversal(LatentCallback):
    """Draws traversals of each latent axis around fixed anchors, decoded or told by what is near.

    Anchors are the encodings of fixed observations, or fixed draws from the prior for a space without encoder.
    Axes are sorted by their KL averaged over the probes; without a KL they keep their order. Values on an axis
    are equidistant in standard deviations of the prior about its mean, the quantiles of the prior that stand there for
    a normal variable where coordinates are bounded (see `Prior.levels`), or quantiles of the aggregate posterior.

    Of data that can be heard, the most active axes of the first anchor and the paths of the first pair are written as
    sound, one file an axis and one a path, its steps one after another.

    Where codes are those of items, or nothing decodes, places on axes and paths are told by retrieval: by the items, or
    the training observations, that are nearest to them, with their distances. Axes are those on which items differ
    most, paths the geodesics that codes have by construction; there is no plane and no animation.

    Args:
        every_n_steps: see `LatentCallback`.
        every_n_epochs: see `LatentCallback`.
        anchors: anchors in the animation.
        points: values on each axis of the still grid.
        sigmas: greatest value, in standard deviations of the prior; 3 where neither this nor `quantile` is given.
        quantile: instead, the lower of the two extreme quantiles of the aggregate posterior, in (0, 1/2).
        directions: unit vectors to traverse beside the axes, such as `lsgen.models.gan.Directions`, or what finds them
            in a latent space, such as `lsgen.models.gan.sefa`; values are standard deviations of the prior along them.
        figures: what the figures show.
        turns: see `LatentCallback`.
        space: see `LatentCallback`.

    Raises:
        ValueError: a number is out of its range, or both `sigmas` and `quantile` are given.
        TypeError: quantiles of the aggregate posterior are asked of a space without encoder, or directions of one whose
            codes cannot move.

    """

    family: ClassVar[str] = "traversal"
    takes: ClassVar[type] = Space

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        anchors: int = 4,
        points: int = 9,
        sigmas: float | None = None,
        quantile: float | None = None,
        directions: Directions | Callable[[LatentSpace], Directions] | None = None,
        figures: TraversalFigures = TraversalFigures(),
        turns: Turns = Turns(),
        space: Which = "z",
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs, turns, space)
        self.at_least(1, anchors=anchors, grid_anchors=figures.grid_anchors, max_axes=figures.max_axes)
        self.at_least(1, level_axes=figures.level_axes, level_draws=figures.level_draws, max_values=figures.max_values)
        self.at_least(1, pairs=figures.pairs, kl_probes=figures.kl_probes, chunk_size=figures.decoding.chunk_size)
        self.at_least(2, points=points, frames=figures.frames)
        self.at_least(0, heard_axes=figures.heard_axes)
        self.at_least(2, path_points=figures.path_points, plane_points=figures.plane_points)
        near = figures.retrieval
        self.at_least(1, neighbours=near.neighbours, gallery=near.gallery, retrieved_axes=near.max_axes)
        if near.distance not in ("manifold", "cosine"):
            raise ValueError(f"LatentTraversal expected distance to be manifold or cosine, got {near.distance!r}")
        if sigmas is not None and quantile is not None:
            raise ValueError("LatentTraversal expected sigmas or quantile, got both")
        if quantile is not None and space != "z":
            raise ValueError(f"LatentTraversal expected sigmas in the space {space}, where no codes are, got quantile")
        if sigmas is not None and sigmas <= 0:
            raise ValueError(f"LatentTraversal expected sigmas > 0, in standard deviations of the prior, got {sigmas}")
        if quantile is not None and not 0 < quantile < 0.5:
            raise ValueError(f"LatentTraversal expected quantile in (0, 1/2), got {quantile}")
        self.anchors, self.points = anchors, points
        self.sigmas, self.quantile = 3.0 if sigmas is None else sigmas, quantile
        self.figures, self.decoding = figures, figures.decoding
        self.directions = directions
        self.needs_encoder = quantile is not None

    @property
    def wanted(self) -> int:
        """Enough observations for the mean KL, the anchors and the pairs."""
        return max(self.figures.kl_probes, self.anchors, 2 * self.figures.pairs)

    @property
    def gallery(self) -> int:
        """The training observations that are retrieved where nothing decodes."""
        return self.figures.retrieval.gallery

    def left_out(self, space: Any) -> str | None:
        """Return nothing: any space has axes, which are decoded or told by what is near."""
        return None

    def check(self, pl_module: LightningModule) -> Space:
        """Raise if directions are asked for on a discrete manifold."""
        space: Space = super().check(pl_module)
        if self.directions is not None:
            space.manifold.check_continuous()
        return space

    def render(self, space: Space, probe: Probe | None, sink: Sink) -> None:
        """Draw axes, animation, interpolations, plane and, where the space has levels or discrete variables, these."""
        if is_retrieved(space):
            lines = LineOptions(self.points, self.sigmas, self.quantile, self.directions, self.figures, self.seed)
            RetrievedView(lines, space, probe).draw(sink, _interpolations(space.manifold))
            return
        assert isinstance(space, LatentSpace)
        known = encode_probes(space, probe, self.wanted)
        view = _View(self, space, as_means(space, probe), known)
        sink.image("traversal/axes", view.axes())
        sink.animation("traversal/animation", view.animation(), self.figures.fps)
        if isinstance(self.data_module, Audible):
            for axis, x in view.heard_axes(self.figures.heard_axes):
                write_sounds(sink, f"traversal/sound/z{axis}", self.data_module, x)
        if space.dim > 1:
            sink.image("traversal/plane", view.plane())
        if len(space.level_sizes) > 1:
            sink.image("traversal/levels", view.levels_apart())
            sink.image("traversal/level_samples", view.levels_completed())
        if space.manifold.choices:
            sink.image("traversal/choices", view.choices())
        if len(known.z) > 1:
            start, end = known.z[: 2 * min(self.figures.pairs, len(known.z) // 2)].unflatten(0, (-1, 2)).unbind(1)
            for name, path in _interpolations(space.manifold):
                z = path(start, end, self.figures.path_points)
                x = view.means(z)
                sink.image(f"interpolation/{name}", view.interpolation(z, x, name))
                write_sounds(sink, f"interpolation/sound/{name}", self.data_module, x[0])
        if self.directions is not None:
            found = self.directions if isinstance(self.directions, Directions) else self.directions(space)
            sink.image("traversal/directions", view.directions(found))
            sink.arrays("traversal/directions", **found.arrays())
        _log_kl(known, sink)
        sink.codes("traversal/codes", probe_table(space, probe, known))


class _View:
    """The figures of one turn."""

    def __init__(self, of: LatentTraversal, space: LatentSpace, probe: Probe | None, known: ProbeCodes) -> None:
        self.of, self.space, self.known = of, space, known
        self.anchors = known.z[: of.anchors]
        self.axis_list = known.order[: of.figures.max_axes]
        prior = space.prior()
        self.mean, self.scale = prior.mean, prior.stddev
        self.x = probe.x if probe is not None and isinstance(space, EncodableLatentSpace) else None
        shown = probe.x if probe is not None else means(space, self.anchors, of.decoding.chunk_size)
        self.draw = drawing_of(space, shown, of.decoding.bounds)

    def axes(self) -> Pixels:
        names = [axis_name(self.known, int(axis)) for axis in self.axis_list]
        return self._axes(self.axis_list, names, self.title("Axes"))

    def _axes(self, axes: Tensor, names: list[str], title: str) -> Pixels:
        anchors = self.anchors[: self.of.figures.grid_anchors]
        levels, labels = self.levels(self.of.points)
        images = self.decoded(self.swept(anchors, levels, axes))
        blocks = np.concatenate([self.originals(anchors, len(axes)), images], axis=2)
        return self._side_by_side(blocks, names, labels, title)

    def _side_by_side(self, blocks: Pixels, rows: list[str], columns: list[str], title: str) -> Pixels:
        """Return one block (rows, columns + 1) an anchor, each with its original at the left."""
        gaps = [i * (len(columns) + 1) for i in range(1, len(blocks))]
        headings = [self.original_name, *columns] * len(blocks)
        return viz.grid(np.concatenate(list(blocks), axis=1), rows, headings, title, gaps)

    def levels_apart(self) -> Pixels:
        """Draw the most active axes of every level, the top one first; the other levels stay."""
        found = active_axes(self.known, self.space.level_sizes, self.of.figures.level_axes)
        names = [f"level {level}  {axis_name(self.known, axis)}" for level, axis in found]
        axes = torch.tensor([axis for _, axis in found], device=self.mean.device)
        return self._axes(axes, names, self._span(f"The {self.of.figures.level_axes} most active axes of every level"))

    def levels_completed(self) -> Pixels:
        """Draw what the prior makes of the first levels of every anchor."""
        anchors, sizes = self.anchors[: self.of.figures.grid_anchors], self.space.level_sizes
        noise = self.space.prior().sample((self.of.figures.level_draws,))
        images = self.decoded(completed(anchors, noise, sizes))
        blocks = np.concatenate([self.originals(anchors, len(sizes) + 1), images], axis=2)
        rows = ["no level kept", *(f"1 to {level} kept" for level in range(1, len(sizes) + 1))]
        title = "Levels of the anchor from the top down, the rest drawn from the prior"
        return self._side_by_side(blocks, rows, [""] * len(noise), title)

    def choices(self) -> Pixels:
        """Draw every value of every discrete variable, around the first anchor, the most active variables first."""
        figures, manifold = self.of.figures, self.space.manifold
        found = by_activity(manifold.choices, self.known.order, figures.max_axes)
        z, shown = every_value(manifold.onto(self.anchors[0]), found, figures.max_values)
        images = np.where(shown.numpy()[..., None, None, None], self.decoded(z), 255).astype(np.uint8)
        names = [_place(self.known, choice) for choice in found]
        total, most = len(manifold.choices), max(len(choice.values) for choice in found)
        rest = "" if len(found) == total else f", the first {len(found)} of {total}"
        cut = "" if most <= figures.max_values else f", the first {figures.max_values} of {most} values"
        title = f"Every value of every discrete variable{rest}{cut}, around the first anchor"
        return viz.grid(images, names, [str(number) for number in range(z.shape[1])], title)

    def animation(self) -> Pixels:
        levels, _ = self.levels(self.of.figures.frames)
        there = self.decoded(self.swept(self.anchors, levels, self.axis_list)).swapaxes(0, 2).swapaxes(1, 2)
        frames = np.concatenate([there, there[-2:0:-1]])
        originals = self.originals(self.anchors, 1)[None, :, 0]
        frames = np.concatenate([np.broadcast_to(originals, (len(frames), *originals.shape[1:])), frames], axis=2)
        names = [axis_name(self.known, int(axis), unit=False) for axis in self.axis_list]
        title = self.title("Axes and their KL in nats" if self.known.kl is not None else "Axes")
        return viz.animate(frames, None, [self.original_name, *names], title, gaps=[1])

    def plane(self) -> Pixels:
        across, down = self.known.order[:2]
        levels, labels = self.levels(self.of.figures.plane_points)
        flat = isinstance(self.space.manifold, Euclidean)
        origin = self.known.z.mean(0) if flat else self.known.z[0]
        rows = self.moved(origin, down, levels.flip(0))[0]
        z = self.moved(rows, across, levels)[:, 0]
        names = [axis_name(self.known, int(axis)) for axis in (across, down)]
        rest = "the other axes at their mean" if flat else "along geodesics from the first anchor"
        title = f"{names[0]} across, {names[1]} upwards, {rest}"
        return viz.grid(self.decoded(z), labels[::-1], labels, title)

    def directions(self, found: Directions) -> Pixels:
        on = found.on(self.space)
        anchors, t = self.anchors[: self.of.figures.grid_anchors], self.steps(self.of.points)
        images = np.concatenate([self.decoded(z) for z in on.traverse(anchors, t, self.scale)], axis=1)
        names = [f"{name}  {scale:.3g}" for name, scale in zip(found.names, found.scales.tolist(), strict=True)]
        gaps = [i * len(t) for i in range(1, len(anchors))]
        layers = "" if found.layers is None else f", layers {found.layers[0]} to {found.layers[1]}"
        title = f"Directions and their scales{layers}: ±{self.of.sigmas:g} prior σ"
        return viz.grid(images, names, [in_sigmas(v) for v in t.tolist()] * len(anchors), title, gaps)

    def steps(self, count: int) -> Tensor:
        """Return values (count,) in standard deviations of the prior."""
        return torch.linspace(-self.of.sigmas, self.of.sigmas, count, device=self.mean.device, dtype=self.mean.dtype)

    def heard_axes(self, most: int) -> Iterator[tuple[int, Tensor]]:
        """Yield up to `most` of the axes with what the first anchor becomes along them, (N, *shape)."""
        levels, _ = self.levels(self.of.points)
        for axis in self.axis_list[:most]:
            yield int(axis), self.means(self.moved(self.anchors[:1], axis, levels)[0, 0])

    def interpolation(self, z: Tensor, x: Tensor, name: str) -> Pixels:
        ends = None if self.x is None else self.x[: 2 * len(z)].unflatten(0, (len(z), 2))
        exists = torch.isfinite(z).flatten(1).all(1)
        self._warn_of_missing(exists, f"{name} interpolations")
        straight = great_circles.opposite(z[:, 0], z[:, -1]).tolist() if name == "spherical" else [False] * len(z)
        notes = [_note(*of, name) for of in zip(exists.tolist(), straight, strict=True)]
        title = f"{name.capitalize()} interpolation"
        return interpolated(self.draw, x, ends, title, notes if any(notes) else None)

    def levels(self, count: int) -> tuple[Tensor, list[str]]:
        """Return the values (count, d) that each axis takes, and their names."""
        quantile = self.of.quantile
        if quantile is None:
            t = self.steps(count)
            return self.space.prior.levels(t), [in_sigmas(value) for value in t.tolist()]
        t = torch.linspace(quantile, 1 - quantile, count, device=self.mean.device, dtype=self.mean.dtype)
        return torch.quantile(self.known.draws, t, dim=0), [f"{value:.2g}" for value in t.tolist()]

    def swept(self, anchors: Tensor, levels: Tensor, axes: Tensor) -> Tensor:
        """Return codes (A, K, N, d): each of K axes takes its N levels around each anchor."""
        return torch.cat([self.moved(anchors, axis, levels) for axis in axes], dim=1)

    def moved(self, z: Tensor, axis: Tensor, levels: Tensor) -> Tensor:
        """Return codes (B, 1, N, d): one axis at its levels; on a curved space, moved as far along its geodesic."""
        return self.space.manifold.traversal(z, axis[None], levels[:, axis])

    def decoded(self, z: Tensor) -> Pixels:
        self._warn_of_missing(torch.isfinite(z).all(-1), "codes of a traversal")
        return self.draw(self.means(z))

    def means(self, z: Tensor) -> Tensor:
        """Return what codes (B, d) are decoded to, (B, *shape)."""
        return means(self.space, z, self.of.decoding.chunk_size)

    def originals(self, anchors: Tensor, rows: int) -> Pixels:
        """Return the images of the anchors (A, rows, 1, H, W, 3): observations, or decoded codes if there are none."""
        x = self.means(anchors) if self.x is None else self.x[: len(anchors)]
        pixels = self.draw(x)[:, None, None]
        return np.broadcast_to(pixels, (len(pixels), rows, *pixels.shape[2:]))

    def _warn_of_missing(self, exists: Tensor, what: str) -> None:
        if not bool(exists.all()):
            rank_zero_warn(
                f"LatentTraversal: {int((~exists).sum())} of {exists.numel()} {what} do not exist on the "
                f"{type(self.space.manifold).__name__} in {str(self.mean.dtype)[6:]} and are drawn in magenta."
            )

    @property
    def original_name(self) -> str:
        return "anchor" if self.x is None else "input"

    def title(self, what: str) -> str:
        total = self.space.dim
        shown = "" if len(self.axis_list) == total else f", the first {len(self.axis_list)} of {total}"
        return self._span(what + shown)

    def _span(self, what: str) -> str:
        q = self.of.quantile
        span = (
            f"±{self.of.sigmas:g} prior σ" if q is None else f"quantiles {q:g} to {1 - q:g} of the aggregate posterior"
        )
        if q is None and bounded(self.space.manifold):
            span = f"{span}; quantiles of the prior where coordinates are bounded"
        return f"{what}: {span}"


def _place(known: ProbeCodes, choice: Choice) -> str:
    """Return the label of a discrete variable: its coordinate, or the first and the last of them."""
    width = choice.values.shape[1]
    return axis_name(known, choice.start) if width == 1 else f"z{choice.start} to z{choice.start + width - 1}"


def _note(exists: bool, straight: bool, name: str) -> str:
    """Return a remark on a path that differs from the title of its picture."""
    return f"no {name}" if not exists else "opposite, straight" if straight else ""


def _interpolations(manifold: Manifold) -> list[tuple[str, Callable[[Tensor, Tensor, int], Tensor]]]:
    """Return, by name, the kinds of paths between two codes that stay on the manifold."""
    if isinstance(manifold, Cube):
        return [("linear", paths.linear)]
    if isinstance(manifold, Euclidean):
        return [("linear", paths.linear), ("spherical", paths.slerp)]
    return [("geodesic", manifold.geodesic)]


def _log_kl(known: ProbeCodes, sink: Sink) -> None:
    if known.kl is None:
        return
    mean, spread = known.z.mean(0), known.z.std(0, correction=0)
    rows = torch.stack([known.kl, mean, spread], dim=1)[known.order].tolist()
    axes = known.order.tolist()
    columns = ["axis", "KL (nats)", "mean of z", "standard deviation of z"]
    sink.table("traversal/kl", columns, [[axis, *row] for axis, row in zip(axes, rows, strict=True)])
