"""Dependence of factors against scipy, and the parting of factors against graphs at every threshold."""

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import connected_components
from scipy.stats.contingency import association

from lsgen.data import Correlation, Sprites
from lsgen.metrics.disentanglement import DCI
from lsgen.metrics.disentanglement.factor_pairs.dependence import dependent_pairs
from lsgen.metrics.disentanglement.factor_pairs.entanglement import parting_thresholds


def test_only_factors_that_are_related_are_called_dependent():
    generator = torch.Generator().manual_seed(0)
    for _ in range(30):  # 300 pairs of independent factors, of few and of many values
        draws = [torch.randint(size, (700,), generator=generator) for size in (2, 3, 6, 40, 32)]
        assert dependent_pairs(torch.stack(draws, 1)) == []
    a, b = draws[2], (draws[2] + draws[3] % 3) % 6
    factors = torch.stack([draws[1], a, torch.zeros_like(a), b, a], 1)
    found = {(i, j): v for i, j, v in dependent_pairs(factors)}
    assert set(found) == {(1, 3), (1, 4), (3, 4)}
    assert found[1, 4] == pytest.approx(1)
    table = np.zeros((6, 6), dtype=int)
    np.add.at(table, (a.numpy(), b.numpy()), 1)
    assert found[1, 3] == pytest.approx(association(table, method="cramer"))


def test_correlated_sprites_are_found_and_plain_ones_are_not():
    data = Sprites(correlation=Correlation("scale", "posY", 0.4), train_size=3000)
    (pair,) = dependent_pairs(data.dataset("train")[torch.arange(3000)]["factors"])
    assert pair[:2] == (1, 4)
    assert dependent_pairs(data.dataset("test")[torch.arange(3000)]["factors"]) == []


def test_factors_part_where_no_path_is_left():
    importance = torch.rand(7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    importance /= importance.sum(0)
    found = parting_thresholds(importance)
    for t in importance.flatten().tolist():
        edges = np.zeros((11, 11))
        edges[:7, 7:] = importance >= t
        component = connected_components(edges, directed=False)[1][7:]
        for a in range(4):
            for b in set(range(4)) - {a}:
                assert (component[a] == component[b]) == (found[a, b] >= t)
    chain = parting_thresholds(torch.tensor([[1.0, 0.4, 0.0], [0.0, 0.6, 1.0]]))
    assert chain[0, 2] == pytest.approx(0.4), "through the factor between them"
    assert torch.equal(parting_thresholds(torch.eye(3)), torch.eye(3))
    assert torch.equal(parting_thresholds(torch.ones(1, 3)), torch.ones(3, 3))
    with pytest.raises(ValueError, match="expected importances of shape"):
        parting_thresholds(torch.ones(3))


def test_codes_that_mix_two_factors_part_late():
    generator = torch.Generator().manual_seed(2)
    a, b, c = (torch.randint(3, (600,), generator=generator) for _ in range(3))
    metric = DCI(rounds=5, bins=32)
    metric.update(torch.stack([a + b, a - b, c], 1).double(), torch.stack([a, b, c], 1))
    parting = metric.terms()["parting"]
    assert parting[0, 1] > 0.3
    assert parting[0, 2] < 0.05
    assert parting[1, 2] < 0.05
