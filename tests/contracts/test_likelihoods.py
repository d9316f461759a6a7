"""Every likelihood keeps the contract. Families enrol themselves by type: see `members.concrete`."""

import inspect

import members
import pytest
import torch
from torch import Tensor
from torch.distributions import constraints, kl_divergence

from lsgen.latent import EncodableLatentSpace, StandardNormal
from lsgen.likelihoods import (
    Bernoulli,
    Beta,
    ClosedFormLikelihood,
    CubicLikelihood,
    FixedLaplace,
    FlatLikelihood,
    Gaussian,
    Laplace,
    Likelihood,
)
from lsgen.likelihoods.discretised_logistic_mixture import DiscretisedLogisticMixture
from lsgen.likelihoods.products import ProductLikelihood
from lsgen.likelihoods.text.base import TextLikelihood
from lsgen.models.vae import ELBO
from lsgen.nn import MLPDecoder, MLPEncoder

APART = ProductLikelihood, TextLikelihood  # of parts, and of rows that end: tests/likelihoods/text
FAMILIES = [one for one in members.concrete(Likelihood, "lsgen.likelihoods") if not issubclass(one, APART)]
FLAT = [family for family in FAMILIES if issubclass(family, FlatLikelihood)]
CUBIC = [family for family in FAMILIES if issubclass(family, CubicLikelihood)]
CLOSED = [family for family in FAMILIES if issubclass(family, ClosedFormLikelihood)]


def _make(family: type[Likelihood], shape: tuple[int, ...]) -> Likelihood:
    """Return a family in eval mode, with few levels and components where it has them."""
    small = {"levels": 5, "components": 2}
    wanted = inspect.signature(family).parameters
    return family(shape, **{name: value for name, value in small.items() if name in wanted}).eval()


@pytest.fixture(params=FAMILIES, ids=lambda c: c.__name__)
def family(request: pytest.FixtureRequest) -> type[Likelihood]:
    return request.param


@pytest.fixture(params=FLAT, ids=lambda c: c.__name__)
def flat(request: pytest.FixtureRequest) -> type[FlatLikelihood]:
    return request.param


@pytest.fixture(params=CLOSED, ids=lambda c: c.__name__)
def closed(request: pytest.FixtureRequest) -> type[ClosedFormLikelihood]:
    return request.param


def _smallest(family: type[Likelihood]) -> Likelihood:
    """Return the family of one data dimension, or of three where they are one member."""
    return _make(family, (3,) if family.joint else (1,))


def _outputs(likelihood: Likelihood, batch: int, seed: int) -> Tensor:
    shape = (batch, likelihood.heads * likelihood.shape[0], *likelihood.shape[1:])
    h = 0.7 * torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return h.abs() + 0.7 if isinstance(likelihood, Beta) else h  # concentrations above 2: a density without poles


def _nodes(likelihood: Likelihood, h: Tensor) -> tuple[Tensor, Tensor]:
    """Return points x (K, *shape) and weights (K,) that integrate over the support of the smallest observation."""
    distribution = likelihood(h)
    own = getattr(distribution, "base_dist", distribution)
    support = own.support
    if getattr(own, "has_enumerate_support", False):
        x = own.enumerate_support(expand=False).reshape(-1, *likelihood.shape).to(h)
        return x, torch.ones(len(x)).to(h)
    if support is constraints.nonnegative_integer:
        x = torch.arange(2000).to(h)[:, None]
        return x, torch.ones(len(x)).to(h)
    bounded = support is constraints.unit_interval
    edges = torch.linspace(0.0 if bounded else -14.0, 1.0 if bounded else 14.0, 2001, dtype=torch.float64)
    nodes, weights = (torch.from_numpy(a) for a in _gauss_legendre(8))
    half = (edges[1:] - edges[:-1])[:, None] / 2
    t, weights = (half * nodes + (edges[1:] + edges[:-1])[:, None] / 2).reshape(-1, 1), (half * weights).reshape(-1)
    if bounded:
        return t, weights
    width = distribution.stddev.item()  # of the middle: x = sinh t goes far, into heavy tails
    return distribution.mean.item() + width * torch.sinh(t), width * torch.cosh(t[:, 0]) * weights


