r"""Decoders of networks, from the code of a node to the logits of its links to all nodes.

                          logit of a link from code z to code w
    InnerProductLinks     z.w + b
    DistanceLinks         (r - d(z, w)) / t,    or  (r - d(z, w)^2) / t

where d is the distance of the manifold on which codes lie; sigmoid((r - d)/t) is the Fermi-Dirac distribution, with a
link of probability 1/2 at distance r. Rows are independent Bernoulli variables, one for each node.

A row has a column for the node itself, which models leave out of their losses. The geometry of a row at the code of a
node leaves it out as well where logits are distances: at the very code z they are the constant r/t, whose derivatives
are 0. (A distance has none there, and its square a second one that would be of the node's own making.)

Reference: Hoff, Raftery & Handcock, "Latent space approaches to social network analysis" (2002), equations 2 and 5;
Krioukov et al., "Hyperbolic geometry of complex networks" (2010), equation 12; Nickel & Kiela, "Poincare embeddings for
learning hierarchical representations" (2017), equation 6.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from math import isfinite

import torch
from torch import Tensor, nn

from lsgen.latent import Euclidean, Manifold
from lsgen.likelihoods import Bernoulli, Likelihood

__all__ = ["DistanceLinks", "InnerProductLinks", "LinkDecoder", "separation"]

_NUMBERS = 2**26  # that the differences of pairs may have together


class LinkDecoder(nn.Module, ABC):
    """Abstract decoder of codes (B, d) into the logits (B, N) of links to all nodes.

    Args:
        nodes: number N of nodes.
        dim: dimension d of codes.
        manifold: where codes lie; flat space unless given.
        contexts: whether nodes have codes of their own as targets of links, so that the direction of a link matters.

    Attributes:
        contexts: those codes (N, d), which are numbers as the manifold's parametrisation takes them; None without them.

    Raises:
        ValueError: there are fewer than 2 nodes, dim is not positive, or the manifold has other coordinates.

    """

    def __init__(self, nodes: int, dim: int, manifold: Manifold | None = None, contexts: bool = False) -> None:
        super().__init__()
        if nodes < 2:
            raise ValueError(f"expected a network of at least 2 nodes, got {nodes}")
        if dim < 1:
            raise ValueError(f"expected a latent dimension of at least 1, got {dim}")
        self.nodes, self.dim = int(nodes), int(dim)
        self.manifold = Euclidean() if manifold is None else manifold
        if self.manifold.coordinates not in (None, self.dim):
            raise ValueError(f"expected codes of {self.manifold.coordinates} coordinates, got dim = {dim}")
        self.contexts = nn.Parameter(torch.randn(nodes, dim) / dim**0.5) if contexts else None
        self._table: Callable[[], Tensor] | None = None

    @property
    def directed(self) -> bool:
        """Whether the logit of a link may depend on its direction."""
        return self.contexts is not None

    def likelihood(self) -> Likelihood:
        """Return the family of a row: independent Bernoulli variables unless told otherwise."""
        return Bernoulli((self.nodes,))

    def bind(self, table: Callable[[], Tensor]) -> None:
        """Store where the codes of nodes are, without registering it.

        Args:
            table: returns the codes of all nodes, (N, d); a method of a module, so that copies refer to their own.

        """
        self._table = table

    def targets(self) -> Tensor:
        """Return the codes (N, d) of all nodes as targets of links.

        Raises:
            RuntimeError: the decoder is bound to no table.

        """
        if self.contexts is not None:
            return self.manifold.parametrised(self.contexts)
        if self._table is None:
            raise RuntimeError(f"{type(self).__name__} expected to be bound to the codes of its nodes")
        return self._table()

    @abstractmethod
    def pair(self, z: Tensor, w: Tensor) -> Tensor:
        """Return the logits (B,) of links from codes z (B, d) to codes w (B, d), which are broadcast."""

    def between(self, z: Tensor, w: Tensor) -> Tensor:
        """Return the logits (B, M) of links from each of the codes (B, d) to each of the codes (M, d)."""
        rows = max(1, _NUMBERS // max(1, w.numel()))
        return torch.cat([self.pair(part[:, None], w) for part in z.split(rows)])

    def forward(self, z: Tensor) -> Tensor:
        """Return the logits (B, N) of links to all nodes."""
        return self.between(z, self.targets())


class InnerProductLinks(LinkDecoder):
    """Logits z.w + b.

    Args:
        nodes: number N of nodes.
        dim: dimension d of codes.
        bias: whether there is an intercept b, which is learned from 0 on.
        manifold: where codes lie; flat space unless given.
        contexts: see `LinkDecoder`.

    Raises:
        ValueError: see `LinkDecoder`.

    """

    def __init__(
        self, nodes: int, dim: int, bias: bool = True, manifold: Manifold | None = None, contexts: bool = False
    ) -> None:
        super().__init__(nodes, dim, manifold, contexts)
        self.bias = nn.Parameter(torch.zeros(())) if bias else None

    def pair(self, z: Tensor, w: Tensor) -> Tensor:
        """Return z.w + b."""
        return self._shifted((z * w).sum(-1))

    def between(self, z: Tensor, w: Tensor) -> Tensor:
        """Return z.w + b of all pairs."""
        return self._shifted(z @ w.mT)

    def _shifted(self, products: Tensor) -> Tensor:
        return products if self.bias is None else products + self.bias


class DistanceLinks(LinkDecoder):
    """Logits (r - d(z, w)) / t of the distance on the manifold.

    Args:
        nodes: number N of nodes.
        dim: dimension d of codes.
        manifold: where codes lie; flat space unless given.
        radius: r; its first value where it is learned.
        temperature: t.
        squared: whether the square of the distance stands in its place.
        learned: whether r is learned.
        contexts: see `LinkDecoder`.

    Raises:
        ValueError: the radius is not finite, the temperature is not positive, or see `LinkDecoder`.

    """

    radius: Tensor

    def __init__(
        self,
        nodes: int,
        dim: int,
        manifold: Manifold | None = None,
        radius: float = 1.0,
        temperature: float = 1.0,
        squared: bool = False,
        learned: bool = True,
        contexts: bool = False,
    ) -> None:
        super().__init__(nodes, dim, manifold, contexts)
        if not isfinite(radius) or not 0 < temperature < float("inf"):
            raise ValueError(f"expected a finite radius and a temperature above 0, got {radius} and {temperature}")
        self.temperature, self.squared = float(temperature), bool(squared)
        start = torch.tensor(float(radius))
        if learned:
            self.radius = nn.Parameter(start)
        else:
            self.register_buffer("radius", start)

    def pair(self, z: Tensor, w: Tensor) -> Tensor:
        """Return (r - d) / t, or (r - d^2) / t."""
        return (self.radius - separation(self.manifold, z, w, self.squared)) / self.temperature


def separation(manifold: Manifold, z: Tensor, w: Tensor, squared: bool = False) -> Tensor:
    """Return the distances (B,) of codes (B, d), or their squares, constant where the codes are the same."""
    if not isinstance(manifold, Euclidean):
        length = manifold.distance(*torch.broadcast_tensors(z, w))
        return length.square() if squared else length
    square = (z - w).square().sum(-1)
    some = square.where(square > 0, 1)
    return torch.where(square > 0, some if squared else some.sqrt(), 0.0)
