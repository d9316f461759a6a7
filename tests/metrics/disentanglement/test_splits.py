"""Trees and DCI against scikit-learn's GradientBoostingClassifier, above all where several splits are equally good."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.ensemble import GradientBoostingClassifier

from lsgen.metrics.disentanglement import DCI
from lsgen.metrics.disentanglement.base import split_indices
from lsgen.metrics.disentanglement.predictors.boosting import Boosting


def problem(classes, n=900, d=3, seed=0):
    """Return real codes and noisy classes, so that no node holds few enough observations for ties."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    score = x[:, 0] + 0.5 * x[:, 1] ** 2 + 0.7 * rng.normal(size=n)
    return x.astype(np.float32), np.digitize(score, np.quantile(score, np.arange(1, classes) / classes))


def boosted(x, y, train=None, **options):
    """Return importances (d,) and predictions (N,)."""
    train = torch.arange(len(x)) if train is None else torch.as_tensor(train)
    labels = torch.as_tensor(np.asarray(y))[:, None]
    importance, named = Boosting(**options).fit(torch.as_tensor(x), labels, [int(labels.max()) + 1], train)
    return importance[:, 0].numpy(), named[:, 0].numpy()


def peer(x, y, train, seed=0, rounds=100, depth=3):
    model = GradientBoostingClassifier(n_estimators=rounds, max_depth=depth, random_state=seed).fit(x[train], y[train])
    return model.feature_importances_, model.predict(x)


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_exact_trees_are_those_of_scikit_learn_where_no_split_has_an_equal(classes):
    x, y = problem(classes)
    train = np.arange(600)
    importance, named = boosted(x, y, train, rounds=12, depth=2)
    expected, expected_named = peer(x, y, train, rounds=12, depth=2)
    np.testing.assert_allclose(importance, expected, atol=1e-7)
    np.testing.assert_array_equal(named, expected_named)


@pytest.mark.parametrize("classes", [2, 7])
def test_deeper_trees_differ_from_those_of_scikit_learn_as_its_own_seeds_differ(classes):
    # Deeper nodes are small, and some of their splits have equals.
    x, y = problem(classes)
    train = np.arange(600)
    importance, _ = boosted(x, y, train, rounds=12)
    fits = np.stack([peer(x, y, train, seed, rounds=12)[0] for seed in range(4)])
    assert (np.abs(importance - fits.mean(axis=0)) < 3 * np.ptp(fits, axis=0) + 1e-4).all()


@pytest.mark.parametrize("step", [0.5, 0.1])
def test_thresholds_lie_between_distinct_values(step):
    x, y = problem(3)
    x = np.round(x / step) * step
    importance, named = boosted(x, y, np.arange(600), rounds=5)
    expected, expected_named = peer(x.astype(np.float32), y, np.arange(600), rounds=5)
    np.testing.assert_allclose(importance, expected, atol=1e-6)
    assert np.mean(named == expected_named) > 0.999


@pytest.mark.parametrize("bins", [None, 32])
def test_twins_share_what_one_has_alone_and_constants_have_nothing(bins):
    x, y = problem(3)
    alone, named = boosted(x, y, bins=bins, rounds=30, depth=2)
    twins = [0, 4, 5]
    together, named_together = boosted(
        np.column_stack([x, np.full(len(x), 0.3), x[:, 0], 2 * x[:, 0]]), y, bins=bins, rounds=30, depth=2
    )
    np.testing.assert_array_equal(named_together, named)
    np.testing.assert_allclose(together[twins].sum(), alone[0], atol=1e-6)
    np.testing.assert_allclose(together[1:3], alone[1:], atol=1e-6)
    assert together[3] == 0
    # About 90 splits with a large gain among three twins.
    assert (together[twins] / alone[0] > 0.1).all()


