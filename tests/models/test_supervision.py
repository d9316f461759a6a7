"""Labels and pairs: M2 by explicit sums over classes, Ada-GVAE by hand."""

from math import log

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, Normal, kl_divergence

from lsgen.latent import ClassCodes, ClassPosterior, EncodableLatentSpace, StandardNormal
from lsgen.latent.families.product import OneHot, Product
from lsgen.likelihoods import Bernoulli, FixedGaussian
from lsgen.models.vae import ELBO, AdaGVAE, SemiSupervised
from lsgen.models.vae.supervision.ada_gvae import share
from lsgen.nn import ClassEncoder, MLPDecoder, MLPEncoder

D, d, K, B = 6, 2, 3, 8


def _classes() -> EncodableLatentSpace:
    torch.manual_seed(0)
    encoder, decoder = nn.Linear(D, K * (1 + 2 * d)), MLPDecoder(d + K, (D,), hidden=[7], activation=nn.Tanh)
    prior = Product([StandardNormal(d), OneHot(K)])
    return EncodableLatentSpace(encoder, decoder, Bernoulli((D,)), prior, ClassPosterior(d, K)).double()


def _x(seed: int = 1) -> Tensor:
    return torch.rand(B, D, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).round()


def test_codes_are_distributed_as_class_and_normal() -> None:
    space = _classes()
    q = space.encode(_x())
    torch.manual_seed(0)
    c = q.sample((4000,))
    y = c[..., d:]
    assert bool((y.sum(-1) == 1).all())
    weights = q.log_classes.exp()
    assert bool(((y.mean(0) - weights).abs() < 5 * (weights * (1 - weights) / 4000).sqrt()).all())
    index = y.argmax(-1)
    loc = q.given.loc.expand(4000, B, K, d).gather(2, index[..., None, None].expand(-1, -1, 1, d)).squeeze(2)
    scale = q.given.scale.expand(4000, B, K, d).gather(2, index[..., None, None].expand(-1, -1, 1, d)).squeeze(2)
    expected = Categorical(weights).log_prob(index) + Normal(loc, scale).log_prob(c[..., :d]).sum(-1)
    torch.testing.assert_close(q.log_prob(c), expected)
    torch.testing.assert_close(c.var(0), q.variance, rtol=0.2, atol=0.02)
    deviation = c[..., :d].std(0) / 4000**0.5
    assert bool(((c[..., :d].mean(0) - q.mean[:, :d]).abs() < 5 * deviation).all())


def test_one_draw_for_every_class_has_its_law_and_the_noise_of_the_others() -> None:
    given = Normal(torch.randn(4000, K, d), torch.rand(4000, K, d) + 0.5)
    codes = ClassCodes(torch.zeros(4000, K), given).every_class()
    assert torch.equal(codes[..., d:], torch.eye(K)[:, None].expand(K, 4000, K))
    noise = (codes[..., :d].movedim(0, 1) - given.loc) / given.scale
    torch.testing.assert_close(noise, noise[:, :1].expand(-1, K, -1))
    assert bool((noise.mean((0, 1)).abs() < 5 / 4000**0.5).all())
    assert bool(((noise[:, 0].T.cov() - torch.eye(d)).abs() < 5 * (2 / 4000) ** 0.5).all())


def test_class_encoder_is_two_perceptrons_one_of_which_takes_the_class() -> None:
    torch.manual_seed(0)
    encoder = ClassEncoder((2, 3), d, K, hidden=[5, 4], activation=nn.Tanh).double()
    x, q = _x(), ClassPosterior(d, K)(encoder(_x()))
    torch.testing.assert_close(q.log_classes, torch.full((B, K), -log(K)).double())
    torch.testing.assert_close(q.given.loc, q.given.loc[:, :1].expand(B, K, d))
    with torch.no_grad():
        encoder.of_class.normal_()
        encoder.logits.layers[-1].weight.normal_()
    q = ClassPosterior(d, K)(encoder(x.unflatten(1, (2, 3))))
    first, _, second, _, third = encoder.logits.layers
    logits = third(torch.tanh(second(torch.tanh(first(x)))))
    torch.testing.assert_close(q.log_classes, logits - logits.logsumexp(-1, keepdim=True))
    weights = torch.cat([encoder.of_observation.weight, encoder.of_class.T], 1)
    for y in range(K):
        both = torch.cat([x, torch.eye(K, dtype=x.dtype)[y].expand(B, K)], 1)
        hidden = torch.tanh(both @ weights.T + encoder.of_observation.bias)
        mean, log_variance = encoder.following[3](torch.tanh(encoder.following[1](hidden))).split(d, -1)
        torch.testing.assert_close(q.given.loc[:, y], mean)
        torch.testing.assert_close(q.given.scale[:, y], (log_variance / 2).exp())


def test_divergence_of_class_and_code_is_its_expectation() -> None:
    space = _classes()
    q, p = space.encode(_x()), space.prior()
    torch.manual_seed(0)
    c = q.sample((20_000,))
    sampled = q.log_prob(c) - p.log_prob(c)
    error = 5 * sampled.std(0) / 20_000**0.5
    assert bool(((sampled.mean(0) - kl_divergence(q, p)).abs() < error).all())


def _by_hand(space: EncodableLatentSpace, x: Tensor, label: Tensor, alpha: float, weight: Tensor) -> Tensor:
    q = space.encode(x)
    codes = q.every_class()
    total = torch.zeros((), dtype=torch.float64)
    for n in range(B):
        bounds = []
        for y in range(K):
            fit = space.decode(codes[y, n]).log_prob(x[n])
            divergence = kl_divergence(Normal(q.given.loc[n, y], q.given.scale[n, y]), Normal(0.0, 1.0)).sum()
            bounds.append(fit - log(K) - divergence)
        weights = q.log_classes[n].exp()
        if label[n] >= 0:
            term = bounds[label[n]] + alpha * q.log_classes[n, label[n]]
        else:
            term = (weights * torch.stack(bounds)).sum() + Categorical(weights).entropy()
        total = total - weight[n] * term
    return total / B


