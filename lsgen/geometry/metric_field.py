r"""A metric given directly, z -> g(z): the intrinsic route.

Learned and conformal metrics, and Fisher-Rao metrics of families without a flat embedding, g = J_h^T F(h) J_h, have no
immersion to differentiate. First and second derivatives of g itself take its place.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lsgen.geometry.checks import check_codes, check_map
from lsgen.geometry.jets import propagate
from lsgen.latent import LatentSpace

__all__ = ["MetricField", "PulledBackInformation", "metric_field"]


class FieldJet(NamedTuple):
    """g_ij (N, d, d), d_k g_ij (N, d, d, d) as [k, i, j], and d_k d_l g_ij (N, d, d, d, d) as [k, l, i, j]."""

    g: Tensor
    first: Tensor
    second: Tensor | None


class MetricField:
    r"""A Riemannian metric given as a function of the codes.

    Args:
        fn: maps codes (N, d) to symmetric positive definite matrices (N, d, d), each code by itself.
        dim: latent dimension d.

    Raises:
        TypeError: fn cannot be called.
        ValueError: dim is not positive.

    Example:
        >>> half_plane = MetricField(lambda z: torch.eye(2) / z[:, 1, None, None] ** 2, dim=2)
        >>> half_plane(torch.tensor([0.0, 2.0]))
        tensor([[0.2500, 0.0000],
                [0.0000, 0.2500]])

    """

    def __init__(self, fn: Callable[[Tensor], Tensor], dim: int) -> None:
        check_map(fn, dim)
        self.fn, self.dim = fn, int(dim)
        self.trusted = False

    def __call__(self, z: Tensor) -> Tensor:
        """Return g(z), of shape (B, d, d), at codes (B, d)."""
        return self.matrices(check_codes(self.fn, self.dim, z)).reshape(*z.shape[:-1], self.dim, self.dim)

    @property
    def local(self) -> Callable[[Tensor], Tensor]:
        """The function whose derivatives are taken."""
        return self.fn

    def lifted(self, z: Tensor) -> Tensor:
        """Return the codes themselves."""
        return z

    def matrices(self, z: Tensor) -> Tensor:
        """Return g at codes (N, d), checked, of shape (N, d, d)."""
        g = self.fn(z)
        self._check(g.shape, len(z))
        return (g + g.mT) / 2

    def jet(self, z: Tensor, order: int) -> FieldJet:
        """Return g with its derivatives at codes (N, d), checked."""
        d, n = self.dim, len(z)
        x = propagate(self.fn, z, torch.eye(d, dtype=z.dtype, device=z.device), order)
        self._check(x.shape, n)
        first = x.j.movedim(0, 1)
        if order == 1:
            return FieldJet(x.v, first, None)
        second = x.t.new_zeros(n, d, d, d, d)
        if x.curved:
            second = x.t[d:].movedim(0, 1)[:, x.frame.places(z.device)]
        return FieldJet(x.v, first, second)

    def _check(self, shape: torch.Size, n: int) -> None:
        if tuple(shape) != (n, self.dim, self.dim):
            raise ValueError(f"expected a metric of shape {(n, self.dim, self.dim)}, got {tuple(shape)}")


class PulledBackInformation:
    """z -> J_h^T F(h) J_h for any likelihood."""

    widened = False

    def __init__(self, space: LatentSpace) -> None:
        self.decoder, self.likelihood, self.manifold = space.decoder, space.likelihood, space.manifold

    def belongs_to(self) -> tuple[Any, Any]:
        """Return the decoder and what distinguishes this map of it, for the cache of traces."""
        return self.decoder, ("information", weakref.ref(self.likelihood))

    def __call__(self, z: Tensor) -> Tensor:
        """Return the matrices (N, d, d) at codes (N, d)."""
        h, d = self.decoder(z), z.shape[-1]
        x = propagate(self.decoder, z, torch.eye(d, dtype=z.dtype, device=z.device), 1)
        j = self.likelihood.split(x.j.movedim(0, 1))
        f = self.likelihood.fisher(h)
        heads = j.shape[-1]
        j, f = j.reshape(len(z), d, -1, heads), f.reshape(len(z), -1, heads, heads)
        return torch.einsum("nimh,nmhk,njmk->nij", j, f, j)


def metric_field(space: LatentSpace) -> MetricField:
    r"""Return the pulled-back Fisher-Rao metric of any likelihood, with a flat embedding or without.

        g = J_h^T F(h) J_h

    Its curvature takes third derivatives of the decoder; where the likelihood has a flat embedding, `immersion` is
    faster.

    Args:
        space: the latent space.

    Raises:
        TypeError: space is no `LatentSpace`.

    Reference:
        Arvanitidis et al., "Pulling back information geometry" (2022), https://arxiv.org/abs/2106.05367, equation 6.

    """
    if not isinstance(space, LatentSpace):
        raise TypeError(f"expected a LatentSpace, got {type(space).__name__}")
    return MetricField(PulledBackInformation(space), space.dim)
