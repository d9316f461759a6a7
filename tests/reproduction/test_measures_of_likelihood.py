"""Evidence, bound and use of codes of test observations, against models where they are known."""

from math import log
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch import nn

from lsgen.data import Digits
from lsgen.latent import CodebookPrior, StandardNormal, VectorQuantiser
from lsgen.likelihoods import Bernoulli
from lsgen.models import VAE, LinearModel
from lsgen.models.embedding.similarity import PrincipalFeatures
from lsgen.models.vae import ELBO, VQVAE
from lsgen.nn import MLPDecoder, MLPEncoder
from lsgen.reproduction.measures.bound import Bound
from lsgen.reproduction.measures.code_usage import CodeUsage
from lsgen.reproduction.measures.evidence import HeldOutEvidence
from lsgen.reproduction.runs import TrainedRun

SHAPE, N = (1, 8, 8), 7


def _run(model, data):
    return TrainedRun("arm", 0, model, data, {}, SimpleNamespace())


def _linear(data):
    x = data.dataset("train")[torch.arange(len(data.dataset("train")))]["x"].double()
    return (
        LinearModel(SHAPE, 3).double().fit(x + 0.3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0)))
    )


class InDouble(Digits):
    def probe(self, n, split="val"):
        return {name: part.double() for name, part in super().probe(n, split).items()}


def test_evidence_of_every_observation_is_that_of_the_normal_distribution_that_it_is():
    data = InDouble()
    model = _linear(data)
    decoder, sigma = model.latent_space.decoder.layers[0], float(model.latent_space.likelihood.log_sigma.exp())
    weight, mean = decoder.weight.detach().numpy(), decoder.bias.detach().numpy()
    marginal = multivariate_normal(mean, weight @ weight.T + sigma**2 * np.eye(64))
    before = torch.get_rng_state()
    found = HeldOutEvidence(samples=5, n=N, batch_size=3, chunk_size=2)(_run(model, data))
    assert torch.equal(torch.get_rng_state(), before)
    expected = -marginal.logpdf(data.probe(N, "test")["x"].flatten(1).numpy())
    np.testing.assert_allclose(found.arrays["nll"], expected, rtol=1e-6)
    np.testing.assert_allclose(found.values["nll"], expected.mean(), rtol=1e-9)
    assert found.values["effective_samples"] == pytest.approx(5)
    assert found.values["active_units"] == 3


def test_units_whose_posterior_ignores_the_observation_are_not_active():
    encoder, decoder = MLPEncoder(SHAPE, 4, hidden=()), MLPDecoder(4, SHAPE, hidden=())
    with torch.no_grad():
        encoder.layers[0].weight[2:] = 0.0
    model = VAE(encoder, decoder, Bernoulli(SHAPE), StandardNormal(4), ELBO())
    found = HeldOutEvidence(samples=1, n=50)(_run(model, Digits(binarise="threshold")))
    assert found.values["active_units"] == 2


class Quadrants(nn.Module):
    """The mean of each quarter of an image, as four codes of one number."""

    def forward(self, x):
        return x.unflatten(2, (2, 4)).unflatten(4, (2, 4)).mean((1, 3, 5)).flatten(1)


@pytest.fixture
def quantised():
    posterior = VectorQuantiser(4, entries=5, entry_dim=1)
    with torch.no_grad():
        posterior.codebook.copy_(torch.tensor([[0.0], [0.3], [0.6], [0.9], [9.0]]))
    torch.manual_seed(0)
    decoder = MLPDecoder(4, SHAPE, hidden=())
    model = VAE(Quadrants(), decoder, Bernoulli(SHAPE), CodebookPrior(4), VQVAE(), posterior)
    return _run(model, Digits(binarise="threshold"))


def _entries(run, n):
    """Return the entries of n test observations, (n, 4), and the logits of their pixels."""
    x = run.data.probe(n, "test")["x"].numpy().reshape(n, 2, 4, 2, 4)
    means = x.mean((2, 4)).reshape(n, 4)
    book = run.model.latent_space.posterior.codebook.numpy()[:, 0]
    indices = np.abs(means[..., None] - book).argmin(-1)
    layer = run.model.latent_space.decoder.layers[0]
    return indices, book[indices] @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


def test_bound_of_a_quantiser_is_reconstruction_and_the_length_of_its_codes(quantised):
    found = Bound(n=N, batch_size=3)(quantised)
    logits = _entries(quantised, N)[1]
    signs = 2 * quantised.data.probe(N, "test")["x"].flatten(1).numpy() - 1
    nats = np.log1p(np.exp(-signs * logits)).sum(1) + 4 * log(5)
    np.testing.assert_allclose(found.arrays["nats"], nats, rtol=1e-5)
    np.testing.assert_allclose(found.arrays["bits_per_dimension"], nats / 64 / log(2), rtol=1e-5)
    assert found.values["nats"] == pytest.approx(nats.mean(), rel=1e-5)


def test_perplexity_is_that_of_the_entries_used(quantised):
    found = CodeUsage(n=40, batch_size=15)(quantised).values
    shares = np.bincount(_entries(quantised, 40)[0].ravel(), minlength=5) / 160
    some = shares[shares > 0]
    assert found["perplexity"] == pytest.approx(np.prod(some**-some))
    assert found["share"] == pytest.approx(found["perplexity"] / 5)
    assert found["used"] == len(some) / 5 < 1


def test_what_cannot_be_measured_is_refused(quantised):
    data = Digits(binarise="threshold")
    vae = VAE(MLPEncoder(SHAPE, 2), MLPDecoder(2, SHAPE), Bernoulli(SHAPE), StandardNormal(2), ELBO())
    with pytest.raises(TypeError, match="CodeUsage expected codes of a VectorQuantiser"):
        CodeUsage(n=2)(_run(vae, data))
    with pytest.raises(TypeError, match="expected a posterior with a density"):
        HeldOutEvidence(samples=1, n=2)(quantised)
    with pytest.raises(TypeError, match="Bound expected a VAE"):
        Bound(n=2)(_run(nn.Identity(), data))
    with pytest.raises(TypeError, match="a FittedModel with a decoder, got PrincipalFeatures"):
        Bound(n=2)(_run(PrincipalFeatures(MLPEncoder(SHAPE, 3, heads=1), 2), data))
    for measure in (HeldOutEvidence, Bound, CodeUsage):
        with pytest.raises(ValueError, match="at least 1, got"):
            measure(n=0)
