r"""Distances between codes, for the search of nearest neighbours.

    Euclidean    |x - y|
    cosine       1 - cos(x, y) = |u - w|^2 / 2,                     u = x/|x|, w = y/|y|
    angle        2 atan2(|u - w|, |u + w|)                          directions, points of the unit sphere
    Fisher-Rao   2 angle(sqrt p, sqrt q) = 2 arccos sum_i sqrt(p_i q_i)       probabilities, the simplex
    hyperbolic   arcosh(-<X, Y>_L) / sqrt c = 2 asinh(|x - y| / sqrt(s(x) s(y))) / sqrt c
                 of the Poincare ball, s = 1 - |x|^2, or of the hyperboloid, x = X_i / (1 + X_0), s = 2 / (1 + X_0)
    codebooks    the number of places with other entries
    weighted     sum_k a_k |x_k - y_k|, with weights that a model has learned

Each but the last two is a function of a chord |a - b| between feature vectors, so that a matrix product of features
finds candidates, and the chord of a pair, from differences of its coordinates, keeps small distances. For one x the
distance grows with w(y) |a - b|^2, where the weight w is 1 except in hyperbolic space, w = 1/s.

Reference: Nickel & Kiela, "Learning continuous hierarchies in the Lorentz model of hyperbolic geometry" (2018),
https://arxiv.org/abs/1806.03417, equations 5 to 11, for the hyperboloid and the ball.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.linalg import vector_norm

from lsgen.latent import great_circles
from lsgen.latent.manifolds.lorentz import Lorentz
from lsgen.latent.manifolds.manifold import Euclidean, Manifold, PoincareBall, Sphere
from lsgen.latent.manifolds.product_manifolds import ProductManifold
from lsgen.latent.manifolds.supports import Codebook, Simplex

__all__ = [
    "AngularDistance",
    "ChordDistance",
    "CodeDistance",
    "CodebookDistance",
    "CosineDistance",
    "EuclideanDistance",
    "FisherRaoDistance",
    "HyperbolicDistance",
    "HyperboloidDistance",
    "ManifoldDistance",
    "PoincareDistance",
    "WeightedL1Distance",
    "distance_on",
]

ENTRIES = 2**22


class CodeDistance(ABC):
    """Abstract distance between codes (N, d)."""

    @abstractmethod
    def features(self, z: Tensor) -> Tensor:
        """Return the feature vectors (N, p) of codes (N, d), of which the distance is a function.

        Raises:
            ValueError: there is a code between which and others no distance exists.

        """

    @abstractmethod
    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the distances (B,) of feature vectors (B, p) in double precision, from differences of coordinates."""

    def pairwise(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the distances (M, N) between feature vectors (M, p) and (N, p), some rows at a time."""
        size = max(1, ENTRIES // max(1, b.numel()))
        parts = [self.between(*torch.broadcast_tensors(rows[:, None], b)).double() for rows in a.split(size)]
        return torch.cat(parts)


class ChordDistance(CodeDistance):
    """Abstract distance from x to y that grows with the weighted squared chord w(y) |a - b|^2."""

    def chord(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the ends of chords, (N, q), and the weights w (N,) of features (N, p); None where all are 1."""
        return features, None


@dataclass(frozen=True)
class EuclideanDistance(ChordDistance):
    """The length of the difference."""

    def features(self, z: Tensor) -> Tensor:
        """Return the codes."""
        return z

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """Return |a - b|."""
        difference = a.double() - b.double()
        length = vector_norm(difference, dim=-1)
        rounded = ~((length > 2.0**-490) & (length < 2.0**500))  # squares that leave the range of numbers
        if bool(rounded.any()):
            length[rounded] = _scaled_norm(difference[rounded])
        return length


@dataclass(frozen=True)
class CosineDistance(ChordDistance):
    """One minus the cosine of the angle between vectors, from 0 to 2."""

    def features(self, z: Tensor) -> Tensor:
        """Return the directions of vectors, none of which may be zero."""
        return _directions(z)

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """Return |a - b|^2 / 2."""
        return (a - b).square().sum(-1) / 2


@dataclass(frozen=True)
class AngularDistance(ChordDistance):
    """The angle between vectors in radians: the geodesic distance of the unit sphere."""

    def features(self, z: Tensor) -> Tensor:
        """Return the directions of vectors, none of which may be zero."""
        return _directions(z)

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the angle."""
        return great_circles.angle(a, b)


@dataclass(frozen=True)
class FisherRaoDistance(ChordDistance):
    """The Fisher-Rao distance between probability vectors, from 0 to pi; it orders them as Hellinger's does."""

    def features(self, z: Tensor) -> Tensor:
        """Return the square roots of probability vectors, which must not be negative and must sum to 1."""
        p = z.double()
        slack = torch.finfo(z.dtype).eps ** 0.5
        if bool((p < 0).any()) or bool(((p.sum(-1) - 1).abs() > slack * z.shape[-1] ** 0.5).any()):
            raise ValueError("expected probability vectors, of numbers from 0 to 1 with the sum 1, got others")
        return great_circles.unit_vector(p.sqrt())

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """Return twice the angle."""
        return 2 * great_circles.angle(a, b)


@dataclass(frozen=True)
class HyperbolicDistance(ChordDistance):
    """Abstract hyperbolic distance; features are points x of the ball of curvature -1 and their gaps 1 - |x|^2.

    Args:
        curvature: c > 0; the sectional curvature is -c.

    Raises:
        ValueError: c is not positive or not finite.

    """

    curvature: float = 1.0

    def __post_init__(self) -> None:
        PoincareBall(self.curvature)

    def chord(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the points x and the weights 1/s."""
        return features[..., :-1], 1 / features[..., -1]

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """Return 2 asinh(|x - y| / sqrt(s(x) s(y))) / sqrt c."""
        chord = vector_norm(a[..., :-1] - b[..., :-1], dim=-1)
        return 2 * torch.asinh(chord / (a[..., -1] * b[..., -1]).sqrt()) / self.curvature**0.5


@dataclass(frozen=True)
class PoincareDistance(HyperbolicDistance):
    """The hyperbolic distance of codes in the Poincare ball c |z|^2 < 1."""

    def features(self, z: Tensor) -> Tensor:
        """Return sqrt(c) z and the gaps."""
        x = PoincareBall(self.curvature).unit(z)
        gap = 1 - x.square().sum(-1, keepdim=True)
        if bool((gap <= 0).any()):
            rim = self.curvature**-0.5
            raise ValueError(f"expected codes in the ball |z| < {rim:g}, got {float(z.norm(dim=-1).max()):g}")
        return torch.cat([x, gap], -1)


@dataclass(frozen=True)
class HyperboloidDistance(HyperbolicDistance):
    """The hyperbolic distance of points (X_0, X_1, ..., X_d) of the hyperboloid <X, X>_L = -1/c, X_0 > 0."""

    def features(self, z: Tensor) -> Tensor:
        """Return X_i / (1 + X_0) and the gaps 2 / (1 + X_0), for c = 1."""
        x = self.curvature**0.5 * z.double()
        time, space = x[..., :1], x[..., 1:]
        off = (time.square() - space.square().sum(-1, keepdim=True) - 1).abs()
        slack = torch.finfo(z.dtype).eps ** 0.5
        if bool((time < 1 - slack).any()) or bool((off > slack * time.square()).any()):
            raise ValueError(
                f"expected points of the hyperboloid <X, X> = {-1 / self.curvature:g}, X_0 > 0, got others"
            )
        time = (1 + space.square().sum(-1, keepdim=True)).sqrt()
        return torch.cat([space / (1 + time), 2 / (1 + time)], -1)


@dataclass(frozen=True)
class ManifoldDistance(CodeDistance):
    """The geodesic distance of any other manifold, such as a product, which is compared pair by pair.

    Args:
        manifold: where codes lie.

    """

    manifold: Manifold

    def features(self, z: Tensor) -> Tensor:
        """Return the codes in double precision."""
        return z.double()

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the length of the shortest geodesic."""
        return self.manifold.distance(a, b)


@dataclass(frozen=True)
class CodebookDistance(CodeDistance):
    """The number of places at which codes of codebooks differ; of several codebooks, the norm of these numbers.

    Args:
        parts: codebooks whose codes follow one another.

    """

    parts: tuple[Codebook, ...]

    def features(self, z: Tensor) -> Tensor:
        """Return the entries of all places, as numbers (N, L)."""
        pieces = z.split([part.coordinates for part in self.parts], -1)
        return torch.cat([part.indices(piece) for part, piece in zip(self.parts, pieces, strict=True)], -1).double()

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """Return |(n_1, n_2, ...)| for n_i different entries of the i-th codebook."""
        pieces = (a != b).double().split([part.length for part in self.parts], -1)
        return vector_norm(torch.stack([piece.sum(-1) for piece in pieces], -1), dim=-1)


@dataclass(frozen=True, eq=False)
class WeightedL1Distance(CodeDistance):
    """The sum of weighted absolute differences of coordinates; no metric where a weight is below 0.

    Args:
        weights: a, one for each coordinate, (d,).

    """

    weights: Tensor

    def features(self, z: Tensor) -> Tensor:
        """Return the codes in double precision."""
        return z.double()

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """Return sum_k a_k |x_k - y_k|."""
        return (a - b).abs() @ self.weights.to(a)


def distance_on(manifold: Manifold) -> CodeDistance:
    """Return the distance between codes of a manifold: Fisher-Rao's on a simplex, elsewhere the manifold's own."""
    if isinstance(manifold, Euclidean):
        return EuclideanDistance()
    if isinstance(manifold, Sphere):
        return AngularDistance()
    if isinstance(manifold, PoincareBall):
        return PoincareDistance(manifold.curvature)
    if isinstance(manifold, Lorentz):
        return HyperboloidDistance(manifold.curvature)
    if isinstance(manifold, Simplex):
        return FisherRaoDistance()
    parts = tuple(manifold.parts) if isinstance(manifold, ProductManifold) else (manifold,)
    books = tuple(part for part in parts if isinstance(part, Codebook))
    return CodebookDistance(books) if len(books) == len(parts) else ManifoldDistance(manifold)


def _scaled_norm(v: Tensor) -> Tensor:
    """Return |v| of vectors of any size, divided by a power of two beforehand."""
    exponent = torch.frexp(v.abs().amax(-1))[1].clamp(-1022, 1023)
    scale = torch.exp2(exponent.double())
    return vector_norm(v / scale[..., None], dim=-1) * scale


def _directions(z: Tensor) -> Tensor:
    if bool((z == 0).all(-1).any()):
        raise ValueError("expected vectors that have a direction, got a zero vector")
    return great_circles.unit_vector(z.double())
