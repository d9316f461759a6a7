"""Derivatives of geodesics, logarithms and transports against central differences and closed forms."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, vmap

from lsgen.geometry import (
    HessianMetric,
    Immersion,
    MetricField,
    distance,
    exp_map,
    geodesic,
    immersion,
    log_map,
    metric,
    parallel_transport,
    reference,
)
from lsgen.geometry.geodesics.boundary_value import solve_geodesics
from lsgen.geometry.geodesics.close_codes import Route
from lsgen.geometry.geodesics.search import Search
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import Gaussian

f64 = torch.float64
A = torch.tensor([[0.3, -0.2], [-0.5, 0.4]], dtype=f64)
B = torch.tensor([[-0.4, 0.5], [0.6, 0.1]], dtype=f64)
ENDS = torch.stack([A, B])


def softmax(z):
    return nn.functional.pad(z, (1, 0)).softmax(-1)


def network(outputs):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, outputs)).double().eval()


def scaled():
    return immersion(LatentSpace(network(6), Gaussian((3,)), StandardNormal(2)).double().eval())


BUMP = Immersion(lambda z: torch.cat([z, 2 * torch.exp(-4 * z.square().sum(-1, keepdim=True))], -1), 2)
METRICS = {
    "immersion": Immersion(lambda z: 2 * softmax(z).sqrt(), 2),
    "field": MetricField(lambda z: torch.diag_embed(p := softmax(z)[:, 1:]) - p[:, :, None] * p[:, None, :], 2),
    "hessian": HessianMetric(lambda z: nn.functional.pad(z, (1, 0)).logsumexp(-1), 2),
    "network": Immersion(network(5), 2),
    "scale": scaled(),
    "torus": reference.torus().immersion,
}
QUANTITIES = {
    "points": lambda im, a, b, **o: geodesic(im, a, b, **o).points,
    "length": lambda im, a, b, **o: geodesic(im, a, b, **o).length,
    "energy": lambda im, a, b, **o: geodesic(im, a, b, **o).energy,
    "log_map": log_map,
}


def derivatives(f, x):
    x = x.clone().requires_grad_()
    y = f(x).flatten()
    return torch.stack([torch.autograd.grad(v, x, retain_graph=True)[0].flatten() for v in y])


def agree(f, x, rtol=1e-7, h=1e-5):
    """Compare the derivative of a random combination of all values along a random direction."""
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(x.shape, dtype=x.dtype, generator=generator)
    far, near = f(x + h * u).flatten(), f(x - h * u).flatten()
    c = torch.randn(len(far), dtype=far.dtype, generator=generator)
    live = x.clone().requires_grad_()
    (found,) = torch.autograd.grad((c * f(live).flatten()).sum(), live)
    slopes = (far - near) / (2 * h)
    assert ((found * u).sum() - (c * slopes).sum()).abs() < rtol * slopes.norm()
    assert slopes.norm() > 0.1


def all_of(im, x, points):
    found = geodesic(im, *x, points, tol=1e-10)
    parts = found.points / points, found.length, found.energy, log_map(im, *x, points, tol=1e-10)
    return torch.cat([part.flatten() for part in parts])


@pytest.mark.parametrize("kind", METRICS)
@pytest.mark.slow
def test_derivatives_by_the_ends_are_central_differences(kind):
    agree(lambda x: all_of(METRICS[kind], x, 9), ENDS)


@pytest.mark.slow
def test_derivatives_by_the_weights_are_central_differences():
    net = network(5)
    weights = {key: w.detach() for key, w in net.named_parameters()}

    def value(w):
        im = Immersion(lambda z: functional_call(net, weights | {"0.weight": w}, (z,)), 2)
        return all_of(im, ENDS, 7)

    agree(value, weights["0.weight"])
    w = weights["0.weight"].clone().requires_grad_()
    (expected,) = torch.autograd.grad(value(w).sum(), w)
    torch.testing.assert_close(grad(lambda w: value(w).sum())(weights["0.weight"]), expected)


@pytest.mark.slow
def test_curves_that_a_finer_grid_tells_have_its_derivatives():
    """Both lead past a hill that 4 segments leap over: points are every second or fourth of those of 8 or 16."""
    ends = torch.tensor([[[-1.0, -0.9]], [[1.0, 0.8]]], dtype=f64)
    assert not geodesic(BUMP, *ends, 5, refinements=0).converged.any()
    agree(lambda x: all_of(BUMP, x, 5), ends, 1e-6)
    a, b = ends
    found = derivatives(lambda x: distance(BUMP, *x, 9), ends)[0]
    v, w = (log_map(BUMP, x, y, 65) for x, y in ((a, b), (b, a)))
    exact = torch.cat([-(metric(BUMP, x) @ u[..., None])[..., 0] / distance(BUMP, a, b) for x, u in ((a, v), (b, w))])
    torch.testing.assert_close(found, exact.flatten(), rtol=2e-2, atol=2e-2)


def test_the_logarithm_on_the_sphere_has_the_derivative_of_its_closed_form():
    """log_a(b) = theta / sin(theta) (b - cos(theta) a), in the plane by the inverse of the differential."""
    surface = reference.sphere().immersion

    def closed(x):
        p, q = surface.fn(x[0]), surface.fn(x[1])
        cosine = (p * q).sum(-1, keepdim=True)
        v = torch.acos(cosine) / (1 - cosine**2).sqrt() * (q - cosine * p)
        j = vmap(jacfwd(lambda z: surface.fn(z[None])[0]))(x[0])
        return torch.linalg.solve(j.mT @ j, (j.mT @ v[..., None]))[..., 0]

    expected = jacrev(closed)(ENDS).flatten(0, 1).flatten(1)
    found = derivatives(lambda x: log_map(surface, *x, 33, tol=1e-9), ENDS)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)
    field = MetricField(reference.sphere().metric, 2)
    torch.testing.assert_close(
        derivatives(lambda x: log_map(field, *x, 33, tol=1e-9), ENDS), expected, rtol=0, atol=2e-5
    )


def test_in_flat_space_points_and_logarithms_are_linear():
    im = Immersion(lambda z: z @ torch.tensor([[1.0, 2.0, 0.5], [0.0, 1.0, -1.0]], dtype=f64), 2)
    t = torch.linspace(0, 1, 5, dtype=f64)
    found = derivatives(lambda x: geodesic(im, *x, points=5).points[0], ENDS).reshape(5, 2, 2, 2, 2)
    expected = torch.einsum(
        "kn,ij,b->nikbj", torch.stack([1 - t, t]), torch.eye(2, dtype=f64), torch.tensor([1.0, 0.0], dtype=f64)
    )
    torch.testing.assert_close(found, expected)
    found = derivatives(lambda x: log_map(im, *x, points=5)[0], ENDS).reshape(2, 2, 2, 2)[:, :, 0]
    eye = torch.eye(2, dtype=f64)
    torch.testing.assert_close(found, torch.stack([-eye, eye], 1))


@pytest.mark.parametrize(("offset", "apart", "route"), [(0.0, 1e-4, Route.SERIES), (300.0, 3e-2, Route.DOUBLE)])
def test_close_codes_in_float32_have_derivatives_by_the_route_that_found_them(offset, apart, route):
    im = Immersion(lambda z: torch.cat([z, 2 * torch.sin(z) + 50], -1), 2)
    ends = torch.stack([A + offset, A + offset + apart * B]).float()
    assert solve_geodesics(im, *ends, 9, Search())[1].tolist() == [route, route]
    for name in ("points", "log_map"):
        found = derivatives(lambda x, name=name: QUANTITIES[name](im, *x, points=9), ends)
        exact = derivatives(lambda x, name=name: QUANTITIES[name](im, *x, points=9, tol=1e-9), ends.double())
        torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_float32_is_accurate_to_a_few_thousandths_where_chords_are_measured():
    for kind in ("immersion", "network", "torus"):
        im = METRICS[kind] if kind != "network" else Immersion(network(5).float(), 2)
        wide = METRICS[kind]
        found = derivatives(lambda x, im=im: log_map(im, *x, 17), ENDS.float())
        exact = derivatives(lambda x, wide=wide: log_map(wide, *x, 17, tol=1e-9), ENDS)
        assert (found.double() - exact).abs().max() < 3e-3 * exact.abs().max()


@pytest.mark.slow
def test_equal_codes_move_apart_linearly():
    eye = torch.eye(2, dtype=f64)
    for im in METRICS.values():
        found = derivatives(lambda x, im=im: log_map(im, *x, 9), torch.stack([A, A])[:, :1]).reshape(2, 2, 2)
        torch.testing.assert_close(found, torch.stack([-eye, eye], 1))
        assert (derivatives(lambda x, im=im: geodesic(im, *x, 9).length, torch.stack([A, A])) == 0).all()


def test_a_curve_that_did_not_converge_has_no_derivative_and_spoils_no_other():
    torn = Immersion(lambda z: torch.cat([z, 1 / z[:, :1]], -1), 2)
    a = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=f64, requires_grad=True)
    b = torch.tensor([[2.0, 1.0], [1.0, 0.3]], dtype=f64)
    found = geodesic(torn, a, b, 9)
    assert found.converged.tolist() == [True, False]
    for part in (found.points.sum((1, 2)), found.length, found.energy):
        assert torch.autograd.grad(part.sum(), a, retain_graph=True)[0].isnan().any(-1).tolist() == [False, True]
        kept = torch.autograd.grad(part[found.converged].sum(), a, retain_graph=True)[0]
        assert kept.isfinite().all()
        assert kept[0].abs().sum() > 0
    v = log_map(torn, a, b, 9)
    assert torch.autograd.grad(v.nan_to_num().sum(), a)[0].isfinite().all()


def test_conjugate_ends_have_no_derivative():
    """Between antipodes of the equator all meridians are geodesics."""
    im = reference.sphere().immersion
    x = torch.tensor([[-1.0, 0.0]], dtype=f64), torch.tensor([[1.0, 0.0]], dtype=f64, requires_grad=True)
    found = geodesic(im, *x, 33)
    assert found.converged.all()
    assert torch.autograd.grad(found.points[0, 16].sum(), x[1], retain_graph=True)[0].isnan().all()
    assert torch.autograd.grad(found.energy.sum(), x[1])[0].isfinite().all()


def test_a_saddle_has_derivatives_too():
    """Across the top of a hill the geodesic is no minimum, and H indefinite; a rotation of the ends rotates it."""
    ends = torch.tensor([[[-1.2, 0.0]], [[1.2, 0.0]]], dtype=f64)
    hill = Immersion(lambda z: torch.cat([z, 1.5 * torch.exp(-z.square().sum(-1, keepdim=True))], -1), 2)
    points = geodesic(hill, *ends, 17, tol=1e-11).points
    assert (points[..., 1] == 0).all()
    found = derivatives(lambda x: geodesic(hill, *x, 17, tol=1e-11).points, ends).view(17, 2, 2, 2)
    turned = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=f64)
    torch.testing.assert_close(torch.einsum("kibj,bj->ki", found, (ends @ turned)[:, 0]), points[0] @ turned)


@pytest.mark.slow
def test_transforms_by_the_ends_agree_and_batches_and_second_derivatives_are_refused():
    im = METRICS["network"]
    for name in ("log_map", "points"):

        def value(x, name=name):
            return QUANTITIES[name](im, *x, points=9).square().sum()

        x = ENDS.clone().requires_grad_()
        (expected,) = torch.autograd.grad(value(x), x)
        for transform in (grad, jacrev, jacfwd):
            torch.testing.assert_close(transform(value)(ENDS), expected)
        with pytest.raises(NotImplementedError, match="expected first derivatives of a geodesic"):
            hessian(value)(ENDS)
        (slope,) = torch.autograd.grad(value(x), x, create_graph=True)
        with pytest.raises(NotImplementedError, match="expected first derivatives of a geodesic"):
            torch.autograd.grad(slope.sum(), x)
        with pytest.raises(ValueError, match=r"expected codes in one batch \(B, d\)"):
            vmap(value)(ENDS[None])
    torch.testing.assert_close(
        grad(lambda x: distance(im, *x).sum())(ENDS),
        derivatives(lambda x: distance(im, *x).sum()[None], ENDS)[0].view(2, 2, 2),
    )
    with pytest.raises(NotImplementedError, match="expected first derivatives"):
        hessian(lambda x: distance(im, *x).sum())(ENDS)


def test_nothing_is_followed_where_nothing_asks_for_it():
    net = network(5)
    im = Immersion(net, 2)
    assert geodesic(im, A, B, 9).points.requires_grad
    with torch.no_grad():
        assert not geodesic(im, A, B, 9).points.requires_grad
        assert not log_map(im, A, B, 9).requires_grad
    net.requires_grad_(False)
    assert not geodesic(im, A, B, 9).points.requires_grad
    assert not log_map(im, A, B, 9).requires_grad
    with torch.inference_mode():
        assert geodesic(im, A, B, 9).converged.all()


@pytest.mark.slow
def test_transport_along_a_geodesic_and_the_exponential_map_follow_their_ends():
    """The derivative of exp_a(log_a(b)) by b is the identity and by a is zero; transport keeps log_a(b) tangent."""
    im = METRICS["torus"]
    ends = ENDS[:, :1]
    found = derivatives(lambda x: exp_map(im, x[0], log_map(im, *x, 33, tol=1e-9), tol=1e-8).point, ends)
    expected = torch.cat([torch.zeros(2, 2, dtype=f64), torch.eye(2, dtype=f64)], 1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    agree(lambda x: parallel_transport(im, geodesic(im, *x, 9, tol=1e-10).points, A)[:, -1], ENDS)
    agree(lambda x: exp_map(im, *x, tol=1e-6).point, ENDS, 1e-4)
    agree(lambda x: exp_map(im, *x, method="symplectic", steps=4).point, ENDS, 1e-5)


@pytest.mark.slow
def test_several_starts_differentiate_the_shortest():
    generator = torch.Generator().manual_seed(0)
    b = derivatives(lambda x: geodesic(BUMP, *x, 9, starts=3, generator=generator, tol=1e-9).points, ENDS)
    torch.testing.assert_close(
        b, derivatives(lambda x: geodesic(BUMP, *x, 9, tol=1e-9).points, ENDS), rtol=1e-4, atol=1e-4
    )
