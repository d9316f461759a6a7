"""Retrieval across views against enumerated orders, chance, an oracle that can be counted, and intervals that cover."""

from itertools import combinations
from math import comb
from statistics import median

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from lsgen.metrics.multimodal import CrossRetrieval

FORTH, BACK = "first_to_second", "second_to_first"


def _views(n: int, noise: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 6, generator=draws)
    return normalize(x, dim=1), normalize(x + noise * torch.randn(n, 6, generator=draws), dim=1)


def _alone(n: int) -> Tensor:
    return torch.arange(n)[:, None].expand(n, 2)


def _measured(
    x: Tensor, y: Tensor, identities: Tensor, *known: Tensor, **options: object
) -> dict[str, dict[str, float]]:
    metric = CrossRetrieval(**{"gallery": len(x), "ks": (1, 3), **options})  # type: ignore[arg-type]
    metric.update(x, y, identities, *known)
    return {name: {part: float(v) for part, v in of.items()} for name, of in metric.compute().items()}


def test_each_way_is_counted_item_by_item() -> None:
    x, y = _views(12, 1.5)
    captions = torch.tensor([0, 1, 2, 0, 4, 5, 1, 7, 8, 9, 0, 11])
    found = _measured(x, y, torch.stack([torch.arange(12), captions], 1))
    for way, queries, gallery in ((FORTH, x, y), (BACK, y, x)):
        ranks = []
        for i in range(12):
            order = (gallery @ queries[i]).argsort(descending=True).tolist()
            ranks.append(1 + next(place for place, j in enumerate(order) if captions[j] == captions[i]))
        for k in (1, 3):
            assert found[f"{way}/recall_at_{k}"]["value"] == pytest.approx(sum(r <= k for r in ranks) / 12)
        assert found[f"{way}/median_rank"]["value"] == median(sorted(ranks)[:-1])  # the lower median
    assert 0 < found[f"{FORTH}/recall_at_1"]["value"] < 1


def test_collapsed_codes_score_what_a_random_order_does() -> None:
    captions = torch.tensor([0, 1, 1, 1, 2, 3, 4, 5])
    same = torch.ones(8, 3)
    found = _measured(same, same, torch.stack([torch.arange(8), captions], 1))
    for way in (FORTH, BACK):
        for k in (1, 3):
            of = found[f"{way}/recall_at_{k}"]
            by_hand = (5 * (1 - comb(7, k) / comb(8, k)) + 3 * (1 - comb(5, k) / comb(8, k))) / 8
            assert of["value"] == pytest.approx(by_hand)
            assert of["chance"] == pytest.approx(by_hand)
        assert found[f"{way}/median_rank"]["value"] == found[f"{way}/median_rank"]["chance"]


def test_chance_is_that_of_all_orders() -> None:
    """Of five items of which two hit, all places of the hits; the median of the rank of the first."""
    x, y = _views(5, 1.0)
    captions = torch.tensor([0, 0, 1, 1, 2])
    found = _measured(x, y, torch.stack([torch.arange(5), captions], 1))
    pairs = [min(places) for places in combinations(range(1, 6), 2)]
    at = {k: (4 * sum(r <= k for r in pairs) / len(pairs) + k / 5) / 5 for k in range(1, 6)}
    assert found[f"{FORTH}/recall_at_3"]["chance"] == pytest.approx(at[3])
    assert found[f"{FORTH}/median_rank"]["chance"] == min(k for k in at if at[k] >= 0.5 - 1e-9)


def test_images_that_are_identical_are_hits_as_well() -> None:
    x, y = _views(6, 0.0)
    x = x.roll(1, 0)  # every image has the code of the one before it
    pictures = torch.tensor([0, 0, 2, 3, 4, 5])
    found = _measured(x, y, torch.stack([pictures, torch.arange(6)], 1))
    assert found[f"{FORTH}/recall_at_1"]["value"] == pytest.approx(1 / 6)  # image 1 has the code of the equal image 0


