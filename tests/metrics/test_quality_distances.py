"""Distances of feature distributions against formulas, brute force and, where it is installed, torch-fidelity."""

from math import comb, sqrt

import pytest
import torch
from torch import Tensor

from lsgen.metrics.quality import (
    FrechetDistance,
    KernelDistance,
    Moments,
    frechet_distance,
    inception_score,
    kernel_distance,
)
from lsgen.metrics.quality.frechet import add_gram, symmetric


def _spd(seed: int, m: int = 5) -> Tensor:
    a = torch.randn(m, m, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return a @ a.T + 0.1 * torch.eye(m, dtype=torch.float64)


def test_commuting_gaussians_have_the_scalar_formula() -> None:
    basis, _ = torch.linalg.qr(_spd(0))
    s, t = torch.rand(2, 5, dtype=torch.float64) + 0.1
    mean = torch.randn(2, 5, dtype=torch.float64)
    a = Moments(9, mean[0], (basis * s**2) @ basis.T)
    b = Moments(9, mean[1], (basis * t**2) @ basis.T)
    torch.testing.assert_close(frechet_distance(a, b), (mean[0] - mean[1]).square().sum() + (s - t).square().sum())


def test_a_map_of_gradient_type_has_its_transport_cost() -> None:
    C, T, mean = _spd(1), _spd(2), torch.randn(5, dtype=torch.float64)
    a, b = Moments(9, mean, C), Moments(9, mean, T @ C @ T)
    identity = torch.eye(5, dtype=torch.float64)
    cost = ((T - identity) @ C @ (T - identity)).trace()
    torch.testing.assert_close(frechet_distance(a, b), cost)
    torch.testing.assert_close(frechet_distance(b, a), cost)
    torch.testing.assert_close(frechet_distance(a, a), torch.zeros_like(cost), atol=1e-12, rtol=0)


def test_gaussians_of_low_rank() -> None:
    u, v = torch.randn(2, 5, dtype=torch.float64)
    zero = torch.zeros(5, dtype=torch.float64)
    value = frechet_distance(Moments(2, zero, torch.outer(u, u)), Moments(2, zero, torch.outer(v, v)))
    torch.testing.assert_close(value, u @ u + v @ v - 2 * (u @ v).abs())


def test_streamed_moments_are_those_of_all_features() -> None:
    x = torch.randn(200, 700, dtype=torch.float64) * 0.3 + 5
    metric = FrechetDistance(700)
    for part in x.split(37):
        metric.update(part, real=True)
    moments = metric.moments(real=True)
    torch.testing.assert_close(moments.mean, x.mean(0))
    torch.testing.assert_close(moments.covariance, torch.cov(x.T), atol=1e-12, rtol=1e-10)
    total = torch.zeros(700, 700, dtype=torch.float64)
    add_gram(total, x)
    torch.testing.assert_close(symmetric(total), x.T @ x)
    with pytest.raises(ValueError, match="expected at least 2 generated observations, got 0"):
        metric.compute()


def test_states_of_two_processes_add_up() -> None:
    x, y = torch.randn(2, 90, 4)
    whole, first, second = FrechetDistance(4), FrechetDistance(4), FrechetDistance(4)
    for metric, part in ((whole, slice(None)), (first, slice(0, 30)), (second, slice(30, None))):
        metric.update(x[part], real=True)
        metric.update(y[part], real=False)
    for name in first._defaults:
        setattr(first, name, getattr(first, name) + getattr(second, name))
    torch.testing.assert_close(first.compute(), whole.compute())


def test_the_distance_of_samples_tends_to_that_of_their_gaussians() -> None:
    C, n, gaps = _spd(3), 40_000, []
    root = torch.linalg.cholesky(C)
    exact = frechet_distance(Moments(2, torch.zeros(5).double(), C), Moments(2, torch.ones(5).double(), 2 * C))
    for seed in range(8):
        noise = torch.randn(2, n, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        metric = FrechetDistance(5)
        metric.update(noise[0] @ root.T, real=True)
        metric.update(sqrt(2) * noise[1] @ root.T + 1, real=False)
        gaps.append(metric.compute() - exact)
    stacked = torch.stack(gaps)
    assert stacked.mean().abs() < 5 * stacked.std() / sqrt(8)


def test_the_cubic_kernel_compares_three_moments_in_one_dimension() -> None:
    x, y = torch.randn(7, 1, dtype=torch.float64), torch.randn(9, 1, dtype=torch.float64) + 1
    biased = sum(comb(3, j) * (x.pow(j).mean() - y.pow(j).mean()) ** 2 for j in range(4))
    kernel = lambda a, b: (a @ b.T + 1) ** 3
    off_diagonal = lambda a: (kernel(a, a).sum() - kernel(a, a).trace()) / (len(a) * (len(a) - 1))
    diagonals = sum(kernel(a, a).mean() - off_diagonal(a) for a in (x, y))
    torch.testing.assert_close(kernel_distance(x, y), biased - diagonals)


@pytest.mark.slow
def test_the_kernel_distance_is_unbiased() -> None:
    values = torch.stack([kernel_distance(*torch.randn(2, 8, 3, dtype=torch.float64)) for _ in range(3000)])
    assert values.mean().abs() < 5 * values.std() / sqrt(3000)
    shifted = torch.stack([kernel_distance(torch.randn(8, 1), torch.randn(8, 1) + 1) for _ in range(3000)])
    exact = sum(comb(3, j) * (p - q) ** 2 for j, (p, q) in enumerate(((1, 1), (0, 1), (1, 2), (0, 4))))
    assert (shifted.mean() - exact).abs() < 5 * shifted.std() / sqrt(3000)


def test_subsets_of_everything_are_everything() -> None:
    x, y = torch.randn(2, 20, 3)
    metric = KernelDistance(subsets=3, subset_size=1000)
    for part in (slice(0, 7), slice(7, None)):
        metric.update(x[part], real=True)
        metric.update(y[part], real=False)
    values = metric.compute()
    torch.testing.assert_close(values["mean"], kernel_distance(x, y))
    torch.testing.assert_close(values["std"], torch.zeros_like(values["std"]), atol=1e-12, rtol=0)


def test_scores_of_a_sure_an_unsure_and_a_one_sided_classifier() -> None:
    sure = 1000 * torch.eye(5).repeat(40, 1)
    for logits, score in ((sure, 5.0), (torch.zeros(200, 5), 1.0), (sure[:1].expand(200, 5), 1.0)):
        mean, std = inception_score(logits, splits=4)
        assert (mean.item(), std.item()) == (pytest.approx(score), pytest.approx(0, abs=1e-12))
    half = torch.tensor([[0.75, 0.25], [0.25, 0.75]], dtype=torch.float64).log()
    entropy = -(0.75 * torch.tensor(0.75).log() + 0.25 * torch.tensor(0.25).log())
    assert inception_score(half, 1)[0].item() == pytest.approx(2 * torch.exp(-entropy).item())


def test_distances_and_scores_are_those_of_torch_fidelity() -> None:
    fid = pytest.importorskip("torch_fidelity.metric_fid")
    kid = pytest.importorskip("torch_fidelity.metric_kid")
    x, y = torch.randn(300, 64), 1.3 * torch.randn(300, 64) + 0.2
    peer = fid.fid_statistics_to_metric(*(fid.fid_features_to_statistics(a.double()) for a in (x, y)), verbose=False)
    metric = FrechetDistance(64)
    metric.update(x, real=True)
    metric.update(y, real=False)
    assert metric.compute().item() == pytest.approx(next(iter(peer.values())), rel=1e-6)
    options = {"kid_subsets": 1, "kid_subset_size": 300, "verbose": False, "rng_seed": 0}
    peer = kid.kid_features_to_metric(x.double(), y.double(), **options)
    assert kernel_distance(x, y).item() == pytest.approx(next(iter(peer.values())), rel=1e-6)
    isc = pytest.importorskip("torch_fidelity.metric_isc")
    found = [value.item() for value in inception_score(3 * x[:294], 7)]
    peer = isc.isc_features_to_metric(3 * x[:294], splits=7, shuffle=False)
    assert found == pytest.approx([peer["inception_score_mean"], peer["inception_score_std"]], rel=1e-6)


def test_too_little_data_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 2 observations of either kind, got 1 and 5"):
        kernel_distance(torch.zeros(1, 2), torch.zeros(5, 2))
    with pytest.raises(ValueError, match="expected between 1 and 3 splits, got 10"):
        inception_score(torch.zeros(3, 2))
    with pytest.raises(ValueError, match="expected subsets >= 1 and subset_size >= 2, got 1 and 1"):
        KernelDistance(1, 1)
