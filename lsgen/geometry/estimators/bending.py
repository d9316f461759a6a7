r"""How much the image of the latent space bends: extrinsic and intrinsic curvature, from a few second derivatives.

For vectors v that are uniform on the unit sphere of g, of the plane of a random frame U of k axes,

    II(v, v) = D^2 f(v, v) - J U A^-1 (J U)^T D^2 f(v, v),    A = U^T g U

    extrinsic  E |II(v, v)|^2 = (2 |II|^2 + |tr II|^2) / (k (k + 2))
    intrinsic  E S^2,    S = k (k - 1) E[ <II(v, v), II(w, w)> - |II(v, w)|^2 ]     (Gauss),  v and w orthogonal

At k = d these belong to the whole image, and change neither with the coordinates of z nor with rotations of x. Below,
they belong to the images of flat k-planes of codes: at k = 1, to the squared curvature of the image of a straight line.
The square of the scalar curvature S is the product of two
independent estimates of it, where k exceeds 2, and so has no bias.

Reference: Lee & Park, "On explicit curvature regularization in deep generative models" (2023),
https://arxiv.org/abs/2309.10237; do Carmo, "Riemannian Geometry" (1992), chapter 6, theorem 2.5.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lsgen.geometry.estimators.frames import check_plane, random_frames
from lsgen.geometry.estimators.pushforward import Differential

__all__ = ["extrinsic_bending", "squared_scalar_curvature"]

ROUNDING = 32


def extrinsic_bending(f: Differential, z: Tensor, plane: int | None = None) -> Tensor:
    """Return E |II(v, v)|^2 over codes and unit vectors, without bias, a scalar in inverse squared lengths.

    Args:
        f: the differential of a map into flat space.
        z: codes (N, d).
        plane: dimension k of random planes, 1 to d; d where it is not given. The cost is k + 4 forward passes.

    Returns:
        The mean; NaN where the metric of a plane is singular to rounding.

    Raises:
        TypeError: the map does not go into flat space with a positive inner product.
        ValueError: k is not positive.

    """
    _check_flat(f)
    surface = _Surface(f, z, check_plane(plane))
    k = surface.dim
    direction = torch.randn(len(z), 1, k, dtype=z.dtype, device=z.device)
    bend = surface.normals(direction / torch.linalg.vector_norm(direction, dim=-1, keepdim=True))
    return bend.square().sum(-1).mean()


def squared_scalar_curvature(f: Differential, z: Tensor, plane: int | None = None) -> Tensor:
    """Return E S^2 of the scalar curvature over codes, without bias, a scalar in inverse fourth powers of lengths.

    Args:
        f: the differential of a map into flat space.
        z: codes (N, d).
        plane: dimension k of random planes, 2 to d; d where it is not given. The cost is k + 7 forward passes at
            k = 2, and k + 13 above.

    Returns:
        The mean; NaN where the metric of a plane is singular to rounding.

    Raises:
        TypeError: the map does not go into flat space with a positive inner product.
        ValueError: k or the latent dimension is below 2.

    """
    _check_flat(f)
    if f.dim < 2:
        raise ValueError("expected a latent dimension of at least 2 for intrinsic curvature, got 1")
    surface = _Surface(f, z, check_plane(plane, least=2))
    k = surface.dim
    sectional = [surface.sectional() for _ in range(1 if k == 2 else 2)]
    return (k * (k - 1)) ** 2 * (sectional[0] * sectional[-1]).mean()


class _Surface:
    """The images of random planes through codes, and their normal spaces."""

    def __init__(self, f: Differential, z: Tensor, plane: int | None) -> None:
        self.f, self.z = f, z
        self.frames = random_frames(plane, z)
        self.tangents = f.push(z, self.frames).transpose(0, 1)
        wide = self.tangents.double()
        self.factor, fault = torch.linalg.cholesky_ex(wide @ wide.mT)
        # A pivot is the distance of a tangent from the span of those before it, which rounding of tangents or of their
        # squares hides.
        bound = max(ROUNDING * torch.finfo(z.dtype).eps, (ROUNDING * torch.finfo(wide.dtype).eps) ** 0.5)
        pivots, lengths = self.factor.diagonal(dim1=-2, dim2=-1), torch.linalg.vector_norm(wide, dim=-1)
        flat = (pivots <= bound * lengths).any(-1)
        self.factor = torch.where(((fault > 0) | flat)[:, None, None], torch.nan, self.factor)

    @property
    def dim(self) -> int:
        """The dimension k of the planes."""
        return len(self.frames)

    def sectional(self) -> Tensor:
        """Return the sectional curvature of a random plane within each image, (N,)."""
        pairs = torch.randn(len(self.z), 2, self.dim, dtype=torch.float64, device=self.z.device)
        factor = torch.linalg.cholesky_ex(pairs @ pairs.mT)[0]
        bend = self.normals(torch.linalg.solve_triangular(factor, pairs, upper=False))
        return (bend[0, 0] * bend[1, 1]).sum(-1) - bend[0, 1].square().sum(-1)

    def normals(self, directions: Tensor) -> Tensor:
        """Return II(v_i, v_j) (q, q, N, m) of vectors (N, q, k) in an orthonormal basis of the image's tangents."""
        inside = torch.linalg.solve_triangular(self.factor.mT, directions.double().mT, upper=True).mT.to(self.z)
        vectors = torch.einsum("nqk,knd->qnd", inside, self.frames)
        bend = self.f.accelerate(self.z, vectors)
        pulled = torch.einsum("nkm,pqnm->nkpq", self.tangents, bend).double().flatten(2)
        within = torch.cholesky_solve(pulled, self.factor).to(self.z).unflatten(2, bend.shape[:2])
        return bend - torch.einsum("nkpq,nkm->pqnm", within, self.tangents)


def _check_flat(f: Differential) -> None:
    """Refuse a map whose target bends, or has negative signs."""
    if not f.flat:
        raise TypeError(
            "expected a map into flat space with a positive inner product, got one into another space: "
            'kind "euclidean" of a latent space is such a map'
        )
