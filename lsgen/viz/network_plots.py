r"""Maps of networks: nodes with their links, in the Poincare disk or in a plane.

The geodesic from p to q in the disk is the arc of the circle that meets the unit circle at right angles. As a rational
quadratic curve it has no case of its own where it is straight: with c = p_1 q_2 - p_2 q_1 and J (x, y) = (-y, x),

    m = (p + q)/2 + J (q - p) c / (2 (1 - p.q))                        where the tangents at p and q meet
    w = (1 - p.q) / sqrt(|p - q|^2 + (1 - |p|^2)(1 - |q|^2))          cosine of half of the arc
    x(t) = ((1 - t)^2 p + 2 w t (1 - t) m + t^2 q) / ((1 - t)^2 + 2 w t (1 - t) + t^2),        0 <= t <= 1.

Reference: Piegl & Tiller, "The NURBS book" (1997), section 7.3, for arcs of circles as rational curves.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Circle
from matplotlib.ticker import NullFormatter
from numpy.typing import ArrayLike, NDArray

from lsgen.viz.colouring import group_colours, name_groups
from lsgen.viz.style import INK, MUTED, PAPER, Pixels, canvas, headline, rasterise, shortened

__all__ = ["geodesic_arcs", "network_map", "poincare_disk"]

_ARC = 25  # points of an arc


def geodesic_arcs(start: ArrayLike, end: ArrayLike, points: int = _ARC) -> NDArray[np.float64]:
    """Return points of the geodesics between points of the unit disk, on their circles.

    Args:
        start: points (E, 2).
        end: points (E, 2).
        points: number T of points of each, both ends among them.

    Returns:
        Points (E, T, 2).

    Raises:
        ValueError: the shapes differ, or a point lies outside of the disk.

    """
    p, q = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
    if p.ndim != 2 or p.shape[1] != 2 or p.shape != q.shape:
        raise ValueError(f"expected points (E, 2) and (E, 2), got {p.shape} and {q.shape}")
    rooms = [1 - np.square(x).sum(1, keepdims=True) for x in (p, q)]
    if min(room.min(initial=1) for room in rooms) <= 0:
        raise ValueError("expected points inside of the unit disk, got some outside")
    chord, cross = q - p, p[:, :1] * q[:, 1:] - p[:, 1:] * q[:, :1]
    apart = 1 - (p * q).sum(1, keepdims=True)
    corner = (p + q) / 2 + np.stack([-chord[:, 1], chord[:, 0]], 1) * cross / (2 * apart)
    w = apart / np.sqrt(np.square(chord).sum(1, keepdims=True) + rooms[0] * rooms[1])
    t = np.linspace(0, 1, points)[:, None]
    before, between, after = (1 - t) ** 2, 2 * w[:, None] * t * (1 - t), t**2
    arcs = before * p[:, None] + between * corner[:, None] + after * q[:, None]
    return np.asarray(arcs / (before + between + after))


def poincare_disk(
    points: ArrayLike,
    edges: ArrayLike,
    title: str,
    groups: ArrayLike | None = None,
    sizes: ArrayLike | None = None,
    labels: Mapping[int, str] | None = None,
) -> Pixels:
    """Return nodes in the unit disk, their links as geodesics.

    Args:
        points: of the nodes, (N, 2).
        edges: the two ends of each link, (E, 2).
        title: a line above.
        groups: of each node text or whole numbers, a group, or other numbers, (N,); grey where it is missing.
        sizes: how large each node is, (N,); its area grows with it, 0 the smallest.
        labels: by number of a node what is written beside it.

    Returns:
        Pixels (H, W, 3).

    """
    x, links = np.asarray(points, dtype=float), np.asarray(edges).reshape(-1, 2)
    arcs, (colours, named) = geodesic_arcs(x[links[:, 0]], x[links[:, 1]]), group_colours(groups)
    with canvas(6.4, 6.6, 1, right=0.3) as (figure, (ax,)):
        ax.set_position((0.02, 0.01, 0.96, 0.93))
        ax.add_patch(Circle((0, 0), 1, facecolor="none", edgecolor=MUTED, linewidth=1))
        _draw(ax, x, arcs, colours, sizes, labels or {})
        ax.set(xlim=(-1.03, 1.03), ylim=(-1.03, 1.03), aspect="equal")
        ax.axis("off")
        headline(figure, title)
        name_groups(figure, named)
        return rasterise(figure)


def network_map(
    points: ArrayLike,
    edges: ArrayLike,
    title: str,
    groups: ArrayLike | None = None,
    sizes: ArrayLike | None = None,
    labels: Mapping[int, str] | None = None,
) -> Pixels:
    """Return nodes in a plane, their links as straight lines; arguments as of `poincare_disk`."""
    x, links = np.asarray(points, dtype=float)[:, :2], np.asarray(edges).reshape(-1, 2)
    colours, named = group_colours(groups)
    with canvas(6.4, 5.6, 1, right=0.3) as (figure, (ax,)):
        _draw(ax, x, x[links], colours, sizes, labels or {})
        ax.set_aspect("equal", adjustable="datalim")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(NullFormatter())
        headline(figure, title)
        name_groups(figure, named)
        return rasterise(figure)


def _draw(
    ax: Axes,
    x: NDArray[np.float64],
    lines: NDArray[np.float64],
    colours: object,
    sizes: ArrayLike | None,
    labels: Mapping[int, str],
) -> None:
    faint = float(np.clip(40 / max(len(lines), 1) ** 0.6, 0.04, 0.5))
    ax.add_collection(LineCollection(list(lines), colors=MUTED, linewidths=0.7, alpha=faint, zorder=1))
    size = np.zeros(len(x)) if sizes is None else np.asarray(sizes, dtype=float)
    base = float(np.clip(6000 / max(len(x), 1), 3, 30))
    area = base * (1 + 4 * size / max(float(size.max(initial=0)), 1e-12))
    ax.scatter(x[:, 0], x[:, 1], s=area, c=colours, edgecolors=PAPER, linewidths=0.3, zorder=2)  # type: ignore[arg-type]
    for node, text in labels.items():
        ax.annotate(shortened(text, 24), x[node], (3, 3), textcoords="offset points", fontsize=7, color=INK, zorder=3)
