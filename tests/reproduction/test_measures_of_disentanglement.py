"""What groups explain, against the F statistic; rank correlations and sparsities of runs whose answers are known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import f_oneway
from torch import nn

from lsgen.data import Digits
from lsgen.latent import EncodableLatentSpace, LatentSpace, StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.reproduction.comparisons.rank_correlations import RankCorrelations
from lsgen.reproduction.comparisons.variance_shares import ExplainedVariance, explained_variance
from lsgen.reproduction.measures.decoupling import ClassDecoupling
from lsgen.reproduction.runs import TrainedRun

SHAPE, D = (1, 8, 8), 5


def _run(tmp_path, arm, seed, model=None, **metrics):
    file = tmp_path / f"{arm}_{seed}.csv"
    file.write_text(",".join(metrics) + "\n" + ",".join(map(str, metrics.values())) + "\n")
    place = SimpleNamespace(metrics_file=file, path=file)
    return TrainedRun(arm, seed, model, Digits(), {"data": {"shape": [1, 8, 8], "seed": seed}}, place)


def test_what_groups_explain_is_in_the_f_statistic():
    rng = np.random.default_rng(0)
    groups = [rng.normal(mean, 1, n) for mean, n in ((0, 4), (1, 7), (3, 5))]
    share, corrected = explained_variance(groups)
    n, k = 16, 3
    assert share / (1 - share) * (n - k) / (k - 1) == pytest.approx(f_oneway(*groups).statistic)
    assert 1 - corrected == pytest.approx((1 - share) * (n - 1) / (n - k))
    assert explained_variance([np.ones(2), np.zeros(3)]) == (1, 1)
    assert np.isnan(explained_variance([np.ones(2), np.ones(2)])).all()
    noise = [explained_variance(list(rng.normal(size=(3, 4)))) for _ in range(2000)]
    np.testing.assert_allclose(np.mean(noise, 0), [(k - 1) / 11, 0], atol=0.02)
    np.testing.assert_equal(explained_variance([np.ones(1), np.zeros(1)]), (1, np.nan))
    with pytest.raises(ValueError, match=r"at least 2 groups, none of them empty, got \[2, 0\]"):
        explained_variance([np.ones(2), np.zeros(0)])


def test_methods_and_settings_explain_their_part_over_common_seeds(tmp_path):
    score = {"a_1": (0, 2), "a_2": (4, 6), "b_1": (10, 12), "b_2": (14, 16, 1000)}
    runs = {
        arm: [_run(tmp_path, arm, seed, **{"test/x/mig": value, "other": 3.0}) for seed, value in enumerate(values)]
        for arm, values in score.items()
    }
    of = ExplainedVariance({"a": ["a_1", "a_2"], "b": ["b_1", "b_2"]}, ["test/x/mig"])
    found = of(runs).values
    total, within_methods, within_settings = 240, 40, 8  # of 0, 2, 4, 6 | 10, 12, 14, 16
    assert found["method/mig"] == found["method"] == pytest.approx(1 - within_methods / total)
    assert found["setting"] == pytest.approx(1 - within_settings / total)
    assert found["method_corrected"] == pytest.approx(1 - within_methods / total * 7 / 6)
    assert found["setting_corrected/mig"] == pytest.approx(1 - within_settings / total * 7 / 4)
    with pytest.raises(ValueError, match="expected runs of all its arms, got none of b_2"):
        of({arm: runs[arm] for arm in ("a_1", "a_2", "b_1")})


class _Model(nn.Module):
    """Encodes the first D pixels turned by an orthogonal matrix."""

    def __init__(self, turn):
        super().__init__()
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 2 * D))
        rows = slice(19, 19 + D)  # pixels that vary
        nn.init.zeros_(encoder[1].weight)
        encoder[1].weight.data[:D, rows] = turn
        encoder[1].bias.data = torch.cat([torch.zeros(D), torch.full((D,), -3.0)])
        decoder = nn.Sequential(nn.Linear(D, 64), nn.Unflatten(1, SHAPE))
        self.latent_space = EncodableLatentSpace(encoder, decoder, FixedGaussian(SHAPE), StandardNormal(D)).eval()


def test_udr_ranks_arms_whose_codes_agree_above_arms_whose_codes_are_mixed(tmp_path):
    mixings = {"same": [torch.eye(D)] * 3, "turned": [torch.linalg.qr(torch.randn(D, D)).Q for _ in range(3)]}
    runs, number = {}, iter(range(6))
    for arm, turns in mixings.items():
        runs[arm] = [
            _run(tmp_path, arm, seed, _Model(turn), **{"test/elbo": -(i := next(number)), "x/mig": 9.0 - i, "x/sap": i})
            for seed, turn in enumerate(turns)
        ]
    found = RankCorrelations(["test/elbo"], ["x/mig", "x/sap"], observations=300)(runs).values
    assert (found["elbo/mig"], found["elbo/sap"], found["elbo"]) == (pytest.approx(1), pytest.approx(-1), 0)
    assert found["udr/mig"] > 0.5
    assert found["udr/sap"] == pytest.approx(-found["udr/mig"])
    single = RankCorrelations(["test/elbo"], ["x/mig"])({**runs, "single": runs["turned"][:1]}).values
    assert single["udr/mig"] == pytest.approx(found["udr/mig"])
    assert np.isnan(RankCorrelations(["test/elbo"], ["x/mig"])({"same": runs["same"][:2]}).values["udr"])
    with pytest.raises(ValueError, match="expected x/dci among the metrics"):
        RankCorrelations(["test/elbo"], ["x/dci"])(runs)


class _Picture(nn.Module):
    """Shows the real digit that dimension 0 chooses by its sign, and ignores all others or follows them too."""

    def __init__(self, pictures, dims):
        super().__init__()
        self.pictures, self.dims = pictures, dims

    def forward(self, z):
        weight = (4 * z[:, : self.dims].sum(1)).sigmoid()[:, None, None, None]
        return weight * self.pictures[0] + (1 - weight) * self.pictures[1]


def test_a_generator_whose_class_hangs_on_one_dimension_is_decoupled_and_one_of_all_dimensions_is_not(tmp_path):
    train = Digits().dataset("train")
    batch = train[torch.arange(100)]
    pictures = torch.stack([batch["x"][batch["label"] == label][0] for label in (0, 7)])
    found = []
    for dims in (1, 8):
        space = LatentSpace(_Picture(pictures, dims), FixedGaussian(SHAPE), StandardNormal(8)).eval()
        run = _run(tmp_path, "arm", 0, SimpleNamespace(latent_space=space), x=1)
        before = torch.get_rng_state()
        found.append(ClassDecoupling(n=16, classifier_steps=60, iterations=3, n_class=4)(run).values)
        assert torch.equal(torch.get_rng_state(), before)
    one, all_of_them = found
    assert one["hoyer"] == pytest.approx(1, abs=1e-6)
    assert one["gini"] == pytest.approx(1, abs=1e-6)
    assert max(all_of_them["hoyer"], all_of_them["gini"]) < 0.3
    assert one["accuracy"] == all_of_them["accuracy"] > 0.5
