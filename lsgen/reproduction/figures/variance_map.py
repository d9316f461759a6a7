"""The decoded standard deviation over a latent plane, with codes, geodesics and a locally adaptive mixture on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba_array
from matplotlib.figure import Figure
from torch import Tensor

from lsgen import viz
from lsgen.geometry import Immersion, geodesic, immersion, log_volume
from lsgen.geometry.statistics import land, land_log_density
from lsgen.reproduction.drawing import Results
from lsgen.reproduction.runs import TrainedRun
from lsgen.viz.style import INK, SERIES

__all__ = ["VarianceMap"]


@dataclass(frozen=True)
class VarianceMap:
    """Draws the mean over pixels of the log standard deviation over the latent plane, one panel an arm.

    On it lie codes of test observations, coloured by class, geodesics of the expected metric (solid) and straight lines
    (dashed) between some of them, and, of the arms in `densities`, contours of the density of a mixture of locally
    adaptive normal distributions with respect to the plane, at 1, 3 and 6 nats below its greatest value.

    Attributes:
        panels: arms whose first run is drawn, a panel each.
        densities: the arms with a mixture.
        n: test observations.
        lines: geodesics.
        points: of the plane's grid along each axis.
        fitted: codes that the mixture is fitted to.
        density_points: of the grid of the mixture's density along each axis.

    Reference: Arvanitidis, Hansen & Hauberg, "Latent space oddity" (2018), figures 4 to 8.
    """

    panels: Sequence[str]
    densities: Sequence[str] = ()
    n: int = 500
    lines: int = 8
    points: int = 60
    fitted: int = 45
    density_points: int = 16

    def __call__(self, results: Results) -> Figure:
        """Return the figure.

        Raises:
            RunError: an arm has no finished run.
            TypeError: a latent space has no encoder, or not two dimensions.

        """
        runs = [results.runs(arm)[0] for arm in self.panels]
        with viz.publication(3.2 * len(runs), 3.0, 1, len(runs)) as (figure, axes):
            for ax, run in zip(axes, runs, strict=True):
                self._draw(figure, ax, run)
            return figure

    def _draw(self, figure: Figure, ax: Axes, run: TrainedRun) -> None:
        space = run.encodable_space
        if space.dim != 2:
            raise TypeError(f"expected a latent space of dimension 2, got {space.dim}")
        batch = run.probe(self.n)
        with torch.no_grad():
            z = space.encode(batch["x"]).mean
            grid, x, y = _grid(z, self.points, 1.6)
            sigma = space.decode(grid).stddev.flatten(1).log().mean(-1).reshape(self.points, self.points)
            start, end = z[: 2 * self.lines].unflatten(0, (2, -1))
            im = immersion(space, "expected")
            curves = geodesic(im, start, end, 33).points
        filled = ax.contourf(*(part.cpu().numpy() for part in (x, y, sigma)), 24, cmap="Greys")
        figure.colorbar(filled, ax=ax, label="mean log σ")
        names = batch["label"].unique(return_inverse=True)[1] if "label" in batch else torch.zeros(len(z)).long()
        colours: Any = to_rgba_array([SERIES[int(k) % len(SERIES)] for k in names])
        ax.scatter(z[:, 0].cpu().numpy(), z[:, 1].cpu().numpy(), s=3, c=colours, linewidths=0)
        for line, a, b in zip(curves, start, end, strict=True):
            ax.plot(*line.T.cpu().numpy(), color=INK, linewidth=1)
            ax.plot(*torch.stack([a, b]).T.cpu().numpy(), color=INK, linewidth=0.6, linestyle="--")
        if run.arm in self.densities:
            self._mixture(ax, im, z, len(names.unique()))
        ax.set(title=run.arm, xlabel="$z_1$", ylabel="$z_2$")
        ax.grid(visible=False)

    def _mixture(self, ax: Axes, im: Immersion, z: Tensor, components: int) -> None:
        generator = torch.Generator().manual_seed(0)
        options: dict[str, Any] = {"samples": 16, "steps": 4, "points": 17, "restarts": 1, "max_iterations": 6}
        found = land(im, z[: self.fitted], components, **options, generator=generator)
        grid, x, y = _grid(z, self.density_points, 1.1)
        with torch.no_grad():
            plane = land_log_density(im, found, grid, points=17) + log_volume(im, grid)
        height = (plane - plane[torch.isfinite(plane)].max()).reshape(len(y), len(x))
        plotted = (part.cpu().numpy() for part in (x, y, height))
        ax.contour(*plotted, levels=[-6, -3, -1], colors=[SERIES[4]], linewidths=0.9)


def _grid(z: Tensor, points: int, factor: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return codes (points^2, 2) of a grid around codes, row by row from below, and its two axes."""
    low, high = z.amin(0), z.amax(0)
    middle, half = (low + high) / 2, factor * (high - low) / 2
    t = torch.linspace(-1, 1, points, device=z.device)
    x, y = (middle[i] + half[i] * t for i in range(2))
    v, u = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([u, v], -1).flatten(0, 1), x, y
