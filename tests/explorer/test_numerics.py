"""Neighbours and curves of the page, in a browser, against lsgen and scipy."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from numerics import Script, codes_on
from scipy.sparse.csgraph import dijkstra

from lsgen.analysis.analogies import solve_analogies
from lsgen.latent import Codes, paths
from lsgen.latent.distances import CosineDistance, distance_on
from lsgen.latent.manifolds import Euclidean, Manifold, PoincareBall, Sphere
from lsgen.latent.manifolds.description import describe
from lsgen.latent.manifolds.supports import Simplex
from lsgen.latent.neighbours import nearest_neighbours, neighbour_graph

pytestmark = pytest.mark.browser
MANIFOLDS = [Euclidean(), Sphere(), PoincareBall(0.5), Simplex(6)]


@pytest.mark.parametrize("manifold", MANIFOLDS, ids=repr)
@pytest.mark.shows("metric")
def test_neighbours_have_the_ranks_of_python(script: Script, manifold: Manifold) -> None:
    z = codes_on(manifold)
    if isinstance(manifold, Simplex):  # of half precision they do not sum to 1 as Python asks of single precision
        z = z / z.sum(-1, keepdim=True)
    found = script(
        "(() => { const s = made(z, manifold); return z.map((_, i) => { const near = search.nearest(s, "
        "search.row(s, i), k, i); return [[...near.indices], [...near.distances]]; }); })()",
        z=z.double(),
        manifold=describe(manifold),
        k=12,
    )
    expected = nearest_neighbours(z, None, 12, distance_on(manifold))
    np.testing.assert_array_equal([near for near, _ in found], expected.indices)
    np.testing.assert_allclose([far for _, far in found], expected.distances, rtol=1e-11, atol=1e-15)


def test_neighbours_of_a_query_by_cosine_have_the_ranks_of_python(script: Script) -> None:
    z, queries = codes_on(Euclidean(), seed=1) + 0.25, codes_on(Euclidean(), 20, seed=2) + 0.25
    found = script(
        "(() => { const s = made(z, manifold, true); return queries.map((q) => "
        "[...search.nearest(s, f64(q), 5).indices]); })()",
        z=z.double(),
        queries=queries.double(),
        manifold=describe(Euclidean()),
    )
    np.testing.assert_array_equal(found, nearest_neighbours(queries, z, 5, CosineDistance()).indices)


def test_a_rank_counts_the_nearer_codes(script: Script) -> None:
    z = codes_on(Euclidean())
    near = nearest_neighbours(z[:1], z, 300).indices[0].tolist()
    line = "[40, 7, 250].map((i) => search.rank(made(z, manifold), f64(z[0]), i, without))"
    ranks = script(line, z=z.double(), manifold=describe(Euclidean()), without=[])
    assert ranks == [near.index(i) + 1 for i in (40, 7, 250)]
    ranks = script(line, z=z.double(), manifold=describe(Euclidean()), without=near[:3])
    assert ranks == [near.index(i) - 2 for i in (40, 7, 250)]


@pytest.mark.parametrize(
    ("z", "manifold", "sentence"),
    [
        ([[1.0, 2.0], [0.0, 0.0]], describe(Sphere()), "no direction"),
        ([[0.5, 0.5], [0.8, 0.8]], describe(PoincareBall()), "rim"),
        ([[0.5, 0.5], [1.5, -0.5]], describe(Simplex(2)), "negative"),
        ([[0.5, 0.5], [0.9, 0.9]], describe(Simplex(2)), "sum"),
        ([[0.5, None], [0.9, 0.9]], describe(Euclidean()), "not finite"),
        ([[0.5, 0.5], [0.9, 0.9]], {"type": "ProductManifold", "arguments": []}, "cannot measure"),
    ],
)
def test_codes_that_are_no_points_of_the_space_are_refused(
    script: Script, z: list[list[Any]], manifold: Any, sentence: str
) -> None:
    filled = "z.map((row) => row.map((value) => value ?? NaN))"
    refusal = script(
        f"(() => {{ try {{ made({filled}, manifold); return ''; }} catch (e) {{ return e.message; }} }})()",
        z=z,
        manifold=manifold,
    )
    assert sentence in refusal


def test_more_neighbours_than_codes_are_refused(script: Script) -> None:
    refusal = script(
        "(() => { try { search.nearest(made(z, manifold), f64(z[0]), 3, 0); } catch (e) { return e.message; } })()",
        z=[[0.0], [1.0], [2.0]],
        manifold=describe(Euclidean()),
    )
    assert refusal == "There are 2 other codes, and 3 neighbours were asked for."


def test_straight_and_spherical_paths_are_those_of_python(script: Script) -> None:
    z = codes_on(Euclidean(), 8, seed=3).double()
    pairs = [
        (z[0], z[1]),
        (z[2], 3 * z[2]),
        (z[3], torch.zeros(6).double()),
        (z[4], -2 * z[4]),
        (z[5], z[5] + 1e-9 * z[6]),
    ]
    for start, end in pairs:
        for name in ("linear", "slerp"):
            found = script(f"curves.{name}(f64(a), f64(b), 9).map((p) => [...p])", a=start, b=end)
            np.testing.assert_allclose(found, getattr(paths, name)(start, end, 9), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("manifold", MANIFOLDS, ids=repr)
def test_geodesics_are_those_of_python(script: Script, manifold: Manifold) -> None:
    z = codes_on(manifold, 40, seed=4).double()
    line = "(() => { const s = made(z, manifold); return pairs.map(([a, b]) => curves.geodesic(s, f64(a), f64(b), 7)"
    line += ".map((p) => [...p])); })()"
    pairs = torch.stack([z[:6], z[10:16]], 1)
    if isinstance(manifold, Sphere):
        pairs = manifold.onto(pairs)
    if isinstance(manifold, Simplex):
        pairs = pairs / pairs.sum(-1, keepdim=True)
    found = script(line, z=z, manifold=describe(manifold), pairs=pairs)
    start, end = pairs.unbind(1)
    expected = manifold.geodesic(start, end, 7)
    if isinstance(manifold, Simplex):  # the geodesic of Fisher and Rao; lsgen's simplex mixes
        expected = Sphere().geodesic(start.sqrt(), end.sqrt(), 7).square()
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_antipodes_of_the_sphere_have_no_shortest_path(script: Script) -> None:
    refusal = script(
        "(() => { try { curves.geodesic(made([a], manifold), f64(a), f64(a).map((v) => -v), 5); }"
        " catch (e) { return e.message; } })()",
        a=[0.6, 0.8],
        manifold=describe(Sphere()),
    )
    assert "antipodes" in refusal


@pytest.mark.parametrize("manifold", [Euclidean(), PoincareBall()], ids=repr)
def test_the_density_path_is_the_shortest_one_over_the_graph_of_python(script: Script, manifold: Manifold) -> None:
    z = codes_on(manifold, 200, 3, seed=5)
    graph = neighbour_graph(z, 6, distance_on(manifold)).matrix()
    graph.data = graph.data**2
    costs = dijkstra(graph, directed=False, indices=0)
    ends = [int(i) for i in np.flatnonzero(np.isfinite(costs))[[-1, -7, 9]]]
    found = script(
        "(() => { const s = made(z, manifold); return ends.map((end) => curves.density(s, 0, end, { k: 6 })); })()",
        z=z.double(),
        manifold=describe(manifold),
        ends=ends,
    )
    full = (graph + graph.T).toarray()
    for end, path in zip(ends, found, strict=True):
        nodes = path["nodes"]
        assert (nodes[0], nodes[-1]) == (0, end)
        assert path["cost"] == pytest.approx(costs[end], rel=1e-9)
        assert sum(full[i, j] for i, j in pairwise(nodes)) == pytest.approx(costs[end], rel=1e-9)


@pytest.mark.parametrize("manifold", [Euclidean(), Sphere(), PoincareBall(0.5)], ids=repr)
def test_analogies_have_the_answers_of_python(script: Script, manifold: Manifold) -> None:
    z = codes_on(manifold, 80, 3, seed=11)
    z[:, 0] = z[:, 0].abs()
    z = manifold.onto(z) if isinstance(manifold, Sphere) else 0.7 * z
    questions = [[3, 10, 5], [0, 1, 2], [7, 30, 31], [3, 10, 3]]
    found = script(
        "(() => { const s = made(z, manifold), row = (i) => search.row(s, i); return questions.map(([b, a, c]) =>"
        " [...search.nearest(s, curves.carried(s, row(a), row(b), row(c)), 5).indices]); })()",
        z=z.double(),
        manifold=describe(manifold),
        questions=questions,
    )
    method = "offset" if isinstance(manifold, Euclidean) else "transport"
    codes = Codes(z.numpy(), manifold=manifold)
    np.testing.assert_array_equal(found, solve_analogies(codes, questions, method, k=5, exclude_inputs=False))


def test_clusters_that_nothing_joins_have_no_density_path(script: Script) -> None:
    z = [[float(i % 5), 1000.0 * (i // 5)] for i in range(10)]
    assert script("curves.density(made(z, manifold), 0, 9, { k: 3 })", z=z, manifold=describe(Euclidean())) is None


def test_points_of_a_chain_are_equidistant(script: Script) -> None:
    manifold = PoincareBall(0.5)
    z = codes_on(manifold, 5, 3, seed=6).double()
    found = script(
        "curves.resampled(made(z, manifold), z.map(f64), 41).map((p) => [...p])", z=z, manifold=describe(manifold)
    )
    steps = manifold.distance(torch.tensor(found[:-1]).double(), torch.tensor(found[1:]).double())
    total = manifold.distance(z[:-1], z[1:]).sum()
    np.testing.assert_allclose(found[0], z[0], atol=1e-12)
    np.testing.assert_allclose(found[-1], z[-1], atol=1e-12)
    assert float((steps - total / 40).abs().sort().values[:-4].max()) < 1e-6  # a step across a corner is shorter
    assert (steps < total / 40 + 1e-6).all()


def test_percentiles_count_the_nearest_distances_of_codes(script: Script) -> None:
    z = codes_on(Euclidean(), 90, seed=7)
    near = nearest_neighbours(z, None, 3).distances[:, -1].numpy()
    values = [0.0, float(near[4]), 1.0, 9.0]
    found = script(
        "(() => { const sorted = curves.reference(made(z, manifold), 3, 90); return values.map((v) => "
        "curves.percentile(sorted, v)); })()",
        z=z.double(),
        manifold=describe(Euclidean()),
        values=values,
    )
    np.testing.assert_allclose(found, [100 * (near < value).mean() for value in values], rtol=1e-9)
