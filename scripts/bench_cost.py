"""What metric, scalar curvature and geodesics cost against the latent dimension d, the batch B and a curve's points.

CPU time of one thread, float32, an MLP decoder of 28 x 28 Bernoulli pixels (SiLU); of each call the least over its
rounds. A slope is that of log time against log size by least squares over the four largest sizes, so that the overhead
of small calls stays out of it. `python scripts/bench_cost.py FIGURE.png` also draws the times.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from time import thread_time
from typing import Any, NamedTuple

import numpy as np
import torch
from bench_geometry import IMAGE, fastest, row
from torch import nn

from lsgen.geometry import Immersion, geodesic, immersion, metric, scalar_curvature
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import Bernoulli
from lsgen.nn import MLPDecoder
from lsgen.viz.style import INK, SERIES, canvas, rasterise

DIMENSIONS, BATCHES, POINTS = (2, 4, 8, 16, 32), (8, 32, 128, 512, 2048), (9, 17, 33, 65, 129)
LAST = 4


class Series(NamedTuple):
    """Seconds against sizes, what they are of, and the greatest slope expected."""

    quantity: str
    against: str
    sizes: tuple[int, ...]
    seconds: list[float]
    bound: float

    @property
    def slope(self) -> float:
        """The exponent of the cost."""
        return float(np.polyfit(np.log(self.sizes[-LAST:]), np.log(self.seconds[-LAST:]), 1)[0])


def fisher(d: int) -> Immersion:
    """Return the Fisher immersion of an MLP decoder of latent dimension d."""
    net = MLPDecoder(d, IMAGE, activation=nn.SiLU).eval().requires_grad_(False)
    return immersion(LatentSpace(net, Bernoulli(IMAGE), StandardNormal(d)).eval())


def curves(im: Immersion, count: int, points: int) -> Callable[[], Any]:
    """Return a call that solves for so many geodesics, of ends one apart."""
    a = torch.randn(count, im.dim)
    step = torch.randn(count, im.dim)
    b = a + step / step.norm(dim=-1, keepdim=True)
    return lambda: geodesic(im, a, b, points)


def measured(quantity: str, against: str, sizes: tuple[int, ...], bound: float, make: Callable[..., Any]) -> Series:
    """Return the series of the calls that make(size) returns."""
    torch.manual_seed(0)
    return Series(quantity, against, sizes, fastest(*(make(size) for size in sizes), clock=thread_time), bound)


def point_call(quantity: Callable[..., Any], d: int, batch: int) -> Callable[[], Any]:
    """Return a call that takes a quantity at so many codes."""
    im, z = fisher(d), torch.randn(batch, d)
    return lambda: quantity(im, z)


def series() -> list[Series]:
    """Measure everything, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return [
                measured("metric", "d", DIMENSIONS, 1.3, lambda d: point_call(metric, d, 64)),
                measured("curvature", "d", DIMENSIONS, 2.5, lambda d: point_call(scalar_curvature, d, 16)),
                measured("geodesics", "d", DIMENSIONS, 1.5, lambda d: curves(fisher(d), 32, 33)),
                measured("metric", "B", BATCHES, 1.15, lambda b: point_call(metric, 4, b)),
                measured("curvature", "B", BATCHES, 1.15, lambda b: point_call(scalar_curvature, 4, b)),
                measured("geodesics", "B", BATCHES[:-1], 1.15, lambda b: curves(fisher(4), b // 4, 33)),
                measured("geodesics", "points", POINTS, 1.3, lambda n: curves(fisher(4), 64, n)),
            ]
    finally:
        torch.set_num_threads(threads)


def drawn(found: list[Series]) -> Any:
    """Return one panel for each of d, B and points, as pixels."""
    panels = {
        "d": ("latent dimension d", "64 metrics, 16 curvatures,\n32 geodesics of 33 points"),
        "B": ("batch B", "d = 4: B metrics, B curvatures,\nB / 4 geodesics of 33 points"),
        "points": ("points of a curve", "d = 4: 64 geodesics"),
    }
    colours = dict(zip(("metric", "curvature", "geodesics"), SERIES, strict=False))
    with canvas(3.1, 3.3, len(panels)) as (figure, axes):
        for ax, (against, (label, title)) in zip(axes, panels.items(), strict=True):
            lines = [x for x in found if x.against == against]
            for line in lines:
                name = f"{line.quantity}, slope {line.slope:.2f}"
                ax.loglog(line.sizes, line.seconds, "o-", color=colours[line.quantity], markersize=3, label=name)
            sizes = lines[0].sizes
            ax.set_xticks(sizes, [str(size) for size in sizes])
            ax.minorticks_off()
            ax.set_xlabel(label)
            ax.set_title(title, fontsize=8)
            ax.legend(loc="upper left")
            ax.set_ylim(top=ax.get_ylim()[1] * (30 if len(lines) > 1 else 4))
        axes[0].set_ylabel("CPU seconds of one thread", color=INK)
        return rasterise(figure)


def rows(found: list[Series] | None = None) -> list[dict[str, Any]]:
    """Return the slope of every series against the most that is expected of it."""
    lines = []
    for x in series() if found is None else found:
        span = f"{x.sizes[-LAST]} to {x.sizes[-1]}"
        note = f"{x.seconds[-LAST]:.2g} to {x.seconds[-1]:.2g} s of CPU"
        lines.append(
            row(f"{x.quantity}, exponent in {x.against}, {span}", f"order {x.bound:g}", x.slope, x.bound, note)
        )
    return lines


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/bench_cost.py FIGURE.png")
    from PIL import Image

    all_series = series()
    for line in rows(all_series):
        print(f"{line['work']:48} {line['ratio']:.2f} {line['target']:8} {line['note']}")
    Image.fromarray(drawn(all_series)).save(Path(sys.argv[1]), optimize=True)
