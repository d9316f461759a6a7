"""Refined posteriors and inference gaps, on linear models whose posterior and evidence are known."""

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from lsgen.latent import Deterministic, EncodableLatentSpace, Posterior, StandardNormal
from lsgen.likelihoods import Bernoulli, FixedGaussian
from lsgen.metrics import AmortisationGap
from lsgen.models.vae import ELBO, Refinement, SemiAmortised
from lsgen.nn import MLPDecoder, MLPEncoder

d, D, SIGMA = 2, 4, 0.7
F64 = torch.float64


def _linear(orthogonal: bool) -> tuple[EncodableLatentSpace, Tensor, Tensor]:
    """Return x | z ~ N(W z, s^2) with a poor encoder, four observations and their posterior means."""
    torch.manual_seed(0)
    w, mixed = torch.randn(D, d, dtype=F64), torch.tensor([[0.6, 0.4], [0.0, 0.5]], dtype=F64)
    w = torch.linalg.qr(w)[0] * torch.tensor([1.5, 0.6]) if orthogonal else w @ mixed
    encoder, decoder = MLPEncoder((D,), d, hidden=()).double(), nn.Linear(d, D, bias=False).double()
    decoder.weight.data = w
    space = EncodableLatentSpace(encoder, decoder, FixedGaussian((D,), SIGMA), StandardNormal(d)).double()
    x = torch.randn(4, D, dtype=F64)
    means = x @ w @ torch.linalg.inv(_precision(w)) / SIGMA**2
    return space, x, means


def _precision(w: Tensor) -> Tensor:
    return torch.eye(d, dtype=F64) + w.T @ w / SIGMA**2


def _exact(w: Tensor, means: Tensor) -> MultivariateNormal:
    return MultivariateNormal(means, precision_matrix=_precision(w).expand(len(means), d, d))


def test_refined_posteriors_tend_to_the_exact_one() -> None:
    """Averaged over copies of an observation, as each ends with the noise of its own draws."""
    space, x, means = _linear(orthogonal=True)
    copies = x[:1].expand(400, D)
    distances = []
    for steps in (1, 10, 150):
        raw = Refinement(steps, 0.05, 0.5, None)(space, copies, space.outputs(copies), create_graph=False).mean(0)
        q = MultivariateNormal(raw[:d], torch.diag(raw[d:].exp()))
        distances.append(kl_divergence(q, _exact(space.decoder.weight, means[:1])).item())
    assert distances[0] > 5 * distances[1] > 5 * distances[2]
    assert distances[2] < 1e-2


def test_steps_are_those_of_the_algorithm() -> None:
    """One by one, with the gradient of each observation by itself, its length cut."""
    space, x, _ = _linear(orthogonal=False)
    start = space.outputs(x).detach()
    torch.manual_seed(1)
    found = Refinement(3, 0.1, 0.4, 15.0)(space, x, start, create_graph=False)
    torch.manual_seed(1)
    raw, velocity, lengths = start, torch.zeros_like(start), []
    for _ in range(3):
        e = torch.randn(4, d, dtype=F64)
        (m, v), w = raw.chunk(2, -1), space.decoder.weight.detach()
        z = m + (v / 2).exp() * e
        by_z = (z @ w.T - x) @ w / SIGMA**2
        gradient = torch.cat([by_z + m, by_z * e * (v / 2).exp() / 2 + (v.exp() - 1) / 2], -1)
        lengths.append(gradient.norm(dim=-1, keepdim=True))
        velocity = 0.4 * velocity - gradient * (15 / lengths[-1]).clamp(max=1)
        raw = raw + 0.1 * velocity
    torch.testing.assert_close(found, raw)
    assert (torch.cat(lengths) > 15).any()
    assert (torch.cat(lengths) < 15).any()


def test_gradient_through_the_steps_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    encoder, decoder = MLPEncoder((3,), d, [4], nn.Tanh), MLPDecoder(d, (3,), [4], nn.Tanh)
    space = EncodableLatentSpace(encoder, decoder, Bernoulli((3,)), StandardNormal(d)).double()
    objective, x = SemiAmortised(Refinement(3, 0.3, 0.5, 1.0)), torch.rand(4, 3, dtype=F64).round()

    def loss() -> Tensor:
        torch.manual_seed(2)
        return objective(space, {"x": x}, 0).loss

    loss().backward()
    parameters = [encoder.layers[0].weight, encoder.layers[2].bias, decoder.layers[0].weight]
    direct = torch.autograd.grad(ELBO()(space, {"x": x}, 0).loss, parameters)
    for parameter, plain in zip(parameters, direct, strict=True):
        assert not torch.allclose(parameter.grad, plain, rtol=0.05), "the steps matter"
        for place in ((0, 0), (1, 1)):
            at, step = place[: parameter.ndim], 1e-5
            with torch.no_grad():
                values = []
                for shift in (step, -2 * step):
                    parameter[at] += shift
                    values.append(loss())
                parameter[at] += step
            difference = (values[0] - values[1]) / (2 * step)
            torch.testing.assert_close(parameter.grad[at], difference, rtol=1e-6, atol=1e-9)


