r"""The differential of a map, and inner products of the tangent vectors that it pushes forward.

    J v = d f(z + t v) / dt,    <u, w>_y = u^T F(y) w,    g(v, w) = <J v, J w>

The form F is that of a flat space (signs, +1 or -1) or the Fisher information of a likelihood, so that every family has
a metric here, whether it embeds into a flat space or not. Neither J nor g is formed: k vectors cost k + 1 forward
passes. All results are differentiable in the codes, the vectors and the weights.

Values are not looked at, so that no call waits for an accelerator; a map in train mode is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor

from lsgen.geometry.checks import check_modules
from lsgen.geometry.immersion import Immersion, immersion
from lsgen.latent import LatentSpace
from lsgen.likelihoods import FlatLikelihood, Likelihood

__all__ = ["Differential", "differential"]


@final
@dataclass(frozen=True)
class Differential:
    """The differential J of a map, with the inner product of its target.

    Args:
        map: the map, z (N, d) -> y (N, m), and the signs of a flat target.
        information: the likelihood of raw outputs y, whose Fisher information is the inner product; that of flat space
            where it is not given.

    Raises:
        TypeError: with any call, codes of another dtype than the weights.
        ValueError: with any call, codes of another shape or on another device, or a module of the map in train mode.

    """

    map: Immersion
    information: Likelihood | None = None

    @property
    def dim(self) -> int:
        """The latent dimension d."""
        return self.map.dim

    @property
    def flat(self) -> bool:
        """Whether the target is Euclidean, so that second derivatives of the map tell how its image bends."""
        return self.information is None and self.map.euclidean

    def gram(self, z: Tensor, vectors: Tensor) -> Tensor:
        """Return g(v_i, v_j) (N, k, k) of vectors (k, N, d) at codes (N, d)."""
        y, u = self._pushed(z, vectors, isometric=True)
        return torch.einsum("knm,lnm->nkl", u, self._raised(y, u))

    def squares(self, z: Tensor, v: Tensor) -> Tensor:
        """Return g(v, v) (N,) of vectors (N, d) at codes (N, d)."""
        y, u = self._pushed(z, v[None], isometric=True)
        return (u * self._raised(y, u)).sum(-1)[0]

    def push(self, z: Tensor, vectors: Tensor) -> Tensor:
        """Return J v (k, N, m) of vectors (k, N, d) at codes (N, d)."""
        return self._pushed(z, vectors, isometric=False)[1]

    def accelerate(self, z: Tensor, vectors: Tensor) -> Tensor:
        """Return the second derivatives D^2 f(v_i, v_j) (k, k, N, m) along vectors (k, N, d) at codes (N, d)."""
        self._check(z)
        x = self.map.expansion(z, 2, vectors)
        k, n = len(vectors), len(z)
        if not x.curved:
            return x.t.new_zeros(k, k, n, x.t.shape[-1])
        return x.t[k:][x.frame.places(z.device)]

    def _pushed(self, z: Tensor, vectors: Tensor, isometric: bool) -> tuple[Tensor, Tensor]:
        self._check(z)
        x = self.map.expansion(z, 1, vectors, isometric and self.information is None)
        return x.v, x.t

    def _check(self, z: Tensor) -> None:
        if z.ndim != 2 or z.shape[1] != self.dim:
            raise ValueError(f"expected codes of shape (N, {self.dim}), got {tuple(z.shape)}")
        check_modules(self.map.fn, z)

    def _raised(self, y: Tensor, u: Tensor) -> Tensor:
        """Return F(y) u of vectors (k, N, m) at values (N, m)."""
        if self.information is None:
            return self.map.signed(u)
        shape = self.information.raw_shape
        h, parts = y.unflatten(1, shape), self.information.split(u.unflatten(2, shape))
        raised = (self.information.fisher(h) @ parts[..., None]).squeeze(-1)
        return self.information.join(raised).flatten(2)


def differential(space: LatentSpace, kind: Literal["fisher", "euclidean"] = "fisher") -> Differential:
    """Return the differential whose metric is that of a latent space; of an immersion f it is `Differential(f)`.

    Args:
        space: the latent space.
        kind: see `immersion`; "fisher" works for every likelihood, with a flat embedding or without.

    Raises:
        TypeError: space is no `LatentSpace`.
        ValueError: another kind.

    """
    if not isinstance(space, LatentSpace):
        raise TypeError(f"expected a LatentSpace, or Differential(f) of an immersion f, got {type(space).__name__}")
    if kind not in ("fisher", "euclidean"):
        raise ValueError(f'expected kind "fisher" or "euclidean", got {kind!r}')
    if kind == "fisher" and not isinstance(space.likelihood, FlatLikelihood):
        return Differential(Immersion(space.decoder, space.dim), space.likelihood)
    return Differential(immersion(space, kind))
