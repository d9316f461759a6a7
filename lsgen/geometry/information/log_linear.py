r"""The Fisher metric of log-linear families over many outcomes, such as p(context | word vector), in closed form.

    p_c(z) = exp(u_c.z + b_c - psi(z)),    psi(z) = log sum_c exp(u_c.z + b_c)

is an exponential family with natural parameters z and the outcomes' vectors u_c as sufficient statistics. Its metric
and connection are cumulants of u_c about its mean, w_c = u_c - sum p u,

    g_ij = d_i d_j psi = sum_c p_c w_ci w_cj = U^T (diag p - p p^T) U,
    psi_ijk = sum_c p_c w_ci w_cj w_ck,    Gamma_k,ij = psi_ijk / 2,    R = (|psi_abc|^2 - |psi_aac|^2) / 4

in an orthonormal frame: third derivatives are enough for the curvature of a Hessian metric. For V outcomes and d
dimensions g takes one product of matrices (d, V) and (V, d), all psi_ijk one of (d(d+1)/2, V) and (V, d), which is
V d^3 operations; memory is a few times V d numbers, as the products w_ci w_cj are made for one i at a time.

With <,> the inner product of the inverse metric, both terms of R hold sum_c p_c^2 <w_c, w_c>^3 / 4, which cancels,
with a relative rounding error of eps times the condition of g. A rare outcome that has a direction to itself makes it
1 / 4 p_c: where that leaves less than a percent of R right, R is NaN.

Reference: Amari & Nagaoka, "Methods of Information Geometry" (2000), sections 2.3 and 3.5; Shima, "The Geometry of
Hessian Structures" (2007), chapter 2.
"""

from __future__ import annotations

from copy import copy
from typing import Self

import torch
from torch import Tensor

from lsgen.geometry.double import widened_map
from lsgen.geometry.factorisation import Factored, eigenvalues
from lsgen.geometry.hessian_metric import HessianMetric, KnownPotential
from lsgen.geometry.immersion import Immersion, immersion
from lsgen.geometry.jets import Frame, Taylor
from lsgen.latent import Euclidean, LatentSpace
from lsgen.likelihoods import Categorical

__all__ = ["LogPartitionPotential", "affine_logits", "fisher_metric", "log_linear_metric"]

PROBES = 3
PERCENT = 0.01


