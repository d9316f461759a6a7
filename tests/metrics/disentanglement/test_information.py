"""Entropies and mutual informations against known joints and scikit-learn."""

from math import log, sqrt

import numpy as np
import pytest
import torch
from sklearn.feature_selection._mutual_info import _compute_mi_cd
from sklearn.metrics import mutual_info_score

from lsgen.metrics.disentanglement.information import (
    entropy,
    histogram,
    mutual_information,
    nearest_neighbour_information,
    recode,
)


def test_known_joint_gives_the_known_value():
    # p(0,0) = 3/8, p(0,1) = 1/8, p(1,0) = 1/8, p(1,1) = 3/8.
    pairs = torch.tensor([[0, 0]] * 3 + [[0, 1]] + [[1, 0]] + [[1, 1]] * 3)
    expected = 2 * (3 / 8 * log(3 / 2) + 1 / 8 * log(1 / 2))
    information = mutual_information(pairs[:, :1], pairs[:, 1:])
    torch.testing.assert_close(information.item(), expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(entropy(pairs), torch.full((2,), log(2), dtype=torch.float64))


def test_independent_columns_share_nothing_and_equal_ones_everything():
    grid = torch.cartesian_prod(torch.arange(3), torch.arange(5), torch.arange(2))
    expected = torch.diag(torch.tensor([log(3), log(5), log(2)], dtype=torch.float64))
    torch.testing.assert_close(mutual_information(grid, grid), expected, atol=1e-12, rtol=0)


def test_all_pairs_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 7, (500, 3))
    b = np.stack([(a[:, 0] + rng.integers(0, 2, 500)) % 7, rng.integers(0, 4, 500)], axis=1)
    expected = [[mutual_info_score(x, y) for y in b.T] for x in a.T]
    result = mutual_information(torch.from_numpy(a), torch.from_numpy(b))
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-12)


def test_bins_are_those_of_numpy():
    rng = np.random.default_rng(0)
    codes = np.column_stack([rng.normal(size=1000), rng.random(1000), np.full(1000, 3.0), rng.integers(0, 5, 1000)])
    bins = histogram(torch.from_numpy(codes), 20).numpy()
    for column in (0, 1, 3):
        edges = np.histogram(codes[:, column], 20)[1]
        np.testing.assert_array_equal(bins[:, column], np.digitize(codes[:, column], edges[:-1]) - 1)
    assert len(np.unique(bins[:, 2])) == 1


@pytest.mark.parametrize("scale", [1, -1, 1000, 2**40, 0.5])
def test_values_are_numbered_in_their_order(scale):
    # Near each other or far apart, of either sign, whole or not.
    values, sizes = recode(torch.tensor([[3, 0], [2, 0], [3, 0], [4, 0]]) * scale)
    order = [1, 0, 1, 2] if scale > 0 else [1, 2, 1, 0]
    assert values.tolist() == [[number, 0] for number in order]
    assert sizes == [3, 1]


def test_nearest_neighbours_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 800)
    labels[:2] = 7, 8
    codes = rng.normal(size=(800, 3)) + labels[:, None] * np.array([0, 0.5, 3])
    result = nearest_neighbour_information(torch.from_numpy(codes), torch.from_numpy(labels), 10)
    expected = [_compute_mi_cd(c, labels, 10) for c in codes.T]
    np.testing.assert_allclose(result.numpy(), np.maximum(expected, 0), atol=1e-12)


def test_nearest_neighbours_meet_the_truth_of_two_shifted_uniform_laws():
    # x uniform on [0, 1] for y = 0 and on [1/2, 3/2] for y = 1: half of each is ambiguous, I = log(2)/2.
    n = 20_000
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % 2
    x = torch.rand(n, 1, generator=generator, dtype=torch.float64) + labels[:, None] / 2
    estimate = nearest_neighbour_information(x, labels, 10).item()
    # Points are informative or not with probability 1/2: a standard deviation of log(2)/2 each, and noise of psi below.
    assert abs(estimate - log(2) / 2) < 4 * (log(2) / 2 + 1 / sqrt(10)) / sqrt(n)
