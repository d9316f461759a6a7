"""Maps that draw random numbers: refused by every quantity, or held fixed for all codes, calls and batches."""

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from lsgen.geometry import (
    Immersion,
    MetricField,
    curve_length,
    exp_map,
    immersion,
    metric,
    metric_field,
    scalar_curvature,
)
from lsgen.geometry.jets import FrozenNoise
from lsgen.geometry.large import MetricOperator
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import Bernoulli, FixedGaussian
from lsgen.models.gan.space import GeneratorSpace
from lsgen.nn.adversarial.stylegan import StyleGenerator

f64 = torch.float64
W = torch.linspace(-1, 1, 12, dtype=f64).reshape(2, 6)


class Noisy(nn.Module):
    """A decoder with noise injection, which can be switched off."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last, self.noise = nn.Linear(2, 8).double(), nn.Linear(8, 5).double(), True

    def forward(self, z: Tensor) -> Tensor:
        h = self.first(z).tanh()
        if self.noise:
            h = h * (1 + 0.3 * torch.randn(len(h), 1, dtype=h.dtype, device=h.device))
        return self.last(h)


def base(z):
    return (z @ W.to(z)).sin()


def reseeded(z):
    return base(z) * torch.randn(len(z), 1, generator=torch.Generator().manual_seed(0)).to(z)


def reseeded_globally(z):
    torch.manual_seed(0)
    return base(z) * torch.rand(len(z), 1).to(z)


def branching(z):
    h = base(z)
    return h if h.sum() > 1e9 else h * torch.rand_like(h)


HELD = {
    "noise injection": Noisy(),
    "a reseeded generator": reseeded,
    "a global reseed": reseeded_globally,
    "without a trace": branching,
    "one draw for all": lambda z: base(z) * torch.randn(6).to(z),
    "dropout": lambda z: F.dropout(base(z), 0.5, training=True),
    "dropout of channels": lambda z: F.dropout2d(base(z)[:, :, None, None], 0.5, training=True).flatten(1),
    "alpha dropout": lambda z: F.alpha_dropout(base(z), 0.5, training=True),
    "gumbel": lambda z: F.gumbel_softmax(base(z)),
    "bernoulli": lambda z: base(z) * torch.bernoulli(torch.full_like(base(z), 0.5)),
    "in place": lambda z: base(z) * torch.empty(len(z), 6).normal_().to(z),
    "integers": lambda z: base(z) * torch.randint(1, 3, (len(z), 1)),
}
REFUSED = {
    "multinomial": lambda z: base(z)[:, torch.multinomial(torch.ones(6), 3)],
    "numpy": lambda z: base(z) * (1 + 0.1 * np.random.randn()),  # noqa: NPY002
    "python": lambda z: base(z) * (1 + 0.1 * random.random()),
    "numpy, reseeded": lambda z: base(z) * torch.as_tensor(np.random.default_rng(0).normal(size=(len(z), 1))),
    "batch statistics": lambda z: F.batch_norm(base(z), None, None, training=True),
}
QUANTITIES = {
    "value": lambda im, z: im(z),
    "metric": metric,
    "scalar curvature": scalar_curvature,
    "length": curve_length,
    "exponential map": lambda im, z: exp_map(im, z, z),
    "operator": lambda im, z: MetricOperator(im, z)(z),
}


@pytest.mark.parametrize("name", [*HELD, *REFUSED])
def test_random_maps_are_refused_and_no_generator_moves(name):
    im, z = Immersion({**HELD, **REFUSED}[name], 2), torch.randn(4, 2, dtype=f64)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    sentence = "expected a deterministic map, got one that draws random numbers"
    if name in ("numpy", "python"):
        sentence = "expected a deterministic map, got one with other values when it is called again"
    elif name in REFUSED and name != "multinomial":
        sentence = "expected a map that treats every point by itself"
    for quantity in QUANTITIES.values():
        for codes in (z, z[:2]):
            with pytest.raises(ValueError, match=sentence):
                quantity(im, codes)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002
    assert before[2] == random.getstate()


@pytest.mark.parametrize("name", ["noise injection", "dropout", "without a trace", "bernoulli"])
def test_random_maps_are_refused_inside_transforms_and_of_fake_tensors(name):
    im, z = Immersion(HELD[name], 2), torch.randn(3, 2, dtype=f64)
    volume = lambda z: metric(im, z).sum()
    for transform in (torch.func.grad, torch.func.jacfwd, lambda f: torch.vmap(lambda x: f(x[None]))):
        with pytest.raises((ValueError, RuntimeError), match="random"):
            transform(volume)(z)
    if name == "dropout":
        with FakeTensorMode(), pytest.raises(ValueError, match="draws random numbers"):
            metric(Immersion(lambda x: F.dropout(x.sin(), 0.5, training=True), 2), torch.zeros(3, 2))


@pytest.mark.parametrize("name", HELD)
def test_frozen_noise_is_one_function_of_each_code(name):
    """Its metric is that of the Jacobian of single codes, at every call and in every batch."""
    fn, z = FrozenNoise(HELD[name], seed=1), torch.randn(5, 2, dtype=f64)
    im = Immersion(fn, 2)
    x, g = im(z), metric(im, z)
    jacobian = torch.stack([torch.autograd.functional.jacobian(lambda y: fn(y[None])[0], y) for y in z])
    assert torch.allclose(g, jacobian.mT @ jacobian, atol=1e-12)
    assert g.abs().max() > 1e-3
    torch.rand(3)
    assert torch.allclose(im(z[[3, 1]]), x[[3, 1]], atol=1e-14)
    assert torch.allclose(metric(im, z[2]), g[2], atol=1e-14)
    scale = HELD[name](z).detach().std()
    assert 0.1 < x.std() / scale < 10
    assert not torch.allclose(FrozenNoise(HELD[name], seed=2)(z), x, atol=1e-3)


def test_frozen_draws_follow_their_laws():
    """Against the moments of the uniform, normal and exponential laws and a share of one half, of 40,000 draws each."""
    size = 40_000
    laws = {
        "uniform": (lambda z: torch.rand(1, size) + 0 * z[:, :1], 1 / 2, 1 / 12),
        "normal": (lambda z: torch.empty(1, size).normal_(1.0, 2.0) + 0 * z[:, :1], 1.0, 4.0),
        "exponential": (lambda z: torch.empty(1, size).exponential_(2.0) + 0 * z[:, :1], 1 / 2, 1 / 4),
        "dropout": (lambda z: F.dropout(torch.ones(1, size), 0.5, True) + 0 * z[:, :1], 1.0, 1.0),
        "integers": (lambda z: torch.randint(2, 5, (1, size)) + 0 * z[:, :1], 3.0, 2 / 3),
    }
    for fn, mean, variance in laws.values():
        x = FrozenNoise(fn, 3)(torch.zeros(2, 2))
        assert torch.equal(x[0], x[1])
        assert abs(x[0].mean() - mean) < 5 * (variance / size) ** 0.5
        assert abs(x[0].var() / variance - 1) < 0.1


def test_frozen_noise_is_the_same_in_both_precisions():
    noisy = FrozenNoise(lambda z: torch.randn(len(z), 6, dtype=z.dtype), 0)
    wide, narrow = noisy(torch.zeros(3, 2, dtype=f64)), noisy(torch.zeros(3, 2))
    assert torch.allclose(wide, narrow.double(), atol=1e-6)


def test_frozen_noise_of_latent_spaces():
    """By the option of `immersion` and `metric_field`, which then agree with each other."""
    space = LatentSpace(Noisy(), Bernoulli((5,)), StandardNormal(2)).eval()
    z = torch.randn(3, 2, dtype=f64)
    for made in (immersion(space), metric_field(space)):
        with pytest.raises(ValueError, match="draws random numbers"):
            metric(made, z)
    g, field, other = (
        metric(make(space, frozen_noise=seed), z) for make, seed in ((immersion, 1), (metric_field, 1), (immersion, 2))
    )
    assert torch.allclose(g, field, rtol=1e-10)
    assert not torch.allclose(g, other, rtol=1e-3)


def test_noise_that_is_switched_on_and_off_is_noticed():
    net, z = Noisy(), torch.randn(3, 2, dtype=f64)
    im, field = Immersion(net, 2), MetricField(lambda z: torch.diag_embed(net(z)[:, :2].exp()), 2)
    for quantity in (lambda: metric(im, z), lambda: metric(field, z)):
        net.noise = False
        found = quantity()
        assert torch.equal(found, quantity())
        net.noise = True
        with pytest.raises(ValueError, match="draws random numbers"):
            quantity()


def test_dropout_that_is_off_is_not_refused():
    net = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Tanh(), nn.Linear(8, 6)).double().eval()
    z = torch.randn(3, 2, dtype=f64)
    plain = nn.Sequential(net[0], net[2], net[3])
    assert torch.allclose(metric(Immersion(net, 2), z), metric(Immersion(plain, 2), z))
    layer = nn.TransformerEncoderLayer(4, 2, 8, 0.1, batch_first=True).double().eval()
    attention = lambda z: layer(base(z)[:, :4, None].expand(-1, -1, 4)).flatten(1)
    assert torch.isfinite(metric(Immersion(attention, 2), z)).all()


def test_the_noise_of_a_style_generator_is_held_by_its_space():
    """Noise is zero outside of training, so that images are functions of codes; in training it is refused."""
    net = StyleGenerator(4, (1, 8, 8), width=8, channels=(8, 8), mapping_layers=2)
    for name, weight in net.named_parameters():
        if name.endswith("strength"):
            nn.init.constant_(weight, 0.5)
    space, z = GeneratorSpace(net, FixedGaussian((1, 8, 8)), StandardNormal(4)), torch.randn(3, 4)
    with pytest.raises(ValueError, match="expected a map in eval mode"):
        metric(immersion(space.train(), "euclidean"), z)
    im = immersion(space.eval(), "euclidean")
    g = metric(im, z)
    assert torch.allclose(metric(im, z[1]), g[1], rtol=1e-4)
    assert torch.equal(metric(im, z), g)


REFUSALS = {
    "map": (lambda: FrozenNoise(3), TypeError, "expected a map z -> f\\(z\\), got int"),
    "seed": (lambda: FrozenNoise(base, 0.5), TypeError, "expected a seed that is a whole number, got float"),
    "kind": (
        lambda: FrozenNoise(REFUSED["multinomial"])(torch.zeros(2, 2)),
        ValueError,
        "expected draws that can be held fixed, got those of aten.multinomial",
    ),
    "normal": (
        lambda: FrozenNoise(lambda z: torch.normal(base(z), 0.1))(torch.zeros(2, 2)),
        ValueError,
        "write mean \\+ std \\* torch.randn_like",
    ),
    "shape": (
        lambda: FrozenNoise(lambda z: base(z) * torch.rand(len(z) + 1)[:-1, None])(torch.zeros(3, 2)),
        ValueError,
        "got \\(2,\\) for one code and \\(4,\\) for 3",
    ),
    "number": (
        lambda: FrozenNoise(lambda z: sum(torch.rand(1) for _ in z) + z)(torch.zeros(3, 2)),
        ValueError,
        "draws as often for many codes as for one",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    call, kind, sentence = REFUSALS[name]
    with pytest.raises(kind, match=sentence):
        call()
