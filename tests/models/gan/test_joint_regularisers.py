"""Terms of both players, and penalties of scores and weights, against their formulas by hand.

S(x) = sum of x     the score; features are x itself, so what a task sees is known
"""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax
from torch.nn.utils.parametrizations import spectral_norm

from lsgen.latent import StandardNormal
from lsgen.latent.families.product import OneHot, Product
from lsgen.likelihoods import FixedGaussian
from lsgen.models.gan import (
    GAN,
    R1,
    ContrastiveTask,
    GeneratedConsistency,
    Hinge,
    LatentConsistency,
    LeCam,
    LocalGradientPenalty,
    Orthogonality,
    RotationTask,
    Wasserstein,
)
from lsgen.models.gan.regularisers.base import Play, Regulariser
from lsgen.models.gan.regularisers.infomax import contrastive_loss
from lsgen.models.gan.regularisers.rotation import rotated
from lsgen.nn.adversarial.critics import MLPCritic
from lsgen.nn.adversarial.dcgan import DCGANCritic
from lsgen.nn.adversarial.resnet_gan import ResNetCritic
from lsgen.nn.adversarial.stylegan import StyleGenerator

IMAGE = (1, 4, 4)


def _gan(*regularisers: Regulariser, **changes: Any) -> GAN:
    torch.manual_seed(0)
    parts: dict[str, Any] = {
        "generator": nn.Sequential(nn.Linear(2, 16), nn.Unflatten(1, IMAGE)),
        "critic": MLPCritic(IMAGE, [8]),
        "likelihood": FixedGaussian(IMAGE),
        "prior": StandardNormal(2),
        "loss": Wasserstein(),
    }
    return GAN(**parts | changes, regularisers=regularisers)


# DRAGAN


def test_local_penalty_of_a_quadratic_critic() -> None:
    """C(x) = <a, x^2>/2 has the gradient a x, here at places that the critic notes."""
    torch.manual_seed(0)
    a, x, places = torch.randn(6, dtype=torch.float64), torch.randn(50, 6, dtype=torch.float64), []
    x[:, 0] = 3.0  # as much noise in a dimension that does not vary

    def critic(y: Tensor) -> Tensor:
        places.append(y.detach())
        return (a * y.square()).sum(1) / 2

    penalty = LocalGradientPenalty(target=2.0)(critic, x, torch.full_like(x, torch.nan))
    torch.testing.assert_close(penalty, ((a * places[0]).norm(dim=1) - 2).square().mean())
    shift = (places[0] - x) / (0.5 * x.std())  # e u: products of two uniform numbers, e the same within a row
    assert shift.min() >= 0
    assert shift.max() <= 1
    assert abs(shift.mean() - 1 / 4) < 5 * math.sqrt((1 / 9 - 1 / 16) / 50)
    assert shift.min() > 0
    correlation = (torch.corrcoef(shift.T).sum() - 6) / 30  # between dimensions, by the e that they share
    assert abs(correlation - (1 / 12 * 1 / 4) / (1 / 9 - 1 / 16)) < 0.2  # Var e (E u)^2 / Var(e u); 0 without it


# LeCam


def _anchors(values: list[float], decay: float) -> float:
    """Return the average of values with weights decay^age, newest last."""
    weights = [decay ** (len(values) - 1 - i) for i in range(len(values))]
    return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)


@pytest.mark.parametrize("one_sided", [False, True])
def test_anchors_are_weighted_averages_from_the_first_update_on(one_sided: bool) -> None:
    lecam, real_means, fake_means = LeCam(decay=0.7, one_sided=one_sided).double(), [], []
    for k in range(4):
        real, fake = torch.linspace(-1, 2, 5, dtype=torch.float64) + k, torch.linspace(-2, 3, 4, dtype=torch.float64)
        fake = fake * k
        real_means.append(real.mean().item())
        fake_means.append(fake.mean().item())
        penalty = lecam(real, fake)
        of_real, of_fake = _anchors(real_means, 0.7), _anchors(fake_means, 0.7)
        above, below = [r - of_fake for r in real.tolist()], [of_real - f for f in fake.tolist()]
        if one_sided:
            above, below = [max(0, r) for r in above], [max(0, f) for f in below]
        expected = sum(r * r for r in above) / 5 + sum(f * f for f in below) / 4
        assert penalty.item() == pytest.approx(expected, rel=1e-12)


