"""The decoder of a network by distances alone, which rank the nodes that a node may be linked to."""

from __future__ import annotations

from torch import Tensor

from lsgen.latent import Manifold
from lsgen.likelihoods import Categorical, Likelihood
from lsgen.models.graphs.decoders import LinkDecoder, separation

__all__ = ["RankedLinks"]


class RankedLinks(LinkDecoder):
    """Logits -d(z, w) / t of one node out of all: p(v | u) is proportional to exp(-d(u, v) / t).

    A row is a categorical variable, which node a link from u leads to. A link may have a direction: it says in whose
    row it counts. u itself has a column, with the logit 0, which the ranking of others does not look at.

    Args:
        nodes: number N of nodes.
        dim: dimension d of codes; on a sphere or a hyperboloid one more than that of the space.
        manifold: where codes lie; flat space unless given.
        temperature: t.

    Raises:
        ValueError: the temperature is not positive, or see `LinkDecoder`.

    Reference: Nickel & Kiela, "Poincare embeddings for learning hierarchical representations" (2017), equation 6.
    """

    def __init__(self, nodes: int, dim: int, manifold: Manifold | None = None, temperature: float = 1.0) -> None:
        super().__init__(nodes, dim, manifold)
        if not 0 < temperature < float("inf"):
            raise ValueError(f"expected a temperature above 0, got {temperature}")
        self.temperature = float(temperature)

    @property
    def directed(self) -> bool:
        """Whether links may have a direction: always, though distances do not depend on it."""
        return True

    def likelihood(self) -> Likelihood:
        """Return the family of a row: one node out of N."""
        return Categorical((1,), levels=self.nodes, high=self.nodes - 1)

    def pair(self, z: Tensor, w: Tensor) -> Tensor:
        """Return -d / t."""
        return -separation(self.manifold, z, w) / self.temperature
