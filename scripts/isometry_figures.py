"""Draw what a regulariser did: the metric of two runs at held-out codes, and traversals of both.

    python scripts/isometry_figures.py PLAIN REGULARISED FOLDER

writes metric.png (spectra of the metric, and its unit circles in the plane of the two most active axes) and
traversals.png (steps of equal length along every axis from the origin), and prints a row of figures for each run, at
1024 codes of test observations.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.collections import EllipseCollection
from PIL import Image
from torch import Tensor

import lsgen
from lsgen.cli.config.construction import instantiate
from lsgen.cli.config.frozen_config import thaw
from lsgen.geometry import immersion, metric
from lsgen.runs import RunDirectory
from lsgen.viz.image_grid import grid
from lsgen.viz.images import to_pixels
from lsgen.viz.style import ACCENT, INK, MUTED, canvas, rasterise

CODES, SHOWN, THRESHOLD = 1024, 60, 0.1


def held_out(run: str) -> Tensor:
    """Return test observations of a run's data."""
    data = instantiate(thaw({"data": RunDirectory.open(run).config()["data"]}).data, "data")
    data.prepare_data()
    data.setup("test")
    batches = [batch["x"] for batch, _ in zip(data.test_dataloader(), range(CODES // data.batch_size), strict=False)]
    return torch.cat(batches)


def measured(run: str, x: Tensor) -> dict[str, Any]:
    """Return codes of observations, the metric at them, and figures of the run."""
    model = lsgen.load(run)
    space = model.latent_space
    with torch.no_grad():
        torch.manual_seed(0)
        q = space.encode(x)
        z = q.sample()
        g = metric(immersion(space), z).double()
        kl = torch.cat([model.objective(space, {"x": part}, 0).kl for part in x.split(64)]).mean(0)
    order = kl.argsort(descending=True)
    active = order[: int((kl > THRESHOLD).sum())]
    logged = RunDirectory.open(run).status()["metrics"]
    inside = g[:, active][:, :, active]
    values = torch.linalg.eigvalsh(g)
    return {
        "space": space, "z": z, "g": g, "order": order, "values": values.flip(-1), "active axes": len(active),
        "ELBO": logged["test/elbo"], "reconstruction": logged["test/reconstruction"], "KL": logged["test/kl"],
        "distortion": distortion(g), "distortion, active axes": distortion(inside),
        "condition number, median": float((values[:, -1] / values[:, 0]).median()),
    }  # fmt: skip


def distortion(g: Tensor) -> float:
    """Return the relaxed distortion of metrics (N, d, d)."""
    trace, square = g.diagonal(dim1=-2, dim2=-1).sum(-1), g.square().sum((-2, -1))
    return float(g.shape[-1] * square.mean() / trace.mean() ** 2 - 1)


def metric_figure(runs: dict[str, dict[str, Any]]) -> Any:
    """Return spectra on top of each other, and one panel of unit circles for each run."""
    with canvas(3.6, 3.6, 1 + len(runs)) as (figure, axes):
        for (name, found), colour in zip(runs.items(), (MUTED, ACCENT), strict=True):
            values = found["values"].clamp(min=1e-6).numpy()
            places = np.arange(1, values.shape[1] + 1)
            low, middle, high = np.quantile(values, (0.05, 0.5, 0.95), axis=0)
            axes[0].fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0)
            axes[0].semilogy(places, middle, "o-", color=colour, markersize=3, label=name)
        axes[0].set_title("eigenvalues of g, median and 90 %", fontweight="normal")
        axes[0].legend()
        for ax, (name, found) in zip(axes[1:], runs.items(), strict=True):
            plane = found["order"][:2]
            z, g = found["z"][:SHOWN, plane].numpy(), found["g"][:SHOWN, plane][:, :, plane]
            scale = float(found["g"][:, plane][:, :, plane].diagonal(dim1=1, dim2=2).mean())
            lengths, turns = torch.linalg.eigh(g / scale)
            radii = 0.22 / lengths.clamp(min=1e-2).sqrt()
            angles = torch.rad2deg(torch.atan2(turns[:, 1, 0], turns[:, 0, 0]))
            ax.add_collection(
                EllipseCollection(
                    (2 * radii[:, 0]).numpy(), (2 * radii[:, 1]).numpy(), angles.numpy(), units="xy", offsets=z,
                    transOffset=ax.transData, facecolors="none", edgecolors=ACCENT, linewidths=0.8,
                )
            )  # fmt: skip
            ax.plot(*z.T, ".", color=INK, markersize=2)
            ax.set_xlim(-3, 3)
            ax.set_ylim(-3, 3)
            ax.set_aspect("equal")
            ax.set_title(f"unit circles of g, {name}", fontweight="normal")
            ax.set_xlabel(f"z{int(plane[0])}")
            ax.set_ylabel(f"z{int(plane[1])}")
        return rasterise(figure)


def traversals(found: dict[str, Any], name: str) -> Any:
    """Return decoded means at 9 equidistant codes along every axis, most active first."""
    space, steps = found["space"], torch.linspace(-2, 2, 9)
    z = torch.stack([torch.eye(space.dim)[axis] * step for axis in found["order"] for step in steps])
    with torch.no_grad():
        images = to_pixels(space.decode(z).mean, 3)
    small = images.reshape(space.dim, 9, *images.shape[1:])[:, :, ::2, ::2]
    return grid(small, title=name)


def main() -> int:
    """Measure both runs and draw them."""
    plain, regularised, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    x = held_out(plain)
    runs = {"without": measured(plain, x), "isometry": measured(regularised, x)}
    for name, found in runs.items():
        print(name, {key: round(value, 3) for key, value in found.items() if isinstance(value, int | float)})
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [traversals(found, name) for name, found in runs.items()]
    height = min(picture.shape[0] for picture in pictures)
    joined = np.concatenate([picture[:height] for picture in pictures], 1)
    for file, pixels in (("metric.png", metric_figure(runs)), ("traversals.png", joined)):
        Image.fromarray(pixels).quantize(64).save(folder / file, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
