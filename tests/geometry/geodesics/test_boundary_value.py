"""Geodesics against exact distances: accuracy, order, gradients, and honesty about failure."""

import math

import pytest
import torch
from torch import nn

from lsgen.geometry import (
    Immersion,
    MetricField,
    curve_length,
    distance,
    exp_map,
    geodesic,
    immersion,
    log_map,
    metric,
    metric_field,
    reference,
)
from lsgen.geometry.geodesics import CodeGraph, curve_energy
from lsgen.geometry.geodesics.energy import interpolated_system, residual
from lsgen.geometry.geodesics.solver import CurveState, energy_and_force, line_search, quasi_newton_step
from lsgen.geometry.geodesics.tridiagonal import solve
from lsgen.latent import LatentSpace, StandardNormal, paths
from lsgen.likelihoods import Bernoulli, Gaussian

f64 = torch.float64
EXACT = {name: getattr(reference, name)() for name in ("plane", "sphere", "hyperbolic", "swiss_roll", "torus")}
EXACT["sphere-3"] = reference.sphere(2.0, 3)
ROUTES = {"immersion": lambda surface: surface.immersion, "metric": lambda s: MetricField(s.metric, s.immersion.dim)}


def ends(name, n=8):
    d = EXACT[name].immersion.dim
    if name == "swiss_roll":
        return 2 + torch.rand(2, n, d, dtype=f64)
    return 0.4 * torch.randn(2, n, d, dtype=f64)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", EXACT)
def test_lengths_are_exact_distances(name, route):
    a, b = ends(name)
    found = geodesic(ROUTES[route](EXACT[name]), a, b)
    assert found.converged.all(), found.residual
    torch.testing.assert_close(found.length, EXACT[name].distance(a, b), rtol=1e-6, atol=0)
    assert torch.equal(found.points[:, 0], a)
    assert torch.equal(found.points[:, -1], b)
    assert (found.speed_variation < 1e-3).all()
    assert torch.isnan(found.asymmetry).all()


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", ["sphere", "hyperbolic", "torus"])
def test_orders_of_convergence(name, route):
    """Length errs by n^-4, energy by n^-2."""
    a, b = torch.tensor([[-0.5, 0.1]], dtype=f64), torch.tensor([[0.6, 0.8]], dtype=f64)
    exact, im = EXACT[name].distance(a, b), ROUTES[route](EXACT[name])
    found = [geodesic(im, a, b, n + 1, tol=1e-9) for n in (16, 64)]
    length = [(g.length - exact).abs().item() for g in found]
    energy = [(g.energy - exact**2).abs().item() for g in found]
    assert math.log(length[0] / length[1], 4) > 3.5
    assert math.log(energy[0] / energy[1], 4) == pytest.approx(2, abs=0.2)


def test_the_distance_on_a_torus_is_that_of_shooting():
    """Clairaut's relation against the differential equation, with a turning point of v and without."""
    torus = EXACT["torus"]
    a = torch.tensor([[0.0, 0.8], [0.0, -0.5], [0.3, -1.2]], dtype=f64)
    v = torch.tensor([[0.4, 0.1], [0.2, 0.9], [-0.3, -0.2]], dtype=f64)
    shot = exp_map(torus.immersion, a, v, tol=1e-11)
    length = torch.einsum("ni,nij,nj->n", v, torus.metric(a), v).sqrt()
    torch.testing.assert_close(torus.distance(a, shot.point), length, rtol=1e-8, atol=0)


def test_batch_is_loop_and_chunks_are_whole():
    im = EXACT["sphere"].immersion
    a, b = ends("sphere", 6)
    whole = geodesic(im, a, b)
    torch.testing.assert_close(geodesic(im, a.view(2, 3, 2), b.view(2, 3, 2)).length, whole.length.view(2, 3))
    torch.testing.assert_close(geodesic(im, a, b, chunk_size=4).length, whole.length)
    torch.testing.assert_close(geodesic(im, a[0], b[0]).length, whole.length[0])
    torch.testing.assert_close(distance(im, b, a), whole.length)
    assert geodesic(im, a[:0], b[:0]).points.shape == (0, 33, 2)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", ["sphere", "hyperbolic"])
