"""Natural and mean coordinates, geodesics straight in them, and the divergence, against distributions of PyTorch."""

import pytest
import torch
from torch.distributions import Categorical, Normal, Poisson, kl_divergence
from torch.nn.functional import pad

from lsgen.geometry import HessianMetric, MetricField, metric
from lsgen.geometry.information import (
    alpha_exp_map,
    bregman_divergence,
    e_geodesic,
    exponential_family,
    m_geodesic,
    natural_coordinates,
)

f64 = torch.float64


def _log_partition(theta: torch.Tensor) -> torch.Tensor:
    first, second = theta.unbind(-1)
    return -first.square() / (4 * second) - torch.log(-2 * second) / 2


GAUSSIANS = HessianMetric(_log_partition, 2)
CLASSES = HessianMetric(lambda theta: pad(theta, (1, 0)).logsumexp(-1), 3)
COUNTS = HessianMetric(lambda theta: theta.exp().sum(-1), 1)


def _gaussians(*batch: int) -> torch.Tensor:
    mean, precision = torch.randn(*batch, dtype=f64), torch.rand(*batch, dtype=f64) * 3 + 0.2
    return torch.stack([mean * precision, -precision / 2], -1)


def _normal(theta: torch.Tensor) -> Normal:
    variance = -0.5 / theta[..., 1]
    return Normal(theta[..., 0] * variance, variance.sqrt())


MEMBERS = {
    "gaussians": (GAUSSIANS, _gaussians(40), _normal),
    "classes": (CLASSES, 2 * torch.randn(40, 3, dtype=f64), lambda theta: Categorical(logits=pad(theta, (1, 0)))),
    "counts": (COUNTS, torch.randn(40, 1, dtype=f64), lambda theta: Poisson(theta.exp().squeeze(-1))),
}


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.slow
def test_the_divergence_is_that_of_kullback_and_leibler(name):
    family, theta, made = MEMBERS[name]
    a, b = theta.chunk(2)
    torch.testing.assert_close(bregman_divergence(family, a, b), kl_divergence(made(b), made(a)))
    close = b + 1e-7 * (a - b)
    half = torch.einsum("ni,nij,nj->n", close - b, metric(family, (close + 2 * b) / 3), close - b) / 2
    torch.testing.assert_close(bregman_divergence(family, close, b), half, rtol=1e-9, atol=0)
    single = bregman_divergence(family, (b + 1e-3 * (a - b)).float(), b.float())
    exact = bregman_divergence(family, (b + 1e-3 * (a - b)).float().double(), b.float().double())
    torch.testing.assert_close(single.double(), exact, rtol=1e-4, atol=0)
    few = [x[:2].clone().requires_grad_() for x in (a, b)]
    assert torch.autograd.gradcheck(lambda x, y: bregman_divergence(family, x, y), few)


@pytest.mark.parametrize("name", MEMBERS)
def test_natural_coordinates_invert_the_means_from_far(name):
    family, theta, _ = MEMBERS[name]
    for initial in (theta.flip(0), theta[:1].expand_as(theta)):
        found = natural_coordinates(family, family.dual(theta), initial)
        assert found.converged.all()
        torch.testing.assert_close(found.theta, theta, rtol=1e-7, atol=1e-7)
    single = natural_coordinates(family, family.dual(theta).float(), theta.flip(0).float())
    assert single.converged.all()
    torch.testing.assert_close(single.theta.double(), theta, rtol=1e-2, atol=1e-2)


def test_means_that_no_member_has_do_not_converge_alone():
    eta = torch.tensor([[0.5, 0.2, 0.1], [0.7, 0.4, 0.2], [0.1, 0.1, 0.79]], dtype=f64)
    found = natural_coordinates(CLASSES, eta, torch.zeros(3, 3, dtype=f64), max_iterations=20)
    assert found.converged.tolist() == [True, False, True]
    p = pad(found.theta, (1, 0)).softmax(-1)[:, 1:]
    torch.testing.assert_close(p[[0, 2]], eta[[0, 2]])
    below = torch.tensor([[0.3, 0.05]], dtype=f64)  # a second moment below the square of the mean
    assert not natural_coordinates(GAUSSIANS, below, _gaussians(1), max_iterations=20).converged.any()
    empty = natural_coordinates(GAUSSIANS, eta[:0, :2], eta[:0, :2])
    assert (empty.theta.shape, empty.converged.shape) == ((0, 2), (0,))


