r"""Graph autoencoders: the codes of nodes are made from the network by graph convolutions.

    q(z_i | A, X) from an encoder,    p(A | z) = product over pairs of Bernoulli(A_ij; s(h(z_i, z_j))),
    log p(A) >= E_q[ log p(A | z) ] - sum_i KL( q(z_i | A, X) || p(z_i) ).

A loss that is not balanced is the negative of this bound over the number N of nodes; beta weighs the KL. The loss of
the paper is balanced, and bounds nothing: links weigh as much as all other pairs together,

    1/2 ( mean of -log p(A_ij) over links + mean over other pairs ) + beta/N  1/N sum_i KL_i,

where KL_i comes with 1/N as in the authors' code, and loops may count as links. With a posterior of points it is the
loss of the graph autoencoder.

Reference: Kipf & Welling, "Variational graph auto-encoders" (2016), https://arxiv.org/abs/1611.07308, and the authors'
code for the weights; Davidson et al., "Hyperspherical variational auto-encoders" (2018), section 5.4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lsgen.latent import (
    Codes,
    DecoderDependentPosterior,
    Deterministic,
    DiagonalNormal,
    LatentSpace,
    PointPosterior,
    Posterior,
    Prior,
)
from lsgen.latent.encoding import spread
from lsgen.latent.graphs import Graph
from lsgen.models import parts
from lsgen.models.base import Batch, OptimizerFactory
from lsgen.models.divergence import kl_terms
from lsgen.models.graphs.decoders import LinkDecoder
from lsgen.models.graphs.pair_model import PairModel
from lsgen.models.graphs.space import LinkSpace
from lsgen.models.losses import Losses
from lsgen.models.schedules import Schedule, as_schedule
from lsgen.nn import GraphEncoder

__all__ = ["EncodedNodeSpace", "GraphAutoencoder"]


class EncodedNodeSpace(LatentSpace, LinkSpace):
    """The nodes of a network with a posterior each; their codes are its centres.

    Args:
        encoder: the network and its features -> raw outputs (N, posterior.heads * d).
        decoder: codes (B, d) -> logits (B, N).
        prior: p(z) of each node.
        posterior: family of q(z|A, X); a diagonal normal unless another is given.

    Raises:
        TypeError: the encoder or the decoder is none of networks, or the posterior is one of other models.
        ValueError: the parts disagree on the number of nodes, on the dimension, on heads or on where codes lie.

    """

    decoder: LinkDecoder

    def __init__(
        self, encoder: GraphEncoder, decoder: LinkDecoder, prior: Prior, posterior: Posterior | None = None
    ) -> None:
        for part, kind in ((encoder, GraphEncoder), (decoder, LinkDecoder)):
            if not isinstance(part, kind):
                raise TypeError(f"expected a {kind.__name__}, got {type(part).__name__}")
        super().__init__(decoder, decoder.likelihood(), prior)
        self.encoder = encoder
        self.posterior = DiagonalNormal() if posterior is None else posterior
        if isinstance(self.posterior, DecoderDependentPosterior):
            raise TypeError(f"expected a posterior of nodes, got {type(self.posterior).__name__}, which needs layers")
        if isinstance(self.posterior, Deterministic):
            self.posterior.bind_to(prior.manifold)
        for name, own, other in (
            ("nodes", encoder.nodes, decoder.nodes),
            ("dim", encoder.dim, prior.dim),
            ("heads", encoder.heads, self.posterior.heads),
        ):
            if own != other:
                raise ValueError(f"expected model.encoder.{name} = {other}, got {own}")
        for name, manifold in (("decoder", decoder.manifold), ("posterior", self.posterior.manifold)):
            if manifold.measure != prior.manifold.measure:
                raise ValueError(f"expected model.{name} of codes on {prior.manifold}, as the prior, got {manifold}")
        self.graph = Graph.of(torch.zeros(0, 2, dtype=torch.int64), decoder.nodes)
        decoder.bind(self.table)

    def encode(self, nodes: Tensor | None = None) -> Distribution:
        """Return q(z|A, X), of batch shape (B,) and event shape (d,), of nodes, int64 (B,); of all unless given."""
        raw = self.encoder()
        q: Distribution = self.posterior(raw if nodes is None else raw[nodes])
        return q

    def table(self) -> Tensor:
        """Return the centres of the posteriors of all nodes, (N, d)."""
        centres: Tensor = self.encode().mean
        return centres

    def take(self, graph: Graph) -> None:
        """Store the network, and give it to the encoder.

        Raises:
            ValueError: see `LinkSpace`.

        """
        super().take(graph)
        self.encoder.connect(graph.adjacency(False))

    def items(self) -> Codes:
        """Return the codes of all nodes, with the standard deviations of their posteriors where they have any."""
        q = self.encode()
        table, scale = super().items(), spread(q)
        return table if scale is None else replace(table, scale=scale.detach().to(q.mean.dtype).cpu().numpy())


class GraphAutoencoder(PairModel):
    """A graph autoencoder, variational where the posterior has a density.

    A batch holds numbers of nodes (B, 1), such as those of `Nodes`, all different: the rows of their pairs make the
    loss. The features of nodes are taken from the data module too.

    Args:
        encoder: the network and its features -> parameters of posteriors.
        decoder: the logits of links between codes.
        prior: p(z) of each node.
        posterior: family of q(z|A, X); a diagonal normal unless another is given.
        balanced: whether links weigh as much as all other pairs, as in the paper; else beta = 1 is the evidence bound.
        loops: whether a node is linked to itself in the balanced loss, as in the authors' code, so that nodes without
            links in training have codes apart from 0.
        beta: weight of the KL term, a number or a schedule in generator steps.
        optimizer: parameters -> optimiser; fused Adam with learning rate 1e-3 unless another is given.
        scheduler: optimiser -> learning-rate scheduler, stepped once a generator step; none unless given.
        max_steps: generator steps after which training stops.

    Raises:
        ValueError: the parts do not fit, or there are loops without balance; when training starts, see `NodeModel`.
        TypeError: the prior or the posterior cannot be trained so.

    """

    latent_space: EncodedNodeSpace

    def __init__(
        self,
        encoder: GraphEncoder,
        decoder: LinkDecoder,
        prior: Prior,
        posterior: Posterior | None = None,
        balanced: bool = True,
        loops: bool = False,
        beta: float | Schedule = 1.0,
        optimizer: OptimizerFactory | None = None,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        max_steps: int | None = None,
    ) -> None:
        space = EncodedNodeSpace(encoder, decoder, prior, posterior)
        super().__init__(space, optimizer, scheduler, max_steps)
        self.row = 1
        name, variational = type(self).__name__, not isinstance(space.posterior, PointPosterior)
        parts.check_posterior(name, space.posterior, density=variational)
        parts.check_prior(name, space, density=variational, draws=False)
        if loops and not balanced:
            raise ValueError("expected no model.loops where model.balanced is false, got both: the bound is of pairs")
        self.balanced, self.loops, self.beta = bool(balanced), bool(loops), as_schedule(beta)

    @property
    def link_share(self) -> float:
        """One half where the loss is balanced, else the part of all pairs that is linked."""
        return 0.5 if self.balanced else self.pair_losses.share

    def setup(self, stage: str) -> None:
        """Take the features and the network of training from the data module."""
        data = getattr(self.trainer, "datamodule", None)
        if isinstance(getattr(data, "graph", None), Graph):
            self.latent_space.encoder.describe(getattr(data, "features", None))
        super().setup(stage)

    def loss(self, batch: Batch) -> Losses:
        """Return the loss of a batch of nodes; its terms are those of the bound, also where the loss is balanced."""
        space, nodes, count = self.latent_space, batch["x"][:, 0], self.pair_losses
        q = space.encode()
        z, beta = q.rsample(), self.beta(self.generator_steps)
        targets = space.decoder.targets() if space.decoder.contexts is not None else z
        of_links, of_others, of_own = count(space.decoder, z, targets, nodes)
        reconstruction = count.negative_log_likelihood(of_links, of_others)
        kl = kl_terms(q, space.prior(), z)[nodes]
        if self.balanced:
            linked = of_links + of_own if self.loops else of_links
            loss = count.balanced(linked, of_others) + beta / count.nodes * kl.sum(-1).mean()
        else:
            loss = (reconstruction + beta * kl.sum(-1)).mean()
        return self.regularised(Losses(loss, reconstruction, kl, {"beta": beta}), batch)