def test_gradients_of_the_distance(name, route):
    a, b = ends(name, 4)
    a.requires_grad_()
    b.requires_grad_()
    ours = torch.autograd.grad(distance(ROUTES[route](EXACT[name]), a, b, 65).sum(), (a, b))
    theirs = torch.autograd.grad(EXACT[name].distance(a, b).sum(), (a, b))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("route", ROUTES)
def test_the_logarithm_has_the_length_of_the_distance_and_its_gradient(route):
    im, (a, b) = ROUTES[route](EXACT["sphere"]), ends("sphere", 4)
    v, g = log_map(im, a, b, 65), metric(im, a)
    a = a.requires_grad_()
    length = EXACT["sphere"].distance(a, b)
    torch.testing.assert_close(torch.einsum("ni,nij,nj->n", v, g, v).sqrt(), length.detach(), rtol=1e-6, atol=0)
    (gradient,) = torch.autograd.grad(length.sum(), a)
    torch.testing.assert_close(
        -torch.einsum("nij,nj->ni", g, v) / length.detach()[:, None], gradient, rtol=1e-3, atol=1e-3
    )


def test_both_routes_agree_on_a_decoder():
    net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 12)).double().requires_grad_(False)
    space = LatentSpace(net, Bernoulli((12,)), StandardNormal(2)).eval()
    a, b = torch.randn(2, 4, 2, dtype=f64)
    ours, theirs = geodesic(immersion(space), a, b), geodesic(metric_field(space), a, b)
    assert ours.converged.all()
    assert theirs.converged.all()
    torch.testing.assert_close(ours.length, theirs.length, rtol=1e-5, atol=0)
    torch.testing.assert_close(ours.points, theirs.points, rtol=0, atol=1e-2)


def test_lengths_and_energies_of_any_curve():
    """A latitude of the sphere run through at uneven speed: fourth and second order."""
    t = [torch.linspace(0, 1, n + 1, dtype=f64) for n in (32, 64)]
    angle, radius = [s + 0.3 * s**2 for s in t], 0.5
    curves = [radius * torch.stack([x.cos(), x.sin()], -1) for x in angle]
    ring = 2 * radius / (1 + radius**2)
    length, energy = 1.3 * ring, (1 + 0.6 + 0.12) * ring**2
    for route in ROUTES.values():
        im = route(EXACT["sphere"])
        errors = [(curve_length(im, c) - length).abs().item() for c in curves]
        assert errors[1] < 1e-6
        assert math.log2(errors[0] / errors[1]) > 3.6
        errors = [(curve_energy(im, c) - energy).abs().item() for c in curves]
        assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)


def test_several_starts_find_the_shorter_way_round():
    """Around a hill: a start that goes over the far side stays there, and the others tell."""
    hill = Immersion(lambda z: torch.cat([z, 3 * torch.exp(-2 * (z * z).sum(-1, keepdim=True))], -1), 2)
    a, b = torch.tensor([[-2.0, -0.2]], dtype=f64), torch.tensor([[2.0, -0.2]], dtype=f64)
    detour = torch.linspace(0, math.pi, 33, dtype=f64)
    around = torch.stack([-2 * detour.cos(), 1.5 * detour.sin()], -1)[None]
    near, far = geodesic(hill, a, b), geodesic(hill, a, b, initial=around)
    several = geodesic(hill, a, b, starts=3, initial=around)
    assert near.converged.all()
    assert far.converged.all()
    assert far.length.item() > near.length.item() + 0.1
    torch.testing.assert_close(several.length, near.length, rtol=1e-6, atol=0)
    torch.testing.assert_close(several.spread, far.length - near.length, rtol=1e-3, atol=0)
    assert several.asymmetry.item() < 1e-6
    assert torch.equal(several.points[:, [0, -1]], torch.stack([a, b], 1))
    unique = geodesic(EXACT["sphere"].immersion, *ends("sphere", 3), starts=3)
    assert (unique.spread < 1e-6).all()
    assert (unique.asymmetry < 1e-6).all()


