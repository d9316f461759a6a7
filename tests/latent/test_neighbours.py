"""Nearest neighbours, balls and graphs against brute force in double precision, scikit-learn, scipy and mpmath."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors, kneighbors_graph
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lsgen.latent import Codebook, Euclidean, PoincareBall, ProductManifold, Simplex, Sphere
from lsgen.latent.distances import (
    AngularDistance,
    CodeDistance,
    CosineDistance,
    EuclideanDistance,
    FisherRaoDistance,
    HyperboloidDistance,
    ManifoldDistance,
    PoincareDistance,
    WeightedL1Distance,
    distance_on,
)
from lsgen.latent.neighbours import ball_members, nearest_neighbours, neighbour_graph

f64 = torch.float64


def _normal(*shape: int, dtype: torch.dtype = f64, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=f64, generator=torch.Generator().manual_seed(seed)).to(dtype)


def _in_order(square: np.ndarray, k: int, apart: bool = False) -> np.ndarray:
    """Return the k least of each row, equal ones by index, by Python's sorting."""
    found = []
    for i, row in enumerate(square.tolist()):
        known = [(value, j) for j, value in enumerate(row) if not (apart and i == j)]
        found.append([j for _, j in sorted(known)[:k]])
    return np.array(found)


def _squared(x: Tensor, y: Tensor) -> np.ndarray:
    """Return sums of squared differences, which are exact for coordinates of few digits."""
    a, b = x.double().numpy(), y.double().numpy()
    return ((a[:, None] - b) ** 2).sum(-1)


CLOUDS: dict[str, Callable[[torch.dtype], Tensor]] = {
    "normal": lambda dtype: _normal(157, 3, dtype=dtype),
    "many coordinates": lambda dtype: _normal(83, 200, dtype=dtype),
    "one coordinate": lambda dtype: _normal(90, 1, dtype=dtype),
    "far cluster": lambda dtype: 1000 + 1e-3 * _normal(120, 4, dtype=dtype),
    "tiny beside far": lambda dtype: torch.cat([1e-12 * _normal(60, 2), 1e6 + 1e-2 * _normal(60, 2, seed=1)]).to(dtype),
    "small": lambda dtype: 1e-30 * _normal(70, 3, dtype=dtype),
    "large": lambda dtype: 1e30 * _normal(70, 3, dtype=dtype),
}


@pytest.mark.parametrize("dtype", [torch.float32, f64])
@pytest.mark.parametrize("name", CLOUDS)
def test_euclidean_neighbours_are_those_of_brute_force_in_double_precision(name: str, dtype: torch.dtype) -> None:
    x = CLOUDS[name](dtype)
    square = _squared(x, x)
    for chunk_size in (None, 1, 11, len(x)):
        distances, indices = nearest_neighbours(x, None, 7, chunk_size=chunk_size)
        assert distances.dtype == f64
        assert np.array_equal(indices.numpy(), _in_order(square, 7, apart=True))
        np.testing.assert_allclose(distances.numpy() ** 2, np.take_along_axis(square, indices.numpy(), 1), rtol=1e-13)
    queries = x[::3] * (1 + 2**-10)
    assert np.array_equal(nearest_neighbours(queries, x, 5).indices.numpy(), _in_order(_squared(queries, x), 5))


@pytest.mark.parametrize("dtype", [torch.float32, f64])
@pytest.mark.parametrize("offset", [0, 4096])
def test_ties_and_duplicates_go_to_the_lower_index(dtype: torch.dtype, offset: int) -> None:
    """Points of a lattice, each three times, so that every distance occurs often and is exact."""
    axis = torch.arange(5, dtype=dtype)
    lattice = offset + torch.cartesian_prod(axis, axis, axis)
    x = torch.cat([lattice, lattice.flip(0), lattice])
    square = _squared(x, x)
    for k in (1, 2, 3, 9, 30, len(x) - 1):
        assert np.array_equal(nearest_neighbours(x, None, k, chunk_size=50).indices.numpy(), _in_order(square, k, True))
        assert np.array_equal(nearest_neighbours(x, x, k).indices.numpy(), _in_order(square, k))


def test_a_code_is_left_out_by_its_index_and_its_duplicates_are_not() -> None:
    x = torch.ones(300, 2)
    distances, indices = nearest_neighbours(x, None, 2, chunk_size=64)
    assert (distances == 0).all()
    assert indices[:3].tolist() == [[1, 2], [0, 2], [0, 1]]
    assert (indices[3:] == torch.tensor([0, 1])).all()
    assert (nearest_neighbours(x, x, 2).indices == torch.tensor([0, 1])).all()


