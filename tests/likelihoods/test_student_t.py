"""Student's t against SciPy, quadrature and its Gaussian limit, from the heaviest tails to the lightest."""

import numpy
import pytest
import torch
from scipy import stats
from torch import Tensor

from lsgen.geometry import immersion, scalar_curvature
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import Gaussian, SharedStudentT, StudentT

DEGREES = [0.5, 1.0, 2.5, 7.0, 29.0, 300.0, 1e4]


def _heads(nu: float) -> Tensor:
    """Return raw outputs (1, 3) of a likelihood whose degrees of freedom begin at 0."""
    return torch.tensor([[0.3, -0.4, nu + numpy.log(-numpy.expm1(-nu))]], dtype=torch.float64)


@pytest.mark.parametrize("nu", DEGREES)
def test_density_is_that_of_scipy_into_the_tails_and_in_single_precision(nu: float) -> None:
    likelihood, h = StudentT((1,), least=0.0), _heads(nu)
    x = torch.tensor([0.3, 0.31, -1.0, 5.0, 40.0, -1e3, 1e6, 1e12], dtype=torch.float64)[:, None]
    exact = torch.from_numpy(stats.t.logpdf(x[:, 0].numpy(), nu, 0.3, numpy.exp(-0.4)))
    torch.testing.assert_close(likelihood(h).log_prob(x), exact, rtol=1e-10, atol=1e-10)
    single = likelihood(h.float()).log_prob(x.float())
    torch.testing.assert_close(single, exact.float(), rtol=1e-5, atol=1e-6)
    assert bool(torch.isfinite(likelihood(h.float()).log_prob(torch.tensor([[1e38]]))).all())