@pytest.mark.parametrize("d", [2, 4])
def test_a_graph_over_codes_leads_around_a_hole(d):
    """A bump pushes the straight segment down, where space is three times as wide; the codes go over the top."""

    def factor(z):
        above = z - 0.1 * torch.eye(d, dtype=z.dtype)[1]
        return 1 + 50 * torch.exp(-4 * (above * above).sum(-1)) + 8 * torch.sigmoid(-10 * z[:, 1] - 3)

    field = MetricField(lambda z: factor(z)[:, None, None] * torch.eye(d, dtype=z.dtype), d)
    t = torch.linspace(0, math.pi, 100, dtype=f64)
    codes = 0.01 * torch.randn(100, d, dtype=f64)
    codes[:, 0] += t.cos()
    codes[:, 1] += t.sin()
    a, b = codes[:1] * 1.01, codes[-1:] * 1.01
    graph = CodeGraph(field, codes, neighbours=6)
    assert graph.components == 1
    path = graph.paths(a, b, 33)
    assert path.norm(dim=-1).min() > 0.8
    speed = path.diff(dim=1).norm(dim=-1)
    assert (speed / speed.mean() - 1).abs().max() < 0.3
    found, straight = geodesic(field, a, b, graph=graph), geodesic(field, a, b)
    assert found.converged.all()
    assert d > 2 or found.length < 0.75 * straight.length
    best = geodesic(field, a, b, graph=graph, starts=2)
    torch.testing.assert_close(best.length, found.length, rtol=1e-3, atol=0)


def test_a_graph_in_two_parts_says_so(caplog):
    codes = torch.cat([torch.rand(20, 2, dtype=f64), 10 + torch.rand(20, 2, dtype=f64)])
    graph = CodeGraph(EXACT["plane"].immersion, codes, neighbours=5)
    assert graph.components == 2
    path = graph.paths(codes[:1], codes[-1:], 5)
    torch.testing.assert_close(path[0], torch.lerp(codes[0], codes[-1], torch.linspace(0, 1, 5, dtype=f64)[:, None]))
    assert "no path in the graph joins 1 of 1 pairs" in caplog.text


@pytest.mark.slow
def test_one_gaussian_is_its_closed_form_also_in_float32():
    """Mean and sigma of one Gaussian: the distance of the likelihood itself, at sigma = 0.01."""
    for dtype, rtol in ((f64, 1e-6), (torch.float32, 2e-5)):
        latent = LatentSpace(nn.Identity(), Gaussian((1,)), StandardNormal(2))
        a, b = (
            torch.tensor([[0.0, -4.6], [0.02, -4.0]], dtype=dtype),
            torch.tensor([[0.01, -4.0], [0.0, -5.0]], dtype=dtype),
        )
        found = geodesic(immersion(latent), a, b)
        assert found.converged.all()
        torch.testing.assert_close(found.length, latent.likelihood.distance(a, b), rtol=rtol, atol=0)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_decoders_in_float32(scale):
    """Energies that rounding hides still admit a residual at the stated floor, also of strongly curved decoders."""
    net = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 50)).requires_grad_(False)
    for weight in net.parameters():
        weight.mul_(scale)
    a, b = torch.randn(2, 16, 4)
    found = geodesic(Immersion(net, 4), a, b)
    assert found.converged.all(), found.residual
    straight = torch.lerp(a[:, None], b[:, None], torch.linspace(0, 1, 33)[:, None])
    chords = net(straight).diff(dim=1).norm(dim=-1)
    assert (found.energy < 32 * chords.square().sum(-1)).all()
    exact = geodesic(Immersion(net.double(), 4), a.double(), b.double(), tol=1e-9)
    torch.testing.assert_close(found.length.double(), exact.length, rtol=1e-4, atol=0)


