"""Several kinds of paths between two codes, with the diagnostics of each side by side.

linear     the straight segment, in flat space
slerp      directions along a great circle, lengths linearly, in flat space; opposite codes are joined straight
manifold   the geodesic that codes have by construction, on any other manifold
geodesic   the shortest path by the speed that is judged, |J z'| integrated, in flat space
density    through neighbouring codes, see `lsgen.analysis.trajectories.density`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lsgen.analysis.trajectories.density import density_path, equidistant
from lsgen.analysis.trajectories.diagnostics import PathDiagnostics, PathJudge
from lsgen.geometry import HessianMetric, Immersion, geodesic, metric
from lsgen.latent import Euclidean, great_circles, paths

__all__ = ["JudgedPath", "kinds_of_paths", "paths_between"]

RESPONSE, SAMPLE = 1e-3, 16
FLAT = ("linear", "slerp", "geodesic", "density")
CURVED = ("manifold", "density")


@dataclass(frozen=True)
class JudgedPath:
    """A path and what is known of it.

    Attributes:
        kind: which kind of path.
        diagnostics: what is known of each step.
        note: what is particular, such as that a geodesic did not converge; empty otherwise.

    """

    kind: str
    diagnostics: PathDiagnostics
    note: str = ""


def kinds_of_paths(judge: PathJudge) -> tuple[str, ...]:
    """Return the kinds of paths that the manifold of a space has."""
    return FLAT if isinstance(judge.space.manifold, Euclidean) else CURVED


def paths_between(
    judge: PathJudge, start: object, end: object, points: int = 16, kinds: Sequence[str] | None = None
) -> dict[str, JudgedPath]:
    """Return paths between two of the reference codes, by kind.

    Args:
        judge: what judges them, whose reference codes a density path passes.
        start: id of the code at which they start.
        end: id of the code at which they end.
        points: steps of each, both ends included.
        kinds: which kinds; all that the manifold has unless given. Between codes in two parts of the graph of
            neighbours there is no density path; it is then left out, unless it was asked for.

    Raises:
        ValueError: there is no such code or kind, the two are one, or there are fewer than 3 points.
        TypeError: codes are isolated points.

    """
    known = kinds_of_paths(judge)
    if unknown := [kind for kind in kinds or () if kind not in known]:
        raise ValueError(f"expected kinds of paths out of {', '.join(known)}, got {unknown[0]!r}")
    if start == end:
        raise ValueError(f"expected two codes to join, got {start!r} twice")
    if points < 3:
        raise ValueError(f"expected 3 points or more, got {points}")
    judge.space.manifold.check_continuous()
    ends = judge.reference.select(ids=[start, end]).tensor().double()
    found = {}
    for kind in known if kinds is None else kinds:
        try:
            path, note = _path(kind, judge, start, end, ends, points)
        except ValueError:
            if kind != "density" or kinds is not None:
                raise
            continue
        found[kind] = JudgedPath(kind, judge(path), note)
    return found


def _path(kind: str, judge: PathJudge, start: object, end: object, ends: Tensor, points: int) -> tuple[Tensor, str]:
    """Return a path (N, d) and what is particular about it."""
    a, b = ends
    manifold = judge.space.manifold
    if kind == "linear":
        return paths.linear(a, b, points), ""
    if kind == "slerp":
        straight = bool(great_circles.opposite(a[None], b[None]).any())
        return paths.slerp(a, b, points), "opposite codes, joined straight" if straight else ""
    if kind == "manifold":
        return manifold.geodesic(a, b, points), ""
    if kind == "density":
        through = density_path(judge.reference, start, end, judge.k, graph=judge.graph)
        return equidistant(manifold, through.z, points), f"through {len(through.ids)} codes"
    return _geodesic(judge, a, b, points)


def _geodesic(judge: PathJudge, a: Tensor, b: Tensor, points: int) -> tuple[Tensor, str]:
    """Return the shortest path of decoded means in the directions that the decoder responds to; straight in others."""
    like = next(judge.space.parameters(), torch.zeros((), dtype=torch.get_default_dtype()))
    im = judge.metric
    basis = _responsive(im, judge.reference.tensor().to(like))
    t = torch.linspace(0, 1, points, dtype=torch.float64)[:, None]
    if not len(basis):
        return a + t * (b - a), "straight, as the decoder responds to nothing"
    plane = im.restrict(a.to(like), basis)
    inside = basis.double().cpu() @ (b - a)
    end = inside.to(like)[None]
    curve = geodesic(plane, torch.zeros_like(end), end, points)
    along = curve.points[0].double().cpu() @ basis.double().cpu()
    path = a + along + t * (b - a - inside @ basis.double().cpu())
    path[-1] = b
    others = judge.space.dim - len(basis)
    notes = [f"straight in {others} of {judge.space.dim} dimensions"] if others else []
    return path, ", ".join(notes if bool(curve.converged[0]) else [*notes, "did not converge"])


def _responsive(im: Immersion | HessianMetric, z: Tensor) -> Tensor:
    """Return an orthonormal basis (k, d) of the directions in which codes vary and the decoder responds.

    Of C^(1/2) G C^(1/2), C the covariance of codes and G the average metric, eigenvectors are kept whose eigenvalues
    exceed a thousandth of the largest.
    """
    centred = (z - z.mean(0)).double()
    variances, axes = torch.linalg.eigh(centred.T @ centred / max(1, len(z) - 1))
    root = (axes * variances.clamp(min=0).sqrt()) @ axes.T
    g = metric(im, z[:: max(1, len(z) // SAMPLE)][:SAMPLE]).double().mean(0)
    strength, directions = torch.linalg.eigh(root @ g @ root)
    kept = directions[:, strength > RESPONSE * strength.max().clamp(min=torch.finfo(torch.float64).tiny)]
    q, _ = torch.linalg.qr(root @ kept)
    return q.T.to(z)
