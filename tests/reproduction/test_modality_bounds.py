"""Bounds and likelihoods of modalities x_i | z ~ N(z, s_i^2), z ~ N(0, 1), whose posteriors are exact."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, norm
from torch import nn

from lsgen.latent import StandardNormal
from lsgen.latent.multimodal import MultimodalSpace, ProductOfExperts
from lsgen.likelihoods import FixedGaussian, modalities_likelihood
from lsgen.models import VAE
from lsgen.models.vae import ELBO
from lsgen.nn import MLPDecoder, MLPEncoder
from lsgen.reproduction.measures.multimodal.modality_bounds import ModalityBounds
from lsgen.reproduction.runs import TrainedRun

S = {"a": 0.6, "b": 1.3}
X = torch.randn(9, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def _space() -> MultimodalSpace:
    """Return the space whose experts are likelihoods of z, so that their products with the prior's are exact."""
    encoders, decoders = {}, {}
    for name, s in S.items():
        encoder, decoder = nn.Linear(1, 2), nn.Linear(1, 1, bias=False)
        with torch.no_grad():
            encoder.weight.copy_(torch.tensor([[1.0], [0.0]]))
            encoder.bias.copy_(torch.tensor([0.0, 2 * np.log(s)]))
            decoder.weight.fill_(1.0)
        encoders[name], decoders[name] = encoder, decoder
    likelihood = modalities_likelihood({name: FixedGaussian((1,), s) for name, s in S.items()})
    return MultimodalSpace(encoders, decoders, likelihood, StandardNormal(1), ProductOfExperts()).double()


def _run(space: nn.Module) -> TrainedRun:
    model = nn.Module()
    model.latent_space = space
    data = SimpleNamespace(dataset=lambda split: X, probe=lambda n, split: {"x": X[:n]})
    return TrainedRun("arm", 0, model, data, {}, SimpleNamespace())


def test_bounds_at_exact_posteriors_are_the_evidence_and_others_what_they_state() -> None:
    found = ModalityBounds(samples=20_000, n=9, batch_size=4)(_run(_space()))
    x, (a, b) = X.numpy(), S.values()
    joint = -multivariate_normal([0, 0], np.ones((2, 2)) + np.diag([a**2, b**2])).logpdf(x)
    alone = {name: -norm(0, np.sqrt(1 + s**2)).logpdf(x[:, i]) for i, (name, s) in enumerate(S.items())}
    np.testing.assert_allclose(found.arrays["nll/joint"], joint, rtol=1e-4)
    np.testing.assert_allclose(found.arrays["elbo/joint"], joint, atol=0.05)
    for name in S:
        np.testing.assert_allclose(found.arrays[f"elbo/{name}"], alone[name], atol=0.05)
    np.testing.assert_allclose(found.arrays["nll/a"], alone["a"], atol=0.02)
    assert bool((found.arrays["nll/b"] > alone["b"] - 0.02).all())  # codes that also know a are too narrow for b
    total = sum(found.arrays[f"elbo/{name}"] for name in ("joint", *S))
    np.testing.assert_allclose(found.arrays["elbo/sum"], total)
    for name, other in (("a", "b"), ("b", "a")):  # -log p(x_i | x_j) = -log p(x) + log p(x_j)
        np.testing.assert_allclose(found.arrays[f"cross/{name}"], joint - alone[other], atol=0.1)
        assert found.values[f"cross/{name}"] == pytest.approx(found.arrays[f"cross/{name}"].mean())
        assert found.arrays[f"cross/{name}"].shape == (9,)


def test_other_spaces_and_impossible_numbers_are_refused() -> None:
    plain = VAE(MLPEncoder((2,), 1), MLPDecoder(1, (2,)), FixedGaussian((2,)), StandardNormal(1), ELBO())
    with pytest.raises(TypeError, match="ModalityBounds expected a space of several modalities, got EncodableLatent"):
        ModalityBounds()(_run(plain.latent_space))
    with pytest.raises(ValueError, match="expected samples, n and batch_size of at least 1"):
        ModalityBounds(samples=0)