def test_ties_are_drawn_by_the_seed_alone():
    x, y = problem(3, n=300)
    x = np.column_stack([x, x[:, 0]])
    first, again, other = (boosted(x, y, rounds=5, seed=seed)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert abs(first[0] - other[0]) > 1e-3
    torch.manual_seed(5)
    np.testing.assert_array_equal(boosted(x, y, rounds=5)[0], first)


@pytest.mark.parametrize("scale", [1e-9, 1e-3])
def test_values_that_scikit_learn_takes_as_one_are_one(scale):
    # Less than 1e-7 apart there; a collapsed code must not be cut.
    x, y = problem(2, n=300)
    x = x * np.array([scale, 1, 1], dtype=np.float32)
    importance, _ = boosted(x, y, rounds=5)
    np.testing.assert_allclose(importance, peer(x, y, np.arange(300), rounds=5)[0], atol=1e-9)
    assert (importance[0] == 0) == (scale == 1e-9)


def test_a_symmetric_problem_is_split_though_the_first_split_gains_nothing():
    # y = [x_1 x_2 > 0] on a square: no first split gains anything, in scikit-learn's trees and here it is taken.
    grid = np.linspace(-1, 1, 12)
    x = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    y = (x.prod(axis=1) > 0).astype(int)
    assert (boosted(x, y, rounds=10)[1] == y).mean() > 0.9
    assert (peer(x, y, np.arange(len(x)), rounds=10)[1] == y).mean() > 0.9


def factors_and_codes(kind, n=400):
    rng = np.random.default_rng(3)
    factors = np.stack([rng.integers(0, size, n) for size in (2, 3, 6)], axis=1)
    base = (factors - factors.mean(axis=0)) / factors.std(axis=0)
    noise = rng.normal(size=(2, n, 3))
    codes = {
        "twins": np.column_stack([base, base]),
        "noisy twin": np.column_stack([base, base + 0.05 * noise[0]]),
        "noisy twin first": np.column_stack([base + 0.05 * noise[0], base]),
        "two noisy copies": np.column_stack([base + 0.3 * noise[0], base + 0.3 * noise[1]]),
        "noisy": base + 0.3 * noise[0],
        "few values and a constant": np.column_stack([np.round(base + 0.5 * noise[0]), np.ones(n)]),
        "negative twin": np.column_stack([base + 0.3 * noise[0], -base - 0.3 * noise[0]]),
    }[kind]
    return factors, codes


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        "twins",
        "noisy twin",
        "noisy twin first",
        "two noisy copies",
        "noisy",
        "few values and a constant",
        "negative twin",
    ],
)
def test_dci_is_that_of_scikit_learn_up_to_the_draws_among_ties(kind):
    factors, codes = factors_and_codes(kind)
    rounds, seeds = 15, range(3)
    train, test = (part.numpy() for part in split_indices(len(codes), 1 / 3, 0, torch.device("cpu")))
    ours, theirs = [], []
    for seed in seeds:
        metric = DCI(rounds=rounds)
        metric.boosting = Boosting(rounds=rounds, seed=seed)
        metric.update(torch.from_numpy(codes), torch.from_numpy(factors))
        terms = metric.terms()
        ours.append([terms[part].item() for part in ("disentanglement", "completeness", "informativeness")])
        fits = [peer(codes, v, train, seed=seed, rounds=rounds) for v in factors.T]
        importance = np.stack([fit[0] for fit in fits], axis=1)
        right = np.mean([(named == v)[test].mean() for (_, named), v in zip(fits, factors.T, strict=True)])
        theirs.append([concentration(importance), concentration(importance.T), right])
    spread = np.sqrt((np.var(ours, axis=0, ddof=1) + np.var(theirs, axis=0, ddof=1)) / len(seeds))
    # Three seeds know little of their own spread: a tolerance stands beside it.
    assert (np.abs(np.mean(ours, axis=0) - np.mean(theirs, axis=0)) < 4 * spread + 0.012).all(), (ours, theirs)
    if "twin" in kind and kind != "noisy twin first":
        assert np.mean(ours, axis=0)[1] < 0.75


def concentration(importance):
    per_row = 1 - stats.entropy(importance.T + 1e-11, base=importance.shape[1])
    return np.sum(per_row * importance.sum(axis=1) / importance.sum())


def test_values_of_a_factor_that_were_not_fitted_do_not_count_as_classes():
    # One value of the second factor is among the observations to test only, where it cannot be named.
    factors, codes = factors_and_codes("noisy", n=400)
    train, test = (part.numpy() for part in split_indices(400, 1 / 3, 0, torch.device("cpu")))
    factors[test[:5], 1] = 9
    metric = DCI(rounds=5, depth=2)
    metric.update(torch.from_numpy(codes), torch.from_numpy(factors))
    terms = metric.terms()
    fits = [peer(codes, v, train, rounds=5, depth=2) for v in factors.T]
    np.testing.assert_allclose(terms["importance"].numpy(), np.stack([i for i, _ in fits], axis=1), atol=1e-3)
    right = np.mean([(named == v)[test].mean() for (_, named), v in zip(fits, factors.T, strict=True)])
    assert abs(terms["informativeness"].item() - right) < 0.01


def test_a_factor_that_is_constant_where_it_is_fitted_teaches_nothing():
    factors, codes = factors_and_codes("noisy", n=300)
    _, test = split_indices(300, 1 / 3, 0, torch.device("cpu"))
    factors[:, 0], factors[test[:4], 0] = 5, 2
    metric = DCI(rounds=3)
    metric.update(torch.from_numpy(codes), torch.from_numpy(factors))
    assert (metric.terms()["importance"][:, 0] == 0).all()
    assert torch.isfinite(metric.compute())


@pytest.mark.parametrize("options", [{"rounds": 0}, {"depth": 0}, {"rate": 0.0}, {"bins": 0}])
def test_impossible_settings_are_refused(options):
    with pytest.raises(ValueError, match="expected at least 1 round, split and bin and a rate above 0, got"):
        DCI(**options)
