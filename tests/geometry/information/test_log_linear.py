"""Log-linear families in closed form: against automatic differentiation, the sphere of distributions, moments."""

import pytest
import torch
from torch import nn

from lsgen.geometry import (
    HessianMetric,
    Immersion,
    christoffel,
    curve_length,
    geodesic,
    immersion,
    metric,
    ricci,
    riemann,
    scalar_curvature,
    sectional_curvature,
)
from lsgen.geometry.information import LogPartitionPotential, affine_logits, fisher_metric, log_linear_metric
from lsgen.latent import Euclidean, HypersphericalUniform, LatentSpace, StandardNormal, paths
from lsgen.likelihoods import Bernoulli, Categorical

REAL = torch.float64
V, D = 9, 4


def _space(outcomes: int = V, dim: int = D) -> LatentSpace:
    torch.manual_seed(0)
    decoder = nn.Linear(dim, outcomes)
    return LatentSpace(decoder, Categorical((1,), outcomes, outcomes - 1), StandardNormal(dim)).double().eval()


@pytest.fixture(scope="module")
def codes() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(5, D, dtype=REAL)


@pytest.mark.parametrize("quantity", [metric, christoffel, riemann, ricci, scalar_curvature], ids=lambda f: f.__name__)
def test_closed_forms_are_those_of_the_potential_and_of_the_embedding(quantity, codes) -> None:
    space = _space()
    closed = log_linear_metric(space)
    weight, bias = space.decoder.weight.detach(), space.decoder.bias.detach()
    by_jets = HessianMetric(lambda z: (z @ weight.T + bias).logsumexp(-1), D)
    found = quantity(closed, codes)
    torch.testing.assert_close(found, quantity(by_jets, codes), rtol=1e-9, atol=1e-11)
    with torch.no_grad():
        torch.testing.assert_close(found, quantity(immersion(space), codes), rtol=1e-9, atol=1e-11)


def test_metric_and_connection_are_moments_of_the_outcomes(codes) -> None:
    space = _space()
    u, p = space.decoder.weight.detach(), space.raw(codes).softmax(-1).detach()
    w = u - (p @ u)[:, None]
    im = log_linear_metric(space)
    torch.testing.assert_close(metric(im, codes), torch.einsum("nc,nci,ncj->nij", p, w, w))
    third = torch.einsum("nc,nci,ncj,nck->nijk", p, w, w, w) / 2
    lower = torch.einsum("nlk,nkij->nlij", metric(im, codes), christoffel(im, codes))
    torch.testing.assert_close(lower, third)
    torch.testing.assert_close(im.dual(codes), p @ u)


@pytest.mark.parametrize("dim", [3, 40])
def test_all_distributions_of_outcomes_are_a_sphere_of_radius_two(dim: int) -> None:
    """Curvature 1/4, by all products and, of 40 dimensions, in an orthonormal frame tile by tile."""
    im = HessianMetric(LogPartitionPotential(torch.eye(dim + 1, dim, dtype=REAL)), dim, definite=True)
    z = torch.randn(2, dim, dtype=REAL) / 2
    torch.testing.assert_close(scalar_curvature(im, z), torch.full((2,), dim * (dim - 1) / 4, dtype=REAL))
    u, v = torch.randn(2, 2, dim, dtype=REAL)
    torch.testing.assert_close(sectional_curvature(im, z, u, v), torch.full((2,), 0.25, dtype=REAL))


def test_curvature_that_rounding_has_destroyed_is_none() -> None:
    """The curvature of all distributions of 3 outcomes is 1/2, however rare two of them are."""
    im = HessianMetric(LogPartitionPotential(torch.eye(3, 2, dtype=REAL)), 2, definite=True)
    s = torch.arange(1.0, 100.0, dtype=REAL)
    found = scalar_curvature(im, torch.stack([-s, -1.3 * s], 1))
    known = found.isfinite()
    torch.testing.assert_close(found[known], torch.full_like(found[known], 0.5), rtol=0.01, atol=0)
    assert bool(known[s < 10].all())
    assert not bool(known[s > 40].any())  # probabilities below 1e-17


