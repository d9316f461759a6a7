"""JEMMIG against sums over all observations; explicitness of curves and of codes that are known."""

from collections import Counter
from math import log

import pytest
import torch

from lsgen.metrics.disentanglement import DCIES, JEMMIG
from lsgen.metrics.disentanglement.dci_es import curve_explicitness


def _entropy(*columns):
    counts = Counter(zip(*(column.tolist() for column in columns), strict=True))
    n = sum(counts.values())
    return -sum(c / n * log(c / n) for c in counts.values())


def _terms(metric, codes, factors):
    metric.update(codes.double(), factors)
    return metric.terms()


GRID = torch.cartesian_prod(torch.arange(4), torch.arange(3), torch.arange(2))
A, B, NOISE = GRID.unbind(1)


def test_jemmig_by_enumeration():
    """Codes that know one factor and noise, both factors, one factor in part, and nothing."""
    codes = torch.stack([3 * A + B, A + 4 * NOISE, B.clamp(max=1), torch.zeros_like(A)], 1)
    factors = torch.stack([A, B], 1)
    found = _terms(JEMMIG(bins=24), codes, factors)
    scores = []
    for j, v in enumerate((A, B)):
        information = {z: _entropy(c) + _entropy(v) - _entropy(c, v) for z, c in enumerate(codes.unbind(1))}
        second, best = sorted(information.values())[-2:]
        # Codes 0 and 1 know all of A; code 1 has less entropy.
        first = max(information, key=lambda z: (round(information[z], 9), -_entropy(codes[:, z])))
        expected = _entropy(codes[:, first], v) - best + second
        assert found["per_factor"][j].item() == pytest.approx(expected)
        scores.append(1 - expected / (_entropy(v) + log(24)))
    assert found["score"].item() == pytest.approx(sum(scores) / 2)
    assert found["nats"].item() == pytest.approx(found["per_factor"].mean().item())


def test_jemmig_reaches_its_bounds():
    perfect = _terms(JEMMIG(bins=12), torch.stack([A, B], 1), torch.stack([A, B], 1))
    assert perfect["nats"].item() == pytest.approx(0, abs=1e-12)
    assert perfect["score"].item() == pytest.approx(1)
    worst = _terms(JEMMIG(bins=3), B[:, None], A[:, None])
    assert worst["nats"].item() == pytest.approx(log(4) + log(3))
    assert worst["score"].item() == pytest.approx(0, abs=1e-12)
    both = _terms(JEMMIG(bins=12), (3 * A + B)[:, None], torch.stack([A, B], 1))
    assert both["nats"].item() == pytest.approx((log(3) + log(4)) / 2), "H(z|v) of a code that knows both"
    with pytest.raises(ValueError, match="expected at least 2 bins, got 1"):
        JEMMIG(bins=1)


def test_explicitness_of_curves():
    capacity = torch.tensor([0.0, 1.0, 3.0, 4.0], dtype=torch.float64)
    line = 0.8 * (1 - capacity / 4)
    step = torch.tensor([0.2, 0.2, 0.2, 0.2], dtype=torch.float64)
    late = torch.tensor([0.8, 0.8, 0.8, 0.0], dtype=torch.float64)
    bumpy = torch.tensor([0.8, 0.4, 0.6, 0.0], dtype=torch.float64)  # the running minimum is 0.8, 0.4, 0.4, 0
    none = torch.zeros(4, dtype=torch.float64)
    found = curve_explicitness(
        capacity, torch.stack([line, step, late, bumpy, none]), torch.tensor([0.8] * 4 + [0.0], dtype=torch.float64)
    )
    area = 0.6 + 0.4 * 2 + 0.2
    expected = torch.tensor([0.0, 1.0, 1 - (0.8 * 3 + 0.4) / 1.6, 1 - area / 1.6], dtype=torch.float64)
    torch.testing.assert_close(found[:4], expected)
    assert found[4].isnan()


def test_explicitness_of_known_codes():
    """A threshold of one code takes trees of depth 1, an exclusive or of two codes depth 2."""
    codes = 2 * torch.rand(1200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 1
    factors = torch.stack([codes[:, 0] > 0, (codes[:, 0] > 0) ^ (codes[:, 1] > 0)], 1).long()
    found = _terms(DCIES(depths=(1, 2, 3, 6), trees=25), codes, factors)
    easy, hard = found["losses"]
    assert easy.max() < 0.05
    assert hard[0] > 0.35
    assert hard[-1] < 0.1
    assert found["per_factor"][0] > 0.95
    assert found["per_factor"][1] < 0.8
    assert found["size"] == 1
    assert found["informativeness"] > 0.95
    nothing = _terms(DCIES(depths=(1, 6), trees=5), codes.flip(0), factors)
    assert nothing["informativeness"] < 0.6
    with pytest.raises(ValueError, match=r"expected at least 2 increasing depths from 1 and a tree, got \(3, 2\)"):
        DCIES(depths=(3, 2))
