"""M1+M2: the density of its posterior, its bound, and who learns from what."""

import pytest
import torch
from torch import Tensor, nn

from lsgen.latent import EncodableLatentSpace, LadderDecoder, StackedPosterior, StandardNormal
from lsgen.latent.families.product import OneHot, Product
from lsgen.likelihoods import FixedGaussian
from lsgen.metrics.evidence import log_evidence
from lsgen.models.losses import Losses
from lsgen.models.vae import StackedSemiSupervised
from lsgen.nn import ClassEncoder, MLPDecoder, MLPEncoder

D, d1, d2, K, B = 4, 2, 1, 3, 6


def _space() -> EncodableLatentSpace:
    torch.manual_seed(0)
    top = MLPEncoder((d2 + K,), d1, hidden=[6], activation=nn.Tanh)
    decoder = LadderDecoder(top, MLPDecoder(d1, (D,), hidden=[6], activation=nn.Tanh), d2 + K, d1)
    posterior = StackedPosterior(ClassEncoder((d1,), d2, K, hidden=[6], activation=nn.Tanh), d2, K, d1)
    prior = Product([StandardNormal(d2), OneHot(K), StandardNormal(d1)])
    encoder = MLPEncoder((D,), d1, hidden=[6], activation=nn.Tanh)
    space = EncodableLatentSpace(encoder, decoder, FixedGaussian((D,)), prior, posterior).double()
    with torch.no_grad():
        for parameter in posterior.parameters():  # classes alike, as at the start of training, would hide mistakes
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return space


def _x() -> Tensor:
    return torch.randn(B, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_density_is_that_of_the_draws() -> None:
    """E_p[ f q/p ] = E_q[ f ] for draws from the prior p, with f = 1 and the coordinates."""
    space, n = _space(), 40_000
    torch.manual_seed(1)
    q, p = space.encode(_x()[:2]), space.prior()
    c = p.sample((n,))[:, None].expand(-1, 2, -1)
    ratio = torch.exp(q.log_prob(c) - p.log_prob(c))
    drawn = q.sample((n,))
    for from_prior, from_q in (
        (ratio, torch.ones(n, 2)),
        *zip((ratio[..., None] * c).unbind(-1), drawn.unbind(-1), strict=True),
    ):
        error = 5 * ((from_prior.var(0) + from_q.var(0)) / n).sqrt()
        assert bool(((from_prior.mean(0) - from_q.mean(0)).abs() < error).all())


def test_reported_bound_is_the_expected_log_weight_and_below_the_evidence() -> None:
    space, x = _space(), _x()[:1]
    n = 4000
    batch = {"x": x.expand(n, D), "label": torch.full((n,), -1)}
    with torch.no_grad():
        torch.manual_seed(0)
        bounds = StackedSemiSupervised()(space, batch, 0).elbo
        q, p = space.encode(x), space.prior()
        c = q.sample((n,))
        weights = (space.decode(c).log_prob(x) + p.log_prob(c) - q.log_prob(c)).squeeze(1)
        evidence = log_evidence(space, x, samples=40_000, chunk_size=4000).log_evidence.item()
    error = 5 * ((bounds.var() + weights.var()) / n).sqrt().item()
    assert bounds.mean().item() == pytest.approx(weights.mean().item(), abs=error)
    assert bounds.var() < weights.var()  # the sum over classes is exact
    assert bounds.mean().item() < evidence + error


def test_each_part_learns_from_its_own_loss() -> None:
    space, x = _space(), _x()
    label = torch.tensor([0, 1, 2, -1, -1, 0])

    def gradients(label: Tensor, alpha: float) -> dict[str, Tensor]:
        space.zero_grad()
        torch.manual_seed(0)
        StackedSemiSupervised(alpha)(space, {"x": x, "label": label}, 0).loss.backward()
        return {name: p.grad.clone() for name, p in space.named_parameters()}

    first, second = gradients(label, 1.0), gradients(torch.full((B,), -1), 5.0)
    assert all(bool(gradient.any()) for gradient in first.values())
    for name, gradient in first.items():
        lower = name.startswith(("encoder", "decoder.bottom"))
        assert torch.equal(gradient, second[name]) == lower, name


@pytest.mark.parametrize(("step", "first"), [(0, True), (3, True), (4, False)])
def test_m1_learns_alone_in_the_first_steps_and_m2_alone_after_them(step: int, first: bool) -> None:
    """Gradients are those of learning side by side, or there are none."""
    space, batch = _space(), {"x": _x(), "label": torch.tensor([0, 1, 2, -1, -1, 0])}

    def gradients(objective: StackedSemiSupervised) -> tuple[dict[str, Tensor | None], Losses]:
        space.zero_grad()
        torch.manual_seed(0)
        losses = objective(space, batch, step)
        losses.loss.backward()
        return {name: p.grad for name, p in space.named_parameters()}, losses

    (both, expected), (found, losses) = (gradients(StackedSemiSupervised(2.0, steps)) for steps in (None, 4))
    for name, gradient in found.items():
        learns = name.startswith(("encoder", "decoder.bottom")) == first
        assert (gradient is not None) == learns, name
        torch.testing.assert_close(gradient, both[name] if learns else None)
    torch.testing.assert_close((losses.loss, losses.kl), (expected.loss, expected.kl))


def test_a_negative_number_of_first_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="expected first_steps of at least 0, got -1"):
        StackedSemiSupervised(first_steps=-1)


