"""Derivatives of Frechet means and variances against closed forms and central differences."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad

from lsgen.geometry import Immersion, MetricField, frechet_mean, log_map, reference

f64 = torch.float64
SPHERE = reference.sphere()
FIELD = MetricField(SPHERE.metric, 2)
CODES = torch.tensor([[0.3, -0.2], [-0.5, 0.4], [0.1, 0.6]], dtype=f64)
WEIGHTS = torch.tensor([1.0, 2.0, 0.5], dtype=f64)
TIGHT = {"points": 5, "tol": 1e-7, "geodesic_options": {"tol": 1e-9}}


def directional(f, x, h=1e-3):
    """Return the derivative of a combination of the values along a direction, by autograd and by a difference."""
    u = torch.cos(torch.arange(x.numel(), dtype=f64)).view_as(x)
    live = x.clone().requires_grad_()
    y = f(live)
    c = torch.sin(1 + torch.arange(len(y), dtype=f64))
    (slope,) = torch.autograd.grad((c * y).sum(), live)
    return (slope * u).sum(), (c * (f(x + h * u) - f(x - h * u))).sum() / (2 * h)


def test_in_flat_space_they_are_those_of_the_average():
    matrix = torch.tensor([[1.0, 0.5, -1.0], [0.0, 2.0, 1.0]], dtype=f64)
    im = Immersion(lambda z: z @ matrix, 2)
    x, w = CODES.clone().requires_grad_(), WEIGHTS.clone().requires_grad_()
    found = frechet_mean(im, x, w, points=5)
    share = w / w.sum()
    mean = share @ x
    variance = (share * ((x - mean) @ matrix).square().sum(-1)).sum()
    for ours, exact in zip((*found.mean, found.variance), (*mean, variance), strict=True):
        pairs = zip(*(torch.autograd.grad(y, (x, w), retain_graph=True) for y in (ours, exact)), strict=True)
        for a, b in pairs:
            torch.testing.assert_close(a, b)


@pytest.mark.slow
def test_they_are_central_differences_in_codes_and_weights():
    def both(y):
        found = frechet_mean(FIELD, y[:, :2], y[:, 2], **TIGHT)
        assert found.converged
        return torch.cat([found.mean, found.variance[None]])

    found, expected = directional(both, torch.cat([CODES, WEIGHTS[:, None]], 1))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_they_are_central_differences_in_the_weights_of_the_decoder():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 4)).double().eval()
    weights = {key: w.detach() for key, w in net.named_parameters()}

    def mean(w):
        im = Immersion(lambda z: functional_call(net, weights | {"0.weight": w}, (z,)), 2)
        return frechet_mean(im, CODES, **TIGHT).mean

    found, expected = directional(mean, weights["0.weight"])
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


def test_the_mean_of_two_codes_moves_along_their_geodesic():
    """mu(t) = exp_a(t log_a(b)) with t = w_b, so that d mu/dt = log_mu(b) / (1 - t) = log_b-ward velocity."""
    a, b = CODES[:2]
    t = torch.tensor(0.3, dtype=f64, requires_grad=True)
    mean = frechet_mean(SPHERE.immersion, CODES[:2], torch.stack([1 - t, t]), **TIGHT).mean
    found = torch.stack([torch.autograd.grad(x, t, retain_graph=True)[0] for x in mean])
    with torch.no_grad():
        ahead, back = (log_map(SPHERE.immersion, mean, end, 33, tol=1e-9) for end in (b, a))
    torch.testing.assert_close(found, ahead / 0.7, rtol=0, atol=5e-3)
    torch.testing.assert_close(found, -back / 0.3, rtol=0, atol=5e-3)


@pytest.mark.slow
def test_a_mean_that_did_not_converge_has_no_derivative_and_spoils_no_other():
    torn = Immersion(lambda z: torch.cat([z, 1 / z[:, :1]], -1), 2)
    x = torch.tensor([[[1.0, 0.0], [2.0, 1.0]], [[1.0, 0.0], [-2.0, 0.3]]], dtype=f64, requires_grad=True)
    found = frechet_mean(torn, x, max_iterations=8, points=9, tol=1e-2)
    assert found.converged.tolist() == [True, False]
    (slope,) = torch.autograd.grad(found.mean.sum(), x, retain_graph=True)
    assert slope.isnan().flatten(1).any(-1).tolist() == [False, True]
    (slope,) = torch.autograd.grad(found.mean[0].sum() + found.variance[0], x)
    assert slope.isfinite().all()
    assert slope[0].abs().sum() > 0.1


@pytest.mark.slow
def test_transforms_agree_and_nothing_is_followed_without_need():
    def value(y):
        return frechet_mean(FIELD, y, points=5).mean.sum()

    x = CODES.clone().requires_grad_()
    torch.testing.assert_close(grad(value)(CODES), torch.autograd.grad(value(x), x)[0])
    assert not frechet_mean(FIELD, CODES, points=5).mean.requires_grad
    with torch.no_grad():
        assert not frechet_mean(FIELD, x, points=5).mean.requires_grad
