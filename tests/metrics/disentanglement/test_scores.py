"""Scores against the reference algorithms, and against what they must be for codes that are known."""

import importlib.util
from math import log, pi, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.ensemble import GradientBoostingClassifier

from lsgen.data.factors.sprites import factors_of
from lsgen.metrics.disentanglement import (
    DCI,
    IRS,
    SAP,
    UDR,
    BetaVAEScore,
    Explicitness,
    FactorVAEScore,
    InfoMEC,
    Modularity,
    MutualInformationGap,
    disentanglement_metrics,
)
from lsgen.metrics.disentanglement.base import split_indices

_spec = importlib.util.spec_from_file_location("reference", Path(__file__).with_name("reference.py"))
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def sprites(n, seed=0):
    return factors_of(torch.randint(737_280, (n,), generator=generator(seed)))


def mixed(factors, d=6, seed=1):
    """Return codes that know something about all factors."""
    v = factors.double()
    v = (v - v.mean(0)) / v.std(0)
    weights = torch.randn(v.shape[1], d, generator=generator(seed), dtype=torch.float64)
    return v @ weights + 0.5 * torch.randn(len(v), d, generator=generator(seed + 1), dtype=torch.float64)


def value(metric, codes, factors):
    metric.update(codes, factors)
    return metric.compute().item()


FACTORS = sprites(1500)
CODES = mixed(FACTORS)
SPLIT = split_indices(1500, 1 / 3, 0, torch.device("cpu"))
TRAIN, TEST = (part.numpy() for part in SPLIT)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (MutualInformationGap(), reference.mig),
        (Modularity(), reference.modularity),
        (IRS(), reference.irs),
        (SAP(continuous=True), reference.sap_continuous),
    ],
    ids=lambda item: getattr(item, "__name__", type(item).__name__),
)
def test_deterministic_scores_equal_the_reference(metric, expected):
    assert abs(value(metric, CODES, FACTORS) - expected(CODES.numpy(), FACTORS.numpy())) < 1e-6


@pytest.mark.parametrize("quantile", [0.05, 0.5, 1.0])
def test_irs_at_other_quantiles_equals_the_reference(quantile):
    expected = reference.irs(CODES.numpy(), FACTORS.numpy(), quantile)
    assert abs(value(IRS(quantile), CODES, FACTORS) - expected) < 1e-12


def test_full_settings_are_those_of_the_published_study():
    # The settings of disentanglement_lib, unsupervised_study_v1: numbers of observations, votes, bins and constants.
    metrics = disentanglement_metrics("full")
    used = {name: metric.observations for name, metric in metrics.items()}
    assert {name for name, n in used.items() if n == 10_000} == {
        "mig",
        "sap_r2",
        "modularity",
        "irs",
        "infomec",
        "jemmig",
    }
    assert {name for name, n in used.items() if n == 15_000} == {"dci", "dci_es", "sap_svm", "explicitness"}
    for name in ("dci", "dci_es", "sap_svm", "explicitness"):
        train, test = split_indices(15_000, metrics[name].test_fraction, 0, torch.device("cpu"))
        assert (len(train), len(test)) == (10_000, 5_000)
    trees = metrics["dci"].boosting
    defaults = GradientBoostingClassifier()
    assert (trees.rounds, trees.depth, trees.rate) == (
        defaults.n_estimators,
        defaults.max_depth,
        defaults.learning_rate,
    )
    assert trees.bins is None
    assert (metrics["sap_svm"].cost, metrics["sap_svm"].continuous, metrics["sap_r2"].continuous) == (0.01, False, True)
    votes, points = metrics["factor_vae"], metrics["beta_vae"]
    assert (votes.batch_size, votes.train_votes, votes.test_votes, votes.threshold) == (64, 10_000, 5_000, 0.05)
    assert (points.batch_size, points.train_points, points.test_points) == (64, 10_000, 5_000)
    assert metrics["mig"].bins == metrics["modularity"].bins == metrics["irs"].bins == 20


@pytest.mark.slow
def test_a_key_of_the_two_presets_never_means_two_things():
    fast, full = (disentanglement_metrics(preset) for preset in ("fast", "full"))
    assert set(fast) ^ set(full) == {"dci_5_rounds", "dci", "dci_es"}
    for name in set(fast) & set(full):
        assert abs(value(fast[name], CODES, FACTORS) - value(without_limit(full[name]), CODES, FACTORS)) < 1e-12


