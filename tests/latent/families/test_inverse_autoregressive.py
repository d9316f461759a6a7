"""Inverse autoregressive flows: their Jacobian, their inverse, and what each dimension may depend on."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from lsgen.latent import EncodableLatentSpace, IAFPosterior, StandardNormal
from lsgen.likelihoods import Bernoulli
from lsgen.models.vae import ELBO, IWAE
from lsgen.nn import MADE, MLPDecoder, MLPEncoder

d, B = 4, 3


def _posterior(steps: int = 3, dim: int = d) -> IAFPosterior:
    torch.manual_seed(0)
    posterior = IAFPosterior(dim, steps, (9, 7)).double()
    with torch.no_grad():
        for parameter in posterior.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return posterior


def _raw(n: int = B, dim: int = d) -> Tensor:
    return torch.randn(n, 3 * dim, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("backwards", [False, True])
def test_an_output_sees_what_comes_before_it_and_the_context(backwards: bool) -> None:
    torch.manual_seed(0)
    network = MADE(d, 2, (11, 8), 2, backwards).double()
    z, h = torch.randn(d, dtype=torch.float64), torch.randn(2, dtype=torch.float64)
    by_code, by_context = torch.autograd.functional.jacobian(lambda z, h: torch.stack(network(z, h)), (z, h))
    before = torch.tensor([[network.order.index(j) < network.order.index(i) for j in range(d)] for i in range(d)])
    assert torch.equal(by_code.ne(0), before.expand(2, d, d))
    assert by_context.ne(0).all()


def test_log_determinant_is_that_of_the_jacobian_where_networks_run_in_half_precision() -> None:
    q = _posterior(1).float()(_raw().float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        jacobian = torch.autograd.functional.jacobian(lambda z: q._forward(z)[0].sum(0), q.loc)
        log_det = q._forward(q.loc)[1]
    exact = jacobian.diagonal(dim1=0, dim2=2).double().log().sum(-1)
    torch.testing.assert_close(log_det.double(), exact, rtol=1e-5, atol=0)


@pytest.mark.parametrize("steps", [1, 2])
def test_order_is_reversed_between_steps(steps: int) -> None:
    """One step makes a triangular Jacobian; the second fills the other triangle."""
    q = _posterior(steps)(_raw(1))
    jacobian = torch.autograd.functional.jacobian(lambda z: q._forward(z)[0], q.loc)[0, :, 0]
    assert bool(jacobian.triu(1).any()) == (steps > 1)
    assert jacobian.tril(-1).ne(0).sum() == d * (d - 1) // 2


def test_density_is_the_change_of_variables_of_the_samples() -> None:
    q = _posterior()(_raw())
    torch.manual_seed(2)
    z = q.rsample()
    torch.manual_seed(2)
    noise = torch.randn(B, d, dtype=torch.float64)

    def transform(e: Tensor) -> Tensor:
        return q._forward(q.loc + q.log_scale.exp() * e)[0]

    jacobian = torch.autograd.functional.jacobian(transform, noise)
    log_det = torch.stack([jacobian[i, :, i].slogdet()[1] for i in range(B)])
    expected = Normal(0, 1).log_prob(noise).sum(-1) - log_det
    torch.testing.assert_close(transform(noise), z)
    torch.testing.assert_close(q.log_prob(z), expected)
    torch.testing.assert_close(q.log_prob(z.clone()), expected)
    torch.testing.assert_close(q.mean, transform(torch.zeros_like(noise)))


def test_inverse_is_the_fixed_point_of_the_steps() -> None:
    q = _posterior(1)(_raw())
    value = torch.randn(2, B, d, dtype=torch.float64)
    guess = torch.zeros_like(value)
    for _ in range(d):  # exact after d rounds, as each makes one more dimension right
        m, s = q.steps[0](guess, q.context)
        guess = (value - (1 - s.sigmoid()) * m) / s.sigmoid()
    torch.testing.assert_close(q._inverse(value)[0], guess)
    expected = Independent(Normal(q.loc, q.log_scale.exp()), 1).log_prob(guess) - q._forward(guess)[1]
    torch.testing.assert_close(q.log_prob(value), expected)


def test_gradient_is_the_same_by_draw_and_by_inversion() -> None:
    posterior, raw = _posterior(2), _raw().requires_grad_()
    found = []
    for copy in (False, True):
        torch.manual_seed(3)
        q = posterior(raw)
        z = q.rsample()
        found.append(torch.autograd.grad(q.log_prob(z.clone() if copy else z).sum(), [raw, *posterior.parameters()]))
    torch.testing.assert_close(found[0], found[1])


def test_density_of_a_draw_without_gradient_still_has_that_of_the_parameters() -> None:
    posterior, raw = _posterior(2), _raw().requires_grad_()
    q = posterior(raw)
    z = q.sample()
    (found,) = torch.autograd.grad(q.log_prob(z).sum(), raw)
    (expected,) = torch.autograd.grad(posterior(raw).log_prob(z.clone()).sum(), raw)
    torch.testing.assert_close(found, expected)
    assert found.ne(0).all()


def test_an_observation_has_the_same_posterior_in_any_batch() -> None:
    posterior, raw, z = _posterior(), _raw(), torch.randn(B, d, dtype=torch.float64)
    alone = torch.cat([posterior(row).log_prob(code) for row, code in zip(raw.split(1), z.split(1), strict=True)])
    torch.testing.assert_close(posterior(raw).log_prob(z), alone)


def test_extremes_of_float_give_no_nan() -> None:
    torch.manual_seed(0)
    posterior = IAFPosterior(d, 2, (8,))
    for scale in (1e2, 1e4):
        with torch.no_grad():
            for step in posterior.steps:
                step.last.bias[d:] = scale * torch.tensor([-1.0, 1.0, -1.0, 1.0])
        raw = torch.tensor([[-30.0, 30.0, 0.0, 1e3] * 3], requires_grad=True)
        raw = torch.cat([raw[:, :d], raw[:, :d].clamp(-20, 20), raw[:, :d]], 1)
        q = posterior(raw)
        z = q.rsample((5,))
        log_q = q.log_prob(z)
        assert log_q.isfinite().all()
        gradients = torch.autograd.grad(log_q.sum(), list(posterior.parameters()))
        assert all(gradient.isfinite().all() for gradient in gradients)
        assert not q.log_prob(torch.randn(5, 1, d)).isnan().any()  # densities of codes out of reach may underflow


def test_it_trains_with_every_kind_of_bound() -> None:
    torch.manual_seed(0)
    encoder, decoder = MLPEncoder((5,), 1, hidden=[7], heads=3), MLPDecoder(1, (5,), hidden=[7])
    space = EncodableLatentSpace(encoder, decoder, Bernoulli((5,)), StandardNormal(1), IAFPosterior(1))
    batch = {"x": torch.rand(8, 5).round()}
    losses = ELBO()(space, batch, 0)
    assert losses.kl.shape == (8, 1)
    assert IWAE(3)(space, batch, 0).loss.isfinite()


def test_sizes_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 1 step of the flow, got 0"):
        IAFPosterior(2, 0)
    with pytest.raises(ValueError, match=r"at least one hidden width to be positive, got 2, 2, 2 and \[\]"):
        IAFPosterior(2, 1, ())
