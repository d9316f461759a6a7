"""The objectives against a model whose evidence is known.

z ~ N(0, I),  x | z ~ N(W z, s^2 I)   =>   log p(x) = log N(x; 0, W W^T + s^2 I),
p(z|x) = N(M^-1 W^T x / s^2, M^-1),  M = I + W^T W / s^2,  diagonal where the columns of W are orthogonal.
"""

from pathlib import Path

import pytest
import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence
from torch.utils.data import DataLoader

from lsgen.latent import EncodableLatentSpace, StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.models import VAE
from lsgen.models.divergence import kl_per_dimension
from lsgen.models.schedules import Cyclic, Linear
from lsgen.models.vae import ELBO, Capacity

D, d, S = 6, 2, 0.7


def _linear_model(shift: float) -> tuple[EncodableLatentSpace, Tensor]:
    """Return a linear-Gaussian space whose posterior mean is off by `shift`, and its decoder matrix W."""
    generator = torch.Generator().manual_seed(0)
    orthogonal, _ = torch.linalg.qr(torch.randn(D, d, dtype=torch.float64, generator=generator))
    W = orthogonal * torch.tensor([1.5, 0.4], dtype=torch.float64)
    M = torch.eye(d, dtype=torch.float64) + W.T @ W / S**2
    decoder, encoder = nn.Linear(d, D, bias=False).double(), nn.Linear(D, 2 * d).double()
    with torch.no_grad():
        decoder.weight.copy_(W)
        encoder.weight.copy_(torch.cat([torch.linalg.solve(M, W.T) / S**2, torch.zeros(d, D, dtype=torch.float64)]))
        encoder.bias.copy_(torch.cat([torch.full((d,), shift), -M.diagonal().log()]))
    return EncodableLatentSpace(encoder, decoder, FixedGaussian((D,), S), StandardNormal(d)).double(), W


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_elbo_is_the_evidence_less_the_posterior_gap(shift: float) -> None:
    space, W = _linear_model(shift)
    covariance = W @ W.T + S**2 * torch.eye(D, dtype=torch.float64)
    x = torch.randn(D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    evidence = MultivariateNormal(torch.zeros(D, dtype=torch.float64), covariance).log_prob(x)
    q, exact = space.encode(x[None]).base_dist, _linear_model(0.0)[0].encode(x[None]).base_dist
    gap = kl_divergence(q, exact).sum()

    torch.manual_seed(0)
    bound = ELBO()(space, {"x": x.expand(40_000, D)}, step=0).elbo
    assert ((bound.mean() - (evidence - gap)).abs() < 5 * bound.std() / len(bound) ** 0.5).item()


def test_the_exact_posterior_is_a_stationary_point() -> None:
    space, W = _linear_model(0.0)
    generator = torch.Generator().manual_seed(2)
    x = (W @ torch.randn(d, 20_000, dtype=torch.float64, generator=generator)).T
    x = x + S * torch.randn(x.shape, dtype=torch.float64, generator=generator)
    torch.manual_seed(0)
    gradients = []
    for part in x.split(500):
        (gradient,) = torch.autograd.grad(ELBO()(space, {"x": part}, 0).loss, space.encoder.bias)
        gradients.append(gradient)
    stacked = torch.stack(gradients)
    assert bool((stacked.mean(0).abs() < 5 * stacked.std(0) / len(stacked) ** 0.5).all())


def test_loss_is_in_nats_summed_over_dimensions_and_averaged_over_the_batch() -> None:
    space, _ = _linear_model(0.1)
    x = torch.randn(8, D, dtype=torch.float64)
    losses = ELBO(beta=3.0)(space, {"x": x}, step=0)
    assert losses.reconstruction.shape == (8,)
    assert losses.kl.shape == (8, d)
    torch.testing.assert_close(losses.loss, (losses.reconstruction + 3 * losses.kl.sum(1)).mean())
    torch.testing.assert_close(losses.elbo, -losses.reconstruction - losses.kl.sum(1))


def test_kl_matches_the_formula_of_kingma_and_welling() -> None:
    mean, log_variance = torch.randn(5, 3), torch.randn(5, 3)
    q = Independent(Normal(mean, (log_variance / 2).exp()), 1)
    expected = -0.5 * (1 + log_variance - mean**2 - log_variance.exp())
    torch.testing.assert_close(kl_per_dimension(q, StandardNormal(3)()), expected)


def test_capacity_penalises_the_distance_from_its_target() -> None:
    space, _ = _linear_model(0.1)
    objective = Capacity(capacity=Linear(0, 10, steps=100), gamma=7.0)
    losses = objective(space, {"x": torch.randn(8, D, dtype=torch.float64)}, step=50)
    expected = losses.reconstruction.mean() + 7 * (losses.kl.sum(1).mean() - 5).abs()
    torch.testing.assert_close(losses.loss, expected)
    assert losses.weights == {"capacity": 5.0}


def test_schedules_count_generator_steps() -> None:
    assert [Linear(0, 4, 8)(s) for s in (0, 4, 8, 100)] == [0, 2, 4, 4]
    assert [Cyclic(0, 4, 8, ramp=0.5)(s) for s in (0, 2, 4, 7, 8, 10)] == [0, 2, 4, 4, 0, 2]
    space, _ = _linear_model(0.0)
    assert ELBO(beta=Linear(0, 4, 8))(space, {"x": torch.zeros(1, D, dtype=torch.float64)}, 2).weights == {"beta": 1.0}


def test_a_weight_that_is_no_number_is_refused() -> None:
    with pytest.raises(TypeError, match="expected a number or a schedule, got str"):
        ELBO(beta="4")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected a ramp of at least 1 generator step, got steps = 0"):
        Linear(0, 1, 0)


def test_a_posterior_that_does_not_factorise_is_refused() -> None:
    joint = MultivariateNormal(torch.zeros(2), torch.eye(2))
    with pytest.raises(TypeError, match="expected a posterior and a prior that factorise"):
        kl_per_dimension(joint, StandardNormal(2)())


def test_reconstruction_goes_through_the_posterior_mean() -> None:
    space, W = _linear_model(0.0)
    vae = VAE(space.encoder, space.decoder, space.likelihood, space.prior, ELBO())
    x = torch.randn(4, D, dtype=torch.float64)
    torch.testing.assert_close(vae(x), space.encode(x).mean @ W.T)


def test_densities_are_in_single_precision_where_the_networks_run_in_half() -> None:
    generator = torch.Generator().manual_seed(3)
    space, _ = _linear_model(0.0)
    space, x = space.float(), torch.randn(64, D, generator=generator)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert space.encoder(x).dtype == torch.bfloat16
        q, h = space.encode(x), space.raw(x[:, :d])
        losses = ELBO()(space, {"x": x}, 0)
    heads = space.encoder.to(torch.bfloat16)(x.to(torch.bfloat16)).float()
    mean, log_variance = heads.chunk(2, -1)
    exact = (mean.double() ** 2 + log_variance.double().exp() - 1 - log_variance.double()).sum(-1) / 2
    assert h.dtype == q.mean.dtype == losses.loss.dtype == torch.float32
    torch.testing.assert_close(losses.kl.sum(-1).double(), exact, rtol=1e-5, atol=1e-5)


def test_half_precision_weights_are_refused(tmp_path: Path) -> None:
    space, _ = _linear_model(0.0)
    model = VAE(space.encoder, space.decoder, space.likelihood, space.prior, ELBO())
    trainer = Trainer(
        accelerator="cpu",
        precision="bf16-true",
        logger=False,
        enable_checkpointing=False,
        default_root_dir=tmp_path,
        enable_progress_bar=False,
        enable_model_summary=False,
        max_steps=1,
    )
    expected = r"VAE expected trainer\.precision of 32-true or 64-true or 16-mixed or bf16-mixed, got bf16-true"
    with pytest.raises(ValueError, match=expected):
        trainer.fit(model, DataLoader([{"x": torch.zeros(D)}]))