def without_limit(metric):
    metric.observations = None
    return metric


def test_no_more_observations_are_scored_than_asked_for():
    few = value(Modularity(observations=700), CODES, FACTORS)
    everything = value(Modularity(), CODES, FACTORS)
    # Which of them does not depend on how they arrive or on any other generator.
    torch.manual_seed(3)
    again = Modularity(observations=700)
    for part in (slice(0, 400), slice(400, 1500)):
        again.update(CODES[part], FACTORS[part])
    assert again.compute().item() == few != everything
    assert abs(few - everything) < 0.1


def test_fewer_observations_than_asked_for_are_scored_and_said():
    with pytest.warns(UserWarning, match="Modularity expected 10,000 observations, got 1,500, scored"):
        few = value(Modularity(observations=10_000), CODES, FACTORS)
    assert few == value(Modularity(), CODES, FACTORS)


def test_irs_of_factors_in_bins_equals_the_reference():
    # 32 positions and 40 orientations fall into 20 bins.
    expected = reference.irs(CODES.numpy(), FACTORS.numpy(), bins=20)
    assert abs(value(IRS(bins=20), CODES, FACTORS) - expected) < 1e-12
    assert abs(value(IRS(), CODES, FACTORS) - expected) > 1e-4


def test_sap_equals_the_reference():
    expected, _ = reference.sap(CODES.numpy(), FACTORS.numpy(), TRAIN, TEST, dual=False, tol=1e-10, max_iter=100_000)
    assert abs(value(SAP(), CODES, FACTORS) - expected) < 1e-6


def test_explicitness_equals_the_reference():
    # Positions and orientation would leave classes out of a small test set, where the area is not defined.
    factors = FACTORS[:, :2]
    expected = reference.explicitness(CODES.numpy(), factors.numpy(), TRAIN, TEST, tol=1e-10, max_iter=10_000)
    assert abs(value(Explicitness(), CODES, factors) - expected) < 1e-6


