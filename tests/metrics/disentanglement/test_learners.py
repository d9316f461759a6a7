"""Machines, regressions and trees inside the metrics against scikit-learn, fitted to the same optimum."""

import numpy as np
import pytest
import torch
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import Lasso
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.metrics import roc_auc_score
from sklearn.svm import LinearSVC

from lsgen.metrics.disentanglement.explicitness import area_under_curve
from lsgen.metrics.disentanglement.predictors.boosting import Boosting
from lsgen.metrics.disentanglement.predictors.logistic import LogisticRegression
from lsgen.metrics.disentanglement.predictors.svm import fit_margins
from lsgen.metrics.disentanglement.predictors.tree_splits import quantile_bins
from lsgen.metrics.disentanglement.udr import lasso, ranks


def problem(classes, n=400, d=3, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    x = rng.normal(size=(n, d)) + 0.7 * rng.normal(size=(classes, d))[y]
    return x, y


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("cost", [0.01, 1.0])
def test_machines_are_those_of_liblinear(classes, cost):
    x, y = problem(classes)
    w, b = fit_margins(torch.from_numpy(x), torch.from_numpy(y), classes, cost)
    for i in range(x.shape[1]):
        machine = LinearSVC(C=cost, class_weight="balanced", dual=False, tol=1e-12, max_iter=100_000)
        machine.fit(x[:, [i]], y)
        slope, constant = machine.coef_[:, 0], machine.intercept_
        rows = slice(1, 2) if classes == 2 else slice(None)
        np.testing.assert_allclose(w[i, rows].numpy(), slope, atol=1e-6)
        np.testing.assert_allclose(b[i, rows].numpy(), constant, atol=1e-6)
        if classes == 2:
            np.testing.assert_allclose(w[i, 0].numpy(), -slope[0], atol=1e-6)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("balanced", [False, True])
def test_logistic_regression_is_that_of_scikit_learn(classes, balanced):
    x, y = problem(classes)
    model = LogisticRegression(penalty=0.5, balanced=balanced).fit(torch.from_numpy(x), torch.from_numpy(y), classes)
    assert model.converged
    weights = "balanced" if balanced else None
    reference = Reference(C=2.0, class_weight=weights, tol=1e-12, max_iter=10_000).fit(x, y)
    np.testing.assert_allclose(model(torch.from_numpy(x)).exp().numpy(), reference.predict_proba(x), atol=1e-6)


def test_preconditioners_of_logistic_regression_lead_to_the_same_minimum(monkeypatch):
    """The first one alone, one that is factorised as a whole, and one by blocks; the minimum is scikit-learn's."""
    module = "lsgen.metrics.disentanglement.predictors.logistic"
    made, factorised = [], LogisticRegression._factorised
    monkeypatch.setattr(LogisticRegression, "_factorised", lambda self, p: made.append(1) or factorised(self, p))
    x, y = problem(4)
    expected = Reference(tol=1e-10, max_iter=5000).fit(x, y).predict_log_proba(x)
    for patience, largest in ((10**9, 1024), (-1, 1024), (-1, 0)):
        made.clear()
        monkeypatch.setattr(f"{module}.PATIENCE", patience)
        monkeypatch.setattr(f"{module}.LARGEST", largest)
        found = LogisticRegression(penalty=1.0).fit(torch.from_numpy(x), torch.from_numpy(y), 4)
        assert bool(made) == (patience < 0)
        np.testing.assert_allclose(found(torch.from_numpy(x)).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 4])
def test_trees_are_those_of_scikit_learn_where_bins_hold_all_values(classes):
    # In small nodes, deep in a tree, several splits gain the same and either algorithm takes one of them.
    rng = np.random.default_rng(1)
    values = np.sort(rng.normal(size=30))
    x = values[rng.integers(0, 30, (600, 4))]
    y = np.digitize(x[:, 0] + 0.5 * x[:, 1] ** 2 + 0.3 * rng.normal(size=600), np.linspace(-0.5, 1.2, classes - 1))
    train = torch.arange(450)
    boosting = Boosting(rounds=20, depth=2, rate=0.1, bins=30)
    labels = torch.from_numpy(y)[:, None]
    importance, named = boosting.fit(torch.from_numpy(x), labels, [classes], train)
    reference = GradientBoostingClassifier(n_estimators=20, max_depth=2).fit(x[:450], y[:450])
    np.testing.assert_allclose(importance[:, 0].numpy(), reference.feature_importances_, atol=1e-5)
    assert np.mean(named[:450, 0].numpy() == reference.predict(x[:450])) == 1


def test_factors_are_boosted_apart_though_at_once():
    x, y = problem(3, n=300)
    z, v = problem(2, n=300, seed=1)
    codes, train = torch.from_numpy(np.hstack([x, z])), torch.arange(300)
    labels = torch.from_numpy(np.stack([y, v], axis=1))
    boosting = Boosting(rounds=5, depth=2)
    together, named = boosting.fit(codes, labels, [3, 2], train)
    for j, size in enumerate((3, 2)):
        alone, named_alone = boosting.fit(codes, labels[:, [j]], [size], train)
        torch.testing.assert_close(together[:, [j]], alone, atol=1e-5, rtol=0)
        assert torch.equal(named[:, [j]], named_alone)


def test_bins_hold_equal_counts_in_order():
    x = torch.randn(2, 1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    bins = quantile_bins(x, 1000, 10)
    assert torch.equal(torch.bincount(bins[0]), torch.full((10,), 100))
    order = x[1].argsort()
    assert (bins[1, order].diff() >= 0).all()


def test_area_under_the_curve_is_that_of_scikit_learn_with_ties():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 200)
    scores = np.round(0.7 * rng.random((200, 3)) + 0.3 * np.eye(3)[y], 1)
    expected = roc_auc_score(np.eye(3)[y], scores)
    assert abs(area_under_curve(torch.from_numpy(scores), torch.from_numpy(y)).item() - expected) < 1e-6


def test_area_leaves_out_classes_that_do_not_occur():
    rng = np.random.default_rng(1)
    y = rng.choice([0, 3], 100)
    scores = rng.random((100, 5))
    expected = (roc_auc_score(y == 0, scores[:, 0]) + roc_auc_score(y == 3, scores[:, 3])) / 2
    assert abs(area_under_curve(torch.from_numpy(scores), torch.from_numpy(y)).item() - expected) < 1e-6


def test_area_is_not_known_where_one_class_has_all_observations():
    scores = torch.tensor([[0.1, 0.9], [0.4, 0.6]])
    assert torch.isnan(area_under_curve(scores, torch.tensor([1, 1])))


def test_lasso_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 500, 4))
    x[1] = x[0] @ rng.normal(size=(4, 4)) + x[1]
    x = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
    gram = torch.from_numpy(np.einsum("mna,knb->mkab", x, x) / 500)
    weights = lasso(gram, 0.1)
    reference = Lasso(alpha=0.1, tol=1e-12, max_iter=100_000).fit(x[0], x[1])
    np.testing.assert_allclose(weights[0, 1].numpy(), reference.coef_.T, atol=1e-8)


def test_ranks_share_ties():
    assert ranks(torch.tensor([[3.0], [1.0], [3.0], [2.0]])).flatten().tolist() == [3.5, 1.0, 3.5, 2.0]
