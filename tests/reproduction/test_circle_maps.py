"""What is said of maps of networks: recovered coordinates are up to rotations and reflections, links are counted."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from lsgen.data import S1Graph
from lsgen.latent.graphs import Graph, S1Coordinates
from lsgen.latent.graphs.circle import degree_factor
from lsgen.reproduction.comparisons.graphs.circle_maps import CircleMaps, connection_profile, recovered


def _known(graph: Graph) -> S1Coordinates:
    theta, kappa = (torch.tensor(graph.columns[name]) for name in ("theta", "kappa"))
    beta = torch.tensor(2.5, dtype=torch.float64)
    return S1Coordinates(theta, kappa.log(), kappa.log(), beta, degree_factor(beta, 10.0))


def test_coordinates_are_recovered_up_to_a_rotation_and_a_reflection() -> None:
    graph = S1Graph(200, seed=1).graph()
    at = _known(graph)
    turned = recovered(graph, replace(at, theta=torch.remainder(1.3 - at.theta, 2 * math.pi)))
    assert set(turned) == {"correlation", "cosine", "cosine_few", "cosine_some", "cosine_many", "kappa"}
    assert all(value == pytest.approx(1) for value in turned.values())
    random = torch.rand(graph.nodes, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 * math.pi
    assert recovered(graph, replace(at, theta=random))["correlation"] < 0.3


def test_pairs_are_counted_by_their_ratio() -> None:
    graph = S1Graph(90, seed=2, component=False).graph()
    at = _known(graph)
    x, linked, probability = connection_profile(graph, at, 6, 1)
    theta, kappa = graph.columns["theta"], graph.columns["kappa"]
    delta = np.abs(np.angle(np.exp(1j * (theta[:, None] - theta))))
    ratio = 90 / (2 * math.pi) * delta / (float(at.mu) * kappa[:, None] * kappa)
    links = graph.adjacency(False).toarray()
    for number in range(6):
        inside = (ratio > 10.0 ** (number - 3)) & (ratio <= 10.0 ** (number - 2))
        assert x[number] == pytest.approx(10 ** (number - 2.5))
        assert linked[number] == pytest.approx(links[inside].mean())
        assert probability[number] == pytest.approx((1 / (1 + ratio[inside] ** 2.5)).mean())
    assert np.isnan(connection_profile(graph, at, 6, 10**6)[1]).all()


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="CircleMaps expected a seed"):
        CircleMaps(S1Graph(), seeds=())
