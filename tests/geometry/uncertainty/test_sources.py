"""Latent spaces that know how sure their decoder is."""

import sys

import pytest
import torch
from torch import Tensor, nn

from lsgen.geometry import Immersion, geodesic, immersion, jet, metric, metric_field, scalar_curvature
from lsgen.geometry.uncertainty import Dropout, Ensemble, LaplaceApproximation, RBFUncertainty, independent_energy
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import Bernoulli, Beta, FixedGaussian, Gaussian, Likelihood
from lsgen.models.gan import GeneratorSpace, RescaledGenerator
from lsgen.nn import MLPDecoder, RBFPrecision
from lsgen.nn.adversarial.dcgan import DCGANGenerator

f64 = torch.float64
FAMILIES = [Bernoulli((3,)), Gaussian((3,))]


def _decoder(likelihood: Likelihood, *extra: nn.Module) -> nn.Module:
    layers = [nn.Linear(2, 12), nn.Tanh(), *extra, nn.Linear(12, likelihood.raw_shape[0])]
    return nn.Sequential(*layers).double().eval()


def _space(likelihood: Likelihood, *extra: nn.Module) -> LatentSpace:
    return LatentSpace(_decoder(likelihood, *extra), likelihood, StandardNormal(2))


def _ensemble(likelihood: Likelihood, members: int = 3) -> tuple[LatentSpace, list[nn.Module]]:
    decoders = [_decoder(likelihood) for _ in range(members)]
    return LatentSpace(decoders[0], likelihood, StandardNormal(2)), decoders


@pytest.mark.parametrize(
    ("likelihood", "kind"),
    [(FAMILIES[0], "euclidean"), (FAMILIES[0], "fisher"), (FAMILIES[1], "expected"), (FAMILIES[1], "fisher")],
    ids=lambda x: x if isinstance(x, str) else type(x).__name__,
)
def test_the_metric_of_an_ensemble_is_the_average_of_its_members(likelihood: Likelihood, kind: str) -> None:
    space, decoders = _ensemble(likelihood)
    z = torch.randn(5, 2, dtype=f64)
    average = sum(metric(immersion(LatentSpace(d, likelihood, space.prior), kind), z) for d in decoders) / 3
    together = immersion(space, kind, uncertainty=Ensemble(decoders))
    torch.testing.assert_close(metric(together, z), average)
    if kind == "fisher":
        torch.testing.assert_close(metric_field(Ensemble(decoders)(space))(z), average)


def test_the_curvature_of_an_ensemble_is_that_of_its_average_metric() -> None:
    space, decoders = _ensemble(Gaussian((3,)), 2)
    z = torch.randn(4, 2, dtype=f64)
    extrinsic = scalar_curvature(immersion(space, uncertainty=Ensemble(decoders)), z)
    intrinsic = scalar_curvature(metric_field(Ensemble(decoders)(space)), z)
    torch.testing.assert_close(extrinsic, intrinsic, rtol=1e-6, atol=1e-6)


def test_features_see_every_member_by_itself() -> None:
    likelihood, features = FixedGaussian((3,)), nn.Sequential(nn.Linear(3, 4), nn.Tanh()).double().eval()
    space, decoders = _ensemble(likelihood)
    z = torch.randn(5, 2, dtype=f64)
    average = sum(metric(Immersion(nn.Sequential(d, features), 2), z) for d in decoders) / 3
    torch.testing.assert_close(metric(immersion(space, "euclidean", features, Ensemble(decoders)), z), average)


def test_a_family_without_embedding_has_the_average_metric_too() -> None:
    likelihood = Beta((3,))
    space, decoders = _ensemble(likelihood)
    z = torch.randn(5, 2, dtype=f64)
    average = sum(metric_field(LatentSpace(d, likelihood, space.prior))(z) for d in decoders) / 3
    torch.testing.assert_close(metric_field(Ensemble(decoders)(space))(z), average)


def test_an_ensemble_predicts_with_the_mixture_of_its_members() -> None:
    space, decoders = _ensemble(Bernoulli((3,)))
    z, x = torch.randn(2, 5, 2, dtype=f64), torch.rand(2, 5, 3, dtype=f64).round()
    each = torch.stack([Bernoulli((3,))(d(z)).log_prob(x) for d in decoders])
    torch.testing.assert_close(Ensemble(decoders)(space).decode(z).log_prob(x), each.exp().mean(0).log())
    mean = torch.stack([d(z).sigmoid() for d in decoders]).mean(0)
    torch.testing.assert_close(Ensemble(decoders)(space).decode(z).mean, mean)


