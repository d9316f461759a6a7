"""Geodesic and Frechet regression against least squares where space is flat, and planted geodesics where it is not."""

import pytest
import torch

from lsgen.geometry import HessianMetric, Immersion, MetricField, distance, exp_map, metric, reference
from lsgen.geometry.statistics import frechet_mean, frechet_regression, geodesic_regression

f64 = torch.float64
x = torch.tensor([-1.0, -0.6, -0.1, 0.2, 0.7, 1.1, 1.5, 0.4], dtype=f64)


def noise(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=f64)


def least_squares(table, y):
    design = torch.cat([torch.ones(len(table), 1, dtype=f64), table], 1)
    return torch.linalg.lstsq(design, y).solution


def flat_members():
    """The same flat metric by each type: g = W W^T."""
    matrix = noise(0, 2, 4)
    g = matrix @ matrix.T
    return {
        "immersion": Immersion(lambda z: z @ matrix, 2),
        "field": MetricField(lambda z: g.to(z).expand(len(z), 2, 2), 2),
        "hessian": HessianMetric(lambda z: torch.einsum("ni,ij,nj->n", z, g.to(z), z) / 2, 2),
    }


@pytest.mark.parametrize("kind", ["immersion", "field", "hessian"])
def test_in_flat_space_both_are_least_squares(kind):
    im, table = flat_members()[kind], noise(1, 9, 2)
    y = table @ noise(2, 2, 2) + 0.3 * noise(3, 9, 2)
    found = geodesic_regression(im, table, y, points=3)
    exact = least_squares(table, y)
    assert found.converged
    torch.testing.assert_close(found.velocities, exact[1:], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(found.base, exact[0] + found.centre @ exact[1:], rtol=1e-6, atol=1e-7)
    at = noise(4, 3, 2)
    other = frechet_regression(im, table, y, at, points=3, tol=1e-7)
    assert other.converged.all()
    torch.testing.assert_close(other.points, exact[0] + at @ exact[1:], rtol=1e-6, atol=1e-6)


def test_share_explained_in_flat_space():
    y = torch.stack([2 * x + 0.4 * noise(1, 8), noise(2, 8)], -1)
    found = geodesic_regression(Immersion(lambda z: z, 2), x, y, points=3)
    left = y - least_squares(x[:, None], y)[0] - x[:, None] * least_squares(x[:, None], y)[1]
    assert found.r_squared == pytest.approx(1 - float(left.square().sum() / (y - y.mean(0)).square().sum()), abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sphere", "hyperbolic"])
def test_planted_geodesics_are_found(name):
    """Codes on a geodesic: base and velocity come back, R^2 = 1, and the end of a long one is right."""
    surface = reference.sphere() if name == "sphere" else reference.hyperbolic()
    base, v = torch.tensor([0.1, -0.2], dtype=f64), torch.tensor([0.5, 0.35], dtype=f64)
    y = exp_map(surface.immersion, base.expand(8, 2), (x - x.mean())[:, None] * v).point
    found = geodesic_regression(surface.immersion, x, y, points=9, tol=1e-5, permutations=39)
    assert found.converged
    torch.testing.assert_close(found.base, base, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.velocities[0], v, rtol=0, atol=1e-4)
    assert found.r_squared == pytest.approx(1, abs=1e-6)
    assert found.p_value == 1 / 40
    assert (surface.distance(found.fitted, y) < 1e-3).all()


@pytest.mark.slow
def test_scattered_codes_are_fitted_best():
    """No base and velocity nearby has a smaller sum of squares, by the closed-form distance of the sphere."""
    surface = reference.sphere()
    base, v = torch.tensor([0.1, -0.2], dtype=f64), torch.tensor([0.5, 0.35], dtype=f64)
    line = exp_map(surface.immersion, base.expand(8, 2), (x - x.mean())[:, None] * v).point
    y = line + 0.15 * noise(5, 8, 2)
    found = geodesic_regression(surface.immersion, x, y, points=9, tol=1e-4)

    def total(p, u):
        fitted = exp_map(surface.immersion, p[:, None].expand(-1, 8, 2), (x - x.mean())[:, None] * u[:, None]).point
        return surface.distance(fitted, y.expand_as(fitted)).square().sum(-1)

    least = total(found.base[None], found.velocities)
    assert found.converged
    near = 1e-2 * noise(6, 6, 4)
    assert (total(found.base + near[:, :2], found.velocities + near[:, 2:]) > least).all()
    mean = frechet_mean(surface.immersion, y, tol=1e-6)
    assert found.r_squared == pytest.approx(1 - float(least / (8 * mean.variance)), abs=1e-4)


@pytest.mark.slow
def test_the_permutation_test_has_its_level_and_power():
    """Of y that does not depend on x p <= 0.2 in about a fifth of the trials; of y that does it is the least."""
    flat, small = Immersion(lambda z: z, 2), 0
    source = torch.Generator().manual_seed(0)
    for trial in range(24):
        found = geodesic_regression(flat, x, noise(trial, 8, 2), points=3, permutations=19, generator=source)
        small += found.p_value <= 0.2
    assert 1 <= small <= 11  # binomial(24, 0.2): outside with probability 0.007
    y = torch.stack([x, -x], -1) + 0.1 * noise(9, 8, 2)
    assert geodesic_regression(flat, x, y, points=3, permutations=99, generator=source).p_value == 0.01


def test_frechet_regression_on_a_great_circle():
    """Codes on a meridian stay there: the angle is the line of least squares, outside the data too."""
    surface, way = reference.sphere(), torch.tensor([0.6, 0.8], dtype=f64)
    angle = 0.4 * x + 0.1 * noise(1, 8)
    y, at = torch.tan(angle / 2)[:, None] * way, torch.tensor([-1.4, 0.3, 2.0], dtype=f64)
    found = frechet_regression(surface.immersion, x, y, at, points=9, tol=1e-4)
    line = least_squares(x[:, None], angle[:, None])
    assert (found.weights < 0).any()
    torch.testing.assert_close(found.weights.sum(-1), torch.ones(3, dtype=f64))
    exact = torch.tan((line[0] + at * line[1]) / 2)[:, None] * way
    torch.testing.assert_close(found.points, exact, rtol=0, atol=2e-3)


@pytest.mark.slow
def test_frechet_regression_minimises_under_negative_weights():
    surface, y = reference.hyperbolic(), 0.6 * noise(2, 8, 2)
    at = torch.tensor([1.3, -0.9], dtype=f64)
    found = frechet_regression(surface.immersion, x, y, at, points=9, tol=1e-4)
    assert found.converged.all()

    def total(z):
        return (found.weights * surface.distance(z[..., None, :], y).square()).sum(-1)

    assert (total(found.points + 0.02 * noise(3, 40, 1, 2)) > total(found.points)).all()


@pytest.mark.slow
def test_failure_is_nan():
    torn = Immersion(lambda z: torch.cat([z, 1 / z[:, :1]], -1), 2)
    y = torch.tensor([[1.0, 0.0], [-2.0, 0.3], [1.5, 0.1], [-1.0, 0.2]], dtype=f64)
    found = geodesic_regression(torn, x[:4], y, points=9, geodesic_options={"max_iterations": 5})
    assert not found.converged
    assert found.base.isnan().all()
    other = frechet_regression(torn, x[:4], y, x[:2], points=9, geodesic_options={"max_iterations": 5})
    assert not other.converged.any()
    assert other.points.isnan().all()


def test_refusals():
    flat, y = Immersion(lambda z: z, 2), torch.randn(4, 2)
    with pytest.raises(ValueError, match="expected variables that vary and are not linearly dependent"):
        geodesic_regression(flat, torch.ones(4), y)
    with pytest.raises(
        ValueError,
        match=r"expected real variables \(4,\) or \(4, K\), one row .* \(3,\)",
    ):
        geodesic_regression(flat, torch.ones(3), y)
    with pytest.raises(ValueError, match="expected at least 5 codes for 3 variables, got 4"):
        geodesic_regression(flat, torch.randn(4, 3), y)
    assert frechet_regression(flat, torch.randn(4), y, torch.ones(0)).points.shape == (0, 2)
    with pytest.raises(ValueError, match=r"expected finite places \(Q,\), got \(2, 1\)"):
        frechet_regression(flat, torch.randn(4), y, torch.ones(2, 1))


def test_single_precision_and_one_dimension():
    line = MetricField(lambda z: (1 + z.square())[:, None], 1)
    y = torch.linspace(-1, 1, 6)[:, None]
    found = geodesic_regression(line, torch.arange(6.0), y, points=9)

    def arc(z):
        return (z * (1 + z * z).sqrt() + torch.asinh(z)) / 2

    fit = least_squares(torch.arange(6, dtype=f64)[:, None], arc(y.double()))
    torch.testing.assert_close(
        arc(found.fitted.double()), fit[0] + torch.arange(6)[:, None] * fit[1], rtol=0, atol=1e-3
    )
    assert found.base.dtype == torch.float32
    size = metric(line, found.base)[0, 0].sqrt() * found.velocities[0, 0]
    torch.testing.assert_close(size.double(), fit[1, 0], rtol=1e-3, atol=0)
    assert distance(line, y[:1], y[-1:]).item() == pytest.approx(float(2 * arc(torch.tensor(1.0))), rel=1e-3)
