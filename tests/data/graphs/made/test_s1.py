"""Networks of the S1 model have the degrees, the links and the weights that it says."""

import math

import networkx as nx
import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import kstest, pareto

from lsgen.data import GeometricWeights, S1Graph
from lsgen.latent.graphs.circle import degree_factor, mean_connection

MU = float(degree_factor(torch.tensor(2.5, dtype=torch.float64), 10.0))


def _distances(theta: np.ndarray) -> np.ndarray:
    return len(theta) / (2 * math.pi) * np.abs(np.angle(np.exp(1j * (theta[:, None] - theta))))


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Angles, hidden degrees and the matrix of links of a network."""
    graph = S1Graph(1500, component=False, seed=3).graph()
    return graph.columns["theta"], graph.columns["kappa"], graph.adjacency().toarray() > 0


def test_hidden_degrees_are_of_a_power_law_and_angles_uniform(drawn: tuple[np.ndarray, ...]) -> None:
    theta, kappa, _ = drawn
    assert kstest(kappa, pareto(1.5, scale=10 / 3).cdf).pvalue > 1e-3
    assert kstest(theta / (2 * math.pi), "uniform").pvalue > 1e-3


def test_degrees_are_as_expected(drawn: tuple[np.ndarray, ...]) -> None:
    _, kappa, links = drawn
    p = mean_connection(MU * kappa[:, None] * kappa * 2 * math.pi / len(kappa), 2.5)
    np.fill_diagonal(p, 0)
    for low, high in ((0, 5), (5, 12), (12, 60)):
        rows = (kappa >= low) & (kappa < high)
        expected, found = p[rows].sum(), links[rows].sum()
        assert abs(found - expected) < 5 * math.sqrt(2 * expected)
    few = kappa < 30  # whose expected degrees are their hidden ones at this size
    np.testing.assert_allclose(p[few].sum(1), kappa[few], rtol=0.15)


def test_links_follow_the_connection_probability(drawn: tuple[np.ndarray, ...]) -> None:
    theta, kappa, links = drawn
    i, j = np.triu_indices(len(theta), 1)
    p = 1 / (1 + (_distances(theta)[i, j] / (MU * kappa[i] * kappa[j])) ** 2.5)
    bins = np.digitize(p, [1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
    for number in np.unique(bins):
        some, linked = p[bins == number], links[i, j][bins == number]
        assert abs(linked.sum() - some.sum()) < 5 * math.sqrt((some * (1 - some)).sum() + 1)


def test_clustering_rises_with_beta() -> None:
    found = []
    for beta in (1.2, 2.5, 8.0):
        graph = S1Graph(300, beta=beta, gamma=3.5, seed=1).graph()
        found.append(nx.average_clustering(nx.Graph(graph.edges.tolist())))
    assert found[0] + 0.1 < found[1] < found[2] - 0.1


def test_directed_networks_have_degrees_of_either_kind() -> None:
    graph = S1Graph(800, gamma=3.0, directed=True, component=False, seed=2).graph()
    kappa, into = graph.columns["kappa"], graph.columns["kappa_in"]
    assert kappa.mean() == pytest.approx(into.mean())
    for own, other in ((graph.degrees(), kappa), (graph.in_degrees(), into)):
        assert np.corrcoef(own, other)[0, 1] > 0.9
    assert abs(np.corrcoef(graph.degrees(), graph.in_degrees())[0, 1]) < 0.3
    assert graph.directed


@pytest.mark.parametrize("alpha", [0.0, 0.4, 0.9])
def test_the_expected_strength_of_a_node_is_sigma(alpha: float) -> None:
    weights, kappa, other = GeometricWeights(alpha, a=2.0, eta=1.2, noise=0.0), 4.0, 9.0
    sigma, mean = 2 * np.array([kappa, other]) ** 1.2, 7.0

    def strength(d: float) -> float:  # of a link at a distance, times its probability
        ends = (np.array([kappa]), np.array([other]))
        w = weights.draw(ends, np.array([d]), mean, 2.5, MU, np.random.default_rng(0))[0]
        return w / (1 + (d / (MU * kappa * other)) ** 2.5)

    half = sum(quad(strength, a, b, limit=200)[0] for a, b in ((0, 1), (1, 100), (100, math.inf)))
    assert 2 * half == pytest.approx(sigma.prod() / mean, rel=1e-6)


def test_weights_vary_as_their_noise_says() -> None:
    noisy, plain = (S1Graph(400, weights=GeometricWeights(noise=noise), seed=5).graph() for noise in (0.3, 0.0))
    assert torch.equal(noisy.edges, plain.edges)
    ratio = noisy.strengths() / plain.strengths()
    assert float(ratio.mean()) == pytest.approx(1, abs=5 * math.sqrt(0.3 / len(ratio)))
    assert float(ratio.var()) == pytest.approx(0.3, abs=0.06)


def test_a_network_is_the_same_in_every_call_and_another_for_another_seed() -> None:
    source = S1Graph(120, seed=4)
    one, again, other = source.graph(), source.graph(), S1Graph(120, seed=5).graph()
    assert torch.equal(one.edges, again.edges)
    assert not torch.equal(one.edges, other.edges)
    assert int(one.components().max()) == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"gamma": 2.0}, "expected gamma above 2"),
        ({"beta": 1.0}, "beta above 1"),
        ({"number": 10, "mean_degree": 9.0}, "a mean degree between 0 and the number of nodes less 1"),
        (
            {"directed": True, "weights": GeometricWeights()},
            "expected an undirected network where links have",
        ),
    ],
)
def test_what_is_refused(options: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        S1Graph(**options)
    with pytest.raises(ValueError, match="expected alpha from 0 to below 1"):
        GeometricWeights(alpha=1.0)
