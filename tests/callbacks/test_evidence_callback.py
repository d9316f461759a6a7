"""The evidence callback, on a linear-Gaussian model whose evidence and aggregate posterior are known."""

import pytest
import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn
from torch.distributions import MultivariateNormal
from torch.utils.data import DataLoader

from lsgen.callbacks import EvidenceMetrics, LikelihoodMetrics
from lsgen.latent import Deterministic, StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.metrics import AggregatePosterior
from lsgen.models import LinearModel
from lsgen.models.gan import GAN, NonSaturating
from lsgen.models.vae import VAE, Autoencoder, MissingDataIWAE
from lsgen.nn import MLPDecoder, MLPEncoder

D, d = 5, 2


def _x(n: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(d, D, generator=generator)
    return torch.randn(n, d, generator=generator) @ mixing + 0.5 * torch.randn(n, D, generator=generator)


def _measured(
    model: nn.Module, x: Tensor, batch_size: int = 20, masked: bool = False, **options: int
) -> dict[str, float]:
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[LikelihoodMetrics(), EvidenceMetrics(**options)],
    )
    rows = [{"x": row} | ({"observed": ~row.isnan()} if masked else {}) for row in x]
    (values,) = trainer.test(model, DataLoader(rows, batch_size), verbose=False)
    return {key: value for key, value in values.items() if masked or "nll" in key or "aggregate" in key}


@pytest.mark.slow
def test_values_are_those_of_a_linear_gaussian_model() -> None:
    x = _x(300)
    model = LinearModel((D,), d).fit(x)
    space = model.latent_space.eval()
    weight, bias = space.decoder.layers[0].weight, space.decoder.layers[0].bias
    noise = torch.exp(2 * space.likelihood.log_sigma) * torch.eye(D)
    exact = -MultivariateNormal(bias, weight @ weight.T + noise).log_prob(x[:50]).mean().item()
    values = _measured(model, x, samples=30, n=50, temperatures=60, chains=20)
    assert values["test/nll"] == pytest.approx(exact, abs=1e-4)  # the posterior is exact: every weight is the evidence
    assert values["test/nll_effective_samples"] == pytest.approx(30, rel=1e-3)
    assert values["test/nll_annealed"] == pytest.approx(exact, abs=0.2)
    expected = []
    for _ in range(20):
        reference = AggregatePosterior(space.prior())
        reference.update(space.encode(x[:50]))
        expected.append(reference.compute())
    for name in ("mutual_information", "marginal_kl", "total_correlation", "dimension_wise_kl"):
        draws = torch.stack([parts[name] for parts in expected])
        assert values[f"test/aggregate/{name}"] == pytest.approx(draws.mean().item(), abs=5 * draws.std().item()), name


def test_missing_values_do_not_count() -> None:
    """The evidence is that of the marginals of what is observed, and a length is divided by what is observed."""
    x = _x(45)
    x[torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) < 0.4] = torch.nan
    x[0] = torch.nan
    torch.manual_seed(0)
    model = VAE(
        MLPEncoder((D,), d, [8]),
        MLPDecoder(d, (D,), []),
        FixedGaussian((D,)),
        StandardNormal(d),
        MissingDataIWAE(samples=5),
    )
    values = _measured(model, x, 20, masked=True, samples=20000, n=100)
    (layer,) = [part for part in model.latent_space.decoder.modules() if isinstance(part, nn.Linear)]
    covariance = layer.weight @ layer.weight.T + model.latent_space.likelihood(torch.zeros(1, D)).variance.diag_embed()
    each = []
    for row in x:
        seen = ~row.isnan()
        if seen.any():
            marginal = MultivariateNormal(layer.bias[seen], covariance[0][seen][:, seen])
            each.append(marginal.log_prob(row[seen]).item())
    assert values["test/nll"] == pytest.approx(-sum(each) / len(x), rel=2e-3)
    length = -values["test/elbo"] * len(x) / int((~x.isnan()).sum())
    assert values["test/nats_per_dimension"] == pytest.approx(length, rel=1e-6)
    with pytest.raises(ValueError, match="expected no gap_steps for a model of missing values, got 3"):
        _measured(model, x, masked=True, gap_steps=3)


def test_numbers_repeat_and_leave_the_generator_of_random_numbers_alone() -> None:
    x = _x(60)
    model = LinearModel((D,), d).fit(x)
    torch.manual_seed(3)
    first = _measured(model, x, samples=3)
    torch.manual_seed(4)
    assert _measured(model, x, samples=3) == first
    assert "test/nll_annealed" not in first


def test_models_without_a_posterior_density_are_refused() -> None:
    encoder, decoder = MLPEncoder((D,), d, heads=1), MLPDecoder(d, (D,))
    likelihood, prior = FixedGaussian((D,)), StandardNormal(d)
    deterministic = VAE(encoder, decoder, likelihood, prior, Autoencoder(), Deterministic())
    with pytest.raises(TypeError, match="EvidenceMetrics expected posteriors with a density, got points"):
        _measured(deterministic, _x(4))
    gan = GAN(decoder, nn.Linear(D, 1), likelihood, prior, NonSaturating())
    with pytest.raises(TypeError, match="expected a latent space with an encoder, got GeneratorSpace"):
        _measured(gan, _x(4))
    with pytest.raises(ValueError, match="EvidenceMetrics expected samples of at least 1, got 0"):
        EvidenceMetrics(samples=0)