def test_geodesics_of_all_distributions_are_great_circles() -> None:
    im = HessianMetric(LogPartitionPotential(torch.eye(4, 3, dtype=REAL)), 3, definite=True)
    a, b = torch.randn(2, 3, 3, dtype=REAL)
    p, q = (torch.cat([z, z.new_zeros(3, 1)], 1).softmax(-1) for z in (a, b))
    expected = 2 * (p * q).sqrt().sum(-1).acos()
    found = geodesic(im, a, b, 33)
    assert bool(found.converged.all())
    torch.testing.assert_close(found.length, expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(im.lower_bound(a, b), expected)
    assert bool((curve_length(im, paths.linear(a, b, 65)) >= expected - 1e-6).all())


def test_planes_have_the_metric_that_the_space_has_on_them(codes) -> None:
    im, basis = log_linear_metric(_space()), torch.randn(2, D, dtype=REAL)
    plane = im.restrict(codes[0], basis)
    a = torch.randn(3, 2, dtype=REAL)
    expected = basis @ metric(im, codes[0] + a @ basis) @ basis.T
    torch.testing.assert_close(metric(plane, a), expected)
    by_jets = HessianMetric(lambda z: im.potential(z), D).restrict(codes[0], basis)
    torch.testing.assert_close(scalar_curvature(plane, a), scalar_curvature(by_jets, a))


def test_single_precision_is_that_of_double(codes) -> None:
    space = _space()
    im, z = log_linear_metric(space), codes.float()
    assert metric(im, z).dtype == torch.float32
    torch.testing.assert_close(metric(im, z).double(), metric(im, z.double()), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(metric(im.in_double(), z).double(), metric(im, z.double()), rtol=1e-6, atol=1e-8)


def test_a_plane_in_double_stays_in_double(codes) -> None:
    """Its weights, those of the space along the plane, are not rounded to single precision."""
    weight = torch.randn(V, D, generator=torch.Generator().manual_seed(0))
    im, origin, basis = HessianMetric(LogPartitionPotential(weight), D), codes[0].float(), torch.randn(2, D)
    a = torch.randn(3, 2, generator=torch.Generator().manual_seed(1))
    exact = im.restrict(origin.double(), basis.double()).dual(a.double())
    found = im.in_double().restrict(origin, basis)
    assert found.precision(a) == im.in_double().precision(a)
    torch.testing.assert_close(found.dual(a).double(), exact, rtol=1e-12, atol=1e-12)


class _Tree(nn.Module):
    """Logits that bend."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return nn.functional.logsigmoid(z[:, [0, 1, 0]])


def test_what_is_not_log_linear_is_told_apart() -> None:
    assert affine_logits(_space()) is not None
    assert isinstance(fisher_metric(_space()), HessianMetric)
    three = Categorical((1,), 3, 2)
    for decoder, likelihood, prior in (
        (_Tree(), three, StandardNormal(2)),
        (nn.Linear(2, 3), Bernoulli((3,)), StandardNormal(2)),
        (nn.Linear(2, 6), Categorical((2,), 3, 2), StandardNormal(2)),
        (nn.Linear(3, 3), three, HypersphericalUniform(3)),
    ):
        space = LatentSpace(decoder, likelihood, prior).eval()
        assert affine_logits(space) is None
        assert isinstance(fisher_metric(space), Immersion)
        with pytest.raises(TypeError, match="expected affine logits of one categorical variable, got"):
            log_linear_metric(space)
    assert _space().manifold == Euclidean()
    with pytest.raises(ValueError, match=r"expected weight \(V, d\) and bias \(V,\), got \(3, 2\) and \(2,\)"):
        LogPartitionPotential(torch.zeros(3, 2), torch.zeros(2))
    with pytest.raises(ValueError, match="expected finite weight and bias, got others"):
        LogPartitionPotential(torch.full((3, 2), torch.nan))
