"""Maps of networks into the hyperbolic plane by maximum likelihood of the S1 model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_info, rank_zero_warn
from torch import Tensor, nn
from torch.nn.functional import softplus

from lsgen.latent.graphs import Graph, S1Coordinates
from lsgen.models.base import Batch
from lsgen.models.fitted import FittedModel
from lsgen.models.graphs.node_model import NodeModel
from lsgen.models.graphs.s1.hidden_degree_links import HiddenDegreeLinks
from lsgen.models.graphs.s1.likelihood import PairLikelihood
from lsgen.models.graphs.s1.refinement import Candidates, ascend, swept
from lsgen.models.graphs.s1.start import eigenmap_start, with_hidden_degrees
from lsgen.models.graphs.s1.weights import S1Weights, fitted_weights
from lsgen.models.graphs.space import NodeSpace
from lsgen.models.losses import ScalarLoss

__all__ = ["S1Map", "S1Search", "fit_s1"]


@dataclass(frozen=True)
class S1Search:
    """How the likeliest coordinates are sought.

    Attributes:
        beta: where its search begins.
        fixed: whether it ends there as well.
        bounds: between which it is sought, where it is not fixed: a small network may have no likeliest one, and beta
            then ends at a bound.
        softer: betas of the first sweeps, one each, with which links say less of small distances.
        rounds: ascents and sweeps by turns after that.
        ascent: iterations of each of these ascents.
        last: iterations of the last ascent.
        candidates: angles that a node tries in a sweep.

    Raises:
        ValueError: a beta is not above 1 and within the bounds, or another number is not positive.

    """

    beta: float = 2.5
    fixed: bool = False
    bounds: Sequence[float] = (1.05, 20.0)
    softer: Sequence[float] = (1.2, 1.5, 2.0)
    rounds: int = 3
    ascent: int = 20
    last: int = 200
    candidates: Candidates = field(default_factory=Candidates)

    def __post_init__(self) -> None:
        low, high = self.bounds
        if not (1 < low <= self.beta <= high < math.inf and all(1 < beta < math.inf for beta in self.softer)):
            raise ValueError(f"expected betas above 1 and one within its bounds, got {self}")
        if self.rounds < 0 or min(self.ascent, self.last) < 1:
            raise ValueError(f"expected rounds of at least 0 and ascents of at least 1 iteration, got {self}")


def fit_s1(
    graph: Graph, search: S1Search = S1Search(), seed: int = 0, device: torch.device | None = None
) -> S1Coordinates:
    """Return the coordinates of a network in the S1 model, by maximum likelihood; weights of its links do not matter.

    It takes a start from Laplacian eigenmaps, sweeps with a softer beta, and then ascends and sweeps by turns; all N^2
    pairs of nodes are looked at. The components of a network that has several are placed beside each other.

    Args:
        graph: the network, of 3 nodes or more.
        search: how the likeliest coordinates are sought.
        seed: of the angles that nodes try.
        device: where to compute.

    Raises:
        ValueError: it has fewer nodes, or fewer than 2 links.

    """
    if graph.nodes < 3:
        raise ValueError(f"expected a network of at least 3 nodes on a circle, got {graph.nodes}")
    graph.require("S1Map", signed=True, links=2)
    likelihood, generator = PairLikelihood(graph, device), torch.Generator().manual_seed(seed)
    at = eigenmap_start(graph, likelihood, search.beta)
    for beta in search.softer:
        at = with_hidden_degrees(graph, at.theta, likelihood, beta)
        at = swept(likelihood, at, search.candidates, generator)
    at = with_hidden_degrees(graph, at.theta, likelihood, search.beta)
    bounds = None if search.fixed else (search.bounds[0], search.bounds[1])
    for _ in range(search.rounds):
        at = swept(likelihood, ascend(likelihood, at, search.ascent, bounds)[0], search.candidates, generator)
    return ascend(likelihood, at, search.last, bounds)[0]


class S1Map(NodeModel, FittedModel):
    r"""The S1 model of a network, fitted: its nodes in the hyperbolic plane, hubs near the origin.

        p_ij = 1 / (1 + (d_ij / (mu kappa_i kappa_j))^beta),    d_ij = R Delta_ij,    R = N / (2 pi),

    with angles, hidden degrees and beta by maximum likelihood, mu following from beta and the mean degree. The links of
    training are fitted at the end of the first epoch, deterministically for a seed. Links may have directions, which
    the decoder must know, and weights, which are fitted after the coordinates; see `lsgen.models.graphs.s1.weights`.
    The loss is -log p of a link.

    beta comes out a little too great where angles are sought as well, as those adapt to the very links.

    Args:
        decoder: of so many nodes.
        search: how the likeliest coordinates are sought.
        seed: of the angles that nodes try.
        max_steps: batches after which the fit is made, if not at the end of the first epoch.

    Attributes:
        weights: what the weights of links depend on; None where they have none.

    Raises:
        TypeError: the decoder is another.
        ValueError: there are fewer than 3 nodes or 2 links, or weights may be negative.

    Reference: Garcia-Perez, Allard, Serrano & Boguna, "Mercator: uncovering faithful hyperbolic embeddings of complex
    networks" (2019), https://arxiv.org/abs/1904.10814, for the likelihood and the start; the search is our own.
    """

    latent_space: NodeSpace  # type: ignore[assignment]
    joined: ClassVar[bool] = True

    def __init__(
        self, decoder: HiddenDegreeLinks, search: S1Search = S1Search(), seed: int = 0, max_steps: int | None = None
    ) -> None:
        if not isinstance(decoder, HiddenDegreeLinks):
            raise TypeError(f"S1Map expected model.decoder to be HiddenDegreeLinks, got {type(decoder).__name__}")
        if seed < 0:
            raise ValueError(f"expected a seed of at least 0, got {seed}")
        space = NodeSpace(decoder)
        space.codes = nn.Parameter(space.codes.detach().double())
        FittedModel.__init__(self, space, max_steps=max_steps)  # type: ignore[arg-type]
        self.search, self.seed, self.weights = search, int(seed), None

    weights: S1Weights | None

    @property
    def coordinates(self) -> S1Coordinates:
        """The coordinates of the nodes in the S1 model."""
        decoder = self.latent_space.decoder
        assert isinstance(decoder, HiddenDegreeLinks)
        return decoder.coordinates(self.latent_space.table())

    @property
    def least_observations(self) -> int:
        """Two links: one says nothing of angles."""
        return 2

    def learn(self, graph: Graph) -> None:
        """Store the network; say in a sentence what of it has no determined place.

        Raises:
            ValueError: see `NodeModel.learn`; a weight is negative.

        """
        graph.require(type(self).__name__)
        super().learn(graph)
        if (parts := int(graph.components().max()) + 1) > 1:
            alone = int(graph.isolated().sum())
            rank_zero_warn(
                f"{type(self).__name__} expected a connected network, got one of {parts} components, {alone} of them "
                "nodes without a link: how their angles relate is not determined (data.split.connected=true holds out "
                "no link that keeps it whole)"
            )

    def loss(self, batch: Batch) -> ScalarLoss:
        """Return the mean of -log p over the links of a batch, with beta and mu."""
        decoder = self.latent_space.decoder
        scalars = {name: decoder.get_buffer(name).clone() for name in ("beta", "mu")}
        return ScalarLoss(softplus(-self.latent_space.link_scores(batch["x"])).mean(), scalars=scalars)

    def statistics(self, x: Tensor) -> Sequence[Tensor]:
        """Return the links."""
        return (x,)

    def solve(self, count: Tensor, *sums: Tensor) -> None:
        """Fit the network of the data module, or that of the links where it is not known; loops are left out."""
        space, device = self.latent_space, sums[0].device
        decoder = space.decoder
        assert isinstance(decoder, HiddenDegreeLinks)
        if not self._known:
            links = sums[0].cpu()
            links = links[(links[:, 0] * decoder.nodes + links[:, 1]).argsort()]
            self.learn(Graph.of(links, decoder.nodes, directed=decoder.directed, duplicates="first", loops="drop"))
        graph = space.graph
        at = fit_s1(graph, self.search, self.seed, device)
        rank_zero_info(f"S1 model of {graph}: beta {float(at.beta):.3f}, mu {float(at.mu):.4g}")
        space.codes.data.copy_(decoder.place(at))
        at = S1Coordinates(*(getattr(at, part.name).cpu() for part in fields(at)))
        self.weights = None if graph.weights is None else fitted_weights(graph, at)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the clocks, how far the fit is, the network and what its weights depend on."""
        super().on_save_checkpoint(checkpoint)
        found = self.weights
        parts = None if found is None else {part.name: getattr(found, part.name) for part in fields(found)}
        checkpoint["s1_weights"] = parts

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the clocks, how far the fit is, the network and what its weights depend on.

        Raises:
            ValueError: see `NodeModel` and `FittedModel`.

        """
        super().on_load_checkpoint(checkpoint)
        parts = checkpoint["s1_weights"]
        self.weights = None if parts is None else S1Weights(**parts)
