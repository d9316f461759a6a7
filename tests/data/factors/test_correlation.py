"""Correlated factors: the joint against its formula, frequencies against the joint, everything else as before."""

from math import exp, inf

import pytest
import torch
from scipy.stats import chisquare

from lsgen.data import Correlation, Loading, Sprites
from lsgen.data.factors.sprites import FACTOR_SIZES


def test_the_joint_is_that_of_the_paper():
    """In the units of c1, with alpha = c1_max / c2_max, and sigma in units of c1_max."""
    K1, K2, sigma = 6, 40, 0.4
    alpha, width = 5 / 39, sigma * 5
    weight = [[exp(-((c1 - alpha * c2) ** 2) / (2 * width**2)) for c2 in range(K2)] for c1 in range(K1)]
    expected = torch.tensor(weight, dtype=torch.float64)
    found = Correlation("scale", "orientation", sigma).joint((K1, K2))
    torch.testing.assert_close(found, expected / expected.sum())
    torch.testing.assert_close(
        Correlation("a", "b", inf).joint((3, 4)), torch.full((3, 4), 1 / 12, dtype=torch.float64)
    )
    assert torch.equal(Correlation("a", "b", 1e-170).joint((3, 3)), torch.eye(3, dtype=torch.float64) / 3)
    grid = torch.linspace(0, 1, 32, dtype=torch.float64)
    p = Correlation("posX", "posY", 0.2).joint((32, 32))
    covariance = grid @ p @ grid - (p.sum(1) @ grid) * (p.sum(0) @ grid)
    assert covariance / (p.sum(1) @ grid**2 - (p.sum(1) @ grid) ** 2) == pytest.approx(0.78, abs=0.005)


def test_frequencies_are_those_of_the_joint_and_other_factors_stay_uniform():
    correlation = Correlation("shape", "posX", 0.2)
    data = Sprites(correlation=correlation, train_size=60_000)
    rows = data.dataset("train").rows.long()
    assert len(rows) == 60_000
    shape, scale, orientation, x, y = torch.unravel_index(rows, FACTOR_SIZES)
    p = correlation.joint((3, 32))
    counts = torch.bincount(shape * 32 + x, minlength=96)
    assert chisquare(counts, 60_000 * p.flatten()).pvalue > 1e-4
    for values, size in ((scale, 6), (orientation, 40), (y, 32)):
        assert chisquare(torch.bincount(values, minlength=size)).pvalue > 1e-4
    batch = data.dataset("train")[torch.arange(5)]
    assert torch.equal(batch["factors"][:, 3], x[:5])


def test_held_out_images_stay_as_they_are_and_are_not_trained_on():
    plain = Sprites(train_size=2000)
    correlated = Sprites(train_size=2000, correlation=Correlation("posX", "posY"))
    held_out = torch.cat([plain.dataset(split).rows for split in ("val", "test")])
    for split in ("val", "test"):
        assert torch.equal(plain.dataset(split).rows, correlated.dataset(split).rows)
    assert not torch.isin(correlated.dataset("train").rows, held_out).any()
    again = Sprites(train_size=2000, correlation=Correlation("posX", "posY"), seed=4)
    assert torch.equal(correlated.dataset("train").rows, again.dataset("train").rows)
    other = Sprites(train_size=2000, correlation=Correlation("posX", "posY"), loading=Loading(split_seed=1))
    assert not torch.equal(correlated.dataset("train").rows, other.dataset("train").rows)


def test_held_out_images_are_correlated_on_demand():
    plain, data = Sprites(), Sprites(correlation=Correlation("shape", "scale", 0.2, splits=("test",)))
    assert torch.equal(plain.dataset("train").rows, data.dataset("train").rows)
    rows = data.dataset("test").rows
    assert torch.isin(rows, plain.dataset("test").rows).all()
    shape, scale = torch.unravel_index(rows.long(), FACTOR_SIZES)[:2]
    expected = 10_000 * Correlation("shape", "scale", 0.2).joint((3, 6)).flatten()
    assert chisquare(torch.bincount(shape * 6 + scale, minlength=18), expected).pvalue > 1e-4


def test_refusals():
    with pytest.raises(ValueError, match="expected two different factors and a sigma above 0, got posX, posX and"):
        Correlation("posX", "posX")
    with pytest.raises(ValueError, match="expected two different factors and a sigma above 0"):
        Correlation("posX", "posY", 0.0)
    with pytest.raises(ValueError, match="expected splits out of train, val, test, each once, got"):
        Correlation("posX", "posY", splits=("all",))
    with pytest.raises(ValueError, match=r"expected correlated factors out of shape, scale, .*, got 'colour'"):
        Sprites(correlation=Correlation("posX", "colour"))
    with pytest.raises(ValueError, match="expected images of the likely values of posX and posY, got 100 that have"):
        Sprites(val_size=100, correlation=Correlation("posX", "posY", splits=("val",)))
