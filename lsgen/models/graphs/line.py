r"""LINE: codes of nodes from their links (first order) and from the links that they share (second order).

                 a link i -> j is told from pairs with nodes n of the noise by          score h_ij
    first        -log s(h_ij) - sum_k log s(-h_in),    n ~ q                            u_i.u_j
    second       the same                                                               u_i.c_j

with s the logistic function, c the codes of nodes as contexts, and q ~ strength^power, the strength of a node being the
sum of the weights of its links. So s(h_ij) is the probability that a pair is a link rather than one of the K times as
many of noise. Both orders together are two trainings side by side, of which each has half of the coordinates; the
logit of a pair is then the mean of both. A link without direction counts from either end. Links are to be drawn in
proportion to their weights (`Links` with by_weight); where they come with a weight, their losses are multiplied by it.

Reference: Tang et al., "LINE: large-scale information network embedding" (2015), equations 1-7.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, softplus
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lsgen.latent.graphs import Graph
from lsgen.models.base import Batch, OptimizerFactory
from lsgen.models.graphs.decoders import LinkDecoder
from lsgen.models.graphs.node_model import NodeModel
from lsgen.models.graphs.space import NodeSpace
from lsgen.models.losses import ScalarLoss
from lsgen.models.optimised import OptimisedModel

__all__ = ["Line", "LineLinks"]

Order = Literal["first", "second", "both"]


class LineLinks(LinkDecoder):
    """Logits of links that are inner products with codes, with contexts, or the mean of both.

    Args:
        nodes: number N of nodes.
        dim: dimension d of codes, of which each order has half where there are both.
        order: "first", "second" or "both".
        negatives: pairs of noise for each link.
        power: of the strengths of nodes, to which the noise is proportional.

    Attributes:
        contexts: the codes of nodes as contexts, (N, d) or (N, d/2), which are 0 at the start; None of the first order.

    Raises:
        ValueError: there is no such order, both of them have an odd dimension, negatives is not positive, power is no
            finite number, or see `LinkDecoder`.

    """

    cumulative: Tensor

    def __init__(self, nodes: int, dim: int, order: Order = "both", negatives: int = 5, power: float = 0.75) -> None:
        super().__init__(nodes, dim)
        if order not in get_args(Order):
            raise ValueError(f"expected an order out of {', '.join(get_args(Order))}, got {order!r}")
        if order == "both" and dim % 2:
            raise ValueError(f"expected an even latent dimension, half of it for each order, got {dim}")
        if negatives < 1 or not abs(power) < float("inf"):
            raise ValueError(f"expected at least 1 negative and a finite power, got {negatives} and {power}")
        self.order: Order = order
        self.negatives, self.power = int(negatives), float(power)
        self.sizes = {"first": (dim, 0), "second": (0, dim), "both": (dim // 2, dim // 2)}[order]
        if self.sizes[1]:
            self.contexts = nn.Parameter(torch.zeros(nodes, self.sizes[1]))
        self.register_buffer("cumulative", torch.zeros(nodes - 1, dtype=torch.float64), persistent=False)
        self.weigh(torch.ones(nodes))

    def weigh(self, strengths: Tensor) -> None:
        """Store the distribution of the noise that follows from the strengths of nodes (N,); 0 has none."""
        weights = torch.where(strengths > 0, strengths.double() ** self.power, 0)
        self.cumulative.copy_((weights.cumsum(0) / weights.sum())[:-1])

    def targets(self) -> Tensor:
        """Return what the codes (N, d) are multiplied with: those of the first order, then the contexts."""
        if self.order != "both":
            return super().targets()
        if self._table is None or self.contexts is None:
            raise RuntimeError("LineLinks expected to be bound to the codes of its nodes")
        return torch.cat([self._table()[:, : self.sizes[0]], self.contexts], 1)

    def pair(self, z: Tensor, w: Tensor) -> Tensor:
        """Return z.w, halved where there are both orders."""
        return (z * w).sum(-1) / self._orders

    def between(self, z: Tensor, w: Tensor) -> Tensor:
        """Return z.w of all pairs, halved where there are both orders."""
        return z @ w.mT / self._orders

    def contrasted(self, targets: Tensor) -> Tensor:
        """Return the targets of links (n,) with new nodes of the noise, int64 (n, 1 + negatives)."""
        shape = len(targets), self.negatives
        drawn = torch.rand(shape, dtype=torch.float64, device=targets.device)
        return torch.cat([targets[:, None], torch.searchsorted(self.cumulative.double(), drawn, right=True)], 1)

    @property
    def _orders(self) -> int:
        return sum(size > 0 for size in self.sizes)


class Line(NodeModel, OptimisedModel):
    """LINE of the first order, the second, or both.

    A batch holds links, int64 (B, 2), such as those of `Links`. A step goes along the sum of the gradients of its
    links, where the authors step from link to link.

    Args:
        decoder: the scores of links, and the noise that they are told from.
        spread: standard deviation of the first codes. In the paper they are uniform from -1/2d to 1/2d.
        optimizer: parameters -> optimiser that takes sparse gradients; stochastic gradient descent at the rate 0.025 of
            a link unless given.
        scheduler: optimiser -> learning-rate scheduler, stepped once a generator step; none unless given.
        max_steps: generator steps after which training stops.

    Raises:
        TypeError: the decoder is none of LINE.
        ValueError: an option is out of its range; when training starts, weights are negative, or the first order is to
            learn a directed network.

    """

    def __init__(
        self,
        decoder: LineLinks,
        spread: float = 0.1,
        optimizer: OptimizerFactory | None = None,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        max_steps: int | None = None,
    ) -> None:
        if not isinstance(decoder, LineLinks):
            raise TypeError(f"expected LineLinks as decoder, got {type(decoder).__name__}")
        descent = partial(torch.optim.SGD, lr=0.025) if optimizer is None else optimizer
        OptimisedModel.__init__(self, NodeSpace(decoder, spread), descent, scheduler, max_steps)
        self._mean_weight = 1.0

    def learn(self, graph: Graph) -> None:
        """Store the network and the noise that follows from it.

        Raises:
            ValueError: weights are negative, or the first order is to learn a directed network.

        """
        decoder = self._decoder
        graph.require(f"Line of order {decoder.order}", directed=False if decoder.sizes[0] else None)
        super().learn(graph)
        links, nodes = graph.edges.numpy(), graph.nodes
        weights = graph.strengths().numpy()
        decoder.weigh(torch.from_numpy(sum(np.bincount(links[:, end], weights, nodes) for end in (0, 1))))
        self._mean_weight = float(weights.mean())

    def loss(self, batch: Batch) -> ScalarLoss:
        """Return the average loss of a link from one of its ends, in nats, the sum of those of both orders."""
        space, decoder = self.latent_space, self._decoder
        assert isinstance(space, NodeSpace)
        source, target = batch["x"].unbind(1)
        weight = source.new_ones(len(source), dtype=torch.float32)
        if "weight" in batch:
            weight = batch["weight"] / self._mean_weight
        if not space.graph.directed:
            source, target, weight = torch.cat([source, target]), torch.cat([target, source]), weight.repeat(2)
        nodes = decoder.contrasted(target)
        tables = [(self._rows(space.codes, nodes), slice(decoder.sizes[0]))] if decoder.sizes[0] else []
        if decoder.contexts is not None:
            tables.append((self._rows(decoder.contexts, nodes), slice(decoder.sizes[0], None)))
        z = self._rows(space.codes, source)
        total = z.new_zeros(())
        for w, part in tables:
            own = w[..., part] if w.shape[-1] == z.shape[-1] else w
            scores = (own @ z[:, part, None])[..., 0]
            found = softplus(-scores[:, 0]) + softplus(scores[:, 1:]).sum(1)
            total = total + (weight.to(found) * found).mean()
        return ScalarLoss(total)

    def summands(self, batch: Batch) -> int:
        """Return the number of links from each of their ends: a step goes along the sum of their gradients."""
        return len(batch["x"]) * (1 if self.latent_space.graph.directed else 2)

    @property
    def _decoder(self) -> LineLinks:
        assert isinstance(self.latent_space.decoder, LineLinks)
        return self.latent_space.decoder

    @staticmethod
    def _rows(table: Tensor, numbers: Tensor) -> Tensor:
        return embedding(numbers, table, sparse=table.requires_grad)
