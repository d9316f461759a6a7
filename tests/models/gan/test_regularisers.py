"""Penalties against critics and generators whose derivatives are known.

C(x) = <w, x>           grad C = w
C(x) = <a, x^2>/2       grad C = a x, another one at every observation
G(z) = W z              J = W
"""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.func import jacrev

from lsgen.models.gan import R1, R2, Consistency, GradientPenalty, PathLength
from lsgen.models.gan.regularisers.gradients import squared_gradient_norms
from lsgen.models.gan.regularisers.path_length import path_lengths
from lsgen.nn.adversarial.stylegan import StyleGenerator

W = torch.tensor([0.3, -2.0, 1.1, 0.7], dtype=torch.float64)
REAL = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
FAKE = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def _linear(w: Tensor) -> nn.Linear:
    layer = nn.Linear(4, 1, bias=False).double()
    layer.weight.data.copy_(w)
    return layer


@pytest.mark.parametrize("target", [0.0, 1.0, 3.0])
def test_gradient_penalty_of_a_linear_critic(target: float) -> None:
    layer = _linear(W)
    penalty = GradientPenalty(target=target)(lambda x: layer(x).squeeze(1), REAL, FAKE)
    torch.testing.assert_close(penalty, (W.norm() - target) ** 2)
    (gradient,) = torch.autograd.grad(penalty, layer.weight)
    torch.testing.assert_close(gradient[0], 2 * (W.norm() - target) * W / W.norm())


def test_every_observation_has_a_norm_and_a_place_of_its_own() -> None:
    places = []

    def critic(x: Tensor) -> Tensor:
        places.append(x.detach())
        return (W * x.square()).sum(1) / 2

    penalty = GradientPenalty()(critic, REAL, FAKE)
    torch.testing.assert_close(penalty, ((W * places[0]).norm(dim=1) - 1).square().mean())
    shares = (places[0] - FAKE) / (REAL - FAKE)
    torch.testing.assert_close(shares, shares[:, :1].expand(5, 4))
    assert ((shares > 0) & (shares < 1)).all()
    assert len(shares[:, 0].unique()) == 5


def test_r1_and_r2_of_a_quadratic_critic() -> None:
    a = W.clone().requires_grad_(True)
    critic = lambda x: (a * x.square()).sum(1) / 2
    for regulariser, x in ((R1(), REAL), (R2(), FAKE)):
        penalty = regulariser(critic, REAL, FAKE)
        torch.testing.assert_close(penalty, (W * x).square().sum(1).mean() / 2)
        (gradient,) = torch.autograd.grad(penalty, a)
        torch.testing.assert_close(gradient, (W * x.square()).mean(0))


def test_norms_of_images_run_over_all_their_dimensions() -> None:
    image = torch.randn(3, 2, 4, 5, dtype=torch.float64)
    norms = squared_gradient_norms(lambda x: x.pow(3).flatten(1).sum(1) / 3, image)
    torch.testing.assert_close(norms, image.pow(4).flatten(1).sum(1))