def test_neighbours_of_scikit_learn() -> None:
    x, y = _normal(60, 5), _normal(200, 5, seed=1)
    distances, indices = NearestNeighbors(n_neighbors=8).fit(y.numpy()).kneighbors(x.numpy())
    found = nearest_neighbours(x, y, 8)
    assert np.array_equal(found.indices.numpy(), indices)
    np.testing.assert_allclose(found.distances.numpy(), distances, rtol=1e-12)


@pytest.mark.parametrize("power", [-1000, -600, 500, 520, 1000])
def test_distances_whose_squares_are_no_numbers_keep_their_digits(power: int) -> None:
    """Powers of two scale every distance exactly."""
    x = _normal(30, 3)
    expected = nearest_neighbours(x, k=29)
    found = nearest_neighbours(x * 2.0**power, k=29)
    torch.testing.assert_close(found.indices, expected.indices)
    torch.testing.assert_close(found.distances * 2.0**-power, expected.distances, rtol=0, atol=0)


def test_a_copy_of_a_code_is_its_nearest_neighbour() -> None:
    data = _normal(30, 4, dtype=torch.float32)
    distances, indices = nearest_neighbours(data[[3, 17]] + 1e-3, data, k=2, chunk_size=1)
    assert indices[:, 0].tolist() == [3, 17]
    torch.testing.assert_close(distances[:, 0], torch.full((2,), 2e-3, dtype=f64), atol=1e-6, rtol=0)
    assert (distances[:, 0] < distances[:, 1]).all()