class LogPartitionPotential(KnownPotential):
    """psi(z) = log sum_c exp(u_c.z + b_c) with its first three derivatives in closed form.

    Args:
        weight: the vectors u_c of outcomes, (V, d).
        bias: b_c, (V,); 0 unless given.

    Raises:
        ValueError: the shapes are others, or a number is not finite.

    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        bias = weight.new_zeros(len(weight)) if bias is None else bias
        if weight.ndim != 2 or 0 in weight.shape or bias.shape != weight.shape[:1]:
            raise ValueError(f"expected weight (V, d) and bias (V,), got {tuple(weight.shape)} and {tuple(bias.shape)}")
        if not bool(weight.isfinite().all() & bias.isfinite().all()):
            raise ValueError("expected finite weight and bias, got others")
        self.weight, self.bias = weight.detach(), bias.detach()
        self._cast: dict[torch.dtype, tuple[Tensor, Tensor]] = {}

    def __call__(self, z: Tensor) -> Tensor:
        """Return psi at codes (N, d), (N,)."""
        return self._logits(z).logsumexp(-1)

    def gradient(self, z: Tensor) -> Tensor:
        """Return the mean of u_c at codes (N, d), (N, d)."""
        weight, _ = self._parameters(self._dtype(z))
        return self._logits(z).softmax(-1) @ weight

    def expansion(self, z: Tensor, vectors: Tensor, order: int, split: int = 0) -> Taylor:
        """Return the gradient with its derivatives along vectors at codes (N, d), as `propagate` does."""
        weight, _ = self._parameters(self._dtype(z))
        frame = Frame(len(vectors), order, split)
        parts = []
        for n, p in enumerate(self._logits(z).softmax(-1)):
            mean = p @ weight
            centred = weight - mean
            along = centred @ (vectors if vectors.ndim == 2 else vectors[:, n]).to(weight).mT
            weighted = p[:, None] * along
            rows = [weighted.mT @ centred]
            if order == 2:
                rows += [(weighted[:, i, None] * along[:, first:]).mT @ centred for i, first, _, _ in frame.blocks]
            parts.append((mean, torch.cat(rows)))
        values, rows_of = zip(*parts, strict=True)
        return Taylor(frame, torch.stack(values), torch.stack(rows_of, 1))

    def lower_bound(self, start: Tensor, end: Tensor) -> Tensor:
        """Return the distance 2 arccos sum_c sqrt(p_c q_c) of all distributions of V outcomes, (N,)."""
        roots = [torch.exp(self._logits(z).log_softmax(-1) / 2) for z in (start, end)]
        return 4 * torch.asin((roots[0] - roots[1]).norm(dim=-1).clamp(max=2) / 2)

    def rounds_off(self, z: Tensor, metric: Factored, curvature: Tensor) -> Tensor:
        """Return where rounding of what cancels exceeds a percent of R, or of the R of all distributions."""
        weight, _ = self._parameters(self._dtype(z))
        cancelled = []
        for p, inverse in zip(self._logits(z).softmax(-1), metric.inverse.to(weight), strict=True):
            centred = weight - p @ weight
            cancelled.append((p**2 * ((centred @ inverse) * centred).sum(-1) ** 3).sum() / 4)
        d, values = z.shape[-1], eigenvalues(metric.g, 0.0)[0]
        error = torch.finfo(weight.dtype).eps * values[:, 0] / values[:, -1] * torch.stack(cancelled).to(values)
        return error > PERCENT * curvature.abs().clamp(min=d * (d - 1) / 4)

    def restricted(self, origin: Tensor, basis: Tensor) -> LogPartitionPotential:
        """Return psi on an affine plane, a -> psi(origin + sum_i a_i basis_i)."""
        weight, bias = self._parameters(torch.float64)
        made = LogPartitionPotential(weight @ basis.double().mT, bias + weight @ origin.double())
        return made.in_double() if self.widened else made

    def in_double(self) -> Self:
        """Return the same function computed in float64."""
        made = copy(self)
        made.widened = True
        return made

    def _dtype(self, z: Tensor) -> torch.dtype:
        return torch.float64 if self.widened else z.dtype

    def _logits(self, z: Tensor) -> Tensor:
        weight, bias = self._parameters(self._dtype(z))
        return z.to(weight) @ weight.mT + bias

    def _parameters(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        if dtype not in self._cast:
            self._cast[dtype] = self.weight.to(dtype), self.bias.to(dtype)
        return self._cast[dtype]


@torch.no_grad()
def affine_logits(space: LatentSpace) -> LogPartitionPotential | None:
    """Return the log-partition function of a space whose decoder has affine logits of one categorical variable.

    Whether they are affine is found by decoding a few codes. None for another likelihood, for several variables, for
    codes on a curved manifold and for a decoder that is not affine, such as a hierarchical softmax.

    Args:
        space: the latent space, in evaluation mode.

    """
    likelihood = space.likelihood
    if not isinstance(likelihood, Categorical) or likelihood.dimensions != 1 or space.manifold != Euclidean():
        return None
    like = next(space.decoder.parameters(), torch.zeros(()))
    d, decode = space.dim, widened_map(space.decoder)
    generator = torch.Generator().manual_seed(0)
    probes = torch.randn(PROBES, d, generator=generator, dtype=torch.float64).to(like.device)
    codes = torch.cat([probes.new_zeros(1, d), torch.eye(d, dtype=torch.float64, device=like.device), 3 * probes])
    h = torch.cat([decode(part).flatten(1) for part in codes.split(64)])
    bias, weight = h[0], (h[1 : d + 1] - h[0]).mT
    expected = codes[d + 1 :] @ weight.mT + bias
    if not bool(h.isfinite().all()):
        return None
    scale = 1 + h.abs().amax()
    return LogPartitionPotential(weight, bias) if bool(((h[d + 1 :] - expected).abs() <= 1e-9 * scale).all()) else None


def fisher_metric(space: LatentSpace) -> Immersion | HessianMetric:
    """Return the Fisher metric of p(x|z): in closed form where `affine_logits` finds it, otherwise by an immersion.

    Args:
        space: the latent space, in evaluation mode.

    Raises:
        TypeError: the likelihood has no immersion.

    """
    known = affine_logits(space)
    return immersion(space) if known is None else HessianMetric(known, space.dim, definite=True)


def log_linear_metric(space: LatentSpace) -> HessianMetric:
    """Return the Fisher metric of p(x|z) of a space with affine logits of one categorical variable, in closed form.

    Args:
        space: the latent space, in evaluation mode.

    Raises:
        TypeError: its logits are not affine, or those of several variables; `lsgen.geometry.immersion` takes it.

    Example:
        >>> from lsgen.latent import StandardNormal
        >>> space = LatentSpace(torch.nn.Linear(2, 5), Categorical((1,), 5, 4), StandardNormal(2)).eval()
        >>> log_linear_metric(space)(torch.zeros(3, 2)).shape
        torch.Size([3, 2, 2])

    """
    if (potential := affine_logits(space)) is None:
        raise TypeError(
            f"expected affine logits of one categorical variable, got {type(space.decoder).__name__} and "
            f"{space.likelihood.dimensions} variables of {type(space.likelihood).__name__} on {space.manifold}"
        )
    return HessianMetric(potential, space.dim, definite=True)