@pytest.mark.parametrize("name", ["gaussians", "classes"])
@pytest.mark.slow
def test_dual_geodesics_are_straight_in_their_coordinates_and_solve_their_equations(name):
    family, theta, _ = MEMBERS[name]
    start, end = theta[:8].unflatten(0, (2, 4)), theta[8:16].unflatten(0, (2, 4))
    exponential, mixture = e_geodesic(family, start, end, 9), m_geodesic(family, start, end, 9)
    assert exponential.converged.all()
    assert mixture.converged.all()
    assert mixture.points.shape == (2, 4, 9, theta.shape[1])
    t = torch.linspace(0, 1, 9, dtype=f64)[:, None]
    torch.testing.assert_close(exponential.points, torch.lerp(start[..., None, :], end[..., None, :], t))
    means = torch.lerp(family.dual(start)[..., None, :], family.dual(end)[..., None, :], t)
    torch.testing.assert_close(family.dual(mixture.points), means)
    velocity = torch.linalg.solve(metric(family, start), family.dual(end) - family.dual(start))
    there = alpha_exp_map(exponential_family(family), start, velocity / 2, -1.0, tol=1e-8)
    assert there.converged.all()
    torch.testing.assert_close(there.point, mixture.points[:, :, 4], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["gaussians", "classes"])
def test_right_angles_obey_the_theorem_of_pythagoras(name):
    family, theta, made = MEMBERS[name]
    q, r = theta.chunk(2)
    across = torch.randn_like(q)
    across = across - (across * (r - q)).sum(-1, keepdim=True) / (r - q).square().sum(-1, keepdim=True) * (r - q)
    found = natural_coordinates(family, family.dual(q) + 0.01 * across, q, max_iterations=20)
    p = found.theta[found.converged]
    assert found.converged.sum() > 10
    q, r = q[found.converged], r[found.converged]
    whole = kl_divergence(made(p), made(r))
    torch.testing.assert_close(whole, bregman_divergence(family, q, p) + bregman_divergence(family, r, q))
    assert float(bregman_divergence(family, q, p).median()) > 1e-7


def test_wrong_arguments_are_refused():
    theta = torch.zeros(2, 3)
    field = MetricField(lambda z: torch.eye(3).expand(len(z), 3, 3), 3)
    for call in (lambda f: bregman_divergence(f, theta, theta), lambda f: e_geodesic(f, theta, theta)):
        with pytest.raises(TypeError, match="metric of a log partition function, got MetricField"):
            call(field)
    with pytest.raises(ValueError, match=r"natural coordinates a of dtype float32 and shape \(2, 3\) like the codes"):
        bregman_divergence(CLASSES, theta[:1], theta)
    with pytest.raises(ValueError, match=r"positive tol and max_iterations, got -1\.0 and 100"):
        natural_coordinates(CLASSES, theta, theta, tol=-1.0)


@pytest.mark.parametrize("size", [15.0, 40.0, 700.0])
def test_divergence_between_members_whose_metric_fades(size: float) -> None:
    """Two coins of logits a and -a: KL = a tanh(a / 2)."""
    coin = HessianMetric(lambda theta: pad(theta, (1, 0)).logsumexp(-1), 1)
    for dtype in (torch.float32, f64):
        a = torch.tensor([[size]], dtype=dtype)
        expected = (a * torch.tanh(a / 2)).squeeze(-1)
        torch.testing.assert_close(bregman_divergence(coin, a, -a), expected)
        torch.testing.assert_close(bregman_divergence(coin, -a, a), expected)
