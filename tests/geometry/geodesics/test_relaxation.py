"""What relaxation spends on curves: nothing on those that have been moved, and nothing on those it cannot help."""

import pytest
import torch
from torch import nn

from lsgen.geometry import Immersion, geodesic, metric, reference
from lsgen.geometry.geodesics import relaxation
from lsgen.geometry.geodesics.energy import raw_energy
from lsgen.geometry.geodesics.logarithm import logarithms
from lsgen.geometry.geodesics.solver import CurveState, energy_and_force, line_search
from lsgen.latent import paths

f64 = torch.float64
SPHERE = reference.sphere().immersion
STEP = Immersion(lambda z: torch.cat([z, 2 * torch.tanh(200 * z[:, :1])], -1), 2)
"""A plane with a step of height 4, narrower than a segment on any grid that is tried."""


@pytest.fixture
def calls(monkeypatch):
    """Count the remedies that are tried."""
    made = {"continued": 0, "newton_curves": 0}

    def counting(name, work):
        def counted(im, curves, *rest):
            made[name] += len(curves)
            return work(im, curves, *rest)

        return counted

    for name in made:
        monkeypatch.setattr(relaxation, name, counting(name, getattr(relaxation, name)))
    return made


def test_a_line_search_measures_a_curve_again_only_until_it_has_moved():
    """Of a quadratic energy the step to the minimum is taken at once, six times as long a one is halved twice."""
    measured = []

    def fn(z):
        measured.append(len(z))
        return z @ torch.tensor([[1.0, 0.5], [0.0, 2.0]], dtype=f64)

    im, straight = Immersion(fn, 2), paths.linear(*torch.randn(2, 3, 2, dtype=f64), 9)
    curves = straight.clone()
    curves[:, 1:-1] += 0.1 * torch.randn(3, 7, 2, dtype=f64)
    energy, force, known = energy_and_force(im, curves)
    one, no, zero = torch.ones_like(energy), energy < 0, torch.zeros(3, dtype=torch.long)
    state = CurveState(curves, energy, force, known, one, one, one, one, ~no, no, no, zero, zero)
    step = torch.tensor([1.0, 6.0, 1.0], dtype=f64)[:, None, None] * (straight - curves)[:, 1:-1]
    measured.clear()
    to, moved = line_search(im, state, step, 0 * one, torch.tensor([True, True, False]))
    assert moved.tolist() == [True, True, False]
    assert measured == [18, 9, 9]
    torch.testing.assert_close(to.curves[0], straight[0])
    torch.testing.assert_close(to.curves[1], straight[1] - 0.5 * (curves - straight)[1])
    assert torch.equal(to.curves[2], curves[2])


def test_a_place_that_no_grid_resolves_costs_no_remedy(calls):
    a, b = torch.tensor([[-1.0, 0.0]], dtype=f64), torch.tensor([[1.0, 0.5]], dtype=f64)
    found = geodesic(STEP, a, b, 9, refinements=2)
    assert not found.converged.any()
    assert calls == {"continued": 0, "newton_curves": 0}


def test_grids_that_cannot_even_the_speed_are_not_tried(monkeypatch):
    """Speeds that vary by more than 4 times what is admitted for each doubling that is left."""
    grids, relaxed = [], relaxation.relaxed

    def recorded(im, curves, *rest):
        grids.append(curves.shape[1])
        return relaxed(im, curves, *rest)

    monkeypatch.setattr(relaxation, "relaxed", recorded)
    a, b = torch.tensor([[-1.0, 0.0]], dtype=f64), torch.tensor([[1.0, 0.5]], dtype=f64)
    assert not geodesic(STEP, a, b, 9).converged.any()
    assert len(grids) < 4


def test_logarithms_of_discrete_geodesics_are_the_gradient_of_their_energy():
    net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 5)).double().requires_grad_(False)
    for im in (SPHERE, Immersion(net, 2)):
        a, b = 0.5 * torch.randn(2, 4, 2, dtype=f64)
        v, length, curves = logarithms(im, a, b, 5, tol=1e-9, discrete=True)
        curves = curves.requires_grad_()
        energy = raw_energy(im, curves)
        (slope,) = torch.autograd.grad(energy.sum(), curves)
        torch.testing.assert_close(length.square(), energy.detach())
        torch.testing.assert_close(-2 * torch.einsum("bij,bj->bi", metric(im, a), v), slope[:, 0])
