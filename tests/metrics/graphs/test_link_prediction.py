"""Link prediction against enumerated orders of ties, scikit-learn, definitions, and coverage of its intervals."""

from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from lsgen.metrics.graphs import LinkPrediction
from lsgen.metrics.graphs.tied_orders import expected_precision


def _found(score: list[float] | Tensor, link: list[int] | Tensor, **options: int | tuple[int, ...]) -> dict[str, float]:
    metric = LinkPrediction(**{"ks": (1, 2), "draws": 0, **options})
    metric.update(torch.as_tensor(score, dtype=torch.float64), torch.as_tensor(link))
    return {name: float(parts["value"]) for name, parts in metric.compute().items() if name != "pairs"}


def _by_definition(links: list[int], ks: tuple[int, ...] = (1, 2)) -> dict[str, float]:
    """Return the measures of links (1) and non-links (0) in the order of a list."""
    y = np.array(links)
    places = np.flatnonzero(y)
    before = np.array([(y[:i] == 0).sum() for i in places])
    found = {"auc": float(1 - before.mean() / (y == 0).sum())}
    found["ap"] = float(np.mean([y[: i + 1].mean() for i in places]))
    return found | {f"hits_at_{k}": float((before < k).mean()) for k in ks}


@pytest.mark.parametrize(
    ("score", "link"),
    [
        ([3, 2, 2, 2, 1, 0], [0, 1, 0, 1, 0, 1]),
        ([1, 1, 1, 1, 1, 1], [0, 1, 0, 0, 1, 0]),
        ([5, 5, 4, 4, 4, 4], [1, 0, 1, 1, 0, 0]),
        ([6, 5, 4, 3, 2, 1], [1, 0, 1, 0, 0, 1]),
        ([1, 1], [0, 1]),
    ],
)
def test_ties_are_averaged_over_all_their_orders(score: list[float], link: list[int]) -> None:
    orders = [o for o in permutations(range(len(score))) if all(score[a] >= score[b] for a, b in zip(o, o[1:]))]  # noqa: B905, RUF007
    each = [_by_definition([link[i] for i in o]) for o in orders]
    assert _found(score, link) == pytest.approx({name: float(np.mean([one[name] for one in each])) for name in each[0]})


def test_without_ties_it_agrees_with_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    link = torch.rand(400, generator=generator) < 0.3
    score = torch.randn(400, generator=generator, dtype=torch.float64) + link
    found = _found(score, link)
    assert found["auc"] == pytest.approx(roc_auc_score(link, score))
    assert found["ap"] == pytest.approx(average_precision_score(link, score))
    rounded = score.round(decimals=1)
    assert _found(rounded, link)["auc"] == pytest.approx(roc_auc_score(link, rounded))


def test_equal_scores_are_at_the_level_of_chance() -> None:
    metric = LinkPrediction(ks=(3, 100), draws=50)
    metric.update(torch.zeros(40), torch.arange(40) < 10)
    found = metric.compute()
    assert found.pop("pairs") == {"value": torch.tensor(10), "others": torch.tensor(30)}
    for parts in found.values():
        assert {name: float(parts[name]) for name in ("value", "low", "high")} == pytest.approx(
            dict.fromkeys(("value", "low", "high"), float(parts["chance"]))
        )
    assert float(found["auc"]["chance"]) == pytest.approx(0.5)
    assert float(found["hits_at_3"]["chance"]) == pytest.approx(3 / 31)
    assert float(found["hits_at_100"]["value"]) == 1.0
    drawn = [
        _by_definition(np.random.default_rng(s).permutation(10 * [1] + 30 * [0]).tolist())["ap"] for s in range(300)
    ]
    assert float(found["ap"]["chance"]) == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / 300**0.5)


def test_infinite_scores_are_first_and_last() -> None:
    assert _found([torch.inf, 0.0, -torch.inf], [1, 0, 1]) == pytest.approx(_by_definition([1, 0, 1]))


def test_precision_far_down_a_list_keeps_its_digits() -> None:
    """Of 10^7 pairs above, and three tied, two of them links: by the sum over places."""
    s, m, a, r = 10_000_000, 3, 1234, 2
    exact = sum((a + 1 + (j - 1) * (r - 1) / (m - 1)) / (s + j) for j in (1, 2, 3)) / m
    got = expected_precision(*(torch.tensor([x]) for x in (s, m, a, r)))
    assert float(got) == pytest.approx(exact, rel=1e-14)
    for s in (60, 63, 64, 70):
        exact = sum((a + 1 + (j - 1) * (r - 1) / (m - 1)) / (s + j) for j in (1, 2, 3)) / m
        assert float(expected_precision(*(torch.tensor([x]) for x in (s, m, a, r)))) == pytest.approx(exact, rel=1e-13)


def test_intervals_cover_as_often_as_they_say() -> None:
    """Normal scores one unit apart: the AUC is that of two normal distributions."""
    truth, inside = float(norm.cdf(2**-0.5)), 0
    for seed in range(80):
        generator = torch.Generator().manual_seed(seed)
        score = torch.cat([1 + torch.randn(40, generator=generator), torch.randn(50, generator=generator)])
        metric = LinkPrediction(ks=(), draws=100, seed=seed)
        metric.update(score, torch.arange(90) < 40)
        found = metric.compute()["auc"]
        inside += float(found["low"]) <= truth <= float(found["high"])
    assert inside / 80 >= 0.87


def test_what_cannot_be_measured_is_refused() -> None:
    metric = LinkPrediction()
    with pytest.raises(ValueError, match="expected links as truth values, or as 0 and 1"):
        metric.update(torch.zeros(2), torch.tensor([1, 2]))
    with pytest.raises(ValueError, match="expected scores that are numbers, got 1 NaN"):
        metric.update(torch.tensor([0.0, torch.nan]), torch.tensor([1, 0]))
    with pytest.raises(ValueError, match=r"expected scores and links \(B,\), got \(2,\) and \(3,\)"):
        metric.update(torch.zeros(2), torch.ones(3))
    metric.update(torch.zeros(2), torch.zeros(2))
    with pytest.raises(ValueError, match="expected links and pairs that are none, got 0 and 2"):
        metric.compute()
    with pytest.raises(ValueError, match="expected places of at least 1"):
        LinkPrediction(ks=(0,))
