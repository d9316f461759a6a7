"""Radius against degree, by scipy's rank correlation, on every manifold that has a centre."""

import networkx as nx
import pytest
import torch
from scipy.stats import spearmanr

from lsgen.latent import Codes, Euclidean, Manifold, PoincareBall, Sphere
from lsgen.latent.graphs import Graph
from lsgen.metrics.graphs import code_radius, radius_degree


@pytest.mark.parametrize("manifold", [Euclidean(), PoincareBall(), PoincareBall(2.5)])
def test_it_is_spearmans_correlation(manifold: Manifold) -> None:
    graph = Graph.of(list(nx.barabasi_albert_graph(80, 2, seed=0).edges), 82)
    raw = torch.randn(82, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    outwards = torch.nn.functional.normalize(raw) * (0.5 + raw.norm(dim=1, keepdim=True))
    codes = Codes(manifold.parametrised(outwards / (1 + graph.degrees())[:, None]), manifold=manifold)
    z = codes.tensor()
    centre = z.mean(0) if isinstance(manifold, Euclidean) else torch.zeros(2, dtype=torch.float64)
    radius = manifold.distance(z, centre.expand_as(z))
    torch.testing.assert_close(code_radius(codes), radius)
    found = radius_degree(codes, graph.degrees())
    expected = spearmanr(radius[:80], graph.degrees()[:80]).statistic
    assert float(found["value"]) == pytest.approx(expected)
    assert float(found["low"]) < expected < float(found["high"]) < 0
    assert int(found["n"]) == 80


def test_equal_degrees_have_no_correlation_and_a_sphere_no_radius() -> None:
    codes = Codes(torch.randn(5, 2, generator=torch.Generator().manual_seed(0)))
    assert bool(radius_degree(codes, torch.full((5,), 2))["value"].isnan())
    with pytest.raises(ValueError, match="expected the degrees of 5 nodes"):
        radius_degree(codes, torch.ones(4))
    with pytest.raises(ValueError, match="which have a radius, got those on Sphere"):
        code_radius(Codes(torch.eye(3), manifold=Sphere()))
