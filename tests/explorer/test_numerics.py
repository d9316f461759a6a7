"""What the page of the explorer computes, in a browser, against lsgen, numpy, scipy and scikit-learn."""

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browser import chromium
from scipy.sparse.csgraph import dijkstra
from sklearn.metrics import roc_auc_score

import lsgen.explorer
from lsgen.analysis.analogies import solve_analogies
from lsgen.analysis.comparisons import chance_jaccard, debiased_cka, linear_cka
from lsgen.analysis.directions import compare_directions, group_direction
from lsgen.latent import Codes, paths
from lsgen.latent.distances import CosineDistance, distance_on
from lsgen.latent.manifolds import Euclidean, Manifold, PoincareBall, Sphere
from lsgen.latent.manifolds.description import describe
from lsgen.latent.manifolds.supports import Simplex
from lsgen.latent.neighbours import nearest_neighbours, neighbour_graph

pytestmark = pytest.mark.browser
PAGE = Path(lsgen.explorer.__file__).parent / "page"
SCRIPTS = ("colours.js", "charts.js", "neighbours.js", "curves.js", "directions.js", "comparison.js", "marginals.js")
MANIFOLDS = [Euclidean(), Sphere(), PoincareBall(0.5), Simplex(6)]

Script = Callable[..., Any]


@pytest.fixture(scope="module")
def script() -> Iterator[Script]:
    """A function that runs a line of JavaScript on arguments that JSON holds, with the numerics of the page."""
    with chromium() as browser:
        page = browser.new_page()
        yield _runner(page)


def _runner(page: Any) -> Script:
    for name in SCRIPTS:
        page.add_script_tag(content=(PAGE / name).read_text())
    page.add_script_tag(
        content="const search = neighbourSearch(), curves = curveNumerics(), directions = directionNumerics();"
        "const comparison = comparisonNumerics(), axes = axisNumerics(), f64 = (list) => Float64Array.from(list);"
        "const made = (z, manifold, cosine) => search.space(new Float32Array(z.flat()), z.length, z[0].length,"
        " manifold, cosine);"
    )

    def run(line: str, **arguments: Any) -> Any:
        names = ", ".join(arguments)
        plain = {name: np.asarray(a).tolist() if hasattr(a, "__array__") else a for name, a in arguments.items()}
        return page.evaluate(
            f"(text) => {{ const {{ {names} }} = JSON.parse(text); return ({line}); }}", json.dumps(plain)
        )

    return run


