"""Measures of retrieval against their definitions, enumerated orders of ties, and three other libraries."""

from itertools import permutations
from math import comb, log2

import numpy as np
import pytest
import torch
from scipy.stats import norm
from sklearn.metrics import ndcg_score
from torch import Tensor
from torchmetrics.functional.retrieval import retrieval_precision, retrieval_r_precision, retrieval_reciprocal_rank

from lsgen.latent import Euclidean, PoincareBall, Sphere
from lsgen.latent.distances import AngularDistance, EuclideanDistance, PoincareDistance, distance_on
from lsgen.metrics.retrieval import LabelRelevance, Retrieval, TableRelevance, query_values
from lsgen.metrics.retrieval.scores import bootstrap_interval

KS = (1, 3)


def _by_definition(gains: list[float], ks: tuple[int, ...] = KS) -> dict[str, float]:
    """Return the measures of gains in the order of a list, item by item."""
    y = [float(g > 0) for g in gains]
    best, R = sorted(gains, reverse=True), int(sum(y))
    found = {}
    for k in ks:
        dcg, ideal = (sum(g / log2(i + 2) for i, g in enumerate(order[:k])) for order in (gains, best))
        found |= {f"precision_at_{k}": sum(y[:k]) / k, f"recall_at_{k}": sum(y[:k]) / R, f"ndcg_at_{k}": dcg / ideal}
        found[f"hit_rate_at_{k}"] = float(any(y[:k]))
    found["r_precision"] = sum(y[:R]) / R
    found["map_at_r"] = sum(y[i] * sum(y[: i + 1]) / (i + 1) for i in range(R)) / R
    return found | {"mrr": 1 / (1 + y.index(1.0))}


