"""Spectral coordinates against numpy and scikit-learn, and agreement of clusters with planted communities."""

import networkx as nx
import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from lsgen.analysis.networks import community_agreement, spectral, spectral_coordinates
from lsgen.latent import Codes, PoincareBall
from lsgen.latent.graphs import Graph


def _blocks(n: int = 12, groups: int = 3, inside: float = 0.6) -> tuple[Graph, np.ndarray]:
    network = nx.planted_partition_graph(groups, n, inside, 0.02, seed=0)
    return Graph.of(list(network.edges), n * groups), np.repeat(np.arange(groups), n)


def test_they_are_eigenvectors_of_the_normalised_adjacency_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, _ = _blocks()
    a = graph.adjacency().toarray()
    scale = a.sum(1) ** -0.5
    vectors = np.linalg.eigh(scale[:, None] * a * scale)[1]
    expected = vectors[:, -3:]
    expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    for small in (500, 1):
        monkeypatch.setattr(spectral, "SMALL", small)
        found = spectral_coordinates(graph, 3)
        np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-8)
    assert (found[:, 0] > 0).all()  # the first is that of the component
    turned = spectral_coordinates(Graph.of(graph.edges.flip(1), graph.nodes, directed=True), 3)
    np.testing.assert_allclose(turned, found, atol=1e-8)


def test_components_have_coordinates_of_their_own_and_nodes_without_links_none() -> None:
    graph = Graph.of([[0, 1], [1, 2], [3, 4]], 6)
    found = spectral_coordinates(graph, 2)
    assert not found[5].any()
    np.testing.assert_allclose(np.abs(found[:3] @ found[:3].T), 1, atol=1e-12)
    np.testing.assert_allclose(found[:3] @ found[3:5].T, 0, atol=1e-12)
    assert spectral_coordinates(Graph.of([[0, 1]]), 2).shape == (2, 2)
    with pytest.raises(ValueError, match="expected from 1 to 2 coordinates of as many nodes, got 3"):
        spectral_coordinates(Graph.of([[0, 1]]), 3)
    with pytest.raises(ValueError, match="spectral_coordinates expected a graph of at least 1 links, got 0"):
        spectral_coordinates(Graph.of([], 4), 2)


def test_planted_communities_are_found_and_codes_without_them_are_at_chance() -> None:
    graph, truth = _blocks()
    rng = np.random.default_rng(0)
    centres = np.array([[0.6, 0.0], [-0.3, 0.5], [-0.3, -0.5]])
    told = Codes(
        centres[truth] + 0.05 * rng.standard_normal((36, 2)), manifold=PoincareBall(), columns={"group": truth}
    )
    found = community_agreement(told, "group", graph)
    assert found.keys() == {"kmeans", "spectral", "network"}
    assert {name: one.rand_index.value for name, one in found.items()} == pytest.approx(dict.fromkeys(found, 1.0))
    blind = Codes(rng.standard_normal((36, 2)), columns={"group": truth})
    for name, one in community_agreement(blind, "group").items():
        assert abs(one.mutual_information.value) < 0.2, name
        assert one.rand_index.interval is not None
        assert one.rand_index.interval[0] < 0.1


def test_it_is_that_of_scikit_learn_over_nodes_that_have_a_label() -> None:
    graph, truth = _blocks(inside=0.2)
    labels = np.array([None if i % 7 == 0 else f"group {g}" for i, g in enumerate(truth)], dtype=object)
    codes = Codes(np.random.default_rng(1).standard_normal((36, 2)), columns={"group": labels})
    one = community_agreement(codes, "group", graph)["network"]
    clusters = KMeans(3, n_init=10, random_state=0).fit_predict(spectral_coordinates(graph, 3))
    known = np.array([label is not None for label in labels])
    assert one.rand_index.value == pytest.approx(adjusted_rand_score(truth[known], clusters[known]))
    assert one.mutual_information.value == pytest.approx(adjusted_mutual_info_score(truth[known], clusters[known]))
    assert one.rand_index.n == known.sum()


def test_what_has_no_communities_is_refused() -> None:
    codes = Codes(torch.randn(5, 2, generator=torch.Generator().manual_seed(0)), columns={"same": ["a"] * 5})
    with pytest.raises(ValueError, match="expected at least 2 communities in 'same', got 1"):
        community_agreement(codes, "same")
    with pytest.raises(ValueError, match="expected communities in a column out of same, got 'label'"):
        community_agreement(codes, "label")
    with pytest.raises(ValueError, match="expected a network of 5 nodes, as there are codes, got one of 2"):
        community_agreement(codes, "same", Graph.of([[0, 1]]))
