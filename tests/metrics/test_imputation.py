"""Scores of imputations on known normals, and the baselines against scikit-learn and closed forms."""

import numpy
import pytest
import torch
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer
from torch import Tensor

from lsgen.latent import EncodableLatentSpace
from lsgen.metrics.imputation import compare_imputations, score_imputation
from lsgen.metrics.imputers import IterativeRegression, Mean, MissForest, NeighbourImputer, PrincipalComponents
from lsgen.models import LinearModel

D = 4


def _data(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two latent coordinates, little noise: what is missing can be told from what is not."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.tensor([[1.0, 0.8, 0.3, 0.0], [0.0, 0.5, 1.0, -1.0]], dtype=torch.float64)
    x = torch.randn(n, 2, dtype=torch.float64, generator=generator) @ mixing
    x = x + 0.2 * torch.randn(n, D, dtype=torch.float64, generator=generator) + torch.arange(D) / 5
    observed = torch.rand(n, D, generator=generator) > 0.3
    observed[:, 0] |= ~observed.any(1)
    return x, observed


def test_gaps_whose_truth_nobody_knows_are_left_out() -> None:
    x, observed = _data(60)
    unknown = ~observed & (torch.arange(60) % 2 == 0).unsqueeze(1)
    assert bool(unknown.any())
    methods = ("mean", "knn", "pca")
    space = LinearModel((D,), 2).latent_space
    holes = torch.where(unknown, torch.nan, x)
    found = compare_imputations(space, (holes, observed), (holes, observed), 5, methods=methods)
    for name, imputer in (("knn", NeighbourImputer()), ("pca", PrincipalComponents())):
        imputer.fit(x, observed)
        mean, _ = imputer(x, observed, 5)
        judged = ~observed & ~unknown
        assert found[name]["mse"] == pytest.approx((mean - x)[judged].square().mean().item())
    assert all(value == value for row in found.values() for value in row.values())
    with pytest.raises(ValueError, match="missing values with a known truth"):
        score_imputation(torch.where(observed, x, torch.nan), observed, x, None)


def test_scores_of_exact_draws_are_those_of_the_normal() -> None:
    torch.manual_seed(0)
    n, draws = 4000, 39
    x = torch.randn(n, 1, dtype=torch.float64)
    scores = score_imputation(
        x, torch.zeros(n, 1).bool(), torch.zeros_like(x), torch.randn(draws, n, 1, dtype=torch.float64), 0.8
    )
    assert scores["rmse"] == pytest.approx(1.0, abs=5 / (2 * n) ** 0.5)
    assert scores["mse"] == pytest.approx(scores["rmse"] ** 2)
    assert scores["coverage"] == pytest.approx(0.8, abs=5 * 0.4 / n**0.5)
    assert scores["width"] == pytest.approx(2 * 1.2816, rel=0.06)


def test_neighbours_are_those_of_scikit_learn() -> None:
    (x, observed), (y, seen) = _data(80), _data(30, seed=1)
    method = NeighbourImputer(3)
    method.fit(x, observed)
    torch.manual_seed(0)
    mean, draws = method(y, seen, 2000)
    holes = [numpy.where(mask, values, numpy.nan) for values, mask in ((x, observed), (y, seen))]
    expected = torch.from_numpy(KNNImputer(n_neighbors=3).fit(holes[0]).transform(holes[1]))
    torch.testing.assert_close(mean[~seen], expected[~seen])
    error = 5 * draws.std(0) / 2000**0.5 + 1e-9
    assert bool(((draws.mean(0) - mean).abs() < error)[~seen].all())


def test_column_means_leave_out_what_is_missing() -> None:
    x, observed = _data(500)
    method = Mean()
    method.fit(x, observed)
    mean, draws = method(x, observed, 300)
    holes = numpy.where(observed, x, numpy.nan)
    torch.testing.assert_close(mean[0], torch.from_numpy(numpy.nanmean(holes, 0)))
    torch.testing.assert_close(
        draws.std((0, 1)), torch.from_numpy(numpy.nanstd(holes, 0)), rtol=5 / (2 * 150_000) ** 0.5, atol=0
    )


@pytest.mark.slow
def test_regressions_find_the_linear_relation() -> None:
    x, observed = _data(400)
    method = IterativeRegression(rounds=4, chains=2)
    method.fit(x, observed)
    y, seen = _data(100, seed=1)
    scores = score_imputation(y, seen, *method(y, seen, 30))
    assert scores["coverage"] == pytest.approx(0.9, abs=0.08)


def test_forests_are_those_of_scikit_learn_and_have_no_draws() -> None:
    x, observed = _data(60)
    method = MissForest(rounds=2, trees=5)
    method.fit(x, observed)
    mean, draws = method(x, observed, 3)
    forest = IterativeImputer(ExtraTreesRegressor(5, random_state=0), max_iter=2, tol=0.0, random_state=0)
    expected = forest.fit_transform(numpy.where(observed, x, numpy.nan))
    torch.testing.assert_close(mean, torch.from_numpy(expected))
    assert draws is None
    assert set(score_imputation(x, observed, mean, draws)) == {"rmse", "mse"}


def test_components_of_complete_rows_are_the_closed_form() -> None:
    x, _ = _data(400)
    method = PrincipalComponents(2, rounds=400)
    method.fit(x, torch.ones_like(x).bool())
    values, axes = torch.linalg.eigh(torch.cov(x.T, correction=0))
    torch.testing.assert_close(method.variance, values[:2].mean(), rtol=1e-6, atol=0)
    expected = axes[:, 2:] @ torch.diag(values[2:] - values[:2].mean()) @ axes[:, 2:].T
    torch.testing.assert_close(method.weights @ method.weights.T, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(method.mean, x.mean(0))


def test_components_fill_gaps_with_the_conditional_normal() -> None:
    x, observed = _data(300)
    method = PrincipalComponents(2)
    method.fit(x, observed)
    y, seen = (part[:8] for part in _data(40, seed=1))
    seen[:, 1] = False
    torch.manual_seed(0)
    mean, draws = method(y, seen, 4000)
    covariance = method.weights @ method.weights.T + method.variance * torch.eye(D)
    for row, o in zip(range(8), seen, strict=True):
        m = ~o
        gain = covariance[m][:, o] @ covariance[o][:, o].inverse()
        torch.testing.assert_close(mean[row, m], method.mean[m] + gain @ (y[row, o] - method.mean[o]))
        spread = (covariance[m][:, m] - gain @ covariance[o][:, m]).diagonal().sqrt()
        torch.testing.assert_close(draws[:, row, m].std(0), spread, rtol=0.06, atol=0)


def test_rows_on_a_plane_are_completed_exactly_with_as_many_components_as_it_has() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(80, 2, generator=generator).double() @ torch.randn(2, 12, generator=generator).double()
    observed = torch.rand(80, 12, generator=generator) > 0.4
    method = PrincipalComponents()
    method.fit(x, observed)
    assert method.weights.shape[1] == 2
    rows = observed.sum(1) >= 4  # two values can be nearly parallel
    torch.testing.assert_close(method(x, observed, 1)[0][rows], x[rows], rtol=1e-3, atol=1e-3)


def _right_model() -> EncodableLatentSpace:
    space = LinearModel((D,), 2).double().fit(_data(2000, seed=2)[0]).latent_space
    with torch.no_grad():  # a proposal from part of an observation must be wider
        space.encoder.layers[0].bias[2:] += 3.0
    return space


@pytest.mark.slow
def test_a_model_that_is_right_is_best_and_calibrated() -> None:
    train, test = _data(400), _data(150, seed=1)
    methods = ["mean", "knn", "miwae"]
    torch.manual_seed(0)
    scores = compare_imputations(_right_model(), train, test, draws=60, samples=3000, methods=methods)
    assert list(scores) == methods
    assert scores["miwae"]["rmse"] < min(scores["mean"]["rmse"], scores["knn"]["rmse"])
    assert scores["miwae"]["coverage"] == pytest.approx(0.9, abs=0.07)
    assert scores["miwae"]["width"] < scores["mean"]["width"]


@pytest.mark.slow
def test_all_methods_are_compared_on_the_same_gaps() -> None:
    scores = compare_imputations(_right_model(), _data(60), _data(20, seed=1), draws=3, samples=200)
    assert list(scores) == ["mean", "knn", "iterative", "miwae", "pseudo_gibbs", "metropolis"]
    assert all(set(row) == {"rmse", "mse", "coverage", "width"} for row in scores.values())
    with pytest.raises(ValueError, match=r"expected methods out of mean, knn, .*, got median"):
        compare_imputations(_right_model(), _data(60), _data(20), methods=["median"])


def test_nothing_to_judge_is_refused() -> None:
    x, _ = _data(5)
    with pytest.raises(
        ValueError, match="expected missing values with a known truth to judge an imputation by, got none"
    ):
        score_imputation(x, torch.ones_like(x).bool(), x, x[None])
    with pytest.raises(ValueError, match=r"expected a level in \(0, 1\), got 1"):
        score_imputation(x, torch.zeros_like(x).bool(), x, x[None], 1.0)
    with pytest.raises(ValueError, match="expected at least 1 neighbour, got 0"):
        NeighbourImputer(0)
    with pytest.raises(ValueError, match="expected rounds and trees of at least 1, got 0 and 100"):
        MissForest(0)
    with pytest.raises(ValueError, match="expected components and rounds of at least 1, got 0 and 100"):
        PrincipalComponents(0)
    with pytest.raises(ValueError, match="expected more columns than 4 components, got 4"):
        PrincipalComponents(4).fit(*_data(9))
