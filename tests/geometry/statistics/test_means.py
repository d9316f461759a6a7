"""Frechet means against the closed forms of flat space, sphere and hyperbolic plane."""

import math

import pytest
import torch

from lsgen.geometry import Immersion, MetricField, reference
from lsgen.geometry.statistics import frechet_mean

f64 = torch.float64
SPHERE, HYPERBOLIC = reference.sphere(), reference.hyperbolic()


def test_in_flat_space_it_is_the_weighted_average_and_variance():
    """An affine immersion: distances are those of its Gram matrix."""
    matrix = torch.randn(3, 5, dtype=f64)
    codes, weights = torch.randn(2, 2, 4, 3, dtype=f64), torch.rand(2, 2, 4, dtype=f64)
    found = frechet_mean(Immersion(lambda z: z @ matrix, 3), codes, weights, points=5)
    share = weights / weights.sum(-1, keepdim=True)
    mean = (share[..., None] * codes).sum(-2)
    square = ((codes - mean[..., None, :]) @ matrix).square().sum(-1)
    assert found.converged.all()
    torch.testing.assert_close(found.mean, mean)
    torch.testing.assert_close(found.variance, (share * square).sum(-1))


def test_on_the_sphere_the_closed_form_logarithms_cancel():
    """log_mu(x) = theta / sin(theta) (x - cos(theta) mu)."""
    codes = 0.5 * torch.randn(2, 4, 2, dtype=f64)
    found = frechet_mean(SPHERE.immersion, codes, tol=1e-4)
    assert found.converged.all()
    mu, x = SPHERE.immersion(found.mean)[:, None], SPHERE.immersion(codes)
    cosine = (mu * x).sum(-1, keepdim=True)
    angle = torch.acos(cosine)
    log = angle / torch.sin(angle) * (x - cosine * mu)
    assert (log.mean(1).norm(dim=-1) < 1e-3 * angle.square().mean((1, 2)).sqrt()).all()
    torch.testing.assert_close(found.variance, angle.square().mean((1, 2)), rtol=1e-5, atol=0)


def test_weights_move_the_mean_of_two_points_along_their_geodesic():
    """Two points of one vertical of the half-plane: distance sqrt 2 in log y, mean linear in it."""
    ends = torch.tensor([[0.3, -0.5], [0.3, 0.7]], dtype=f64)
    weights = torch.tensor([1.0, 3.0], dtype=f64)
    for im in (HYPERBOLIC.immersion, MetricField(HYPERBOLIC.metric, 2)):
        found = frechet_mean(im, ends, weights, tol=1e-6, points=17)
        exact = torch.tensor([0.3, 0.4], dtype=f64)
        torch.testing.assert_close(found.mean, exact, rtol=0, atol=1e-5)
        variance = 0.25 * 2 * 0.9**2 + 0.75 * 2 * 0.3**2
        assert found.variance.item() == pytest.approx(variance, rel=1e-5)


def test_the_mean_of_a_symmetric_set_does_not_depend_on_the_start():
    t = 2 * math.pi * torch.arange(4, dtype=f64) / 4
    codes = 0.7 * torch.stack([t.cos(), t.sin()], -1)
    start = torch.tensor([0.4, -0.2], dtype=f64)
    found = frechet_mean(SPHERE.immersion, codes, initial=start, tol=1e-4, points=17)
    assert found.converged
    assert found.iterations > 1
    torch.testing.assert_close(found.mean, torch.zeros(2, dtype=f64), rtol=0, atol=1e-3)


@pytest.mark.slow
def test_a_point_is_its_own_mean_and_a_torn_space_has_none():
    z = torch.tensor([[[0.2, 0.1]]], dtype=f64)
    found = frechet_mean(SPHERE.immersion, z)
    assert found.converged.all()
    assert found.variance.item() == 0
    torn = Immersion(lambda z: torch.cat([z, 1 / z[:, :1]], -1), 2)
    codes = torch.tensor([[[1.0, 0.0], [2.0, 1.0]], [[1.0, 0.0], [-2.0, 0.3]]], dtype=f64)
    apart = frechet_mean(torn, codes, max_iterations=4, points=17)
    assert apart.converged.tolist() == [True, False]
    assert apart.variance.isnan().tolist() == [False, True]


REFUSALS = {
    "sets": (lambda im, z: frechet_mean(im, z[0]), r"expected sets of codes \(B, n, 2\) with n >= 1, got \(2,\)"),
    "weights": (
        lambda im, z: frechet_mean(im, z, -torch.ones(3)),
        r"expected non-negative weights \(3,\) with a positive sum, got \(3,\) with values from -1 to -1",
    ),
    "initial": (lambda im, z: frechet_mean(im, z, initial=z), r"expected initial codes \(2,\), got \(3, 2\)"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    call, sentence = REFUSALS[name]
    with pytest.raises(ValueError, match=sentence):
        call(Immersion(torch.sin, 2), torch.zeros(3, 2))
