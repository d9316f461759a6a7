r"""Exact nearest neighbours of codes, members of balls, and the graph that joins every code to its nearest neighbours.

Squared distances of all pairs come from one matrix product, |a|^2 + |b|^2 - 2 <a, b>, of features about their mean. Its
rounding is bounded by

    e = g (|a|^2 + |b|^2),    g = 2 (p + 16) eps,

p coordinates and the machine precision eps of the product. Every pair that this bound leaves undecided is computed
again in double precision, from the differences of its coordinates. So the result is that of comparing the distances of
all pairs directly, for clusters that are close together and far from the origin as well; ties go to the lower index.

Memory grows with N + M: `chunk_size` rows of distances at a time. Of 2^16 codes or more only the least bound in
every group of 32 is kept, in single precision, and the groups that may hold a neighbour are measured whole: for 400,000
codes of 50 coordinates some 50 MB beside the codes.

Reference: Higham, "Accuracy and stability of numerical algorithms" (2002), section 3.1, for the bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from lsgen.latent.distances import ChordDistance, CodeDistance, EuclideanDistance

__all__ = ["NeighbourGraph", "Neighbours", "ball_members", "nearest_neighbours", "neighbour_graph", "without_own"]

ENTRIES, PAIR_ENTRIES, SPARE = 2**21, 2**18, 6
GROUP, BLOCK, MANY, CROWD, PIECE = 32, 2**12, 2**16, 2**17, 2**14
ROUNDING = 1 + 16 * torch.finfo(torch.float64).eps


class Neighbours(NamedTuple):
    """Distances (M, k), in double precision, and indices (M, k) of nearest neighbours, nearest first."""

    distances: Tensor
    indices: Tensor


@dataclass(frozen=True)
class NeighbourGraph:
    """Codes joined by an edge where one is among the nearest neighbours of the other.

    Attributes:
        nodes: number N of codes.
        edges: pairs (E, 2) of indices, the lower first, each pair once, in order.
        lengths: the length of each, (E,).

    """

    nodes: int
    edges: Tensor
    lengths: Tensor

    @property
    def components(self) -> int:
        """Number of parts that no edge joins."""
        return int(connected_components(self.matrix(), directed=False)[0])

    def matrix(self) -> Any:
        """Return the upper triangle of the matrix of lengths, (N, N), as a sparse array of scipy.

        A length of 0 becomes the least positive number, as scipy takes a 0 for no edge; an edge whose length is not
        finite is left out.
        """
        w = self.lengths.cpu().numpy()
        low, high = self.edges.int().cpu().numpy().T  # scipy's graph algorithms took 32 bits alone
        keep = np.isfinite(w)
        data = np.maximum(w[keep], np.finfo(w.dtype).tiny)
        return csr_array((data, (low[keep], high[keep])), shape=(self.nodes, self.nodes))


@torch.no_grad()
def nearest_neighbours(
    x: Tensor,
    data: Tensor | None = None,
    k: int = 1,
    distance: CodeDistance | None = None,
    chunk_size: int | None = None,
) -> Neighbours:
    """Return the exact k nearest neighbours in `data` of each row of x; ties go to the lower index.

    Args:
        x: codes (M, d), float32 or float64.
        data: codes (N, d) of the same type; x itself where it is None, and then no code is its own neighbour, though
            its duplicates may be.
        k: number of neighbours.
        distance: what is near; Euclidean unless given, see `lsgen.latent.distances.distance_on`.
        chunk_size: rows at a time; chosen by the memory it takes unless given.

    Returns:
        Distances (M, k), in double precision, and indices (M, k), nearest first.

    Raises:
        TypeError: the codes are not of one floating-point type of 32 or 64 bits.
        ValueError: shapes do not fit, a number is not finite, k exceeds the number of neighbours there are, or a code
            is none that the distance knows.

    """
    distance = EuclideanDistance() if distance is None else distance
    others = _checked(x, data, chunk_size)
    most = len(others) - (data is None)
    if not isinstance(k, int) or isinstance(k, bool):
        raise TypeError(f"expected a whole number k of neighbours, got {k!r}")
    if not 1 <= k <= most:
        raise ValueError(f"expected between 1 and {most} neighbours among {len(others)} codes, got {k}")
    a = distance.features(x)
    b = a if data is None else distance.features(others)
    if isinstance(distance, ChordDistance):
        parts = list(_by_bounds(a, b, k, distance, data is None, chunk_size))
    else:
        parts = list(_by_scan(a, b, k, distance, data is None, chunk_size))
    if not parts:
        return Neighbours(x.new_empty(0, k, dtype=torch.float64), x.new_empty(0, k, dtype=torch.int64))
    distances, indices = zip(*parts, strict=True)
    return Neighbours(torch.cat(distances), torch.cat(indices))


def without_own(found: Tensor, rows: Tensor) -> Tensor:
    """Return the neighbours (M, k) of codes of a table, out of the k + 1 nearest of the table (M, k + 1).

    A code is among them, unless k or more duplicates come before it, or it was not found; then the last is left out.

    Args:
        found: indices of the k + 1 nearest codes of each, nearest first.
        rows: which code of the table each is, (M,).

    """
    own = found == rows[:, None]
    own[~own.any(1), -1] = True
    return found[~own].reshape(len(found), -1)


@torch.no_grad()
def ball_members(
    x: Tensor, data: Tensor, radii: Sequence[Tensor], chunk_size: int | None = None
) -> Iterator[list[Tensor]]:
    """Yield the membership of codes in closed Euclidean balls, for a chunk of rows of x at a time.

    A code lies in the ball that reaches to it by a distance of `nearest_neighbours`: a relative difference of 4e-15
    counts as rounding.

    Args:
        x: codes (M, d), float32 or float64.
        data: codes (N, d) of the same type.
        radii: for each kind of ball radii in double precision that broadcast to (M, N): (M, 1) of balls around the
            rows of x, (N,) of balls around the rows of data.
        chunk_size: rows at a time; chosen by the memory it takes unless given.

    Yields:
        For every kind of ball whether |x_i - y_j| <= r_ij, boolean (m, N) for the next m rows.

    Raises:
        TypeError, ValueError: see `nearest_neighbours`.

    """
    _checked(x, data, chunk_size)
    distance, bounds = EuclideanDistance(), _Bounds(x, data, None)
    wide = [radius.expand(len(x), len(data)) for radius in radii]
    squares = [bounds.square(radius).expand(len(x), len(data)) for radius in radii]
    for rows in _chunks(len(x), len(data), chunk_size):
        lower = bounds.lower(rows)
        upper = lower + bounds.margin(rows)
        found = []
        for radius, square in zip(wide, squares, strict=True):
            inside = upper <= square[rows]
            i, j = ((lower <= square[rows]) ^ inside).nonzero(as_tuple=True)
            inside[i, j] = _measured(distance, x[rows], data, i, j) <= ROUNDING * radius[rows][i, j]
            found.append(inside)
        yield found


def neighbour_graph(
    x: Tensor, k: int = 10, distance: CodeDistance | None = None, chunk_size: int | None = None
) -> NeighbourGraph:
    """Return the graph that joins every code (N, d) to its k nearest neighbours.

    Args:
        x: codes (N, d).
        k: number of neighbours of each.
        distance: see `nearest_neighbours`.
        chunk_size: see `nearest_neighbours`.

    Raises:
        TypeError, ValueError: see `nearest_neighbours`.

    Reference: Tenenbaum, de Silva & Langford, "A global geometric framework for nonlinear dimensionality reduction"
    (2000).

    """
    lengths, near = nearest_neighbours(x, None, k, distance, chunk_size)
    here = torch.arange(len(x), device=x.device)[:, None].expand_as(near)
    low, high = torch.minimum(here, near).flatten(), torch.maximum(here, near).flatten()
    names, place = torch.unique(low * len(x) + high, return_inverse=True)
    kept = lengths.new_empty(len(names)).scatter_(0, place, lengths.flatten())
    return NeighbourGraph(len(x), torch.stack([names // len(x), names % len(x)], 1), kept)


class _Bounds:
    """Lower bounds of the weighted squared chords of all pairs, in units of `unit`^2, from a matrix product.

    The product is that of (a, |a|^2 - e(a), 1) and w (-2 b, 1, |b|^2 - e(b)).
    """

    def __init__(self, a: Tensor, b: Tensor, weights: Tensor | None, coarse: bool = False) -> None:
        largest = max([float(part.abs().max()) for part in (a, b) if part.numel()], default=0.0)
        self.unit = 2.0 ** max(min(int(np.frexp(largest)[1]), 1000), -1000)
        exact = torch.get_float32_matmul_precision() == "highest" and a.shape[-1] < 100_000
        self._dtype = torch.float64 if not exact or weights is not None else torch.float32 if coarse else a.dtype
        centre = (b.double() / self.unit).mean(0)
        own, low, self._rounding = self._about(centre, a)
        other, other_low, rounding = (own, low, self._rounding) if a is b else self._about(centre, b)
        ones = [torch.ones_like(side) for side in (low, other_low)]
        self._left, right = torch.cat([own, low, ones[0]], 1), torch.cat([-2 * other, ones[1], other_low], 1)
        w = 1 if weights is None else weights[:, None]
        self._right, self._other_rounding, self._weights = (right * w).T, (rounding * w).squeeze(1), weights

    def _about(self, centre: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return vectors about a centre, their squared lengths less the rounding, and the rounding, (N, 1) each."""
        x = (x.double() / self.unit - centre).to(self._dtype)
        limits, p = torch.finfo(self._dtype), x.shape[1]
        square = x.square().sum(-1, keepdim=True)
        rounding = 2 * (p + 16) * limits.eps * square + 8 * p * limits.tiny
        return x, square - rounding, rounding

    def square(self, length: Tensor) -> Tensor:
        """Return squares of lengths in the units and the precision of the bounds, whose margin exceeds the rounding."""
        return (length / self.unit).square().to(self._dtype)

    def lower(self, rows: slice, columns: slice = slice(None)) -> Tensor:
        """Return the bounds for rows of a and columns, the rows of b, all of them unless given, (m, n)."""
        with torch.autocast(self._left.device.type, enabled=False):
            return self._left[rows] @ self._right[:, columns]

    def least(self, rows: slice, apart: bool) -> tuple[Tensor, Tensor]:
        """Return the least bound of each group of columns and what no margin in the group exceeds, (m, groups) each.

        Args:
            rows: rows of a.
            apart: whether a and b are the same, and a row is not one of its own columns.

        """
        found = []
        for first in range(0, len(self._other_rounding), BLOCK):
            lower = self.lower(rows, slice(first, first + BLOCK))
            if apart:
                lower.diagonal(rows.start - first).fill_(torch.inf)
            found.append(_grouped(lower, torch.inf).amin(1))
        own, other = self._rounding[rows], _grouped(self._other_rounding[None], 0.0).amax(1)
        return torch.cat(found, 1), 2 * ((own if self._weights is None else own * self._weights.max()) + other)

    def margin(self, rows: slice, columns: Tensor | None = None) -> Tensor:
        """Return upper minus lower bounds, for all columns (m, N) or for some of each row (m, k)."""
        own, other, weights = self._rounding[rows], self._other_rounding, self._weights
        if columns is not None:
            other, weights = other[columns], None if weights is None else weights[columns]
        return 2 * ((own if weights is None else own * weights) + other)