def test_forces_by_one_pass_backwards_are_those_of_the_chords():
    net = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 12)).double().requires_grad_(False)
    curves = torch.randn(4, 9, 3, dtype=f64)
    for im in (Immersion(net, 3), immersion(LatentSpace(net, Bernoulli((12,)), StandardNormal(3)).eval())):
        energy, force, _ = energy_and_force(im, curves)
        torch.testing.assert_close(energy, curve_energy(im, curves))
        torch.testing.assert_close(force, im.newton_system(curves, im.segment_data(curves)).force)


def test_steps_solve_the_secant_equation():
    """B y = s for the last pair whose curvature is positive; another pair changes nothing."""
    net = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 12)).double().requires_grad_(False)
    im, curves = Immersion(net, 3), torch.randn(4, 9, 3, dtype=f64)
    model = im.newton_system(curves, im.segment_data(curves)).hessian
    pairs = list(torch.randn(3, 2, 4, 7, 3, dtype=f64).unbind(0))
    pairs = [(s, y * (s * y).sum((-2, -1), keepdim=True).sign()) for s, y in pairs]
    s, y = pairs[-1]
    step, sound = quasi_newton_step(model, pairs, y)
    assert sound.all()
    torch.testing.assert_close(step, s)
    torch.testing.assert_close(quasi_newton_step(model, [*pairs, (s, -y)], y)[0], s)
    plain = quasi_newton_step(model, [], y)[0]
    torch.testing.assert_close(plain, solve(*model, y)[0])
    assert (quasi_newton_step(model, pairs, y)[0] - plain).abs().max() > 1e-3


def test_an_interpolated_system_is_exact_where_the_metric_is_linear_along_the_curve():
    """f = (x, y, x^(3/2)) has g_xx = 1 + 9 x / 4; along a segment between the knots nothing is lost."""
    im = Immersion(lambda z: torch.cat([z, z[:, :1] ** 1.5], -1), 2)
    a, b = torch.tensor([[0.5, 0.0]], dtype=f64), torch.tensor([[2.5, 1.0]], dtype=f64)
    curves = torch.lerp(a[:, None], b[:, None], torch.linspace(0, 1, 33, dtype=f64)[:, None])
    whole = im.newton_system(curves, im.segment_data(curves))
    rough = interpolated_system(im, curves, whole.force)
    torch.testing.assert_close(rough.g, whole.g)
    torch.testing.assert_close(rough.hessian.diagonal, whole.hessian.diagonal)


def test_an_interpolated_system_knows_the_metric_as_well_as_asked():
    net = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 12)).double().requires_grad_(False)
    im, (a, b) = Immersion(net, 3), 2 * torch.randn(2, 6, 3, dtype=f64)
    curves = paths.linear(a, b, 33)
    whole, errors = im.newton_system(curves, im.segment_data(curves)), []
    for within in (None, 0.2, 0.02, 0.0):
        found = interpolated_system(im, curves, whole.force, within)
        root = torch.linalg.inv(torch.linalg.cholesky(found.g))
        errors.append((root @ whole.g @ root.mT - torch.eye(3, dtype=f64)).norm(dim=(-2, -1)).max().item())
        if within:
            assert errors[-1] <= within
            size = torch.ones(6, dtype=f64)
            torch.testing.assert_close(residual(found, 32, size), residual(whole, 32, size), rtol=within, atol=0)
    assert errors[0] > errors[2]
    torch.testing.assert_close(found.g, whole.g)


