"""What the aggregate posterior of held-out observations is made of, against models whose own is known."""

import warnings
from math import log

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from lsgen.callbacks import AggregateMetrics
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.latent import Deterministic, EncodableLatentSpace, StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.metrics import AggregatePosterior

PARTS = {
    "mutual_information",
    "total_correlation",
    "total_correlation_normal",
    "dimension_wise_kl",
    "marginal_kl",
    "own_share",
    "seconds",
    "share_of_training",
}


class Linear(nn.Module):
    """x (2,) -> mean A x and a fixed standard deviation."""

    dim, heads = 2, 2

    def __init__(self, root, scale):
        super().__init__()
        self.register_buffer("root", root)
        self.scale = scale

    def forward(self, x):
        mean = x @ self.root.T
        return torch.cat([mean, torch.full_like(mean, 2 * log(self.scale))], dim=1)


A = torch.tensor([[1.0, 0.0], [0.8, 0.6]])


def linear_space(scale=0.3):
    decoder = nn.Linear(2, 2)
    return EncodableLatentSpace(Linear(A, scale), decoder, FixedGaussian((2,), 1.0), StandardNormal(2))


def measured(tmp_path, toys, space, x, **options):
    recorder = toys.Recorder()
    sink = Sink(tmp_path, 7, [recorder])
    AggregateMetrics(codes=1200, **options).run(space, Probe(x), sink)
    sink.close()
    return {key.removeprefix("aggregate/"): float(value) for _, row in recorder.rows for key, value in row.items()}


def test_parts_are_those_of_a_normal_aggregate_posterior(tmp_path, toys):
    # x ~ N(0, I) and q(z|x) = N(A x, s^2): q(z) = N(0, A A^T + s^2).
    x = torch.randn(3000, 2, generator=torch.Generator().manual_seed(0))
    values = measured(tmp_path, toys, linear_space(), x)
    covariance = A @ A.T + 0.09 * torch.eye(2)
    spread, volume = covariance.diagonal(), torch.logdet(covariance)
    total = ((spread.log().sum() - volume) / 2).item()
    apart = ((spread - 1 - spread.log()).sum() / 2).item()
    assert values["mutual_information"] == pytest.approx(((volume - 2 * log(0.09)) / 2).item(), abs=0.1)
    assert values["total_correlation"] == pytest.approx(total, abs=0.1)
    assert values["total_correlation_normal"] == pytest.approx(total, abs=0.04)
    assert values["dimension_wise_kl"] == pytest.approx(apart, abs=0.1)
    assert values["marginal_kl"] == pytest.approx(values["total_correlation"] + values["dimension_wise_kl"], abs=1e-4)
    assert log(values["own_share"]) == pytest.approx(values["mutual_information"] - log(3000), abs=1e-5)


def test_a_saturated_estimate_is_said_once_and_one_value_does_not_saturate(tmp_path, toys):
    x = torch.randn(300, 2, generator=torch.Generator().manual_seed(1))
    space = linear_space(1e-4)
    callback, recorder = AggregateMetrics(codes=300), toys.Recorder()
    said = []
    for step in (1, 2):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            sink = Sink(tmp_path, step, [recorder])
            callback.run(space, Probe(x), sink)
            sink.close()
        said.append([w for w in caught if "300 observations has a mutual information of 5.70 nats" in str(w.message)])
    assert [len(messages) for messages in said] == [1, 0]
    total = -0.5 * log(1 - 0.64)
    assert recorder.values("aggregate/mutual_information")[0] == pytest.approx(log(300), abs=1e-3)
    # The mixture is blind to what the codes have in common; the covariance is not.
    assert abs(recorder.values("aggregate/total_correlation")[0] - total) > 1
    assert recorder.values("aggregate/total_correlation_normal")[0] == pytest.approx(total, abs=0.15)


def test_an_estimate_far_from_its_bound_is_not_warned_of(tmp_path, toys, recwarn):
    x = torch.randn(3000, 2, generator=torch.Generator().manual_seed(2))
    measured(tmp_path, toys, linear_space(), x)
    assert not [warning for warning in recwarn if "near its bound" in str(warning.message)]


def test_values_do_not_depend_on_chunks_or_on_other_random_numbers(tmp_path, toys):
    x = torch.randn(100, 2)
    first = measured(tmp_path, toys, linear_space(), x)
    torch.manual_seed(9)
    assert measured(tmp_path, toys, linear_space(), x, chunk_size=7) == pytest.approx(first, abs=1e-6)


def test_it_fires_while_a_model_trains_and_leaves_training_alone(tmp_path, toys):
    callback = AggregateMetrics(every_n_steps=4, n=16, codes=8)
    watched, recorder, _ = toys.fit(tmp_path / "a", [callback])
    plain, _, _ = toys.fit(tmp_path / "b", [])
    assert recorder.steps("aggregate/total_correlation") == [4, 8, 10]
    assert {key for _, row in recorder.rows for key in row if key.startswith("aggregate/")} == {
        f"aggregate/{name}" for name in PARTS
    }
    assert watched.losses == plain.losses


def test_posteriors_that_are_not_normal_are_said_and_not_measured(tmp_path, toys):
    decoder, likelihood = nn.Linear(2, 2), FixedGaussian((2,), 1.0)
    space = EncodableLatentSpace(nn.Linear(2, 2), decoder, likelihood, StandardNormal(2), Deterministic())
    with pytest.warns(UserWarning, match="AggregateMetrics expected a normal prior and posteriors, got"):
        assert not measured(tmp_path, toys, space, torch.randn(5, 2))


def test_what_cannot_be_measured_is_refused_before_any_work(tmp_path, toys):
    with pytest.raises(TypeError, match=r"AggregateMetrics expected .* to be a lsgen.latent.EncodableLatentSpace"):
        toys.fit(tmp_path, [AggregateMetrics()], module=toys.ThirdParty(encodable=False))
    with pytest.raises(ValueError, match="AggregateMetrics expected codes of at least 1, got 0"):
        AggregateMetrics(codes=0)


def test_own_share_of_two_posteriors_is_known():
    # Where two normals lie far apart, the other has no density at a code of one.
    for distance, share in ((0.0, 0.5), (100.0, 1.0)):
        metric = AggregatePosterior(StandardNormal(1)())
        metric.update(Independent(Normal(torch.tensor([[0.0], [distance]]), torch.ones(2, 1)), 1))
        assert metric.compute()["own_share"].item() == pytest.approx(share, abs=1e-6)