def test_bounds_of_labelled_and_unlabelled_observations() -> None:
    space, x = _classes(), _x()
    label = torch.tensor([0, 1, 2, -1, -1, 2, -1, 0])
    torch.manual_seed(0)
    losses = SemiSupervised(alpha=3.0)(space, {"x": x, "label": label}, 0)
    torch.manual_seed(0)
    torch.testing.assert_close(losses.loss, _by_hand(space, x, label, 3.0, torch.ones(B)))
    weight = torch.linspace(0.2, 3.0, B, dtype=torch.float64)
    torch.manual_seed(0)
    weighted = SemiSupervised(alpha=3.0)(space, {"x": x, "label": label, "weight": weight}, 0)
    torch.manual_seed(0)
    torch.testing.assert_close(weighted.loss, _by_hand(space, x, label, 3.0, weight))
    torch.testing.assert_close(weighted.reconstruction, weight * losses.reconstruction)
    torch.testing.assert_close(weighted.scalars["classification"], losses.scalars["classification"])
    known = label >= 0
    guess = space.encode(x).log_classes.argmax(-1)
    assert losses.scalars["accuracy"].item() == pytest.approx((guess == label)[known].double().mean().item())


def test_every_part_learns_from_unlabelled_data() -> None:
    space = _classes()
    SemiSupervised()(space, {"x": _x(), "label": torch.full((B,), -1)}, 0).loss.backward()
    assert all(bool(parameter.grad.any()) for parameter in space.parameters())


def test_gradient_of_a_class_beyond_doubt_is_finite() -> None:
    space = _classes()
    with torch.no_grad():
        space.encoder.weight[:K], space.encoder.bias[:K] = 0, torch.tensor([1e3, 0.0, -1e3])
    SemiSupervised()(space, {"x": _x(), "label": torch.full((B,), -1)}, 0).loss.backward()
    assert all(bool(parameter.grad.isfinite().all()) for parameter in space.parameters())
    torch.testing.assert_close(space.encoder.bias.grad[:K], torch.zeros(K, dtype=torch.float64))


def test_labels_and_classes_are_asked_for() -> None:
    space = _classes()
    with pytest.raises(ValueError, match='SemiSupervised expected batches with "label", got x'):
        SemiSupervised()(space, {"x": _x()}, 0)
    with pytest.raises(ValueError, match="ClassPosterior expected 15 outputs for 3 classes and 2 dimensions, got 4"):
        ClassPosterior(d, K)(torch.zeros(1, 4))
    with pytest.raises(TypeError, match="SemiSupervised expected a ClassPosterior and a prior Product"):
        SemiSupervised()(_plain(), {"x": _x(), "label": torch.zeros(B)}, 0)


def _plain() -> EncodableLatentSpace:
    torch.manual_seed(0)
    encoder, decoder = MLPEncoder((D,), 4, hidden=[7]), MLPDecoder(4, (D,), hidden=[7])
    return EncodableLatentSpace(encoder, decoder, FixedGaussian((D,)), StandardNormal(4)).double()


def test_dimensions_below_the_middle_of_the_divergences_are_shared() -> None:
    first = Normal(torch.tensor([[0.0, 0.0, 0.0, 0.0]]), torch.ones(1, 4))
    second = Normal(torch.tensor([[0.1, 2.0, 1.3, 1.5]]), torch.tensor([[1.0, 1.0, 1.0, 1.0]]))
    one, other, shared = share(first, second)
    assert shared.tolist() == [[True, False, True, False]]
    torch.testing.assert_close(one.loc, torch.tensor([[0.05, 0.0, 0.65, 0.0]]))
    torch.testing.assert_close(other.loc, torch.tensor([[0.05, 2.0, 0.65, 1.5]]))
    wide = Normal(torch.zeros(1, 2), torch.tensor([[1.0, 5.0]]))
    one, _, shared = share(Normal(torch.zeros(1, 2), torch.tensor([[3.0, 1.0]])), wide)
    assert int(shared.sum()) == 1
    torch.testing.assert_close(one.scale[shared], torch.tensor([((1 + 25) / 2) ** 0.5]))


def test_pairs_of_equal_observations_with_equal_noise_give_the_beta_vae() -> None:
    space, x = _plain(), _x()
    losses = AdaGVAE(beta=2.0)(space, {"x": x, "pair": x}, 0)
    q = space.encode(x)
    torch.testing.assert_close(losses.kl, kl_divergence(q.base_dist, Normal(0.0, 1.0)))
    torch.testing.assert_close(losses.loss, (losses.reconstruction + 2 * losses.kl.sum(1)).mean())
    torch.manual_seed(0)
    repeated = torch.stack([AdaGVAE()(space, {"x": x, "pair": x}, 0).loss for _ in range(300)])
    single = torch.stack([ELBO()(space, {"x": x}, 0).loss for _ in range(300)])
    error = 5 * ((repeated.var() + single.var()) / 300).sqrt().item()
    assert repeated.mean().item() == pytest.approx(single.mean().item(), abs=error)


def test_pairs_are_asked_for() -> None:
    with pytest.raises(ValueError, match='AdaGVAE expected batches with "pair" beside "x", got label, x'):
        AdaGVAE()(_plain(), {"x": _x(), "label": torch.zeros(B)}, 0)
    assert isinstance(_plain().encode(_x()), Independent)