@pytest.mark.parametrize("index", [8, 12, 13])
def test_an_interpolated_system_finds_the_point_where_rank_is_lost(index):
    """f = (x^3, y) is singular at x = 0, one of 33 points, wherever the knots are."""
    im = Immersion(lambda z: torch.stack([z[:, 0] ** 3, z[:, 1]], -1), 2)
    x = (torch.arange(33, dtype=f64) - index) / 16
    curves = torch.stack([x, 0.1 * x.cos()], -1)[None]
    whole = im.newton_system(curves, im.segment_data(curves))
    assert (~whole.full[0]).nonzero().tolist() == [[index - 1]]
    assert torch.equal(interpolated_system(im, curves, whole.force, 0.2).full, whole.full)


def test_a_grid_too_coarse_for_a_ridge_is_refined():
    """Over h exp(-(x/w)^2), for all y, a surface without curvature: 16 chords leap over most of the climb."""
    w, h = 0.2, 0.6
    ridge = Immersion(lambda z: torch.cat([z, h * torch.exp(-((z[:, :1] / w) ** 2))], -1), 2)
    a = torch.tensor([[-1.0, 0.0], [-1.0, 0.0], [-0.93, 0.1]], dtype=f64)
    b = torch.tensor([[-0.6, 0.3], [1.0, 0.5], [1.1, 0.0]], dtype=f64)
    x = torch.lerp(a[:, 0], b[:, 0], torch.linspace(0, 1, 4097, dtype=f64)[:, None])
    profile = torch.stack([x, h * torch.exp(-((x / w) ** 2))])
    exact = torch.hypot(profile.diff(dim=1).norm(dim=0).sum(0), (b - a)[:, 1])
    coarse, found = geodesic(ridge, a, b, 17, refinements=0), geodesic(ridge, a, b, 17)
    assert coarse.converged.tolist() == [True, False, False]
    assert (coarse.residual < 1e-4).all()
    assert coarse.length[2] < 0.95 * exact[2]
    assert found.converged.all()
    torch.testing.assert_close(found.length, exact, rtol=2e-3, atol=0)
    torch.testing.assert_close(found.energy[1:], exact[1:].square(), rtol=2e-2, atol=0)
    assert torch.equal(found.points[:, [0, -1]], torch.stack([a, b], 1))
    assert torch.equal(found.points[0], coarse.points[0])
    span = torch.stack([curve_length(ridge, paths.linear(z[:-1], z[1:], 65)) for z in found.points[1:]])
    assert (span / exact[1:, None] * 16 - 1).abs().max() < 0.1


def test_below_rounding_forces_tell_how_long_a_step_may_be():
    """Four times the step to the minimum of a quadratic: where the energy cannot tell, it is halved until F . s can."""
    im, (a, b) = Immersion(lambda z: z @ torch.tensor([[1.0, 0.5], [0.0, 2.0]], dtype=f64), 2), ends("plane")
    straight = paths.linear(a, b, 9)
    curves = straight.clone()
    curves[:, 1:-1] += torch.randn(8, 7, 2, dtype=f64)
    energy, force, known = energy_and_force(im, curves)
    one, no, zero = torch.ones_like(energy), energy < 0, torch.zeros(8, dtype=torch.long)
    state = CurveState(curves, energy, force, known, one, one, one, one, ~no, no, no, zero, zero)
    step = 4 * solve(*im.newton_system(curves, im.segment_data(curves)).hessian, force)[0]
    to, moved = line_search(im, state, step, torch.inf * one, ~no)
    assert moved.all()
    torch.testing.assert_close(to.curves, straight)
    assert (to.done == 1).all()


def test_geodesics_where_gradients_are_off():
    net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 12)).double()
    with torch.inference_mode():
        a, b = torch.randn(2, 4, 2, dtype=f64)
        off = geodesic(Immersion(net, 2), a, b)
    on = geodesic(Immersion(net, 2), a.clone(), b.clone())
    assert off.converged.all()
    assert not off.points.requires_grad
    torch.testing.assert_close(off.points.clone(), on.points)
    assert all(weight.grad is None for weight in net.parameters())


