"""The space of nodes: logits in closed form, what is known of nodes, and the Fisher metric of a row of links."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import networkx
import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch.distributions import kl_divergence

from lsgen.analysis.neighbours import Surroundings
from lsgen.geometry import immersion, metric, scalar_curvature
from lsgen.latent import Euclidean, Manifold, PoincareBall, Sphere
from lsgen.latent.distances import FisherRaoDistance
from lsgen.latent.graphs import Graph
from lsgen.models.graphs import BlockLinks, DistanceLinks, InnerProductLinks, LinkDecoder, NodeModel, NodeSpace

N, D = 7, 3


def space(decoder: LinkDecoder, **options: Any) -> NodeSpace:
    torch.manual_seed(3)
    return NodeSpace(decoder, spread=0.3, **options).double()


def poincare(z: np.ndarray, w: np.ndarray, c: float) -> np.ndarray:
    """arcosh(1 + 2 c |z - w|^2 / ((1 - c|z|^2)(1 - c|w|^2))) / sqrt c."""
    gaps = (1 - c * (z**2).sum(-1))[:, None] * (1 - c * (w**2).sum(-1))
    return np.arccosh(1 + 2 * c * cdist(z, w) ** 2 / gaps) / c**0.5


DISTANCES: list[tuple[Manifold, Callable[[np.ndarray, np.ndarray], np.ndarray]]] = [
    (Euclidean(), cdist),
    (Sphere(), lambda z, w: 2 * np.arcsin((cdist(z, w) / 2).clip(max=1))),
    (PoincareBall(2.0), lambda z, w: poincare(z, w, 2.0)),
]


@pytest.mark.parametrize(("manifold", "distance"), DISTANCES, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("parametrised", [False, True])
def test_logits_of_distances(manifold: Manifold, distance: Any, squared: bool, parametrised: bool) -> None:
    found = space(
        DistanceLinks(N, D, manifold, radius=0.7, temperature=0.4, squared=squared), parametrised=parametrised
    )
    table = found.table().detach()
    expected = distance(table.numpy(), table.numpy())
    logits = (0.7 - (expected**2 if squared else expected)) / 0.4
    np.testing.assert_allclose(found.raw(table).detach().numpy(), logits, atol=1e-6)
    pairs = torch.tensor([[0, 1], [4, 2], [6, 6]])
    np.testing.assert_allclose(found.link_scores(pairs).detach().numpy(), logits[pairs[:, 0], pairs[:, 1]], atol=1e-6)
    items = found.items()
    assert items.manifold == manifold
    np.testing.assert_allclose(items.z, table, atol=1e-7)


@pytest.mark.parametrize("contexts", [False, True])
def test_logits_of_inner_products(contexts: bool) -> None:
    decoder = InnerProductLinks(N, D, contexts=contexts).double()
    found = space(decoder)
    with torch.no_grad():
        assert decoder.bias is not None
        decoder.bias.fill_(-1.5)
    z, w = found.table(), decoder.targets()
    assert (w is decoder.contexts) == contexts == decoder.directed
    torch.testing.assert_close(found.raw(z), z @ w.T - 1.5)
    torch.testing.assert_close(found.link_scores(torch.tensor([[2, 5], [5, 2]])), (z @ w.T - 1.5)[[2, 5], [5, 2]])
    rows = found.decode(z).log_prob(torch.ones(N, N, dtype=torch.float64))
    torch.testing.assert_close(rows, (z @ w.T - 1.5).sigmoid().log().sum(-1))


@pytest.mark.parametrize("manifold", [Euclidean(), PoincareBall(0.5)], ids=str)
@pytest.mark.parametrize("squared", [False, True])
def test_gradients_are_those_of_differences_and_a_node_itself_adds_none(manifold: Manifold, squared: bool) -> None:
    found = space(DistanceLinks(N, D, manifold, squared=squared))
    codes = found.table().detach()
    away = codes[:2] + 0.05
    assert torch.autograd.gradcheck(found.raw, away.requires_grad_())
    at = codes[:1].clone().requires_grad_()
    own = torch.autograd.grad(found.raw(at)[0, 0], at)[0]
    torch.testing.assert_close(own, torch.zeros_like(own), rtol=0, atol=0)


@pytest.mark.parametrize(
    "decoder",
    [
        lambda: InnerProductLinks(N, D),
        lambda: DistanceLinks(N, D, temperature=0.3),
        lambda: DistanceLinks(N, D, squared=True),
        lambda: DistanceLinks(N, D, PoincareBall(1.0), temperature=0.5),
    ],
)
def test_the_metric_is_the_second_order_of_the_divergence_of_rows(decoder: Callable[[], LinkDecoder]) -> None:
    """KL(p(. | z) || p(. | z + e v)) = e^2 v.g v / 2 + O(e^3), symmetrised over e and -e."""
    found = space(decoder()).eval()
    z = found.table().detach()[:3] + 0.1
    im = immersion(found)
    g = metric(im, z)
    v = torch.randn(3, D, dtype=torch.float64)
    e = 1e-3
    p = found.decode(z)
    divergence = kl_divergence(p, found.decode(z + e * v)) + kl_divergence(p, found.decode(z - e * v))
    torch.testing.assert_close(torch.einsum("bi,bij,bj->b", v, g, v), divergence / e**2, rtol=1e-4, atol=0)
    assert bool(scalar_curvature(im, z).isfinite().all())


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("manifold", [Euclidean(), PoincareBall(1.0)], ids=str)
def test_curvature_at_the_code_of_a_node_is_that_without_the_node(manifold: Manifold, squared: bool) -> None:
    found = space(DistanceLinks(N, D, manifold, squared=squared)).eval()
    z = found.table().detach()[:1].clone()
    at = scalar_curvature(immersion(found), z)
    rest = space(DistanceLinks(N - 1, D, manifold, squared=squared)).eval()
    with torch.no_grad():
        rest.codes.copy_(found.codes[1:])
    without = scalar_curvature(immersion(rest), z)
    torch.testing.assert_close(at, without)


def test_a_copy_has_a_table_of_its_own() -> None:
    found = space(DistanceLinks(N, D))
    copy = deepcopy(found)
    with torch.no_grad():
        copy.codes.mul_(2)
    z = torch.zeros(1, D, dtype=torch.float64)
    torch.testing.assert_close(1 - copy.raw(z), 2 * (1 - found.raw(z)))
    assert copy.prior().points.eq(2 * found.codes).all()


def test_items_have_names_degrees_and_metadata() -> None:
    known = networkx.karate_club_graph()
    clubs = [known.nodes[node]["club"] for node in known]
    graph = Graph.of(np.array(known.edges), 34, names=[f"member {i}" for i in known], columns={"club": clubs})
    found = NodeSpace(DistanceLinks(34, 2))
    found.take(graph)
    items = found.items()
    assert items.ids.tolist() == [f"member {i}" for i in range(34)]
    assert items.columns["degree"].tolist() == [degree for _, degree in known.degree]
    assert items.columns["club"].tolist() == clubs
    np.testing.assert_allclose(found.prior.weights, 1 / 34)
    with pytest.raises(ValueError, match=r"expected 7 nodes, as model.decoder.nodes says, got a network of 34"):
        NodeSpace(DistanceLinks(7, 2)).take(graph)


def test_a_directed_network_needs_targets_of_its_own() -> None:
    graph = Graph.of([[0, 1], [1, 0], [2, 1]], N, directed=True)
    with pytest.raises(ValueError, match="DistanceLinks expected an undirected graph, got a directed graph"):
        NodeSpace(DistanceLinks(N, D)).take(graph)
    found = NodeSpace(DistanceLinks(N, D, contexts=True))
    found.take(graph)
    assert found.items().columns["degree"].tolist() == [1, 1, 1, 0, 0, 0, 0]
    assert found.items().columns["in_degree"].tolist() == [1, 2, 0, 0, 0, 0, 0]
    scores = found.link_scores(torch.tensor([[0, 1], [1, 0]]))
    assert scores[0] != scores[1]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: DistanceLinks(1, 2), "expected a network of at least 2 nodes, got 1"),
        (lambda: InnerProductLinks(4, 0), "expected a latent dimension of at least 1, got 0"),
        (lambda: DistanceLinks(4, 2, temperature=0), "temperature above 0, got 1.0 and 0"),
        (lambda: DistanceLinks(4, 2, radius=float("nan")), "expected a finite radius"),
        (lambda: NodeSpace(DistanceLinks(4, 2), spread=0), "expected a spread above 0, got 0"),
        (lambda: DistanceLinks(4, 2).targets(), "DistanceLinks expected to be bound to the codes of its nodes"),
    ],
)
def test_refusals(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises((ValueError, RuntimeError), match=sentence):
        make()


class Plain(NodeModel):
    """A model that learns nothing."""


def test_the_network_is_in_the_checkpoint() -> None:
    graph = Graph.of(
        [[0, 1], [3, 1]],
        4,
        weights=[0.5, 2.0],
        times=[1990.0, 2000.0],
        names=["a", "b", "ä", "d"],
        columns={
            "club": ["x", None, "y", "x"],
            "since": np.array(["1990-01-01"] * 4, "datetime64[D]"),
            "size": [1, 2, 3, 4],
        },
    )
    model, other = (Plain(NodeSpace(DistanceLinks(4, 2))) for _ in range(2))
    model.learn(graph)
    checkpoint: dict[str, Any] = {}
    model.on_save_checkpoint(checkpoint)
    other.on_load_checkpoint(checkpoint)
    other.load_state_dict(model.state_dict())
    assert model.latent_space.items() == other.latent_space.items()
    found = other.latent_space.graph
    for name in ("edges", "weights", "times"):
        assert torch.equal(getattr(found, name), getattr(graph, name))
    with pytest.raises(ValueError, match="expected 5 nodes"):
        Plain(NodeSpace(DistanceLinks(5, 2))).on_load_checkpoint(checkpoint)
    with pytest.raises(ValueError, match="Plain expected a checkpoint of a network, got one without 'graph'"):
        other.on_load_checkpoint({"clocks": checkpoint["clocks"]})


def test_memberships_in_single_precision_have_surroundings() -> None:
    torch.manual_seed(0)
    space = NodeSpace(BlockLinks(40, 3), parametrised=True)
    found, percentile = Surroundings(space.items(), k=3).of(space.items().tensor())
    exact = space.double().table().detach()
    distances = FisherRaoDistance().pairwise(*(FisherRaoDistance().features(exact),) * 2)
    np.testing.assert_allclose(found, distances.sort().values[:, 3], atol=1e-6)
    assert sorted(percentile.tolist())[0] == 0
