r"""Latent spaces on curved manifolds, such as the sphere, as parts of the flat space around them.

Codes of a manifold M in R^d have k coordinates too many. With a retraction r of the points near M onto it, and normal
coordinates nu which are 0 on M, the map

    z -> (f(r(z)), c nu(z)),    on the sphere (f(z / |z|), c log |z|),

is an immersion of the points near M, and its metric the product of the metric of f on M and of a flat R^k:

    g(u, v) = <Df u, Df v> + c^2 <D nu u, D nu v> .

M is totally geodesic in a product. Geodesics, distances, exponential and logarithmic maps, parallel transport, means
and curvature of M are therefore those of the product, in d coordinates of which no point of a sphere is a pole. For a
statistical model the second term is the Fisher information of a Gaussian observation of nu with standard deviation
1/c, which is how it is added here. Results do not depend on c, which is kept near the length of unit tangent vectors.

Reference: O'Neill, "Semi-Riemannian Geometry" (1983), chapter 3, proposition 56 and corollary 57, for products.
"""

from __future__ import annotations

import math
from math import prod
from typing import Any, cast

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import pad

from lsgen.latent import Manifold
from lsgen.likelihoods import CubicLikelihood, FlatLikelihood, Likelihood

__all__ = ["Retracted", "Surrounded", "flat_likelihood", "surrounded"]

SLACK = 3


class Retracted:
    """A decoder of the points near a manifold: the raw outputs at the retracted code, and c nu.

    Args:
        decoder: the decoder of codes, (N, d) -> (N, *raw).
        manifold: the manifold.

    Attributes:
        length: c, the length of a unit vector across the manifold.

    """

    def __init__(self, decoder: Any, manifold: Manifold) -> None:
        self.decoder, self.manifold, self.length = decoder, manifold, 1.0

    def belongs_to(self) -> tuple[Any, Any]:
        """Return the decoder and what distinguishes this map of it, for the cache of traces."""
        return self.decoder, ("retracted", self.manifold, self.length)

    def __call__(self, z: Tensor) -> Tensor:
        """Return the outputs (N, raw + k) at points (N, d)."""
        h = self.decoder(self.manifold.retraction(z))
        return torch.cat([h.flatten(1), self.length * self.manifold.normal_coordinates(z)], 1)

    def calibrate(self, g: Tensor) -> bool:
        """Set c to the root mean square length of unit tangent vectors, unless it is within 2^SLACK of that.

        Args:
            g: metrics (N, d, d) at codes, of which c is a part.

        Returns:
            Whether c has changed.

        """
        z = torch.zeros(1, g.shape[-1])
        normals = self.manifold.normal_coordinates(z).shape[1]
        square = (g.diagonal(dim1=-2, dim2=-1).sum(-1).double() - normals * self.length**2) / (z.shape[1] - normals)
        sizes = square[square.isfinite() & (square > 0)]
        wanted = round(math.log2(sizes.median().item()) / 2) if len(sizes) else math.log2(self.length)
        far = abs(wanted - math.log2(self.length)) > SLACK
        if far:
            self.length = 2.0**wanted
        return far


