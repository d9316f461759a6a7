"""The logarithmic map is the inverse of the exponential map, to fourth order in the number of segments."""

import math

import pytest
import torch

from lsgen.geometry import Immersion, MetricField, exp_map, geodesic, log_map, reference
from lsgen.geometry.geodesics.relaxation import relaxed
from lsgen.geometry.metric_tensor import metric

f64 = torch.float64
SURFACES = {name: getattr(reference, name)() for name in ("sphere", "torus", "hyperbolic")}
ROUTES = {"immersion": lambda surface: surface.immersion, "metric": lambda s: MetricField(s.metric, s.immersion.dim)}


def cases():
    """Return codes, velocities of lengths up to 1.3, and the routes to each surface."""
    z = torch.tensor([[-0.5, 0.1], [0.3, 0.5], [0.2, -0.4], [0.4, 0.2]], dtype=f64)
    v = torch.tensor([[1.0, 0.3], [-0.4, 1.0], [0.7, -0.6], [0.1, 0.9]], dtype=f64)
    return z, v


def aimed(im):
    """Return codes, and unit vectors there times 1, 1.1, 1.2 and 1.3."""
    z, v = cases()
    size = torch.einsum("ni,nij,nj->n", v, metric(im, z), v).sqrt()
    return z, v * (torch.tensor([1.0, 1.1, 1.2, 1.3], dtype=f64) / size)[:, None]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", SURFACES)
@pytest.mark.slow
def test_it_inverts_the_exponential_map_to_fourth_order(name, route):
    """log_a(exp_a(v)) = v and exp_a(log_a(b)) = b, both by the slope between 8 and 32 segments."""
    im = ROUTES[route](SURFACES[name])
    z, v = aimed(im)
    end = exp_map(im, z, v, tol=1e-11).point
    found = torch.stack([log_map(im, z, end, n + 1, tol=1e-9) for n in (8, 32)])
    closed = exp_map(im, z.expand_as(found), found, tol=1e-11).point
    for errors in (found - v, closed - end):
        coarse, fine = errors.norm(dim=-1).amax(-1).tolist()
        assert fine < 5e-6
        assert math.log(coarse / fine, 4) > 3.7


@pytest.mark.parametrize("points", [3, 4, 6, 34])
def test_any_number_of_points(points):
    """Odd numbers of segments have no middle point, two and three only the chord beside them."""
    im = SURFACES["torus"].immersion
    z, v = aimed(im)
    end = exp_map(im, z, v, tol=1e-10).point
    found = log_map(im, z, end, points, tol=1e-9)
    assert ((found - v).norm(dim=-1) / v.norm(dim=-1)).max() < 3 / (points - 1) ** 4


def test_the_default_tolerance_leaves_less_than_what_the_second_order_direction_erred_by():
    im = MetricField(SURFACES["sphere"].metric, 2)
    z, v = aimed(im)
    end = exp_map(im, z, v, tol=1e-10).point
    assert (log_map(im, z, end) - v).norm(dim=-1).max() < 1e-5


def test_where_half_the_segments_lead_elsewhere_the_curve_alone_tells(monkeypatch):
    """A coarse curve that starts in another direction, or that did not converge, is left out, for its pair alone."""
    im = SURFACES["torus"].immersion
    z, v = aimed(im)
    end = exp_map(im, z, v, tol=1e-10).point
    clean = log_map(im, z, end, 17)

    def spoiled(*args):
        found = relaxed(*args)
        assert found.points.shape[1] == 9
        found.points[0, 1] += 0.3
        found.points[1, 1] += 1e-3
        found.residual[1] = 1.0
        return found

    monkeypatch.setattr("lsgen.geometry.geodesics.logarithm.relaxed", spoiled)
    found = log_map(im, z, end, 17)
    torch.testing.assert_close(found[2:], clean[2:], rtol=0, atol=0)
    apart = (found - clean).norm(dim=-1)[:2] / clean.norm(dim=-1)[:2]
    assert (apart > 1e-6).all()
    assert (apart < 1e-3).all()
    length = torch.einsum("ni,nij,nj->n", found, metric(im, z), found).sqrt()
    torch.testing.assert_close(length, geodesic(im, z, end, 17).length)


def test_a_pair_without_a_geodesic_is_nan_alone_and_a_point_has_no_velocity():
    torn = Immersion(lambda z: torch.cat([z, 1 / z[:, :1]], -1), 2)
    a = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 1.0]], dtype=f64)
    b = torch.tensor([[2.0, 1.0], [1.0, 0.3], [1.0, 1.0]], dtype=f64)
    found = log_map(torn, a, b)
    assert found.isnan().any(-1).tolist() == [False, True, False]
    assert (found[2] == 0).all()
    assert log_map(torn, a[:0], b[:0]).shape == (0, 2)
    torch.testing.assert_close(log_map(torn, a[:1, None], b[:1, None])[0, 0], found[0])


def test_a_curve_that_cannot_go_on_costs_the_others_nothing():
    """Where the metric is lost, steps shrink until they are lost to rounding, of that curve alone."""
    points = 0

    def fn(z: torch.Tensor) -> torch.Tensor:
        nonlocal points
        points += len(z) if float(z.detach().sum()) < 99 else 0  # decides by a value: called for every derivative
        r = torch.relu(z[:, :1] + 5)
        return torch.eye(2, dtype=z.dtype) * (r * z.sin()).square().sum(-1)[:, None, None]

    im = MetricField(fn, 2)
    z = torch.tensor([[0.3, -0.2], [1.0, 0.4], [-6.0, 0.1]], dtype=torch.float64)
    v = torch.tensor([[0.1, 0.2], [-0.2, 0.1], [0.1, 0.0]], dtype=torch.float64)
    alone = exp_map(im, z[:2], v[:2], tol=1e-4)
    of_two, points = points, 0
    found = exp_map(im, z, v, tol=1e-4)
    assert points < 2 * of_two
    assert found.converged.tolist() == [True, True, False]
    torch.testing.assert_close(found.point[:2], alone.point, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found.velocity[:2], alone.velocity, rtol=1e-9, atol=1e-9)
