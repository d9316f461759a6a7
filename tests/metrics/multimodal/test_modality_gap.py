"""The gap between views of a known law, by chance, after centring, and the loss as it closes."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from lsgen.metrics.multimodal import ModalityGap
from lsgen.metrics.multimodal.modality_gap import centred_directions, losses_along_gap


def _of(a: Tensor, b: Tensor) -> dict[str, dict[str, float]]:
    metric = ModalityGap(draws=200)
    metric.update(a, b)
    return {name: {part: float(value) for part, value in of.items()} for name, of in metric.compute().items()}


def _draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_two_cones_have_the_distance_of_their_means() -> None:
    along = torch.eye(8, dtype=torch.float64)[0]
    shared = 0.3 * _draws(500, 8)
    a, b = shared + along, shared - along
    found = _of(5 * a, b)  # lengths do not count
    a, b = normalize(a, dim=1), normalize(b, dim=1)
    assert found["distance"]["value"] == pytest.approx(float((a.mean(0) - b.mean(0)).norm()))
    assert found["distance"]["low"] < found["distance"]["value"] < found["distance"]["high"]
    assert found["distance"]["chance"] < 0.1 * found["distance"]["low"]
    assert found["centred"]["value"] < 0.1 * found["distance"]["value"]
    cosines = (a @ b.T).numpy()
    assert found["pairs"]["value"] == pytest.approx(np.diag(cosines).mean())
    assert found["others"]["value"] == pytest.approx((cosines.sum() - np.trace(cosines)) / 500 / 499)


def test_views_with_one_mean_have_the_gap_of_chance() -> None:
    gaps, levels = [], []
    for seed in range(30):
        of = _of(_draws(100, 5, seed=seed), _draws(100, 5, seed=seed + 100))["distance"]
        gaps.append(of["value"] ** 2)
        levels.append(of["chance"] ** 2)
    assert np.mean(gaps) == pytest.approx(np.mean(levels), rel=0.35)


def test_the_loss_on_the_way_is_that_of_the_moved_codes() -> None:
    a, b = (normalize(_draws(20, 4, seed=s) + shift, dim=1) for s, shift in ((0, 1.0), (1, -0.5)))
    found = losses_along_gap(a, b, (0.0, 0.5, 1.0), (0.1, 1.0))
    gap = a.mean(0) - b.mean(0)
    for place, t in enumerate((0.0, 0.5, 1.0)):
        logits = normalize(a - t / 2 * gap, dim=1) @ normalize(b + t / 2 * gap, dim=1).T
        for row, temperature in enumerate((0.1, 1.0)):
            ways = [cross_entropy(one / temperature, torch.arange(20)) for one in (logits, logits.T)]
            assert float(found[row, place]) == pytest.approx(float(sum(ways)) / 2)


def test_centred_codes_are_directions_about_the_mean() -> None:
    a = _draws(50, 3) + 4
    torch.testing.assert_close(centred_directions(a).norm(dim=1), torch.ones(50, dtype=torch.float64))


def test_what_has_no_direction_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"expected two views of codes \(B, d\), got \(4, 3\) and \(4, 2\)"):
        ModalityGap().update(torch.ones(4, 3), torch.ones(4, 2))
    with pytest.raises(ValueError, match="expected at least two observations, got 1"):
        _of(torch.ones(1, 3), torch.ones(1, 3))
    for bad in (torch.zeros(3, 2), torch.full((3, 2), float("nan"))):
        with pytest.raises(ValueError, match="expected finite codes that have a direction, got others"):
            _of(bad, torch.ones(3, 2))