class Surrounded(Likelihood):
    """A likelihood with k Gaussian observations of standard deviation 1 beside it.

    Args:
        likelihood: the family.
        raw: shape of the raw outputs of one code.
        normals: k.

    """

    def __init__(self, likelihood: Likelihood, raw: tuple[int, ...], normals: int) -> None:
        super().__init__((prod(raw) + normals,))
        self.likelihood, self.raw, self.normals = likelihood, raw, normals

    def parts(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return the raw outputs (B, *raw) and the normal coordinates (B, k) of h (B, raw + k)."""
        raw, normal = h.split([prod(self.raw), self.normals], -1)
        return raw.unflatten(-1, self.raw), normal

    def forward(self, h: Tensor) -> Distribution:
        """Return p(x|h) of the family, without the observations beside it."""
        distribution: Distribution = self.likelihood(self.parts(h)[0])
        return distribution

    def fisher(self, h: Tensor) -> Tensor:
        """Return the information in blocks (B, D + k, heads, heads); of an observation beside, in the first head."""
        raw, normal = self.parts(h)
        blocks = self.likelihood.fisher(raw)
        blocks = blocks.reshape(*normal.shape[:-1], -1, *blocks.shape[-2:])
        one = pad(torch.ones_like(normal)[..., None, None], (0, blocks.shape[-1] - 1, 0, blocks.shape[-1] - 1))
        return torch.cat([blocks, one], -3)

    def split(self, h: Tensor) -> Tensor:
        """Return h as (B, D + k, heads), in the layout of `fisher`."""
        raw, normal = self.parts(h)
        own = self.likelihood.split(raw)
        own = own.reshape(*normal.shape[:-1], -1, own.shape[-1])
        return torch.cat([own, pad(normal.unsqueeze(-1), (0, own.shape[-1] - 1))], -2)

    def join(self, coordinates: Tensor) -> Tensor:
        """Return coordinates (B, D + k, heads) in the layout of h."""
        own, beside = coordinates.split([coordinates.shape[-2] - self.normals, self.normals], -2)
        like = self.likelihood.split(own.new_zeros(self.raw))
        raw = self.likelihood.join(own.reshape(*own.shape[:-2], *like.shape))
        return torch.cat([raw.reshape(*own.shape[:-2], -1), beside[..., 0]], -1)

    def in_support(self, x: Tensor) -> Tensor:
        """Ask the family."""
        return self.likelihood.in_support(x)


class FlatSurrounded(Surrounded, FlatLikelihood):
    """A likelihood that embeds into a flat space, with Gaussian observations beside it."""

    @property
    def signature(self) -> Tensor:
        """The signs of the family, and +1 for each observation beside it."""
        return pad(cast(FlatLikelihood, self.likelihood).signature, (0, self.normals), value=1.0)

    def embed(self, h: Tensor, at: Tensor | None = None) -> Tensor:
        """Return the embedding of the family with the normal coordinates after it, (B, m + k)."""
        raw, normal = self.parts(h)
        base = None if at is None else self.parts(at)[0]
        return torch.cat([cast(FlatLikelihood, self.likelihood).embed(raw, at=base), normal], -1)

    def distance_bound(self, h: Tensor, other: Tensor) -> Tensor:
        """Return the bound of the family, since nothing is shorter by leaving the manifold."""
        first, last = self.parts(h)[0], self.parts(other)[0]
        return cast(FlatLikelihood, self.likelihood).distance_bound(first, last)


class CubicSurrounded(Surrounded, CubicLikelihood):
    """A likelihood with third moments of the score, and Gaussian observations, which have none, beside it."""

    def amari_chentsov(self, h: Tensor, v: Tensor) -> Tensor:
        """Return the tensor of the family."""
        return cast(CubicLikelihood, self.likelihood).amari_chentsov(self.parts(h)[0], self.parts(v)[0])


class CubicFlatSurrounded(FlatSurrounded, CubicSurrounded):
    """A likelihood with both, and Gaussian observations beside it."""


def surrounded(likelihood: Likelihood, raw: tuple[int, ...], normals: int) -> Surrounded:
    """Return a likelihood with Gaussian observations beside it, flat and cubic if the likelihood is."""
    flat, cubic = isinstance(likelihood, FlatLikelihood), isinstance(likelihood, CubicLikelihood)
    kinds: dict[tuple[bool, bool], Any] = {
        (False, False): Surrounded,
        (True, False): FlatSurrounded,
        (False, True): CubicSurrounded,
        (True, True): CubicFlatSurrounded,
    }
    made: Surrounded = kinds[flat, cubic](likelihood, raw, normals)
    return made


def flat_likelihood(likelihood: Likelihood) -> FlatLikelihood:
    """Return a likelihood that has a flat embedding, or refuse it."""
    if isinstance(likelihood, Surrounded) and not isinstance(likelihood, FlatLikelihood):
        likelihood = likelihood.likelihood
    if not isinstance(likelihood, FlatLikelihood):
        raise TypeError(
            f"expected a likelihood with a flat embedding (a FlatLikelihood), got {type(likelihood).__name__}: "
            "metric_field(space) is its Fisher-Rao metric; kinds euclidean and expected work too"
        )
    return likelihood
