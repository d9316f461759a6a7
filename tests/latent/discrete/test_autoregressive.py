"""A prior over codes that is learned: its probabilities, its divergence, and whom its gradient reaches."""

from itertools import product
from math import log

import pytest
import torch
from torch.distributions import kl_divergence

from lsgen.latent import AutoregressivePrior, EncodableLatentSpace, VectorQuantiser
from lsgen.likelihoods import FixedGaussian
from lsgen.models.vae import VQVAE
from lsgen.nn import MLPDecoder, MLPEncoder, PixelCNN

K, D, L = 3, 2, 4


def _space(prior: AutoregressivePrior | None = None) -> EncodableLatentSpace:
    torch.manual_seed(0)
    prior = AutoregressivePrior(L * D, (2, 2), PixelCNN(K, width=6, layers=2)) if prior is None else prior
    encoder, decoder = MLPEncoder((5,), L * D, hidden=[8], heads=1), MLPDecoder(L * D, (5,), hidden=[8])
    posterior = VectorQuantiser(L * D, entries=K, entry_dim=D)
    return EncodableLatentSpace(encoder, decoder, FixedGaussian((5,)), prior, posterior).double()


def test_probabilities_of_all_codes_sum_to_one() -> None:
    space = _space()
    indices = torch.tensor(list(product(range(K), repeat=L)))
    codes = space.posterior.codebook[indices].flatten(1)
    p = space.prior()
    torch.testing.assert_close(p.log_prob(codes).exp().sum().item(), 1.0)
    torch.testing.assert_close(p.log_prob(codes[:6].reshape(2, 3, -1)), p.log_prob(codes)[:6].reshape(2, 3))
    drawn = p.sample((5, 2))
    assert drawn.shape == (5, 2, L * D)
    entries = torch.cdist(drawn.reshape(-1, D), space.posterior.codebook, compute_mode="donot_use_mm_for_euclid_dist")
    assert bool((entries.amin(1) == 0).all())


def test_probabilities_are_in_single_precision_where_the_network_runs_in_half() -> None:
    space = _space().float()
    space.posterior.codebook.copy_(100 + 0.1 * torch.randn(K, D))
    indices = torch.tensor(list(product(range(K), repeat=L)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        log_p = space.prior().log_prob(space.posterior.codebook[indices].flatten(1))
        logits = space.prior.network(indices.unflatten(1, (2, 2))).double()
    exact = logits.log_softmax(1).gather(1, indices.view(-1, 1, 2, 2)).sum((1, 2, 3))
    torch.testing.assert_close(log_p.double(), exact, rtol=1e-5, atol=0)


def test_divergence_of_a_certain_code_is_its_code_length() -> None:
    space = _space()
    q = space.encode(torch.randn(6, 5, dtype=torch.float64))
    torch.testing.assert_close(kl_divergence(q, space.prior()), -space.prior().log_prob(q.mean))


@pytest.mark.slow
def test_the_prior_learns_the_codes_and_leaves_the_rest_alone() -> None:
    space, x = _space(), torch.randn(64, 5, dtype=torch.float64)
    objective = VQVAE().eval()
    losses = objective(space, {"x": x}, 0)
    plain = losses.reconstruction.mean() + 0.25 * losses.scalars["commitment"]
    torch.testing.assert_close(losses.loss, plain + losses.kl.sum(-1).mean())
    others = [*space.encoder.parameters(), *space.decoder.parameters()]
    through = torch.autograd.grad(losses.kl.sum(), others, allow_unused=True)
    assert all(gradient is None or not gradient.any() for gradient in through)
    optimizer = torch.optim.Adam(space.prior.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        objective(space, {"x": x}, 0).loss.backward()
        optimizer.step()
    counts = torch.unique(space.encode(x).indices, dim=0, return_counts=True)[1].double() / len(x)
    entropy = -(counts * counts.log()).sum().item()
    learned = objective(space, {"x": x}, 0).kl.mean().item()
    assert entropy - 1e-6 <= learned < min(L * log(K), entropy + 0.5)


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected a grid whose cells divide dim = 8, got \(3, 1\)"):
        AutoregressivePrior(8, (3, 1), PixelCNN(K))
    with pytest.raises(TypeError, match="expected a network with `entries` and `sample`, got Linear"):
        AutoregressivePrior(8, (2, 2), torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="expected a code of 2 x 2 out of 7 entries, got 4 out of 3"):
        _space(AutoregressivePrior(8, (2, 2), PixelCNN(7))).prior()
    with pytest.raises(RuntimeError, match="AutoregressivePrior expected to belong to a latent space"):
        AutoregressivePrior(8, (2, 2), PixelCNN(K))()
