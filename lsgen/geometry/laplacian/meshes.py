"""Triangle meshes of a latent plane: rectangles, which may close on themselves, and triangulations of codes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy.spatial import Delaunay, QhullError
from torch import Tensor

__all__ = ["TriangleMesh", "check_triangles", "delaunay_mesh", "on_boundary", "rectangle_mesh"]


@dataclass(frozen=True, eq=False)
class TriangleMesh:
    """Triangles with the coordinates of their corners.

    The corners of a triangle lie in one chart, but two triangles that share a vertex may give it other coordinates:
    so does a rectangle that closes on itself, or a sphere in two charts of the same metric.

    Attributes:
        corners: coordinates (m, 3, 2) of the corners of each triangle.
        triangles: the numbers of its vertices (m, 3), from 0.
        vertices: number n of vertices, which is counted.

    Raises:
        TypeError: corners are neither float32 nor float64, or the numbers are no integers.
        ValueError: shapes differ from these, there is no triangle, a vertex belongs to none, or an edge to three.

    """

    corners: Tensor
    triangles: Tensor
    vertices: int = field(init=False)

    def __post_init__(self) -> None:
        count = check_triangles(self.triangles)
        if self.corners.dtype not in (torch.float32, torch.float64):
            raise TypeError(f"expected corners of dtype float32 or float64, got {self.corners.dtype}")
        if self.corners.shape != (len(self.triangles), 3, 2):
            raise ValueError(f"expected corners ({len(self.triangles)}, 3, 2), got {tuple(self.corners.shape)}")
        if not bool(torch.isfinite(self.corners).all()):
            raise ValueError("expected finite corners, got values that are not")
        object.__setattr__(self, "vertices", count)

    def points(self) -> Tensor:
        """Return coordinates (n, 2) of the vertices, by one of the triangles of each."""
        made = self.corners.new_empty(self.vertices, 2)
        made[self.triangles.flatten()] = self.corners.flatten(0, 1)
        return made


def rectangle_mesh(
    low: tuple[float, float],
    high: tuple[float, float],
    cells: tuple[int, int],
    periodic: tuple[bool, bool] = (False, False),
    dtype: torch.dtype = torch.float64,
) -> TriangleMesh:
    """Return the mesh of a rectangle of coordinates; each cell is two triangles, whose diagonals alternate.

    Vertex (i, j) of the grid, i along the first axis, has the number i c + j, where the second axis has c vertices:
    one more than cells, or as many if it is periodic.

    Args:
        low: least coordinates.
        high: greatest coordinates.
        cells: number of cells along each axis, even along a periodic one.
        periodic: whether each axis closes on itself.
        dtype: of the coordinates.

    Raises:
        ValueError: high is not above low, or there are fewer than 1 cell (4 and an even number, if periodic).

    """
    for a, b, n, closed in zip(low, high, cells, periodic, strict=True):
        if not a < b or n < (4 if closed else 1) or (closed and n % 2):
            raise ValueError(
                f"expected low < high and at least {4 if closed else 1} cells"
                f"{' (an even number of them) along a periodic axis' if closed else ''}, got {a}, {b} and {n}"
            )
    i, j = (x.flatten() for x in torch.meshgrid(*(torch.arange(n) for n in cells), indexing="ij"))
    even = ((i + j) % 2 == 0)[:, None, None]
    square = torch.tensor([[0, 0], [1, 0], [1, 1], [0, 1]])
    first = torch.where(even, square[[0, 1, 2]], square[[0, 1, 3]])
    second = torch.where(even, square[[0, 2, 3]], square[[1, 2, 3]])
    places = torch.stack([i, j], -1)[:, None, None] + torch.stack([first, second], 1)
    places = places.flatten(0, 1)
    sizes = torch.tensor([n if closed else n + 1 for n, closed in zip(cells, periodic, strict=True)])
    numbers = places % sizes
    scale = (torch.tensor(high, dtype=dtype) - torch.tensor(low, dtype=dtype)) / torch.tensor(cells)
    return TriangleMesh(torch.tensor(low, dtype=dtype) + places * scale, numbers[..., 0] * sizes[1] + numbers[..., 1])


def delaunay_mesh(points: Tensor) -> TriangleMesh:
    """Return the Delaunay triangulation of points of the plane, such as codes.

    Args:
        points: distinct points (n, 2), n >= 3.

    Raises:
        ValueError: the points have another shape, are not finite, lie on a line, or are not all vertices.

    """
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3:
        raise ValueError(f"expected points (n, 2) with n >= 3, got {tuple(points.shape)}")
    if not bool(torch.isfinite(points).all()):
        raise ValueError("expected finite points, got values that are not")
    try:
        made = Delaunay(points.detach().double().cpu().numpy())
    except QhullError as error:
        raise ValueError("expected points that span the plane, got points that lie on a line") from error
    left_out = len(points) - len(np.unique(made.simplices))
    if left_out:
        raise ValueError(f"expected distinct points, got {left_out} of {len(points)} that coincide with another one")
    triangles = torch.as_tensor(made.simplices, dtype=torch.int64, device=points.device)
    return TriangleMesh(points.detach()[triangles], triangles)


def check_triangles(triangles: Any) -> int:
    """Return the number of vertices, or refuse triangles that are no mesh of a surface.

    Raises:
        TypeError, ValueError: see `TriangleMesh`.

    """
    if not isinstance(triangles, Tensor) or triangles.is_floating_point() or triangles.dtype == torch.bool:
        got = triangles.dtype if isinstance(triangles, Tensor) else type(triangles).__name__
        raise TypeError(f"expected triangles as a tensor of integers, got {got}")
    if triangles.ndim != 2 or triangles.shape[1] != 3 or not len(triangles):
        raise ValueError(f"expected triangles (m, 3) with m >= 1, got {tuple(triangles.shape)}")
    used = torch.unique(triangles)
    if int(used[0]) != 0 or int(used[-1]) != len(used) - 1:
        raise ValueError(
            f"expected vertices numbered from 0, each in a triangle, got {len(used)} numbers from {int(used[0])} to "
            f"{int(used[-1])}"
        )
    if bool((triangles.sort(-1).values.diff(dim=-1) == 0).any()):
        raise ValueError("expected triangles of three vertices, got some that have one twice")
    most = int(_edges(triangles)[1].max())
    if most > 2:
        raise ValueError(f"expected edges of one or two triangles, got one of {most}")
    return len(used)


def on_boundary(triangles: Tensor) -> Tensor:
    """Return which vertices (n,) lie on the boundary, on an edge of one triangle alone."""
    edges, counts = _edges(triangles)
    made = torch.zeros(int(triangles.max()) + 1, dtype=torch.bool, device=triangles.device)
    made[edges[counts == 1].flatten()] = True
    return made


def _edges(triangles: Tensor) -> tuple[Tensor, Tensor]:
    """Return distinct edges (e, 2), lower vertex first, and in how many triangles each is (e,)."""
    sides = torch.cat([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]).sort(-1).values
    edges, counts = torch.unique(sides, dim=0, return_counts=True)
    return edges, counts
