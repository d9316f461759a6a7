"""What `converged` promises, on problems with a known truth, and what is solved that no step from a segment reaches."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from math import cos, pi, sin, sinh, sqrt
from pathlib import Path

import pytest
import torch
from torch import nn

from lsgen.geometry import Immersion, MetricField, exp_map, geodesic, immersion, metric, reference
from lsgen.geometry.geodesics.damped_newton import newton_curves
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import Gaussian

f64 = torch.float64
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def certificate():
    sys.path.insert(0, str(ROOT / "scripts"))
    spec = spec_from_file_location("bench_certificate", ROOT / "scripts" / "bench_certificate.py")
    module = module_from_spec(spec)
    sys.modules["bench_certificate"] = module
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(ROOT / "scripts"))
    del sys.modules["bench_certificate"], sys.modules["tori"]


@pytest.mark.slow
def test_distances_on_tori_are_the_least_of_all_windings(certificate):
    """Short geodesics, shot across the cuts of both angles; long ones, of which none is shorter than the distance."""
    surface, tori = reference.torus(2.0, 1.0), sys.modules["tori"]
    a = torch.tensor([[3.1, 3.0], [-3.0, -2.9], [0.2, 0.1], [1.0, 2.5]], dtype=f64)
    v = torch.tensor([[0.5, 0.4], [-0.4, -0.6], [0.3, 0.2], [-0.5, 0.8]], dtype=f64)
    v = v / torch.einsum("ni,nij,nj->n", v, surface.metric(a), v).sqrt()[:, None]
    shot = exp_map(surface.immersion, a.repeat(2, 1), torch.cat([0.8 * v, 12 * v]), tol=1e-10).point
    found = tori.revolution_distance(2.0, 1.0, a.repeat(2, 1), shot)
    torch.testing.assert_close(found[:4], torch.full((4,), 0.8, dtype=f64), rtol=1e-6, atol=0)
    assert (found[4:] < 8).all()
    x, y = torch.rand(2, 3, 2, dtype=f64)
    torch.testing.assert_close(tori.revolution_distance(2.0, 1.0, x, y), surface.distance(x, y), rtol=1e-6, atol=0)
    sizes = torch.tensor([1.0, 2.0, 3.0], dtype=f64)
    across = tori.flat_torus_distance(sizes, torch.tensor([[-3.0, 3.0]], dtype=f64), torch.tensor([[3.0, -3.0]]))
    angle = torch.tensor([6.0 - 2 * pi, 2 * pi - 6.0], dtype=f64)
    torch.testing.assert_close(across, (angle * sizes[:2]).norm()[None])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_nothing_that_has_converged_is_further_than_a_percent_from_the_truth(certificate):
    """A hundred of the ten thousand problems of scripts/bench_certificate.py, from all families."""
    count = 0
    for name in certificate.FAMILIES:
        found = certificate.verdicts(name, 0.01, pairs=5, search=False)
        count += len(found.converged)
        wrong = found.converged & ~(found.solution <= certificate.PROMISE)
        assert not wrong.any(), (name, found.solution[wrong])
        assert name != "tori of circles" or (found.shortest[found.converged] <= certificate.PROMISE).all()
        assert found.converged.double().mean() >= (0.2 if name == "ReLU decoders" else 0.8), name
    assert count >= 100


@pytest.mark.slow
def test_codes_whose_chords_rounding_hides_on_finer_grids_alone_are_not_taken_as_close(certificate):
    """Two pairs across a ridge in float32, whose ends and middles are on flat land: the ridge is a fifth of the way."""
    whole = certificate.ridge(certificate.Draw(26_279, 20))
    a, b, exact = whole.start[[10, 15]], whole.end[[10, 15]], whole.exact[[10, 15]]
    assert (exact > 1.25 * (b - a).norm(dim=-1)).all()
    found = geodesic(whole.metric, a, b, whole.points)
    assert found.converged.any()
    assert ((found.length / exact - 1).abs()[found.converged] < certificate.PROMISE).all()


def ball(z):
    return (4 / (1 - (z * z).sum(-1)) ** 2)[:, None, None] * torch.eye(z.shape[-1], dtype=z.dtype)


def half_plane(z):
    return torch.eye(2, dtype=z.dtype) / z[:, 1, None, None] ** 2


def far_apart(model, apart):
    """Return a metric and a pair of codes at a distance in the hyperbolic plane."""
    gaussian = LatentSpace(nn.Identity(), Gaussian((1,)), StandardNormal(2)).eval()
    if model == "ball":
        r = torch.tanh(torch.tensor(apart / 4, dtype=f64))
        return MetricField(ball, 2), torch.stack([r, 0 * r])[None], torch.stack([-0.6 * r, 0.8 * r])[None]
    scale = 1 if model == "half-plane" else sqrt(2)
    x = 2 * sinh(apart / 2 / scale) * (sqrt(2) if model == "gaussian" else 1)
    y = 1.0 if model == "half-plane" else 0.0
    a, b = torch.tensor([[-x / 2, y]], dtype=f64), torch.tensor([[x / 2, y]], dtype=f64)
    made = {"half-plane": MetricField(half_plane, 2), "gaussian": immersion(gaussian)}
    return made.get(model, reference.hyperbolic().immersion), a, b


@pytest.mark.parametrize("model", ["ball", "half-plane", "hyperboloid", "gaussian"])
@pytest.mark.slow
def test_hyperbolic_distances_up_to_30(model):
    for apart in (12.0, 30.0):
        im, a, b = far_apart(model, apart)
        found = geodesic(im, a, b)
        exact = torch.tensor([apart], dtype=f64)
        if model == "ball":
            exact = torch.acosh(1 + 2 * (a - b).square().sum(-1) / (1 - (a * a).sum(-1)) / (1 - (b * b).sum(-1)))
        assert found.converged.all(), (apart, found.residual)
        torch.testing.assert_close(found.length, exact, rtol=3e-3, atol=0)


@pytest.mark.slow
def test_a_hyperboloid_by_itself_is_not_refused_for_rounding():
    """Coordinates of 10^8 whose squares cancel to 2: solved or not converged, each pair by itself, never refused."""
    im = Immersion(reference.hyperbolic().immersion.fn, 2, signature=[-1.0, 1.0, 1.0])
    for apart in (10.0, 12.0, 15.0, 20.0, 30.0):
        _, a, b = far_apart("hyperboloid", apart)
        near = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=f64)
        found = geodesic(im, torch.cat([a, near[:1]]), torch.cat([b, near[1:]]))
        exact = torch.stack([torch.tensor(apart, dtype=f64), reference.hyperbolic().distance(near[0], near[1])])
        assert (found.length >= 0).all()
        assert found.converged[1]
        assert found.converged[0] or apart > 20
        assert ((found.length / exact - 1).abs()[found.converged] < 3e-3).all()
    wrong = Immersion(lambda z: z * z.new_tensor([2.0, 1.0]), 2, signature=[-1.0, 1.0])
    with pytest.raises(ValueError, match="a signature that makes the metric positive definite"):
        metric(wrong, near)


def test_near_antipodes_lengths_are_right_and_say_so():
    """Within 1e-8 to 1e-2 of the antipode, in stereographic coordinates, from both kinds of metric."""
    surface = reference.sphere(1.0, 2)
    short = 10 ** torch.linspace(-8, -2, 7, dtype=f64)
    a = torch.tensor([[0.7, -0.2]], dtype=f64).expand(7, 2)
    x = torch.cat([2 * a, 1 - (a * a).sum(-1, keepdim=True)], -1) / (1 + (a * a).sum(-1, keepdim=True))
    side = nn.functional.normalize(torch.linalg.cross(x, torch.tensor([[0.3, 0.5, 0.2]], dtype=f64).expand(7, 3)))
    y = -x * short.cos()[:, None] + side * short.sin()[:, None]
    b = y[:, :-1] / (1 + y[:, -1:])
    for im in (surface.immersion, MetricField(surface.metric, 2)):
        found = geodesic(im, a, b)
        assert found.converged.all()
        torch.testing.assert_close(found.length, pi - short, rtol=5e-3, atol=0)


def test_near_antipodes_curves_are_turned_from_every_direction():
    """Ends 1e-5 from the antipode of one code, all about it: the valley of the energy is a thousand steps long."""
    surface, short = reference.sphere(1.0, 2), 1e-5
    turn = torch.arange(6, dtype=f64)[:, None] * pi / 3 + 0.2
    a = torch.tensor([[0.7, -0.2]], dtype=f64).expand(6, 2)
    x = torch.cat([2 * a, 1 - (a * a).sum(-1, keepdim=True)], -1) / (1 + (a * a).sum(-1, keepdim=True))
    side = nn.functional.normalize(torch.linalg.cross(x, torch.tensor([[0.3, 0.5, 0.2]], dtype=f64).expand(6, 3)))
    y = -x * cos(short) + (side * turn.cos() + torch.linalg.cross(x, side) * turn.sin()) * sin(short)
    found = geodesic(surface.immersion, a, y[:, :-1] / (1 + y[:, -1:]), 9)
    assert found.converged.all(), found.residual
    torch.testing.assert_close(found.length, torch.full((6,), pi - short, dtype=f64), rtol=2e-4, atol=0)


def test_newton_steps_turn_a_great_circle_about_the_axis_and_leave_piecewise_linear_maps_alone():
    """Half circles from (1, 0, 0) to an end 1e-3 from its antipode: one over the pole is turned down to the equator."""
    surface, angle = reference.sphere(1.0, 2), torch.linspace(0, pi - 1e-3, 17, dtype=f64)
    equator = torch.stack([angle.cos(), angle.sin()], -1)
    over_the_pole = torch.stack([angle.cos() / (1 + angle.sin()), 0 * angle], -1)
    over_the_pole[-1] = equator[-1]
    assert surface.distance(over_the_pole, equator).max() > 1.5
    curves, there = newton_curves(surface.immersion, over_the_pole[None], 100, 1e-4)
    assert there.all()
    assert surface.distance(curves[0, 1:-1], equator[1:-1]).max() < 1e-2
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 5)).double().requires_grad_(False)
    kinked = torch.randn(3, 9, 2, dtype=f64)
    curves, there = newton_curves(Immersion(net, 2), kinked, 100, 1e-4)
    assert not there.any()
    assert torch.equal(curves, kinked)


@pytest.mark.slow
def test_a_steep_point_far_from_a_large_code_admits_no_residual():
    """Slope and size are of one point: curves of the sphere that run off to 10^20 on the way have not converged."""
    surface = reference.sphere(1.0, 2)
    cases = [
        (17, [-2.7569778966334906, 1.8032685281699843], [0.7325578157898788, -5.003560443035592]),
        (9, [0.08324600378791831, -1.5224714536781874], [1.0630195868566774, 2.8441316218180708]),
        (5, [-5.519348594201896, -1.409310078826796], [2.416837489352572, 3.574932351211153]),
    ]
    for points, *ends in cases:
        a, b = (torch.tensor([z], dtype=f64) for z in ends)
        found = geodesic(surface.immersion, a, b, points)
        right = (found.length / surface.distance(a, b) - 1).abs() < 3e-3
        assert (right | ~found.converged).all()
        assert (found.speed_variation[found.converged] <= 0.05).all()
        assert (found.residual[found.converged] <= 0.1).all()
