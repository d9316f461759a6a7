"""Exact principal geodesics against principal components, planted geodesics, and a scan of all directions."""

import pytest
import torch

from lsgen.geometry import Immersion, exp_map, metric, reference
from lsgen.geometry.statistics import exact_principal_geodesics, principal_geodesics

f64 = torch.float64


def test_in_flat_space_they_are_the_principal_components_of_the_image():
    matrix = torch.randn(3, 5, dtype=f64)
    im = Immersion(lambda z: z @ matrix, 3)
    codes = torch.randn(12, 3, dtype=f64) * torch.tensor([3.0, 1.0, 0.3], dtype=f64)
    found = exact_principal_geodesics(im, codes, 3, points=3, tol=1e-6)
    image = codes @ matrix - (codes @ matrix).mean(0)
    _, singular, axes = torch.linalg.svd(image, full_matrices=False)
    share = singular[:3] ** 2 / 12
    assert found.converged
    torch.testing.assert_close(found.residuals, share.sum() - share.cumsum(0), rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(found.explained, share / share.sum(), rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(
        ((found.directions @ matrix) * axes[:3]).sum(-1).abs(), torch.ones(3, dtype=f64), rtol=1e-6, atol=0
    )
    torch.testing.assert_close(found.nearest, codes, rtol=0, atol=1e-6)


def in_polar(radius, angle):
    """Return codes at distances from the origin of the stereographic chart of the unit sphere."""
    return torch.tan(radius / 2)[:, None] * torch.stack([angle.cos(), angle.sin()], -1)


def planted():
    """Return codes far out at 30 degrees from the first axis, nearer ones on the second, symmetric about both."""
    radius = torch.tensor([1.45] * 4 + [0.8] * 6, dtype=f64)
    turn = torch.tensor([30.0, 150.0, 210.0, 330.0] + [90.0, 270.0] * 3, dtype=f64) * torch.pi / 180
    return radius, turn


def closest_by_scan(radius, turn, steps=3600):
    """Return the sum of squared distances to the great circles through the origin, at each angle: closed form."""
    angle = torch.pi * torch.arange(steps, dtype=f64) / steps
    off = torch.asin(radius.sin() * (turn - angle[:, None]).sin())
    return angle, off.square().sum(-1)


@pytest.mark.slow
def test_where_tangent_principal_components_are_wrong():
    """Far out great circles draw together: the tangent space overrates what is far, and picks the other axis."""
    radius, turn = planted()
    angle, total = closest_by_scan(radius, turn)
    best = angle[total.argmin()]
    codes, im = in_polar(radius, turn), reference.sphere().immersion
    tangent = principal_geodesics(im, codes, 1, points=9)
    exact = exact_principal_geodesics(im, codes, 2, points=9, tol=1e-4)
    assert exact.converged
    assert exact.residuals[1] < 1e-6
    g = metric(im, exact.mean)
    torch.testing.assert_close(exact.directions @ g @ exact.directions.T, torch.eye(2, dtype=f64), rtol=0, atol=1e-8)
    along = exact.directions[0] / exact.directions[0].norm()
    toward = tangent.directions[0] / tangent.directions[0].norm()
    assert (along @ torch.stack([best.cos(), best.sin()])).abs() > 0.9999
    assert (toward @ along).abs() < 0.1
    assert float(exact.residuals[0]) == pytest.approx(float(total.min()) / 10, rel=1e-4)


@pytest.mark.slow
def test_hyperbolic_codes_agree_with_closed_forms():
    """sinh(d / s) = sinh(r / s) sin(angle) for curvature -1/s^2, s^2 = 2."""
    surface, s = reference.hyperbolic(), 2**0.5
    source = torch.Generator().manual_seed(5)
    radius = 0.5 + 1.0 * torch.rand(3, generator=source, dtype=f64)
    turn = 0.4 + 0.25 * torch.randn(3, generator=source, dtype=f64)
    radius, turn = torch.cat([radius, radius]), torch.cat([turn, turn + torch.pi])
    v = (radius / s)[:, None] * torch.stack([turn.cos(), turn.sin()], -1)  # g = 2 at the origin
    codes = exp_map(surface.immersion, torch.zeros(6, 2, dtype=f64), v).point
    angle = torch.pi * torch.arange(3600, dtype=f64) / 3600
    off = s * torch.asinh((radius / s).sinh() * (turn - angle[:, None]).sin())
    found = exact_principal_geodesics(surface.immersion, codes, 1, tol=1e-3, points=9)
    assert found.converged
    assert float(found.residuals[0]) == pytest.approx(float(off.square().sum(-1).min()) / 6, rel=1e-3)
    assert (surface.distance(found.nearest, codes).square().mean() - found.residuals[0]).abs() < 1e-4


@pytest.mark.slow
def test_failure_and_refusals():
    torn = Immersion(lambda z: torch.cat([z, 1 / z[:, :1]], -1), 2)
    codes = torch.tensor([[1.0, 0.0], [-2.0, 0.3], [-1.0, 0.1]], dtype=f64)
    apart = exact_principal_geodesics(torn, codes, points=9, geodesic_options={"max_iterations": 5})
    assert not apart.converged
    assert apart.residuals.isnan().all()
    with pytest.raises(ValueError, match="expected a number of geodesics from 1 to 2, got 3"):
        exact_principal_geodesics(Immersion(lambda z: z, 2), torch.randn(4, 2), 3)
