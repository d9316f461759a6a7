r"""Embeddings of a network by ranking: linked nodes are to be nearer than others, in any space of constant curvature.

    L = - sum over links (u, v) of  log  exp(-d(u, v)) / ( exp(-d(u, v)) + sum_k exp(-d(u, v_k)) )

with negatives v_k drawn uniformly from the nodes that u is not linked to (u itself is none), new ones for each link of
a batch. It is softmax regression on a sample of classes. On the Poincare ball these are Poincare embeddings, and the
hyperboloid is the same space in other coordinates; flat space, the sphere and products are alternatives to both.

Where a step starts matters: with all codes near one point, gradients of the first epochs order the angles, at a small
rate, before codes spread ("burn-in"). `torch.optim.lr_scheduler.ConstantLR` as `scheduler` is that.

Reference: Nickel & Kiela, "Poincare embeddings for learning hierarchical representations" (2017),
https://arxiv.org/abs/1705.08039, equations 4 to 6; and "Learning continuous hierarchies in the Lorentz model of
hyperbolic geometry" (2018), https://arxiv.org/abs/1806.03417; Gu et al., "Learning mixed-curvature representations in
product spaces" (2019), for products.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lsgen.latent import Euclidean
from lsgen.latent.graphs import Graph
from lsgen.models.base import Batch, OptimizerFactory
from lsgen.models.graphs.node_model import NodeModel
from lsgen.models.graphs.non_neighbours import NonNeighbours
from lsgen.models.graphs.ranked_links import RankedLinks
from lsgen.models.graphs.riemannian import RiemannianSGD, geoopt_parameter, geoopt_steps
from lsgen.models.graphs.space import NodeSpace
from lsgen.models.losses import ScalarLoss
from lsgen.models.optimised import OptimisedModel

__all__ = ["PairRanking"]


class PairRanking(NodeModel, OptimisedModel):
    """A code for each node, which is nearer to those of its neighbours than to others.

    A batch holds links (B, 2), such as those of `Links`, with a "weight" where links have weights. A link without a
    direction counts from both of its ends. Codes are in double precision, whatever the precision of training.

    Args:
        decoder: the logits -d(z, w) on the manifold on which codes lie.
        negatives: nodes without a link to u that are drawn for each link (u, v).
        spread: of the first codes, see `NodeSpace`.
        optimizer: codes -> optimiser: `RiemannianSGD` with learning rate 0.3 unless given, or one of geoopt; in flat
            space any.
        scheduler: optimiser -> learning-rate scheduler, stepped once a generator step; none unless given.
        max_steps: generator steps after which training stops.

    Raises:
        TypeError: the decoder is none of rankings; when training starts, the optimiser does not know the manifold.
        ValueError: there is no negative; when training starts, see `NodeModel`, or weights are negative.

    """

    latent_space: NodeSpace

    def __init__(
        self,
        decoder: RankedLinks,
        negatives: int = 50,
        spread: float = 1e-3,
        optimizer: OptimizerFactory | None = None,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        max_steps: int | None = None,
    ) -> None:
        if not isinstance(decoder, RankedLinks):
            raise TypeError(f"expected RankedLinks as decoder, got {type(decoder).__name__}")
        if negatives < 1:
            raise ValueError(f"expected at least 1 negative, got {negatives}")
        space = NodeSpace(decoder.double(), spread).double()
        factory = partial(RiemannianSGD, lr=0.3) if optimizer is None else optimizer
        OptimisedModel.__init__(self, space, factory, scheduler, max_steps)
        self.negatives = int(negatives)
        self.others = NonNeighbours(space.graph)
        self._sparse = False

    def learn(self, graph: Graph) -> None:
        """Store the network, and which nodes are not linked.

        Raises:
            ValueError: it has negative weights, or see `NodeModel`.

        """
        graph.require(type(self).__name__)
        super().learn(graph)
        self.others.take(graph)

    def loss(self, batch: Batch) -> ScalarLoss:
        """Return the average of -log p(v | u, negatives) over links, by their weights where they have any."""
        links, weight = batch["x"], batch.get("weight")
        if not self.latent_space.graph.directed:
            links = torch.cat([links, links.flip(1)])
            weight = None if weight is None else torch.cat([weight, weight])
        found = self.losses(links)
        mean = found.mean() if weight is None else (weight.to(found) * found).sum() / weight.to(found).sum()
        return self.regularised(ScalarLoss(mean), batch)

    def losses(self, links: Tensor) -> Tensor:
        """Return -log p(v | u, negatives) of links (u, v), int64 (B, 2), in nats, (B,)."""
        negatives, some = self.others.draw(links[:, 0], self.negatives)
        codes = embedding(torch.cat([links, negatives], 1), self.latent_space.codes, sparse=self._sparse)
        logits = self.latent_space.decoder.pair(codes[:, :1], codes[:, 1:])
        excess = (logits[:, 1:] - logits[:, :1]).masked_fill(~some, -torch.inf)
        return torch.nn.functional.pad(excess, (1, 0)).logsumexp(1)

    def configure_optimizers(self) -> Any:
        """Return the optimiser, which knows where codes lie, and the scheduler.

        Raises:
            TypeError: the optimiser does not know the manifold, or geoopt does not.
            ImportError: it is one of geoopt, which is not installed.

        """
        space = self.latent_space
        found: dict[str, Any] = super().configure_optimizers()
        optimizer = found["optimizer"]
        if geoopt_steps(optimizer):
            space.codes = geoopt_parameter(space.codes, space.manifold)
            found = super().configure_optimizers()
        elif isinstance(optimizer, RiemannianSGD):
            optimizer.on(space.manifold)
        elif type(space.manifold) is not Euclidean:
            raise TypeError(
                f"expected RiemannianSGD or an optimiser of geoopt for codes on {space.manifold}, got "
                f"{type(optimizer).__name__}, which would leave it"
            )
        rows_alone = isinstance(optimizer, RiemannianSGD) and space.codes.device.type == "cpu"
        self._sparse = rows_alone or type(optimizer).__name__.startswith("Sparse")
        return found