def test_an_observation_is_refined_whatever_the_others_are() -> None:
    space, x, _ = _linear(orthogonal=False)
    others, found = torch.cat([x[:1], 100 * x[1:]]), []
    for rows in (x, others):
        torch.manual_seed(3)
        found.append(Refinement(4)(space, rows, space.outputs(rows), create_graph=False))
    torch.testing.assert_close(found[0][0], found[1][0])
    assert not torch.allclose(found[0][1:], found[1][1:])


def test_evaluation_leaves_no_graph_and_works_in_inference_mode() -> None:
    space, x, _ = _linear(orthogonal=True)
    objective = SemiAmortised(Refinement(30, 0.05))
    with torch.inference_mode():
        losses = objective(space, {"x": x}, 0)
    assert not losses.loss.requires_grad
    assert losses.scalars["refined_by"] > 0
    assert all(p.grad is None for p in space.parameters())


@pytest.mark.parametrize("orthogonal", [True, False])
def test_gaps_are_those_of_the_closed_form(orthogonal: bool) -> None:
    space, x, means = _linear(orthogonal)
    w = space.decoder.weight.detach()
    precision = _precision(w)
    best = MultivariateNormal(means, torch.diag(1 / precision.diagonal()).expand(4, d, d))
    mean, log_variance = space.outputs(x).detach().chunk(2, -1)
    q = MultivariateNormal(mean, torch.diag_embed(log_variance.exp()))
    exact = _exact(w, means)
    approximation = kl_divergence(best, exact).mean()
    inference = kl_divergence(q, exact).mean()
    torch.manual_seed(0)
    gap = AmortisationGap(steps=250, lr=0.1, samples=4000, chunk_size=1000)
    gap.update(space, x[:3])
    gap.update(space, x[3:])
    found = gap.compute()
    assert found["approximation_gap"].item() == pytest.approx(approximation.item(), abs=0.04)
    assert found["amortisation_gap"].item() == pytest.approx((inference - approximation).item(), rel=0.03)
    assert (approximation.item() < 1e-9) == orthogonal


def test_extremes_give_no_nan() -> None:
    space, x, _ = _linear(orthogonal=True)
    space = space.float()
    for scale in (0.0, 1e4):
        start = space.outputs(x.float() * scale).detach().requires_grad_()
        raw = Refinement(5)(space, x.float() * scale, torch.cat([start[:, :d], start[:, d:].clamp(-30, 30)], 1), True)
        (gradient,) = torch.autograd.grad(raw.square().sum(), start)
        assert raw.isfinite().all()
        assert gradient.isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "expected at least 1 step, step_size > 0 and momentum in .*, got 0, 0.02 and 0.5"),
        ({"momentum": 1.0}, "got 20, 0.02 and 1.0"),
        ({"max_norm": 0.0}, "expected max_norm > 0, got 0.0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Refinement(**options)


def test_a_gap_needs_codes_with_a_gradient() -> None:
    class Sampled(Posterior):
        heads, reparameterised = 2, False

        def forward(self, raw: Tensor) -> Independent:
            return Independent(Normal(*raw.chunk(2, -1)), 1)

    space = EncodableLatentSpace(
        nn.Linear(D, 2 * d), nn.Linear(d, D), FixedGaussian((D,)), StandardNormal(d), Sampled()
    )
    with pytest.raises(TypeError, match="expected a posterior whose codes carry a gradient, got Sampled"):
        AmortisationGap(2).update(space, torch.zeros(1, D))
    points = EncodableLatentSpace(
        nn.Linear(D, d), nn.Linear(d, D), FixedGaussian((D,)), StandardNormal(d), Deterministic()
    )
    with pytest.raises(TypeError, match="points"):
        AmortisationGap(2).update(points, torch.zeros(1, D))
