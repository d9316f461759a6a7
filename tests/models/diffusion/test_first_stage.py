"""Latent diffusion: bounds, codes and geometry are those of the first stage where the denoiser is exact.

A network that is 0 and predicts v is the exact denoiser of standard normal codes at sigma_data = 1.
"""

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from torch import nn

from lsgen.geometry import immersion, scalar_curvature
from lsgen.latent import Deterministic, StandardNormal
from lsgen.likelihoods import Bernoulli, FixedGaussian
from lsgen.models import VAE
from lsgen.models.diffusion import Denoiser, Diffusion, FirstStage, LinearLogSNR
from lsgen.models.diffusion.samplers import Heun
from lsgen.models.vae import ELBO, Autoencoder
from lsgen.nn import MLPDecoder, MLPDenoiser, MLPEncoder

f64 = torch.float64


def _vae(likelihood=FixedGaussian, deterministic=False):
    torch.manual_seed(0)
    encoder = MLPEncoder((5,), 2, (8,), nn.SiLU, heads=1 if deterministic else 2)
    decoder, family = MLPDecoder(2, (5,), (8,), nn.SiLU), likelihood((5,))
    posterior, objective = (Deterministic(), Autoencoder()) if deterministic else (None, ELBO())
    return VAE(encoder, decoder, family, StandardNormal(2), objective, posterior)


def _model(first_stage, shape=(2,), **options):
    net = MLPDenoiser(shape, hidden=(4,), embedding=4)
    return Diffusion(Denoiser(net, LinearLogSNR(), "v", 1.0), first_stage=first_stage, **options)


def test_the_bound_is_that_of_the_first_stage_under_the_prior_that_is_learned():
    vae = _vae(Bernoulli).double().eval()
    x = torch.rand(1, 5, dtype=f64, generator=torch.Generator().manual_seed(1)).round().expand(40_000, 5)
    with torch.no_grad():
        expected = vae.loss({"x": x})
        found = _model(FirstStage(vae)).double().eval().loss({"x": x})
    error = float(found.elbo.std()) / len(x) ** 0.5
    assert error < 0.1
    assert abs(float(found.elbo.mean() - expected.elbo.mean())) < 4 * error + 1e-3
    torch.testing.assert_close(found.reconstruction.mean(), expected.reconstruction.mean(), rtol=1e-2, atol=0)


def test_codes_decode_and_curve_as_they_do_in_the_first_stage():
    vae = _vae().double().eval()
    model = _model(FirstStage(vae), sampler=Heun(60, denoise_last=False)).double().eval()
    space, z = model.latent_space, torch.randn(3, 2, dtype=f64)
    with torch.no_grad():
        codes = model.decoder.sampler(model.denoiser, model.path, z)
        torch.testing.assert_close(space.raw(z), vae.latent_space.raw(codes))
        x = space.decode(z).mean
        torch.testing.assert_close(
            model.decoder.sampler(model.denoiser, model.path, space.encode(x).mean),
            vae.latent_space.encode(x).mean,
            rtol=1e-3,
            atol=1e-3,
        )
    assert model.sample(4).shape == space.sample(4).shape == (4, 5)


@pytest.mark.slow
def test_curvature_is_that_of_the_first_stage_at_the_codes():
    vae = _vae().double().eval()
    model = _model(FirstStage(vae), sampler=Heun(6, denoise_last=False)).double().eval()
    z = torch.tensor([[0.3, -0.2], [-0.5, 0.4]], dtype=f64)
    with torch.no_grad():
        codes = model.decoder.sampler(model.denoiser, model.path, z)
    found, expected = (scalar_curvature(immersion(one.latent_space), at) for one, at in ((model, z), (vae, codes)))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    assert bool((found.abs() > 1e-3).all())


def test_the_first_stage_learns_nothing_and_stays_as_it_was():
    vae = _vae()
    model = _model(FirstStage(vae)).train()
    before = {name: value.clone() for name, value in vae.latent_space.state_dict().items()}
    trained = {id(p) for p in model.learned()}
    assert not trained & {id(p) for p in vae.parameters()}
    stage = model.decoder.first_stage.space
    assert not any(part.training for net in (stage.encoder, stage.decoder) for part in net.modules())
    model.loss({"x": torch.randn(8, 5)}).loss.backward()
    assert all(p.grad is None for p in vae.parameters())
    assert all(torch.equal(vae.latent_space.state_dict()[name], value) for name, value in before.items())
    copy = _model(FirstStage(_vae(), checkpoint="gone.ckpt"))
    assert not copy.decoder.first_stage.filled
    copy.load_state_dict(model.state_dict())
    assert copy.decoder.first_stage.filled


def test_what_is_no_first_stage_is_refused(tmp_path):
    with pytest.raises(TypeError, match="expected a first stage that encodes, such as a VAE, got LightningModule"):
        FirstStage(LightningModule())
    with pytest.raises(TypeError, match="Diffusion expected a posterior with a density, got Deterministic"):
        FirstStage(_vae(deterministic=True))
    with pytest.raises(ValueError, match=r"a denoiser of shape \(2,\), as codes of the first stage, got \(1, 8, 8\)"):
        _model(FirstStage(_vae()), shape=(1, 8, 8))
    with pytest.raises(ValueError, match="neither a likelihood nor a value_range beside a first stage"):
        _model(FirstStage(_vae()), likelihood=FixedGaussian((2,)))
    with pytest.raises(TypeError, match="got one with a first stage"):
        _model(FirstStage(_vae())).log_likelihood(torch.zeros(2, 5))
    trainer = Trainer(default_root_dir=tmp_path, accelerator="cpu", logger=False, max_epochs=1)
    rows = torch.utils.data.DataLoader(torch.zeros(4, 5), batch_size=2)
    with pytest.raises(ValueError, match=r"expected the weights of the first stage in gone.ckpt, which is not there"):
        trainer.fit(_model(FirstStage(_vae(), checkpoint="gone.ckpt")), rows)