@pytest.mark.parametrize("route", ["immersion", "metric"])
def test_a_curve_across_a_pole_fails_alone(route):
    """z -> (z, 1 / z_1) tears space apart at z_1 = 0: no curve joins its two sides."""
    im = Immersion(lambda z: torch.cat([z, 1 / z[:, :1]], -1), 2)
    if route == "metric":
        im = MetricField(lambda z: torch.diag_embed(torch.stack([1 + z[:, 0] ** -4, torch.ones_like(z[:, 1])], -1)), 2)
    a = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 1.0]], dtype=f64)
    b = torch.tensor([[2.0, 1.0], [1.0, 0.3], [0.5, 0.0]], dtype=f64)
    found = geodesic(im, a, b)
    assert found.converged.tolist() == [True, False, True]
    assert torch.isnan(distance(im, a, b)).tolist() == [False, True, False]


def test_a_degenerate_metric_fails_and_a_point_is_its_own_geodesic():
    flat = Immersion(lambda z: torch.stack([z[:, 0], z[:, 0] ** 2], -1), 2)
    a, b = torch.tensor([[0.0, 0.0]], dtype=f64), torch.tensor([[1.0, 1.0]], dtype=f64)
    assert not geodesic(flat, a, b).converged.any()
    same = geodesic(EXACT["sphere"].immersion, b, b)
    assert same.converged.all()
    assert same.length.item() == 0


REFUSALS = {
    "map": (lambda z: geodesic(torch.sin, z, z), TypeError, "expected a RiemannianMetric such as an Immersion"),
    "starts": (lambda z: geodesic(Immersion(torch.sin, 2), z, z, starts=0), ValueError, "at least 1 start, got 0"),
    "codes": (
        lambda z: CodeGraph(Immersion(torch.sin, 2), z),
        ValueError,
        "expected more codes than the 10 neighbours of each, got 3",
    ),
    "neighbours": (
        lambda z: CodeGraph(Immersion(torch.sin, 2), z, neighbours=0),
        ValueError,
        "expected at least 1 neighbour and 1 sample, got 0 and 4",
    ),
    "one point": (
        lambda z: curve_length(Immersion(torch.sin, 2), z[:1]),
        ValueError,
        r"expected curves \(B, N, 2\) of at least 2 points, got \(1, 2\)",
    ),
    "shapes": (
        lambda z: geodesic(Immersion(torch.sin, 2), z, z[0]),
        ValueError,
        r"expected two ends of one shape and dtype, got float32 \(3, 2\) and float32 \(2,\)",
    ),
    "points": (lambda z: geodesic(Immersion(torch.sin, 2), z, z, 2), ValueError, "expected at least 3 points, got 2"),
    "initial": (
        lambda z: geodesic(Immersion(torch.sin, 2), z, z, initial=z),
        ValueError,
        r"expected initial curves \(3, 33, 2\), got \(3, 2\)",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    call, kind, sentence = REFUSALS[name]
    with pytest.raises(kind, match=sentence):
        call(torch.zeros(3, 2))


@pytest.mark.slow
def test_an_axis_a_thousand_times_shorter_counts_in_single_precision():
    sphere = reference.sphere()
    im = Immersion(lambda z: torch.cat([sphere.immersion.fn(z[:, :2]), 1e-3 * z[:, 2:]], 1), 3)
    a, b = 0.4 * torch.randn(2, 6, 3)
    found = geodesic(im, a, b)
    assert found.converged.all()
    exact = sphere.distance(a[:, :2].double(), b[:, :2].double()).square() + (1e-3 * (b - a)[:, 2].double()).square()
    torch.testing.assert_close(found.length.double(), exact.sqrt(), rtol=1e-5, atol=0)
    third = torch.lerp(a[:, None, 2], b[:, None, 2], torch.linspace(0, 1, 33))
    torch.testing.assert_close(found.points[..., 2], third, rtol=0, atol=0.05)
