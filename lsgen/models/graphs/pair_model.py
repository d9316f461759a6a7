"""Models of the pairs of nodes of a network, which are judged by links that are held out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor
from torch.nn.functional import softplus
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lsgen.latent.graphs import Graph
from lsgen.models.base import Batch, OptimizerFactory
from lsgen.models.graphs.node_model import NodeModel
from lsgen.models.graphs.rows import PairLosses
from lsgen.models.graphs.space import LinkSpace
from lsgen.models.losses import Losses, ScalarLoss
from lsgen.models.optimised import OptimisedModel

__all__ = ["PairModel"]


class PairModel(NodeModel, OptimisedModel):
    """Abstract model of whether pairs of nodes are linked; how strong a link is does not count.

    The loss in validation and test is that of held-out links and of as many pairs without a link as the data module's
    `held_out` gives,

        -rho mean log p(link) - (1 - rho) mean log p(no link),

    with the share rho of links in the loss of training. It is the same for every batch. Where no link is held out, it
    is the loss of the batch.

    Args:
        latent_space: see `LatentModel`.
        optimizer: see `OptimisedModel`.
        scheduler: see `OptimisedModel`.
        max_steps: generator steps after which training stops.

    """

    def __init__(
        self,
        latent_space: LinkSpace,
        optimizer: OptimizerFactory | None = None,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        max_steps: int | None = None,
    ) -> None:
        OptimisedModel.__init__(self, latent_space, optimizer, scheduler, max_steps)
        self.pair_losses = PairLosses(latent_space.decoder.nodes)

    @property
    @abstractmethod
    def link_share(self) -> float:
        """The share rho of links in the loss of training."""

    def learn(self, graph: Graph) -> None:
        """Store the network and its links.

        Raises:
            ValueError: it has negative weights, a direction that the decoder does not know or none where it asks for
                one, or see `NodeModel`.

        """
        graph.require(type(self).__name__, directed=self.latent_space.decoder.directed)
        super().learn(graph)
        self.pair_losses.take(graph)

    def on_fit_start(self) -> None:
        """Warn of weights, which say nothing of whether nodes are linked."""
        super().on_fit_start()
        if self.latent_space.graph.weights is not None:
            rank_zero_warn(f"{type(self).__name__} learns which nodes are linked: the weights of links are left out.")

    def held_out_loss(self, links: Tensor, others: Tensor) -> Tensor:
        """Return the loss of links (P, 2) and of pairs without a link (M, 2)."""
        scores, rho = self.latent_space.link_scores(torch.cat([links, others])), self.link_share
        linked, apart = scores.split([len(links), len(others)])
        return rho * softplus(-linked).mean() + (1 - rho) * softplus(apart).mean()

    def _evaluation_step(self, batch: Batch, stage: str) -> Losses | ScalarLoss:
        data: Any = getattr(self.trainer, "datamodule", None)
        held = data.held_out(stage) if isinstance(getattr(data, "graph", None), Graph) else None
        if held is None or not len(held.positive) or not len(held.negative):
            return super()._evaluation_step(batch, stage)
        device = batch["x"].device
        losses = ScalarLoss(self.held_out_loss(held.positive.to(device), held.negative.to(device)))
        self.log(f"{stage}/loss", losses.loss, batch_size=len(batch["x"]), on_epoch=True, sync_dist=True)
        return losses