@pytest.mark.slow
def test_dci_equals_the_reference_where_bins_hold_all_values():
    grid = torch.sort(torch.randn(40, generator=generator(5), dtype=torch.float64)).values
    codes = grid[torch.clamp((CODES * 8 + 20).long(), 0, 39)]
    factors = torch.stack([FACTORS[:, 0], FACTORS[:, 1], FACTORS[:, 3] // 8], dim=1)
    metric = DCI(rounds=20, depth=2)
    metric.update(codes, factors)
    options = {"n_estimators": 20, "max_depth": 2}
    importance = reference.boosted_importance(codes.numpy(), factors.numpy(), TRAIN, **options)
    terms = metric.terms()
    np.testing.assert_allclose(terms["importance"].numpy(), importance, atol=1e-4)
    assert abs(terms["disentanglement"].item() - reference.disentanglement(importance)) < 1e-4
    assert abs(terms["completeness"].item() - reference.completeness(importance)) < 1e-4


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
@pytest.mark.parametrize(
    ("metric", "expected"), [(FactorVAEScore, reference.factor_vae), (BetaVAEScore, reference.beta_vae)]
)
def test_sampled_scores_agree_with_the_reference(metric, expected):
    # Two accuracies of 1,000 and 5,000 draws each, classifiers fitted to 1,000 and 10,000.
    ours = value(metric(), CODES, FACTORS)
    theirs = expected(CODES.numpy(), FACTORS.numpy(), np.random.default_rng(0), train=1000, test=1000)
    assert abs(ours - theirs) < 4 * sqrt(0.25 * (1 / 1000 + 1 / 5000)) + 0.01


def perfect(factors):
    return factors.double() + 0.0


@pytest.mark.slow
def test_a_perfect_code_scores_one():
    factors = sprites(4000)
    codes = perfect(factors)
    dci = DCI(rounds=2)
    assert value(dci, codes, factors) > 1 - 1e-3
    assert dci.terms()["completeness"] > 1 - 1e-3
    assert value(FactorVAEScore(train_votes=500, test_votes=500), codes, factors) == 1
    assert value(BetaVAEScore(train_points=500, test_points=500), codes, factors) == 1
    assert value(IRS(), codes, factors) > 1 - 1e-9
    for part in ("modularity", "compactness"):
        assert value(InfoMEC(part=part), codes, factors) > 0.95


def test_sap_of_linear_factors_by_correlation_is_one_for_a_perfect_code():
    grid = torch.cartesian_prod(torch.arange(4), torch.arange(5), torch.arange(6))
    assert abs(value(SAP(continuous=True), grid.double(), grid) - 1) < 1e-9


def test_mig_of_a_perfect_code_is_its_binned_ceiling():
    # On the whole grid: 20 bins keep log 3 and log 6 and lose some of log 40 and log 32.
    grid = torch.cartesian_prod(torch.arange(3), torch.arange(40), torch.arange(32))
    codes = grid.double()
    # 40 levels fall into 20 bins two by two, 32 levels into 8 bins of one and 12 of two.
    kept_32 = (8 * 1 * log(32) + 12 * 2 * log(16)) / 32
    expected = (1 + log(20) / log(40) + kept_32 / log(32)) / 3
    assert abs(value(MutualInformationGap(), codes, grid) - expected) < 1e-9


def rotated(codes, angle):
    standard = (codes - codes.mean(0)) / codes.std(0)
    turn = torch.eye(codes.shape[1], dtype=torch.float64)
    c, s = np.cos(angle), np.sin(angle)
    turn[:2, :2] = torch.tensor([[c, -s], [s, c]])
    return standard @ turn


@pytest.mark.parametrize(
    "metric",
    [MutualInformationGap(), Modularity(), SAP(continuous=True), SAP(), DCI(rounds=5), InfoMEC()],
    ids=["mig", "modularity", "sap_r2", "sap", "dci", "infom"],
)
def test_rotation_lowers_axis_aligned_scores(metric):
    factors = sprites(2000)[:, 3:]
    if isinstance(metric, SAP) and not metric.continuous:
        # A machine that sees one number tells few classes apart.
        factors = factors // 16
    straight = value(metric, rotated(perfect(factors), 0.0), factors)
    metric.reset()
    assert value(metric, rotated(perfect(factors), pi / 4), factors) < straight - 0.1


@pytest.mark.parametrize("name", list(disentanglement_metrics("fast")))
def test_scores_do_not_depend_on_the_order_or_the_signs_of_codes(name):
    factors = sprites(600)[:, [0, 1, 3]]
    codes = mixed(factors, d=4)
    changed = codes[:, [2, 0, 3, 1]] * torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64)
    first, second = (value(disentanglement_metrics("fast")[name], z, factors) for z in (codes, changed))
    # Bins are closed on one side, and trees break ties by the order of codes.
    tolerance = {"mig": 0.01, "jemmig": 0.01, "modularity": 0.02, "dci_5_rounds": 0.05}.get(name, 1e-6)
    assert abs(first - second) < tolerance


@pytest.mark.parametrize("name", list(disentanglement_metrics("fast")))
def test_batches_add_up_and_repeat(name):
    factors = sprites(400)[:, [0, 1, 3]]
    codes = mixed(factors, d=4)
    whole, parts = (disentanglement_metrics("fast")[name] for _ in range(2))
    whole.update(codes, factors)
    for start in range(0, 400, 130):
        parts.update(codes[start : start + 130], factors[start : start + 130])
    torch.manual_seed(5)
    result = parts.compute()
    assert result.shape == ()
    assert torch.equal(result, whole.compute())
    assert torch.equal(result, parts.terms()[parts.part])


def test_independent_codes_score_nothing():
    factors = sprites(3000)[:, [0, 1]]
    codes = torch.randn(3000, 4, generator=generator(9), dtype=torch.float64)
    assert value(MutualInformationGap(), codes, factors) < 0.02
    assert value(DCI(rounds=5, part="informativeness"), codes, factors) < 0.35
    assert abs(value(Explicitness(), codes, factors) - 0.5) < 0.05
    # Chance is 1/2 with a standard deviation of 1/sqrt(12 n) for the votes of independent codes.
    assert value(FactorVAEScore(train_votes=2000, test_votes=2000), codes, factors) < 0.65


def test_collapsed_codes_are_left_out():
    factors = sprites(1000)[:, [0, 3]]
    codes = torch.cat([perfect(factors), torch.zeros(1000, 3, dtype=torch.float64)], dim=1)
    assert value(FactorVAEScore(train_votes=300, test_votes=300), codes, factors) == 1
    assert value(FactorVAEScore(), torch.zeros(1000, 3), factors) == 0
    assert value(IRS(), codes, factors) > 1 - 1e-9
    assert torch.isfinite(
        torch.tensor([value(m, codes, factors) for m in disentanglement_metrics("fast").values()])
    ).all()


def models(n=800, d=4):
    """Return codes of three models: one, its permuted and flipped twin, and noise."""
    z = torch.randn(n, d, generator=generator(2), dtype=torch.float64)
    noise = torch.randn(n, d, generator=generator(3), dtype=torch.float64)
    return torch.stack([z, -z[:, [1, 2, 3, 0]], noise], dim=1)


def test_udr_finds_models_that_agree():
    codes = models()
    for correlation, agreement in (("lasso", 0.9), ("spearman", 0.9)):
        metric = UDR(correlation)
        for part in codes.split(300):
            metric.update(part, torch.ones_like(part))
        pairs = metric.terms()["pairs"]
        assert pairs[0, 1] > agreement * 0.8
        assert pairs[0, 2] < 0.2
        assert torch.isnan(pairs.diagonal()).all()
        medians = torch.stack([torch.cat([pairs[:n, n], pairs[n + 1 :, n]]).mean() for n in range(3)])
        torch.testing.assert_close(metric.terms()["models"], medians)


def test_udr_of_two_equal_models_is_known():
    # R = (1 - 0.1) on the diagonal for the lasso of uncorrelated standardised codes, 1 for ranks: UDR = max^2/sum = R.
    grid = torch.cartesian_prod(*[torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)] * 3)
    codes = torch.stack([grid, grid[:, [2, 0, 1]]], dim=1)
    for correlation, expected in (("lasso", 0.9), ("spearman", 1.0)):
        metric = UDR(correlation)
        metric.update(codes, torch.ones_like(codes))
        torch.testing.assert_close(metric.compute().item(), expected, atol=1e-9, rtol=0)


