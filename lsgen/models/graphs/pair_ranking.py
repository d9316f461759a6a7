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
from math import isfinite
from typing import Any

import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.nn.functional import embedding
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lsgen.extras import from_extra
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

    On a CPU, `RiemannianSGD` goes from link to link, as in the paper. On other devices it takes a step for the sum over
    a batch. Other optimisers minimise the average of a batch.

    Args:
        decoder: the logits -d(z, w) on the manifold on which codes lie.
        negatives: nodes without a link to u that are drawn for each link (u, v).
        spread: of the first codes, see `NodeSpace`.
        optimizer: codes -> optimiser: `RiemannianSGD` with learning rate 0.03 unless given, or one of geoopt; in flat
            space any.
        scheduler: optimiser -> learning-rate scheduler, stepped once a generator step; none unless given.
        max_steps: generator steps after which training stops.

    Raises:
        TypeError: the decoder is none of rankings; when training starts, the optimiser does not know the manifold.
        ValueError: there is no negative; when training starts, see `NodeModel`, or weights are negative, or there are
            several processes or gradients to clip or to accumulate where training goes from link to link; while
            training, a loss is not finite.

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
        factory = partial(RiemannianSGD, lr=0.03) if optimizer is None else optimizer
        OptimisedModel.__init__(self, space, factory, scheduler, max_steps)
        self.negatives = int(negatives)
        self.others = NonNeighbours(space.graph)
        self._sparse = False
        self._parts: tuple[Any, Any] | None = None

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
        links, weight = self._links(batch)
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

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return the loss, the sum over links for `RiemannianSGD`, and its detached average."""
        if not self.automatic_optimization:
            return self._descend(batch)
        return super().training_step(batch, batch_idx)

    def summands(self, batch: Batch) -> int:
        """Return the number of links from each of their ends for `RiemannianSGD`, which goes along a sum; else 1."""
        if not isinstance(self.optimizers(use_pl_optimizer=False), RiemannianSGD):
            return 1
        return len(batch["x"]) * (1 if self.latent_space.graph.directed else 2)

    def on_train_start(self) -> None:
        """Refuse what training from link to link has not.

        Raises:
            ValueError: there are several processes, or gradients to clip or to accumulate.

        """
        super().on_train_start()
        trainer = self.trainer
        others = trainer.world_size > 1 or trainer.gradient_clip_val or trainer.accumulate_grad_batches > 1
        if not self.automatic_optimization and others:
            raise ValueError(
                f"{type(self).__name__} with RiemannianSGD on a CPU expected one process, and no gradients that are "
                "clipped or accumulated"
            )

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
            if space.codes.device.type == "cpu":
                self._parts = _kernel(type(self).__name__).known_parts(space.manifold, space.dim)
        elif type(space.manifold) is not Euclidean:
            raise TypeError(
                f"expected RiemannianSGD or an optimiser of geoopt for codes on {space.manifold}, got "
                f"{type(optimizer).__name__}, which would leave it"
            )
        self.automatic_optimization = self._parts is None
        self._sparse = type(optimizer).__name__.startswith("Sparse")
        return found

    @torch.no_grad()
    def _descend(self, batch: Batch) -> dict[str, Any]:
        """Go from link to link."""
        space, optimizer = self.latent_space, self.optimizers()
        assert self._parts is not None
        assert isinstance(optimizer, LightningOptimizer)
        links, weight = self._links(batch)
        negatives, some = self.others.draw(links[:, 0], self.negatives)
        weights = some[:, 0].double() * (1 if weight is None else weight)
        rate = optimizer.param_groups[0]["lr"]
        arrays = (part.detach().numpy() for part in (links, negatives, weights, space.codes))
        descend = _kernel(type(self).__name__).descend_links
        total = descend(*arrays, *self._parts, space.decoder.temperature, rate)
        if not isfinite(total):
            raise ValueError(
                f"{type(self).__name__} expected a finite loss, got {total} after {self.generator_steps} generator "
                "steps: lower the learning rate"
            )
        count = len(links) if weight is None else float(weight.sum())
        loss = torch.tensor(total / count, dtype=space.codes.dtype)
        self.last_losses = losses = ScalarLoss(loss, weights={"rate": rate})
        optimizer.step()  # counts the step: there are no gradients
        if (scheduler := self.lr_schedulers()) is not None:
            scheduler.step()  # type: ignore[union-attr]
        self.tick(len(batch["x"]))
        return {"loss": loss, "losses": losses}

    def _links(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Return the links of a batch, from both ends where they have no direction, and their weights."""
        links, weight = batch["x"], batch.get("weight")
        if self.latent_space.graph.directed:
            return links, weight
        return torch.cat([links, links.flip(1)]), None if weight is None else torch.cat([weight, weight])


def _kernel(owner: str) -> Any:
    with from_extra("graphs", f"{owner} needs numba to train on a CPU"):
        from lsgen.models.graphs import geodesic_descent
    return geodesic_descent
