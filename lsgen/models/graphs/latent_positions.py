r"""The latent position model: links are independent given the codes of nodes, of which each has one.

    log p(A | z) = sum over pairs of  A_ij log s(h_ij) + (1 - A_ij) log s(-h_ij),    h_ij = decoder(z_i, z_j),

maximised over codes and decoder, with log p(z_i) added where there is a prior. Latent distances and stochastic blocks
are decoders. From batches of nodes it is the sum over all pairs, estimated from the rows of a batch. From batches of
links it is that of logistic regression in a case-control study: beside each link k pairs of nodes are drawn, of which
those that are linked do not count, and the logit of a pair, given that it is in the sample, is

    h_ij + log( P / (E k) )

with P pairs and E links. So the intercept is that of the network, not that of the sample.

Reference: Hoff, Raftery & Handcock, "Latent space approaches to social network analysis" (2002); Prentice & Pyke,
"Logistic disease incidence models and case-control studies" (1979), for samples; Raftery et al., "Fast inference for
the latent space network model using a case-control approximate likelihood" (2012), which weights them instead.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log

import torch
from torch import Tensor
from torch.nn.functional import softplus
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lsgen.latent import ImplicitPrior, Prior
from lsgen.latent.graphs import Graph
from lsgen.models.base import Batch, OptimizerFactory
from lsgen.models.graphs.decoders import LinkDecoder
from lsgen.models.graphs.pair_model import PairModel
from lsgen.models.graphs.space import NodeSpace
from lsgen.models.losses import ScalarLoss

__all__ = ["LatentPositionModel"]


class LatentPositionModel(PairModel):
    """A code for each node and a decoder of links, by maximum likelihood or with a prior of codes.

    A batch holds numbers of nodes (B, 1), such as those of `Nodes`, or links (B, 2), such as those of `Links`. The loss
    is -log p(A, z) over the number of nodes, or of links.

    Args:
        decoder: the logits of links between codes.
        negatives: pairs k that are drawn for each link of a batch of links; None for batches of nodes.
        code_prior: p(z) of each code by itself; maximum likelihood where it is None.
        spread: of the first codes, see `NodeSpace`.
        optimizer: parameters -> optimiser; fused Adam with learning rate 1e-3 unless another is given.
        scheduler: optimiser -> learning-rate scheduler, stepped once a generator step; none unless given.
        max_steps: generator steps after which training stops.

    Raises:
        ValueError: negatives is not positive, the prior has another dimension or manifold than the codes; when training
            starts, see `NodeModel`.
        TypeError: the prior has no density.

    """

    latent_space: NodeSpace
    keys: Tensor

    def __init__(
        self,
        decoder: LinkDecoder,
        negatives: int | None = None,
        code_prior: Prior | None = None,
        spread: float = 1.0,
        optimizer: OptimizerFactory | None = None,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        max_steps: int | None = None,
    ) -> None:
        if negatives is not None and negatives < 1:
            raise ValueError(f"expected at least 1 pair without a link for each link, got negatives = {negatives}")
        super().__init__(NodeSpace(decoder, spread, parametrised=True), optimizer, scheduler, max_steps)
        if code_prior is not None:
            _check_prior(code_prior, decoder)
        self.negatives, self.code_prior = negatives, code_prior
        self.row = 1 if negatives is None else 2
        self.register_buffer("keys", torch.zeros(0, dtype=torch.int64), persistent=False)

    @property
    def link_share(self) -> float:
        """The part of all pairs that is linked."""
        return self.pair_losses.share

    def learn(self, graph: Graph) -> None:
        """Store the network, its links, and what tells whether a pair is one.

        Raises:
            ValueError: see `PairModel`.

        """
        super().learn(graph)
        self.keys = self._keys(self.pair_losses.ends).sort().values

    def loss(self, batch: Batch) -> ScalarLoss:
        """Return -log p(A, z) over the number of nodes, or of links."""
        x, table = batch["x"], self.latent_space.table()
        if self.negatives is None:
            found, members = self._of_rows(x[:, 0], table), len(table)
        else:
            found, members = self._of_links(x, table), max(self.pair_losses.links // self.pair_losses.parts, 1)
        if self.code_prior is None:
            return self.regularised(ScalarLoss(found), batch)
        unlikely = -self.code_prior().log_prob(table).sum() / members
        scalars = {"nll": found.detach(), "code_prior": unlikely.detach()}
        return self.regularised(ScalarLoss(found + unlikely, scalars=scalars), batch)

    def _of_rows(self, nodes: Tensor, table: Tensor) -> Tensor:
        decoder, losses = self.latent_space.decoder, self.pair_losses
        of_links, of_others, _ = losses(decoder, table, decoder.targets(), nodes)
        return losses.negative_log_likelihood(of_links, of_others).mean()

    def _of_links(self, links: Tensor, table: Tensor) -> Tensor:
        """Return the loss of links and as many drawn pairs as are asked for, per link."""
        decoder, count = self.latent_space.decoder, self.pair_losses
        assert self.negatives is not None
        targets = decoder.targets()
        odds = log(count.pairs / (max(count.links, 1) * self.negatives))
        drawn, free = self._drawn(len(links) * self.negatives, links.device)
        of_links = softplus(-decoder.pair(table[links[:, 0]], targets[links[:, 1]]) - odds)
        of_others = softplus(decoder.pair(table[drawn[:, 0]], targets[drawn[:, 1]]) + odds)
        return (of_links.sum() + (of_others * free).sum()) / len(links)

    def _drawn(self, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return pairs of different nodes, int64 (count, 2), and which are not linked, bool (count,)."""
        nodes = self.latent_space.decoder.nodes
        i = torch.randint(nodes, (count,), device=device)
        j = torch.randint(nodes - 1, (count,), device=device)
        pairs = torch.stack([i, j + (j >= i)], 1)
        if not len(self.keys):
            return pairs, torch.ones(count, dtype=torch.bool, device=device)
        asked = self._keys(pairs)
        place = torch.searchsorted(self.keys, asked).clamp(max=len(self.keys) - 1)
        return pairs, self.keys[place] != asked

    def _keys(self, pairs: Tensor) -> Tensor:
        return pairs[:, 0] * self.latent_space.decoder.nodes + pairs[:, 1]


def _check_prior(prior: Prior, decoder: LinkDecoder) -> None:
    if isinstance(prior, ImplicitPrior):
        raise TypeError(f"expected model.code_prior with a density, got {type(prior).__name__}")
    if prior.dim != decoder.dim or prior.manifold.measure != decoder.manifold.measure:
        raise ValueError(
            f"expected model.code_prior of dimension {decoder.dim} on {decoder.manifold}, as codes are, got one of "
            f"dimension {prior.dim} on {prior.manifold}"
        )