def codes_on(manifold: Manifold, count: int = 300, dim: int = 6, seed: int = 0) -> torch.Tensor:
    """Codes of half precision on a manifold, some of them twice."""
    z = torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))
    if isinstance(manifold, PoincareBall):
        length = z.norm(dim=-1, keepdim=True)
        z = 0.97 / manifold.curvature**0.5 * torch.tanh(length / 4) * z / length
    elif isinstance(manifold, Simplex):
        z = torch.softmax(2 * z, -1)
    elif isinstance(manifold, Sphere):
        z = manifold.onto(z)
    z[count // 2 : count // 2 + count // 10] = z[: count // 10]
    if isinstance(manifold, Euclidean):  # a lattice has many ties
        z[count // 4 : count // 2] = (2 * z[count // 4 : count // 2]).round() / 2
    return z.half().float()


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


def mulberry(seed: int) -> Iterator[float]:
    """Yield uniform numbers of the 32-bit generator that the page names."""
    state = seed
    while True:
        state = (state + 0x6D2B79F5) & 0xFFFFFFFF
        t = ((state ^ (state >> 15)) * (1 | state)) & 0xFFFFFFFF
        t = ((t + (((t ^ (t >> 7)) * (61 | t)) & 0xFFFFFFFF)) & 0xFFFFFFFF) ^ t
        yield (t ^ (t >> 14)) / 2**32


def two_groups(effect: float, counts: tuple[int, int] = (30, 50), dim: int = 8, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(sum(counts), dim)) * np.linspace(0.5, 2, dim)
    z[: counts[0], 1] += effect
    return z.astype(np.float32).astype(np.float64)


DIRECTION = "const s = made(z, manifold), found = directions.direction(s, a, b);"


@pytest.mark.parametrize("effect", [0.0, 0.7, 3.0])
def test_the_reliability_of_a_direction_is_its_formula(script: Script, effect: float) -> None:
    z = two_groups(effect)
    a, b = z[:30], z[30:]
    difference = a.mean(0) - b.mean(0)
    noise = a.var(0, ddof=1).sum() / 30 + b.var(0, ddof=1).sum() / 50
    found = script(
        f"(() => {{ {DIRECTION} return [[...found.vector], found.rho, found.sd]; }})()",
        z=z,
        manifold=describe(Euclidean()),
        a=list(range(30)),
        b=list(range(30, 80)),
    )
    np.testing.assert_allclose(found[0], difference, rtol=1e-10, atol=1e-12)
    assert found[1] == pytest.approx(max(0.0, 1 - noise / (difference @ difference)), abs=1e-10)
    assert found[2] == pytest.approx((z @ difference / np.linalg.norm(difference)).std(), rel=1e-10)


@pytest.mark.parametrize(("effect", "counts"), [(0.0, (20, 11)), (0.8, (20, 11)), (0.8, (11, 20)), (4.0, (15, 15))])
def test_the_permutation_p_is_that_of_the_same_shuffles(script: Script, effect: float, counts: tuple[int, int]) -> None:
    z, n, times = two_groups(effect, counts, seed=3), sum(counts), 99
    uniform, order, m = mulberry(5), list(range(n)), min(counts)

    def size(rows: list[int]) -> float:
        others = [i for i in range(n) if i not in rows]
        noise = sum(z[group].var(0, ddof=1).sum() / len(group) for group in (rows, others))
        return float(((z[rows].mean(0) - z[others].mean(0)) ** 2).sum() / noise)

    reached, observed = 0, size(list(range(counts[0])))
    for _ in range(times):
        for i in range(m):
            j = i + int(next(uniform) * (n - i))
            order[i], order[j] = order[j], order[i]
        reached += size(order[:m]) >= observed
    found = script(
        "directions.permutation(f64(z.flat()), 8, na, nb, times, 5)", z=z, na=counts[0], nb=counts[1], times=times
    )
    assert found == (1 + reached) / (1 + times)
    assert (found == 0.01) == (effect > 3)


def test_groups_of_unequal_size_and_spread_are_no_direction(script: Script) -> None:
    rng, low = np.random.default_rng(0), 0
    for _ in range(30):
        z = np.concatenate([3 * rng.normal(size=(10, 8)), rng.normal(size=(60, 8))])
        low += script("directions.permutation(f64(z.flat()), 8, 10, 60, 99, 1)", z=z) <= 0.1
    assert low <= 3 + 4 * (30 * 0.09) ** 0.5


def test_the_auc_counts_pairs_as_scikit_learn(script: Script) -> None:
    rng = np.random.default_rng(0)
    above, below = rng.integers(0, 9, 40) + 2.0, rng.integers(0, 9, 30) * 1.0
    truth = roc_auc_score([1] * 40 + [0] * 30, [*above, *below])
    assert script("directions.auc(above, below)", above=above, below=below) == pytest.approx(truth, abs=1e-12)


def test_the_held_out_auc_is_half_without_an_effect_and_near_the_best_with_one(script: Script) -> None:
    line = "directions.crossValidated(f64(z.flat()), 8, na, nb)"
    noise = np.mean([script(line, z=two_groups(0.0, (60, 60), seed=s), na=60, nb=60) for s in range(12)])
    assert abs(noise - 0.5) < 0.05  # the same groups projected on their own direction give 0.7
    z = two_groups(6.0, (60, 60))
    assert script(line, z=z, na=60, nb=60) > 0.97
    assert script(line, z=z[:8], na=4, nb=4) is None


def test_the_cosine_of_two_noisy_estimates_is_corrected(script: Script) -> None:
    rng = np.random.default_rng(1)
    truth, plain, corrected = rng.normal(size=40) * 0.35, [], []
    for _ in range(30):
        halves = [rng.normal(size=(60, 40)) + np.where(np.arange(60) < 30, 1, 0)[:, None] * truth for _ in range(2)]
        found = script(
            f"(() => {{ const pair = zs.map((z) => {{ {DIRECTION} return found; }});"
            " return directions.cosine(...pair); })()",
            zs=np.stack(halves),
            manifold=describe(Euclidean()),
            a=list(range(30)),
            b=list(range(30, 60)),
        )
        plain.append(found["plain"])
        corrected.append(found["corrected"] or 0.0)
    assert np.mean(plain) < 0.8 < np.mean(corrected)  # both estimate one direction: the cosine is 1


def test_groups_that_share_items_or_are_too_small_are_refused(script: Script) -> None:
    line = f"(() => {{ try {{ {DIRECTION} }} catch (e) {{ return e.message; }} }})()"
    z, flat = two_groups(1.0), describe(Euclidean())
    assert "must not share" in script(line, z=z, manifold=flat, a=[0, 1, 2], b=[2, 3])
    assert "at least 2" in script(line, z=z, manifold=flat, a=[0], b=[2, 3])


@pytest.mark.parametrize("manifold", [Euclidean(), Sphere(), PoincareBall(0.5), Simplex(4)], ids=repr)
def test_directions_and_their_cosines_are_those_of_python(script: Script, manifold: Manifold) -> None:
    z = codes_on(manifold, 90, 4, seed=8)[:40].repeat(2, 1)
    z = (z + z.flip(0)) / 2 if isinstance(manifold, Euclidean | Simplex | PoincareBall) else z
    z[:40, 0] = z[:40, 0].abs() + 0.8  # far from each other's antipodes, and different in two groups
    z = {Sphere: manifold.onto, Simplex: lambda p: p / p.sum(-1, keepdim=True)}.get(type(manifold), lambda p: p / 2)(z)
    groups = [([*range(30)], [*range(40, 75)]), ([*range(12, 42)], [*range(50, 80)])]
    codes = Codes(z.numpy(), manifold=manifold)
    expected = [group_direction(codes, second, first) for first, second in groups]
    compared = compare_directions(codes, expected)
    found = script(
        "(() => { const s = made(z, manifold), pair = groups.map(([a, b]) => directions.direction(s, a, b));"
        "return [pair.map((one) => [[...one.vector], one.rho, one.sd]),"
        " [...directions.moved(s, f64(z[50]), pair[0], 1.5)], directions.cosine(...pair)]; })()",
        z=z.double(),
        manifold=describe(manifold),
        groups=groups,
    )
    for one, other in zip(found[0], expected, strict=True):
        np.testing.assert_allclose(one[0], other.vector, atol=1e-6)
        assert one[1] == pytest.approx(other.reliability.value, abs=1e-6)
        assert one[2] == pytest.approx(other.deviation, rel=1e-5)
    np.testing.assert_allclose([found[1]], expected[0].moved(z[50:51].numpy(), 1.5), atol=1e-5)
    assert found[2]["plain"] == pytest.approx(compared.cosines[0, 1], abs=1e-5)
    assert found[2]["shared"] == compared.shared[0, 1] > 0
    assert found[2]["corrected"] == pytest.approx(compared.corrected[0, 1], abs=1e-4)
    assert [found[2]["low"], found[2]["high"]] == pytest.approx(compared.intervals[0, 1], abs=1e-4)


def test_the_jaccard_index_of_neighbourhoods_is_that_of_sets(script: Script) -> None:
    one, other = codes_on(Euclidean(), 120, seed=10), codes_on(Sphere(), 120, seed=10)
    near = [nearest_neighbours(z, None, 7, distance_on(m)).indices for z, m in ((one, Euclidean()), (other, Sphere()))]
    expected = [len({*a} & {*b}) / len({*a} | {*b}) for a, b in zip(*(n.tolist() for n in near), strict=True)]
    found = script(
        "[...comparison.jaccard(made(one, flat), made(other, sphere), one.map((_, i) => i), 7)]",
        one=one.double(),
        other=other.double(),
        flat=describe(Euclidean()),
        sphere=describe(Sphere()),
    )
    np.testing.assert_allclose(found, expected)
    assert script("comparison.chance(120, 7)") == pytest.approx(chance_jaccard(120, 7), rel=1e-9)
    assert script("comparison.chance(5, 4)") == pytest.approx(1)
    order = script("ascending(values)", values=found)
    np.testing.assert_array_equal(order, np.argsort(expected, kind="stable"))


def test_cka_is_that_of_python(script: Script) -> None:
    one, other = codes_on(Euclidean(), 60, 5, seed=12), codes_on(Euclidean(), 60, 3, seed=13)
    other[:, 0] = one[:, 0] + other[:, 1] / 2
    found = script("comparison.alignment(f64(one.flat()), 5, f64(other.flat()), 3, 60)", one=one, other=other)
    x, y = one.double().numpy(), other.double().numpy()
    assert found == pytest.approx({"linear": linear_cka(x, y), "debiased": debiased_cka(x, y)}, rel=1e-9)


def test_figures_of_axes_are_those_of_numpy(script: Script) -> None:
    z, labels = two_groups(2.0), ["a"] * 30 + ["b"] * 20 + ["c"] * 30
    column = z[:, 1] + z[:, 2]
    found = script(
        "[axes.moments(new Float32Array(z.flat()), 80, 8, 3), binned(column, 12).counts, "
        "axes.correlation(column, z.map((r) => r[1])), axes.ratio(column, labels), "
        "axes.correlation(column, column.map(() => 1))]",
        z=z,
        column=column,
        labels=labels,
    )
    assert found[0] == pytest.approx(
        {"mean": z[:, 3].mean(), "sd": z[:, 3].std(ddof=1), "low": z[:, 3].min(), "high": z[:, 3].max()}
    )
    assert found[1] == np.histogram(column, 12)[0].tolist()
    assert found[2] == pytest.approx(np.corrcoef(column, z[:, 1])[0, 1])
    dummies = np.array([[label == name for name in "abc"] for label in labels], dtype=float)
    fitted = dummies @ np.linalg.lstsq(dummies, column, rcond=None)[0]
    assert found[3] == pytest.approx(np.corrcoef(fitted, column)[0, 1])
    assert found[4] is None
