"""Families whose Fisher metric is known: by enumeration, and in closed form."""

import math

import pytest
import torch

from lsgen.data.physics.ising_exact import (
    enumerated_ising,
    ising_statistics,
    transfer_log_partition_and_derivatives,
)
from lsgen.geometry import MetricField, distance, log_volume, metric, scalar_curvature
from lsgen.models.exponential import (
    ConvexFamily,
    FamilySamples,
    MetricFamily,
    StatisticsCovariance,
    carried,
    family_errors,
    finite_family,
    fisher_errors,
)

f64 = torch.float64


def ising(size=3, low=(0.2, -0.4), high=(0.5, 0.4)):
    return finite_family(ising_statistics(enumerated_ising(size)), low, high)


def physical(y):
    return torch.stack([1 / y[:, 0], y[:, 1] / y[:, 0]], -1)


@pytest.mark.parametrize("at", [(0.44, -0.3), (0.2, 0.4)])
def test_a_finite_family_is_that_of_the_transfer_matrix(at):
    t = torch.tensor(at, dtype=f64)
    exact, family = transfer_log_partition_and_derivatives(t, 4), ising(4)
    torch.testing.assert_close(family.log_partition(t), exact.value)
    torch.testing.assert_close(family.gradient(t), exact.gradient)
    torch.testing.assert_close(family.fisher(t), exact.hessian)
    torch.testing.assert_close(metric(family.metric, t), exact.hessian)
    torch.testing.assert_close(family.metric.dual(t), exact.gradient)


def test_a_metric_carried_to_temperature_and_field_is_the_hessian_of_no_function():
    family = carried(ising(4), physical, (2.2, -0.6), (3.0, 0.6))
    at = torch.tensor([2.27, 0.5], dtype=f64)
    natural = torch.stack([1 / at[0], at[1] / at[0]])
    g = transfer_log_partition_and_derivatives(natural, 4).hessian
    j = torch.tensor([[-1 / at[0] ** 2, 0], [-at[1] / at[0] ** 2, 1 / at[0]]], dtype=f64)
    torch.testing.assert_close(family.fisher(at), j.T @ g @ j)
    step = torch.eye(2, dtype=f64) * 1e-4
    slopes = [(family.fisher(at + e) - family.fisher(at - e)) / 2e-4 for e in step]
    assert abs(slopes[1][0, 0] - slopes[0][0, 1]) > 0.3


@pytest.mark.slow
def test_distances_do_not_depend_on_the_coordinates():
    family = ising()
    other = carried(family, physical, (2.2, -0.5), (3.0, 0.5))
    y = torch.tensor([[2.3, -0.4], [2.9, 0.4]], dtype=f64)
    t = physical(y)
    torch.testing.assert_close(
        distance(family.metric, t[:1], t[1:], 65), distance(other.metric, y[:1], y[1:], 65), rtol=1e-3, atol=0
    )
    torch.testing.assert_close(scalar_curvature(family.metric, t), scalar_curvature(other.metric, y))


@pytest.mark.parametrize(
    ("low", "high"), [((0.0, -0.5), (3.0, 0.5)), ((2.2, -0.5), (9.0, 0.5)), ((2.2, -0.5), (3.0, 2.0))]
)
def test_boxes_that_leave_the_sampled_one_are_refused(low, high):
    with pytest.raises(ValueError, match="that was sampled"):
        carried(ising(), physical, low, high)


@pytest.mark.parametrize("method", ["fisher", "gradient", "log_partition"])
def test_parameters_outside_the_box_are_refused(method):
    with pytest.raises(ValueError, match=r"box \[0.2, -0.4\] to \[0.5, 0.4\] that was sampled, got \[0.1, 0.0\]"):
        getattr(ising(), method)(torch.tensor([[0.3, 0.0], [0.1, 0.0]], dtype=f64))
    with pytest.raises(ValueError, match="in the box"):
        getattr(ising(), method)(torch.tensor([torch.nan, 0.0]))
    with pytest.raises(ValueError, match=r"expected parameters \(..., 2\)"):
        getattr(ising(), method)(torch.tensor([0.3]))


def test_empty_boxes_are_refused():
    with pytest.raises(ValueError, match="low below high"):
        ising(3, (0.5, 0.0), (0.2, 0.1))