def test_scores_are_pulled_to_the_anchor_of_the_other_kind_and_anchors_have_no_gradient() -> None:
    lecam = LeCam(decay=0.0).double()
    scores = torch.tensor([[3.0, 1.0], [-1.0, 5.0]], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(lecam(*scores), scores)
    torch.testing.assert_close(gradient, torch.stack([scores[0] - 2, scores[1] - 2]).detach())


def test_the_anchors_of_a_model_are_of_its_scores_and_in_its_checkpoint() -> None:
    gan = _gan(LeCam(0.3))
    scores: list[Tensor] = []
    gan.critic.register_forward_hook(lambda module, inputs, output: scores.append(output.detach()))
    terms = gan.critic_terms({"x": torch.randn(6, *IMAGE)}, 0)
    assert len(scores) == 2  # those of the update, no others
    anchors = torch.stack(gan.regularisers[0].anchors())
    torch.testing.assert_close(anchors, torch.stack([s.mean() for s in scores]))
    expected = (scores[0] - anchors[1]).square().mean() + (scores[1] - anchors[0]).square().mean()
    torch.testing.assert_close(terms["lecam"].detach(), 0.3 * expected)
    assert "regularisers.0.sums" in gan.state_dict()
    assert "lecam" not in gan.generator_terms({"x": torch.randn(6, *IMAGE)}, 0)


# orthogonality


def test_known_weights() -> None:
    """Rows (1, 2), (3, -1), (0, 2) have the products 1, 4, -2; windows (1, 0, 2, 1) and (0, 5, 1, 1) the product 3."""
    linear, transposed = nn.Linear(2, 3), nn.ConvTranspose2d(1, 2, 2, bias=False)
    linear.weight.data = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.0, 2.0]])
    transposed.weight.data = torch.tensor([[[[1.0, 0.0], [2.0, 1.0]], [[0.0, 5.0], [1.0, 1.0]]]])
    penalty = Orthogonality()
    assert penalty(linear, torch.empty(0), torch.empty(0)).item() == 2 * (1 + 16 + 4)
    both = nn.ModuleList([linear, transposed, nn.BatchNorm2d(2), nn.Embedding(3, 2)])
    assert penalty(both, torch.empty(0), torch.empty(0)).item() == 2 * 21 + 2 * 3**2


def test_orthogonal_filters_of_any_norm_are_free_and_weights_before_normalisation_count() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 5, 3).double()
    w = conv.weight.detach().flatten(1)
    expected = sum(2 * float(w[i] @ w[j]) ** 2 for i in range(5) for j in range(i))
    spectral_norm(conv)
    penalty = Orthogonality()(conv, torch.empty(0), torch.empty(0))
    assert penalty.item() == pytest.approx(expected, rel=1e-12)
    nn.init.orthogonal_(conv.parametrizations.weight.original)
    conv.parametrizations.weight.original.data.mul_(torch.arange(1.0, 6.0)[:, None, None, None])
    assert Orthogonality()(conv, torch.empty(0), torch.empty(0)).item() < 1e-25


def test_a_generator_without_filters_is_refused() -> None:
    generator = StyleGenerator(2, (1, 8, 8), width=2, channels=(2, 2), mapping_layers=1)
    with pytest.raises(ValueError, match="Orthogonality expected a generator with linear or convolutional layers of"):
        Orthogonality()(generator, torch.empty(0), torch.empty(0))


# consistency