@pytest.mark.parametrize("likelihood", FAMILIES, ids=lambda x: type(x).__name__)
def test_geodesics_of_fixed_members_have_an_energy_that_converges(likelihood: Likelihood) -> None:
    space, decoders = _ensemble(likelihood)
    im = immersion(space, uncertainty=Ensemble(decoders))
    start, end = torch.tensor([[-1.0, 0.3]], dtype=f64), torch.tensor([[1.0, -0.5]], dtype=f64)
    energies = torch.cat([geodesic(im, start, end, points=n).energy for n in (9, 17, 33, 65)])
    steps = energies.diff().abs()
    assert bool((steps[1:] < steps[:-1] / 3).all())


def test_independent_members_have_an_energy_that_grows_with_the_square_of_the_segments() -> None:
    space, decoders = _ensemble(FixedGaussian((3,)))
    im = immersion(space, "euclidean", uncertainty=Ensemble(decoders))
    start, end = torch.tensor([[-1.0, 0.3], [1.0, -0.5]], dtype=f64)
    line = lambda n: torch.lerp(start, end, torch.linspace(0, 1, n + 1, dtype=f64)[:, None])[None]
    segments = [32, 128, 512]
    energies = torch.cat([independent_energy(im, line(n)) for n in segments])
    f = torch.stack([d(line(4096)[0]) for d in decoders])
    variance = (f - f.mean(0)).square().sum(-1).mean(0)
    leading = 2 * torch.trapezoid(variance, torch.linspace(0, 1, 4097, dtype=f64))
    errors = (energies / torch.tensor(segments).double() ** 2 / leading - 1).abs()
    assert errors[-1] < 1e-3
    assert bool((errors[1:] < errors[:-1] / 8).all())
    pairs = torch.stack([torch.stack([(a[1:] - b[:-1]).square().sum() for a in f[:, ::1024]]) for b in f[:, ::1024]])
    torch.testing.assert_close(independent_energy(im, line(4)), 4 * pairs.mean()[None])


