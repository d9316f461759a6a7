r"""Derivatives of the Frechet mean and variance, by the implicit function theorem.

The mean of codes x_i with weights w_i solves

    F(mu, x, w, theta) = sum_i w_i log_mu(x_i) = 0,    so that    d mu = H^-1 dF at fixed mu,    H = -dF/dmu,

and V = sum_i w_i |log_mu(x_i)|^2_g, which is stationary in mu, has the derivatives that it has at fixed mu. Both take
those of the logarithm (`lsgen.geometry.geodesics.implicit`). In flat space H = 1.

Reference: Karcher, "Riemannian center of mass and mollifier smoothing" (1977), for F; Krantz & Parks, "The Implicit
Function Theorem" (2002), chapter 3.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lsgen.geometry.compat import outside_transforms
from lsgen.geometry.geodesics.energy import raw_energy
from lsgen.geometry.geodesics.implicit import implicit_step, values_of, without_derivative
from lsgen.geometry.geodesics.logarithm import log_map
from lsgen.geometry.riemannian import RiemannianMetric

__all__ = ["differentiable_mean"]


class _MeanHessian:
    """H = -dF/dmu at means (B, d) of sets (B, n, d) with weights (B, n), computed when it is first needed."""

    def __init__(
        self, im: RiemannianMetric, mean: Tensor, sets: Tensor, shares: Tensor, options: dict[str, Any]
    ) -> None:
        self.im, self.mean, self.options = im, mean, options
        self.sets, self.shares = values_of(im, sets, shares)

    @cached_property
    def matrices(self) -> Tensor:
        """The matrices (B, d, d), in float64."""
        with outside_transforms(self.mean), torch.inference_mode(False), torch.enable_grad():
            live = self.mean.clone().requires_grad_()
            v = _logarithms(self.im, live, self.sets, self.options)
            force = torch.einsum("bn,bnd->bd", self.shares, torch.where((self.shares == 0)[..., None], 0, v))
            rows = [torch.autograd.grad(column.sum(), live, retain_graph=True)[0] for column in force.unbind(-1)]
        return -torch.stack(rows, 1).double()

    def solve(self, side: Tensor, transposed: bool) -> Tensor:
        """Return H^-1 v or H^-T v for v (..., B, d); NaN where H is singular."""
        matrix = self.matrices.mT if transposed else self.matrices
        x, info = torch.linalg.solve_ex(matrix, side.double()[..., None])
        return torch.where((info == 0)[..., None], x[..., 0], torch.nan).to(side)


def differentiable_mean(
    im: RiemannianMetric,
    mean: Tensor,
    variance: Tensor,
    converged: Tensor,
    sets: Tensor,
    shares: Tensor,
    options: dict[str, Any],
) -> tuple[Tensor, Tensor]:
    """Return Frechet means (B, d) and variances (B,) with derivatives by codes, weights of the mean and of the map.

    Derivatives of a mean that did not converge are NaN.

    Args:
        im: the metric.
        mean: the means (B, d).
        variance: the variances (B,).
        converged: which are means (B,).
        sets: codes (B, n, d).
        shares: weights (B, n) that sum to one.
        options: those of `log_map`.

    """
    rows = converged.nonzero().flatten()
    if len(rows):
        mu, x, w = mean[rows], sets[rows], shares[rows]
        v = _logarithms(im, mu, x, options)
        lost = (w == 0) & v.isnan().any(-1)
        v = torch.where(lost[..., None], 0, v)
        unknown = torch.where(lost, without_derivative(w), 0).sum(-1)
        force = torch.einsum("bn,bnd->bd", w, v) + unknown[:, None]
        mean = mean.index_add(0, rows, implicit_step(force, _MeanHessian(im, mu, x, w, options)))
        square = torch.einsum("bni,bij,bnj->bn", v, im.gram(mu, wide=False), v)
        total = (w * square).sum(-1) + unknown
        variance = variance.index_add(0, rows, total - total.detach())
    rows = (~converged).nonzero().flatten()
    if len(rows):
        some = (shares[rows, :, None] * sets[rows]).sum((1, 2)) + raw_energy(im, sets[rows][:, [0, -1]])
        none = without_derivative(some)
        mean = mean.index_add(0, rows, none[:, None].expand(-1, mean.shape[1]))
        variance = variance.index_add(0, rows, none)
    return mean, variance


def _logarithms(im: RiemannianMetric, mean: Tensor, sets: Tensor, options: dict[str, Any]) -> Tensor:
    """Return log_mean(x) (B, n, d) for means (B, d) and codes (B, n, d)."""
    base = mean[:, None].expand_as(sets)
    return log_map(im, base.flatten(0, 1), sets.flatten(0, 1), **options).reshape(sets.shape)
