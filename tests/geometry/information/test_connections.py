"""Alpha-connections of decoders and exponential families, against sums over all observations and closed forms."""

import itertools
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import kl_divergence
from torch.func import grad, hessian, jacfwd, vmap

from lsgen.geometry import HessianMetric, metric, riemann, scalar_curvature
from lsgen.geometry.information import (
    StatisticalManifold,
    alpha_connection,
    alpha_curvature,
    alpha_exp_map,
    amari_chentsov,
    exponential_family,
    statistical_manifold,
)
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import (
    Bernoulli,
    Beta,
    Categorical,
    FixedLaplace,
    Gaussian,
    Laplace,
    Likelihood,
    NegativeBinomial,
    Poisson,
)
from lsgen.nn import MLPDecoder

f64 = torch.float64
ALPHAS = [-1.0, 0.0, 2.5]


def _space(likelihood: Likelihood, dim: int = 2) -> LatentSpace:
    decoder = MLPDecoder(dim, likelihood.shape, hidden=[8], activation=nn.Tanh, heads=likelihood.heads)
    return LatentSpace(decoder, likelihood, StandardNormal(dim)).double().eval()


def _gauss_hermite(h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return observations (K, 1) of one Gaussian pixel and their weights, exact for polynomials of degree 39."""
    x, w = (torch.from_numpy(a) for a in np.polynomial.hermite_e.hermegauss(20))
    mean, log_sigma = h[0]
    return (mean + log_sigma.exp() * x)[:, None], w / w.sum()


def _observations(likelihood: Likelihood, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return all observations (K, D) with their probabilities (K,)."""
    if isinstance(likelihood, Gaussian):
        return _gauss_hermite(h)
    levels = torch.arange(60.0, dtype=f64) if isinstance(likelihood, Poisson) else torch.linspace(0, 1, 2, dtype=f64)
    if isinstance(likelihood, Categorical):
        levels = torch.linspace(0, likelihood.high, likelihood.levels, dtype=f64)
    x = torch.tensor(list(itertools.product(levels.tolist(), repeat=likelihood.dimensions)), dtype=f64)
    return x, likelihood(h).log_prob(x).exp()


def _by_definition(space: LatentSpace, z: torch.Tensor, alpha: float) -> torch.Tensor:
    """Return E[(d_i d_j l + (1 - a)/2 d_i l d_j l) d_k l], indexed [k, i, j], at one code (d,)."""
    x, p = _observations(space.likelihood, space.raw(z[None]).detach())
    p = p.detach()

    def log_p(z: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return space.likelihood(space.decoder(z[None])).log_prob(x[None])[0]

    s = vmap(grad(log_p), (None, 0))(z, x)
    h = vmap(hessian(log_p), (None, 0))(z, x)
    return torch.einsum("x,xij,xk->kij", p, h + (1 - alpha) / 2 * s[:, :, None] * s[:, None, :], s)


FAMILIES = {
    "bernoulli": Bernoulli((3,)),
    "categorical": Categorical((2,), 3),
    "gaussian": Gaussian((1,)),
    "poisson": Poisson((2,)),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_connection_of_a_decoder_is_the_expectation_that_defines_it(name):
    space = _space(FAMILIES[name])
    manifold, z = statistical_manifold(space), torch.randn(3, 2, dtype=f64)
    g = metric(manifold.metric, z)
    for alpha in ALPHAS:
        lower = torch.einsum("nkl,nlij->nkij", g, alpha_connection(manifold, z, alpha))
        expected = torch.stack([_by_definition(space, one, alpha) for one in z])
        torch.testing.assert_close(lower, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["bernoulli", "gaussian"])
def test_the_curvature_of_a_decoder_is_that_of_its_connection(name):
    space = _space(FAMILIES[name])
    manifold, z = statistical_manifold(space), torch.randn(2, dtype=f64)

    def raised(z: torch.Tensor, alpha: float) -> torch.Tensor:
        lower, lc = _by_definition(space, z, alpha), _by_definition(space, z, 0.0)
        g = metric(manifold.metric, z)
        assert torch.allclose(lc, lc.mT)
        return torch.linalg.solve(g, lower.flatten(1)).reshape(lower.shape)

    g = metric(manifold.metric, z)
    for alpha in (-0.4, 1.0):
        steps = 1e-4 * torch.eye(2, dtype=f64)
        slope = torch.stack([(raised(z + e, alpha) - raised(z - e, alpha)) / 2e-4 for e in steps])
        c = raised(z, alpha)
        half = torch.einsum("kmlj->mjkl", slope) + torch.einsum("mkn,nlj->mjkl", c, c)
        expected = torch.einsum("im,mjkl->ijkl", g, half - half.transpose(-1, -2))
        torch.testing.assert_close(alpha_curvature(manifold, z, alpha), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_opposite_connections_are_dual():
    for likelihood in (Laplace((2,)), Beta((2,)), Categorical((3,), 4)):
        manifold, z = statistical_manifold(_space(likelihood)), torch.randn(4, 2, dtype=f64)
        ours, theirs = alpha_curvature(manifold, z, 0.7), alpha_curvature(manifold, z, -0.7)
        assert ours.abs().max() > 1e-6
        torch.testing.assert_close(ours, -theirs.transpose(1, 2))
        up, down = (
            torch.einsum("nkl,nlij->nkij", metric(manifold.metric, z), alpha_connection(manifold, z, a))
            for a in (0.7, -0.7)
        )
        slope = jacfwd(partial(metric, manifold.metric))(z[0])
        torch.testing.assert_close(slope, torch.einsum("jki->ijk", up[0]) + torch.einsum("ikj->ijk", down[0]))


def _log_partition(theta: torch.Tensor) -> torch.Tensor:
    """Return that of the univariate Gaussian, of x and x^2."""
    first, second = theta.unbind(-1)
    return -first.square() / (4 * second) - torch.log(-2 * second) / 2


GAUSSIANS = HessianMetric(_log_partition, 2)


def _natural(mean_and_log_sigma: torch.Tensor) -> torch.Tensor:
    mean, precision = mean_and_log_sigma[..., 0], (-2 * mean_and_log_sigma[..., 1]).exp()
    return torch.stack([mean * precision, -precision / 2], -1)


def _means(mean_and_log_sigma: torch.Tensor) -> torch.Tensor:
    mean, variance = mean_and_log_sigma[..., 0], (2 * mean_and_log_sigma[..., 1]).exp()
    return torch.stack([mean, mean.square() + variance], -1)


def _all_gaussians() -> StatisticalManifold:
    """Return the family in the coordinates mean and log sigma, which a decoder that is the identity makes."""
    return statistical_manifold(LatentSpace(nn.Identity(), Gaussian((1,)), StandardNormal(2)).eval())


@pytest.mark.parametrize("alpha", [1.0, -0.4])
@pytest.mark.slow
def test_exponential_families_have_curvature_in_proportion_and_none_at_both_ends(alpha):
    z = torch.randn(5, 2, dtype=f64)
    for manifold, at in ((exponential_family(GAUSSIANS), _natural(z)), (_all_gaussians(), z)):
        whole = riemann(manifold.metric, at)
        found, slack = alpha_curvature(manifold, at, alpha), 1e-9 * (1 + whole.abs().max().item())
        torch.testing.assert_close(found, (1 - alpha**2) * whole, rtol=1e-7, atol=slack)
        torch.testing.assert_close(scalar_curvature(manifold.metric, at), -torch.ones(5, dtype=f64))


def test_the_tensor_changes_coordinates_like_one():
    z = torch.randn(5, 2, dtype=f64)
    j = vmap(jacfwd(_natural))(z)
    natural = amari_chentsov(exponential_family(GAUSSIANS), _natural(z))
    torch.testing.assert_close(
        amari_chentsov(_all_gaussians(), z), torch.einsum("nabc,nai,nbj,nck->nijk", natural, j, j, j)
    )


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [1.0, -1.0])
def test_geodesics_are_straight_in_the_dual_coordinates(alpha):
    z, v = torch.randn(8, 2, dtype=f64) / 2, 0.3 * nn.functional.normalize(torch.randn(8, 2, dtype=f64))
    straight = _natural if alpha > 0 else _means
    found = alpha_exp_map(_all_gaussians(), z, v, alpha)
    assert found.converged.all()
    expected = straight(z) + torch.func.jvp(straight, (z,), (v,))[1]
    torch.testing.assert_close(straight(found.point), expected, rtol=1e-6, atol=1e-7)
    theta, tangent = _natural(z), torch.func.jvp(_natural, (z,), (v,))[1]
    other = alpha_exp_map(exponential_family(GAUSSIANS), theta, tangent, alpha)
    torch.testing.assert_close(other.point, _natural(found.point), rtol=1e-6, atol=1e-7)


@pytest.mark.slow
def test_a_geodesic_that_leaves_the_family_is_alone_in_not_converging():
    v = torch.tensor([[0.0, -3.0], [0.2, 0.1]], dtype=f64)  # -1/2 exp(-2 log sigma) grows through 0 along the first
    found = alpha_exp_map(_all_gaussians(), torch.zeros(2, 2, dtype=f64), -v, 1.0, max_steps=60)
    assert found.converged.tolist() == [False, True]


@pytest.mark.parametrize("family", [Bernoulli, Poisson, Gaussian, Laplace, FixedLaplace], ids=lambda c: c.__name__)
def test_asymmetry_of_the_divergence_is_of_third_order(family):
    space = _space(family((2,)))
    manifold, z = statistical_manifold(space), torch.randn(6, 2, dtype=f64)
    v = torch.randn(6, 2, dtype=f64)
    t = torch.einsum("nijk,ni,nj,nk->n", amari_chentsov(manifold, z), v, v, v) / 6

    def skew(size: float) -> torch.Tensor:
        ours, theirs = (space.decode(z + sign * size / 2 * v).base_dist for sign in (1, -1))
        return (kl_divergence(ours, theirs) - kl_divergence(theirs, ours)).sum(-1) / size**3

    extrapolated = (8 * skew(0.005) - 6 * skew(0.01) + skew(0.02)) / 3
    torch.testing.assert_close(extrapolated, t, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_single_precision_agrees_with_double():
    space = _space(Bernoulli((6,)))
    z = torch.randn(4, 2, dtype=f64)
    exact = alpha_connection(statistical_manifold(space), z, 0.5), alpha_curvature(statistical_manifold(space), z, 0.5)
    manifold = statistical_manifold(space.float())
    for mine, theirs in zip((alpha_connection, alpha_curvature), exact, strict=True):
        found = mine(manifold, z.float(), 0.5)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), theirs, rtol=1e-3, atol=1e-3 * theirs.abs().max().item())


@pytest.mark.slow
def test_shapes_and_rank_deficiency_are_per_code():
    manifold = statistical_manifold(_space(Bernoulli((1,))))  # one pixel of two codes: rank 1
    assert alpha_connection(manifold, torch.zeros(2, 0, 2, dtype=f64), 1.0).shape == (2, 0, 2, 2, 2)
    assert alpha_connection(manifold, torch.zeros(2, dtype=f64), 1.0).isnan().all()
    line = statistical_manifold(_space(Bernoulli((3,)), dim=1))
    z = torch.randn(2, 3, 1, dtype=f64)
    assert alpha_curvature(line, z, 1.0, chunk_size=2).abs().max() == 0
    chunked, whole = (amari_chentsov(line, z, chunk_size=size) for size in (2, None))
    torch.testing.assert_close(chunked, whole)


def test_what_has_no_alpha_connection_is_refused():
    with pytest.raises(TypeError, match=r"third moments .* \(a CubicLikelihood\), got NegativeBinomial"):
        statistical_manifold(_space(NegativeBinomial((2,))))
    with pytest.raises(TypeError, match="expected a LatentSpace, got Linear"):
        statistical_manifold(nn.Linear(2, 2))
    with pytest.raises(TypeError, match="log partition function, got Identity"):
        exponential_family(nn.Identity())
    with pytest.raises(ValueError, match="finite number alpha, got nan"):
        alpha_connection(_all_gaussians(), torch.zeros(2), float("nan"))
    wrong = StatisticalManifold(GAUSSIANS, lambda z: z)
    with pytest.raises(ValueError, match=r"cubic tensor of shape \(1, 2, 2, 2\), got \(1, 2\)"):
        amari_chentsov(wrong, torch.tensor([0.0, -1.0]))