@pytest.mark.slow
def test_drawn_members_have_the_exact_energy_on_average() -> None:
    space, decoders = _ensemble(FixedGaussian((3,)))
    im = immersion(space, uncertainty=Ensemble(decoders))
    curves = torch.randn(2, 5, 2, dtype=f64)
    generator = torch.Generator().manual_seed(0)
    single = torch.stack([independent_energy(im, curves, 1, generator) for _ in range(2000)])
    error = (single.mean(0) - independent_energy(im, curves)) / (single.std(0) / 2000**0.5)
    assert bool((error.abs() < 5).all())
    many = independent_energy(im, curves, 7, torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(1)
    masks = torch.randint(3, (7, 2, 5), generator=generator)
    f = torch.stack([d(curves) for d in decoders], 2)
    by_hand = [4 * f.take_along_dim(m[..., None, None], 2)[:, :, 0].diff(dim=1).square().sum((1, 2)) for m in masks]
    torch.testing.assert_close(many, torch.stack(by_hand).mean(0))


def test_dropout_masks_are_drawn_once_and_share_the_weights() -> None:
    torch.manual_seed(0)
    space = _space(Bernoulli((3,)), nn.Dropout(0.4))
    uncertain, z = Dropout(4, seed=3)(space), torch.randn(6, 2, dtype=f64)
    h = uncertain.raw(z)
    assert h.shape == (6, 4, 3)
    torch.testing.assert_close(uncertain.raw(z), h, rtol=0, atol=0)
    torch.testing.assert_close(Dropout(4, seed=3)(space).raw(z), h, rtol=0, atol=0)
    assert not torch.allclose(Dropout(4, seed=4)(space).raw(z), h)
    hidden, last = space.decoder[:2](z), space.decoder[3]
    for n, member in enumerate(uncertain.decoder.decoders):
        mask = member[2].mask
        assert bool(((mask == 0) | ((mask - 1 / 0.6).abs() < 1e-6)).all())
        torch.testing.assert_close(h[:, n], last(hidden * mask))
        assert member[0].weight is space.decoder[0].weight
    assert isinstance(space.decoder[2], nn.Dropout)
    assert bool(torch.isfinite(scalar_curvature(immersion(space, uncertainty=Dropout(4)), z)).all())


def test_dropout_of_channels_drops_whole_channels() -> None:
    decoder = nn.Sequential(nn.Linear(2, 40), nn.Unflatten(1, (10, 2, 2)), nn.Dropout2d(0.5), nn.Conv2d(10, 1, 1))
    space = LatentSpace(decoder.eval(), FixedGaussian((1, 2, 2)), StandardNormal(2))
    assert Dropout(2)(space).decoder.decoders[0][2].mask.shape == (1, 10, 1, 1)


def _rbf(space: LatentSpace, codes: Tensor, largest: float = 100.0) -> RBFPrecision:
    precision = RBFPrecision(2, space.likelihood.shape, centres=6, largest=largest).double()
    precision.fit(codes, 0.1 * torch.rand(len(codes), *space.likelihood.shape, dtype=f64))
    return precision


@pytest.mark.slow
def test_rbf_adds_the_jacobian_of_the_deviation() -> None:
    space = _space(Bernoulli((3,)))
    precision = _rbf(space, torch.randn(40, 2, dtype=f64))
    z = torch.randn(5, 2, dtype=f64)
    mean = jet(lambda z: space.decoder(z).sigmoid(), z).jacobian
    sigma = jet(lambda z: precision(z) ** -0.5, z).jacobian
    expected = immersion(space, "expected", uncertainty=RBFUncertainty(precision))
    torch.testing.assert_close(metric(expected, z), mean @ mean.mT + sigma @ sigma.mT)
    torch.testing.assert_close(
        metric(immersion(space, uncertainty=RBFUncertainty(precision)), z),
        (mean / precision(z)[:, None] ** -0.5) @ (mean / precision(z)[:, None] ** -0.5).mT
        + 2 * (sigma * precision(z)[:, None] ** 0.5) @ (sigma * precision(z)[:, None] ** 0.5).mT,
    )
    assert bool(torch.isfinite(scalar_curvature(immersion(space, uncertainty=RBFUncertainty(precision)), z)).all())
    assert all(parameter.requires_grad for parameter in space.decoder.parameters())


def test_rbf_geodesics_keep_to_the_codes_where_straight_lines_leave_them() -> None:
    angle = torch.linspace(0, 1.5 * torch.pi, 400, dtype=f64)
    codes = torch.stack([angle.cos(), angle.sin()], 1)
    space = LatentSpace(MLPDecoder(2, (2,), []).double(), FixedGaussian((2,)), StandardNormal(2)).eval()
    precision = RBFPrecision(2, (2,), centres=30, bandwidth=1.5, largest=30.0).double()
    precision.fit(codes, 0.3 * torch.rand(400, 2, dtype=f64))
    start, end = codes[:1], codes[-1:]
    along = codes[torch.linspace(0, 399, 33).long()][None]
    im = immersion(space, "expected", uncertainty=RBFUncertainty(precision))
    straight = torch.lerp(start[:, None], end[:, None], torch.linspace(0, 1, 33, dtype=f64)[:, None])
    length = lambda curve: im(curve).diff(dim=1).norm(dim=-1).sum()
    flat = lambda curve: immersion(space, "euclidean")(curve).diff(dim=1).norm(dim=-1).sum()
    assert flat(straight) < flat(along)
    assert length(along) < length(straight)


REFUSALS = {
    "no decoder": (lambda s: Ensemble([]), ValueError, "expected at least one decoder, got none"),
    "no member": (lambda s: Dropout(0), ValueError, "expected at least 1 member, got 0"),
    "no dropout": (lambda s: Dropout()(s), ValueError, "expected a decoder with dropout, got Sequential without"),
    "mode": (
        lambda s: Dropout()(LatentSpace(nn.Dropout(), s.likelihood, s.prior)),
        ValueError,
        "expected a decoder in eval mode, got one in train mode",
    ),
    "shape": (
        lambda s: RBFUncertainty(RBFPrecision(2, (4,)))(s),
        ValueError,
        r"expected a precision of dimension and shape \(2, 3\), got \(2, 4\)",
    ),
    "switch": (
        lambda s: immersion(s, uncertainty="rbf"),
        TypeError,
        "expected uncertainty to be an Uncertainty, got str",
    ),
    "members": (
        lambda s: independent_energy(immersion(s), torch.zeros(1, 3, 2, dtype=f64)),
        TypeError,
        "expected the immersion of a space with members, got one without",
    ),
    "curve": (
        lambda s: independent_energy(immersion(s, uncertainty=Ensemble([s.decoder])), torch.zeros(3, 2, dtype=f64)),
        ValueError,
        r"expected curves of shape \(B, N, d\) with N of at least 2, got \(3, 2\)",
    ),
    "draws": (
        lambda s: independent_energy(immersion(s, uncertainty=Ensemble([s.decoder])), torch.zeros(1, 3, 2).double(), 0),
        ValueError,
        "expected at least 1 draw, got 0",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name: str) -> None:
    call, kind, sentence = REFUSALS[name]
    with pytest.raises(kind, match=sentence):
        call(_space(Bernoulli((3,))))


def test_negative_signs_are_refused_where_values_are_compared() -> None:
    space = _space(Gaussian((3,)))
    im = immersion(space, uncertainty=Ensemble([space.decoder]))
    with pytest.raises(ValueError, match="expected a flat space with positive signs only, got negative ones"):
        independent_energy(im, torch.zeros(1, 3, 2, dtype=f64))


def _features() -> nn.Module:
    """Return a network of the kind that perceptual metrics use: convolutions, ReLU, pooling."""
    layers = [nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers).double().eval()


def test_a_perceptual_metric_of_a_generator_is_that_of_its_composition() -> None:
    generator = DCGANGenerator(3, (3, 16, 16), width=4).double().eval()
    space = GeneratorSpace(RescaledGenerator(generator, (0.0, 1.0)), FixedGaussian((3, 16, 16), 0.1), StandardNormal(3))
    features, z = _features(), torch.randn(3, 3, dtype=f64)
    im = immersion(space, "euclidean", features)
    whole = lambda u: features((generator(u[None]) + 1) / 2).flatten()
    jacobian = torch.func.vmap(torch.func.jacfwd(whole))(z)
    torch.testing.assert_close(metric(im, z), jacobian.mT @ jacobian)
    torch.testing.assert_close(im(z), torch.func.vmap(whole)(z))
    with pytest.raises(ValueError, match="expected a map in eval mode, got Dropout in train mode"):
        metric(immersion(space, "euclidean", nn.Sequential(features, nn.Dropout())), z)


def _linear() -> tuple[LatentSpace, Tensor, Tensor]:
    """Return a linear decoder at its least-squares weights for codes (N, 2) and observations (N, 3)."""
    z = torch.randn(200, 2)
    x = z @ torch.randn(2, 3) + 0.3 * torch.randn(200, 3)
    decoder = nn.Linear(2, 3, bias=False)
    with torch.no_grad():
        decoder.weight.copy_(torch.linalg.lstsq(z, x).solution.T)
    return LatentSpace(decoder, FixedGaussian((3,), 0.3), StandardNormal(2)).eval(), z, x


@pytest.mark.parametrize("structure", ["full", "kron"])
def test_laplace_draws_have_the_posterior_of_a_linear_decoder(structure: str) -> None:
    pytest.importorskip("laplace")
    space, z, x = _linear()
    uncertain = LaplaceApproximation(z, x, 1000, structure, prior_precision=2.0)(space)
    draws = torch.stack([member.weight.detach() for member in uncertain.decoder.decoders]).double()
    posterior = torch.linalg.inv(z.T @ z / 0.3**2 + 2 * torch.eye(2)).double()
    deviations = (draws - space.decoder.weight.double()).flatten(1)
    covariance = deviations.T @ deviations / 1000
    expected = torch.block_diag(*[posterior] * 3)
    variance = expected.diagonal()
    error = (covariance - expected).abs() / ((variance[:, None] * variance + expected**2) / 1000).sqrt()
    assert bool((error < 6).all())
    few = LaplaceApproximation(z, x, 5, structure, prior_precision=2.0)
    average = sum(member.weight.T @ member.weight for member in few(space).decoder.decoders) / 5
    torch.testing.assert_close(metric(immersion(space, "euclidean", uncertainty=few), z[:1])[0], average)


def test_laplace_members_are_repeatable_and_curved() -> None:
    pytest.importorskip("laplace")
    likelihood = FixedGaussian((3,), 0.1)
    decoder = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 3)).eval()
    space, z = LatentSpace(decoder, likelihood, StandardNormal(2)), torch.randn(50, 2)
    x = decoder(z).detach() + 0.1 * torch.randn(50, 3)
    first, again = (LaplaceApproximation(z, x, 3, seed=5)(space) for _ in range(2))
    torch.testing.assert_close(first.raw(z), again.raw(z), rtol=0, atol=0)
    assert first.raw(z).std(1).min() > 0
    assert bool(torch.isfinite(scalar_curvature(immersion(first), z[:3])).all())
    assert all(parameter.requires_grad for parameter in decoder.parameters())


def test_laplace_refusals() -> None:
    pytest.importorskip("laplace")
    z = torch.zeros(4, 2)
    with pytest.raises(ValueError, match="expected as many codes as observations, got 4 and 3"):
        LaplaceApproximation(z, torch.zeros(3, 3))
    with pytest.raises(ValueError, match="expected at least 1 member, got 0"):
        LaplaceApproximation(z, torch.zeros(4, 3), members=0)
    with pytest.raises(ValueError, match='expected structure "diag", "kron" or "full", got \'lowrank\''):
        LaplaceApproximation(z, torch.zeros(4, 3), structure="lowrank")
    with pytest.raises(TypeError, match="a Gaussian likelihood with one standard deviation, got Bernoulli"):
        LaplaceApproximation(z, torch.zeros(4, 3))(_space(Bernoulli((3,))))


def test_laplace_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "laplace", None)
    with pytest.raises(ImportError, match=r"needs laplace-torch, got none: pip install lsgen\[laplace\]"):
        LaplaceApproximation(torch.zeros(4, 2), torch.zeros(4, 3))