def test_the_oracle_knows_attributes_and_not_which_of_them_are_told() -> None:
    """Two colours and two shapes; captions tell of one or both."""
    attributes = torch.tensor([[0, 0], [0, 1], [0, 1], [1, 1]])
    told = torch.tensor([[0, -1], [0, 1], [-1, 1], [1, 1]])
    x, y = _views(4, 0.1)
    found = _measured(x, y, _alone(4), attributes, told)
    # true of image 0 is caption 0 alone, of 1 and 2 are three of them, of 3 two; of the images three, two, three, one
    assert found[f"{FORTH}/recall_at_1"]["oracle"] == pytest.approx((1 + 1 / 3 + 1 / 3 + 1 / 2) / 4)
    assert found[f"{BACK}/recall_at_1"]["oracle"] == pytest.approx((1 / 3 + 1 / 2 + 1 / 3 + 1) / 4)
    assert found[f"{FORTH}/recall_at_3"]["oracle"] == pytest.approx(1)
    codes = torch.eye(4)
    assert _measured(codes, codes, _alone(4), attributes, told)[f"{FORTH}/recall_at_1"]["value"] == 1.0


def test_galleries_are_drawn_several_times_and_their_size_is_what_counts() -> None:
    x, y = _views(200, 0.7)
    whole = _measured(x, y, _alone(200))[f"{FORTH}/recall_at_1"]
    small = _measured(x, y, _alone(200), gallery=20, galleries=20)
    one = small[f"{FORTH}/recall_at_1"]
    assert small["gallery"]["value"] == 20
    assert small["queries"]["value"] > 150
    ahead = (y @ x.T > (x * y).sum(1)).double().sum(0)  # others that are nearer to query i
    exact = torch.tensor([comb(199 - int(a), 19) / comb(199, 19) for a in ahead]).mean()
    assert abs(one["value"] - float(exact)) < 4 * (0.25 / (20 * 20)) ** 0.5
    assert one["low"] < float(exact) < one["high"]
    assert one["value"] > whole["high"]


@pytest.mark.slow
def test_intervals_cover_the_rate_of_other_observations() -> None:
    truth = (
        sum(
            _measured(*_views(60, 0.9, 1000 + s), _alone(60), draws=1)[f"{FORTH}/recall_at_1"]["value"]
            for s in range(20)
        )
        / 20
    )
    covered = 0
    for seed in range(20):
        of = _measured(*_views(60, 0.9, seed), _alone(60), draws=200)[f"{FORTH}/recall_at_1"]
        covered += of["low"] <= truth <= of["high"]
    assert 15 <= covered <= 20


def test_what_cannot_be_measured_is_refused_in_a_sentence() -> None:
    x, y = _views(9, 0.1)
    with pytest.raises(ValueError, match="expected at least 10 observations, one gallery, got 9"):
        _measured(x, y, _alone(9), gallery=10)
    with pytest.raises(ValueError, match="expected places from 1 to 9, the observations of a gallery, got"):
        CrossRetrieval(9, (10,))
    with pytest.raises(ValueError, match=r"expected two views of codes \(B, d\), got \(9, 6\) and \(8, 6\)"):
        CrossRetrieval(2, (1,)).update(x, y[:8], _alone(9))
    with pytest.raises(ValueError, match=r"expected integers \(9, 2\) as identities, got \(9, 1\)"):
        CrossRetrieval(2, (1,)).update(x, y, _alone(9)[:, :1])
    with pytest.raises(ValueError, match="expected attributes and what is told of them"):
        CrossRetrieval(2, (1,)).update(x, y, _alone(9), _alone(9))
    some = CrossRetrieval(2, (1,))
    some.update(x, y, _alone(9), _alone(9), _alone(9))
    some.update(x, y, _alone(9))
    with pytest.raises(ValueError, match="expected attributes of all 18 observations, got those of 9"):
        some.compute()