@pytest.mark.parametrize("nu", DEGREES)
def test_information_is_the_covariance_of_the_score_by_quadrature(nu: float) -> None:
    likelihood, h = StudentT((1,), least=0.0), _heads(nu)
    step, scale = 0.02, torch.exp(h[0, 1])
    t = torch.arange(-4000, 4001, dtype=torch.float64) * step
    x = (h[0, 0] + scale * torch.sinh(t))[:, None]
    p = step * scale * torch.cosh(t) * likelihood(h).log_prob(x).exp()
    assert p.sum().item() == pytest.approx(1, rel=1e-10)
    score = torch.func.vmap(torch.func.grad(lambda a, b: likelihood(a).log_prob(b)), in_dims=(None, 0))(h[0], x)
    fisher, by_quadrature = likelihood.fisher(h)[0, 0], torch.einsum("k,ki,kj->ij", p, score, score)
    size = fisher.diagonal().sqrt()
    unit = size[:, None] * size
    torch.testing.assert_close(fisher / unit, by_quadrature / unit, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(likelihood.fisher(h.float())[0, 0].double() / unit, fisher / unit, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("nu", DEGREES)
def test_entropy_is_that_of_the_density_by_quadrature_and_keeps_its_digits(nu: float) -> None:
    likelihood, h = StudentT((1,), least=0.0), _heads(nu)
    t = torch.arange(-4000, 4001, dtype=torch.float64) * 0.02
    log_p = likelihood(h).log_prob((h[0, 0] + torch.exp(h[0, 1]) * torch.sinh(t))[:, None])
    by_quadrature = -(0.02 * torch.exp(h[0, 1]) * torch.cosh(t) * log_p.exp() * log_p).sum()
    torch.testing.assert_close(likelihood(h).entropy()[0], by_quadrature, rtol=1e-10, atol=0)
    torch.testing.assert_close(likelihood(h.float()).entropy()[0].double(), by_quadrature, rtol=1e-6, atol=0)


def test_moments_are_undefined_and_infinite_where_they_are() -> None:
    likelihood = StudentT((4,), least=0.0)
    h = torch.cat([_heads(nu).T for nu in (0.8, 1.5, 3.0, 1e4)], 1).flatten()[None]
    torch.testing.assert_close(likelihood(h).mean, torch.tensor([[torch.nan, 0.3, 0.3, 0.3]]).to(h), equal_nan=True)
    variance = likelihood(h).variance[0]
    assert variance[0].isnan()
    assert variance[1].isposinf()
    numpy.testing.assert_allclose(variance[2:], stats.t.var([3.0, 1e4], 0.3, numpy.exp(-0.4)), rtol=1e-12)


@pytest.mark.parametrize("nu", [0.7, 4.0])
def test_samples_follow_the_distribution_function(nu: float) -> None:
    torch.manual_seed(0)
    x = StudentT((1,), least=0.0)(_heads(nu).float()).sample((4000,)).flatten()
    assert stats.kstest(x.numpy(), stats.t(nu, 0.3, numpy.exp(-0.4)).cdf).pvalue > 1e-3


@pytest.mark.parametrize("nu", [0.5, 3.0, 1e4])
def test_fixed_degrees_give_a_hyperbolic_plane_of_their_own_curvature(nu: float) -> None:
    space = LatentSpace(torch.nn.Identity(), SharedStudentT((1,), nu, learned=False), StandardNormal(2)).double()
    z = torch.randn(5, 2, dtype=torch.float64)
    expected = torch.full((5,), -(nu + 3) / nu, dtype=torch.float64)
    torch.testing.assert_close(scalar_curvature(immersion(space), z), expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(
        space.likelihood.fisher(z), StudentT((1,), least=0.0).fisher(_with(z, nu))[..., :2, :2], rtol=1e-6, atol=0
    )


def _with(z: Tensor, nu: float) -> Tensor:
    return torch.cat([z, _heads(nu)[:, 2:].expand(len(z), 1)], 1)


def test_many_degrees_of_freedom_are_a_gaussian_in_single_precision() -> None:
    many, gaussian = SharedStudentT((3,), 1e7), Gaussian((3,))
    h, other, x = torch.randn(5, 6), torch.randn(5, 6), torch.randn(5, 3)
    torch.testing.assert_close(many(h).log_prob(x), gaussian(h).log_prob(x), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(many(h).entropy(), gaussian(h).entropy(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(many.distance(h, other), gaussian.distance(h, other), rtol=1e-5, atol=0)
    v = torch.randn(5, 2, 6)
    torch.testing.assert_close(many.amari_chentsov(h, v), gaussian.amari_chentsov(h, v), rtol=1e-4, atol=1e-3)


def test_learned_degrees_of_freedom_find_those_of_the_data() -> None:
    nu = numpy.array([2.0, 9.0])
    share = (torch.arange(4000, dtype=torch.float64) + 0.5).numpy() / 4000
    x = torch.from_numpy(stats.t(nu).ppf(share[:, None]))
    likelihood = SharedStudentT((2,), 5.0, per_dimension=True).double()
    optimizer = torch.optim.LBFGS(likelihood.parameters(), max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = -likelihood(x.new_zeros(1, 4)).log_prob(x).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    numpy.testing.assert_allclose(likelihood.degrees.detach(), nu, rtol=0.03)


def test_degrees_of_freedom_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="expected finite degrees of freedom > 0, got 0"):
        SharedStudentT((1,), 0)
    with pytest.raises(ValueError, match="expected finite degrees of freedom > 0, got inf"):
        SharedStudentT((1,), numpy.inf)
    with pytest.raises(ValueError, match="expected a finite bound of the degrees of freedom >= 0, got -1"):
        StudentT((1,), -1)


def test_scales_that_are_bounded_from_below_have_the_density_and_the_information_of_their_parameters() -> None:
    likelihood, plain = StudentT((1,), 3.0, "softplus", 0.1), StudentT((1,), 3.0)
    h = torch.tensor([[0.3, -2.0, 1.5]], dtype=torch.float64)
    s, nu = 0.1 + numpy.log1p(numpy.exp(-2.0)), 3 + numpy.log1p(numpy.exp(1.5))
    x = torch.tensor([[0.3], [-1.0], [40.0]], dtype=torch.float64)
    torch.testing.assert_close(likelihood(h).log_prob(x), torch.from_numpy(stats.t.logpdf(x[:, 0], nu, 0.3, s)))
    for floor, scale in ((0.1, "softplus"), (0.2, "exp")):
        bounded = StudentT((1,), 3.0, scale, floor)

        def heads(h: Tensor, bounded: StudentT = bounded) -> Tensor:
            return torch.stack([h[0], bounded(h[None]).base_dist.scale[0, 0].log(), h[2]])

        J = torch.func.jacrev(heads)(h[0])
        torch.testing.assert_close(bounded.fisher(h)[0, 0], J.T @ plain.fisher(heads(h[0])[None])[0, 0] @ J)


def test_options_of_the_scale_are_checked() -> None:
    with pytest.raises(ValueError, match=r"expected a finite bound of the scale >= 0, got -1"):
        StudentT((1,), floor=-1.0)
    with pytest.raises(ValueError, match='expected scale "exp" or "softplus", got \'square\''):
        StudentT((1,), scale="square")