def _gauss_legendre(order: int):
    import numpy

    return numpy.polynomial.legendre.leggauss(order)


def _expectation(likelihood: Likelihood, h: Tensor, values) -> Tensor:
    x, weights = _nodes(likelihood, h)
    p = likelihood(h).log_prob(x).exp()
    return (weights * p) @ values(x)


def test_density_normalises_and_has_its_mean(family: type[Likelihood]) -> None:
    likelihood = _smallest(family)
    h = _outputs(likelihood, 1, seed=1)
    total, mean = _expectation(likelihood, h, torch.ones_like), _expectation(likelihood, h, lambda x: x)
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-6)
    torch.testing.assert_close(mean, likelihood(h).mean[0], rtol=1e-6, atol=0)


def test_samples_follow_the_density(family: type[Likelihood]) -> None:
    likelihood = _smallest(family)
    h = _outputs(likelihood, 1, seed=2)
    torch.manual_seed(0)
    x = likelihood(h).sample((40_000,)).squeeze(1)
    assert bool(likelihood.in_support(x).all())
    error = (x.mean(0) - likelihood(h).mean[0]).abs() / (x.std(0) / len(x) ** 0.5)
    assert error.max().item() < 5


def _score(likelihood: Likelihood, h: Tensor, x: Tensor) -> Tensor:
    per_sample = torch.func.vmap(torch.func.grad(lambda a, b: likelihood(a).log_prob(b)), in_dims=(None, 0))
    return per_sample(h[0], x)