def test_udr_leaves_out_codes_without_information():
    codes = models()
    kl = torch.ones_like(codes)
    kl[:, :, 3] = 0
    metric = UDR("spearman")
    metric.update(codes, kl)
    strength = metric.terms()["strength"]
    assert (strength[0, 1, 3] == 0).all()
    spearman = stats.spearmanr(codes[:, 0, 1], codes[:, 1, 0]).statistic
    assert abs(strength[0, 1, 1, 0] - abs(spearman)) < 1e-9


@pytest.mark.parametrize(
    ("codes", "factors", "message"),
    [
        (torch.zeros(3), torch.zeros(3, 1, dtype=torch.int64), r"codes \(B, d\) and factors \(B, k\), got \(3,\)"),
        (torch.zeros(3, 2), torch.zeros(2, 2, dtype=torch.int64), r"got \(3, 2\) and \(2, 2\)"),
        (torch.zeros(3, 2), torch.zeros(3, 2), r"integer factors .* got torch.float32"),
        (torch.full((3, 2), float("nan")), torch.zeros(3, 2, dtype=torch.int64), r"finite codes, got NaN"),
    ],
)
def test_bad_input_is_refused(codes, factors, message):
    with pytest.raises(ValueError, match=message):
        Modularity().update(codes, factors)


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match=r"part to be one of disentanglement, .* got 'beauty'"):
        DCI(part="beauty")
    with pytest.raises(ValueError, match=r"at least 2 column\(s\)"):
        Modularity().update(torch.zeros(3, 2), torch.zeros(3, 1, dtype=torch.int64))
    with pytest.raises(ValueError, match="at least 2 observations, got 1"):
        IRS(observations=1)
    with pytest.raises(ValueError, match=r'preset "full" or "fast", got \'slow\''):
        disentanglement_metrics("slow")
    with pytest.raises(ValueError, match=r"quantile in \(0, 1\], got 0"):
        IRS(quantile=0)
    with pytest.raises(ValueError, match=r"at least 2 values, got \[1, 2\]"):
        value(DCI(), torch.randn(4, 2), torch.tensor([[0, 0], [0, 1], [0, 0], [0, 1]]))
    with pytest.raises(ValueError, match=r"M of at least 2 models, got \(5, 1, 3\)"):
        UDR().update(torch.zeros(5, 1, 3), torch.zeros(5, 1, 3))