def test_errors_forget_affine_functions_alone():
    family = ising()
    t = torch.cartesian_prod(torch.linspace(0.2, 0.5, 5, dtype=f64), torch.linspace(-0.4, 0.4, 5, dtype=f64))
    truth = family.log_partition(t), family.gradient(t), family.fisher(t)
    shifted = ConvexFamily(family.low, family.high, lambda t: family.potential(t) + 3 - 2 * t[:, 0])
    found = family_errors(shifted, t, *truth)
    assert max(found.log_partition, found.gradient.max(), found.fisher.max()) < 1e-12
    bent = ConvexFamily(family.low, family.high, lambda t: family.potential(t) + 5 * t[:, 0] ** 2)
    found = family_errors(bent, t, *truth)
    square = 5 * torch.linspace(0.2, 0.5, 5, dtype=f64) ** 2
    line = torch.linspace(0.2, 0.5, 5, dtype=f64)
    left = (
        square
        - torch.stack([line, torch.ones(5, dtype=f64)], 1)
        @ torch.linalg.lstsq(torch.stack([line, torch.ones(5, dtype=f64)], 1), square).solution
    )
    assert found.log_partition == pytest.approx(float(left.square().mean().sqrt()))
    assert found.gradient.tolist() == pytest.approx([10 * float(line.std(correction=0)), 0])
    torch.testing.assert_close(found.fisher, 10 / truth[2].flatten(1).norm(dim=1))


def normals(n=4000, seed=0):
    """x ~ N(m, v) at an 8 x 8 grid of natural coordinates (m / v, -1 / 2v)."""
    generator = torch.Generator().manual_seed(seed)
    t = torch.cartesian_prod(torch.linspace(-1, 1, 8, dtype=f64), torch.linspace(-1.0, -0.4, 8, dtype=f64)).repeat(n, 1)
    v = -1 / (2 * t[:, 1])
    x = t[:, 0] * v + v.sqrt() * torch.randn(len(t), generator=generator, dtype=f64)
    return FamilySamples(x[:, None], t)


def gaussian_metric(t):
    m, v = -t[:, 0] / (2 * t[:, 1]), -1 / (2 * t[:, 1])
    return torch.stack([v, 2 * m * v, 2 * m * v, 4 * m**2 * v + 2 * v**2], -1).unflatten(-1, (2, 2))


@pytest.mark.slow
def test_covariances_of_statistics_are_the_metric_of_normal_distributions():
    samples = normals()
    family = StatisticsCovariance(lambda x: torch.cat([x, x**2], 1)).fit(samples)
    assert isinstance(family, MetricFamily)
    assert isinstance(family.metric, MetricField)
    at_nodes = fisher_errors(family.at_nodes, gaussian_metric(family.nodes))
    between = samples.grid(15)
    assert at_nodes.max() < 0.25
    assert at_nodes.median() < 3 * math.sqrt(2 / 4000)
    smooth = fisher_errors(family.fisher(between), gaussian_metric(between))
    assert smooth.median() < at_nodes.median()
    inner = between[(samples.scaled(between).abs() < 0.9).all(1)]
    exact = gaussian_metric(inner).logdet() / 2
    torch.testing.assert_close(log_volume(family.metric, inner), exact, atol=0.05, rtol=0)


def test_statistics_that_do_not_fit_are_refused():
    samples = normals(20)
    for statistics, message in [
        (lambda x: x, r"expected statistics \(1280, 2\)"),
        (lambda x: torch.cat([x, 2 * x], 1), "positive definite"),
    ]:
        with pytest.raises(ValueError, match=message):
            StatisticsCovariance(statistics).fit(samples)
    with pytest.raises(ValueError, match="more than 2 samples"):
        StatisticsCovariance(lambda x: torch.cat([x, x**2], 1)).fit(normals(2))


def test_samples_are_checked():
    x, t = torch.randn(4, 3), torch.rand(4, 2)
    for given in [(x, t[:3]), (x, t[:, 0]), (x[:, 0], t)]:
        with pytest.raises(ValueError, match=r"observations \(N, \*shape\) with parameters"):
            FamilySamples(*given)
    with pytest.raises(ValueError, match="finite"):
        FamilySamples(x, t / 0)
    with pytest.raises(ValueError, match="at least 2 values"):
        FamilySamples(x, t * 0)


def test_many_parameters_are_gathered_in_cells():
    t = torch.rand(5000, 2, dtype=f64)
    samples = FamilySamples(torch.zeros(5000, 1), t)
    assert not samples.distinct
    assert len(samples.nodes) <= 1024
    for node in (0, 100):
        torch.testing.assert_close(samples.nodes[node], t[samples.node == node].mean(0))
    assert samples.counts.sum() == 5000
    first, second = samples.halves()
    assert sorted(torch.cat([first, second]).tolist()) == list(range(5000))
    assert (samples.node[first].bincount(minlength=9)[:9] - samples.node[second].bincount(minlength=9)[:9]).max() <= 1