def _points(n: int, d: int = 4, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_lists_without_ties_are_measured_by_definition() -> None:
    queries, gallery = _points(7), _points(30, seed=1)
    gains = (torch.rand(7, 30, generator=torch.Generator().manual_seed(2)) * 4 - 2).floor().clamp(min=0)
    found = query_values(queries, gallery, TableRelevance(gains), KS)
    order = torch.cdist(queries, gallery).argsort(1)
    for row, values in zip(found.queries, found.values, strict=True):
        expected = _by_definition(gains[row][order[row]].tolist())
        assert dict(zip(found.names, values.tolist(), strict=True)) == pytest.approx(expected)
    torch.testing.assert_close(found.queries, (gains > 0).any(1).nonzero()[:, 0])


def test_ties_are_averaged_over_all_their_orders() -> None:
    """On a line: one item nearest, four tied, one after them; then two pairs of ties."""
    for places, gains in (
        ([1, 2, 2, 2, 2, 3], [0.0, 2.0, 0.0, 1.0, 0.0, 1.0]),
        ([1, 1, 2, 2, 2, 9], [0.0, 1.0, 3.0, 0.0, 1.0, 0.0]),
        ([5, 5, 5, 5, 5, 5], [0.0, 1.0, 0.0, 0.0, 1.0, 0.0]),
    ):
        gallery = torch.tensor(places, dtype=torch.float32)[:, None]
        found = query_values(torch.zeros(1, 1), gallery, TableRelevance(torch.tensor([gains])), (1, 3, 5))
        orders = [o for o in permutations(range(6)) if all(places[a] <= places[b] for a, b in zip(o, o[1:]))]  # noqa: B905, RUF007
        each = [_by_definition([gains[i] for i in o], (1, 3, 5)) for o in orders]
        expected = {name: float(np.mean([one[name] for one in each])) for name in each[0]}
        assert dict(zip(found.names, found.values[0].tolist(), strict=True)) == pytest.approx(expected)


def test_chance_is_the_mean_over_all_orders_and_what_collapsed_codes_score() -> None:
    labels, n, R, k = torch.tensor([0] * 4 + [1] * 5), 8, torch.tensor([3.0] * 4 + [4.0] * 5), 3
    found = query_values(torch.ones(9, 2), None, LabelRelevance(labels), (1, k))
    torch.testing.assert_close(found.values, found.chance)
    column = dict(zip(found.names, found.chance.T, strict=True))
    torch.testing.assert_close(column["precision_at_3"], (R / n).double())
    torch.testing.assert_close(column["recall_at_3"], torch.full((9,), k / n, dtype=torch.float64))
    for r, hit, first in zip(R.int().tolist(), column["hit_rate_at_3"], column["mrr"], strict=True):
        assert float(hit) == pytest.approx(1 - comb(n - r, k) / comb(n, k))
        assert float(first) == pytest.approx(sum(comb(n - i, r - 1) / comb(n, r) / i for i in range(1, n - r + 2)))


def test_other_libraries_agree() -> None:
    calculator = pytest.importorskip("pytorch_metric_learning.utils.accuracy_calculator")
    codes, labels = _points(90, seed=3).float(), torch.arange(90) % 4
    metric = Retrieval(ks=(1, 5))
    for part in range(0, 90, 37):
        metric.update(codes[part : part + 37], labels[part : part + 37])
    found = {name: float(one["value"]) for name, one in metric.compute().items()}
    names = ("precision_at_1", "r_precision", "mean_average_precision_at_r", "mean_reciprocal_rank")
    theirs = calculator.AccuracyCalculator(include=names, k="max_bin_count", device=torch.device("cpu"))
    expected = theirs.get_accuracy(codes, labels)
    for name, other in (("precision_at_1", names[0]), ("r_precision", names[1]), ("map_at_r", names[2])):
        assert found[name] == pytest.approx(expected[other])
    scores = torch.exp(-torch.cdist(codes, codes, compute_mode="donot_use_mm_for_euclid_dist"))
    same = labels[:, None] == labels
    rows = [torch.arange(90) != i for i in range(90)]
    pairs = [(scores[i][keep], same[i][keep]) for i, keep in enumerate(rows)]
    for name, function in (
        ("precision_at_5", lambda s, y: retrieval_precision(s, y, top_k=5)),
        ("r_precision", retrieval_r_precision),
        ("mrr", retrieval_reciprocal_rank),
        ("ndcg_at_5", lambda s, y: ndcg_score(y[None].int(), s[None], k=5)),
    ):
        assert found[name] == pytest.approx(float(np.mean([float(function(s, y)) for s, y in pairs])), abs=1e-6)


def test_few_of_many_duplicates_are_searched_for_as_far_as_needed() -> None:
    """One relevant item is tied with 40 others, behind a duplicate of the query, which is an item of its own."""
    codes = torch.cat([torch.zeros(40, 1), torch.tensor([[1.0], [2.0], [1.0]])])
    labels = torch.tensor([0] * 40 + [1, 2, 2])
    found = query_values(codes, None, LabelRelevance(labels), (1,))
    mrr = dict(zip(found.queries.tolist(), found.values[:, -1].tolist(), strict=True))
    assert 40 not in mrr
    assert mrr[41] == pytest.approx(1 / 2 * (1 + 1 / 2))
    assert mrr[42] == pytest.approx(sum(1 / place for place in range(2, 43)) / 41)
    assert mrr[0] == pytest.approx(1.0)


def test_items_without_anything_relevant_are_left_out_and_counted() -> None:
    metric = Retrieval(ks=(1,), draws=50)
    metric.update(torch.tensor([[0.0], [0.1], [5.0], [9.0], [9.1]]), torch.tensor([0, 0, 1, -1, 0]))
    found = metric.compute()
    assert found["queries"] == {"value": torch.tensor(3), "left_out": torch.tensor(1)}
    assert float(found["precision_at_1"]["value"]) == pytest.approx(2 / 3)  # the item at 9.1 is nearest to that at 5
    for draws in (0, 50):  # a single query has no interval however many are drawn
        metric = Retrieval(ks=(1,), draws=draws)
        metric.update(torch.zeros(2, 1), torch.tensor([3, 4]), "query")
        metric.update(torch.zeros(3, 1), torch.tensor([3, 3, 5]), "gallery")
        found = metric.compute()
        assert set(found["mrr"]) == {"value", "chance"}
        assert (int(found["queries"]["value"]), int(found["queries"]["left_out"])) == (1, 1)


@pytest.mark.parametrize(
    ("manifold", "distance"),
    [(Euclidean(), EuclideanDistance()), (Sphere(), AngularDistance()), (PoincareBall(), PoincareDistance())],
)
def test_the_distance_of_a_manifold_orders_items(manifold: Euclidean, distance: EuclideanDistance) -> None:
    z = manifold.onto(0.4 * _points(25, 3))
    labels = torch.arange(25) % 5
    found = query_values(z, None, LabelRelevance(labels), KS, distance_on(manifold))
    assert distance_on(manifold) == distance
    apart = torch.stack([manifold.distance(one.expand_as(z), z) for one in z]).fill_diagonal_(torch.inf)
    for row, values in enumerate(found.values):
        order = apart[row].argsort()[:-1]
        expected = _by_definition((labels[order] == labels[row]).double().tolist())
        assert dict(zip(found.names, values.tolist(), strict=True)) == pytest.approx(expected)


def test_the_bootstrap_has_the_deviation_of_a_mean() -> None:
    values = torch.rand(400, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    low, high = bootstrap_interval(values, 0.9, 4000)
    half = float(norm.ppf(0.95)) * values.std(0) / 20
    torch.testing.assert_close(low, values.mean(0) - half, atol=2e-3, rtol=0)
    torch.testing.assert_close(high, values.mean(0) + half, atol=2e-3, rtol=0)


def test_what_cannot_be_measured_is_refused() -> None:
    metric = Retrieval(ks=(1,))
    with pytest.raises(ValueError, match=r"expected codes \(B, d\) and integer labels \(B,\), got"):
        metric.update(torch.zeros(3), torch.zeros(3).long())
    with pytest.raises(ValueError, match='expected role "both", "query" or "gallery", got'):
        metric.update(torch.zeros(3, 1), torch.zeros(3).long(), "neither")  # type: ignore[arg-type]
    metric.update(torch.zeros(3, 1), torch.tensor([0, 1, 2]))
    with pytest.raises(ValueError, match="expected a query with a relevant item, got none among 3"):
        metric.compute()
    metric.update(torch.full((1, 1), torch.nan), torch.tensor([0]))
    metric._computed = None
    with pytest.raises(ValueError, match="expected finite codes, got 1 that are not"):
        metric.compute()
    with pytest.raises(ValueError, match="expected places k from 1 to 2, the number of items"):
        query_values(torch.zeros(3, 1), None, LabelRelevance(torch.zeros(3).long()), (3,))
    with pytest.raises(ValueError, match="expected gains"):
        TableRelevance(torch.tensor([[-1.0]]))
    empty = Retrieval()
    empty.update(torch.zeros(2, 1), torch.tensor([-1, -1]))
    with pytest.raises(ValueError, match="expected queries whose labels are known, got none"):
        empty.compute()
    alone = Retrieval()
    alone.update(torch.zeros(2, 1), torch.tensor([0, 0]), "query")
    alone.update(torch.zeros(2, 1), torch.tensor([-1, -1]), "gallery")
    with pytest.raises(ValueError, match="expected a gallery with known labels, got queries alone"):
        alone.compute()