def test_accuracy_is_that_of_the_mean_of_the_codes() -> None:
    space = _space()
    x = torch.randn(200, D, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        space.encoder.layers[-1].bias[d1:] += 2.0  # draws say little
        log_classes = space.encode(x).posterior.upper(space.encode(x).lower.loc).log_classes
    label = log_classes.argmax(-1)
    label[:50] = -1
    label[50:80] = (label[50:80] + 1) % K
    scalars = StackedSemiSupervised()(space, {"x": x, "label": label}, 0).scalars
    assert scalars["accuracy"].item() == pytest.approx(120 / 150)
    assert not scalars["accuracy"].requires_grad


def test_other_spaces_are_refused() -> None:
    encoder, decoder = MLPEncoder((D,), 2), MLPDecoder(2, (D,))
    space = EncodableLatentSpace(encoder, decoder, FixedGaussian((D,)), StandardNormal(2))
    with pytest.raises(TypeError, match="StackedSemiSupervised expected a StackedPosterior, a LadderDecoder"):
        StackedSemiSupervised()(space, {"x": torch.zeros(1, D), "label": torch.zeros(1)}, 0)
    posterior = StackedPosterior(ClassEncoder((d1,), d2, K), d2, K, d1)
    prior = Product([StandardNormal(d2), OneHot(K), StandardNormal(d1)])
    with pytest.raises(ValueError, match=r"expected encoder.dim = posterior.raw_dim = 2, got encoder.dim = 6"):
        EncodableLatentSpace(MLPEncoder((D,), 6), MLPDecoder(6, (D,)), FixedGaussian((D,)), prior, posterior)


def test_densities_are_in_single_precision_where_the_networks_run_in_half() -> None:
    space, batch = _space().float(), {"x": _x().float(), "label": torch.full((B,), -1)}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        upper, losses = space.posterior.upper(torch.randn(B, d1)), StackedSemiSupervised()(space, batch, 0)
    assert upper.given.loc.dtype == upper.log_classes.dtype == losses.reconstruction.dtype == torch.float32


def test_weights_multiply_every_term_of_an_observation() -> None:
    space, x, label = _space(), _x(), torch.tensor([0, 1, 2, -1, -1, 0])
    weight = torch.linspace(0.2, 3.0, B, dtype=torch.float64)

    def losses(**more: Tensor) -> Losses:
        torch.manual_seed(0)
        return StackedSemiSupervised(2.0)(space, {"x": x, "label": label, **more}, 0)

    single = [losses(weight=row).loss for row in torch.eye(B, dtype=torch.float64)]
    torch.testing.assert_close(losses(weight=weight).loss, (weight * torch.stack(single)).sum())
    torch.testing.assert_close(losses().loss, torch.stack(single).sum())
    torch.testing.assert_close(losses(weight=weight).reconstruction, weight * losses().reconstruction)
    torch.testing.assert_close(losses(weight=weight).kl, weight[:, None] * losses().kl)
