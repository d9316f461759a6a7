"""Vector quantisation against brute force and the written-out recursion of its averages."""

from copy import deepcopy
from math import log

import pytest
import torch
from torch import Tensor

from lsgen.latent import CodebookPrior, EncodableLatentSpace, StandardNormal, VectorQuantiser
from lsgen.likelihoods import Bernoulli
from lsgen.models.vae import ELBO, VQVAE
from lsgen.nn import MLPDecoder, MLPEncoder

L, D, K = 3, 2, 5


def _quantiser(**kwargs) -> VectorQuantiser:
    torch.manual_seed(0)
    return VectorQuantiser(L * D, entries=K, entry_dim=D, **kwargs).double()


def _raw(n: int, seed: int = 1) -> Tensor:
    return torch.randn(n, L * D, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _space(**kwargs) -> EncodableLatentSpace:
    torch.manual_seed(0)
    encoder, decoder = MLPEncoder((6,), L * D, hidden=[8], heads=1), MLPDecoder(L * D, (6,), hidden=[8])
    quantiser = VectorQuantiser(L * D, entries=K, entry_dim=D, **kwargs)
    return EncodableLatentSpace(encoder, decoder, Bernoulli((6,)), CodebookPrior(L * D), quantiser).double()


def test_every_vector_becomes_its_nearest_entry() -> None:
    quantiser, raw = _quantiser(), _raw(20)
    q = quantiser(raw)
    distances = torch.cdist(raw.reshape(-1, D), quantiser.codebook)
    torch.testing.assert_close(q.indices.flatten(), distances.argmin(1))
    torch.testing.assert_close(q.mean.reshape(-1, D), quantiser.codebook[distances.argmin(1)])


def test_mixed_precision_changes_neither_the_choice_nor_the_averages() -> None:
    torch.manual_seed(0)
    quantiser, raw = VectorQuantiser(4, entries=16, entry_dim=2, decay=0.5), 10 + torch.randn(30, 4)
    quantiser.codebook.copy_(10 + torch.randn(16, 2))
    exact = torch.cdist(raw.view(30, 2, 2).double(), quantiser.codebook.double()).argmin(-1)
    other = deepcopy(quantiser)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        q = quantiser(raw)
        quantiser.update(q)
    other.update(q)
    assert torch.equal(q.indices, exact)
    torch.testing.assert_close(quantiser.codebook, other.codebook, rtol=0, atol=0)


def test_gradient_goes_straight_through() -> None:
    raw = _raw(4).requires_grad_()
    weights = _raw(4, seed=2)
    (gradient,) = torch.autograd.grad((_quantiser()(raw).rsample() * weights).sum(), raw)
    torch.testing.assert_close(gradient, weights)


def test_codebook_follows_the_recursion_of_its_averages() -> None:
    g = 0.9
    quantiser = _quantiser(decay=g, restart_below=0.0)
    counts, sums = [1.0] * K, [entry.clone() for entry in quantiser.codebook]
    for step in range(4):
        raw = _raw(30, seed=step)
        q = quantiser(raw)
        quantiser.update(q)
        for j in range(K):
            mine = raw.reshape(-1, D)[q.indices.flatten() == j]
            counts[j] = g * counts[j] + (1 - g) * len(mine)
            sums[j] = g * sums[j] + (1 - g) * mine.sum(0)
            torch.testing.assert_close(quantiser.codebook[j], sums[j] / counts[j])


def test_averages_settle_on_the_centres_of_the_clusters() -> None:
    quantiser = _quantiser(decay=0.5)
    centres = torch.tensor([[-4.0, 0.0], [4.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
    for step in range(60):
        raw = (centres + 0.01 * _raw(10, seed=step).reshape(10, L, D)).flatten(1)
        quantiser.update(quantiser(raw))
    nearest = torch.cdist(centres, quantiser.codebook).min(1).values
    assert bool((nearest < 0.05).all())


def test_entries_that_nobody_chooses_start_again_on_the_data() -> None:
    quantiser, raw = _quantiser(decay=0.5, restart_below=0.2), _raw(30)
    with torch.no_grad():
        quantiser.codebook[0], quantiser.sums[0] = 100.0, 100.0
    for _ in range(3):
        q = quantiser(raw)
        assert not (q.indices == 0).any()
        quantiser.update(q)
    assert bool((torch.cdist(quantiser.codebook[:1], raw.reshape(-1, D)) < 1e-12).any())


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_entries_that_nobody_chooses_stay_where_none_starts_again(decay: float) -> None:
    quantiser = VectorQuantiser(2, entries=2, entry_dim=2, decay=decay, restart_below=0)
    quantiser.codebook.copy_(torch.tensor([[1.0, 0.0], [-3.0, 2.0]]))
    quantiser.sums.copy_(quantiser.codebook)
    for _ in range(60):  # 0.1^60 is no number in single precision
        quantiser.update(quantiser(torch.tensor([[1.2, 0.1]])))
    torch.testing.assert_close(quantiser.codebook, torch.tensor([[1.2, 0.1], [-3.0, 2.0]]))


def test_perplexity_counts_the_entries_in_use() -> None:
    quantiser = _quantiser()
    with torch.no_grad():
        quantiser.codebook.copy_(torch.eye(K, D) * 10 + torch.arange(K)[:, None])
    code = quantiser.codebook[[0, 1, 2]].flatten()[None]
    assert quantiser(code.expand(4, -1)).batch_perplexity.item() == pytest.approx(3)
    assert quantiser(quantiser.codebook[[1, 1, 1]].flatten()[None]).batch_perplexity.item() == pytest.approx(1)


def test_bound_charges_the_code_length_of_the_uniform_prior() -> None:
    space = _space()
    x = torch.rand(7, 6, dtype=torch.float64).round()
    losses = ELBO()(space, {"x": x}, 0)
    torch.testing.assert_close(losses.kl, torch.full((7, 1), L * log(K), dtype=torch.float64))
    z = space.prior().sample((4,))
    torch.testing.assert_close(space.prior().log_prob(z), torch.full((4,), -L * log(K), dtype=torch.float64))
    assert bool((torch.cdist(z.reshape(-1, D), space.posterior.codebook).min(1).values == 0).all())


def test_objective_is_reconstruction_and_commitment_and_moves_the_codebook_in_training_only() -> None:
    space, objective = _space(), VQVAE(commitment=0.5)
    x = torch.rand(7, 6, dtype=torch.float64).round()
    before = space.posterior.codebook.clone()
    distance = (space.encoder(x) - space.encode(x).codes.flatten(1)).square().sum(1)
    losses = objective(space, {"x": x}, 0)
    assert not torch.equal(space.posterior.codebook, before)
    torch.testing.assert_close(losses.loss, (losses.reconstruction + 0.5 * distance).mean())
    moved = space.posterior.codebook.clone()
    with torch.no_grad():
        objective(space, {"x": x}, 0)
    objective.eval()(space, {"x": x}, 0)
    torch.testing.assert_close(space.posterior.codebook, moved, rtol=0, atol=0)


def test_commitment_pulls_the_encoder_and_not_the_codebook() -> None:
    space = _space()
    x = torch.rand(7, 6, dtype=torch.float64).round()
    raw = space.encoder(x)
    codes = space.posterior(raw).codes.flatten(1)
    expected = torch.autograd.grad((raw - codes.detach()).square().sum(1).mean(), space.encoder.layers[0].weight)[0]
    with_, without = (VQVAE(commitment=c).eval()(space, {"x": x}, 0).loss for c in (1.0, 0.0))
    (gradient,) = torch.autograd.grad(with_ - without, space.encoder.layers[0].weight)
    torch.testing.assert_close(gradient, expected)


def test_impossible_codebooks_are_refused() -> None:
    with pytest.raises(
        ValueError, match="expected entries of a dimension that divides 6, got 5 entries of dimension 4"
    ):
        VectorQuantiser(6, entries=5, entry_dim=4)
    with pytest.raises(ValueError, match=r"expected decay in \[0, 1\) and restart_below >= 0, got 1.0 and 0.01"):
        VectorQuantiser(6, entry_dim=2, decay=1.0)
    with pytest.raises(
        RuntimeError, match="CodebookPrior expected to belong to a latent space with a vector quantiser"
    ):
        CodebookPrior(4)()
    encoder, decoder = MLPEncoder((6,), 2, hidden=[8]), MLPDecoder(2, (6,), hidden=[8])
    space = EncodableLatentSpace(encoder, decoder, Bernoulli((6,)), StandardNormal(2))
    with pytest.raises(TypeError, match="VQVAE expected a VectorQuantiser as posterior, got DiagonalNormal"):
        VQVAE()(space, {"x": torch.zeros(2, 6)}, 0)
