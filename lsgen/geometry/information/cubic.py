r"""Statistical manifolds: a Riemannian metric with its Amari-Chentsov tensor.

    g_ij = E[d_i l d_j l],    T_ijk = E[d_i l d_j l d_k l],    l = log p(x|z).

Both are tensors, so that those of a decoder z -> h(z) are those of its likelihood pulled back,

    T_ijk(z) = T_abc(h) J^a_i J^b_j J^c_k,    J^a_i = dh_a/dz_i ,

and of an exponential family of log partition function phi in its natural coordinates

    g_ij = d_i d_j phi,    T_ijk = d_i d_j d_k phi .

T is what the Kullback-Leibler divergence lacks in symmetry: with z the middle of two codes,

    KL(z + v/2 || z - v/2) - KL(z - v/2 || z + v/2) = T_ijk v^i v^j v^k / 6 + O(|v|^4) .

Reference: Amari & Nagaoka, "Methods of Information Geometry" (2000), chapters 2 and 3; Chentsov, "Statistical Decision
Rules and Optimal Inference" (1982); Arvanitidis et al., "Pulling back information geometry" (2022),
https://arxiv.org/abs/2106.05367, for the metric of a decoder.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any, cast, final

import torch
from torch import Tensor

from lsgen.geometry.batching import pointwise
from lsgen.geometry.double import DecoderMap
from lsgen.geometry.embedded import full_hessian
from lsgen.geometry.hessian_metric import HessianMetric, check_family
from lsgen.geometry.immersion import immersion
from lsgen.geometry.jets import propagate
from lsgen.geometry.metric_field import metric_field
from lsgen.geometry.riemannian import Map, RiemannianMetric, check_metric
from lsgen.latent import LatentSpace
from lsgen.likelihoods import CubicLikelihood, FlatLikelihood

__all__ = ["StatisticalManifold", "amari_chentsov", "exponential_family", "statistical_manifold"]


@final
@dataclass(frozen=True, eq=False)
class StatisticalManifold:
    """A Riemannian metric on the latent space with its Amari-Chentsov tensor.

    Args:
        metric: the metric.
        cubic: maps codes (N, d) to symmetric tensors (N, d, d, d), each code by itself.

    Raises:
        TypeError: the metric is no `RiemannianMetric`, or cubic cannot be called.

    """

    metric: RiemannianMetric
    cubic: Map

    def __post_init__(self) -> None:
        check_metric(self.metric)
        if not callable(self.cubic):
            raise TypeError(f"expected a map z -> T(z), got {type(self.cubic).__name__}")

    @property
    def dim(self) -> int:
        """The latent dimension d."""
        return self.metric.dim

    def tensor(self, z: Tensor) -> Tensor:
        """Return T (N, d, d, d) at checked codes (N, d)."""
        t, expected = self.cubic(z), (len(z), *[self.dim] * 3)
        if tuple(t.shape) != expected:
            raise ValueError(f"expected a cubic tensor of shape {expected}, got {tuple(t.shape)}")
        return t

    def slopes(self, z: Tensor) -> Tensor:
        """Return d_k T_ijl (N, d, d, d, d), the derivative first, at checked codes (N, d)."""
        eye = torch.eye(self.dim, dtype=z.dtype, device=z.device)
        return propagate(self.cubic, z, eye, 1).j.movedim(0, 1)


class PulledBackCubic(DecoderMap):
    """The map z -> T(z) of a latent space."""

    def belongs_to(self) -> tuple[Any, Any]:
        """Return the decoder and what distinguishes this map of it, for the cache of traces."""
        return self.owner, ("cubic", weakref.ref(self.family), self.normal_length)

    def __call__(self, z: Tensor) -> Tensor:
        """Return the tensors (N, d, d, d) at codes (N, d)."""
        x = propagate(self.decoder, z, torch.eye(z.shape[-1], dtype=z.dtype, device=z.device), 1)
        return cast(CubicLikelihood, self.likelihood).amari_chentsov(self.decoder(z), x.j.movedim(0, 1))


class ThirdDerivative:
    """The map z -> d_i d_j d_k phi(z) of the gradient of a potential.

    Args:
        gradient: the map z -> d phi(z).

    """

    def __init__(self, gradient: Map) -> None:
        self.gradient = gradient

    def __call__(self, z: Tensor) -> Tensor:
        """Return the third derivatives (N, d, d, d) at codes (N, d)."""
        return full_hessian(propagate(self.gradient, z, torch.eye(z.shape[-1], dtype=z.dtype, device=z.device), 2))


def statistical_manifold(space: LatentSpace) -> StatisticalManifold:
    """Return the latent space with the Fisher-Rao metric and the Amari-Chentsov tensor of p(x|z).

    Args:
        space: the latent space.

    Raises:
        TypeError: space is no `LatentSpace`, or the third moments of its likelihood's score have no closed form.

    """
    if not isinstance(space, LatentSpace):
        raise TypeError(f"expected a LatentSpace, got {type(space).__name__}")
    if not isinstance(space.likelihood, CubicLikelihood):
        raise TypeError(
            "expected a likelihood with third moments of the score in closed form (a CubicLikelihood), "
            f"got {type(space.likelihood).__name__}"
        )
    flat = isinstance(space.likelihood, FlatLikelihood)
    return StatisticalManifold(immersion(space) if flat else metric_field(space), PulledBackCubic(space))


def exponential_family(family: HessianMetric) -> StatisticalManifold:
    """Return a full exponential family in its natural coordinates, with T the third derivatives of its potential.

    Args:
        family: the metric of its log partition function.

    Raises:
        TypeError: family is no `HessianMetric`.

    """
    check_family(family)
    return StatisticalManifold(family, ThirdDerivative(family.local))


def amari_chentsov(manifold: StatisticalManifold, z: Tensor, chunk_size: int | None = None) -> Tensor:
    r"""Return the Amari-Chentsov tensor.

        T_ijk = E[d_i l d_j l d_k l],    l = log p(x|z)

    Args:
        manifold: the statistical manifold.
        z: codes (B, d).
        chunk_size: number of codes to work on at once.

    Returns:
        Symmetric tensors (B, d, d, d), in nats.

    Raises:
        TypeError, ValueError: see `lsgen.geometry.metric`.

    Reference:
        Amari & Nagaoka (2000), equation 2.33.

    """
    return pointwise(lambda part: (manifold.tensor(part),), manifold.metric, z, chunk_size, order=2)[0]