class _Shift(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 1


def test_consistency_is_the_squared_change_of_the_score() -> None:
    layer = _linear(W)
    critic = lambda x: layer(x).squeeze(1)
    assert Consistency(nn.Identity())(critic, REAL, FAKE) == 0
    torch.testing.assert_close(Consistency(_Shift())(critic, REAL, FAKE), W.sum() ** 2)


def test_path_lengths_of_a_linear_generator() -> None:
    matrix = torch.randn(6, 3, dtype=torch.float64)
    z = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    y = torch.randn(4, 6, dtype=torch.float64)
    torch.testing.assert_close(path_lengths(z @ matrix.T, z, y), (y @ matrix).norm(dim=1))


def test_path_length_follows_its_running_mean() -> None:
    regulariser = PathLength(decay=0.5).double()
    torch.manual_seed(0)
    z = torch.randn(64, 3, dtype=torch.float64)
    means = []
    for _ in range(3):
        state = torch.get_rng_state()
        penalty = regulariser(nn.Identity(), z, z)
        torch.set_rng_state(state)
        lengths = torch.randn_like(z).norm(dim=1)
        means.append(regulariser.mean.clone())
        previous = means[-2] if len(means) > 1 else torch.zeros((), dtype=torch.float64)
        torch.testing.assert_close(means[-1], (previous + lengths.mean()) / 2)
        torch.testing.assert_close(penalty, (lengths - means[-1]).square().mean())


def test_path_length_noise_is_scaled_by_the_pixels() -> None:
    images = nn.Sequential(nn.Linear(3, 2 * 8 * 8, bias=False), nn.Unflatten(1, (2, 8, 8))).double()
    regulariser = PathLength(decay=1.0).double()
    regulariser(images, torch.randn(20_000, 3, dtype=torch.float64), torch.empty(0))
    torch.manual_seed(0)
    y = torch.randn(200_000, 128, dtype=torch.float64)
    lengths = (y @ images[0].weight).norm(dim=1) / 8
    error = lengths.std() * math.sqrt(1 / 20_000 + 1 / 200_000)
    assert (regulariser.mean - lengths.mean()).abs() < 5 * error


def test_lazy_regularisation_keeps_the_average_strength() -> None:
    regulariser = R1(weight=3.0, every=4)
    factors = [regulariser.factor(updates) for updates in range(8)]
    assert factors == [12.0, 0, 0, 0, 12.0, 0, 0, 0]


def test_names_are_the_class_names_in_snake_case() -> None:
    assert [r.name for r in (R1(), GradientPenalty(), PathLength())] == ["r1", "gradient_penalty", "path_length"]


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a weight of at least 0, got -1"):
        R1(weight=-1)
    with pytest.raises(ValueError, match="expected a regulariser in every 1st or later update, got every = 0"):
        R1(every=0)
    with pytest.raises(ValueError, match="expected a target norm of at least 0, got -1"):
        GradientPenalty(target=-1)
    with pytest.raises(ValueError, match=r"expected a decay in \(0, 1\], got 0"):
        PathLength(decay=0)


@pytest.mark.parametrize("channels", [(6, 4), (6, 5, 4)])
def test_weight_two_is_the_gamma_of_the_style_based_paper(channels: tuple[int, ...]) -> None:
    r = 4 * 2 ** (len(channels) - 1)
    generator = StyleGenerator(3, (1, r, r), width=5, channels=channels, mapping_layers=2).double().eval()
    z = torch.randn(4, 3, dtype=torch.float64)
    torch.manual_seed(0)
    penalty = PathLength(decay=1.0).double()(generator, z, torch.empty(0))
    torch.manual_seed(0)
    y = torch.randn(4, 1, r, r, dtype=torch.float64)
    plus = generator.styles(z)[:, None].repeat(1, generator.synthesis.layers, 1)
    jacobians = [jacrev(lambda w: generator.synthesis(w[None])[0])(w) for w in plus]
    norms = torch.stack([torch.einsum("chw,chwlk->lk", a, J).norm() for a, J in zip(y, jacobians, strict=True)])
    gamma = math.log(2) / (r**2 * (math.log(r) - math.log(2)))
    torch.testing.assert_close(PathLength().weight * penalty, gamma * norms.var(correction=0))


def test_the_codes_of_a_style_generator_are_mixed_in_training() -> None:
    torch.manual_seed(0)
    generator = StyleGenerator(3, (1, 8, 8), width=5, channels=(4, 4), mapping_layers=2, mixing=1.0)
    z = torch.randn(4, 3)
    w, plus = generator.styles(z), generator.layer_styles(z)
    own, other = ((plus == v[:, None]).all(-1) for v in (w, w.roll(1, 0)))
    assert (own ^ other).all()
    assert own[:, 0].all()
    assert other[:, -1].all()
    torch.testing.assert_close(generator.eval().layer_styles(z), w[:, None].expand(4, 4, 5))