def test_less_precise_matrix_products_change_nothing() -> None:
    x = 3 + _normal(150, 6, dtype=torch.float32)
    expected = nearest_neighbours(x, k=5).indices
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(nearest_neighbours(x, k=5).indices, expected)
    finally:
        torch.set_float32_matmul_precision(before)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(nearest_neighbours(x, k=5).indices, expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("dtype", [torch.float32, f64])
@pytest.mark.parametrize("name", CLOUDS)
def test_the_gpu_finds_the_same(name: str, dtype: torch.dtype) -> None:
    x = CLOUDS[name](dtype)
    assert torch.equal(nearest_neighbours(x.cuda(), k=6).indices.cpu(), nearest_neighbours(x, k=6).indices)


def _hyperboloid(x: Tensor) -> Tensor:
    square = x.square().sum(-1, keepdim=True)
    return torch.cat([1 + square, 2 * x], -1) / (1 - square)


def _ball(n: int, seed: int = 0) -> Tensor:
    """Return points of the unit disc up to distances of 14 from its centre."""
    v = _normal(n, 2, seed=seed)
    return v / v.norm(dim=1, keepdim=True) * torch.tanh(torch.linspace(0, 7, n, dtype=f64))[:, None]


def _mp_hyperbolic(x: Tensor, y: Tensor) -> np.ndarray:
    """Return arcosh(1 + 2 |x - y|^2 / ((1 - |x|^2) (1 - |y|^2))) with 40 digits."""

    def distance(a: list[float], b: list[float]) -> float:
        with mpmath.workdps(40):
            square = lambda v: sum(mpmath.mpf(t) ** 2 for t in v)
            apart = sum((mpmath.mpf(s) - mpmath.mpf(t)) ** 2 for s, t in zip(a, b, strict=True))
            return float(mpmath.acosh(1 + 2 * apart / ((1 - square(a)) * (1 - square(b)))))

    return np.array([[distance(a, b) for b in y.tolist()] for a in x.tolist()])


def _probabilities(n: int) -> Tensor:
    p = torch.rand(n, 6, dtype=f64, generator=torch.Generator().manual_seed(3)) ** 4
    p[:, 2] = 0
    return p / p.sum(1, keepdim=True)


def _bhattacharyya(p: Tensor, q: Tensor) -> np.ndarray:
    return 2 * np.arccos(np.clip(np.sqrt(p.numpy()) @ np.sqrt(q.numpy()).T, 0, 1))


BALL, WEIGHTS = _ball(60), np.array([2.0, 0.0, 0.3, -0.5])
EXACT: dict[str, tuple[CodeDistance, Tensor, Callable[[Tensor, Tensor], Any], float]] = {
    "cosine": (CosineDistance(), _normal(130, 4), lambda x, y: cdist(x, y, "cosine"), 1e-12),
    "angle": (AngularDistance(), _normal(130, 4), lambda x, y: np.arccos(1 - cdist(x, y, "cosine")), 1e-12),
    "Fisher-Rao": (FisherRaoDistance(), _probabilities(130), _bhattacharyya, 1e-7),
    "Poincare": (PoincareDistance(), BALL, _mp_hyperbolic, 1e-10),
    "curvature": (PoincareDistance(4.0), BALL / 2, lambda x, y: _mp_hyperbolic(2 * x, 2 * y) / 2, 1e-10),
    "hyperboloid": (HyperboloidDistance(), _hyperboloid(BALL), lambda x, y: _mp_hyperbolic(BALL, BALL), 1e-8),
    "weighted": (
        WeightedL1Distance(torch.from_numpy(WEIGHTS)),
        _normal(130, 4),
        lambda x, y: np.abs(x[:, None].numpy() - y.numpy()) @ WEIGHTS,
        1e-12,
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_other_distances_are_their_closed_forms(name: str) -> None:
    distance, x, truth, rtol = EXACT[name]
    expected = np.asarray(truth(x, x))
    np.fill_diagonal(expected, np.inf)
    for chunk_size in (None, 7):
        found = nearest_neighbours(x, None, 9, distance, chunk_size)
        np.testing.assert_allclose(found.distances.numpy(), np.sort(expected)[:, :9], rtol=rtol, atol=1e-15)
        np.testing.assert_allclose(
            np.take_along_axis(expected, found.indices.numpy(), 1), np.sort(expected)[:, :9], rtol=rtol, atol=1e-15
        )


def test_hyperbolic_neighbours_need_no_euclidean_ones() -> None:
    """Near the rim the code nearest by the ball's coordinates is another than the nearest by hyperbolic distance."""
    x = torch.tensor([[0.0, 0.0], [0.9, 0.0], [0.9999, 0.0]], dtype=f64)
    assert nearest_neighbours(x, k=1).indices[1].item() == 2
    assert nearest_neighbours(x, k=1, distance=PoincareDistance()).indices[1].item() == 0


def test_small_angles_keep_their_digits() -> None:
    """Directions 1e-9 apart, whose cosine is 1 in double precision."""
    angles = torch.tensor([0.0, 1e-9, 3e-9, 7e-9], dtype=f64)
    x = torch.stack([angles.cos(), angles.sin()], 1)
    found = nearest_neighbours(x, k=3, distance=AngularDistance())
    assert found.indices.tolist() == [[1, 2, 3], [0, 2, 3], [1, 0, 3], [2, 1, 0]]
    torch.testing.assert_close(found.distances[0], angles[1:], rtol=1e-12, atol=0)
    torch.testing.assert_close(
        nearest_neighbours(x, k=3, distance=CosineDistance()).distances[0], angles[1:] ** 2 / 2, rtol=1e-12, atol=0
    )


def test_a_manifold_has_the_distance_of_its_geodesics() -> None:
    kinds = {Euclidean(): EuclideanDistance(), Sphere(): AngularDistance(), PoincareBall(2.0): PoincareDistance(2.0)}
    for manifold, expected in kinds.items():
        assert distance_on(manifold) == expected
        a, b = (manifold.onto(0.3 * _normal(40, 3, seed=i)) for i in range(2))
        found = nearest_neighbours(a, b, 40, expected)
        torch.testing.assert_close(found.distances, manifold.distance(a[:, None], b[found.indices]))
    assert distance_on(Simplex(3)) == FisherRaoDistance()


def test_codes_of_a_product_are_compared_by_its_distance() -> None:
    manifold = ProductManifold([Euclidean(), Sphere()], [2, 3])
    assert distance_on(manifold) == ManifoldDistance(manifold)
    x = manifold.onto(_normal(41, 5))
    whole = manifold.distance(x[:, None].expand(41, 41, 5), x.expand(41, 41, 5)).fill_diagonal_(torch.inf)
    for chunk_size in (None, 6):
        found = nearest_neighbours(x, None, 4, distance_on(manifold), chunk_size)
        assert np.array_equal(found.indices.numpy(), _in_order(whole.numpy(), 4))
        torch.testing.assert_close(found.distances, whole.sort(1).values[:, :4])


@pytest.mark.parametrize("dtype", [torch.float32, f64])
def test_members_of_balls_are_counted_with_their_rims(dtype: torch.dtype) -> None:
    lattice = 100 + torch.cartesian_prod(*[torch.arange(7, dtype=dtype)] * 2)
    x, y = lattice[::2], lattice[1::3]
    rows = torch.tensor([1.0, 2**0.5, 5**0.5], dtype=f64).repeat(len(x))[: len(x), None]
    columns = nearest_neighbours(y, None, 3).distances[:, -1]
    parts = list(ball_members(x, y, [rows, columns], chunk_size=4))
    found = [torch.cat([part[i] for part in parts]).numpy() for i in range(2)]
    square = _squared(x, y)
    assert np.array_equal(found[0], square <= np.rint(rows.numpy() ** 2))
    assert np.array_equal(found[1], square <= np.rint(columns.numpy() ** 2))
    reached = torch.cat([part[0] for part in ball_members(y, y, [columns])]).sum(0)
    assert (reached >= 4).all()


class _Largest(TorchDispatchMode):
    """Records the greatest number of elements of a tensor that any operation returns."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.elements = max(
            [
                self.elements,
                *(t.untyped_storage().size() // t.element_size() for t in tree_leaves(result) if isinstance(t, Tensor)),
            ]
        )
        return result


@pytest.mark.slow
@pytest.mark.parametrize("x", [_normal(3001, 4), torch.ones(3001, 4)], ids=["normal", "all ties"])
def test_memory_is_bounded_by_the_rows_at_a_time(x: Tensor) -> None:
    with _Largest() as largest:
        nearest_neighbours(x, k=3, chunk_size=10)
        list(ball_members(x, x, [torch.ones(1, dtype=f64)], chunk_size=10))
    assert largest.elements <= 2**18 < 3001**2 / 30
    with _Largest() as largest:
        nearest_neighbours(x[:500], k=3, distance=ManifoldDistance(Euclidean()), chunk_size=10)
    assert largest.elements <= 10 * 500 * 4


def test_the_graph_of_scikit_learn() -> None:
    x = torch.cat([_normal(80, 3), 50 + _normal(31, 3, seed=1)])
    graph = neighbour_graph(x, 5, chunk_size=13)
    directed = kneighbors_graph(x.numpy(), 5, mode="distance", include_self=False).toarray()
    expected = np.maximum(directed, directed.T)
    low, high = graph.edges.T
    assert (low < high).all()
    assert graph.nodes == 111
    assert graph.components == connected_components(expected, directed=False)[0] == 2
    matrix = graph.matrix().toarray()
    np.testing.assert_allclose(matrix + matrix.T, expected, rtol=1e-12)
    np.testing.assert_allclose(matrix[low, high], graph.lengths.numpy())


def test_edges_of_no_length_stay_and_those_without_a_finite_weight_go() -> None:
    x = torch.tensor([[0.0], [0.0], [1.0], [1.0]], dtype=f64)
    graph = neighbour_graph(x, 1)
    assert graph.edges.tolist() == [[0, 1], [2, 3]]
    assert graph.components == 2
    assert graph.matrix()[0, 1] > 0
    assert replace(graph, lengths=torch.tensor([0.0, torch.inf])).matrix().nnz == 1


SQUARE = torch.eye(4)
REFUSED: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "neighbours": (
        lambda: nearest_neighbours(SQUARE, k=4),
        ValueError,
        "between 1 and 3 neighbours among 4 codes, got 4",
    ),
    "none": (
        lambda: nearest_neighbours(SQUARE, SQUARE, 0),
        ValueError,
        "between 1 and 4 neighbours among 4 codes, got 0",
    ),
    "shapes": (
        lambda: nearest_neighbours(SQUARE, SQUARE[:, :2]),
        ValueError,
        r"expected codes \(M, d\) and \(N, d\), got \(4, 4\) and \(4, 2\)",
    ),
    "types": (
        lambda: nearest_neighbours(SQUARE, SQUARE.double()),
        TypeError,
        "of one type, float32 or float64, got torch.float32 and torch.float64",
    ),
    "halves": (lambda: nearest_neighbours(SQUARE.half()), TypeError, "float32 or float64, got torch.float16"),
    "not finite": (lambda: nearest_neighbours(SQUARE / 0), ValueError, "expected finite codes, got 4 that are not"),
    "chunk": (lambda: nearest_neighbours(SQUARE, chunk_size=0), ValueError, "a chunk_size of at least 1, got 0"),
    "zero": (
        lambda: nearest_neighbours(SQUARE - SQUARE, distance=CosineDistance()),
        ValueError,
        "expected vectors that have a direction, got a zero vector",
    ),
    "probabilities": (
        lambda: nearest_neighbours(2 * SQUARE, distance=FisherRaoDistance()),
        ValueError,
        "expected probability vectors, of numbers from 0 to 1 with the sum 1",
    ),
    "ball": (
        lambda: nearest_neighbours(SQUARE, distance=PoincareDistance()),
        ValueError,
        r"expected codes in the ball \|z\| < 1, got 1",
    ),
    "hyperboloid": (
        lambda: nearest_neighbours(SQUARE, distance=HyperboloidDistance()),
        ValueError,
        "expected points of the hyperboloid <X, X> = -1, X_0 > 0",
    ),
    "curvature": (lambda: PoincareDistance(0.0), ValueError, "expected a curvature c > 0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_searched_is_refused(name: str) -> None:
    search, kind, sentence = REFUSED[name]
    with pytest.raises(kind, match=sentence):
        search()


def test_no_codes_have_no_neighbours() -> None:
    found = nearest_neighbours(SQUARE[:0], SQUARE, 2)
    assert found.distances.shape == found.indices.shape == (0, 2)


@pytest.mark.parametrize("books", [1, 2])
def test_codes_of_codebooks_are_compared_by_entries_that_are_looked_up_once(books: int) -> None:
    generator = torch.Generator().manual_seed(books)
    parts = [Codebook(torch.randn(5, 2, generator=generator), 4 - i) for i in range(books)]
    manifold = parts[0] if books == 1 else ProductManifold(parts, [part.coordinates for part in parts])
    z = torch.cat(
        [part.entries[torch.randint(5, (30, part.length), generator=generator)].flatten(1) for part in parts], 1
    )
    distance = distance_on(manifold)
    features = distance.features(z)
    assert features.shape == (30, sum(part.length for part in parts))
    every = distance.between(features[:, None].expand(30, 30, -1), features.expand(30, 30, -1))
    torch.testing.assert_close(every, manifold.distance(z[:, None].double(), z[None].double()).expand(30, 30))


@pytest.mark.parametrize("name", ["normal", "tiny beside far", "duplicates", "float32"])
def test_neighbours_among_many_codes_are_those_of_brute_force(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for constant, value in (("MANY", 100), ("GROUP", 4), ("BLOCK", 64), ("CROWD", 500)):
        monkeypatch.setattr(f"lsgen.latent.neighbours.{constant}", value)
    x = _normal(333, 3, dtype=torch.float32 if name == "float32" else f64)
    if name == "tiny beside far":
        x[:200] *= 1e-12
    if name == "duplicates":
        x = x[torch.arange(333) % 50]
    for chunk_size in (None, 40):
        found = nearest_neighbours(x, None, 5, chunk_size=chunk_size).indices
        assert np.array_equal(found.numpy(), _in_order(_squared(x, x), 5, apart=True))
    assert np.array_equal(nearest_neighbours(x[::7], x, 3).indices.numpy(), _in_order(_squared(x[::7], x), 3))
    ball = x / (2 * x.norm(dim=1).max())
    distance = distance_on(PoincareBall(3))
    with monkeypatch.context() as few:
        few.setattr("lsgen.latent.neighbours.MANY", 10**9)
        expected = nearest_neighbours(ball, None, 5, distance)
    found = nearest_neighbours(ball, None, 5, distance)
    assert torch.equal(found.indices, expected.indices)
    assert torch.equal(found.distances, expected.distances)


def test_many_codes_that_coincide_are_measured_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, measured = [], EuclideanDistance.between

    def counted(self: EuclideanDistance, a: Tensor, b: Tensor) -> Tensor:
        sizes.append(len(a))
        return measured(self, a, b)

    monkeypatch.setattr(EuclideanDistance, "between", counted)
    for constant, value in (("MANY", 100), ("GROUP", 4), ("BLOCK", 64), ("CROWD", 500), ("PIECE", 50)):
        monkeypatch.setattr(f"lsgen.latent.neighbours.{constant}", value)
    x = torch.ones(333, 3)
    found = nearest_neighbours(x, None, 2)
    assert max(sizes) <= 4 * 50 + 333
    assert sum(sizes) == 333 * 332
    assert found.distances.eq(0).all()
    expected = _in_order(_squared(x, x), 2, apart=True)
    assert np.array_equal(found.indices.numpy(), expected)
