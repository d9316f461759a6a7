"""Every VAE in conf/model composes, instantiates, gives a finite loss in nats and a gradient to every parameter."""

from functools import cache
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor

import lsgen
from lsgen.models import VAE, LatentModel, LinearModel
from lsgen.models.vae import AdversarialObjective, DataSetObjective

CONF = Path(lsgen.__file__).parents[1] / "conf"
MARKS = ("lsgen.models.VAE", "lsgen.models.LinearModel", "- vae\n")
TEXTS = {path.stem: path.read_text() for path in sorted((CONF / "model").glob("*.yaml"))}
NAMES = [name for name, text in TEXTS.items() if any(mark in text for mark in MARKS)]
B = 6


@cache
def _config(name: str) -> DictConfig:
    net = [] if "override /net" in TEXTS[name] else ["net=mlp"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", [f"model={name}", "data=digits", *net])


def _model(name: str) -> LatentModel:
    torch.manual_seed(0)
    model = instantiate(_config(name).model)
    if isinstance(model, VAE) and isinstance(model.objective, DataSetObjective):
        model.objective.prepare(1000)
    return model


def _batch(model: LatentModel) -> dict[str, Tensor]:
    shape = model.latent_space.likelihood.shape
    generator = torch.Generator().manual_seed(0)
    return {"x": torch.rand(B, *shape, generator=generator).round(), "label": torch.arange(B) % 10}


@pytest.mark.parametrize("name", NAMES)
def test_loss_is_finite_and_every_parameter_learns(name: str) -> None:
    model = _model(name)
    batch = _batch(model)
    losses = model.loss(batch)
    assert torch.isfinite(losses.loss)
    assert losses.reconstruction.shape == (B,)
    assert losses.kl.shape[0] == B
    assert all(value.ndim == 0 and not value.requires_grad for value in losses.scalars.values())
    if isinstance(model, LinearModel):
        return
    loss = losses.loss
    if isinstance(model.objective, AdversarialObjective):
        played, codes = model.objective.play(model.latent_space, batch, 0)
        loss = played.loss + model.objective.adversary_loss(model.latent_space, codes.detach())
    loss.backward()
    without = [key for key, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert not without


@pytest.mark.parametrize("name", NAMES)
def test_state_is_restored(name: str) -> None:
    first, second = _model(name), _model(name)
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.mul_(1.1)
    second.load_state_dict(first.state_dict())
    torch.manual_seed(1)
    expected = first.loss(_batch(first)).loss
    torch.manual_seed(1)
    torch.testing.assert_close(second.loss(_batch(second)).loss, expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_codes_are_decoded_into_observations(name: str) -> None:
    model = _model(name)
    space = model.latent_space
    x = _batch(model)["x"]
    z = space.encode(x).mean
    assert z.shape == (B, space.dim)
    assert space.decode(z).mean.shape == x.shape
    assert space.sample(3).shape == (3, *x.shape[1:])
    assert model(x).shape == x.shape