class _Double(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


def test_generated_observations_are_augmented() -> None:
    real, fake = torch.full((4, 3), torch.nan), torch.randn(4, 3)
    penalty = GeneratedConsistency(_Double())(lambda x: x.sum(1), real, fake)
    torch.testing.assert_close(penalty, fake.sum(1).square().mean())


def test_latent_consistency_of_a_linear_generator() -> None:
    """G(z) = W z and C(x) = <u, x>: the critic's term is E <u, s W e>^2 = s^2 |W^T u|^2, the other -s^2 |W|^2 / D."""
    torch.manual_seed(0)
    n, w, u = 200_000, torch.randn(5, 3), torch.randn(5)
    penalty = LatentConsistency(step=0.1)
    z = torch.randn(n, 3)
    generate, critic = (lambda z: z @ w.T), (lambda x: x @ u)
    play = Play(critic, nn.Identity(), nn.Identity(), generate, z, z, generate(z), critic(generate(z)))
    expected = 0.01 * (w.T @ u).square().sum()
    assert abs(penalty.critic_penalty(play) / expected - 1) < 5 * math.sqrt(2 / n)
    expected = -0.01 * w.square().sum() / 5
    assert abs(penalty.generator_penalty(play) / expected - 1) < 5 * math.sqrt(2 / n)


def test_steps_leave_classes_as_they_are_and_both_players_have_their_weights() -> None:
    codes: list[Tensor] = []
    prior = Product([StandardNormal(2), OneHot(3)])
    generator = nn.Sequential(nn.Linear(5, 16), nn.Unflatten(1, IMAGE))
    gan = _gan(LatentConsistency(5.0, 0.5, step=1.0), prior=prior, generator=generator)
    gan.generator.register_forward_hook(lambda module, inputs, output: codes.append(inputs[0].detach()))
    batch = {"x": torch.randn(4, *IMAGE)}
    terms = [gan.critic_terms(batch, 0)["latent_consistency"], gan.generator_terms(batch, 0)["latent_consistency"]]
    for i, term in enumerate(terms):
        z, moved = codes[2 * i : 2 * i + 2]
        assert torch.equal(z[:, 2:], moved[:, 2:])
        assert (z[:, :2] != moved[:, :2]).all()
        one, other = gan.generator(z), gan.generator(moved)
        scores = 5 * (gan.critic(one) - gan.critic(other)).square().mean()
        torch.testing.assert_close(term, -0.5 * (one - other).square().mean() if i else scores)


# rotation


def test_quarter_turns_and_their_labels() -> None:
    x = torch.arange(6.0).view(6, 1, 1, 1) * 10 + torch.tensor([[0.0, 1.0], [2.0, 3.0]])
    turned, quarters = rotated(x)
    found = {
        int(image.min()) // 10: (int(k), (image[0] - image.min()).tolist())
        for image, k in zip(turned, quarters, strict=True)
    }
    turns = [[[0, 1], [2, 3]], [[1, 3], [0, 2]], [[3, 2], [1, 0]], [[2, 0], [3, 1]]]  # counter-clockwise
    assert found == {i: (i % 4, turns[i % 4]) for i in range(6)}
    assert rotated(x[:1])[1].tolist() == [0]


def test_the_critic_learns_turns_of_real_images_and_the_generator_those_of_its_own() -> None:
    gan = _gan(RotationTask(0.9, 0.3))
    head, made = gan.regularisers[0].head, []
    gan.generator.register_forward_hook(lambda module, inputs, output: made.append(output.detach()))
    batch = {"x": torch.randn(5, *IMAGE)}

    def entropy(x: Tensor) -> Tensor:
        turns = [torch.rot90(image, i % 4, (1, 2)) for i, image in enumerate(x)]
        logits = log_softmax(head(gan.critic.features(torch.stack(turns))), 1)
        return -logits[torch.arange(5), torch.arange(5) % 4].mean()

    critic, generator = gan.critic_terms(batch, 0), gan.generator_terms(batch, 0)
    torch.testing.assert_close(critic["rotation_task"], 0.9 * entropy(batch["x"]))
    torch.testing.assert_close(generator["rotation_task"], 0.3 * entropy(made[1]))
    players = gan.players()
    assert {id(p) for p in head.parameters()} <= {id(p) for p in players[0]}
    assert {id(p) for p in players[1]} == {id(p) for p in gan.generator.parameters()}


# contrast


def _by_hand(local: Tensor, whole: Tensor) -> float:
    total, (n, a, _) = 0.0, local.shape
    for i in range(n):
        negatives = sum(math.exp(local[j, b] @ whole[i]) for j in range(n) if j != i for b in range(a))
        for b in range(a):
            positive = math.exp(local[i, b] @ whole[i])
            total -= math.log(positive / (positive + negatives))
    return total / (n * a)


def test_the_contrastive_loss_by_hand() -> None:
    torch.manual_seed(0)
    local, whole = torch.randn(4, 3, 5, dtype=torch.float64), torch.randn(4, 5, dtype=torch.float64)
    assert contrastive_loss(local, whole).item() == pytest.approx(_by_hand(local, whole), rel=1e-12)


def test_the_bound_is_at_most_the_logarithm_of_the_number_of_candidates() -> None:
    """Features that say nothing give the loss log(1 + (N - 1) A), so a bound of 0; those that tell all, a loss of 0."""
    nothing = contrastive_loss(torch.zeros(4, 3, 5), torch.randn(4, 5))
    assert nothing.item() == pytest.approx(math.log(1 + 3 * 3), rel=1e-6)
    whole = 30 * torch.eye(4, dtype=torch.float64)
    everything = contrastive_loss(whole[:, None].expand(4, 3, 4), whole)
    assert 0 <= everything.item() < 1e-12
    single = contrastive_loss(torch.randn(1, 3, 5), torch.randn(1, 5, requires_grad=True))
    assert single.item() == 0
    single.backward()


def test_local_features_are_those_of_the_last_block_but_one() -> None:
    critic = ResNetCritic((1, 8, 8), [6, 4], 1)
    gan = _gan(
        ContrastiveTask(0.2, 0.4, width=7),
        critic=critic.eval(),
        generator=nn.Sequential(nn.Linear(2, 64), nn.Unflatten(1, (1, 8, 8))),
        likelihood=FixedGaussian((1, 8, 8)),
    )
    task, x = gan.regularisers[0].eval(), torch.randn(3, 1, 8, 8)
    local = critic.blocks[0](x)
    assert local.shape == (3, 6, 4, 4)
    whole = torch.relu(critic.blocks[1](local)).sum((2, 3))
    projected = task.local(local.flatten(2).transpose(1, 2)), task.whole(whole)
    expected = _by_hand(projected[0].detach().double(), projected[1].detach().double())
    assert gan.critic_terms({"x": x}, 0)["contrastive_task"].item() == pytest.approx(0.2 * expected, rel=1e-4)
    assert projected[0].shape == (3, 16, 7)


# refusals


def test_what_does_not_suit_is_refused() -> None:
    with pytest.raises(TypeError, match="RotationTask expected a critic with features and score, got Sequential"):
        _gan(RotationTask(), critic=nn.Sequential(nn.Flatten(), nn.Linear(16, 1), nn.Flatten(0)))
    with pytest.raises(ValueError, match=r"RotationTask expected images \(C, S, S\), got \(16,\)"):
        _gan(RotationTask(), critic=MLPCritic((16,), [4]), likelihood=FixedGaussian((16,)))
    with pytest.raises(TypeError, match=r"ContrastiveTask expected a critic with local features, .* got DCGANCritic"):
        _gan(ContrastiveTask(), critic=DCGANCritic((1, 8, 8), 4))
    with pytest.raises(TypeError, match="got ResNetCritic"):
        _gan(ContrastiveTask(), critic=ResNetCritic((1, 8, 8), [4], 1))
    with pytest.raises(ValueError, match="expected regularisers of different classes, got R1 twice"):
        _gan(R1(), R1(), loss=Hinge())
    for wrong, message in (
        (lambda: RotationTask(generator_weight=-1), "expected a generator_weight of at least 0, got -1"),
        (lambda: LatentConsistency(step=0), "expected a step above 0, got 0"),
        (lambda: LocalGradientPenalty(spread=0), "expected a spread above 0, got 0"),
        (lambda: LeCam(decay=1), r"expected a decay in \[0, 1\), got 1"),
        (lambda: ContrastiveTask(width=0), "expected a width of at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()
