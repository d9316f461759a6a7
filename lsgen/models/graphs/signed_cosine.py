r"""Codes of nodes on a sphere whose cosines are the signed weights of links.

    min  sum over links (i, j) of |cos(w_i, w_j) - s_ij|

is maximum likelihood of s_ij ~ Laplace(cos(w_i, w_j), b) with one scale b, whose own estimate is the average loss. A
cosine has no direction: of s_ij and s_ji it can meet one, so that the average loss is |s_ij - s_ji| / 2 at least. The
Fisher metric of a row at code z is sum_j dcos(z, w_j)^2 / b^2.

No loss tells a turn or a reflection of all codes of a year. Codes of a year are turned onto those of the year before,

    R = argmin |W_t R - W_(t-1)|,    R^T R = 1,    R = U V^T  with  W_t^T W_(t-1) = U S V^T,

over the places of both.

Reference: Gursoy & Badur, "Investigating internal migration with network analysis and latent space representations: an
application to Turkey" (2022), https://arxiv.org/abs/2201.03543, and the code of
https://github.com/furkangursoy/MigrationTR; Schoenemann, "A generalized solution of the orthogonal Procrustes problem"
(1966).
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from lsgen.latent import Sphere
from lsgen.latent.graphs import Graph
from lsgen.likelihoods import FixedLaplace, Likelihood
from lsgen.models.base import Batch, OptimizerFactory
from lsgen.models.graphs.decoders import LinkDecoder
from lsgen.models.graphs.node_model import NodeModel
from lsgen.models.graphs.space import NodeSpace
from lsgen.models.losses import ScalarLoss
from lsgen.models.optimised import OptimisedModel

__all__ = ["CosineLinks", "SignedCosine"]


class CosineLinks(LinkDecoder):
    """Signed weights of links as cosines of codes, with a Laplace distribution about them.

    Links may have directions, of which a cosine knows nothing: it stands for both weights.

    Args:
        nodes: number N of nodes.
        dim: dimension d of the space around the sphere, 2 for a circle.
        scale: b of the distribution, which decides on the Fisher metric and not on what is learned.

    Raises:
        ValueError: dim is below 2, the scale is not positive, or see `LinkDecoder`.

    """

    def __init__(self, nodes: int, dim: int, scale: float = 0.2) -> None:
        if dim < 2:
            raise ValueError(f"expected codes on a sphere of at least 2 coordinates, got model.decoder.dim = {dim}")
        super().__init__(nodes, dim, Sphere())
        self.family = FixedLaplace((nodes,), scale)

    @property
    def directed(self) -> bool:
        """True: links may have directions."""
        return True

    def likelihood(self) -> Likelihood:
        """Return independent Laplace variables, one for each node."""
        return self.family

    def pair(self, z: Tensor, w: Tensor) -> Tensor:
        """Return z.w of codes of length 1."""
        return (z * w).sum(-1)

    def between(self, z: Tensor, w: Tensor) -> Tensor:
        """Return z.w of all pairs."""
        return z @ w.mT


class SignedCosine(NodeModel, OptimisedModel):
    """Codes on a sphere whose cosines are the signed weights of links.

    A batch holds links, numbers of source and target (B, 2), with their weights as "weight", such as those of `Links`.
    After each epoch codes get the length 1, and those of a year are turned onto those of the year before, where nodes
    have the columns "place" and "year"; neither changes a loss. Without these columns there is one year.

    Args:
        decoder: cosines and their likelihood.
        optimizer: parameters -> optimiser of the sum of a batch; SGD with rate 0.01 unless given. The paper takes a
            step for each link, a batch the sum of its steps.
        max_steps: generator steps after which training stops.

    Raises:
        ValueError: when training starts, links have no weights, or the network has other nodes.

    """

    latent_space: NodeSpace

    def __init__(
        self, decoder: CosineLinks, optimizer: OptimizerFactory | None = None, max_steps: int | None = None
    ) -> None:
        if not isinstance(decoder, CosineLinks):
            raise TypeError(f"expected CosineLinks as the decoder, got {type(decoder).__name__}")
        space = NodeSpace(decoder, parametrised=True)
        width = 1 / (2 * (decoder.dim + 1))
        nn.init.uniform_(space.codes, -width, width)  # as the authors begin
        descent = partial(torch.optim.SGD, lr=0.01)
        OptimisedModel.__init__(self, space, descent if optimizer is None else optimizer, None, max_steps)
        self._turns: list[tuple[Tensor, Tensor, Tensor]] = []
        self._cost: Tensor | float = 0.0
        self._links = 0

    def learn(self, graph: Graph) -> None:
        """Store the network, and which nodes are the same place in years that follow each other.

        Raises:
            ValueError: it has other nodes, or links without weights.

        """
        if graph.weights is None:
            raise ValueError(f"SignedCosine expected links with signed weights, got {graph}")
        super().learn(graph)
        self._turns = _turns(graph)

    def loss(self, batch: Batch) -> ScalarLoss:
        """Return the average of |cos(w_i, w_j) - s_ij|."""
        if "weight" not in batch:
            raise ValueError(f"SignedCosine expected batches with weights of links, got {', '.join(batch)}")
        ends = self.latent_space.manifold.parametrised(embedding(batch["x"].long(), self.latent_space.codes))
        cosine = self.latent_space.decoder.pair(ends[:, 0], ends[:, 1])
        return ScalarLoss((cosine - batch["weight"].to(cosine)).abs().mean())

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return the loss of all links of a batch together, whose gradient is the sum, and its detached average."""
        found = super().training_step(batch, batch_idx)
        self._cost, self._links = self._cost + found["loss"].detach(), self._links + len(batch["x"])
        return found

    def summands(self, batch: Batch) -> int:
        """Return the number of links: a step goes along the sum of their gradients."""
        return len(batch["x"])

    def on_train_epoch_start(self) -> None:
        """Forget the costs of the epoch before, which may have been cut short."""
        self._cost, self._links = 0.0, 0

    def on_train_epoch_end(self) -> None:
        """Give codes the length 1, turn each year onto the one before, and log what the epoch cost.

        `train/cost` is the average over the links of the epoch, each before its step: the authors' cost over their
        number.
        """
        super().on_train_epoch_end()
        if self._links:
            self.log("train/cost", self._cost / self._links, sync_dist=True)
        self.end_epoch()

    @torch.no_grad()
    def end_epoch(self) -> None:
        """Give codes the length 1, and turn each year onto the one before."""
        codes = self.latent_space.codes
        codes.copy_(self.latent_space.table())
        for before, now, year in self._turns:
            turn = orthogonal_procrustes(codes[now], codes[before])
            codes[year] = codes[year] @ turn.to(codes)


def orthogonal_procrustes(x: Tensor, y: Tensor) -> Tensor:
    """Return the orthogonal matrix (d, d), in double precision, that turns or reflects x (N, d) nearest to y (N, d)."""
    left, _, right = torch.linalg.svd(x.double().mT @ y.double())
    turn: Tensor = left @ right
    return turn


def _turns(graph: Graph) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return for each year but the first the common places in the year before and in it, and all of its nodes."""
    if not {"place", "year"} <= set(graph.columns):
        return []
    place, year = graph.columns["place"], graph.columns["year"]
    rows = [np.flatnonzero(year == value) for value in np.unique(year)]
    found = []
    for before, now in pairwise(rows):
        _, one, other = np.intersect1d(place[before], place[now], return_indices=True)
        parts = before[one], now[other], now
        found.append(tuple(torch.from_numpy(part) for part in parts))
    return found  # type: ignore[return-value]