def _by_bounds(
    a: Tensor, b: Tensor, k: int, distance: ChordDistance, apart: bool, chunk_size: int | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield distances and indices by measuring the pairs that the bounds leave."""
    ends, weights = distance.chord(b)
    starts = ends if apart else distance.chord(a)[0]
    grouped = len(b) >= max(MANY, 8 * GROUP * k)
    bounds, fine = _Bounds(starts, ends, weights, coarse=grouped), not grouped
    for rows in _chunks(len(a), (len(b) // GROUP + BLOCK) // 2 if grouped else len(b), chunk_size):
        if grouped:
            near = _groups(bounds, rows, k, apart)
            if len(near[0]) > CROWD and not fine:  # codes that are too close together for single precision
                bounds, fine = _Bounds(starts, ends, weights), True
                near = _groups(bounds, rows, k, apart)
            pieces = _in_groups(*near, rows, len(b), apart)
        else:
            lower = bounds.lower(rows)
            if apart:
                lower.diagonal(rows.start).fill_(torch.inf)
            pieces = iter([(rows, *_candidates(lower, k, partial(bounds.margin, rows)))])
        for some, i, j in pieces:
            measured = _measured(distance, a[some], b, i, j)
            order = measured.argsort(stable=True)
            order = order[i[order].argsort(stable=True)]
            count = torch.bincount(i, minlength=some.stop - some.start)
            first = order[(count.cumsum(0) - count)[:, None] + torch.arange(k, device=a.device)]
            yield measured[first], j[first]


def _candidates(lower: Tensor, k: int, margin: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Return rows and columns, in order, of the pairs that may be among the k least of their row.

    Args:
        lower: lower bounds, (m, N).
        k: number of pairs sought in each row.
        margin: columns (m, k) -> upper minus lower bounds there, (m, k).

    """
    size = lower.shape[1]
    least = lower.topk(min(k + SPARE, size), largest=False)
    enough = (least.values[:, :k] + margin(least.indices[:, :k])).amax(1, keepdim=True)
    possible = least.values <= enough
    many = possible[:, -1] & (size > k + SPARE)
    i, place = (possible & ~many[:, None]).nonzero(as_tuple=True)
    pairs = i * size + least.indices[i, place]
    crowded = many.nonzero().squeeze(1)
    if len(crowded):
        i, j = (lower[crowded] <= enough[crowded]).nonzero(as_tuple=True)
        pairs = torch.cat([pairs, crowded[i] * size + j])
    pairs = pairs.sort().values
    return pairs // size, pairs % size


def _groups(bounds: _Bounds, rows: slice, k: int, apart: bool) -> tuple[Tensor, Tensor]:
    """Return rows and the groups of columns that may hold one of the k least of each, in order."""
    least, margin = bounds.least(rows, apart)
    enough = (least + margin).topk(k, largest=False).values[:, -1:]
    i, group = (least <= enough).nonzero(as_tuple=True)
    return i, group


def _in_groups(i: Tensor, group: Tensor, rows: slice, size: int, apart: bool) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yield some rows, and rows and columns, in order, of all pairs in their groups: about PIECE groups at a time."""
    count = torch.bincount(i, minlength=rows.stop - rows.start)
    ends, stride, first, begin = count.cumsum(0), BLOCK // GROUP, 0, 0
    for number in ((ends - count) // PIECE).unique_consecutive(return_counts=True)[1].tolist():
        last = first + number
        end = int(ends[last - 1])
        own, some = i[begin:end] - first, group[begin:end]
        j = torch.arange(GROUP, device=i.device) * stride + (some // stride * BLOCK + some % stride)[:, None]
        kept = j < size
        if apart:
            kept &= j != own[:, None] + rows.start + first
        pairs = (own[:, None] * size + j)[kept].sort().values
        yield slice(rows.start + first, rows.start + last), pairs // size, pairs % size
        first, begin = last, end


def _grouped(values: Tensor, missing: float) -> Tensor:
    """Return values (m, n) as groups of GROUP, (m, GROUP, groups), filled up to whole blocks."""
    blocks = torch.nn.functional.pad(values, (0, -values.shape[1] % BLOCK), value=missing)
    return blocks.unflatten(1, (-1, GROUP, BLOCK // GROUP)).transpose(1, 2).flatten(2)


def _by_scan(
    a: Tensor, b: Tensor, k: int, distance: CodeDistance, apart: bool, chunk_size: int | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield distances and indices by measuring all pairs."""
    for rows in _chunks(len(a), len(b) * a.shape[-1], chunk_size):
        measured = distance.pairwise(a[rows], b)
        if apart:
            measured.diagonal(rows.start).fill_(torch.inf)
        ordered = measured.sort(dim=1, stable=True)
        yield ordered.values[:, :k], ordered.indices[:, :k]


def _measured(distance: CodeDistance, a: Tensor, b: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """Return the distances of pairs of rows, (P,)."""
    size = max(1, PAIR_ENTRIES // max(1, a.shape[-1]))
    parts = zip(i.split(size), j.split(size), strict=True)
    return torch.cat([distance.between(a[own], b[other]) for own, other in parts])


def _chunks(rows: int, columns: int, chunk_size: int | None) -> Iterator[slice]:
    size = chunk_size or max(1, ENTRIES // max(1, columns))
    return (slice(first, min(first + size, rows)) for first in range(0, rows, size))


def _checked(x: Tensor, data: Tensor | None, chunk_size: int | None) -> Tensor:
    """Return the codes to be searched."""
    others = x if data is None else data
    kinds = (torch.float32, torch.float64)
    if x.dtype not in kinds or others.dtype != x.dtype:
        raise TypeError(f"expected codes of one type, float32 or float64, got {x.dtype} and {others.dtype}")
    if x.ndim != 2 or others.ndim != 2 or x.shape[1] != others.shape[1] or not x.shape[1]:
        raise ValueError(f"expected codes (M, d) and (N, d), got {tuple(x.shape)} and {tuple(others.shape)}")
    for part in (x, others):
        if not bool(part.isfinite().all()):
            raise ValueError(f"expected finite codes, got {int((~part.isfinite().all(-1)).sum())} that are not")
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"expected a chunk_size of at least 1, got {chunk_size}")
    return others