def test_fisher_is_the_covariance_of_the_score(family: type[Likelihood]) -> None:
    likelihood = _smallest(family)
    h = _outputs(likelihood, 1, seed=3)
    x, weights = _nodes(likelihood, h)
    p = weights * likelihood(h).log_prob(x).exp()
    s = _score(likelihood, h, x)
    by_quadrature = torch.einsum("k,ki,kj->ij", p, s, s)
    torch.testing.assert_close(likelihood.fisher(h)[0, 0], by_quadrature, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("cubic", CUBIC, ids=lambda c: c.__name__)
def test_amari_chentsov_tensor_is_the_third_moment_of_the_score(cubic: type[CubicLikelihood]) -> None:
    likelihood = _smallest(cubic)
    for seed in (31, 32):
        h, v = _outputs(likelihood, 1, seed), _outputs(likelihood, 3, seed + 2)
        x, weights = _nodes(likelihood, h)
        p = weights * likelihood(h).log_prob(x).exp()
        along = _score(likelihood, h, x) @ v.mT
        by_quadrature = torch.einsum("x,xi,xj,xk->ijk", p, along, along, along)
        torch.testing.assert_close(likelihood.amari_chentsov(h, v[None])[0], by_quadrature, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("cubic", [one for one in CUBIC if not one.joint], ids=lambda c: c.__name__)
def test_amari_chentsov_tensor_adds_over_data_dimensions(cubic: type[CubicLikelihood]) -> None:
    whole, single = _make(cubic, (2, 3, 3)), _make(cubic, (1,))
    h, v = _outputs(whole, 2, 35), _outputs(whole, 6, 36).unflatten(0, (2, 3))
    apart = zip(
        whole.split(h).reshape(2, 18, -1).unbind(1), whole.split(v).reshape(2, 3, 18, -1).unbind(2), strict=True
    )
    summed = sum(single.amari_chentsov(a, b) for a, b in apart)
    torch.testing.assert_close(whole.amari_chentsov(h, v), summed)
    stacked = whole.amari_chentsov(h.unflatten(0, (1, 2)), v.unflatten(0, (1, 2)))
    assert stacked.shape == (1, 2, 3, 3, 3)


@pytest.mark.parametrize("cubic", CUBIC, ids=lambda c: c.__name__)
@pytest.mark.parametrize("size", [0.0, 1.9, 2.1, 30.0])
def test_amari_chentsov_tensor_is_accurate_in_single_precision(cubic: type[CubicLikelihood], size: float) -> None:
    likelihood = _make(cubic, (6,))
    h, v = _outputs(likelihood, 2, 37).sign() * size, _outputs(likelihood, 2, 38)[:, None].sign()
    h = h.clamp(-5, 5) if likelihood.heads > 1 or likelihood.joint else h
    exact = likelihood.amari_chentsov(h, v)
    slack = 2e-5 * exact.abs().max().item()
    torch.testing.assert_close(likelihood.amari_chentsov(h.float(), v.float()).double(), exact, rtol=2e-5, atol=slack)


def test_fisher_is_the_mean_square_of_sampled_scores(family: type[Likelihood]) -> None:
    likelihood = _smallest(family)
    h = _outputs(likelihood, 1, seed=4)
    torch.manual_seed(0)
    s = _score(likelihood, h, likelihood(h).sample((60_000,)).squeeze(1))
    products = s[:, :, None] * s[:, None, :]
    standard_error = products.std(0) / len(s) ** 0.5
    exact = likelihood.fisher(h)[0, 0]
    assert bool(((products.mean(0) - exact).abs() <= 5 * standard_error + 1e-12).all())
    assert bool((standard_error < 0.05 * exact.diagonal().max()).all())


def test_fisher_is_the_hessian_of_the_divergence(family: type[Likelihood]) -> None:
    likelihood = _smallest(family)
    h = _outputs(likelihood, 1, seed=5)
    x, weights = _nodes(likelihood, h)
    p = weights * likelihood(h).log_prob(x).exp()

    def divergence(other: Tensor) -> Tensor:
        return p @ (likelihood(h).log_prob(x) - likelihood(other[None]).log_prob(x))

    if isinstance(likelihood, Laplace | FixedLaplace):
        hessian = 2 * _second_differences(likelihood, h, 1e-4) - _second_differences(likelihood, h, 2e-4)
    else:
        hessian = torch.autograd.functional.hessian(divergence, h[0])
    torch.testing.assert_close(likelihood.fisher(h)[0, 0], hessian, rtol=1e-4, atol=1e-6)


def _second_differences(likelihood: Likelihood, h: Tensor, eps: float) -> Tensor:
    """Return the Hessian of PyTorch's own divergence up to O(eps), for densities with a kink."""
    n = h.shape[1]
    own = likelihood(h).base_dist

    def divergence(v: Tensor) -> Tensor:
        sides = [kl_divergence(own, likelihood(h + sign * eps * v).base_dist).sum() for sign in (1, -1)]
        return (sides[0] + sides[1]) / eps**2

    e = torch.eye(n, dtype=h.dtype)
    square = torch.stack([torch.stack([divergence(e[i] + e[j]) for j in range(n)]) for i in range(n)])
    single = torch.stack([divergence(e[i]) for i in range(n)])
    return (square - single[:, None] - single[None, :]) / 2


def _blocks(likelihood: Likelihood, h: Tensor) -> Tensor:
    """Return the dense information in the coordinates h.flatten(), (B, K, K), from the blocks of `fisher`."""
    index = likelihood.split(torch.arange(h[0].numel()).reshape(h[:1].shape)).flatten(0, -2)
    dense = h.new_zeros(len(h), h[0].numel(), h[0].numel())
    blocks = likelihood.fisher(h).flatten(1, -3)
    dense[:, index[:, :, None], index[:, None, :]] = blocks
    return dense


def _induced(likelihood: FlatLikelihood, h: Tensor, at: Tensor | None) -> Tensor:
    def embed(flat_h: Tensor, base: Tensor) -> Tensor:
        return likelihood.embed(flat_h.reshape(h[:1].shape), base[None])[0]

    base = h if at is None else at
    jacobian = torch.func.vmap(torch.func.jacrev(embed))(h.flatten(1), base)
    return torch.einsum("bmi,m,bmj->bij", jacobian, likelihood.signature.to(h), jacobian)


@pytest.mark.parametrize("shape", [(5,), (2, 3, 3)], ids=str)
def test_embedding_is_isometric(flat: type[FlatLikelihood], shape: tuple[int, ...]) -> None:
    likelihood = _make(flat, shape)
    h = _outputs(likelihood, 3, seed=6)
    expected = _blocks(likelihood, h)
    torch.testing.assert_close(_induced(likelihood, h, None), expected, rtol=1e-8, atol=1e-10)
    elsewhere = _outputs(likelihood, 3, seed=7)
    torch.testing.assert_close(_induced(likelihood, h, elsewhere), expected, rtol=1e-8, atol=1e-10)


def test_embedding_has_the_advertised_dimension(flat: type[FlatLikelihood]) -> None:
    likelihood = _make(flat, (2, 3, 3))
    h = _outputs(likelihood, 4, seed=8).unflatten(0, (2, 2))
    assert likelihood.embed(h).shape == (2, 2, len(likelihood.signature))
    block = (1, 18, 18) if likelihood.joint else (2, 3, 3, likelihood.heads, likelihood.heads)
    assert likelihood.fisher(h).shape == (2, 2, *block)
    assert torch.equal(likelihood.join(likelihood.split(h)), h)
    assert likelihood(h).batch_shape == (2, 2)
    assert likelihood(h).event_shape == (2, 3, 3)


def test_distance_is_locally_the_fisher_norm(closed: type[ClosedFormLikelihood]) -> None:
    likelihood = _make(closed, (4,))
    h, v = _outputs(likelihood, 1, seed=9), _outputs(likelihood, 1, seed=10)
    norm = torch.einsum("bi,bij,bj->b", v, _blocks(likelihood, h), v).sqrt()
    steps = torch.tensor([2.0**-k for k in range(4, 10)], dtype=torch.float64)
    errors = torch.stack([(likelihood.distance(h - t / 2 * v, h + t / 2 * v) / t - norm).abs()[0] for t in steps])
    slope = (errors[:-1] / errors[1:]).log2()
    assert errors[-1] < 1e-4 * norm[0]
    assert bool((slope > 1.9).all()) or bool((errors < 1e-10).all())


def test_distance_is_a_metric(closed: type[ClosedFormLikelihood]) -> None:
    likelihood = _make(closed, (4,))
    a, b, c = (_outputs(likelihood, 20, seed=s) for s in (11, 12, 13))
    torch.testing.assert_close(likelihood.distance(a, b), likelihood.distance(b, a))
    assert bool((likelihood.distance(a, a).abs() < 1e-7).all())
    assert bool((likelihood.distance(a, c) <= likelihood.distance(a, b) + likelihood.distance(b, c) + 1e-12).all())


def test_distance_of_one_parameter_is_the_integral_of_the_information(closed: type[ClosedFormLikelihood]) -> None:
    likelihood = _make(closed, (1,))
    if likelihood.heads != 1 or likelihood.joint:
        pytest.skip("families of several parameters are curved or have their own closed form")
    a, b = torch.tensor([[-1.3]], dtype=torch.float64), torch.tensor([[2.1]], dtype=torch.float64)
    nodes, weights = (torch.from_numpy(x) for x in _gauss_legendre(60))
    h = (b - a) / 2 * nodes[:, None] + (a + b) / 2
    length = (b - a)[0, 0] / 2 * (weights @ likelihood.fisher(h).reshape(-1).sqrt())
    torch.testing.assert_close(likelihood.distance(a, b)[0], length, rtol=1e-5, atol=1e-8)


def test_bernoulli_distance_is_as_precise_near_one_as_near_zero() -> None:
    likelihood = Bernoulli((1,))
    low = torch.tensor([[-80.0], [-40.0], [-30.0], [-5.0], [0.0], [-30.0]], requires_grad=True)
    other = torch.tensor([[-81.0], [-50.0], [-30.001], [-5.001], [-1e-4], [30.0]])
    exact = 2 * (torch.atan(torch.exp(low.double() / 2)) - torch.atan(torch.exp(other.double() / 2))).abs().squeeze(-1)
    for distance in (likelihood.distance(low, other), likelihood.distance(-low, -other)):
        torch.testing.assert_close(distance.double(), exact, rtol=1e-6, atol=0)
        (gradient,) = torch.autograd.grad(distance.sum(), low)
        (slope,) = torch.autograd.grad(exact.sum(), low, retain_graph=True)
        torch.testing.assert_close(gradient, slope, rtol=1e-5, atol=0)


def test_gaussian_distance_is_hyperbolic() -> None:
    likelihood = Gaussian((1,))
    h, other = _outputs(likelihood, 50, seed=14), _outputs(likelihood, 50, seed=15)
    (mu, log_sigma), (mu_, log_sigma_) = h.unbind(1), other.unbind(1)
    sigma, sigma_ = log_sigma.exp(), log_sigma_.exp()
    ratio = ((mu - mu_) ** 2 + 2 * (sigma - sigma_) ** 2) / ((mu - mu_) ** 2 + 2 * (sigma + sigma_) ** 2)
    torch.testing.assert_close(likelihood.distance(h, other), 2 * 2**0.5 * torch.atanh(ratio.sqrt()))


@pytest.mark.parametrize("size", [0.0, 1.0, 10.0, 30.0])
def test_embedding_is_accurate_in_single_precision(flat: type[FlatLikelihood], size: float) -> None:
    likelihood = _make(flat, (6,))
    several = likelihood.heads > 1 or likelihood.joint
    h = _outputs(likelihood, 2, seed=16).sign() * size * (0.5 if several and size > 1 else 1.0)
    h = h.clamp(-5, 5) if several else h
    exact, single = _blocks(likelihood, h), _induced(likelihood, h.float(), h.float()).double()
    diagonal, diagonal_ = exact.diagonal(dim1=1, dim2=2), single.diagonal(dim1=1, dim2=2)
    # Responsibilities of components that agree cancel: what they tell of one another is zero up to rounding.
    slack = 1e-6 * diagonal.max().item() if isinstance(likelihood, DiscretisedLogisticMixture) else 0
    torch.testing.assert_close(diagonal_, diagonal, rtol=2e-5, atol=slack)


def test_log_probability_has_exact_gradients(family: type[Likelihood]) -> None:
    likelihood = _make(family, (3,))
    h = _outputs(likelihood, 2, seed=17).requires_grad_()
    x = likelihood(h.detach()).sample()
    assert torch.autograd.gradcheck(lambda a: likelihood(a).log_prob(x), h)


def test_wrong_raw_outputs_are_refused(family: type[Likelihood]) -> None:
    likelihood = _make(family, (3, 2, 2))
    channels = 3 * likelihood.heads
    with pytest.raises(ValueError, match=rf"raw outputs of shape \(B, {channels}, 2, 2\), got \(1, 99, 2, 2\)"):
        likelihood(torch.zeros(1, 99, 2, 2))


def test_wrong_observations_are_refused(family: type[Likelihood]) -> None:
    likelihood = _make(family, (3,))
    with pytest.raises(ValueError, match=r"expected observations of shape \(B, 3\), got \(2, 4\)"):
        likelihood.validate(torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"expected observations that are .*, got values between .*rescale the data"):
        likelihood.validate(torch.tensor([[0.1, 0.5, float("nan")]]))
    likelihood.validate(likelihood(_outputs(likelihood, 5, seed=18)).sample())


def test_empty_shape_is_refused(family: type[Likelihood]) -> None:
    with pytest.raises(ValueError, match=r"expected an observation shape such as .*, got \(\)"):
        family(())


def test_a_vae_learns_from_its_samples(family: type[Likelihood]) -> None:
    likelihood = _make(family, (2, 3, 3))
    x = likelihood(_outputs(likelihood, 64, seed=19).float()).sample()
    likelihood.train()
    encoder, decoder = MLPEncoder((2, 3, 3), 2, [16]), MLPDecoder(2, (2, 3, 3), [16], heads=likelihood.heads)
    space, objective = EncodableLatentSpace(encoder, decoder, likelihood, StandardNormal(2)), ELBO()
    optimizer, losses = torch.optim.Adam(space.parameters(), 1e-2), []
    for _ in range(60):
        optimizer.zero_grad()
        loss = objective(space, {"x": x}, 0).loss
        loss.backward()
        assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in space.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < sum(losses[:10])
