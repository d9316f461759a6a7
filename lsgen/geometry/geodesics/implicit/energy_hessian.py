r"""The exact Hessian of the discrete energy at geodesics, and its inverse.

The interior points of a geodesic solve F = 0, F_i = -(1/2n) dE/dz_i, and H = -dF/dz is the Hessian of the energy over
2n, block-tridiagonal. Its model by Gauss and Newton leads to the same points but has other derivatives. Where H is
positive definite it is solved by cyclic reduction, at a saddle as a dense matrix. Where the ends are conjugate H is
singular and the points have no derivative: with the positive definite model M of the energy, the solution of H x = v
then has

    |x^T H x| < n^-2 x^T M x,

which is within what n segments know of H.

Reference: Milnor, "Morse Theory" (1963), sections 13 to 16, for the Hessian of the energy and conjugate points.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from lsgen.geometry.compat import outside_transforms
from lsgen.geometry.geodesics.tridiagonal import product, solve
from lsgen.geometry.riemannian import Blocks, RiemannianMetric

__all__ = ["EnergyHessian"]


class EnergyHessian:
    """The exact Hessian of the discrete energy over 2n at geodesics, computed when it is first needed.

    Args:
        im: the metric.
        curves: geodesics (B, N, d), as values.
        size: number of curves to work on at once.

    """

    def __init__(self, im: RiemannianMetric, curves: Tensor, size: int) -> None:
        self.im, self.curves, self.size = im, curves, size

    @cached_property
    def blocks(self) -> tuple[Blocks, Blocks]:
        """The Hessian and a positive definite model of it, in float64."""
        found = []
        with outside_transforms(self.curves), torch.no_grad():
            for part in self.curves.split(self.size):
                system = self.im.exact_system(part, self.im.segment_data(part))
                found.append((system.hessian, system.safe or system.hessian))
        exact, model = (Blocks(*(torch.cat(x) for x in zip(*parts, strict=True))) for parts in zip(*found, strict=True))
        return exact, model

    def solve(self, side: Tensor, transposed: bool) -> Tensor:
        """Return H^-1 v for v (..., B, N-2, d); NaN where H is singular, 0 where v is 0."""
        many = side.shape[:-3].numel()
        exact, model = (Blocks(*(x.repeat(many, 1, 1, 1) for x in part)) for part in self.blocks)
        v = side.double().reshape(-1, *side.shape[-2:])
        x, definite = solve(*exact, v)
        rows = (~definite).nonzero().flatten()
        if len(rows):
            saddles = Blocks(exact.diagonal[rows], exact.next[rows])
            x = x.index_copy(0, rows, _solved_densely(saddles, v[rows]))
        n = v.shape[1] + 1
        told = (x * v).sum((-2, -1)).abs() >= (x * product(*model, x)).sum((-2, -1)) / n**2
        asked = (v != 0).flatten(1).any(-1)
        x = torch.where((told & asked)[:, None, None], x, torch.where(asked, torch.nan, 0.0)[:, None, None])
        return x.reshape(side.shape).to(side)


def _solved_densely(blocks: Blocks, side: Tensor) -> Tensor:
    """Return the solutions (B, n, d) of symmetric block-tridiagonal systems of any sign; NaN where one is singular."""
    b, n, d = side.shape
    matrix = side.new_zeros(b, n, d, n, d)
    place = torch.arange(n, device=side.device)
    matrix[:, place, :, place] = blocks.diagonal.transpose(0, 1)
    matrix[:, place[:-1], :, place[1:]] = blocks.next.transpose(0, 1)
    matrix[:, place[1:], :, place[:-1]] = blocks.next.mT.transpose(0, 1)
    x, info = torch.linalg.solve_ex(matrix.reshape(b, n * d, n * d), side.flatten(1)[..., None])
    return torch.where((info == 0)[:, None, None], x.reshape(b, n, d), torch.nan)
