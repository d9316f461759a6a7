"""Ladders of any depth: three linear levels against the joint Gaussian they make, and residual levels by hand."""

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from lsgen.latent import (
    EncodableLatentSpace,
    LadderPosterior,
    ResidualLadderDecoder,
    ResidualLadderPosterior,
    StandardNormal,
    TopDownDecoder,
    TopDownPosterior,
)
from lsgen.likelihoods import Bernoulli, FixedGaussian
from lsgen.metrics import log_evidence
from lsgen.models.vae import ELBO, IWAE
from lsgen.nn import MLPEncoder, ResidualLadderEncoder

L, D, SIGMA = 3, 4, 0.6
F64 = torch.float64


class Linear(TopDownDecoder):
    """z_l = a_l . z_<l + b_l + s_l e_l, one number a level, and raw outputs W z + w."""

    def __init__(self) -> None:
        super().__init__([1] * L)
        g = torch.Generator().manual_seed(0)
        self.a = torch.randn(L, L, generator=g, dtype=F64).tril(-1)
        self.b, self.log_s = torch.randn(2, L, generator=g, dtype=F64)
        self.weight, self.bias = torch.randn(D, L, generator=g, dtype=F64), torch.randn(D, generator=g, dtype=F64)

    def start(self, like: Tensor) -> Tensor:
        return like[:, :0]

    def prior(self, level: int, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean = state @ self.a[level, :level, None] + self.b[level]
        return mean, self.log_s[level].expand_as(mean), state

    def descend(self, level: int, state: Tensor, z: Tensor) -> Tensor:
        return torch.cat([state, z], -1)

    def output(self, state: Tensor) -> Tensor:
        return state @ self.weight.T + self.bias

    def joint(self) -> tuple[Tensor, Tensor]:
        """Return mean and covariance of (z_1, z_2, z_3, x)."""
        way = torch.linalg.inv(torch.eye(L, dtype=F64) - self.a)
        mean, root = way @ self.b, way @ torch.diag(self.log_s.exp())
        both = torch.cat([torch.eye(L, dtype=F64), self.weight]) @ root
        noise = torch.diag(torch.cat([torch.zeros(L), torch.full((D,), SIGMA**2)]).double())
        return torch.cat([mean, self.weight @ mean + self.bias]), both @ both.T + noise


class Exact(TopDownPosterior):
    """The conditionals of z_l given z_<l and x of the joint Gaussian; raw outputs are the observation."""

    heads = 1
    raw_dim = D

    def messages(self, raw: Tensor) -> list[Tensor]:
        return [raw] * L

    def given(self, level: int, message: Tensor, state: Tensor, mean: Tensor, log_scale: Tensor) -> Normal:
        assert isinstance(self.ladder, Linear)
        centre, covariance = self.ladder.joint()
        known = [*range(level), *range(L, L + D)]
        gain = covariance[level, known] @ torch.linalg.inv(covariance[known][:, known])
        m = centre[level] + (torch.cat([state, message], -1) - centre[known]) @ gain
        s = (covariance[level, level] - gain @ covariance[known, level]).sqrt()
        return Normal((m[:, None] - mean) / log_scale.exp(), s / log_scale.exp())


def _linear() -> tuple[EncodableLatentSpace, Tensor, MultivariateNormal]:
    space = EncodableLatentSpace(
        nn.Identity(), Linear(), FixedGaussian((D,), SIGMA), StandardNormal(L), Exact()
    ).double()
    x = torch.randn(5, D, dtype=F64, generator=torch.Generator().manual_seed(1))
    mean, covariance = space.decoder.joint()
    return space, x, MultivariateNormal(mean[L:], covariance[L:, L:])


def _residual(relative: bool = True, levels: object = ((1, 3), (2, 2), (2, 1), (4, 1))) -> EncodableLatentSpace:
    torch.manual_seed(0)
    shape, width = (1, 5, 5), 6
    decoder = ResidualLadderDecoder(shape, levels, width)
    encoder, q = ResidualLadderEncoder(shape, levels, width), ResidualLadderPosterior(levels, width, relative=relative)
    return EncodableLatentSpace(encoder, decoder, Bernoulli(shape), StandardNormal(decoder.dim), q).double()


def _images(n: int = 3) -> Tensor:
    return torch.rand(n, 1, 5, 5, dtype=F64, generator=torch.Generator().manual_seed(1)).round()


def test_levels_follow_the_hierarchy() -> None:
    """The map from noise to the levels has the covariance of z_1, z_2, z_3, and a level moves none above it."""
    space, _, _ = _linear()
    noise = torch.cat([torch.zeros(1, L, dtype=F64), torch.eye(L, dtype=F64)])
    z = torch.cat(space.decoder.levels(noise), -1)
    root = (z[1:] - z[0]).T
    mean, covariance = space.decoder.joint()
    torch.testing.assert_close(z[0], mean[:L])
    torch.testing.assert_close(root @ root.T, covariance[:L, :L])
    assert torch.equal(root, root.tril())


def test_with_the_exact_posterior_every_draw_gives_the_evidence() -> None:
    space, x, evidence = _linear()
    q = space.encode(x)
    z, decoded = space.draw(q, (7,))
    bound = decoded.log_prob(x) + space.prior().log_prob(z) - q.log_prob(z)
    torch.testing.assert_close(bound, evidence.log_prob(x).expand(7, 5))
    found = log_evidence(space, x, 6, 4)
    torch.testing.assert_close(found.log_evidence, evidence.log_prob(x))
    torch.testing.assert_close(found.effective_samples, torch.full((5,), 6.0, dtype=F64))
    torch.testing.assert_close(IWAE(3)(space, {"x": x}, 0).loss, -evidence.log_prob(x).mean())


def test_divergences_of_the_levels_add_up_to_that_of_the_joint() -> None:
    space, x, evidence = _linear()
    mean, covariance = space.decoder.joint()
    gain = covariance[:L, L:] @ torch.linalg.inv(covariance[L:, L:])
    centre = mean[:L] + gain @ (x[0] - mean[L:])
    exact = MultivariateNormal(centre, covariance[:L, :L] - gain @ covariance[L:, :L])
    expected = kl_divergence(exact, MultivariateNormal(mean[:L], covariance[:L, :L]))
    torch.manual_seed(0)
    losses = ELBO()(space, {"x": x[:1].expand(20_000, D)}, 0)
    for found, wanted in ((losses.kl.sum(-1), expected), (losses.elbo, evidence.log_prob(x[0]))):
        assert found.mean().item() == pytest.approx(wanted.item(), abs=5 * found.std().item() / 20_000**0.5)


@pytest.mark.parametrize("relative", [True, False])
def test_density_of_residual_levels_is_that_of_their_codes(relative: bool) -> None:
    """The density of z_1 ... z_L, level by level, times the volume of the noise."""
    space, x = _residual(relative), _images()
    decoder, q = space.decoder, space.encode(x)
    e = torch.randn(3, decoder.dim, dtype=F64)
    maps = dict(zip((1, 2, 4), space.encoder(x).split([6, 24, 96], -1), strict=True))
    h, expected = decoder.first.expand(3, -1, -1, -1), torch.zeros(3, dtype=F64)
    for level, (z, (channels, side, _)) in enumerate(zip(decoder.levels(e), decoder.places, strict=True)):
        m, log_s, added = decoder.priors[level](h).split([channels, channels, 6], 1)
        m, log_s = 5 * torch.tanh(m / 5), 5 * torch.tanh(log_s / 5)
        heads = space.posterior.blocks[level](torch.cat([h, maps[side].reshape(3, 6, side, side)], 1))
        mq, log_q = (5 * torch.tanh(head / 5) for head in heads.chunk(2, 1))
        mq, log_q = (m + mq, log_s + log_q) if relative else (mq, log_q)
        z = z.reshape(m.shape)
        expected = expected + (Normal(mq, log_q.exp()).log_prob(z) + log_s).flatten(1).sum(1)
        h = decoder.blocks[level](h + added + decoder.entries[level](z))
        h = torch.nn.functional.interpolate(h, size=[*decoder.places, (0, 5, 5)][level + 1][1:])
    torch.testing.assert_close(q.log_prob(e), expected)
    torch.testing.assert_close(decoder.output(h), space.raw(e))


def test_a_level_changes_only_what_is_below_it() -> None:
    space = _residual()
    e = torch.randn(space.dim, dtype=F64, generator=torch.Generator().manual_seed(2))
    jacobian = torch.autograd.functional.jacobian(lambda e: torch.cat(space.decoder.levels(e[None]), -1)[0], e)
    edges = [0, 3, 11, 15, 31]
    for i in range(4):
        for j in range(4):
            block = jacobian[edges[i] : edges[i + 1], edges[j] : edges[j + 1]]
            assert bool(block.any()) == (j <= i)
    image = torch.autograd.functional.jacobian(lambda e: space.raw(e), e)
    assert image.flatten(0, -2).any(0).all()
    assert space.level_sizes == (3, 8, 4, 16)


@pytest.mark.slow
def test_one_way_down_draws_weighs_and_decodes() -> None:
    space, x = _residual(), _images()
    q = space.encode(x)
    z, decoded = space.draw(q, (2,))
    torch.testing.assert_close(decoded.mean, space.decode(z).mean)
    torch.testing.assert_close(q.log_prob(z), q.log_prob(z.clone()))
    torch.testing.assert_close(q.log_prob(z[0]), q.log_prob(z)[0])
    assert q.factors(z) is q.factors(z)
    with torch.no_grad():
        z = q.sample()
    assert q.log_prob(z).requires_grad
    alone = torch.cat([space.encode(x[i : i + 1]).log_prob(z[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(q.log_prob(z), alone)


def test_draws_of_the_prior_are_reproduced() -> None:
    space = _residual().eval()
    drawn = []
    for _ in range(2):
        torch.manual_seed(4)
        drawn.append(space.sample(3))
    assert torch.equal(*drawn)
    assert drawn[0].shape == (3, 1, 5, 5)


@pytest.mark.parametrize("scale", [1e-6, 1e6, 1e15])
def test_extremes_give_no_nan(scale: float) -> None:
    for relative in (True, False):
        space = _residual(relative).float()
        raw = space.encoder(_images().float()).detach() * scale
        q = space.posterior(raw)
        z, decoded = space.draw(q)
        kl = torch.distributions.kl_divergence(q.factors(z).base_dist, space.prior().base_dist)
        loss = kl.sum() - decoded.log_prob(_images().float()).sum()
        assert loss.isfinite()
        gradients = torch.autograd.grad(loss, list(space.posterior.parameters()))
        assert all(gradient.isfinite().all() for gradient in gradients)


def test_precision_weighting_takes_any_number_of_levels() -> None:
    decoder = ResidualLadderDecoder((5,), [(1, 2), (1, 3), (1, 1)], 4)
    encoder, prior = MLPEncoder((5,), decoder.dim, hidden=[4]), StandardNormal(decoder.dim)
    space = EncodableLatentSpace(encoder, decoder, FixedGaussian((5,)), prior, LadderPosterior())
    losses = ELBO()(space, {"x": torch.randn(3, 5)}, 0)
    losses.loss.backward()
    assert losses.kl.shape == (3, 6)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in space.parameters())


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ([], r"expected at least one level, each a side and channels of at least 1, got \[\]"),
        ([(1, 0)], r"expected at least one level, each a side and channels"),
        ([(4, 1), (2, 1)], r"expected sides that grow from the top down to at most 5, got \[4, 2\]"),
        ([(1, 1), (8, 1)], r"expected sides that grow from the top down to at most 5, got \[1, 8\]"),
    ],
)
def test_levels_that_do_not_fit_are_refused(levels: list[tuple[int, int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ResidualLadderDecoder((1, 5, 5), levels, 4)


@pytest.mark.parametrize(("width", "bottleneck"), [(0, 0.25), (4, -1.0), (4, 1.5), (4, float("nan"))])
def test_blocks_without_channels_are_refused_by_every_part(width: int, bottleneck: float) -> None:
    message = rf"expected a width of at least 1 and a bottleneck in \(0, 1\], got {width} and {bottleneck}"
    for part in (ResidualLadderEncoder, ResidualLadderDecoder):
        with pytest.raises(ValueError, match=message):
            part((1, 4, 4), width=width, bottleneck=bottleneck)
    with pytest.raises(ValueError, match=message):
        ResidualLadderPosterior(width=width, bottleneck=bottleneck)


def test_other_shapes_and_levels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected a vector .* or a square image .*, got shape \(1, 4, 5\)"):
        ResidualLadderEncoder((1, 4, 5))
    posterior = ResidualLadderPosterior([(1, 3)], 6)
    with pytest.raises(ValueError, match="ResidualLadderPosterior expected the decoder's levels"):
        posterior.bind(ResidualLadderDecoder((5,), [(1, 2)], 6))
    with pytest.raises(TypeError, match="ResidualLadderPosterior expected a ResidualLadderDecoder, got Linear"):
        posterior.bind(Linear())
